package transfer

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// maxName is the maximum length of a file's name in bytes. File systems allow no more.
const maxName = 255

// ErrName says that something cannot be sent or received because of its name.
var ErrName = errors.New("transfer: this name is not accepted")

func badName(format string, a ...any) error {
	return fmt.Errorf("%w: %s", ErrName, fmt.Sprintf(format, a...))
}

// checkPart refuses a name of a file or folder, one part of a path, that leads elsewhere or
// looks like a different name.
func checkPart(name string) error {
	switch {
	case name == "":
		return badName("it is empty")
	case name == "." || name == "..":
		return badName("%q is not the name of a file", name)
	case len(name) > maxName:
		return badName("it has more than %d bytes", maxName)
	case !utf8.ValidString(name):
		return badName("%q is not UTF-8", name)
	case strings.ContainsRune(name, '/'):
		return badName("%q contains a /", name)
	case strings.HasPrefix(name, " ") || strings.HasSuffix(name, " "):
		return badName("%q has a space at an end", name)
	case isForeign(name):
		return badName("%q is not the name of a file on this system", name)
	}
	var before rune
	for i, r := range name {
		after, _ := utf8.DecodeRuneInString(name[i+utf8.RuneLen(r):])
		switch {
		case unicode.IsControl(r):
			return badName("%q has a control character", name)
		case r != ' ' && (unicode.IsSpace(r) || unicode.Is(unicode.Z, r)),
			i == 0 && unicode.Is(unicode.M, r),
			hides(r) && !joins(before, r, after):
			return badName("%q has a character that cannot be seen, %U", name, r)
		}
		before = r
	}
	return nil
}

// checkName is checkPart for the name of an item. It must not look like an option to other
// programs, nor like one of our incomplete files.
func checkName(name string) error {
	if err := checkPart(name); err != nil {
		return err
	}
	if name[0] == '-' {
		return badName("%q begins with a -", name)
	}
	// Some file systems take letters for the same in either case. The suffix is ASCII.
	if n := len(name) - len(partSuffix); name[0] == '.' && n > 0 && strings.EqualFold(name[n:], partSuffix) {
		return badName("%q is that of an incomplete file", name)
	}
	return nil
}

// The characters that choose the appearance of the preceding one, and those that join or
// separate letters.
const (
	nonJoiner    = '\u200c'
	joiner       = '\u200d'
	textStyle    = '\ufe0e'
	emojiStyle   = '\ufe0f'
	brailleBlank = '\u2800'
	nullNotehead = '\U0001d159'
)

// hides reports whether r is invisible or changes the direction of writing. With such characters
// two names can look the same, or evil.exe like exe.live.
func hides(r rune) bool {
	return r == brailleBlank || r == nullNotehead ||
		unicode.Is(unicode.Cf, r) && !unicode.Is(unicode.Prepended_Concatenation_Mark, r) ||
		unicode.In(r, unicode.Other_Default_Ignorable_Code_Point, unicode.Variation_Selector)
}

// joins reports whether the hidden r has a meaning between before and after: in emojis of
// several characters, and in scripts whose words need a joiner. None of these are in ASCII.
func joins(before, r, after rune) bool {
	beyond := func(r rune) bool { return r >= utf8.RuneSelf && r != utf8.RuneError && (r == emojiStyle || !hides(r)) }
	switch r {
	case joiner, nonJoiner:
		return beyond(before) && beyond(after)
	case textStyle, emojiStyle:
		return beyond(before) && before != emojiStyle
	}
	return false
}

// The hidden name of an incomplete item, and the name that it gets if it cannot be continued.
const (
	partSuffix  = ".otrpipe-part"
	asideSuffix = ".unfinished"
)

// partName returns the hidden name that an item has until it is complete.
func partName(name string) string { return "." + shorten(name, 1+len(partSuffix)) + partSuffix }

// asideName returns the nth name for the kept part of an item that was not continued.
func asideName(name string, n int) string {
	suffix := asideSuffix
	if n > 1 {
		suffix = fmt.Sprintf("%s-%d", asideSuffix, n)
	}
	return shorten(name, len(suffix)) + suffix
}

// shorten returns name or, if there is no room for more bytes beside it, a shorter unique name
// in its place.
func shorten(name string, more int) string {
	if len(name)+more <= maxName {
		return name
	}
	digest := sha256.Sum256([]byte(name))
	return hex.EncodeToString(digest[:16])
}
