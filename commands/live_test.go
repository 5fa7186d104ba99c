package commands

import (
	"errors"
	"testing"

	"otrpipe/commands/internal/exit"
	"otrpipe/otr/stream"
)

// The stream may have ended well before its last bytes are found to be
// unwritable. Then both ways to learn of it are there at once.
func TestPlaintextThatCannotBeWrittenIsNeverSuccess(t *testing.T) {
	lost := errors.New("no space left")
	for range 64 {
		l := &live{stopped: make(chan struct{})}
		received := make(chan error, 1)
		received <- l.outputLost(lost)
		err := l.outcome(nil, received)
		var e *exit.Error
		if !errors.As(err, &e) || !errors.Is(err, lost) {
			t.Fatalf("the outcome is %v", err)
		}
	}
}

func TestPlaintextLeftUnwrittenAtASignalIsNeverSuccess(t *testing.T) {
	l := &live{stopped: make(chan struct{})}
	signal := exit.Silently(143)
	l.stop(signal, "interrupted")
	if err := l.outcome(nil, make(chan error)); err != error(signal) {
		t.Errorf("the outcome is %v", err)
	}
}

// A controller that comes between a session's beginning and the last check of
// its peer waits for that check.
func TestWhoWaitsForATrustedSessionIsWoken(t *testing.T) {
	l := newMeeting(t, "", trustNew)
	tap := l.tap()
	l.event(stream.Event{What: stream.Trusted{}, Count: 1})
	select {
	case <-tap:
	default:
		t.Fatal("nobody was told")
	}
	if !l.trusted {
		t.Error("and the session is not trusted")
	}
}
