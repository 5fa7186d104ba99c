package group

import (
	"encoding/binary"
	"flag"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

// timing is how long each function is measured. A second tells gross leaks from none on a
// busy machine; minutes on a quiet one tell more:
//
//	go test ./otr/group -run Timing -v -timing 2m
var timing = flag.Duration("timing", time.Second/2, "how long TestTiming… measure each function")

// leak is the t value from which on two classes of inputs surely take different times. It
// is the one of Reparaz, Balasch and Verbauwhede, "Dude, is my code constant time?" (2017),
// whose method this is: inputs of two classes, one fixed and one random, are measured in
// random order, and Welch's test tells whether their times have one mean.
const leak = 10

// A timedFunction is measured with inputs of two classes, one fixed and one random.
type timedFunction struct {
	name  string
	input []uint64 // where run finds its input
	draw  func(in []uint64, fixed bool, rng *rand.Rand)
	run   func()
}

// measure returns t, and how many measurements that is from.
func (f timedFunction) measure(d time.Duration) (t float64, n int) {
	// The inputs are drawn before, so that nothing around a measurement knows the class.
	const inputs = 256
	rng := rand.New(rand.NewPCG(1, 2))
	var (
		drawn   [inputs][]uint64
		class   [inputs]int
		elapsed [inputs]time.Duration
		times   [2][]float64
	)
	for begun := time.Now(); time.Since(begun) < d || n < 2*inputs; n += inputs {
		for i := range drawn {
			drawn[i] = make([]uint64, len(f.input))
			class[i] = rng.IntN(2)
			f.draw(drawn[i], class[i] == 0, rng)
		}
		for i := range drawn {
			copy(f.input, drawn[i])
			start := time.Now()
			f.run()
			elapsed[i] = time.Since(start)
		}
		for i := range drawn {
			times[class[i]] = append(times[class[i]], float64(elapsed[i]))
		}
	}
	// Interruptions are far longer than what they interrupt. The slowest part is left
	// out, above several thresholds that both classes share, and the greatest t counts.
	all := slices.Sorted(slices.Values(slices.Concat(times[0], times[1])))
	for _, part := range []float64{0.5, 0.75, 0.9, 0.97} {
		limit := all[int(part*float64(len(all)-1))]
		if w := welch(below(times[0], limit), below(times[1], limit)); math.Abs(w) > math.Abs(t) {
			t = w
		}
	}
	return t, n
}

func below(times []float64, limit float64) (kept []float64) {
	for _, x := range times {
		if x <= limit {
			kept = append(kept, x)
		}
	}
	return kept
}

// welch is the t of Welch's test. Two classes that do not vary at all differ or do not.
func welch(a, b []float64) float64 {
	mean := func(x []float64) (m, v float64) {
		for _, y := range x {
			m += y / float64(len(x))
		}
		for _, y := range x {
			v += (y - m) * (y - m) / float64(len(x)-1)
		}
		return m, v / float64(len(x))
	}
	if len(a) < 2 || len(b) < 2 {
		return 0
	}
	ma, va := mean(a)
	mb, vb := mean(b)
	if va+vb == 0 {
		return (ma - mb) * math.MaxInt16
	}
	return (ma - mb) / math.Sqrt(va+vb)
}

// timedFunctions are the parts of the kernel, the choice from a table and both powers.
func timedFunctions(name string, g *MODP) []timedFunction {
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
	zeros := func(in []uint64, fixed bool, rng *rand.Rand) {
		for i := range in {
			if in[i] = rng.Uint64(); fixed {
				in[i] = 0
			}
		}
	}
	// The greatest sum needs the last subtraction, most do not.
	greatest := func(in []uint64, fixed bool, rng *rand.Rand) {
		for i := range in {
			if in[i] = rng.Uint64(); fixed {
				in[i] = math.MaxUint64
			}
		}
	}
	return []timedFunction{
		{name + ", product", x[:m.n], zeros, func() { m.mul(&z, &x, &m.rr, &t) }},
		{name + ", square", x[:m.n], zeros, func() { m.square(&z, &x, &t) }},
		{name + ", reduction", sum[:2*m.n], greatest, func() { reduce(&z, &sum, &m.p, m.inverse, m.n) }},
		{name + ", choice from a table", choice, drawChoice, func() { choose(&z, table, m.n, 32, choice[0]) }},
		{name + ", power of 2", exponent, zeros, func() { g.ExpBase(secret()) }},
		{name + ", power", exponent, zeros, func() { g.Exp(y, secret()) }},
	}
}

func drawChoice(in []uint64, fixed bool, rng *rand.Rand) {
	if in[0] = rng.Uint64N(32); fixed {
		in[0] = 0
	}
}

func TestTimingDoesNotDependOnSecrets(t *testing.T) {
	if testing.Short() && *timing > time.Second/5 {
		*timing = time.Second / 5
	}
	for name, g := range map[string]*MODP{"1536 bits": MODP1536(), "3072 bits": MODP3072()} {
		for _, f := range timedFunctions(name, g) {
			got, n := f.measure(*timing)
			for try := 0; math.Abs(got) >= leak && try < 3; try++ { // a busy machine; a leak stays
				got, n = f.measure(2 * *timing)
			}
			t.Logf("%s: t = %.1f, %d measurements", f.name, got, n)
			if math.Abs(got) >= leak {
				t.Errorf("%s: its time depends on its input", f.name)
			}
		}
	}
}

// What the test above is able to see, at the least: a choice that stops where it has found
// the entry.
func TestTimingShowsALeak(t *testing.T) {
	table := make([]uint64, 32*maxLimbs)
	choice := make([]uint64, 1)
	var z element
	f := timedFunction{"a choice that stops early", choice, drawChoice, func() {
		for e := range choice[0] + 1 {
			for i := range z {
				z[i] |= table[maxLimbs*e+uint64(i)]
			}
		}
	}}
	got, n := f.measure(*timing)
	t.Logf("%s: t = %.1f, %d measurements", f.name, got, n)
	if math.Abs(got) < leak {
		t.Errorf("%s: its leak is not seen", f.name)
	}
}
