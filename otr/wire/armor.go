package wire

import (
	"bytes"
	"errors"
	"slices"

	"github.com/segmentio/asm/base64"
)

var (
	// ErrNotEncoded reports a line that contains no encoded message.
	ErrNotEncoded = errors.New("wire: no encoded message in this line")
	// ErrArmor reports an encoded message without an end, or whose base64 is not canonical.
	ErrArmor = errors.New("wire: damaged base64 armor")
)

const (
	armorStart = "?OTR:"
	armorEnd   = '.'
)

// armor's decoder rejects padding with bits set. Like the standard library's, it skips line
// ends; AppendDearmored rejects those.
var armor = base64.StdEncoding.Strict()

// ArmoredLen returns the armored length of a binary message of n bytes.
func ArmoredLen(n int) int {
	return len(armorStart) + armor.EncodedLen(n) + 1
}

// AppendArmor appends msg armored: "?OTR:", its base64 and ".". It allocates
// nothing when dst has room for ArmoredLen(len(msg)) more bytes. The two must
// not overlap.
func AppendArmor(dst, msg []byte) []byte {
	n := len(dst)
	size := ArmoredLen(len(msg))
	dst = slices.Grow(dst, size)[:n+size]
	out := dst[n:]
	copy(out, armorStart)
	armor.Encode(out[len(armorStart):size-1], msg)
	out[size-1] = armorEnd
	return dst
}

// AppendDearmored finds the encoded message in line, with or without text around it, and
// appends its bytes. It returns ErrNotEncoded if Classify finds no encoded message in the
// line, and ErrArmor unless everything between "?OTR:" and "." is canonical base64: padded,
// without white space, and without unused bits that are set. After an error dst is returned
// unchanged. It allocates nothing when dst has room for the message. The two must not
// overlap.
func AppendDearmored(dst, line []byte) ([]byte, error) {
	kind, at := find(line)
	if kind != KindEncoded {
		return dst, ErrNotEncoded
	}
	text := line[at+len(armorStart):]
	end := bytes.IndexByte(text, armorEnd)
	if end < 0 || end%4 != 0 {
		return dst, ErrArmor
	}
	text = text[:end]
	size := decodedLen(text)
	n := len(dst)
	out := slices.Grow(dst, size)[:n+size]
	// The decoder may skip line ends. They take the place of characters, so they show in the
	// length of the result.
	got, err := armor.Decode(out[n:], text)
	if err != nil || got != size {
		return dst, ErrArmor
	}
	return out, nil
}

// decodedLen returns how many bytes text decodes to if it is canonical base64,
// whose length is a multiple of four.
func decodedLen(text []byte) int {
	size := len(text) / 4 * 3
	for n := len(text); n > len(text)-2 && n > 0 && text[n-1] == '='; n-- {
		size--
	}
	return size
}
