package terminal

import (
	"fmt"
	"unicode/utf16"
)

// SafeJSON returns a JSON document that means the same as b and is harmless to a terminal: the
// characters that Visible escapes are written as JSON's own escapes, such as \u009b. b is one
// that encoding/json has written, with line feeds between values at most.
func SafeJSON(b []byte) []byte {
	return []byte(escaped(string(b), '\n', func(r rune, _ byte) string {
		if r > 0xffff {
			high, low := utf16.EncodeRune(r)
			return fmt.Sprintf(`\u%04x\u%04x`, high, low)
		}
		return fmt.Sprintf(`\u%04x`, r)
	}))
}
