package options

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"otrpipe/commands/internal/exit"
	"otrpipe/otr/keys"
	"otrpipe/otr/wire"
)

// Bounds with their reasons.
const (
	// maxPad keeps a padded message small beside the bound on a line.
	maxPad = 1 << 16
	// maxQuestion is the longest SMP question, in bytes: package otr sends no
	// longer one, for it is shown to a person.
	maxQuestion = 4096
	// minLine is the shortest bound on a line that leaves room for a piece of a
	// message beside a fragment's header, and maxLine the longest line there is.
	minLine, maxLine = 64, 1 << 20
)

// QRPrefix begins the text in a fingerprint's QR code, which is
//
//	otr-fingerprint:VERSION:DIGITS
//
// VERSION is the version of OTR whose key it is, 3 (for versions 2 and 3) or 4,
// and DIGITS are the 40 or 112 hexadecimal digits of the fingerprint, lower case
// and ungrouped. There is nothing else: no name, which the code could not vouch
// for, and one key a code. "contacts add" takes the text as a fingerprint.
const QRPrefix = "otr-fingerprint:"

// LabelPrefix and a version lead the line of a fingerprint.
const LabelPrefix = "OTRv"

func asIs(v string) (string, error) { return v, nil }

// absolutePath lets a half open a file that the other half names.
func absolutePath(v string) (string, error) {
	if v == "" {
		return "", errors.New("a file has a name")
	}
	return filepath.Abs(v)
}

func oneOf(values ...string) func(string) (string, error) {
	return func(v string) (string, error) {
		if !slices.Contains(values, v) {
			return "", fmt.Errorf("%q is not one of %s", v, strings.Join(values, ", "))
		}
		return v, nil
	}
}

func number(least, most int) func(string) (string, error) {
	return func(v string) (string, error) {
		n, err := strconv.Atoi(v)
		if err != nil {
			return "", fmt.Errorf("%q is not a number", v)
		}
		if n < least || n > most {
			return "", fmt.Errorf("%d is not between %d and %d", n, least, most)
		}
		return strconv.Itoa(n), nil
	}
}

// Duration reads a duration such as 90s, which is not negative.
func Duration(v string) (string, error) {
	d, err := time.ParseDuration(v)
	if err != nil {
		return "", fmt.Errorf("%q is not a duration such as 90s or 5m", v)
	}
	if d < 0 {
		return "", fmt.Errorf("%s is less than nothing", v)
	}
	return d.String(), nil
}

// fingerprint reads a value of --expect.
func fingerprint(v string) (string, error) {
	f, err := ReadFingerprint(v)
	if err != nil {
		return "", err
	}
	return f.Hex(), nil
}

// named refuses an empty name.
func named(what string) func(string) (string, error) {
	return func(v string) (string, error) {
		if v == "" {
			return "", fmt.Errorf("%s needs a name", what)
		}
		return v, nil
	}
}

// Question refuses an SMP question that cannot be asked.
func Question(v string) (string, error) {
	switch {
	case v == "":
		return "", fmt.Errorf("the question is empty")
	case len(v) > maxQuestion:
		return "", fmt.Errorf("the question has %d bytes; at most %d can be asked", len(v), maxQuestion)
	case strings.IndexByte(v, 0) >= 0:
		return "", fmt.Errorf("a question cannot hold a NUL")
	}
	return v, nil
}

// versions reads the value of --otr: digits in any order.
func versions(v string) (string, error) {
	if v == "" {
		return "", fmt.Errorf("no version is named")
	}
	set, ok := wire.ParseVersions(v)
	if !ok || set&^Spoken != 0 {
		return "", fmt.Errorf("%q names a version that is not spoken here; %v are", v, Spoken)
	}
	return set.Digits(), nil
}

// FingerprintLines are the lines of text, each of which the command fingerprint
// prints for one key.
func FingerprintLines(text string) []string {
	return strings.Split(strings.TrimRight(text, "\n"), "\n")
}

// ReadFingerprint reads a fingerprint as anybody may have written it down: digits
// in any grouping and case, as a line of the command fingerprint, or as the text of
// its QR code.
func ReadFingerprint(text string) (keys.Fingerprint, error) {
	version := 0
	for _, form := range []struct {
		prefix string
		end    byte // behind the version
	}{{QRPrefix, ':'}, {LabelPrefix, ' '}} {
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
