// Package group implements the arithmetic of OTR's groups: the 1536-bit MODP group of
// versions 2 and 3, the 3072-bit MODP group of version 4 (RFC 3526, sections 2 and 4), and
// Ed448-Goldilocks (RFC 8032), with the hash function from which version 4 derives scalars.
//
// Elements and exponents of the MODP groups are unsigned big-endian byte strings; Ed448 has
// types for them. Secrets (exponents, and elements raised to them) are only used by
// constant-time code: its time depends on lengths, never on values. Functions for public
// values only say so in their comments. Intermediate values are cleared as far as possible;
// the scratch space of the arithmetic library, and copies that the Go runtime makes of a
// stack, cannot be reached.
package group

import (
	"bytes"
	"encoding/hex"
	"errors"
	"sync"

	"filippo.io/bigmod"
)

var (
	// ErrElement reports a number that is not an element of the group.
	ErrElement = errors.New("group: not an element of the group")
	// ErrScalar reports an exponent that is not in 1…q−1.
	ErrScalar = errors.New("group: not a valid exponent")
)

// MODP is the group of the numbers modulo a safe prime p, with the generator 2 of its
// subgroup of prime order q = (p−1)/2. Several goroutines may use it at the same time.
type MODP struct {
	p, q  *bigmod.Modulus
	field *montgomery // powers and products modulo p
	top   []byte      // p − 2, the greatest number that Check accepts
	two   fixedBase
}

// MODP1536 returns the group of versions 2 and 3: RFC 3526, section 2.
func MODP1536() *MODP {
	return modp1536()
}

var modp1536 = sync.OnceValue(func() *MODP {
	return newMODP("" +
		"FFFFFFFFFFFFFFFFC90FDAA22168C234C4C6628B80DC1CD1" +
		"29024E088A67CC74020BBEA63B139B22514A08798E3404DD" +
		"EF9519B3CD3A431B302B0A6DF25F14374FE1356D6D51C245" +
		"E485B576625E7EC6F44C42E9A637ED6B0BFF5CB6F406B7ED" +
		"EE386BFB5A899FA5AE9F24117C4B1FE649286651ECE45B3D" +
		"C2007CB8A163BF0598DA48361C55D39A69163FA8FD24CF5F" +
		"83655D23DCA3AD961C62F356208552BB9ED529077096966D" +
		"670C354E4ABC9804F1746C08CA237327FFFFFFFFFFFFFFFF")
})

// newMODP returns the group of the safe prime whose hexadecimal digits are
// given. Its lowest byte is above 2.
func newMODP(prime string) *MODP {
	p, err := hex.DecodeString(prime)
	if err != nil {
		panic("group: " + err.Error())
	}
	half := make([]byte, len(p)) // (p − 1) / 2: p is odd, so a shift does it
	for i := range p {
		half[i] = p[i] >> 1
		if i > 0 {
			half[i] |= p[i-1] << 7
		}
	}
	g := &MODP{top: bytes.Clone(p)}
	g.top[len(g.top)-1] -= 2
	if g.p, err = bigmod.NewModulus(p); err != nil {
		panic("group: " + err.Error())
	}
	if g.q, err = bigmod.NewModulus(half); err != nil {
		panic("group: " + err.Error())
	}
	g.field = newMontgomery(p)
	g.two.m = g.field
	return g
}

// Len returns the length of p in bytes. All returned elements and scalars have this length.
func (g *MODP) Len() int {
	return g.p.Size()
}

// Check returns ErrElement unless 2 ≤ y ≤ p−2, as both specifications require for every
// number from a peer. y is public; it may have any length.
func (g *MODP) Check(y []byte) error {
	y = bytes.TrimLeft(y, "\x00")
	switch {
	case len(y) == 0 || len(y) == 1 && y[0] == 1:
		return ErrElement
	case len(y) > len(g.top) || len(y) == len(g.top) && bytes.Compare(y, g.top) > 0:
		return ErrElement
	}
	return nil
}

