package offline

import (
	"encoding/hex"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"otrpipe/otr/keys"
	"otrpipe/otr/v4"
	"otrpipe/otr/wire"
)

// A Session is a conversation that began with a message to a recipient who was away. Its
// methods return the same values after it has ended. It prints as a placeholder.
type Session struct {
	engine *v4.Engine
	used   time.Time
	// Contact is our name for the peer: the one under which it passed the checks, or for
	// which its prekey was published. Empty: none.
	Contact string

	auth   [32]byte  // digest of the Non-Interactive-Auth message that began it; zero: we wrote it
	unread bool      // the message that began it has not been read to the end
	readBy time.Time // when that message can no longer be read

	closed bool  // the peer has ended it, but messages from before its end are missing
	handed place // after the last message that we have handed out whole

	// These outlive the engine's session.
	id          string
	fingerprint keys.Fingerprint
}

// A place is a position in our messages: how many have been sealed in a ratchet.
type place struct{ ratchet, messages uint32 }

// dhLen is the maximum length of a DH key in bytes.
const dhLen = 3072 / 8

// newSession returns a Session for an engine.
func newSession(e *v4.Engine, now time.Time) *Session {
	id, _ := e.SSID()
	return &Session{engine: e, used: now, id: hex.EncodeToString(id[:]), fingerprint: e.PeerKey().Fingerprint()}
}

// ID names the session at both ends: its secure session id, 16 hexadecimal digits.
func (t *Session) ID() string { return t.id }

// Fingerprint returns the peer's fingerprint.
func (t *Session) Fingerprint() keys.Fingerprint { return t.fingerprint }

// Began reports whether we wrote the first message. Its sender shows the first half of the
// session id in bold, its receiver the second half.
func (t *Session) Began() bool { return t.auth == [32]byte{} }

// Unread reports whether the message that began the session has not been read to the end.
func (t *Session) Unread() bool { return t.unread }

// Used returns when the last message of the session was sent or read.
func (t *Session) Used() time.Time { return t.used }

// PeerInstance returns the peer's instance tag.
func (t *Session) PeerInstance() uint32 { return t.engine.Peer() }

// Ended reports whether the session is over: neither side can use it any more.
func (t *Session) Ended() bool { return !t.engine.Encrypted() }

// Closed reports whether the peer has ended the session. Until the missing messages from before its
// end have come, it is kept for these, but nothing can be sent in it.
func (t *Session) Closed() bool { return t.closed }

// HandedOut records that the receiver can have all messages of the session up to the one that is
// ahead messages after the last. Call it when a message, or a text that can be read by itself, has
// been written whole.
func (t *Session) HandedOut(ahead int) {
	t.handed = t.sent()
	t.handed.messages += uint32(ahead)
}

// Gap returns how many messages the receiver will find missing before our next one, if it gets
// all that were handed out whole: those that were encrypted in vain. If there are more than
// MaxGap, it can read no further message of the session.
func (t *Session) Gap() int {
	sent := t.sent()
	if sent.ratchet != t.handed.ratchet {
		return int(sent.messages)
	}
	return max(0, int(sent.messages)-int(t.handed.messages))
}

// dead reports whether nothing can be sent in the session any more.
func (t *Session) dead() bool { return t.closed || t.Gap() > MaxGap }

func (t *Session) sent() (p place) {
	p.ratchet, p.messages = t.engine.Sent()
	return p
}

// Format prints a placeholder for every verb.
func (Session) Format(f fmt.State, _ rune) { io.WriteString(f, "offline.Session(…)") }

// size returns at least the length of what append appends, in bytes.
func (t *Session) size() int { return 128 + len(t.Contact) + t.engine.StoredLen() }

// append appends the session as it will be after ahead more messages.
func (t *Session) append(b []byte, ahead int) ([]byte, error) {
	b = append(appendTime(b, t.used), t.auth[:]...)
	b = appendTime(append(b, flag(t.unread), flag(t.closed)), t.readBy)
	b = wire.AppendInt(wire.AppendInt(b, t.handed.ratchet), t.handed.messages)
	b = wire.AppendData(b, []byte(t.Contact))
	return t.engine.AppendSession(b, ahead)
}

func flag(set bool) byte {
	if set {
		return 1
	}
	return 0
}

