package stream

import (
	"bytes"
	"errors"
	"io"
	"net"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"otrpipe/otr"
)

func TestBothDirectionsArriveWholeOverATransportWithoutABuffer(t *testing.T) {
	long(t)
	for _, sizes := range [][2]int{{0, 0}, {1, 0}, {0, 100_000}, {3_000_000, 2_000_000}} {
		if quick() {
			sizes = [2]int{sizes[0] / 5, sizes[1] / 5}
		}
		synctest.Test(t, func(t *testing.T) {
			a, b := net.Pipe()
			ea, eb := openPair(t, a, b, setting{}, setting{})
			oa, ob := converseBoth(ea, eb, sizes[0], sizes[1])
			oa.whole(t, "a", sizes[1])
			ob.whole(t, "b", sizes[0])
		})
	}
}

func TestOneKeystrokeIsOneMessage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		lines := 0
		a, b := cable(t, relay{filter: func(_ int, line []byte) [][]byte { lines++; return [][]byte{line} }}, relay{})
		ea, eb := openPair(t, a, b, setting{}, setting{})
		handshakeBoth(t, ea, eb)
		synctest.Wait()
		before := lines
		for i := range 5 {
			if _, err := ea.Write([]byte{'k'}); err != nil {
				t.Fatal(err)
			}
			buf := make([]byte, 10)
			if n, err := eb.Read(buf); n != 1 || err != nil {
				t.Fatalf("read %d bytes, %v", n, err)
			}
			synctest.Wait()
			if got := lines - before; got != i+1 {
				t.Fatalf("%d keystrokes are %d lines", i+1, got)
			}
		}
		ea.Abort("done")
		eb.Wait()
	})
}

func TestHalfCloseLeavesTheOtherDirectionOpen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := net.Pipe()
		ea, eb := openPair(t, a, b, setting{}, setting{})
		io.WriteString(ea, "question")
		ea.CloseWrite()
		question, err := io.ReadAll(eb)
		if string(question) != "question" || err != nil {
			t.Fatalf("%q, %v", question, err)
		}
		time.Sleep(time.Hour)
		io.WriteString(eb, "answer")
		eb.CloseWrite()
		answer, err := io.ReadAll(ea)
		if string(answer) != "answer" || err != nil {
			t.Fatalf("%q, %v", answer, err)
		}
		if err := errors.Join(ea.Close(), eb.Close()); err != nil {
			t.Fatal(err)
		}
		if _, err := ea.Write([]byte("more")); err != ErrClosed {
			t.Errorf("Write after the end: %v", err)
		}
	})
}

func TestASleepingReaderFillsItsWindowAndNoMore(t *testing.T) {
	long(t)
	const window = 1 << 20
	synctest.Test(t, func(t *testing.T) {
		a, b := net.Pipe()
		narrow := func(c *Config) { c.Window = window }
		ea, eb := openPair(t, a, b, setting{}, setting{config: narrow})
		written := make(chan error)
		go func() {
			err := writePattern(ea, 'a', 3*window)
			ea.CloseWrite()
			written <- err
		}()
		time.Sleep(time.Minute)
		if sent := ea.Stats().SentBytes; sent != window {
			t.Errorf("%d bytes were sent to a window of %d", sent, window)
		}
		// The other direction is not affected.
		if err := writePattern(eb, 'b', 3*window); err != nil {
			t.Fatal(err)
		}
		eb.CloseWrite()
		oa := &checker{seed: 'b'}
		if _, err := io.Copy(oa, ea); err != nil || oa.n != 3*window {
			t.Fatalf("%d bytes, %v", oa.n, err)
		}
		ob := &checker{seed: 'a'}
		if _, err := io.Copy(ob, eb); err != nil || ob.n != 3*window {
			t.Fatalf("%d bytes, %v", ob.n, err)
		}
		if err := errors.Join(<-written, ea.Wait(), eb.Wait()); err != nil {
			t.Fatal(err)
		}
	})
}

func TestTheStreamWorksOverSmallLinesAndWithPadding(t *testing.T) {
	long(t)
	for _, change := range []func(*otr.Config){
		func(c *otr.Config) { c.MaxSize = 64 },
		func(c *otr.Config) { c.MaxSize = 400 },
		func(c *otr.Config) { c.Pad = 256 },
		func(c *otr.Config) { c.Pad = 65535; c.MaxSize = 100_000 },
	} {
		var size otr.Config
		change(&size)
		if quick() && size.MaxSize > 64 {
			continue
		}
		synctest.Test(t, func(t *testing.T) {
			longest := func(_ int, line []byte) [][]byte {
				if size.MaxSize > 0 && len(line)-1 > size.MaxSize {
					t.Errorf("a line of %d bytes, over %d", len(line)-1, size.MaxSize)
				}
				return [][]byte{line}
			}
			a, b := cable(t, relay{filter: longest}, relay{})
			ea, eb := openPair(t, a, b, setting{otr: change}, setting{})
			oa, ob := converseBoth(ea, eb, 300_000, 1000)
			oa.whole(t, "a", 1000)
			ob.whole(t, "b", 300_000)
		})
	}
}

