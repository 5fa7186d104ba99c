// Package fingerprint holds the forms in which people and programs exchange the fingerprints
// of keys: lines of text, QR codes and JSON.
package fingerprint

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"sync"

	"otrpipe/commands/internal/exit"
	"otrpipe/otr/keys"
)

// labelPrefix and a version lead the line of a fingerprint.
const labelPrefix = "OTRv"

// Line is a fingerprint as the command fingerprint prints it: the version of OTR that the key
// is for, then the digits in groups.
func Line(fp keys.Fingerprint) string { return fmt.Sprintf("%s%d %v", labelPrefix, fp.OTR(), fp) }

// rowGroups is how many groups of digits a row has: four are as many as a person keeps in mind
// while comparing, and fit the narrowest terminals.
const rowGroups = 4

// Rows is a fingerprint laid out to be read: the groups of a key of version 4 in rows of four,
// those of version 3, of which there are five, in one row.
func Rows(fp keys.Fingerprint) []string {
	if fp.OTR() == 3 {
		return []string{fp.String()}
	}
	var rows []string
	for groups := range slices.Chunk(strings.Fields(fp.String()), rowGroups) {
		rows = append(rows, strings.Join(groups, " "))
	}
	return rows
}

// Weaker marks a key for people that is weaker than one of version 4: those of versions 2 and 3,
// with DSA of 1024 bits and SHA-1. It is "" for others.
func Weaker(fp keys.Fingerprint) string {
	if fp.OTR() == 3 {
		return "weaker"
	}
	return ""
}

// Block is a fingerprint as a person reads it at a terminal: the version of OTR that the key is
// for and its rows, behind indent. A note and the mark of a weaker key end the first row. Parse
// reads it too.
func Block(fp keys.Fingerprint, indent, note string) string {
	label := fmt.Sprintf("%s%d ", labelPrefix, fp.OTR())
	notes := slices.DeleteFunc([]string{Weaker(fp), note}, func(n string) bool { return n == "" })
	var b strings.Builder
	for i, row := range Rows(fp) {
		if i > 0 {
			label = strings.Repeat(" ", len(label))
		}
		b.WriteString(indent + label + row)
		if i == 0 && len(notes) > 0 {
			b.WriteString(" (" + strings.Join(notes, ", ") + ")")
		}
		b.WriteByte('\n')
	}
	return b.String()
}

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

// Lines returns the lines of a text in which each key has a line. A line that begins with a
// blank goes on with the key before it, as the rows of a Block do.
func Lines(text string) []string {
	return strings.Split(continued().ReplaceAllString(strings.TrimRight(text, "\n"), " "), "\n")
}

// continued is what separates two rows of a key, and notes what may end a row of a Block.
var (
	continued = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`(?: \([a-z, ]*\))?\n[ \t]+`) })
	notes     = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(` \([a-z, ]*\)$`) })
)

// Read reads a fingerprint in any of its forms: digits in any grouping and case, a line or a
// block of the command fingerprint, or the text of a QR code.
func Read(text string) (keys.Fingerprint, error) {
	version := 0
	text = notes().ReplaceAllString(continued().ReplaceAllString(strings.TrimRight(text, "\n"), " "), "")
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
