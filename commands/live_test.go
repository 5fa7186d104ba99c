package commands

import (
	"errors"
	"testing"
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
		var exit *exitError
		if !errors.As(err, &exit) || !errors.Is(err, lost) {
			t.Fatalf("the outcome is %v", err)
		}
	}
}

func TestPlaintextLeftUnwrittenAtASignalIsNeverSuccess(t *testing.T) {
	l := &live{stopped: make(chan struct{})}
	signal := leave(143)
	l.stop(signal, "interrupted")
	if err := l.outcome(nil, make(chan error)); err != error(signal) {
		t.Errorf("the outcome is %v", err)
	}
}
