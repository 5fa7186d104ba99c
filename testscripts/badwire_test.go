//go:build unix

package testscripts

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"otrpipe/testscripts/slowtest"
)

// What a hostile or broken wire may do to a stream, done to two real ends. The
// rules: what is delivered is always the beginning of what was sent; 0 says
// that all of it was; anything else is 5, or 7 where no session came to be.

// talk is the length of what each side says in these runs.
var talk = [2]int64{20 * chunk, 8 * chunk}

// versions are those that a wire is tampered with in, by --otr.
var versions = []string{"3", "4"}

// overEachVersion runs a test for every version, with a folder of identities of its own.
func overEachVersion(t *testing.T, test func(t *testing.T, version, home string)) {
	for _, version := range versions {
		t.Run("version "+version, func(t *testing.T) {
			if version == "3" {
				long(t)
			}
			t.Parallel()
			test(t, version, newHome(t))
		})
	}
}

// maxCases returns how many of the possible cases of a table run at most.
func maxCases() int {
	if slowtest.LeftOut() {
		return 45
	}
	return 90
}

// twoEnds have much to say to each other and little time. A lost last line
// shows only by a heartbeat, a lost handshake only by its limit.
func twoEnds(version string) [2]*end {
	return [2]*end{oneEnd(version, alice, handshakeTime), oneEnd(version, bob, handshakeTime)}
}

// handshakeTime is how long a handshake may take. It has to do while several run at once
// on a busy machine, and a message that was lost is sent again after four seconds.
const handshakeTime = "12s"

func oneEnd(version string, s side, timeout string) *end {
	return &end{
		args:  []string{"-i", s.String(), "--timeout", timeout, "--heartbeat", "300ms", "--dead", "4s", "--otr", version},
		input: payload(s, talk[s]),
	}
}

// parts is how many of the cases a test can go through are gone through: all
// of version 4, the one that two otrpipes choose, and every third of version 3,
// since the stream above is the same.
func parts[T any](t *testing.T, version string, cases []T) []T {
	step := 1
	if version == "3" {
		step *= 3
	}
	t.Logf("one in %d of %d cases", step, len(cases))
	var some []T
	for i := 0; i < len(cases); i += step {
		some = append(some, cases[i])
	}
	return some
}

// eachAtOnce runs a function for every case, several at a time: most of them
// wait for a time limit most of the time.
func eachAtOnce[T any](t *testing.T, cases []T, run func(T)) {
	t.Helper()
	slots := make(chan struct{}, 6)
	var all sync.WaitGroup
	for _, one := range cases {
		slots <- struct{}{}
		all.Go(func() {
			run(one)
			<-slots
		})
	}
	all.Wait()
}

// A recording is what went over the wire when nobody touched it.
type recording struct {
	lines [2][][]byte
}

// A touch is one line of one side that a test tampers with. Handshakes that
// cross take more or fewer lines, so whether it was one of a handshake shows
// only when it goes by.
type touch struct {
	from side
	line int

	streams  bool // a message with payload of that side has gone by
	prelude  bool // the line was none behind that: the handshake's, HELLO, or the first
	happened bool
}

// is reports whether this is the line. Every line has to be shown to it.
func (c *touch) is(from side, n int, line []byte) bool {
	if from != c.from {
		return false
	}
	if n == c.line {
		c.happened, c.prelude = true, !c.streams
	}
	if seen, ok := seeData(line); ok && seen.ciphertext >= chunk {
		c.streams = true
	}
	return n == c.line
}

func record(t *testing.T, version, home string) *recording {
	t.Helper()
	var mu sync.Mutex
	seen := &recording{}
	ends := twoEnds(version)
	run(t, &relay{cutAfter: -1, tap: func(from side, passed []byte) {
		mu.Lock()
		defer mu.Unlock()
		seen.lines[from] = append(seen.lines[from], bytes.Clone(passed))
	}}, home, ends)
	for s, e := range ends {
		if e.code != 0 || !bytes.Equal(e.output.Bytes(), ends[1-s].input) {
			t.Fatalf("a wire that nobody touches: %s: %s", side(s), e.describe())
		}
	}
	return seen
}

