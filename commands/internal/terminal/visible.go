package terminal

import (
	"fmt"
	"io"
	"os"
	"strings"
	"unicode"
	"unicode/utf8"

	"otrpipe/commands/internal/descriptor"
)

// Visible returns s on one line and harmless to a terminal: control characters, line ends, bytes
// that are not UTF-8, and characters that nobody sees or that turn the direction of text are
// written as escapes such as \n, \x1b or \u202e. Text without such characters is returned
// unchanged.
func Visible(s string) string { return escaped(s, noRune, escape) }

// noRune is no character.
const noRune rune = -1

// escaped replaces the hidden characters in s, except kept, by what escape returns for a character
// and its first byte.
func escaped(s string, kept rune, escape func(r rune, first byte) string) string {
	var b strings.Builder
	clean := 0
	var before rune
	for i := 0; i < len(s); {
		r, n := utf8.DecodeRuneInString(s[i:])
		if r != kept && hidden(before, r, n) {
			b.WriteString(s[clean:i])
			b.WriteString(escape(r, s[i]))
			clean = i + n
			before = 0
		} else {
			before = r
		}
		i += n
	}
	if clean == 0 {
		return s
	}
	b.WriteString(s[clean:])
	return b.String()
}

// Output returns a writer that is safe for a peer's bytes: f itself or, if f is a terminal, a
// filter that makes control characters visible, keeps line ends and tabs, and converts to the
// terminal's charset.
func Output(f *os.File) io.Writer {
	if Is(f) {
		return NewFilter(Locale().Writer(writer{descriptor.Stream{File: f}}))
	}
	return descriptor.Stream{File: f}
}

// A Filter makes control characters visible, except line feeds and tabs.
type Filter struct {
	w    io.Writer
	part []byte // the beginning of a character whose end has not come yet
	out  []byte
	// before is the last character that was written.
	before rune
}

// NewFilter returns a Filter that writes to w.
func NewFilter(w io.Writer) *Filter {
	return &Filter{w: w}
}

// Write passes p on. The first bytes of a character that p does not finish
// wait for the next call.
func (f *Filter) Write(p []byte) (int, error) {
	f.out = f.out[:0]
	rest := append(f.part, p...)
	f.part = nil
	for len(rest) > 0 {
		if !utf8.FullRune(rest) {
			f.part = append(f.part, rest...)
			break
		}
		r, n := utf8.DecodeRune(rest)
		if hidden(f.before, r, n) && r != '\n' && r != '\t' {
			f.out = append(f.out, escape(r, rest[0])...)
			f.before = 0
		} else {
			f.out = append(f.out, rest[:n]...)
			f.before = r
		}
		rest = rest[n:]
	}
	if _, err := f.w.Write(f.out); err != nil {
		return 0, err
	}
	return len(p), nil
}

const (
	nonJoiner  = '\u200c'
	joiner     = '\u200d'
	textStyle  = '\ufe0e'
	emojiStyle = '\ufe0f'
	blackFlag  = '\U0001f3f4' // before tags it is a region's flag
)

// invisible holds characters that show nothing by themselves. Visible format characters, such as
// the Arabic sign of a year, are not among them.
func invisible(r rune) bool {
	return unicode.Is(unicode.Cf, r) && !unicode.Is(unicode.Prepended_Concatenation_Mark, r) ||
		unicode.In(r, unicode.Other_Default_Ignorable_Code_Point, unicode.Variation_Selector)
}

// joins reports whether the invisible character r has a meaning after another one, in an emoji
// of several characters or in a script with joined letters.
func joins(before, r rune) bool {
	switch {
	case r == textStyle || r == emojiStyle:
		return pictured(before) || '0' <= before && before <= '9' || before == '#' || before == '*' || unicode.IsPunct(before)
	case unicode.Is(unicode.Variation_Selector, r):
		return unicode.In(before, unicode.Han, unicode.Mongolian, unicode.Sm)
	case r == joiner && (pictured(before) || before == emojiStyle):
		return true
	case r == joiner || r == nonJoiner:
		return unicode.In(before, unicode.Arabic, unicode.Syriac, unicode.Mongolian, unicode.Nko,
			unicode.Devanagari, unicode.Bengali, unicode.Gurmukhi, unicode.Gujarati, unicode.Oriya, unicode.Tamil,
			unicode.Telugu, unicode.Kannada, unicode.Malayalam, unicode.Sinhala, unicode.Khmer, unicode.Myanmar)
	case '\U000e0020' <= r && r <= '\U000e007f':
		return before == blackFlag || '\U000e0020' <= before && before < '\U000e007f'
	}
	return false
}

// pictured reports whether r can be part of an emoji: a symbol or a skin colour.
func pictured(r rune) bool { return unicode.In(r, unicode.So, unicode.Sk, unicode.Sm) && r >= 0x80 }

// hidden reports whether the character r must not reach a terminal unchanged. n is the number of
// bytes that it was read from.
func hidden(before, r rune, n int) bool {
	switch {
	case r == utf8.RuneError && n <= 1: // not UTF-8
		return true
	case unicode.IsControl(r):
		return true
	case r == '\u2028' || r == '\u2029': // line and paragraph separators
		return true
	}
	return unicode.Is(unicode.Bidi_Control, r) || invisible(r) && !joins(before, r)
}

// escape returns the escape for the character r, whose first byte is first.
func escape(r rune, first byte) string {
	switch r {
	case '\a':
		return `\a`
	case '\b':
		return `\b`
	case '\t':
		return `\t`
	case '\n':
		return `\n`
	case '\v':
		return `\v`
	case '\f':
		return `\f`
	case '\r':
		return `\r`
	case utf8.RuneError:
		return fmt.Sprintf(`\x%02x`, first)
	}
	if r < utf8.RuneSelf {
		return fmt.Sprintf(`\x%02x`, r)
	}
	if r > 0xffff {
		return fmt.Sprintf(`\U%08x`, r)
	}
	return fmt.Sprintf(`\u%04x`, r)
}
