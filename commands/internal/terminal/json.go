package terminal

import (
	"fmt"
	"unicode/utf16"
	"unicode/utf8"
)

// SafeJSON returns a JSON document that means the same as b and is harmless to a terminal: the
// characters that Visible escapes are written as JSON's own escapes, such as \u009b. b is one
// that encoding/json has written, with line feeds between values at most.
func SafeJSON(b []byte) []byte {
	var out []byte
	clean := 0
	var before rune
	for i := 0; i < len(b); {
		r, n := utf8.DecodeRune(b[i:])
		if r != '\n' && hidden(before, r, n) {
			out = append(out, b[clean:i]...)
			if r > 0xffff {
				high, low := utf16.EncodeRune(r)
				out = fmt.Appendf(out, `\u%04x\u%04x`, high, low)
			} else {
				out = fmt.Appendf(out, `\u%04x`, r)
			}
			clean = i + n
			before = 0
		} else {
			before = r
		}
		i += n
	}
	if clean == 0 {
		return b
	}
	return append(out, b[clean:]...)
}
