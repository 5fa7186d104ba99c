package group

import (
	"fmt"
	"math/big"
	"math/rand/v2"
	"testing"

	"otrpipe/testscripts/slowtest"
)

// bigPowers is what Powers must return.
func bigPowers(p *big.Int, bases, exponents []*big.Int) *big.Int {
	product := big.NewInt(1)
	for i := range bases {
		product.Mul(product, new(big.Int).Exp(bases[i], exponents[i], p))
	}
	return product.Mod(product, p)
}

func randomBig(r *rand.ChaCha8, bits int) *big.Int {
	b := make([]byte, (bits+7)/8)
	r.Read(b)
	n := new(big.Int).SetBytes(b)
	return n.Rsh(n, uint(len(b)*8-bits))
}

func TestPowersModuloAnyOddNumberAreThoseOfMathBig(t *testing.T) {
	slowtest.SkipShort(t)
	r := rand.NewChaCha8([32]byte{9})
	for _, bits := range []int{2, 64, 65, 160, 1023, 1024, 1407, 1408, 1536, 2048, 3071, 3072, 3073} {
		t.Run(fmt.Sprint(bits), func(t *testing.T) {
			p := randomBig(r, bits)
			p.SetBit(p.SetBit(p, bits-1, 1), 0, 1)
			m := NewModulus(p)
			if (m.field != nil) != (bits <= 3072) {
				t.Fatalf("a modulus of %d bits: the kernel is used: %v", bits, m.field != nil)
			}
			for range 20 {
				var bases, exponents []*big.Int
				for range r.Uint64() % 4 {
					bases = append(bases, randomBig(r, int(r.Uint64()%uint64(bits+70))+1))
					exponents = append(exponents, randomBig(r, int(r.Uint64()%200)+1))
				}
				if got, want := m.Powers(bases, exponents), bigPowers(p, bases, exponents); got.Cmp(want) != 0 {
					t.Fatalf("modulo %x: %x to %x is %x, not %x", p, bases, exponents, got, want)
				}
			}
			for _, base := range []*big.Int{new(big.Int), big.NewInt(1), new(big.Int).Sub(p, big.NewInt(1)), p} {
				for _, x := range []*big.Int{new(big.Int), big.NewInt(1), big.NewInt(2), big.NewInt(16)} {
					b, e := []*big.Int{base}, []*big.Int{x}
					if got, want := m.Powers(b, e), bigPowers(p, b, e); got.Cmp(want) != 0 {
						t.Fatalf("modulo %x: %x to %x is %x, not %x", p, base, x, got, want)
					}
				}
			}
		})
	}
}

func FuzzModulus(f *testing.F) {
	f.Add([]byte{7}, []byte{3}, []byte{5}, []byte{2}, []byte{9})
	f.Fuzz(func(t *testing.T, modulus, a, x, b, y []byte) {
		const most = 200
		if len(modulus) > 400 || len(a) > most || len(b) > most || len(x) > most || len(y) > most {
			return
		}
		p := new(big.Int).SetBytes(modulus)
		if p.SetBit(p, 0, 1); p.BitLen() < 2 {
			return
		}
		bases := []*big.Int{new(big.Int).SetBytes(a), new(big.Int).SetBytes(b)}
		exponents := []*big.Int{new(big.Int).SetBytes(x), new(big.Int).SetBytes(y)}
		if got, want := NewModulus(p).Powers(bases, exponents), bigPowers(p, bases, exponents); got.Cmp(want) != 0 {
			t.Fatalf("got %x, not %x", got, want)
		}
	})
}
