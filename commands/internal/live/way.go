package live

import (
	"errors"
	"fmt"
	"os"
	"sync/atomic"
	"time"

	"otrpipe/commands/internal/control"
	"otrpipe/commands/internal/events"
	"otrpipe/commands/internal/exit"
	"otrpipe/commands/internal/guesses"
	"otrpipe/commands/internal/options"
	"otrpipe/commands/internal/process"
	"otrpipe/commands/internal/transport"
	"otrpipe/otr"
	"otrpipe/otr/stream"
)

// A Way is the way to the other end. Exactly one of Command, Dial and Listener is set.
type Way struct {
	Command []string // a program, the transport
	// Dial is a HOST:PORT in the form of transport.DialAddress. It is dialled again and again
	// until the other end is there, within the session's time limit.
	Dial string
	// Listener accepts callers one after another. A caller that fails a check is told and turned
	// away, and the next one gets its turn; the first that passes ends the listening. RunOver
	// closes the listener.
	Listener *transport.Listener
}

// RunOver runs the session over a way to the other end; see Run. c is the conversation that
// Prepare made; stderr is the standard error of a program. open is called at most once, when a
// peer has passed every check.
func (s *Session) RunOver(w Way, stderr *os.File, c *otr.Conversation, open func() (*Payload, error)) error {
	s.toldWaiting.Store(false)
	s.spoken = false
	switch {
	case w.Listener != nil:
		return s.runListener(w.Listener, c, open)
	case w.Dial != "":
		return s.runDialer(w.Dial, c, open)
	}
	command, err := s.Start(w.Command, stderr)
	if err != nil {
		return err
	}
	if s.options.Mode == options.ModeLines {
		// Keep the pipe small, so that lines which a slow transport has not read wait here,
		// where we can see them.
		process.Narrow(command.In)
	}
	err = s.drain(command, s.Run(c, command.Transport(), open))
	wanted := err == nil && s.options.TransportStatus
	if wanted {
		command.Finish(s.stopped)
	}
	command.Leave(s.grace())
	command.Sweep()
	switch {
	case wanted && s.Cause() != nil: // stopped while the transport was finishing
		return s.Cause()
	case wanted:
		return command.Result()
	}
	return err
}

// runDialer dials until the other end is there, and runs the session. If a connection closes
// before a byte has arrived, it dials again.
func (s *Session) runDialer(address string, c *otr.Conversation, open func() (*Payload, error)) error {
	ctx, cancel := s.whileWaiting()
	defer cancel()
	var latest atomic.Pointer[error]
	dialer := transport.Dialer{Address: address, Failed: func(err error) { latest.Store(&err) }}
	longer := time.AfterFunc(notice, func() {
		more := " at " + address
		if err := latest.Load(); err != nil {
			more += fmt.Sprintf(": %v", *err)
		}
		s.tellWaiting(more)
	})
	defer longer.Stop()
	s.state = control.StateHandshake
	s.publish()
	for {
		conn, err := dialer.Dial(ctx)
		longer.Stop()
		if cause := s.Cause(); cause != nil {
			if conn != nil {
				conn.Close()
			}
			return s.outcome(cause, nil)
		}
		if err != nil {
			return s.unreached(address, err)
		}
		s.Detail("connected to %s", conn.Address())
		err = s.Run(c, conn, open)
		if conn.Heard() > 0 || s.Cause() != nil || !errors.Is(s.ending, stream.ErrClosedBeforeSession) || ctx.Err() != nil {
			return err
		}
		dialer.Failed(errors.New("the connection was closed at once"))
		longer.Reset(notice)
		begun := s.begun
		if c, err = s.again(); err != nil {
			return err
		}
		s.begun = begun // the wait goes on
	}
}

// unreached returns the error of a dial that has finally failed.
func (s *Session) unreached(address string, err error) error {
	if errors.Is(err, transport.ErrHost) {
		return exit.Errorf(exit.Failure, "--tcp: %w", exit.Plain(err))
	}
	why := ""
	var unreached *transport.UnreachedError
	if errors.As(err, &unreached) && unreached.Latest != nil {
		why = fmt.Sprintf(" (%v)", unreached.Latest)
	}
	return exit.Errorf(exit.Timeout, "%s could not be reached within %v%s", address, s.longest(), why).
		WithHint("is %s listening there? --timeout D tries for longer", s.otherEnd())
}

