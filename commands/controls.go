package commands

import (
	"errors"
	"fmt"
	"net"
	"os"
	"time"

	"otrpipe/commands/internal/exit"
	"otrpipe/commands/internal/session"
	"otrpipe/otr"
)

// lastAnswers is how long a session that has ended waits for controllers to
// take their answers.
const lastAnswers = time.Second

// maxGuests is how many processes may be connected to a session at once.
const maxGuests = 64

// receiveGuests lets processes in: the other half, and controllers.
func (l *live) receiveGuests() {
	places := make(chan struct{}, maxGuests)
	for {
		conn, err := l.seat.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			// Out of file descriptors, perhaps: guests can wait.
			select {
			case <-time.After(seatPause):
				continue
			case <-l.over:
				return
			}
		}
		select {
		case places <- struct{}{}:
			go func() {
				l.receiveGuest(conn)
				<-places
			}()
		default:
			conn.Close()
		}
	}
}

// receiveGuest serves one process until it leaves.
func (l *live) receiveGuest(conn *session.Conn) {
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(greeting))
	var first session.Request
	files, err := conn.Receive(&first)
	if err != nil {
		return
	}
	conn.SetDeadline(time.Time{})
	if first.Join != nil {
		l.receiveHalf(conn, first.Join, files)
		return
	}
	session.CloseFiles(files)
	requests := make(chan session.Request)
	go func() {
		defer close(requests)
		for {
			var next session.Request
			files, err := conn.Receive(&next)
			session.CloseFiles(files)
			if err != nil {
				return
			}
			requests <- next
		}
	}()
	for ok := true; ok; first, ok = <-requests {
		if !l.answerTo(conn, &first, requests) {
			break
		}
	}
	conn.Close()
	for range requests {
	}
}

// errEndedHere ends a session that our user wants to end.
var errEndedHere error = exit.Errorf(exit.Broken, "the session was ended with otrpipe end")

// answerTo answers one request; false: the controller does not take answers
// any more.
func (l *live) answerTo(conn *session.Conn, r *session.Request, gone <-chan session.Request) bool {
	l.answering <- struct{}{}
	defer func() { <-l.answering }()
	reply := l.answer(r, gone)
	conn.SetDeadline(time.Now().Add(greeting))
	err := conn.Send(reply)
	conn.SetDeadline(time.Time{})
	return err == nil
}

// answerAll waits until those who asked something of the session know what
// became of it. The session has ended, so nothing they wait for takes long.
func (l *live) answerAll() {
	late := time.After(lastAnswers)
	for range maxGuests {
		select {
		case l.answering <- struct{}{}:
		case <-late:
			return
		}
	}
}

