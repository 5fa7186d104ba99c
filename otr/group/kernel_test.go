package group

import (
	"bytes"
	"encoding/binary"
	"math/big"
	"math/rand/v2"
	"strconv"
	"testing"
)

// kernels are the moduli of the groups, and others of every length, by name.
func kernels() map[string]*montgomery {
	m := map[string]*montgomery{"1536": MODP1536().field, "3072": MODP3072().field}
	rng := rand.NewChaCha8([32]byte{1})
	for _, bits := range []int{2, 512, 1000, 1024, 2048, 3071} {
		p := randomBig(rng, bits)
		m["any of "+strconv.Itoa(bits)] = NewModulus(p.SetBit(p.SetBit(p, bits-1, 1), 0, 1)).field
	}
	return m
}

func toBig(limbs []uint64) *big.Int {
	b := make([]byte, 8*len(limbs))
	for i, l := range limbs {
		binary.BigEndian.PutUint64(b[len(b)-8*(i+1):], l)
	}
	return new(big.Int).SetBytes(b)
}

// elements returns numbers below R that carries go wrong with, and random ones.
func elements(m *montgomery, random int) []element {
	var list []element
	add := func(f func(i int) uint64) {
		var e element
		for i := range m.n {
			e[i] = f(i)
		}
		list = append(list, e)
	}
	add(func(int) uint64 { return 0 })
	add(func(int) uint64 { return ^uint64(0) })
	add(func(i int) uint64 { return m.p[i] })
	for _, d := range []uint64{1, 2} {
		add(func(i int) uint64 {
			if i == 0 {
				return d
			}
			return 0
		})
		add(func(i int) uint64 {
			if i == 0 {
				return m.p[0] - d
			}
			return m.p[i]
		})
	}
	add(func(i int) uint64 { return -(uint64(i) & 1) })
	add(func(i int) uint64 { return -(uint64(i) / 8 & 1) })
	add(func(i int) uint64 { return -(uint64(i+1) / uint64(m.n)) })
	rng := rand.New(rand.NewPCG(1, 2))
	for i := range random {
		sparse := i%2 == 1
		add(func(int) uint64 {
			if sparse && rng.IntN(2) == 0 {
				return -(rng.Uint64() & 1)
			}
			return rng.Uint64()
		})
	}
	return list
}

// checkKernel compares everything that the kernel does with two elements with package
// math/big, and the kernel in use with the one in Go.
func checkKernel(t *testing.T, m *montgomery, a, b element) {
	t.Helper()
	p := toBig(m.p[:m.n])
	r := new(big.Int).Lsh(big.NewInt(1), uint(64*m.n))

	var fast, slow product
	multiply(&fast, &a, &b, m.n)
	multiplyGo(&slow, &a, &b, m.n)
	want := new(big.Int).Mul(toBig(a[:m.n]), toBig(b[:m.n]))
	if got := toBig(fast[:2*m.n]); got.Cmp(want) != 0 || fast != slow {
		t.Fatalf("%x · %x = %x, in Go %x, want %x", a, b, got, toBig(slow[:2*m.n]), want)
	}
	sum := fast

	for i := range fast { // the square overwrites what was there
		fast[i], slow[i] = ^uint64(0), 5
	}
	square(&fast, &a, m.n)
	squareGo(&slow, &a, m.n)
	squared := new(big.Int).Mul(toBig(a[:m.n]), toBig(a[:m.n]))
	if got := toBig(fast[:2*m.n]); got.Cmp(squared) != 0 || toBig(slow[:2*m.n]).Cmp(squared) != 0 {
		t.Fatalf("%x² = %x, in Go %x, want %x", a, got, toBig(slow[:2*m.n]), squared)
	}

	var z, zGo element
	copySum := sum
	reduce(&z, &sum, &m.p, m.inverse, m.n)
	reduceGo(&zGo, &copySum, &m.p, m.inverse, m.n)
	if z != zGo {
		t.Fatalf("%x/R is %x, in Go %x", want, z, zGo)
	}
	back := new(big.Int).Mul(toBig(z[:m.n]), r)
	if back.Sub(back, want).Mod(back, p).Sign() != 0 {
		t.Fatalf("%x/R is not %x", want, z)
	}
}

