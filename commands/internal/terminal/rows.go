package terminal

import (
	"strings"
)

// longKey matches a version 4 fingerprint in a message: fourteen groups of eight digits. A
// terminal would break it inside a group.
var longKey = pattern(`[:,]? (?:[0-9A-F]{8} ){13}[0-9A-F]{8}[.,;]?`)

// rowLen is the length of a row of four groups of digits.
const rowLen = 4*8 + 3

// withRows moves each long fingerprint of a message to lines of its own, in rows of four groups.
func withRows(text string) string {
	return longKey().ReplaceAllStringFunc(text, func(key string) string {
		digits := strings.Trim(key, ":,.; ")
		var b strings.Builder
		b.WriteByte(':')
		for len(digits) > 0 {
			n := min(rowLen, len(digits))
			b.WriteString("\n  " + digits[:n])
			digits = strings.TrimPrefix(digits[n:], " ")
		}
		return b.String()
	})
}
