// Package fingerprint holds the forms in which people and programs exchange the fingerprints
// of keys: lines of text, QR codes and JSON.
package fingerprint

import (
	"fmt"
	"strings"

	"otrpipe/commands/internal/exit"
	"otrpipe/otr/keys"
)

// labelPrefix and a version lead the line of a fingerprint.
const labelPrefix = "OTRv"

// Line is a fingerprint as the command fingerprint prints it: the version of OTR that the key
// is for, then the digits in groups.
func Line(fp keys.Fingerprint) string { return fmt.Sprintf("%s%d %v", labelPrefix, fp.OTR(), fp) }

// A Key is a fingerprint in JSON.
type Key struct {
	OTR         int    `json:"otr"`
	Fingerprint string `json:"fingerprint"`
}

// JSON returns a fingerprint as it stands in JSON.
func JSON(fp keys.Fingerprint) Key { return Key{fp.OTR(), fp.Hex()} }

// Parse reads a fingerprint from arguments, which a shell may have split at its blanks. Its
// error has an exit code.
func Parse(args []string) (keys.Fingerprint, error) {
	fp, err := Read(strings.Join(args, " "))
	if err != nil {
		return fp, exit.Errorf(exit.Usage, "%w", err).WithHint("a fingerprint has 40 hexadecimal digits (OTRv3) or 112 (OTRv4)")
	}
	return fp, nil
}

// ParseAll is Parse for several fingerprints, one per line, as the command fingerprint prints
// them.
func ParseAll(args []string) ([]keys.Fingerprint, error) {
	var all []keys.Fingerprint
	for _, line := range Lines(strings.Join(args, " ")) {
		fp, err := Parse([]string{line})
		if err != nil {
			return nil, err
		}
		all = append(all, fp)
	}
	return all, nil
}

// Lines returns the lines of a text in which each key has a line.
func Lines(text string) []string {
	return strings.Split(strings.TrimRight(text, "\n"), "\n")
}

// Read reads a fingerprint in any of its forms: digits in any grouping and case, a line of
// the command fingerprint, or the text of a QR code.
func Read(text string) (keys.Fingerprint, error) {
	version := 0
	for _, form := range []struct {
		prefix string
		end    byte // behind the version
	}{{qrPrefix, ':'}, {labelPrefix, ' '}} {
		rest, ok := strings.CutPrefix(text, form.prefix)
		if !ok {
			continue
		}
		if len(rest) < 2 || rest[0] < '1' || rest[0] > '9' || rest[1] != form.end {
			return keys.Fingerprint{}, fmt.Errorf("%q names no version of OTR", text)
		}
		version, text = int(rest[0]-'0'), rest[2:]
	}
	fp, err := keys.ParseFingerprint(text)
	if err != nil {
		return fp, exit.Plain(err)
	}
	if version != 0 && version != fp.OTR() {
		return fp, fmt.Errorf("a fingerprint of version %d with the digits of version %d", version, fp.OTR())
	}
	return fp, nil
}