// runListener runs the session with one caller after another until one passes every check.
func (s *Session) runListener(l *transport.Listener, c *otr.Conversation, open func() (*Payload, error)) error {
	defer l.Close()
	s.listens = true
	s.tellListening(l)
	longer := time.AfterFunc(notice, func() { s.tellWaiting("") })
	defer longer.Stop()
	ctx, cancel := s.whileWaiting()
	defer cancel()
	for {
		caller, err := l.Accept(ctx.Done())
		longer.Stop()
		switch cause := s.Cause(); {
		case err != nil && cause == nil:
			return s.outcome(s.uncalled(), nil)
		case err != nil:
			return s.outcome(cause, nil)
		}
		s.spoken = true
		s.between.Store(false)
		s.begun = time.Now()
		s.Detail("a caller from %s", caller.Address())
		passed := false
		watch := s.dropStalled(l)
		err = s.Run(c, caller, func() (*Payload, error) {
			passed = true
			caller.Pass()
			l.Close()
			return open()
		})
		stalled := watch()
		if passed || s.Cause() != nil || isOurs(err) {
			return err
		}
		switch {
		case err == nil:
			err = exit.Errorf(exit.Broken, "it left")
		case stalled > 0:
			err = errStalled(stalled)
		}
		s.turnedAway(caller.Address(), err, caller.Refuse())
		s.spoken = false
		s.between.Store(true)
		if c, err = s.again(); err != nil {
			return err
		}
	}
}

// tellListening tells the user where the session listens.
func (s *Session) tellListening(l *transport.Listener) {
	address := l.Address()
	s.logStarted()
	s.logNow(events.Record{Event: events.Listening, Address: address})
	s.Note("%s", listeningText(l))
}

// listeningText describes where a listener listens.
func listeningText(l *transport.Listener) string {
	if l.Everywhere() {
		return fmt.Sprintf("listening on %s, on every address of this machine", l.Address())
	}
	return "listening on " + l.Address()
}

// isOurs reports whether an attempt failed because of our own files, so that it would fail for
// the next caller too.
func isOurs(err error) bool {
	var e *exit.Error
	return errors.As(err, &e) && e.Code == exit.KeyFile
}

// turnedAway reports a caller that has failed a check.
func (s *Session) turnedAway(address string, err error, total int) {
	e := exit.As(err)
	s.logNow(events.Record{Event: events.TurnedAway, Address: address, Code: &e.Code, Message: err.Error(), Count: total})
	s.Warn("the caller from %s was turned away: %v", address, err)
	if e.Hint != "" {
		s.Advise("%s", e.Hint)
	}
	s.Note("still listening; callers turned away: %d", total)
}

// Again makes the session ready for another connection, after RunOver has returned, and returns
// a new conversation. The run stays bound to the key that has passed every check in it, if there
// is one.
func (s *Session) Again() (*otr.Conversation, error) {
	if next := s.keeper.Again(); next.Bound() {
		s.bound = next
	}
	if s.mayLiveOn = s.mayLiveOn || s.wasCutOff(); s.mayLiveOn && s.session.Version < 4 && s.tag != nil {
		// After a query under this tag, some clients would go on in clear.
		s.tag.Leave()
		s.tag, s.client, s.mayLiveOn = nil, 0, false
	}
	return s.renew()
}

// wasCutOff reports whether the last connection was cut off during a session, which may live on
// at the peer.
func (s *Session) wasCutOff() bool { return s.peer != nil && errors.Is(s.ending, stream.ErrBroken) }

// again makes the session ready for another peer after one that failed a check, and returns a
// new conversation.
func (s *Session) again() (*otr.Conversation, error) {
	s.mayLiveOn = s.mayLiveOn || s.wasCutOff()
	return s.renew()
}

// renew forgets the last connection and returns a new conversation.
func (s *Session) renew() (*otr.Conversation, error) {
	s.mu.Lock()
	s.abort = nil
	s.mu.Unlock()
	s.endGate(guesses.Unknown)
	if s.extra != nil {
		clear(s.extra.key)
	}
	s.state, s.ending = control.StateWaiting, nil
	s.peerState = peerState{smp: smpState{run: s.smp.run}}
	s.begun = time.Now()
	s.publish()
	return s.conversation()
}
