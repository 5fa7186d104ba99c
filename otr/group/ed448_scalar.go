package group

import (
	"crypto/sha3"
	"crypto/subtle"
	"errors"
	"fmt"
	"io"

	"github.com/cloudflare/circl/ecc/goldilocks"
)

// ScalarLen is the length of a SCALAR in bytes, little-endian. The order q has 446
// bits; the last byte of a reduced scalar is always 0.
const ScalarLen = 57

// ErrEd448Scalar reports bytes that are not a SCALAR: not 57 bytes, or a number of q or more.
var ErrEd448Scalar = errors.New("group: not a scalar modulo q")

// A Scalar is a number modulo q, the order of Ed448's base point. Its arithmetic is constant
// time. Most scalars are secret, so a Scalar prints as a placeholder, and Wipe clears it.
type Scalar struct{ s goldilocks.Scalar }

// ParseScalar decodes a SCALAR: 57 bytes, little-endian. A number of q or more is rejected
// with ErrEd448Scalar, so that a scalar has only one encoding. The scalars in messages are
// public, so the comparison is not constant time.
func ParseScalar(b []byte) (Scalar, error) {
	if len(b) != ScalarLen || b[ScalarLen-1] != 0 {
		return Scalar{}, ErrEd448Scalar
	}
	order := goldilocks.Curve{}.Order()
	for i := len(order) - 1; i >= 0; i-- {
		switch {
		case b[i] < order[i]:
			var k Scalar
			copy(k.s[:], b)
			return k, nil
		case b[i] > order[i]:
			return Scalar{}, ErrEd448Scalar
		}
	}
	return Scalar{}, ErrEd448Scalar // q itself
}

// ReduceScalar returns b, a little-endian number of any length, modulo q.
func ReduceScalar(b []byte) Scalar {
	var k Scalar
	k.s.FromBytes(b)
	return k
}

// PruneScalar makes a secret scalar from 57 hashed bytes: it clears the two lowest bits and
// the last byte, sets the highest bit of the second to last byte, and reduces the result
// modulo q (version 4, "Considerations while working with elliptic curve parameters"). b is
// not changed; it must be 57 bytes.
func PruneScalar(b []byte) Scalar {
	var h [ScalarLen]byte
	copy(h[:], b[:ScalarLen])
	h[0] &= 0xfc
	h[55] |= 0x80
	h[56] = 0
	k := ReduceScalar(h[:])
	clear(h[:])
	return k
}

// ScalarFromSeed derives a secret scalar from 57 random bytes: the first 57 bytes of
// SHAKE-256(seed), pruned. Ephemeral keys, long-term keys and random values "in Z_q" are all
// made in this way: the first 57 bytes of an output of 114 bytes are the same as an output of
// 57 bytes.
func ScalarFromSeed(seed []byte) Scalar {
	var hash sha3.SHAKE
	var h [ScalarLen]byte
	hash.Write(seed)
	hash.Read(h[:])
	k := PruneScalar(h[:])
	clear(h[:])
	return k
}

// DrawScalar reads 57 bytes from rand and derives a secret scalar from them.
func DrawScalar(rand io.Reader) (Scalar, error) {
	var seed [ScalarLen]byte
	defer clear(seed[:])
	if _, err := io.ReadFull(rand, seed[:]); err != nil {
		return Scalar{}, fmt.Errorf("group: drawing a scalar: %w", err)
	}
	return ScalarFromSeed(seed[:]), nil
}

// Append appends the SCALAR encoding, ScalarLen bytes.
func (k Scalar) Append(b []byte) []byte {
	b = append(b, k.s[:]...)
	return append(b, 0)
}

// Add returns k + m modulo q.
func (k Scalar) Add(m Scalar) Scalar {
	var r Scalar
	r.s.Add(&k.s, &m.s)
	return r
}

// Sub returns k − m modulo q.
func (k Scalar) Sub(m Scalar) Scalar {
	var r Scalar
	r.s.Sub(&k.s, &m.s)
	return r
}

// Mul returns k·m modulo q.
func (k Scalar) Mul(m Scalar) Scalar {
	var r Scalar
	r.s.Mul(&k.s, &m.s)
	return r
}

// Equal reports whether k and m are the same number, in constant time.
func (k Scalar) Equal(m Scalar) bool {
	return subtle.ConstantTimeCompare(k.s[:], m.s[:]) == 1
}

// SelectScalar returns a if choice is 1 and b if it is 0, in constant time. No other
// choice is allowed.
func SelectScalar(choice int, a, b Scalar) Scalar {
	subtle.ConstantTimeCopy(choice, b.s[:], a.s[:])
	return b
}

// Wipe sets k to 0.
func (k *Scalar) Wipe() { clear(k.s[:]) }

// Format prints a placeholder for every verb: most scalars are secret.
func (Scalar) Format(f fmt.State, _ rune) { io.WriteString(f, "group.Scalar(…)") }

// AppendOrder appends q encoded as a SCALAR, although it is not reduced.
func AppendOrder(b []byte) []byte {
	order := goldilocks.Curve{}.Order()
	b = append(b, order[:]...)
	return append(b, 0)
}