// readSession reads a session. Format 1 does not tell whether the peer has ended it, nor what we have handed out:
// then everything that we have encrypted counts as handed out.
func (s *Store) readSession(r *wire.Reader, format byte) (*Session, error) {
	used := readTime(r)
	var auth [32]byte
	copy(auth[:], r.Take(len(auth)))
	var closed byte
	var handed place
	unread := r.Byte()
	if format > 1 {
		closed = r.Byte()
	}
	readBy := readTime(r)
	if format > 1 {
		handed = place{r.Int(), r.Int()}
	}
	contact := string(r.Data())
	if r.Err() == nil && (unread > 1 || closed > 1 || len(contact) > maxContact) {
		return nil, errBounds
	}
	e, err := s.client.ReadSession(r)
	if err != nil {
		return nil, err
	}
	t := newSession(e, used)
	t.auth, t.unread, t.readBy, t.Contact = auth, unread == 1, readBy, contact
	t.closed, t.handed = closed == 1, handed
	if format == 1 {
		t.HandedOut(0)
	}
	return t, nil
}

// Sessions lists the sessions, oldest first.
func (s *Store) Sessions() []*Session { return slices.Clone(s.sessions) }

// Session returns the session whose contact is name, or whose id begins with name, which then
// has at least four digits. If there are several with the same key, it returns the one that
// was used last, and rather one in which messages can still be sent. The error is ErrNoSession or ErrSeveral.
func (s *Store) Session(name string) (*Session, error) {
	var found []*Session
	for _, t := range s.sessions {
		if t.Contact == name && name != "" {
			found = append(found, t)
		}
	}
	if len(found) == 0 && len(name) >= 4 {
		for _, t := range s.sessions {
			if strings.HasPrefix(t.id, strings.ToLower(name)) {
				found = append(found, t)
			}
		}
	}
	if len(found) == 0 {
		return nil, fmt.Errorf("%w: %q", ErrNoSession, name)
	}
	last := found[0]
	for _, t := range found[1:] {
		if t.fingerprint != last.fingerprint {
			return nil, fmt.Errorf("%w: %q", ErrSeveral, name)
		}
		if t.dead() == last.dead() && !t.used.Before(last.used) || last.dead() && !t.dead() {
			last = t
		}
	}
	return last, nil
}

// Put replaces the session t in the store, or adds it; t may come from another copy of the
// store. If t has ended, it is removed. The store gets the session as it will be after t has
// sent ahead more messages. It counts as used now.
func (s *Store) Put(t *Session, ahead int) error {
	if len(t.Contact) > maxContact { // the store could not be read
		return fmt.Errorf("%w: a contact's name of %d bytes", ErrTooLong, len(t.Contact))
	}
	t.used = s.config.Now()
	at := slices.IndexFunc(s.sessions, func(other *Session) bool { return other.id == t.id && other.auth == t.auth })
	if t.Ended() {
		if at >= 0 {
			s.sessions = slices.Delete(s.sessions, at, at+1)
		}
		return nil
	}
	// A new ratchet may have a longer key.
	b, err := t.append(make([]byte, 0, t.size()+dhLen), ahead)
	if err != nil {
		return err
	}
	defer clear(b)
	r := wire.NewReader(b)
	stored, err := s.readSession(&r, storeFormat)
	if err != nil {
		return err
	}
	if at >= 0 {
		s.sessions = slices.Delete(s.sessions, at, at+1)
	}
	s.add(stored)
	return nil
}

// add adds a session, and drops one if there are too many.
func (s *Store) add(t *Session) {
	s.sessions = append(s.sessions, t)
	for len(s.sessions) > MaxSessions {
		oldest := 0
		for i, other := range s.sessions[:len(s.sessions)-1] {
			if other.used.Before(s.sessions[oldest].used) {
				oldest = i
			}
		}
		s.sessions[oldest].engine.Wipe()
		s.sessions = slices.Delete(s.sessions, oldest, oldest+1)
	}
}

// Forget ends a session here without telling the peer: its keys are wiped.
func (s *Store) Forget(t *Session) {
	s.sessions = slices.DeleteFunc(s.sessions, func(other *Session) bool { return other.id == t.id && other.auth == t.auth })
	t.engine.Wipe()
}