// complain checks the rules that hold whatever happened to the wire.
func complain(ends [2]*end, handshakeTouched bool) []string {
	var complaints []string
	for s, e := range ends {
		sent := ends[1-s].input
		got := e.output.Bytes()
		switch {
		case !bytes.HasPrefix(sent, got):
			complaints = append(complaints, fmt.Sprintf("%s delivered what was not sent", side(s)))
		case e.code == 0 && len(got) != len(sent):
			complaints = append(complaints, fmt.Sprintf("%s says 0 with %d of %d bytes", side(s), len(got), len(sent)))
		}
		switch e.code {
		case 0, 5:
		case 7:
			if !handshakeTouched {
				complaints = append(complaints, fmt.Sprintf("%s says 7", side(s)))
			}
		default:
			complaints = append(complaints, fmt.Sprintf("%s says %d", side(s), e.code))
		}
	}
	if len(complaints) > 0 {
		for s, e := range ends {
			complaints = append(complaints, fmt.Sprintf("%s: %s", side(s), e.describe()))
		}
	}
	return complaints
}

func TestAWireCutAtAnyByteIsABrokenStream(t *testing.T) {
	long(t)
	t.Parallel()
	overEachVersion(t, func(t *testing.T, version, home string) {
		slowtest.SkipUnless(t, version == "3")
		clean := record(t, version, home)

		type place struct {
			from  side
			after int64
		}
		var places []place
		for _, from := range []side{alice, bob} {
			// Every line's beginning, middle and end, where the last data message
			// is that of the proper end.
			var at int64
			for _, line := range clean.lines[from] {
				length := int64(len(line))
				places = append(places, place{from, at}, place{from, at + length/2}, place{from, at + length - 1})
				at += length
			}
		}
		rand.New(rand.NewPCG(1, 2)).Shuffle(len(places), func(i, j int) { places[i], places[j] = places[j], places[i] })
		places = places[:min(len(places), maxCases())]

		eachAtOnce(t, parts(t, version, places), func(cut place) {
			var mu sync.Mutex
			// The bytes of plaintext in the lines that passed whole, and in those too
			// that lack nothing but their LF.
			var complete, partial [2]int64
			ends := twoEnds(version)
			run(t, &relay{cutFrom: cut.from, cutAfter: cut.after, tap: func(from side, passed []byte) {
				mu.Lock()
				defer mu.Unlock()
				seen, ok := seeData(passed)
				if !ok {
					return
				}
				carried := int64(seen.ciphertext / chunk * chunk)
				partial[from] += carried
				if bytes.HasSuffix(passed, []byte("\n")) {
					complete[from] += carried
				}
			}}, home, ends)

			complaints := complain(ends, false)
			for s, e := range ends {
				got := int64(e.output.Len())
				if least, most := complete[1-s], partial[1-s]; got < least || got > most {
					complaints = append(complaints, fmt.Sprintf("%s delivered %d bytes where %d to %d were authentic", side(s), got, least, most))
				}
				if e.code == 0 && talk[s] != partial[s] {
					complaints = append(complaints, fmt.Sprintf("%s says 0 and has not sent all", side(s)))
				}
			}
			// Before the end of either direction is through, neither side can know that all went well.
			through := partial == talk
			if !through && (ends[alice].code != 5 || ends[bob].code != 5) {
				complaints = append(complaints, fmt.Sprintf("not both say 5: %d and %d", ends[alice].code, ends[bob].code))
			}
			if len(complaints) > 0 {
				t.Errorf("cut after %d bytes of %s:\n%s\n%s\n%s", cut.after, cut.from, strings.Join(complaints, "\n"), ends[alice].describe(), ends[bob].describe())
			}
		})
	})
}

func TestAFlippedByteIsNeverPlaintext(t *testing.T) {
	long(t)
	t.Parallel()
	overEachVersion(t, func(t *testing.T, version, home string) {
		slowtest.SkipUnless(t, version == "3")
		clean := record(t, version, home)

		type flip struct {
			from side
			line int
			at   float64 // where in the line, of its length
			bits byte
		}
		var flips []flip
		random := rand.New(rand.NewPCG(3, 4))
		for _, from := range []side{alice, bob} {
			for n := range clean.lines[from] {
				flips = append(flips,
					flip{from, n, random.Float64(), 1 << random.IntN(8)},
					flip{from, n, []float64{0, 0.999999}[random.IntN(2)], 1 << random.IntN(8)}) // the marker, or the line's end
			}
		}
		random.Shuffle(len(flips), func(i, j int) { flips[i], flips[j] = flips[j], flips[i] })
		flips = flips[:min(len(flips), maxCases())]

		cases := parts(t, version, flips)
		var happened atomic.Int64
		eachAtOnce(t, cases, func(f flip) {
			it := &touch{from: f.from, line: f.line}
			ends := twoEnds(version)
			run(t, &relay{cutAfter: -1, tamper: func(from side, n int, line []byte) [][]byte {
				if !it.is(from, n, line) {
					return [][]byte{line}
				}
				changed := bytes.Clone(line)
				changed[int(f.at*float64(len(line)))] ^= f.bits
				return [][]byte{changed}
			}}, home, ends)
			if it.happened {
				happened.Add(1)
			}
			if complaints := complain(ends, it.prelude); len(complaints) > 0 {
				t.Errorf("%s's line %d, at %.2f of it, bits %#02x:\n%s", f.from, f.line, f.at, f.bits, strings.Join(complaints, "\n"))
			}
		})
		mostHappened(t, &happened, len(cases))
	})
}

