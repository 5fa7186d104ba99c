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
	"otrpipe/keyfile"
	"otrpipe/otr"
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

// An application closes its input after the first line and goes on. The second line has not arrived.
func TestAMessageThatAnApplicationDoesNotTakeHasNotArrived(t *testing.T) {
	o, err := options.Values{
		options.ModeFlag: {options.ModeLines}, options.OTRFlag: {"3"}, options.LingerFlag: {"100ms"},
	}.Options(nil)
	if err != nil {
		t.Fatal(err)
	}
	wireA, wireB := net.Pipe()
	start := func(who int, run func(*Session, *otr.Conversation) error) <-chan error {
		s := newSession(t, []string{"a", "b"}[who])
		identity := *identities()[who]
		c, err := s.Prepare(Setup{Options: o, KeepIdentity: true, Open: func(<-chan struct{}) (*keyfile.Identity, error) {
			return &identity, nil
		}})
		if err != nil {
			t.Fatal(err)
		}
		ended := make(chan error, 1)
		go func() { ended <- s.Finish(run(s, c)) }()
		return ended
	}
	served := start(0, func(s *Session, c *otr.Conversation) error {
		return s.Serve([]string{"sh", "-c", "read x; exec <&-; echo closed; sleep 1"}, c, wireA)
	})
	input, lines := io.Pipe()
	output, out := io.Pipe()
	sent := start(1, func(s *Session, c *otr.Conversation) error {
		return s.Run(c, wireB, func() (*Payload, error) { return &Payload{In: input, Out: out, DoneOut: out.Close}, nil })
	})
	_, _ = io.WriteString(lines, "one\n")
	if line, err := bufio.NewReaderSize(io.LimitReader(output, 7), 16).ReadString('\n'); line != "closed\n" {
		t.Errorf("%q, %v", line, err)
	}
	_, _ = io.WriteString(lines, "two\n")
	lines.Close()
	if err := wait(t, sent); exit.As(err).Code != exit.Broken || !strings.Contains(err.Error(), "not every message has reached the peer") {
		t.Errorf("the sender: %v", err)
	}
	if err := wait(t, served); err != nil {
		t.Errorf("the server: %v", err)
	}
}