func TestTheStreamRunsInVersion2Too(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		version2 := func(c *otr.Config) { c.Policy = otr.AllowV2 | otr.RequireEncryption; c.MaxSize = 1000 }
		a, b := net.Pipe()
		ea, eb := openPair(t, a, b, setting{otr: version2}, setting{otr: version2})
		oa, ob := converseBoth(ea, eb, 300_000, 200_000)
		oa.whole(t, "a", 200_000)
		ob.whole(t, "b", 300_000)
	})
}

func TestCRLFAndForeignTextDoNoHarm(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		noisy := func(i int, line []byte) [][]byte {
			return [][]byte{[]byte("\n"), []byte("a banner\r\n"), append(bytes.TrimSuffix(line, []byte("\n")), "\r\n"...)}
		}
		a, b := cable(t, relay{filter: noisy}, relay{filter: noisy})
		ea, eb := openPair(t, a, b, setting{}, setting{})
		oa, ob := converseBoth(ea, eb, 5000, 6000)
		oa.whole(t, "a", 6000)
		ob.whole(t, "b", 5000)
		if told[Unencrypted](ea) == 0 || told[Unencrypted](eb) == 0 {
			t.Error("nobody was told of the text")
		}
	})
}

func TestOverLongLinesAreDroppedAndReported(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		long := append(bytes.Repeat([]byte{'x'}, 1<<20+1), '\n')
		fits := append(bytes.Repeat([]byte{'x'}, 1<<20), '\n')
		noisy := func(i int, line []byte) [][]byte {
			switch i {
			case 0:
				return [][]byte{long, line}
			case 3:
				return [][]byte{fits, line}
			}
			return [][]byte{line}
		}
		a, b := cable(t, relay{filter: noisy}, relay{})
		ea, eb := openPair(t, a, b, setting{}, setting{})
		oa, ob := converseBoth(ea, eb, 5000, 6000)
		oa.whole(t, "a", 6000)
		ob.whole(t, "b", 5000)
		if n := told[LineTooLong](eb); n != 1 {
			t.Errorf("%d lines were reported as too long", n)
		}
		for _, e := range eb.events() {
			if e, ok := e.What.(LineTooLong); ok && e.Bytes != 1<<20+1 {
				t.Errorf("a line of %d bytes was reported", e.Bytes)
			}
		}
	})
}

func TestAbortBreaksBothEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := net.Pipe()
		ea, eb := openPair(t, a, b, setting{}, setting{})
		handshakeBoth(t, ea, eb)
		io.WriteString(ea, "the last words")
		buf := make([]byte, 4)
		io.ReadFull(eb, buf)
		if err := ea.Abort("no more"); err != ErrClosed {
			t.Errorf("Abort: %v", err)
		}
		rest, err := io.ReadAll(eb)
		if string(rest) != "last words" || !errors.Is(err, ErrAborted) || !errors.Is(err, ErrBroken) {
			t.Errorf("%q, %v", rest, err)
		}
		if err := eb.Wait(); !errors.Is(err, ErrAborted) || !bytes.Contains([]byte(err.Error()), []byte("no more")) {
			t.Errorf("Wait: %v", err)
		}
		if _, err := eb.Write([]byte("x")); !errors.Is(err, ErrAborted) {
			t.Errorf("Write: %v", err)
		}
		if err := eb.Do(nil); !errors.Is(err, ErrAborted) {
			t.Errorf("Do: %v", err)
		}
	})
}

// A failing writer fails at one of its writes, or when it is closed, after a while in which the peer
// may say whatever it has to say.
type failingWriter struct {
	bytes.Buffer
	room   int // how many bytes it takes
	onlyBy time.Duration
}

var errFull = errors.New("no space left")

func (w *failingWriter) Write(b []byte) (int, error) {
	if w.Len()+len(b) > w.room {
		time.Sleep(w.onlyBy)
		return 0, errFull
	}
	return w.Buffer.Write(b)
}

func (w *failingWriter) Close() error {
	time.Sleep(w.onlyBy)
	return errFull
}

