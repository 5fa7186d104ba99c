package group

//go:generate go run -C _asm . -out ../montgomery_amd64.s -stubs ../montgomery_amd64.go -pkg group

import (
	"encoding/binary"
	"math/bits"
)

const (
	limbBytes  = 8
	blockLimbs = 8  // the kernel works on blocks of this many limbs
	maxLimbs   = 48 // of the largest modulus, 3072 bits
)

// An element is a number modulo p in Montgomery's form, y·R with R = 2^(64·n) for the n
// limbs of p, lowest first. It is below R, and may be p or more: only bytes reduces it.
// Limbs from n on are not used.
type element [maxLimbs]uint64

// A montgomery implements Montgomery's arithmetic modulo an odd p ("Modular Multiplication
// Without Trial Division", 1985).
//
// The time of all operations depends on the length of p alone.
type montgomery struct {
	n       int // limbs of p, a multiple of blockLimbs
	p       element
	inverse uint64  // −1/p modulo 2^64
	one     element // R modulo p
	rr      element // R² modulo p
}

// A product has room for the product of two elements.
type product [2 * maxLimbs]uint64

// newMontgomery returns the arithmetic modulo p, which is big-endian. The lowest and the
// highest limb of p must be 2^64−1, as those of the primes of RFC 3526 are. Because of the
// lowest limb the inverse is 1, which saves the kernel a multiplication per limb.
func newMontgomery(p []byte) *montgomery {
	m := &montgomery{n: len(p) / limbBytes, inverse: 1}
	if len(p)%(blockLimbs*limbBytes) != 0 || m.n > maxLimbs {
		panic("group: modulus of a length that the kernel does not know")
	}
	m.p.setBytes(p)
	if m.p[0] != ^uint64(0) || m.p[m.n-1] != ^uint64(0) {
		panic("group: modulus of a form that the kernel does not know")
	}
	// R − p is R modulo p: p is above R/2.
	var borrow uint64
	for i := range m.n {
		m.one[i], borrow = bits.Sub64(0, m.p[i], borrow)
	}
	// Doubling it once for each bit of R gives R² modulo p.
	m.rr = m.one
	for range m.n * 64 {
		m.double(&m.rr)
	}
	return m
}

// double sets z to 2z. z must be below p, and is below p afterwards.
func (m *montgomery) double(z *element) {
	var carry uint64
	for i := range m.n {
		z[i], carry = bits.Add64(z[i], z[i], carry)
	}
	m.subtractAbove(z, carry)
}

// subtractAbove subtracts p once if z, with carry above it, is p or more.
func (m *montgomery) subtractAbove(z *element, carry uint64) {
	var d element
	var borrow uint64
	for i := range m.n {
		d[i], borrow = bits.Sub64(z[i], m.p[i], borrow)
	}
	// Without a carry, a borrow says that z was below p.
	keep := -(borrow &^ carry)
	for i := range m.n {
		z[i] = d[i] ^ (d[i]^z[i])&keep
	}
	clear(d[:])
}

// mul sets z to a·b. t is overwritten. z may be a or b.
func (m *montgomery) mul(z, a, b *element, t *product) {
	clear(t[:2*m.n])
	multiply(t, a, b, m.n)
	reduce(z, t, &m.p, m.inverse, m.n)
}

// square sets z to a·a. t is overwritten. z may be a.
func (m *montgomery) square(z, a *element, t *product) {
	square(t, a, m.n)
	reduce(z, t, &m.p, m.inverse, m.n)
}

// enter takes z, any number below R, into Montgomery's form.
func (m *montgomery) enter(z *element, t *product) { m.mul(z, z, &m.rr, t) }

// bytes converts z from Montgomery's form and returns it big-endian, in the length of p. It
// clears z.
func (m *montgomery) bytes(z *element, t *product) []byte {
	clear(t[:])
	copy(t[:], z[:m.n])
	reduce(z, t, &m.p, m.inverse, m.n)
	m.subtractAbove(z, 0)
	b := make([]byte, m.n*limbBytes)
	for i := range m.n {
		binary.BigEndian.PutUint64(b[(m.n-1-i)*limbBytes:], z[i])
	}
	clear(z[:])
	return b
}

// setBytes sets z to a big-endian number of at most maxLimbs limbs.
func (z *element) setBytes(b []byte) {
	clear(z[:])
	for i := 0; len(b) > 0; i++ {
		var limb [limbBytes]byte
		n := min(len(b), limbBytes)
		copy(limb[limbBytes-n:], b[len(b)-n:])
		z[i] = binary.BigEndian.Uint64(limb[:])
		b = b[:len(b)-n]
	}
}

// windowBits is how many bits of an exponent one multiplication consumes. Five is the fastest
// choice for exponents of 640 and of 1536 bits.
const windowBits = 5

// A power is the work space of exp.
type power struct {
	table  [1 << windowBits * maxLimbs]uint64
	chosen element
	t      product
}

// exp sets z to z^x, for a big-endian x. Its time depends only on the length of x.
func (m *montgomery) exp(z *element, x []byte) {
	var w power
	defer func() { w = power{} }()
	// The powers z^0, z^1, … z^31, each n limbs long.
	entry := m.one
	for i := range 1 << windowBits {
		copy(w.table[i*m.n:], entry[:m.n])
		m.mul(&entry, &entry, z, &w.t)
	}
	*z = m.one
	for at := len(x) * 8; at > 0; {
		width := (at-1)%windowBits + 1 // all windows but the highest are full
		at -= width
		if at+width < len(x)*8 {
			for range width {
				m.square(z, z, &w.t)
			}
		}
		choose(&w.chosen, w.table[:], m.n, 1<<windowBits, window(x, at, width))
		m.mul(z, z, &w.chosen, &w.t)
	}
	clear(entry[:])
}

// window returns width bits of x, from bit at on, counted from the lowest bit of its last
// byte.
func window(x []byte, at, width int) uint64 {
	var v uint64
	for i := at / 8; i <= (at+width-1)/8; i++ {
		v |= uint64(x[len(x)-1-i]) << (8 * (i - at/8))
	}
	return v >> (at % 8) & (1<<width - 1)
}
