package commands

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"otrpipe/commands/internal/control"
	"otrpipe/commands/internal/exit"
	"otrpipe/otr"
	"otrpipe/otr/stream"
)

// lastAnswers is how long a session that has ended waits for controllers to
// take their answers.
const lastAnswers = time.Second

// errEndedHere ends a session that our user wants to end.
var errEndedHere error = exit.Errorf(exit.Broken, "the session was ended with otrpipe end")

// Join serves the other half: it is let in or not, may pass signals on,
// and must not die before we do.
func (l *live) Join(conn *control.Conn, join *control.Join, files []*os.File) {
	defer conn.Close()
	if l.leaving() {
		control.CloseFiles(files)
		return // without an answer it tries again
	}
	p, refused := l.admit(conn, join, files)
	if refused != nil {
		control.CloseFiles(files)
		_ = conn.Send(control.ReplyOf(refused))
		return
	}
	if conn.Send(control.Reply{}) == nil {
		close(l.joined)
	}
	for {
		var request control.Request
		files, err := conn.Receive(&request)
		control.CloseFiles(files)
		switch {
		case err != nil:
			l.stop(exit.Errorf(exit.Broken, "the other half, otrpipe %s, was killed", p.role), "one half was killed")
			<-l.over // whose outcome the partner is told, if it lives
			return
		case request.Signal != 0:
			l.stop(exit.Silently(128+request.Signal), "interrupted")
		}
	}
}

// Handle does what a controller asks, which waits for it as long as ctx goes on.
func (l *live) Handle(ctx context.Context, r *control.Request) control.Reply {
	switch {
	case r.Status:
		return l.status()
	case r.SMP != nil && r.SMP.Abort:
		l.toldPerson("another shell aborts the comparison of secrets")
		return control.ReplyOf(l.abortSMP())
	case r.SMP != nil:
		l.toldPerson("another shell compares a secret with SMP")
		return control.ReplyOf(l.runSMP(ctx, r.SMP))
	case r.Refresh:
		l.toldPerson("another shell makes a new key exchange")
		return control.ReplyOf(l.refresh(ctx))
	case r.ExtraKey != nil:
		l.toldPerson("another shell takes the extra symmetric key")
		key, err := l.extraKey(ctx, r.ExtraKey)
		reply := control.ReplyOf(err)
		reply.Key = key
		return reply
	case r.End:
		l.toldPerson("another shell ends the session with otrpipe end")
		l.stop(errEndedHere, "ended by the user")
		<-l.over
		return control.Reply{}
	}
	return control.ReplyOf(exit.Errorf(exit.Failure, "the session's host does not know how to do that"))
}

// status is what a controller is shown.
func (l *live) status() control.Reply {
	l.mu.Lock()
	defer l.mu.Unlock()
	s := &control.Status{
		Session:  l.name.Session,
		Identity: l.name.Identity,
		Mode:     l.values.Mode(),
		State:    l.state,
		PID:      os.Getpid(),
	}
	if contact := l.values.Contact(); contact != "" {
		s.Contact = &contact
	}
	if l.peer != nil {
		p, since := *l.peer, l.session.KeysSince.UTC().Format(time.RFC3339)
		s.Version, s.Fingerprint, s.Trust = &p.Version, &p.Fingerprint, &p.Trust
		s.SSID, s.Instance, s.KeysSince = &p.SSID, p.Instance, &since
	}
	if l.link != nil {
		stats := l.link.Stats()
		s.Sent = control.Count{Bytes: stats.SentBytes, Messages: stats.SentMessages}
		s.Received = control.Count{Bytes: stats.ReceivedBytes, Messages: stats.ReceivedMessages}
	}
	reply := control.Reply{Status: s, Home: l.name.Home, Asked: l.smp.asked, Run: l.smp.run}
	if l.role != "" && l.partner == nil {
		reply.Waits = l.role
	}
	return reply
}

// secureLink waits until the session is encrypted with a peer that has met
// what was asked of it, and returns what it runs on, and which session it is.
func (l *live) secureLink(ctx context.Context, limit <-chan time.Time) (link, stream.SessionID, error) {
	none := stream.SessionID{}
	tap := l.tap()
	defer l.untap(tap)
	for {
		l.mu.Lock()
		lk, trusted := l.link, l.trusted
		l.mu.Unlock()
		if lk != nil && trusted {
			if id, ok := lk.Session(); ok {
				return lk, id, nil
			}
		}
		select {
		case <-tap:
		case <-limit:
			return nil, none, exit.Errorf(exit.Timeout, "session %q is not encrypted yet", l.name.Session)
		case <-ctx.Done():
			return nil, none, errGone
		case <-l.over:
			return nil, none, l.sessionEnded()
		}
	}
}