// Bytes that the reader's file refuses are not acknowledged, even if they are the last ones and the
// peer has ended already. So the peer does not take them as arrived.
func TestThePeerOfAnOutputThatFailsDoesNotEndWell(t *testing.T) {
	const payload = "some bytes"
	for _, room := range []int{0, len(payload)} {
		for _, leads := range []bool{false, true} {
			synctest.Test(t, func(t *testing.T) {
				a, b := cable(t, relay{delay: time.Millisecond}, relay{delay: time.Millisecond})
				never := func(c *Config) { c.Initiate = false }
				ours, theirs := setting{}, setting{config: never}
				if leads {
					ours, theirs = theirs, ours
				}
				ea, eb := openPair(t, a, b, ours, theirs)
				io.WriteString(eb, payload)
				eb.CloseWrite()
				ea.CloseWrite()
				w := &failingWriter{room: room, onlyBy: 10 * time.Second}
				if err := ea.Deliver(w); err != errFull {
					t.Errorf("Deliver: %v", err)
				}
				if n := ea.Stats().ReceivedBytes; n != int64(room) {
					t.Errorf("%d bytes count as received, not %d", n, room)
				}
				ea.Abort("the disk is full")
				if err := eb.Wait(); !errors.Is(err, ErrAborted) || !strings.Contains(err.Error(), "the disk is full") {
					t.Errorf("room for %d bytes: the peer ends with %v", room, err)
				}
			})
		}
	}
}

func TestStopEndsTheDirectionThatNobodyReads(t *testing.T) {
	long(t)
	synctest.Test(t, func(t *testing.T) {
		a, b := net.Pipe()
		ea, eb := openPair(t, a, b, setting{}, setting{})
		written := make(chan error)
		go func() { written <- writePattern(ea, 'a', 1<<30) }()
		buf := make([]byte, 1000)
		io.ReadFull(eb, buf)
		eb.CloseRead("enough")
		io.WriteString(eb, "goodbye")
		eb.CloseWrite()
		if err := <-written; err != ErrStopped {
			t.Errorf("Write: %v", err)
		}
		if got, err := io.ReadAll(ea); string(got) != "goodbye" || err != nil {
			t.Errorf("%q, %v", got, err)
		}
		if err := ea.Wait(); err != ErrStopped {
			t.Errorf("the stopped end: %v", err)
		}
		if err := eb.Close(); err != nil {
			t.Errorf("the stopping end: %v", err)
		}
		if _, err := eb.Read(buf); err != ErrClosed {
			t.Errorf("Read after CloseRead: %v", err)
		}
	})
}

func TestStopDoesNoHarmWhenEverythingWasRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := net.Pipe()
		ea, eb := openPair(t, a, b, setting{}, setting{})
		io.WriteString(ea, "all of it")
		buf := make([]byte, 9)
		io.ReadFull(eb, buf)
		eb.CloseRead("")
		eb.CloseWrite()
		if _, err := io.ReadAll(ea); err != nil {
			t.Error(err)
		}
		if err := errors.Join(ea.Wait(), eb.Wait()); err != nil {
			t.Error(err)
		}
	})
}

func TestCloseBeforeTheEndIsAnAbort(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := net.Pipe()
		ea, eb := openPair(t, a, b, setting{}, setting{})
		handshakeBoth(t, ea, eb)
		if err := ea.Close(); err != ErrClosed {
			t.Errorf("Close: %v", err)
		}
		if err := eb.Wait(); !errors.Is(err, ErrAborted) {
			t.Errorf("the other end: %v", err)
		}
	})
}

func TestAConfigThatLacksSomethingIsRefused(t *testing.T) {
	a, b := net.Pipe()
	s := Open(a, Config{Clock: systemClock{}})
	if err := s.Handshake(t.Context()); err != errConfig {
		t.Error(err)
	}
	if _, err := b.Read(make([]byte, 1)); err != io.EOF {
		t.Errorf("the transport is open: %v", err)
	}
	if err := s.Close(); err != errConfig {
		t.Error(err)
	}
}

// It has not arrived either if the peer's end had come already.
func TestWhatWasNotReadBeforeAStopHasNotArrived(t *testing.T) {
	for _, read := range []int{0, 5, 10} {
		for _, over := range []bool{false, true} {
			synctest.Test(t, func(t *testing.T) {
				a, b := cable(t, relay{}, relay{})
				ea, eb := openPair(t, a, b, setting{}, setting{})
				handshakeBoth(t, ea, eb)
				io.WriteString(eb, "ten bytes!")
				if over {
					eb.CloseWrite()
				}
				if _, err := io.ReadFull(ea, make([]byte, read)); err != nil {
					t.Fatal(err)
				}
				synctest.Wait() // all of it is there
				ea.CloseRead("enough")
				ea.CloseWrite()
				if err := ea.Wait(); err != nil {
					t.Errorf("the reader has %v", err)
				}
				if err := eb.Wait(); errors.Is(err, ErrStopped) != (read < 10) || err != nil && read == 10 {
					t.Errorf("of ten bytes %d were read, the peer's end had come: %v, and the writer has %v", read, over, err)
				}
				all := slices.Contains(eventsOf[StreamEnded](eb), StreamEnded{Sent: true, Bytes: 10})
				if all != (read == 10) {
					t.Errorf("of ten bytes %d were read, the peer's end had come: %v, and the writer is told that it was all: %v", read, over, all)
				}
			})
		}
	}
}

