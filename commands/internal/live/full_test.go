package live

import (
	"bufio"
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"otrpipe/commands/internal/exit"
	"otrpipe/commands/internal/options"
	"otrpipe/commands/internal/process"
)

// withFakeClock runs a test of sessions that nothing outside of it can reach in a bubble of its own,
// whose clock moves on as soon as all of them wait.
func withFakeClock(t *testing.T, f func(*testing.T)) {
	t.Helper()
	process.Watch().Stop() // the runtime's goroutine for signals must begin outside of the bubble
	synctest.Test(t, f)
}

// The output of one end takes one line of three and is full then. That end says how much of its output
// there is, and the other end does not take the rest as arrived, although it has sent everything.
func TestAFullOutputIsAFailureAtBothEnds(t *testing.T) {
	identities()
	bytes := options.Values{options.OTRFlag: {"3"}}
	for _, mode := range []options.Values{lines, bytes} {
		withFakeClock(t, func(t *testing.T) {
			wireA, wireB := net.Pipe()
			a, b := connectOver(t, newUnreachable, [2]net.Conn{wireA, wireB}, mode, mode)
			go func() { _, _ = io.Copy(io.Discard, b.output) }()
			go func() {
				for range 3 {
					_, _ = io.WriteString(b.input, "line\n")
					synctest.Wait()
				}
				b.input.Close()
			}()
			if line, err := bufio.NewReaderSize(io.LimitReader(a.output, 5), 16).ReadString('\n'); line != "line\n" {
				t.Errorf("%q, %v", line, err)
			}
			_ = a.output.CloseWithError(errors.New("no space left"))
			if err := <-a.ended; exit.As(err).Code != exit.Failure || !strings.HasSuffix(err.Error(), "no space left; the output is incomplete: it ends after 5 bytes") {
				t.Errorf("the end whose output is full: %v", err)
			}
			if err := <-b.ended; exit.As(err).Code != exit.Broken {
				t.Errorf("the other end: %v", err)
			}
		})
	}
}

// The output of one end shows only when it is closed that it is full, as a file of a network may. By
// then the other end has had its acknowledgements.
func TestAnOutputThatCannotBeClosedIsAFailureAtBothEnds(t *testing.T) {
	process.Watch().Stop() // the runtime's goroutine for signals must begin outside of the bubble
	identities()
	bytes := options.Values{options.OTRFlag: {"3"}}
	for _, mode := range []options.Values{lines, bytes} {
		synctest.Test(t, func(t *testing.T) { // with a fake clock
			wireA, wireB := net.Pipe()
			full := [2]error{errors.New("no space left")}
			a, b := connectTo(t, full, newUnreachable, [2]net.Conn{wireA, wireB}, mode, mode)
			for _, s := range []side{a, b} {
				go func() { _, _ = io.Copy(io.Discard, s.output) }()
			}
			_, _ = io.WriteString(b.input, "line\n")
			time.Sleep(5 * time.Second)
			a.input.Close()
			b.input.Close()
			if err := <-a.ended; exit.As(err).Code != exit.Failure || !strings.HasSuffix(err.Error(), "no space left; the output is incomplete: it ends after 5 bytes") {
				t.Errorf("the end whose output is full: %v", err)
			}
			if err := <-b.ended; exit.As(err).Code != exit.Broken {
				t.Errorf("the other end: %v", err)
			}
		})
	}
}

// The output of one end takes nothing for two seconds, and then it is gone. The message that it did
// not take has been acknowledged meanwhile.
func TestAMessageThatIsLostAfterItsAcknowledgementIsAFailureAtBothEnds(t *testing.T) {
	process.Watch().Stop()
	identities()
	synctest.Test(t, func(t *testing.T) {
		wireA, wireB := net.Pipe()
		a, b := connectOver(t, newUnreachable, [2]net.Conn{wireA, wireB}, lines, lines)
		go func() { _, _ = io.Copy(io.Discard, b.output) }()
		_, _ = io.WriteString(b.input, "line\n")
		time.Sleep(2 * time.Second)
		b.input.Close()
		_ = a.output.CloseWithError(errors.New("no space left"))
		if err := <-a.ended; exit.As(err).Code != exit.Failure {
			t.Errorf("the end whose output is gone: %v", err)
		}
		if err := <-b.ended; exit.As(err).Code != exit.Broken || !strings.Contains(err.Error(), "could not write every message") {
			t.Errorf("the other end: %v", err)
		}
	})
}

// An end is interrupted while its output takes nothing, like that of a pager which waits for a key. The
// message that has been acknowledged is lost then, and the other end must know it. If the output takes
// it, all is well there.
func TestAMessageInHandAtAnInterruptIsNoSuccessAtTheOtherEnd(t *testing.T) {
	process.Watch().Stop()
	identities()
	for _, cause := range []error{exit.Silently(130), ErrEndedHere} {
		for _, reads := range []bool{false, true} {
			synctest.Test(t, func(t *testing.T) {
				wireA, wireB := net.Pipe()
				a, b := connectOver(t, newUnreachable, [2]net.Conn{wireA, wireB}, lines, lines)
				if reads {
					go func() { _, _ = io.Copy(io.Discard, a.output) }()
				}
				_, _ = io.WriteString(b.input, "line\n")
				time.Sleep(2 * time.Second)
				b.input.Close()
				start := time.Now()
				a.Stop(cause, "interrupted")
				if err := <-b.ended; (err == nil) != reads || err != nil && exit.As(err).Code != exit.Broken {
					t.Errorf("the output reads: %v, and the other end has %v", reads, err)
				}
				if err := <-a.ended; (err == nil) != (reads && cause == ErrEndedHere) {
					t.Errorf("the end that is interrupted: %v", err)
				}
				if d := time.Since(start); d > 2*time.Second || reads && d > lastWrite {
					t.Errorf("the output reads: %v, and that took %v", reads, d)
				}
			})
		}
	}
}