// errGone is for a controller that has left; it does not hear it.
var errGone = errors.New("the controller has left")

func (l *live) sessionEnded() error {
	return exit.Errorf(exit.Session, "session %q ended", l.name.Session)
}

// limit is a controller's time limit; none if d is 0.
func limit(d time.Duration) <-chan time.Time {
	if d <= 0 {
		return nil
	}
	return time.After(d)
}

// controlTimeout is how long the peer has to answer a key exchange.
const controlTimeout = time.Minute

// lapsedLink returns what a session in mode lines runs on that has ended and may begin
// again; nil where there is none.
func (l *live) lapsedLink() link {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.options == nil || l.options.Mode != modeLines || l.peer == nil || l.trusted || l.finished {
		return nil
	}
	return l.link
}

// refresh begins a new key exchange and waits for its end.
func (l *live) refresh(ctx context.Context) error {
	late := limit(controlTimeout)
	lk, do := l.lapsedLink(), (link).Do
	if lk == nil {
		var id stream.SessionID
		var err error
		if lk, id, err = l.secureLink(ctx, late); err != nil {
			return err
		}
		do = func(lk link, f func(*otr.Conversation) ([][]byte, error)) error { return lk.DoIn(id, f) }
	}
	tap := l.tap()
	defer l.untap(tap)
	if err := do(lk, (*otr.Conversation).Refresh); err != nil {
		return l.refused(err)
	}
	for {
		select {
		case e := <-tap:
			if _, ok := e.(otr.Secure); ok {
				return nil
			}
		case <-late:
			return exit.Errorf(exit.Timeout, "the peer has not answered the new key exchange within %v", controlTimeout)
		case <-ctx.Done():
			return errGone
		case <-l.over:
			return l.sessionEnded()
		}
	}
}

// refused is the error of an operation on the conversation.
func (l *live) refused(err error) error {
	select {
	case <-l.over:
		return l.sessionEnded()
	default:
	}
	var e *exit.Error
	if errors.As(err, &e) {
		return e
	}
	return exit.Errorf(exit.Failure, "%w", exit.Plain(err))
}

// extra is an extra symmetric key that the peer has announced.
type extra struct {
	session stream.SessionID // which it is of
	use     uint32
	key     []byte
}

// keepExtraKey keeps the key that the peer announced last, for extra-key
// --received.
func (l *live) keepExtraKey(in stream.SessionID, e otr.ExtraKeyReceived) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.extra != nil {
		clear(l.extra.key)
	}
	l.extra = &extra{session: in, use: e.Use, key: append([]byte(nil), e.Key...)}
}

// extraKey returns the extra symmetric key and tells the peer its use, or the
// one that the peer has announced.
func (l *live) extraKey(ctx context.Context, r *control.ExtraKey) ([]byte, error) {
	if r.Received {
		return l.extraKeyReceived()
	}
	lk, id, err := l.secureLink(ctx, limit(controlTimeout))
	if err != nil {
		return nil, err
	}
	var key []byte
	err = lk.DoIn(id, func(c *otr.Conversation) ([][]byte, error) {
		k, lines, err := c.ExtraKey(r.Use, r.Data)
		key = append([]byte(nil), k...)
		return lines, err
	})
	if err != nil {
		return nil, l.refused(err)
	}
	return key, nil
}

// tap returns a channel of what happens from now on.
func (l *live) tap() chan fmt.Stringer {
	tap := make(chan fmt.Stringer, 16)
	l.mu.Lock()
	l.taps[tap] = struct{}{}
	l.mu.Unlock()
	return tap
}

func (l *live) untap(tap chan fmt.Stringer) {
	l.mu.Lock()
	delete(l.taps, tap)
	l.mu.Unlock()
}

// tell passes an event on to the controllers that wait for one: an otr.Event, or
// stream.Trusted.
func (l *live) tell(e fmt.Stringer) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for tap := range l.taps {
		select {
		case tap <- e:
		default: // it is about to be read; one event is as good as another
		}
	}
}

// extraKeyReceived returns the key that the peer has announced: the peer of the present
// session, once it has met what was asked of it.
func (l *live) extraKeyReceived() ([]byte, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.link != nil && l.extra != nil && l.trusted {
		if id, ok := l.link.Session(); ok && id == l.extra.session {
			return append([]byte(nil), l.extra.key...), nil
		}
	}
	return nil, exit.Errorf(exit.Failure, "no trusted peer has announced the extra symmetric key in the present session of %q", l.name.Session)
}
