package group

import (
	"encoding/binary"
	"math"
	"math/rand/v2"
	"testing"

	"otrpipe/testscripts/slowtest"
	"otrpipe/testscripts/timing"
)

// timedFunctions are the parts of the kernel, the choice from a table and both powers.
func timedFunctions(name string, g *MODP) []timing.Function {
	m := g.field
	var x, z element
	var t, sum product
	table := make([]uint64, 32*m.n)
	for i := range table {
		table[i] = uint64(i) * 0x9e3779b97f4a7c15
	}
	choice, exponent := make([]uint64, 1), make([]uint64, 10)
	secret := func() []byte {
		var b [80]byte
		for i, limb := range exponent {
			binary.BigEndian.PutUint64(b[8*i:], limb)
		}
		return b[:]
	}
	y := g.ExpBase([]byte{1, 2, 3, 4, 5})
	// The greatest sum needs the last subtraction, most do not.
	greatest := func(in []uint64, fixed bool, rng *rand.Rand) {
		for i := range in {
			if in[i] = rng.Uint64(); fixed {
				in[i] = math.MaxUint64
			}
		}
	}
	return []timing.Function{
		{Name: name + ", product", Input: x[:m.n], Draw: timing.Zeros, Run: func() { m.mul(&z, &x, &m.rr, &t) }},
		{Name: name + ", square", Input: x[:m.n], Draw: timing.Zeros, Run: func() { m.square(&z, &x, &t) }},
		{Name: name + ", reduction", Input: sum[:2*m.n], Draw: greatest, Run: func() { reduce(&z, &sum, &m.p, m.inverse, m.n) }},
		{Name: name + ", choice from a table", Input: choice, Draw: timing.Below(32), Run: func() { choose(&z, table, m.n, 32, choice[0]) }},
		{Name: name + ", power of 2", Input: exponent, Draw: timing.Zeros, Run: func() { g.ExpBase(secret()) }},
		{Name: name + ", power", Input: exponent, Draw: timing.Zeros, Run: func() { g.Exp(y, secret()) }},
	}
}

func TestTimingDoesNotDependOnSecrets(t *testing.T) {
	slowtest.Skip(t)
	for name, g := range map[string]*MODP{"1536 bits": MODP1536(), "3072 bits": MODP3072()} {
		timing.Check(t, timedFunctions(name, g)...)
	}
	timing.Check(t, timedCurve()...)
}

// timedCurve are the operations of Ed448 whose scalar or point is secret.
func timedCurve() []timing.Function {
	in := make([]uint64, 8)
	seed := func() []byte {
		var b [64]byte
		for i, limb := range in {
			binary.LittleEndian.PutUint64(b[8*i:], limb)
		}
		return b[:57]
	}
	point := MulBase(ScalarFromSeed(make([]byte, 57)))
	return []timing.Function{
		{Name: "Ed448, scalar of a seed", Input: in, Draw: timing.Zeros, Run: func() { ScalarFromSeed(seed()) }},
		{Name: "Ed448, reduction of a scalar", Input: in, Draw: timing.Zeros, Run: func() { ReduceScalar(seed()) }},
		{Name: "Ed448, multiple of the base", Input: in, Draw: timing.Zeros, Run: func() { MulBase(ReduceScalar(seed())) }},
		{Name: "Ed448, multiple of a point", Input: in, Draw: timing.Zeros, Run: func() { point.Mul(ReduceScalar(seed())) }},
	}
}

// What the test above is able to see, at the least: a choice that stops where it has found
// the entry.
func TestTimingShowsALeak(t *testing.T) {
	table := make([]uint64, 32*maxLimbs)
	choice := make([]uint64, 1)
	var z element
	f := timing.Function{Name: "a choice that stops early", Input: choice, Draw: timing.Below(32), Run: func() {
		for e := range choice[0] + 1 {
			for i := range z {
				z[i] |= table[maxLimbs*e+uint64(i)]
			}
		}
	}}
	got, n := f.Measure(timing.Duration(t))
	t.Logf("%s: t = %.1f, %d measurements", f.Name, got, n)
	if math.Abs(got) < timing.Leak {
		t.Errorf("%s: its leak is not seen", f.Name)
	}
}
