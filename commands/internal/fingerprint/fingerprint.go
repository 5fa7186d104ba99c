// Package fingerprint reads and writes fingerprints in the forms that people and programs
// exchange: lines of text, QR codes and JSON.
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

// labelPrefix and a version begin the line of a fingerprint.
const labelPrefix = "OTRv"

// Line returns a fingerprint as the fingerprint command prints it: the key's version of OTR,
// then the digits in groups.
func Line(fp keys.Fingerprint) string { return fmt.Sprintf("%s%d %v", labelPrefix, fp.OTR(), fp) }

// rowGroups is the number of digit groups in a row. A person can keep four in mind while
// comparing, and they fit the narrowest terminals.
const rowGroups = 4

// Rows lays a fingerprint out to be read: version 4 in rows of four groups, version 3 with its
// five groups in one row.
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

// Weaker returns a note for keys that are weaker than those of version 4: the keys of versions 2
// and 3, with 1024-bit DSA and SHA-1. It returns "" for others.
func Weaker(fp keys.Fingerprint) string {
	if fp.OTR() == 3 {
		return "weaker"
	}
	return ""
}

// Block returns a fingerprint for a terminal: the key's version of OTR and its rows, all
// indented. The first row ends with a note and the mark of a weaker key. Parse can read it.
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

// JSON returns a fingerprint for JSON output.
func JSON(fp keys.Fingerprint) Key { return Key{fp.OTR(), fp.Hex()} }

// Parse reads a fingerprint from arguments, which a shell may have split at blanks. Its errors
// carry exit codes.
func Parse(args []string) (keys.Fingerprint, error) {
	fp, err := Read(strings.Join(args, " "))
	if err != nil {
		return fp, exit.Errorf(exit.Usage, "%w", err).WithHint("a fingerprint has 40 hexadecimal digits (OTRv3) or 112 (OTRv4)")
	}
	return fp, nil
}

// ParseAll is Parse for several fingerprints, one per line, as the fingerprint command prints
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

// Lines splits a text into one line per key. A line that begins with a blank continues the key
// before it, like the rows of a Block.
func Lines(text string) []string {
	return strings.Split(continued().ReplaceAllString(strings.TrimRight(text, "\n"), " "), "\n")
}

// continued matches the separator of two rows of a key, and notes matches the notes at the end
// of a Block's row.
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
