package live

import (
	"fmt"
	"io"
	"slices"
	"time"

	"otrpipe/commands/internal/terminal"
)

// progressEvery is how often the progress line is drawn anew: often enough to
// look alive, and no load on a slow terminal.
const progressEvery = 200 * time.Millisecond

// showProgress shows on the terminal how far the transfer is, until we are
// told to leave or the function it returns is called.
func (s *Session) showProgress() (end func()) {
	if !s.wantsProgress() {
		return func() {}
	}
	line, brief := s.Messages.Progress(time.Now(), s.remaining()), s.endsWithFirstByte()
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		defer line.End()
		tick := time.NewTicker(progressEvery)
		defer tick.Stop()
		for {
			select {
			case now := <-tick.C:
				stats := s.connected.Load().Stats()
				if brief && stats.ReceivedBytes > 0 {
					return
				}
				line.Show(now, stats.SentBytes, stats.ReceivedBytes, s.trustInPeer())
			case <-s.stopped:
				return
			case <-stop:
				return
			}
		}
	}()
	return func() {
		close(stop)
		select {
		case <-stopped:
		case <-time.After(progressEvery): // a terminal that takes nothing holds up no end
		}
	}
}

// wantsProgress reports whether there is a progress line: only ever on a
// terminal. It is guessed on where the payload is elsewhere, or comes from a file; but not
// for serve, of which several may run at one terminal.
func (s *Session) wantsProgress() bool {
	switch {
	case s.cfg.OwnProgress || !terminal.Is(s.Messages.File()):
		return false
	case s.options.Progress:
		return true
	case s.Quiet || s.setup.Served:
		return false
	}
	return !s.payloadOnTerminal() || s.remaining() > 0
}

func (s *Session) payloadOnTerminal() bool { return slices.ContainsFunc(s.setup.Streams, terminal.Is) }

// endsWithFirstByte reports whether the progress line gives way to what the peer sends,
// which is shown on the terminal.
func (s *Session) endsWithFirstByte() bool { return !s.options.Progress && s.payloadOnTerminal() }

// remaining is how many bytes of plaintext there are still to send; 0: nobody
// knows.
func (s *Session) remaining() int64 {
	in := s.setup.Input
	if in == nil {
		return 0
	}
	info, err := in.Stat()
	if err != nil || !info.Mode().IsRegular() {
		return 0
	}
	at, err := in.Seek(0, io.SeekCurrent)
	if err != nil {
		return 0
	}
	return max(0, info.Size()-at)
}

// trustInPeer says, for the progress line, who the peer is and how far it is
// trusted.
func (s *Session) trustInPeer() string {
	now := s.Snapshot()
	switch {
	case now.Peer == nil:
		return ""
	case now.Contact != "":
		return fmt.Sprintf("%s (%s)", now.Contact, now.Standing().ForPeople())
	case s.options.SMP != nil && now.Trusted:
		return "peer knows the secret"
	}
	return "peer " + now.Standing().ForPeople()
}
