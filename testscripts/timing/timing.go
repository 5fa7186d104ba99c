// Package timing tests statistically whether the time that a function takes depends on its
// input, by the method of Reparaz, Balasch and Verbauwhede, "Dude, is my code constant
// time?" (2017): inputs of two classes, one fixed and one random, are measured in random
// order, and Welch's test tells whether their times have one mean.
//
// Half a second for each function tells gross leaks from none on a busy machine; minutes on a
// quiet one tell more: go test ./otr/group -run Timing -v -timing 2m. With -short nothing is
// measured.
package timing

import (
	"flag"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

// duration is how long each function is measured.
var duration = flag.Duration("timing", time.Second/2, "how long tests of timing measure each function")

// Leak is the t value from which on two classes of inputs surely take different times.
const Leak = 10

// A Function is measured with inputs of two classes, one fixed and one random.
type Function struct {
	Name  string
	Input []uint64 // where Run finds its input
	Draw  func(in []uint64, fixed bool, rng *rand.Rand)
	Run   func()
}

// Duration returns how long each function is measured. With -short it skips the test: what a
// machine shows that does other things at the same time depends on them.
func Duration(t *testing.T) time.Duration {
	t.Helper()
	if testing.Short() {
		t.Skip("short: measures times")
	}
	return *duration
}

// Check fails the test if the time of one of the functions depends on its input.
func Check(t *testing.T, functions ...Function) {
	t.Helper()
	duration := Duration(t)
	for _, f := range functions {
		got, n := f.Measure(duration)
		for try := 0; math.Abs(got) >= Leak && try < 3; try++ { // a busy machine; a leak stays
			got, n = f.Measure(2 * duration)
		}
		t.Logf("%s: t = %.1f, %d measurements", f.Name, got, n)
		if math.Abs(got) >= Leak {
			t.Errorf("%s: its time depends on its input", f.Name)
		}
	}
}

// Measure returns t, and how many measurements that is from.
func (f Function) Measure(d time.Duration) (t float64, n int) {
	// The inputs are drawn before, so that nothing around a measurement knows the class.
	const inputs = 128
	rng := rand.New(rand.NewPCG(1, 2))
	var (
		drawn   [inputs][]uint64
		class   [inputs]int
		elapsed [inputs]time.Duration
		times   [2][]float64
	)
	for begun := time.Now(); time.Since(begun) < d || n < 4*inputs; n += inputs {
		for i := range drawn {
			drawn[i] = make([]uint64, len(f.Input))
			class[i] = rng.IntN(2)
			f.Draw(drawn[i], class[i] == 0, rng)
		}
		for i := range drawn {
			copy(f.Input, drawn[i])
			start := time.Now()
			f.Run()
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

// Zeros draws random numbers, and zeros for the fixed class.
func Zeros(in []uint64, fixed bool, rng *rand.Rand) {
	for i := range in {
		if in[i] = rng.Uint64(); fixed {
			in[i] = 0
		}
	}
}

// Below draws a random number below n, and 0 for the fixed class.
func Below(n uint64) func(in []uint64, fixed bool, rng *rand.Rand) {
	return func(in []uint64, fixed bool, rng *rand.Rand) {
		if in[0] = rng.Uint64N(n); fixed {
			in[0] = 0
		}
	}
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