// A heldWriter takes what is written to it, or fails, when it is released.
type heldWriter struct {
	held chan error
}

func (w heldWriter) Write(b []byte) (int, error) { return len(b), <-w.held }

func (w heldWriter) Close() error { return nil }

// The reader stops while Deliver's writer has bytes in hand. They have arrived if the writer takes
// them after all.
func TestWhatAWriterHasInHandAtAStopArrivesIfTheWriterTakesIt(t *testing.T) {
	for _, over := range []bool{false, true} { // the peer's end has come already
		for _, failure := range []error{nil, errFull} {
			synctest.Test(t, func(t *testing.T) {
				a, b := cable(t, relay{}, relay{})
				ea, eb := openPair(t, a, b, setting{}, setting{})
				handshakeBoth(t, ea, eb)
				w := heldWriter{make(chan error)}
				delivered := make(chan error, 1)
				go func() { delivered <- ea.Deliver(w) }()
				io.WriteString(eb, "ten bytes!")
				if over {
					eb.CloseWrite()
				}
				synctest.Wait() // all of it is in hand
				ea.CloseRead("enough")
				ea.CloseWrite()
				time.Sleep(time.Second)
				w.held <- failure
				start := time.Now()
				if err := <-delivered; err != failure && (failure != nil || err != ErrClosed) {
					t.Errorf("Deliver: %v", err)
				}
				if err := ea.Wait(); err != nil {
					t.Errorf("the reader has %v", err)
				}
				if err := eb.Wait(); errors.Is(err, ErrStopped) != (failure != nil) || err != nil && failure == nil {
					t.Errorf("the writer failed with %v, the peer's end had come: %v, and the peer has %v", failure, over, err)
				}
				if d := time.Since(start); d > 5*time.Second {
					t.Errorf("the end took %v", d)
				}
				want := int64(10)
				if failure != nil {
					want = 0
				}
				if n := ea.Stats().ReceivedBytes; n != want {
					t.Errorf("%d bytes count as received, not %d", n, want)
				}
			})
		}
	}
}

// A lateCloser is an output that shows only after a while that it has lost something.
type lateCloser struct{ io.Writer }

func (lateCloser) Close() error {
	time.Sleep(10 * time.Second)
	return errFull
}

// The acknowledgement of all bytes is also that of the end. It does not come before the output is
// closed, even if other messages do, or if the line with the end is lost.
func TestAnAcknowledgementOfAllBytesComesAfterTheEndOfTheOutput(t *testing.T) {
	for _, lost := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			var deaf atomic.Bool
			a, b := cable(t, relay{filter: dropping(func(int) bool { return deaf.Load() })}, relay{})
			ea, eb := openPair(t, a, b, setting{}, setting{})
			handshakeBoth(t, ea, eb)
			io.WriteString(ea, "ten bytes!")
			failed := make(chan error, 1)
			go func() {
				failed <- eb.Deliver(lateCloser{io.Discard})
				eb.Abort("full")
			}()
			synctest.Wait()
			deaf.Store(lost)
			ea.CloseWrite()
			time.Sleep(time.Second)
			deaf.Store(false)
			io.WriteString(eb, "an answer")
			eb.CloseWrite()
			if _, err := io.ReadAll(ea); err != nil {
				t.Error(err)
			}
			if err := ea.Wait(); !errors.Is(err, ErrAborted) || told[StreamEnded](ea) != 1 {
				t.Errorf("the end is lost: %v; the writer has %v; %v", lost, err, ea.events())
			}
			if err := <-failed; err != errFull {
				t.Errorf("Deliver: %v", err)
			}
		})
	}
}

// No window is too small for an acknowledgement that leaves the last byte out.
func TestAStreamMovesThroughTheSmallestWindows(t *testing.T) {
	for _, window := range []int64{1, 2, 3, 4, 5} {
		synctest.Test(t, func(t *testing.T) {
			a, b := cable(t, relay{delay: time.Millisecond}, relay{delay: time.Millisecond})
			small := func(c *Config) { c.Window = window }
			ea, eb := openPair(t, a, b, setting{config: small}, setting{config: small})
			start := time.Now()
			oa, ob := converseBoth(ea, eb, 40, 30)
			oa.whole(t, "a", 30)
			ob.whole(t, "b", 40)
			if d := time.Since(start); d > 10*time.Second {
				t.Errorf("a window of %d bytes: it took %v", window, d)
			}
		})
	}
}
