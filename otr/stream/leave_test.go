package stream

import (
	"errors"
	"io"
	"net"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"otrpipe/otr"
	"otrpipe/otr/wire"
)

func TestAProperEndWaitsForNothing(t *testing.T) {
	for _, delay := range []time.Duration{0, 100 * time.Millisecond} {
		synctest.Test(t, func(t *testing.T) {
			a, b := cable(t, relay{delay: delay}, relay{delay: delay})
			ea, eb := openPair(t, a, b, setting{}, setting{})
			handshakeBoth(t, ea, eb)
			ea.CloseWrite()
			start := time.Now()
			eb.CloseWrite()
			if err := errors.Join(ea.Wait(), eb.Wait()); err != nil {
				t.Error(err)
			}
			// The two ENDs cross, then the two ACKs, one of them with CLOSE; then
			// comes CLOSED, and then the last message.
			if d := time.Since(start); d > 4*delay {
				t.Errorf("took %v with a delay of %v", d, delay)
			}
		})
	}
}

func TestAPeerThatDoesNotLeaveIsNotWaitedForLong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e, x := meet(t, setting{})
		x.say(hello(), ended(0))
		e.CloseWrite()
		x.await(typeEnd)
		x.say(ack(0))
		start := time.Now()
		if err := e.Wait(); err != nil {
			t.Error(err)
		}
		if d := time.Since(start); d > goodbyeWait+time.Second {
			t.Errorf("took %v", d)
		}
	})
}

func TestEveryWayOutSaysGoodbye(t *testing.T) {
	for _, test := range []struct {
		name  string
		leave func(*end, *stranger)
	}{
		{"Abort", func(e *end, _ *stranger) { go e.Abort("") }},
		{"Close", func(e *end, _ *stranger) { go e.Close() }},
		{"a break", func(_ *end, x *stranger) { x.say(hello(), data(9, "")) }},
		{"the peer's ABORT", func(_ *end, x *stranger) { x.say(wire.TLV{Type: typeAbort}) }},
		{"a peer without HELLO", func(*end, *stranger) { time.Sleep(2 * time.Minute) }},
		{"a silent peer", func(_ *end, x *stranger) { x.say(hello()); time.Sleep(10 * time.Minute) }},
		{"the end of what the transport brings", func(_ *end, x *stranger) { x.out.(duplex).PipeWriter.Close() }},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				e, x := meet(t, setting{})
				x.await(typeHello)
				test.leave(e, x)
				for x.c.State() == otr.StateEncrypted {
					if _, ok := x.listen(); !ok {
						t.Fatal("no Disconnected")
					}
				}
			})
		})
	}
}

func TestWhatThePeerSaidLastCountsThoughTheTransportTakesNothingMore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := net.Pipe()
		var deaf atomic.Bool
		ea := open(t, &brokenWrites{Conn: a, broken: &deaf}, setting{})
		eb := open(t, b, setting{key: 1})
		ea.CloseWrite()
		io.ReadAll(eb)
		synctest.Wait()
		deaf.Store(true)
		eb.CloseWrite() // a only has to receive this
		if _, err := io.ReadAll(ea); err != nil {
			t.Error(err)
		}
		if err := ea.Wait(); err != nil {
			t.Error(err)
		}
		if err := eb.Wait(); !errors.Is(err, ErrBroken) {
			t.Errorf("the end that was not answered: %v", err)
		}
	})
}

type brokenWrites struct {
	net.Conn
	broken *atomic.Bool
}

func (b *brokenWrites) Write(p []byte) (int, error) {
	if b.broken.Load() {
		return 0, errors.New("nobody listens")
	}
	return b.Conn.Write(p)
}

func TestATransportThatFailsToWriteIsBroken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := net.Pipe()
		var deaf atomic.Bool
		ea := open(t, &brokenWrites{Conn: a, broken: &deaf}, setting{})
		eb := open(t, b, setting{key: 1})
		handshakeBoth(t, ea, eb)
		synctest.Wait()
		deaf.Store(true)
		io.WriteString(ea, "lost")
		if err := ea.Wait(); !errors.Is(err, ErrTransport) || errors.Is(err, ErrClosedBeforeSession) {
			t.Errorf("%v", err)
		}
		if err := eb.Wait(); !errors.Is(err, ErrTransport) {
			t.Errorf("%v", err)
		}
	})
}

func TestQuittingBeforeThereIsASessionWaitsForNothing(t *testing.T) {
	for _, lines := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			a, _ := net.Pipe() // it accepts nothing, not even the query
			e := open(t, a, setting{lines: lines})
			start := time.Now()
			var err error
			if lines {
				err = e.lines.Close()
			} else {
				err = e.Abort("interrupted")
			}
			if !errors.Is(err, ErrClosed) || time.Since(start) > 0 {
				t.Errorf("lines %v: %v after %v", lines, err, time.Since(start))
			}
		})
	}
}