func TestTheKernelAgreesWithMathBig(t *testing.T) {
	for name, m := range kernels() {
		t.Run(name, func(t *testing.T) {
			list := elements(m, 40)
			for i, a := range list {
				for j, b := range list {
					if i < 12 || j < 12 || (i+j)%7 == 0 {
						checkKernel(t, m, a, b)
					}
				}
			}
		})
	}
}

func TestReducedNumbersAreBelowThePrime(t *testing.T) {
	for name, m := range kernels() {
		t.Run(name, func(t *testing.T) {
			p := toBig(m.p[:m.n])
			for _, a := range elements(m, 20) {
				want := new(big.Int).Mod(toBig(a[:m.n]), p).FillBytes(make([]byte, 8*m.n))
				var w product
				m.enter(&a, &w)
				if got := m.bytes(&a, &w); !bytes.Equal(got, want) {
					t.Errorf("there and back: %x, want %x", got, want)
				}
			}
		})
	}
}

func TestEveryEntryOfATableIsChosen(t *testing.T) {
	for name, m := range kernels() {
		t.Run(name, func(t *testing.T) {
			for _, entries := range []int{1, 2, 32} {
				table := make([]uint64, entries*m.n)
				for i := range table {
					table[i] = uint64(i)*0x9e3779b97f4a7c15 + 1
				}
				for choice := range entries {
					var z, zGo element
					choose(&z, table, m.n, entries, uint64(choice))
					chooseGo(&zGo, table, m.n, entries, uint64(choice))
					if z != zGo || toBig(z[:m.n]).Cmp(toBig(table[choice*m.n:][:m.n])) != 0 {
						t.Errorf("entry %d of %d is %x, in Go %x", choice, entries, z, zGo)
					}
				}
			}
		})
	}
}

// FuzzKernel compares the kernel with math/big, and assembly with Go.
func FuzzKernel(f *testing.F) {
	f.Add([]byte{}, []byte{1})
	f.Add(bytes.Repeat([]byte{0xff}, 384), bytes.Repeat([]byte{0xff}, 384))
	f.Add(bytes.Repeat([]byte{0xff}, 192), bytes.Repeat([]byte{0x80, 0}, 192))
	f.Fuzz(func(t *testing.T, x, y []byte) {
		for _, m := range kernels() {
			var a, b element
			a.setBytes(x[:min(len(x), 8*m.n)])
			b.setBytes(y[:min(len(y), 8*m.n)])
			checkKernel(t, m, a, b)
		}
	})
}

// FuzzPowers3072 compares both ways to a power with math/big.
func FuzzPowers3072(f *testing.F) {
	g := MODP3072()
	p, _ := prime(g)
	f.Add([]byte{2}, []byte{})
	f.Add(bytes.Repeat([]byte{0x7f}, 384), bytes.Repeat([]byte{0xff}, 80))
	f.Fuzz(func(t *testing.T, y, x []byte) {
		y, x = y[:min(len(y), 384)], x[:min(len(x), 90)]
		want := new(big.Int).Exp(two, new(big.Int).SetBytes(x), p).FillBytes(make([]byte, 384))
		if got := g.ExpBase(x); !bytes.Equal(got, want) {
			t.Errorf("2^%x = %x, want %x", x, got, want)
		}
		base := new(big.Int).SetBytes(y)
		got, err := g.Exp(y, x)
		if valid := base.Sign() > 0 && base.Cmp(p) < 0; valid != (err == nil) {
			t.Fatalf("Exp of %x: %v", y, err)
		} else if valid {
			want := base.Exp(base, new(big.Int).SetBytes(x), p).FillBytes(make([]byte, 384))
			if !bytes.Equal(got, want) {
				t.Errorf("%x^%x = %x, want %x", y, x, got, want)
			}
		}
	})
}

func BenchmarkKernel(b *testing.B) {
	for name, m := range kernels() {
		x := elements(m, 1)[9]
		var t product
		b.Run(name+"/mul", func(b *testing.B) {
			for b.Loop() {
				m.mul(&x, &x, &m.rr, &t)
			}
		})
		b.Run(name+"/square", func(b *testing.B) {
			for b.Loop() {
				m.square(&x, &x, &t)
			}
		})
		table := make([]uint64, 32*m.n)
		b.Run(name+"/choose", func(b *testing.B) {
			for b.Loop() {
				choose(&x, table, m.n, 32, 7)
			}
		})
	}
}
