package live

import (
	"context"
	"errors"
	"time"

	"otrpipe/commands/internal/exit"
	"otrpipe/otr"
	"otrpipe/otr/stream"
)

// controlTimeout is how long the peer may be silent before it answers a key exchange.
const controlTimeout = time.Minute

// A waiter waits for one result. The owner sets session and err and closes done.
type waiter struct {
	done    chan struct{}
	session stream.SessionID // the session that it is about; read after done is closed
	err     error            // read after done is closed
}

func newWaiter() *waiter { return &waiter{done: make(chan struct{})} }

func (w *waiter) finish(err error) {
	w.err = err
	close(w.done)
}

// waiters holds the waiters by what they wait for. It belongs to the session's owner. The end of
// the session wakes them too, through Session.over.
type waiters struct {
	trusted map[*waiter]struct{} // wait for a peer that has passed every check
	secure  map[*waiter]struct{} // wait for the end of a key exchange
	smp     *smpRun              // waits for the result of SMP; nil: nobody does
}

// finishAll gives all waiters in a set their result.
func finishAll(set *map[*waiter]struct{}, session stream.SessionID) {
	for w := range *set {
		w.session = session
		w.finish(nil)
	}
	*set = nil
}

func add(set *map[*waiter]struct{}, w *waiter) {
	if *set == nil {
		*set = map[*waiter]struct{}{}
	}
	(*set)[w] = struct{}{}
}

// do makes the owner run f, as link.Do does, and publishes the changes.
func (s *Session) do(f func(*otr.Conversation) ([][]byte, error)) error {
	return s.doIn(stream.SessionID{}, f)
}

// doIn is do in one session only, as link.DoIn does. A zero session means any.
func (s *Session) doIn(session stream.SessionID, f func(*otr.Conversation) ([][]byte, error)) error {
	shown := func(c *otr.Conversation) ([][]byte, error) {
		lines, err := f(c)
		s.publish()
		return lines, err
	}
	var err error
	if session == (stream.SessionID{}) {
		err = s.connected.Load().Do(shown)
	} else {
		err = s.connected.Load().DoIn(session, shown)
	}
	if err != nil {
		return s.refused(err)
	}
	return nil
}

// refused returns the error of a failed operation on the conversation.
func (s *Session) refused(err error) error {
	select {
	case <-s.ended:
		return s.sessionEnded()
	default:
	}
	var e *exit.Error
	switch {
	case errors.As(err, &e):
		return e
	case s.between.Load():
		return exit.Errorf(exit.Failure, "there is no encrypted session: no caller has passed the checks yet")
	}
	return exit.Failed(err)
}

func (s *Session) sessionEnded() error {
	return exit.Errorf(exit.Session, "session %q ended", s.cfg.Name.Session)
}

// A deadline is the time limit of a request. Its channel is nil if there is no limit.
type deadline <-chan time.Time

func limit(d time.Duration) deadline {
	if d <= 0 {
		return nil
	}
	return time.After(d)
}

// limitUnless returns a deadline that passes d from now, and then whenever more returns no further
// time to wait. It never passes once ctx has ended.
func limitUnless(ctx context.Context, d time.Duration, more func() time.Duration) deadline {
	late := make(chan time.Time, 1)
	go func() {
		for d > 0 {
			select {
			case <-time.After(d):
				d = more()
			case <-ctx.Done():
				return
			}
		}
		late <- time.Now()
	}()
	return late
}

// answerTime returns how much longer to wait for the end of the key exchange. While the peer
// writes, its answer may be in a queue behind what it writes. How long that may last in all is
// the Conversation's affair, which gives the exchange up in the end.
func (s *Session) answerTime() (more time.Duration) {
	_ = s.connected.Load().Do(func(c *otr.Conversation) ([][]byte, error) { // or the session has ended
		if c.UnderWay() {
			more = controlTimeout - time.Since(c.Heard())
		}
		return nil, nil
	})
	return more
}

// awaitSecure waits for an encrypted session with a peer that has passed every check, and
// returns that session.
func (s *Session) awaitSecure(ctx context.Context, late deadline) (session stream.SessionID, err error) {
	select {
	case <-s.running:
	case <-late:
		return session, s.notEncrypted()
	case <-ctx.Done():
		return session, ctx.Err()
	case <-s.ended:
		return session, s.sessionEnded()
	}
	w := newWaiter()
	err = s.do(func(*otr.Conversation) ([][]byte, error) {
		if id, ok := s.connected.Load().Session(); ok && s.trusted {
			w.session = id
			w.finish(nil)
		} else {
			add(&s.waiters.trusted, w)
		}
		return nil, nil
	})
	if err != nil {
		return session, err
	}
	err = s.await(ctx, w, late, s.notEncrypted, &s.waiters.trusted)
	if err == nil {
		session = w.session
	}
	return session, err
}

func (s *Session) notEncrypted() error {
	return exit.Errorf(exit.Timeout, "session %q is not encrypted yet", s.cfg.Name.Session)
}

// await waits for w, which is in a set of waiters, and removes it from the set if the wait ends
// early.
func (s *Session) await(ctx context.Context, w *waiter, late deadline, tooLate func() error, set *map[*waiter]struct{}) error {
	var err error
	select {
	case <-w.done:
		return w.err
	case <-s.ended:
		return s.sessionEnded()
	case <-late:
		err = tooLate()
	case <-ctx.Done():
		err = ctx.Err()
	}
	_ = s.connected.Load().Do(func(*otr.Conversation) ([][]byte, error) { // or the session has ended
		delete(*set, w)
		return nil, nil
	})
	return err
}
