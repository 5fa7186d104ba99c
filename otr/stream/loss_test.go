package stream

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"otrpipe/testscripts/slowtest"
)

// mangler makes a filter that does one kind of harm to some lines.
func mangler(kind string, random *rand.Rand, every int) func(int, []byte) [][]byte {
	var kept []byte
	return func(i int, line []byte) [][]byte {
		var out [][]byte
		if kept != nil {
			defer func() { kept = nil }()
			out = [][]byte{line, kept}
			return out
		}
		if random.IntN(every) != 0 {
			return [][]byte{line}
		}
		switch kind {
		case "drop":
			return nil
		case "repeat":
			return [][]byte{line, line}
		case "swap":
			kept = line
			return nil
		case "flip":
			line[random.IntN(len(line)-1)] ^= 1 << random.IntN(7)
			return [][]byte{line}
		case "cut":
			return [][]byte{append(line[:random.IntN(len(line))], '\n')}
		}
		panic(kind)
	}
}

func TestWhateverHappensToLinesNoByteIsWrongAndNoLossIsHidden(t *testing.T) {
	t.Parallel()
	for _, kind := range []string{"drop", "repeat", "swap", "flip", "cut"} {
		if quick() && kind == "repeat" {
			continue
		}
		t.Run(kind, func(t *testing.T) {
			broken := 0
			for seed := range rounds(25) {
				if quick() && seed > 0 || slowtest.LeftOut() && seed > 9 {
					break
				}
				synctest.Test(t, func(t *testing.T) {
					every := []int{4, 12, 40}[seed%3]
					a, b := cable(t,
						relay{filter: mangler(kind, rand.New(rand.NewPCG(seed, 4)), every)},
						relay{filter: mangler(kind, rand.New(rand.NewPCG(seed, 5)), every)})
					small := func(c *Config) { c.Window = 40_000 }
					ea, eb := openPair(t, a, b, setting{seed: seed, config: small}, setting{seed: seed, config: small})
					oa, ob := converseBoth(ea, eb, 200_000, 100_000)
					oa.honest(t, "a", 100_000)
					ob.honest(t, "b", 200_000)
					if oa.result != nil {
						broken++
					}
				})
			}
			if kind != "repeat" && broken == 0 {
				t.Error("nothing broke: nothing was tested")
			}
		})
	}
}

func TestOneLostLineIsMadeGoodOrBreaks(t *testing.T) {
	// Of a short stream each line is lost once, in each direction.
	for _, direction := range []int{0, 1} {
		if quick() && direction == 1 {
			continue
		}
		made, broke := 0, 0
		for lost := 0; ; lost++ {
			reached := false
			synctest.Test(t, func(t *testing.T) {
				filter := func(i int, line []byte) [][]byte {
					if i == lost {
						reached = true
						return nil
					}
					return [][]byte{line}
				}
				relays := [2]relay{}
				relays[direction].filter = filter
				a, b := cable(t, relays[0], relays[1])
				ea, eb := openPair(t, a, b, setting{}, setting{})
				oa, ob := converseBoth(ea, eb, 1000, 2000)
				oa.honest(t, "a", 2000)
				ob.honest(t, "b", 1000)
				if (oa.result == nil) != (ob.result == nil) {
					t.Errorf("direction %d, line %d: one end says %v, the other %v", direction, lost, oa.result, ob.result)
				}
				if oa.result == nil {
					made++
				} else {
					broke++
				}
			})
			if !reached {
				break
			}
		}
		if made < 3 || broke < 1 {
			t.Errorf("direction %d: %d losses were made good, %d broke the stream", direction, made, broke)
		}
	}
}

func TestATransportCutAtAnyByteIsNeverASuccess(t *testing.T) {
	t.Parallel()
	// The number of bytes that a complete stream writes each way.
	var total [2]int
	synctest.Test(t, func(t *testing.T) {
		count := func(n *int) func(int, []byte) [][]byte {
			return func(_ int, line []byte) [][]byte { *n += len(line); return [][]byte{line} }
		}
		a, b := cable(t, relay{filter: count(&total[0])}, relay{filter: count(&total[1])})
		ea, eb := openPair(t, a, b, setting{}, setting{})
		oa, ob := converseBoth(ea, eb, 100, 100)
		oa.whole(t, "a", 100)
		ob.whole(t, "b", 100)
	})
	step := 37
	if testing.Short() || overVersion4() {
		step = 331
	} else if slowtest.LeftOut() {
		step = 101
	}
	if quick() {
		step = 733
	}
	for _, direction := range []int{0, 1} {
		for limit := 1; limit < total[direction]; limit += step {
			synctest.Test(t, func(t *testing.T) {
				relays := [2]relay{}
				relays[direction].limit = limit
				a, b := cable(t, relays[0], relays[1])
				ea, eb := openPair(t, a, b, setting{}, setting{})
				oa, ob := converseBoth(ea, eb, 100, 100)
				oa.honest(t, "a", 100)
				ob.honest(t, "b", 100)
			})
		}
	}
}

