package live

import (
	"fmt"
	"io"
	"slices"
	"time"

	"otrpipe/commands/internal/terminal"
)

// progressEvery is the time between updates of the progress line: short enough to look alive,
// long enough for a slow terminal.
const progressEvery = 200 * time.Millisecond

// showProgress shows the progress of the transfer on the terminal until we are told to leave or
// the function that it returns is called.
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
		case <-time.After(progressEvery): // do not wait for a terminal that takes no output
		}
	}
}

// wantsProgress reports whether to show a progress line. Without an explicit choice, there is
// one if standard error is a terminal and the payload is elsewhere or comes from a file, but not
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

// endsWithFirstByte reports whether the progress line disappears when the peer's first byte
// arrives, because its payload is shown on the terminal.
func (s *Session) endsWithFirstByte() bool { return !s.options.Progress && s.payloadOnTerminal() }

// remaining returns the number of bytes of plaintext still to send; 0: unknown.
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

// trustInPeer describes, for the progress line, who the peer is and how far it is trusted.
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
