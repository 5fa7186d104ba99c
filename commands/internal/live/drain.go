package live

import (
	"time"

	"otrpipe/commands/internal/exit"
	"otrpipe/commands/internal/process"
)

const (
	// briefDrain is how long COMMAND may go without reading the remaining lines when we are told
	// to leave: the time that a slow IRC client takes per line. A second signal ends the wait.
	briefDrain = 10 * time.Second
	// failedDrain is the same bound for a session that has failed, where only a farewell is
	// left.
	failedDrain = 2 * time.Second
	// forEver stands for no limit.
	forEver = 100 * 365 * 24 * time.Hour
)

// grace returns how long COMMAND, the transport, may take to exit by itself. If there was no
// session, nobody needs what it still has to send.
func (s *Session) grace() time.Duration {
	if s.peer == nil {
		return process.Brief
	}
	return process.Patience
}

// drainTime returns how long the transport may go without reading the remaining lines at the
// end.
func (s *Session) drainTime() time.Duration {
	if s.options.Drain == 0 {
		return forEver
	}
	return s.options.Drain
}

// drain waits until COMMAND, the transport, has read the remaining lines. It returns err, the
// outcome so far, or an error if COMMAND has not read every text.
func (s *Session) drain(transport *process.Command, err error) error {
	patience, stop := s.drainTime(), (<-chan struct{})(s.stopped)
	switch cause := s.Cause(); {
	case s.peer == nil: // there was no session, so nothing can be lost
		patience = 0
	case cause != nil && cause != ErrEndedHere && cause != ErrQuit:
		patience = min(patience, briefDrain)
	case err != nil:
		patience = min(patience, failedDrain)
	}
	if s.Cause() != nil {
		stop = nil // the stop has taken effect
	}
	lines, surplus := s.linesNow(), int64(0)
	if lines != nil {
		surplus = max(lines.Surplus(), 0)
	}
	left := transport.Drain(patience, int(surplus), stop, func(left int) { s.tellDraining(int64(left)) })
	switch {
	case err != nil || left == 0 || lines == nil || !lines.TextsAmong(int64(left)):
		return err
	case stop != nil && s.Cause() != nil:
		return s.Cause()
	}
	return s.untaken()
}

// tellDraining tells the user what we are waiting for.
func (s *Session) tellDraining(left int64) {
	s.Note("%s still to be sent; interrupt again to leave anyway", bytesOf(left))
}

// untaken is the outcome when the transport has not read every text.
func (s *Session) untaken() error {
	return exit.Errorf(exit.Broken, "the transport did not take everything: some of our messages were not sent%s", s.TransportStatus()).
		WithHint("--drain D waits longer for a transport that takes nothing for a while; now %v", s.options.Drain)
}