// dropping makes a filter that drops some lines.
func dropping(drop func(i int) bool) func(int, []byte) [][]byte {
	return func(i int, line []byte) [][]byte {
		if drop(i) {
			return nil
		}
		return [][]byte{line}
	}
}

func TestALostLastLineShowsAtTheNextHeartbeat(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var deaf atomic.Bool
		a, b := cable(t, relay{filter: dropping(func(int) bool { return deaf.Load() })}, relay{})
		ea, eb := openPair(t, a, b, setting{}, setting{})
		handshakeBoth(t, ea, eb)
		synctest.Wait()
		deaf.Store(true)
		io.WriteString(ea, "lost")
		synctest.Wait()
		deaf.Store(false)
		start := time.Now()
		got, err := io.ReadAll(eb)
		if len(got) != 0 || !errors.Is(err, ErrBroken) {
			t.Errorf("%q, %v", got, err)
		}
		if d := time.Since(start); d > 2*time.Minute {
			t.Errorf("after %v", d)
		}
		if err := ea.Wait(); !errors.Is(err, ErrAborted) {
			t.Errorf("%v", err)
		}
	})
}

func TestALostEndIsMadeGoodByTheNextHeartbeat(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var deaf atomic.Bool
		a, b := cable(t, relay{filter: dropping(func(int) bool { return deaf.Load() })}, relay{})
		ea, eb := openPair(t, a, b, setting{}, setting{})
		io.WriteString(ea, "arrives")
		buf := make([]byte, 7)
		io.ReadFull(eb, buf)
		synctest.Wait()
		deaf.Store(true)
		ea.CloseWrite()
		synctest.Wait()
		deaf.Store(false)
		eb.CloseWrite()
		rest, err := io.ReadAll(eb)
		if !bytes.Equal(buf, []byte("arrives")) || len(rest) != 0 || err != nil {
			t.Errorf("%q %q, %v", buf, rest, err)
		}
		io.ReadAll(ea)
		if err := errors.Join(ea.Wait(), eb.Wait()); err != nil {
			t.Error(err)
		}
	})
}

func TestALossThatKeepsStepWithHeartbeatsIsNotHidden(t *testing.T) {
	long(t)
	// A line of a is lost. b has only its END to send and repeats it. Of a's further lines
	// the wire loses every n-th, starting at any line.
	for every := 2; every <= 4; every++ {
		for first := range every {
			synctest.Test(t, func(t *testing.T) {
				var said atomic.Int64
				said.Store(-1) // nothing is lost yet
				filter := dropping(func(int) bool {
					if said.Load() < 0 {
						return false
					}
					n := said.Add(1) - 1
					return n == 0 || int(n)%every == first
				})
				a, b := cable(t, relay{filter: filter}, relay{})
				// b's heartbeat is between two of a's.
				ea, eb := openPair(t, a, b, setting{}, setting{})
				handshakeBoth(t, ea, eb)
				synctest.Wait()
				time.Sleep(30 * time.Second)
				eb.CloseWrite()
				synctest.Wait()
				said.Store(0)
				io.WriteString(ea, "lost")
				over := time.AfterFunc(time.Hour, func() { eb.Abort("it hangs") })
				got, err := io.ReadAll(eb)
				if len(got) != 0 || !errors.Is(err, ErrBroken) || !over.Stop() {
					t.Errorf("one in %d from %d: %q, %v", every, first, got, err)
				}
			})
		}
	}
}

// The line that says that the reader has stopped is lost, and perhaps one of those after it. What is
// acknowledged later, so that the sender can end, is no success.
func TestALostStopIsNoSuccess(t *testing.T) {
	const n = 100 << 10
	for _, over := range []bool{false, true} { // the sender's end has come already
		for lost := range 10 {
			synctest.Test(t, func(t *testing.T) {
				stops := -1
				back := relay{delay: time.Millisecond, filter: dropping(func(int) bool {
					if stops >= 0 {
						stops++
					}
					return stops == 1 || stops == 1+lost
				})}
				a, b := cable(t, relay{delay: time.Millisecond}, back)
				sender, reader := openPair(t, a, b, setting{}, setting{})
				go func() {
					writePattern(sender, 'a', n)
					sender.CloseWrite()
					io.Copy(io.Discard, sender)
				}()
				if _, err := io.ReadFull(reader, make([]byte, 10)); err != nil {
					t.Fatal(err)
				}
				if over {
					time.Sleep(time.Second)
				}
				stops = 0
				reader.CloseRead("enough")
				reader.CloseWrite()
				if err := sender.Wait(); err != ErrStopped {
					t.Errorf("lost: the first line and the one %d after it; the sender's end had come: %v; the sender has %v", lost, over, err)
				}
			})
		}
	}
}