// CheckScalar returns ErrScalar unless 1 ≤ x < q. x is public; it may have any
// length.
func (g *MODP) CheckScalar(x []byte) error {
	n, err := bigmod.NewNat().SetBytes(bytes.TrimLeft(x, "\x00"), g.q)
	if err != nil || n.IsZero() == 1 {
		return ErrScalar
	}
	return nil
}

// Exp returns y^x modulo p in Len bytes, or ErrElement if y is not in 1…p−1. x may have any
// length, and the time depends only on that length.
func (g *MODP) Exp(y, x []byte) ([]byte, error) {
	var t product
	defer clear(t[:])
	var z element
	if err := g.enter(&z, y, &t); err != nil {
		return nil, err
	}
	g.field.exp(&z, x)
	return g.field.bytes(&z, &t), nil
}

// ExpBase returns 2^x modulo p in Len bytes. x may have any length, and the time depends only
// on that length.
func (g *MODP) ExpBase(x []byte) []byte {
	var t product
	defer clear(t[:])
	var z element
	g.two.exp(&z, x, &t)
	return g.field.bytes(&z, &t)
}

// Mul returns a·b modulo p in Len bytes, or ErrElement unless both are in 1…p−1.
func (g *MODP) Mul(a, b []byte) ([]byte, error) {
	var t product
	defer clear(t[:])
	var x, y element
	if err := g.enter(&x, a, &t); err != nil {
		return nil, err
	}
	if err := g.enter(&y, b, &t); err != nil {
		return nil, err
	}
	g.field.mul(&x, &x, &y, &t)
	clear(y[:])
	return g.field.bytes(&x, &t), nil
}

// Div returns a/b modulo p in Len bytes, or ErrElement unless both are in 1…p−1. The time
// depends on b, which must be public. It is for SMP, where both numbers were sent to the peer
// or came from it.
func (g *MODP) Div(a, b []byte) ([]byte, error) {
	x, err := g.element(a)
	if err != nil {
		return nil, err
	}
	y, err := g.element(b)
	if err != nil {
		return nil, err
	}
	inverse, ok := bigmod.NewNat().InverseVarTime(y, g.p)
	if !ok {
		return nil, ErrElement
	}
	return g.take(x.Mul(inverse, g.p)), nil
}

// ReduceScalar returns x modulo q in Len bytes. x may have any length.
func (g *MODP) ReduceScalar(x []byte) []byte {
	return g.takeScalar(Reduce(x, g.q))
}

// MulSub returns r − a·c modulo q in Len bytes. The operands may have any
// length and need not be reduced.
func (g *MODP) MulSub(r, a, c []byte) []byte {
	x := Reduce(r, g.q)
	y := Reduce(a, g.q)
	z := Reduce(c, g.q)
	x.Sub(y.Mul(z, g.q), g.q)
	clear(y.Bits())
	clear(z.Bits())
	return g.takeScalar(x)
}

// enter sets z to y in the field's internal form, or returns an error unless y is in 1…p−1.
// Whether it is in that range is public.
func (g *MODP) enter(z *element, y []byte, t *product) error {
	n, err := g.element(y)
	if err != nil {
		return err
	}
	b := g.take(n)
	z.setBytes(b)
	clear(b)
	g.field.enter(z, t)
	return nil
}

// element returns y as a number modulo p, if it is in 1…p−1.
func (g *MODP) element(y []byte) (*bigmod.Nat, error) {
	// Leading zeros may make it longer than p.
	for len(y) > g.Len() && y[0] == 0 {
		y = y[1:]
	}
	n, err := bigmod.NewNat().SetBytes(y, g.p)
	if err != nil || n.IsZero() == 1 {
		return nil, ErrElement
	}
	return n, nil
}

// take returns the bytes of n, and clears n.
func (g *MODP) take(n *bigmod.Nat) []byte {
	b := n.Bytes(g.p)
	clear(n.Bits())
	return b
}

// takeScalar is like take, for a number modulo q, which may be one byte shorter.
func (g *MODP) takeScalar(n *bigmod.Nat) []byte {
	return g.take(n.ExpandFor(g.p))
}
