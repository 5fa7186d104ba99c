package torture

import (
	"bytes"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
)

// A fault is what a wire does to the lines of one direction. Each number is the chance that it
// happens to a line.
type fault struct {
	lose, double, swap, change, replay, cut float64
	from                                    int // the first line that it happens to
}

// someFault is a random fault: each kind is there in every second, from one line in five to one
// in two hundred.
func someFault(random *rand.Rand) (f fault) {
	for _, chance := range []*float64{&f.lose, &f.double, &f.swap, &f.change, &f.replay, &f.cut} {
		if random.IntN(2) == 0 {
			*chance = 1 / float64(5+random.IntN(200))
		}
	}
	// Half of the wires are good until a session stands.
	if random.IntN(2) == 0 {
		f.from = 6
	}
	return f
}

// tamper does to lines what the fault says.
func (f fault) tamper(random *rand.Rand) func(line []byte) ([][]byte, bool) {
	var held []byte    // a line that comes after the next one
	var seen [][]byte  // some earlier lines
	const remember = 8 // of them
	number := 0
	happens := func(chance float64) bool { return random.Float64() < chance }
	return func(line []byte) (lines [][]byte, ok bool) {
		number++
		line = bytes.Clone(line)
		if number <= f.from {
			return [][]byte{line}, true
		}
		if len(seen) == remember {
			seen = seen[1:]
		}
		seen = append(seen, line)
		if happens(f.change) {
			line = bytes.Clone(line)
			for range 1 + random.IntN(3) {
				line[random.IntN(len(line))] ^= 1 << random.IntN(8)
			}
		}
		switch {
		case happens(f.cut):
			return [][]byte{line[:random.IntN(len(line))]}, false
		case happens(f.lose):
		case held == nil && happens(f.swap):
			held = line
			return nil, true
		default:
			lines = append(lines, line)
		}
		if happens(f.double) {
			lines = append(lines, line)
		}
		if held != nil {
			lines = append(lines, held)
			held = nil
		}
		if happens(f.replay) {
			lines = append(lines, seen[random.IntN(len(seen))])
		}
		return lines, true
	}
}

// TestBadWiresChangeNothingThatIsDelivered lets two programs talk over wires that lose, double,
// swap, change and replay lines, and are cut. What arrives is exact, or the program fails.
func TestBadWiresChangeNothingThatIsDelivered(t *testing.T) {
	t.Parallel()
	for _, mode := range []string{"stream", "lines"} {
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			var mu sync.Mutex
			codes := make(map[int]int)
			rounds(t, 2, func(n int, random *rand.Rand) {
				faults := [2]fault{someFault(random), someFault(random)}
				limits := []string{"--timeout", "10s", "--heartbeat", "500ms", "--dead", "6s", "--drain", "6s"}
				if n == 0 {
					// The first wire is a good one, and there is time.
					faults, limits = [2]fault{}, nil
				}
				choices := [2]*rand.Rand{rand.New(rand.NewPCG(random.Uint64(), 0)), rand.New(rand.NewPCG(random.Uint64(), 1))}
				relay := newRelay(t)
				relay.tamper = func(from int) func([]byte) ([][]byte, bool) { return faults[from].tamper(choices[from]) }
				addresses := relay.join()
				// Two versions of the protocol, and both sizes of lines.
				flags := append(limits, "--mode", mode, "--otr", []string{"3", "4", "34"}[random.IntN(3)])
				if random.IntN(3) == 0 {
					flags = append(flags, "--max-size", "400")
				}
				var ends [2]*process
				var sent [2][]byte
				for i, name := range []string{"alice", "bob"} {
					sent[i] = payload(random, 64*random.IntN(500))
					w.write("sent-"+name, sent[i])
					args := append([]string{"connect", "-i", name, "--tcp", addresses[i]}, flags...)
					ends[i] = w.start(name, w.from("sent-"+name, w.command(args...)))
				}
				for _, end := range ends {
					end.finish()
				}
				relay.check(n == 0)
				mu.Lock()
				defer mu.Unlock()
				for i, end := range ends {
					codes[end.code]++
					if mode == "stream" {
						w.partOf(end.describe(), end.code, end.output(), sent[1-i])
					} else {
						w.someLinesOf(end, sent[1-i])
					}
					if !slices.Contains([]int{0, 5, 7}, end.code) || n == 0 && end.code != 0 {
						t.Errorf("%s: this exit code means something else", end.describe())
					}
					if mode == "stream" && end.code == 0 && !bytes.Equal(ends[1-i].output(), sent[i]) {
						t.Errorf("%s: success, although not everything has arrived", end.describe())
					}
				}
				if t.Failed() {
					t.Logf("the faults were %+v; the flags %v", faults, flags)
				}
			})
			t.Logf("exit codes: %v", codes)
		})
	}
}

// someLinesOf checks what has arrived in mode lines: lines that were sent, none twice; and all of
// them if the sender reports success. Lines that came late are out of order.
func (w *world) someLinesOf(end *process, sent []byte) {
	w.t.Helper()
	left := make(map[string]int)
	for line := range strings.Lines(string(sent)) {
		left[strings.TrimSuffix(line, "\n")]++
	}
	for line := range strings.Lines(string(end.output())) {
		line = strings.TrimSuffix(line, "\n")
		if left[line] == 0 {
			w.t.Errorf("%s: a line was not sent, or arrived twice: %q", end.describe(), line)
		}
		left[line]--
	}
}