// receiveHalf serves the other half: it is let in or not, may pass signals on,
// and must not die before we do.
func (l *live) receiveHalf(conn *session.Conn, join *session.Join, files []*os.File) {
	if l.leaving() {
		session.CloseFiles(files)
		return // without an answer it tries again
	}
	p, refused := l.admit(conn, join, files)
	if refused != nil {
		session.CloseFiles(files)
		_ = conn.Send(replyOf(refused))
		return
	}
	if conn.Send(session.Reply{}) == nil {
		close(l.joined)
	}
	for {
		var request session.Request
		files, err := conn.Receive(&request)
		session.CloseFiles(files)
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

func replyOf(err error) session.Reply {
	if err == nil {
		return session.Reply{}
	}
	e := exit.As(err)
	return session.Reply{Code: e.Code, Error: err.Error(), Hint: e.Hint}
}

// answer does what a controller asks. A message on gone, or its end, says that
// the controller does not wait any longer.
func (l *live) answer(r *session.Request, gone <-chan session.Request) session.Reply {
	switch {
	case r.Status:
		return l.status()
	case r.SMP != nil && r.SMP.Abort:
		l.toldPerson("another shell aborts the comparison of secrets")
		return replyOf(l.abortSMP())
	case r.SMP != nil:
		l.toldPerson("another shell compares a secret with SMP")
		return replyOf(l.runSMP(r.SMP, gone))
	case r.Refresh:
		l.toldPerson("another shell makes a new key exchange")
		return replyOf(l.refresh(gone))
	case r.ExtraKey != nil:
		l.toldPerson("another shell takes the extra symmetric key")
		key, err := l.extraKey(r.ExtraKey, gone)
		reply := replyOf(err)
		reply.Key = key
		return reply
	case r.End:
		l.toldPerson("another shell ends the session with otrpipe end")
		l.stop(errEndedHere, "ended by the user")
		<-l.over
		return session.Reply{}
	}
	return replyOf(exit.Errorf(exit.Failure, "the session's host does not know how to do that"))
}

// status is what a controller is shown.
func (l *live) status() session.Reply {
	l.mu.Lock()
	defer l.mu.Unlock()
	s := &session.Status{
		Session:  l.name.Session,
		Identity: l.name.Identity,
		Mode:     l.values.one(flagMode, modeStream),
		State:    l.state,
		PID:      os.Getpid(),
	}
	if contact := l.values.one(flagContact, ""); contact != "" {
		s.Contact = &contact
	}
	if l.peer != nil {
		p, since := *l.peer, l.session.KeysSince.UTC().Format(time.RFC3339)
		s.Version, s.Fingerprint, s.Trust = &p.Version, &p.Fingerprint, &p.Trust
		s.SSID, s.Instance, s.KeysSince = &p.SSID, p.Instance, &since
	}
	if l.link != nil {
		stats := l.link.Stats()
		s.Sent = session.Count{Bytes: stats.SentBytes, Messages: stats.SentMessages}
		s.Received = session.Count{Bytes: stats.ReceivedBytes, Messages: stats.ReceivedMessages}
	}
	reply := session.Reply{Status: s, Home: l.name.Home, Asked: l.smp.asked}
	if l.role != "" && l.partner == nil {
		reply.Waits = l.role
	}
	return reply
}

// secureLink waits until the session is encrypted with a peer that has met
// what was asked of it, and returns what it runs on.
func (l *live) secureLink(limit <-chan time.Time, gone <-chan session.Request) (link, error) {
	tap := l.tap()
	defer l.untap(tap)
	for {
		l.mu.Lock()
		lk, trusted := l.link, l.trusted
		l.mu.Unlock()
		if lk != nil && trusted {
			return lk, nil
		}
		select {
		case <-tap:
		case <-limit:
			return nil, exit.Errorf(exit.Timeout, "session %q is not encrypted yet", l.name.Session)
		case <-gone:
			return nil, errGone
		case <-l.over:
			return nil, l.sessionEnded()
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

// refresh begins a new key exchange and waits for its end.
func (l *live) refresh(gone <-chan session.Request) error {
	late := limit(controlTimeout)
	lk, err := l.secureLink(late, gone)
	if err != nil {
		return err
	}
	tap := l.tap()
	defer l.untap(tap)
	if err := lk.Do((*otr.Conversation).Refresh); err != nil {
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
		case <-gone:
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
	use uint32
	key []byte
}

// keepExtraKey keeps the key that the peer announced last, for extra-key
// --received.
func (l *live) keepExtraKey(e otr.ExtraKeyReceived) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.extra != nil {
		clear(l.extra.key)
	}
	l.extra = &extra{use: e.Use, key: append([]byte(nil), e.Key...)}
}

// extraKey returns the extra symmetric key and tells the peer its use, or the
// one that the peer has announced.
func (l *live) extraKey(r *session.ExtraKey, gone <-chan session.Request) ([]byte, error) {
	if r.Received {
		l.mu.Lock()
		defer l.mu.Unlock()
		if l.extra == nil {
			return nil, exit.Errorf(exit.Failure, "the peer has not announced the extra symmetric key in session %q", l.name.Session)
		}
		return append([]byte(nil), l.extra.key...), nil
	}
	lk, err := l.secureLink(limit(controlTimeout), gone)
	if err != nil {
		return nil, err
	}
	var key []byte
	err = lk.Do(func(c *otr.Conversation) ([][]byte, error) {
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
