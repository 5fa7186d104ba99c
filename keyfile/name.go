package keyfile

import (
	"fmt"
	"net/url"
	"strings"
	"unicode"
	"unicode/utf8"
)

// maxName is the maximum length of the name of an identity or contact, in bytes. It is far
// longer than any account name in use and, with a few bytes escaped, still a file name that
// every file system accepts.
const maxName = 200

// maxFileName is the maximum length of a file name made from an identity's name, in bytes.
// File systems allow 255; the rest is for the suffixes of temporary files.
const maxFileName = 230

// CheckName returns an ErrName unless name can be the name of an identity or a contact: 1 to
// 200 bytes of UTF-8, with only printable characters and no space at either end. So a name
// can be shown on a terminal unchanged.
func CheckName(name string) error {
	switch {
	case name == "":
		return fmt.Errorf("%w is empty", ErrName)
	case len(name) > maxName:
		return fmt.Errorf("%w has %d bytes, more than %d", ErrName, len(name), maxName)
	case !utf8.ValidString(name):
		return fmt.Errorf("%w %q is not UTF-8", ErrName, name)
	case strings.TrimSpace(name) != name:
		return fmt.Errorf("%w %q has a space at an end", ErrName, name)
	}
	for _, r := range name {
		if !unicode.IsPrint(r) {
			return fmt.Errorf("%w %q has an unprintable character, %U", ErrName, name, r)
		}
	}
	return nil
}

// CheckContactName returns an ErrName unless a new contact can have the name: CheckName must
// accept it, and every character must be visible, so that two different names look different.
// It rejects invisible characters (Unicode's default ignorable code points, fillers,
// variation selectors), characters that only look like a space, and a combining mark at the
// beginning, which would join the text before the name.
func CheckContactName(name string) error {
	if err := CheckName(name); err != nil {
		return err
	}
	for i, r := range name {
		if blank(r) || i == 0 && unicode.Is(unicode.M, r) {
			return fmt.Errorf("%w %q has a character that cannot be seen, %U", ErrName, name, r)
		}
	}
	return nil
}

// blank reports whether a character is invisible although Unicode counts it as printable.
// (Format characters, and spaces other than the ASCII one, do not count as printable.)
func blank(r rune) bool {
	const (
		brailleBlank = '\u2800'
		nullNotehead = '\U0001d159'
	)
	return r == brailleBlank || r == nullNotehead ||
		unicode.In(r, unicode.Other_Default_Ignorable_Code_Point, unicode.Variation_Selector)
}

// fileName returns the folder name of an identity. Letters, digits and a few signs stay as
// they are. Any other byte becomes %XX, because file systems treat signs and the normal forms
// of Unicode differently, and so does a leading dot, because names with one are temporary.
func fileName(name string) (string, error) {
	if err := CheckName(name); err != nil {
		return "", err
	}
	var b strings.Builder
	for i := range len(name) {
		if c := name[i]; isPlain(c) && (c != '.' || i > 0) {
			b.WriteByte(c)
		} else {
			fmt.Fprintf(&b, "%%%02X", c)
		}
	}
	if b.Len() > maxFileName {
		return "", fmt.Errorf("%w %q is too long for a file name", ErrName, name)
	}
	return b.String(), nil
}

func isPlain(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' ||
		strings.IndexByte("@._+=,-", c) >= 0
}

// nameOfFile is the inverse of fileName; ok is false for a name that fileName would not
// return.
func nameOfFile(file string) (name string, ok bool) {
	name, err := url.PathUnescape(file)
	if err != nil {
		return "", false
	}
	back, err := fileName(name)
	return name, err == nil && back == file
}
