package stream

import (
	"errors"
	"io"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"otrpipe/otr"
)

// A poorOutput takes its time, and may fail while it is written or closed.
type poorOutput struct {
	got, room  int
	write, end time.Duration // what a write takes, and Close
	failure    error         // of Close
	closed     bool
}

func (o *poorOutput) Write(b []byte) (int, error) {
	time.Sleep(o.write)
	if o.got+len(b) > o.room {
		return 0, errFull
	}
	o.got += len(b)
	return len(b), nil
}

func (o *poorOutput) Close() error {
	time.Sleep(o.end)
	o.closed = o.failure == nil
	return o.failure
}

// Bytes go both ways while lines are lost, repeated or overtaken, keys are exchanged, and the reader
// stops or its output fails. Whatever the course, its writer has success only if the output has taken
// everything and, unless the reader has stopped, is closed. And every course ends.
func TestNoCourseIsASuccessWithoutTheOutput(t *testing.T) {
	for seed := range rounds(120) {
		synctest.Test(t, func(t *testing.T) { takeCourse(t, seed) })
	}
}

func takeCourse(t *testing.T, seed uint64) {
	r := rand.New(rand.NewPCG(seed, 1))
	upTo := func(d time.Duration) time.Duration { return time.Duration(r.Int64N(int64(d))) }
	oneIn := func(n int) bool { return r.IntN(n) == 0 }
	var harm []byte
	for range max(0, r.IntN(5)-1) {
		kind := []byte{0, 0, 1, 2, 6}[r.IntN(5)] // see fuzzedWire
		harm = append(harm, byte(r.IntN(16)), kind<<1|byte(r.IntN(2)))
	}
	wire := newFuzzedWire(harm, nil)
	a, b := cable(t, relay{filter: wire.filter(0), delay: upTo(50 * time.Millisecond)}, relay{filter: wire.filter(1), delay: upTo(50 * time.Millisecond)})
	window := []int64{1000, 10_000, 1 << 20}[r.IntN(3)]
	config := func(c *Config) { c.Window, c.Timeout = window, 30*time.Second }
	ea, eb := openPair(t, a, b, setting{seed: seed, config: config}, setting{seed: seed, config: config})
	total, back := []int{10, 5000, 30_000}[r.IntN(3)], r.IntN(5000)
	out := &poorOutput{room: total, write: upTo(150 * time.Millisecond), end: upTo(5 * time.Second)}
	if oneIn(3) {
		out.room = r.IntN(total)
	}
	if oneIn(3) {
		out.failure = errFull
	}
	goesOn := oneIn(2) // when a write has failed
	var wg sync.WaitGroup
	later := func(f func()) {
		d := upTo(2 * time.Second)
		wg.Go(func() { time.Sleep(d); f() })
	}
	stops := oneIn(3)
	if stops {
		later(func() { eb.CloseRead("enough") })
	}
	for range r.IntN(3) {
		later(func() { ea.Do(func(c *otr.Conversation) ([][]byte, error) { return c.Refresh() }) })
	}
	pauses := [2]time.Duration{upTo(2 * time.Second), upTo(2 * time.Second)}
	write := func(e *end, n int, pause time.Duration) error {
		err := writePattern(e, 'x', n/2)
		if err == nil {
			time.Sleep(pause)
			err = writePattern(e, 'x', n-n/2)
		}
		return errors.Join(err, e.CloseWrite())
	}
	var written error
	wg.Go(func() { written = write(ea, total, pauses[0]) })
	wg.Go(func() { write(eb, back, pauses[1]) })
	wg.Go(func() { io.Copy(io.Discard, ea) })
	wg.Go(func() {
		switch err := eb.Deliver(out); {
		case errors.Is(err, errFull) && out.room < total && goesOn:
			eb.CloseRead("full")
		case errors.Is(err, errFull):
			eb.Abort("full")
		}
	})
	err := ea.Wait()
	eb.Wait()
	wg.Wait()
	err = errors.Join(err, written) // the reader may have stopped before everything was written
	if err == nil && (out.got < total || !out.closed && !stops) {
		t.Errorf("seed %d: success, and the output has taken %d of %d bytes, is closed: %v, the reader stops: %v", seed, out.got, total, out.closed, stops)
	}
}