func TestLinesDroppedDoubledOrSwappedNeverPassUnseen(t *testing.T) {
	slowtest.Skip(t)
	long(t)
	t.Parallel()
	overEachVersion(t, func(t *testing.T, version, home string) {
		clean := record(t, version, home)

		type change struct {
			from side
			line int
			what string
		}
		var changes []change
		for _, from := range []side{alice, bob} {
			for n := range clean.lines[from] {
				for _, what := range []string{"dropped", "doubled", "swapped with the next", "said again later"} {
					changes = append(changes, change{from, n, what})
				}
			}
		}
		rand.New(rand.NewPCG(5, 6)).Shuffle(len(changes), func(i, j int) { changes[i], changes[j] = changes[j], changes[i] })
		changes = changes[:min(len(changes), 120)]

		cases := parts(t, version, changes)
		var happened atomic.Int64
		eachAtOnce(t, cases, func(c change) {
			var kept []byte
			it := &touch{from: c.from, line: c.line}
			ends := twoEnds(version)
			run(t, &relay{cutAfter: -1, tamper: func(from side, n int, line []byte) [][]byte {
				if it.is(from, n, line) {
					switch kept = bytes.Clone(line); c.what {
					case "doubled":
						return [][]byte{line, line}
					case "dropped", "swapped with the next":
						return nil
					}
					return [][]byte{line}
				}
				if from == c.from && (c.what == "swapped with the next" && n == c.line+1 || c.what == "said again later" && n == c.line+3) {
					return [][]byte{line, kept}
				}
				return [][]byte{line}
			}}, home, ends)
			if it.happened {
				happened.Add(1)
			}
			complaints := complain(ends, it.prelude)
			if len(complaints) > 0 {
				t.Errorf("%s's line %d %s:\n%s", c.from, c.line, c.what, strings.Join(complaints, "\n"))
			}
		})
		mostHappened(t, &happened, len(cases))
	})
}

// mostHappened guards the tests above against testing nothing: now and then a
// run has fewer lines than the one that was recorded, but not as a rule.
func mostHappened(t *testing.T, happened *atomic.Int64, cases int) {
	t.Helper()
	t.Logf("%d of %d cases came to pass", happened.Load(), cases)
	if happened.Load() < int64(cases/2) {
		t.Error("too few")
	}
}

func TestTextInClearIsAnEventAndNeverOutput(t *testing.T) {
	long(t)
	t.Parallel()
	overEachVersion(t, func(t *testing.T, version, home string) {
		const text = "send the money to this account"
		ends := twoEnds(version)
		for _, e := range ends {
			e.args = append(e.args, "--events", "fd:2")
		}
		run(t, &relay{cutAfter: -1, tamper: func(from side, n int, line []byte) [][]byte {
			return [][]byte{[]byte(text + "\n"), line}
		}}, home, ends)
		for s, e := range ends {
			if e.code != 0 || !bytes.Equal(e.output.Bytes(), ends[1-s].input) {
				t.Errorf("%s: %s", side(s), e.describe())
			}
			said := e.errors.String()
			if !strings.Contains(said, `"event":"unencrypted"`) || !strings.Contains(said, fmt.Sprintf(`"bytes":%d`, len(text))) {
				t.Errorf("%s has no event of it: %s", side(s), said)
			}
			if strings.Contains(said, "money") {
				t.Errorf("%s repeats it: %s", side(s), said)
			}
		}
	})
}

