package group

import (
	"math/big"
)

// A Modulus implements arithmetic modulo an odd number that a peer has chosen, such as the p
// of a DSA key. All its numbers must be public, exponents included, because the time depends
// on them.
type Modulus struct {
	p     *big.Int
	field *montgomery // nil: p is too long for the kernel
}

// NewModulus returns the arithmetic modulo p, which must be odd and above 1.
func NewModulus(p *big.Int) *Modulus {
	const blockBits = blockLimbs * limbBytes * 8
	m := &Modulus{p: new(big.Int).Set(p)}
	if n := (p.BitLen() + blockBits - 1) / blockBits * blockLimbs; n <= maxLimbs {
		m.field = newPublicMontgomery(p, n)
	}
	return m
}

// newPublicMontgomery returns the arithmetic modulo p in n limbs.
func newPublicMontgomery(p *big.Int, n int) *montgomery {
	m := &montgomery{n: n}
	b := make([]byte, n*limbBytes)
	m.p.setBytes(p.FillBytes(b))
	// Newton's method doubles the number of correct bits; an odd number is its own inverse
	// modulo 8.
	inverse := m.p[0]
	for bits := 3; bits < 64; bits *= 2 {
		inverse *= 2 - m.p[0]*inverse
	}
	m.inverse = -inverse
	r := new(big.Int).Lsh(big.NewInt(1), uint(n*limbBytes*8))
	r.Mod(r, p)
	m.one.setBytes(r.FillBytes(b))
	m.rr.setBytes(r.Mod(r.Mul(r, r), p).FillBytes(b))
	return m
}

// Powers returns the product of the bases, each raised to the exponent with the same index,
// modulo p. No number may be negative.
func (m *Modulus) Powers(bases, exponents []*big.Int) *big.Int {
	if m.field == nil {
		product := big.NewInt(1)
		for i, base := range bases {
			product.Mul(product, new(big.Int).Exp(base, exponents[i], m.p))
			product.Mod(product, m.p)
		}
		return product
	}
	var t product
	z := m.field.one
	tables := make([]powersOf, len(bases))
	longest := 0
	for i, base := range bases {
		tables[i].fill(m.field, new(big.Int).Mod(base, m.p), &t)
		longest = max(longest, exponents[i].BitLen())
	}
	// One run of squarings serves all of them.
	for at := (longest - 1) / publicBits * publicBits; at >= 0; at -= publicBits {
		for range publicBits {
			m.field.square(&z, &z, &t)
		}
		for i, x := range exponents {
			if digit := publicWindow(x, at); digit > 0 {
				m.field.mul(&z, &z, &tables[i][digit-1], &t)
			}
		}
	}
	v := new(big.Int).SetBytes(m.field.bytes(&z, &t))
	return v.Mod(v, m.p)
}

// publicBits is how many bits of a public exponent one multiplication consumes.
const publicBits = 4

// powersOf holds a base's powers from the first to the highest that one digit can need.
type powersOf [1<<publicBits - 1]element

func (w *powersOf) fill(f *montgomery, base *big.Int, t *product) {
	w[0].setBytes(base.Bytes())
	f.enter(&w[0], t)
	for i := 1; i < len(w); i++ {
		f.mul(&w[i], &w[i-1], &w[0], t)
	}
}

// publicWindow returns publicBits bits of x, from bit at on.
func publicWindow(x *big.Int, at int) (digit uint) {
	for i := range publicBits {
		digit |= x.Bit(at+i) << i
	}
	return digit
}
