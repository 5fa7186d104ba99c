package live

import (
	"fmt"
	"sync"
	"time"

	"otrpipe/commands/internal/options"
	"otrpipe/commands/internal/terminal"
	"otrpipe/otr/stream"
)

// An endedWays records which directions of a stream have ended. Several goroutines may call its
// methods.
type endedWays struct {
	mu             sync.Mutex
	sent, received *int64 // the number of bytes; nil: the direction goes on
}

// end records the end of a direction.
func (e *endedWays) end(what stream.StreamEnded) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if what.Sent {
		e.sent = &what.Bytes
	} else {
		e.received = &what.Bytes
	}
}

// text describes what a stream is waiting for after one direction has ended; "": nothing. typed
// says that our plaintext is typed at a terminal.
func (e *endedWays) text(peer string, typed bool) string {
	e.mu.Lock()
	defer e.mu.Unlock()
	switch {
	case e.received != nil && e.sent == nil && typed:
		return fmt.Sprintf("%s has sent everything (%s, all here); Ctrl-D ends", peer, terminal.Size(*e.received))
	case e.received != nil && e.sent == nil:
		return fmt.Sprintf("%s has sent everything (%s, all here); the input of this end is still open", peer, terminal.Size(*e.received))
	case e.sent != nil && e.received == nil:
		return fmt.Sprintf("all has arrived (%s); waiting for %s to finish", terminal.Size(*e.sent), peer)
	}
	return ""
}

// tellHalfEnded tells a person at the terminal why the stream goes on although one direction has
// ended. Often somebody forgot to give an end that has nothing to send /dev/null as its input.
func (s *Session) tellHalfEnded() {
	if s.isFinished() {
		return
	}
	typed := s.setup.Input != nil && terminal.Is(s.setup.Input)
	if text := s.halves.text(s.otherEnd(), typed); text != "" {
		s.Note("%s", text)
	}
}

// tellMoved tells a person at the terminal that a session has ended properly, and how much it has
// moved.
func (s *Session) tellMoved(begun time.Time) {
	if s.setup.Served || s.cfg.AtTerminal || s.cfg.OwnProgress || !terminal.Is(s.Messages.File()) {
		return
	}
	stats, took := s.connected.Load().Stats(), rounded(time.Since(begun))
	if s.options.Mode == options.ModeLines {
		s.Note("%s", textsMovedText(stats, s.acknowledged, s.peerName(), took))
		return
	}
	s.Note("all has arrived: %s out, %s in, %v",
		terminal.Size(stats.SentBytes), terminal.Size(stats.ReceivedBytes), took)
}

// textsMovedText says what a session of mode lines that has ended well has moved.
// acknowledged says that the peer acknowledges messages, which have all arrived then.
func textsMovedText(stats stream.Stats, acknowledged bool, peer string, took time.Duration) string {
	moved := fmt.Sprintf("%s out (%s), %d in (%s), %v", terminal.Count(int(stats.SentMessages), "message"),
		terminal.Size(stats.SentBytes), stats.ReceivedMessages, terminal.Size(stats.ReceivedBytes), took)
	switch {
	case stats.SentMessages == 0:
		return "the session has ended: " + moved
	case acknowledged:
		return "all has arrived: " + moved
	}
	return "all was sent: " + moved + "; " + peer + "'s program does not say what has arrived"
}

// rounded returns a duration rounded for people.
func rounded(d time.Duration) time.Duration {
	if d < 10*time.Second {
		return d.Round(100 * time.Millisecond)
	}
	return d.Round(time.Second)
}
