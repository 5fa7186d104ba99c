package terminal

import (
	"strings"
)

// longKey is the fingerprint of a key of version 4 as it stands in a message: fourteen groups of
// eight digits. A terminal would cut it somewhere inside a group.
var longKey = pattern(`[:,]? (?:[0-9A-F]{8} ){13}[0-9A-F]{8}[.,;]?`)

// rowLen is the length of four groups of digits, which have a row for themselves.
const rowLen = 4*8 + 3

// withRows puts each long fingerprint of a message below what stands before it, in rows of four
// groups.
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
