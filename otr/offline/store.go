package offline

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"otrpipe/otr/keys"
	"otrpipe/otr/v4"
	"otrpipe/otr/wire"
)

const (
	storeFormat = 2

	// MaxPrekeys is the maximum number of unused prekeys in a store: as many as a sender
	// reads from one file.
	MaxPrekeys = v4.MaxEnsembles
	// MaxSessions is the maximum number of sessions in a store. Adding another drops the
	// session that has not been used for the longest time.
	MaxSessions = 256
	// SessionLifetime is how long a session is kept after its last message; later replies
	// cannot be read.
	SessionLifetime = 31 * 24 * time.Hour

	// MaxLen is the maximum length of an encoded store in bytes.
	MaxLen = 32 << 20
	// maxSessionsLen is the maximum length of all sessions in it: 96 KiB each if there are
	// MaxSessions. A peer can make a session of up to 260 KiB with one message, by claiming that
	// many are missing. The rest of MaxLen is more than MaxPrekeys need.
	maxSessionsLen = 24 << 20

	// goneLifetime is how long a store remembers why a prekey is gone. A message to it that
	// comes later is refused as naming no known prekey, but by then the sender's profile has
	// long expired.
	goneLifetime = 62 * 24 * time.Hour
	maxGone      = 4 * MaxPrekeys
	maxSpent     = 4 * MaxPrekeys
	// maxOnly bounds the keys of the contact that a prekey is published for.
	maxOnly = 64
	// maxContact bounds the length of a contact's name, in bytes.
	maxContact = 1024
)

// A Config holds the identity and the environment of a Store.
type Config struct {
	InstanceTag uint32
	Identity    *keys.Ed448PrivateKey
	Forging     *keys.ForgingKey
	// Account and PeerAccount, unless both are empty, are bound to the messages. A receiver
	// has to know the sender's account before it opens the message.
	Account, PeerAccount string
	Rand                 io.Reader
	Now                  func() time.Time
}

func (c Config) client() *v4.Client {
	config := v4.Config{InstanceTag: c.InstanceTag, Identity: c.Identity, Forging: c.Forging, Rand: c.Rand, Now: c.Now, OwnBudget: true}
	if c.Account != "" || c.PeerAccount != "" {
		config.Accounts = &v4.Accounts{Ours: c.Account, Theirs: c.PeerAccount}
	}
	return v4.NewClient(config)
}

// A Store is the state of one identity. Only one goroutine may use it at a time. It prints as
// a placeholder.
type Store struct {
	config       Config
	client       *v4.Client
	publications []*v4.Publication // oldest first
	prekeys      []*prekey         // unused, in the order of their publication
	gone         []gonePrekey      // oldest first
	spent        []spentEnsemble   // oldest first
	sessions     []*Session        // oldest first
}

// A prekey is a published and unused prekey.
type prekey struct {
	key         *v4.Prekey
	publication *v4.Publication
	contact     string
	only        []keys.Fingerprint // whose messages it accepts; empty: anyone's
}

// A why is the reason why a prekey is gone.
type why byte

const (
	whyUsed why = iota
	whyExpired
	whyRevoked
)

func (w why) err() error {
	switch w {
	case whyUsed:
		return v4.ErrPrekeyUsed
	case whyExpired:
		return v4.ErrPrekeyExpired
	}
	return fmt.Errorf("%w: it has been revoked", v4.ErrNoPrekey)
}

type gonePrekey struct {
	id   uint32
	why  why
	when time.Time
}

type spentEnsemble struct {
	digest  [32]byte
	expires time.Time
}

// New returns an empty store.
func New(c Config) *Store { return &Store{config: c, client: c.client()} }

// Expire drops everything that has expired: publications a day after their profiles, together
// with their prekeys and the sessions begun with one whose message was not read to its end;
// and sessions that have not been used for SessionLifetime.
func (s *Store) Expire() {
	now := s.config.Now()
	s.prekeys = slices.DeleteFunc(s.prekeys, func(k *prekey) bool {
		if k.publication.Usable(now) {
			return false
		}
		s.forget(k, whyExpired)
		return true
	})
	s.publications = slices.DeleteFunc(s.publications, func(p *v4.Publication) bool {
		if p.Usable(now) {
			return false
		}
		p.Wipe()
		return true
	})
	s.gone = slices.DeleteFunc(s.gone, func(g gonePrekey) bool { return now.Sub(g.when) >= goneLifetime })
	s.spent = slices.DeleteFunc(s.spent, func(e spentEnsemble) bool { return !now.Before(e.expires) })
	s.sessions = slices.DeleteFunc(s.sessions, func(t *Session) bool {
		if now.Sub(t.used) < SessionLifetime && (!t.unread || now.Before(t.readBy)) {
			return false
		}
		t.engine.Wipe()
		return true
	})
}

// forget wipes a prekey that is being removed, and records the reason.
func (s *Store) forget(k *prekey, w why) {
	s.gone = append(s.gone, gonePrekey{k.key.ID, w, s.config.Now()})
	if over := len(s.gone) - maxGone; over > 0 {
		s.gone = slices.Delete(s.gone, 0, over)
	}
	k.key.Wipe()
}

// Wipe overwrites the secrets. The store cannot be used afterwards.
func (s *Store) Wipe() {
	for _, p := range s.publications {
		p.Wipe()
	}
	for _, k := range s.prekeys {
		k.key.Wipe()
	}
	for _, t := range s.sessions {
		t.engine.Wipe()
	}
	*s = Store{}
}

// Format prints a placeholder for every verb.
func (Store) Format(f fmt.State, _ rune) { io.WriteString(f, "offline.Store(…)") }

