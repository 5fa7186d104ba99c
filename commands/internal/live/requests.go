package live

import (
	"context"
	"errors"
	"os"
	"time"

	"otrpipe/commands/internal/control"
	"otrpipe/commands/internal/exit"
	"otrpipe/commands/internal/options"
	"otrpipe/commands/internal/terminal"
	"otrpipe/otr"
	"otrpipe/otr/stream"
)

// ErrUnencrypted is the error of operations that need a session when there is none.
var ErrUnencrypted error = exit.Errorf(exit.Failure, "there is no encrypted session").
	WithHint("/refresh begins one")

// Handle carries out a controller's request. The controller waits for it until ctx ends.
func (s *Session) Handle(ctx context.Context, r *control.Request) control.Reply {
	switch {
	case r.Status:
		now := s.Snapshot()
		return control.Reply{Status: s.Status(), Home: s.cfg.Name.Home, Asked: now.Asked, Run: now.Run}
	case r.SMP != nil && r.SMP.Abort:
		s.tellPerson("another shell aborts the comparison of secrets")
		err := s.AbortSMP()
		if errors.Is(err, ErrNoSMP) {
			err = nil // a script aborts whatever there may be
		}
		return control.ReplyOf(err)
	case r.SMP != nil:
		s.tellPerson("another shell compares a secret with SMP")
		return control.ReplyOf(s.CompareSecret(ctx, r.SMP))
	case r.Refresh:
		s.tellPerson("another shell makes a new key exchange")
		return control.ReplyOf(s.Refresh(ctx))
	case r.ExtraKey != nil:
		s.tellPerson("another shell takes the extra symmetric key")
		key, err := s.ExtraKey(ctx, r.ExtraKey)
		reply := control.ReplyOf(err)
		reply.Key = key
		return reply
	case r.End:
		s.tellPerson("another shell ends the session with otrpipe end")
		s.Stop(ErrEndedHere, "ended by the user")
		<-s.ended
		return control.Reply{}
	}
	return control.ReplyOf(exit.Errorf(exit.Failure, "the session's host does not know how to do that"))
}

// Join refuses a half, because this end has none.
func (s *Session) Join(conn *control.Conn, _ *control.Join, files []*os.File) {
	defer conn.Close()
	control.CloseFiles(files)
	if !s.Leaving() { // if it gets no answer, it tries again
		_ = conn.Reply(control.ReplyOf(s.cfg.Name.Taken()))
	}
}

// Refresh begins a new key exchange and waits for its end, as long as the peer writes.
func (s *Session) Refresh(ctx context.Context) error {
	began := time.Now()
	var session stream.SessionID
	if !s.hasLapsed() {
		var err error
		if session, err = s.awaitSecure(ctx, limit(controlTimeout)); err != nil {
			return err
		}
	}
	w := newWaiter()
	err := s.doIn(session, func(c *otr.Conversation) ([][]byte, error) {
		lines, err := c.Refresh()
		if err == nil {
			add(&s.waiters.secure, w)
		}
		return lines, err
	})
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	late := limitUnless(ctx, controlTimeout-time.Since(began), s.answerTime)
	return s.await(ctx, w, late, func() error {
		return exit.Errorf(exit.Timeout, "%s has not answered the new key exchange within %v", s.contactName(), time.Since(began).Round(time.Second))
	}, &s.waiters.secure)
}

// hasLapsed reports whether a session in mode lines has ended but may begin again.
func (s *Session) hasLapsed() bool {
	now := s.Snapshot()
	return s.isRunning() && now.Mode == options.ModeLines && now.Peer != nil && !now.Trusted && !s.isFinished()
}

func (s *Session) isFinished() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.finished
}

// Query asks the peer for a session if there is none.
func (s *Session) Query() error {
	if !s.isRunning() {
		return ErrUnencrypted
	}
	return s.do((*otr.Conversation).Start)
}

// End ends the session and tells the peer. It is for mode lines.
func (s *Session) End() error {
	lines := s.linesNow()
	if lines == nil {
		return ErrUnencrypted
	}
	if err := lines.EndSession(); err != nil {
		return s.refused(err)
	}
	return nil
}

// Send sends a text as typed in mode lines, in the given session or not at all, and returns its
// number. Its errors are those of package stream.
func (s *Session) Send(in stream.SessionID, text string) (number int64, err error) {
	lines := s.linesNow()
	if lines == nil {
		return 0, stream.ErrNoSession
	}
	return lines.WriteTextIn(in, []byte(s.asTyped(text)))
}

// linesNow returns the stream of mode lines that runs or ran last; nil: there is none.
func (s *Session) linesNow() *stream.Lines {
	if c := s.connected.Load(); c != nil {
		return c.lines
	}
	return nil
}

// Running reports whether the transport carries the session yet.
func (s *Session) Running() bool { return s.isRunning() }

// An extraKey is an extra symmetric key that the peer has announced.
type extraKey struct {
	session stream.SessionID // the session that it belongs to
	use     uint32
	key     []byte
}

// keepExtraKey keeps the latest key that the peer announced, for extra-key --received.
func (s *Session) keepExtraKey(in stream.SessionID, e otr.ExtraKeyReceived) {
	if s.extra != nil {
		clear(s.extra.key)
	}
	s.extra = &extraKey{session: in, use: e.Use, key: append([]byte(nil), e.Key...)}
}

// ExtraKey returns the extra symmetric key and tells the peer its use, or returns
// the key that the peer has announced.
func (s *Session) ExtraKey(ctx context.Context, r *control.ExtraKey) (key []byte, err error) {
	var session stream.SessionID
	peer := "the peer"
	if contact := s.Snapshot().Contact; contact != "" {
		peer = terminal.Visible(contact)
	}
	missing := exit.Errorf(exit.Failure, "%s has not announced the extra symmetric key in session %q", peer, s.cfg.Name.Session)
	switch {
	case !r.Received:
		if session, err = s.awaitSecure(ctx, limit(controlTimeout)); err != nil {
			return nil, err
		}
	case !s.isRunning():
		return nil, missing
	}
	err = s.doIn(session, func(c *otr.Conversation) ([][]byte, error) {
		if r.Received {
			// Only the key of the present session, and only if its peer has passed every check.
			now, ok := s.connected.Load().Session()
			if s.extra == nil || !s.trusted || !ok || now != s.extra.session {
				return nil, missing
			}
			key = append([]byte(nil), s.extra.key...)
			return nil, nil
		}
		k, lines, err := c.ExtraKey(r.Use, r.Data)
		key = append([]byte(nil), k...)
		return lines, err
	})
	if err != nil {
		return nil, err
	}
	return key, nil
}