func TestAPeerThatDoesNotUnderstandTheStreamIsATimeLimit(t *testing.T) {
	long(t)
	t.Parallel()
	overEachVersion(t, func(t *testing.T, version, home string) {
		ends := twoEnds(version)
		ends[alice] = oneEnd(version, alice, handshakeTime)
		ends[bob] = &end{args: []string{"-i", "bob", "--mode", "lines", "--otr", version}, quiet: true}
		run(t, &relay{cutAfter: -1}, home, ends)
		if e := ends[alice]; e.code != 7 || e.output.Len() != 0 || !strings.Contains(e.errors.String(), "hint: ") || !strings.Contains(e.errors.String(), "--mode lines") {
			t.Errorf("alice: %s", e.describe())
		}
		if e := ends[bob]; e.output.Len() != 0 {
			t.Errorf("bob: %s", e.describe())
		}
	})
}

func TestAPeerThatSaysNothingIsATimeLimit(t *testing.T) {
	long(t)
	t.Parallel()
	overEachVersion(t, func(t *testing.T, version, home string) {
		ends := twoEnds(version)
		ends[alice] = oneEnd(version, alice, "5s") // long enough to dial on a busy machine
		run(t, &relay{cutAfter: -1, tamper: func(from side, n int, line []byte) [][]byte {
			if from == bob {
				return nil
			}
			return [][]byte{line}
		}}, home, ends)
		if e := ends[alice]; e.code != 7 || e.output.Len() != 0 {
			t.Errorf("alice: %s", e.describe())
		}
	})
}

func TestARefusedKeyMovesNoPayload(t *testing.T) {
	long(t)
	t.Parallel()
	for _, test := range []struct {
		name string
		// known is whose key alice has on file as bob's; "" for nobody's.
		known string
		trust []string
	}{
		{"an unknown key", "", []string{"--contact", "bob", "--trust", "known"}},
		{"a key that is known and not verified", "bob", []string{"--contact", "bob", "--trust", "verified"}},
		{"a changed key", "mallory", []string{"--contact", "bob"}},
		{"a changed key where it must be known", "mallory", []string{"--contact", "bob", "--trust", "known"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			overEachVersion(t, func(t *testing.T, version, home string) {
				slowtest.SkipUnless(t, version == "4")
				if test.known != "" {
					meet(t, version, home, test.known)
				}
				var mu sync.Mutex
				var largest int
				// Nothing waits for this limit.
				ends := [2]*end{oneEnd(version, alice, "1m"), oneEnd(version, bob, "1m")}
				ends[alice].args = append(ends[alice].args, test.trust...)
				run(t, &relay{cutAfter: -1, tap: func(_ side, passed []byte) {
					mu.Lock()
					defer mu.Unlock()
					if seen, ok := seeData(passed); ok {
						largest = max(largest, seen.ciphertext)
					}
				}}, home, ends)
				if ends[alice].code != 3 || ends[bob].code != 5 {
					t.Errorf("exit codes are %d and %d", ends[alice].code, ends[bob].code)
				}
				// Both had all their input to say from the start, in pieces of a chunk.
				if largest >= chunk {
					t.Errorf("a message of %d bytes went over the wire", largest)
				}
				for s, e := range ends {
					if e.output.Len() != 0 {
						t.Errorf("%s delivered %d bytes", side(s), e.output.Len())
					}
				}
				if t.Failed() {
					t.Log(ends[alice].describe(), "\n", ends[bob].describe())
				}
			})
		})
	}
}

// meet lets alice meet an identity under the name bob, so that she remembers
// its key as bob's.
func meet(t *testing.T, version, home, identity string) {
	t.Helper()
	ends := twoEnds(version)
	ends[alice].args = append(ends[alice].args, "--contact", "bob")
	ends[bob].args[slices.Index(ends[bob].args, "-i")+1] = identity
	run(t, &relay{cutAfter: -1}, home, ends)
	if ends[alice].code != 0 {
		t.Fatalf("alice meets %s: %s", identity, ends[alice].describe())
	}
}

func TestARepeatedLossIsMadeGoodOrKnown(t *testing.T) {
	long(t)
	t.Parallel()
	overEachVersion(t, func(t *testing.T, version, home string) {
		// Of everything that bob says once a session stands, every second line is lost.
		ends := twoEnds(version)
		ends[alice].input, ends[bob].input = nil, payload(bob, talk[bob])
		var data int
		run(t, &relay{cutAfter: -1, tamper: func(from side, n int, line []byte) [][]byte {
			if _, ok := seeData(line); ok && from == bob {
				data++
				if data%2 == 0 {
					return nil
				}
			}
			return [][]byte{line}
		}}, home, ends)
		if complaints := complain(ends, true); len(complaints) > 0 {
			t.Error(strings.Join(complaints, "\n"))
		}
		if data < 2 {
			t.Errorf("only %d messages were seen", data)
		}
	})
}