// fit trims the largest sessions if they are too long together. They lose the keys of the oldest
// missing messages.
func (s *Store) fit() {
	total := 0
	for _, t := range s.sessions {
		total += t.size()
	}
	if total <= maxSessionsLen {
		return
	}
	for _, t := range s.sessions {
		t.engine.Trim(maxSessionsLen/len(s.sessions) - (t.size() - t.engine.StoredLen()))
	}
}

// size returns at least the length of the encoded store, in bytes.
func (s *Store) size() int {
	n := 64
	for _, p := range s.publications {
		n += 256 + len(p.Client.Append(nil)) + len(p.Prekey.Append(nil))
	}
	for _, k := range s.prekeys {
		n += 256 + len(k.contact) + len(k.only)*keys.FingerprintLen4
	}
	for _, t := range s.sessions {
		n += t.size()
	}
	return n + 16*len(s.gone) + 64*len(s.spent)
}

// Append appends the encoded store with all its secrets, at most MaxLen bytes. The caller has to
// encrypt and wipe it.
func (s *Store) Append(b []byte) ([]byte, error) {
	s.fit()
	b = slices.Grow(b, s.size()) // at once: what grows leaves copies of the secrets behind
	b = append(b, storeFormat)
	b = wire.AppendInt(b, uint32(len(s.publications)))
	for _, p := range s.publications {
		b = p.AppendSecret(b)
	}
	b = wire.AppendInt(b, uint32(len(s.prekeys)))
	for _, k := range s.prekeys {
		b = k.key.AppendSecret(b)
		b = wire.AppendShort(b, uint16(slices.Index(s.publications, k.publication)))
		b = wire.AppendData(b, []byte(k.contact))
		b = append(b, byte(len(k.only)))
		for _, f := range k.only {
			b = append(b, f.Bytes()...)
		}
	}
	b = wire.AppendInt(b, uint32(len(s.gone)))
	for _, g := range s.gone {
		b = appendTime(append(wire.AppendInt(b, g.id), byte(g.why)), g.when)
	}
	b = wire.AppendInt(b, uint32(len(s.spent)))
	for _, e := range s.spent {
		b = appendTime(append(b, e.digest[:]...), e.expires)
	}
	b = wire.AppendInt(b, uint32(len(s.sessions)))
	var err error
	for _, t := range s.sessions {
		if b, err = t.append(b, 0); err != nil {
			return b, err
		}
	}
	return b, nil
}

// Parse parses the output of Append. If b is empty it returns an empty store. The result does
// not borrow from b. The error wraps ErrState or ErrNewer.
func Parse(c Config, b []byte) (*Store, error) {
	s := New(c)
	if len(b) == 0 {
		return s, nil
	}
	r := wire.NewReader(b)
	format := r.Byte()
	switch {
	case r.Err() != nil || format == 0:
		return nil, ErrState
	case format > storeFormat:
		return nil, ErrNewer
	}
	if err := s.read(&r, format); err != nil {
		s.Wipe()
		return nil, fmt.Errorf("%w: %w", ErrState, err)
	}
	return s, nil
}

var errBounds = errors.New("more entries than a store has")

// count reads the number of entries that follow.
func count(r *wire.Reader, most int) (int, error) {
	n := r.Int()
	if r.Err() != nil {
		return 0, r.Err()
	}
	if uint64(n) > uint64(most) {
		return 0, errBounds
	}
	return int(n), nil
}

func (s *Store) read(r *wire.Reader, format byte) error {
	n, err := count(r, 1<<16-1)
	if err != nil {
		return err
	}
	for range n {
		p, err := v4.ReadPublication(r)
		if err != nil {
			return err
		}
		s.publications = append(s.publications, p)
	}
	if n, err = count(r, MaxPrekeys); err != nil {
		return err
	}
	for range n {
		k, err := s.readPrekey(r)
		if err != nil {
			return err
		}
		s.prekeys = append(s.prekeys, k)
	}
	if n, err = count(r, maxGone); err != nil {
		return err
	}
	for range n {
		s.gone = append(s.gone, gonePrekey{r.Int(), why(r.Byte()), readTime(r)})
	}
	if n, err = count(r, maxSpent); err != nil {
		return err
	}
	for range n {
		var e spentEnsemble
		copy(e.digest[:], r.Take(len(e.digest)))
		e.expires = readTime(r)
		s.spent = append(s.spent, e)
	}
	if n, err = count(r, MaxSessions); err != nil {
		return err
	}
	for range n {
		t, err := s.readSession(r, format)
		if err != nil {
			return err
		}
		s.sessions = append(s.sessions, t)
	}
	return r.End()
}

// readPrekey reads a prekey. Its publication must have been read before.
func (s *Store) readPrekey(r *wire.Reader) (*prekey, error) {
	k := new(prekey)
	var err error
	if k.key, err = v4.ReadPrekey(r); err != nil {
		return nil, err
	}
	at := int(r.Short())
	k.contact = string(r.Data())
	only := int(r.Byte())
	if r.Err() == nil && (at >= len(s.publications) || only > maxOnly || len(k.contact) > maxContact) {
		return nil, errBounds
	}
	for range only {
		f, err := keys.FingerprintFromBytes(r.Take(keys.FingerprintLen4))
		if err != nil {
			return nil, err
		}
		k.only = append(k.only, f)
	}
	if r.Err() != nil {
		return nil, r.Err()
	}
	k.publication = s.publications[at]
	return k, nil
}

func appendTime(b []byte, t time.Time) []byte {
	v := uint64(t.Unix())
	return wire.AppendInt(wire.AppendInt(b, uint32(v>>32)), uint32(v))
}

func readTime(r *wire.Reader) time.Time { return time.Unix(int64(r.Long()), 0) }
