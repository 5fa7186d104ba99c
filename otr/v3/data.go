package v3

import (
	"bytes"
	"crypto/subtle"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"

	"otrpipe/internal/refine"
	"otrpipe/internal/secret"
	"otrpipe/otr/group"
	"otrpipe/otr/keys"
	"otrpipe/otr/wire"
)

var (
	// ErrUnreadable means that a data message could not be verified.
	ErrUnreadable = errors.New("v3: unreadable data message")
	// ErrUnknownKey is an ErrUnreadable: we do not have the keys that the
	// message names.
	ErrUnknownKey = refine.Error(&ErrUnreadable, ": its keys are not ours")
	// ErrMAC is an ErrUnreadable: the authenticator is wrong.
	ErrMAC = refine.Error(&ErrUnreadable, ": the authenticator is wrong")
	// ErrReplay is an ErrUnreadable: the message is authentic, but this message or a later
	// one has come before.
	ErrReplay = refine.Error(&ErrUnreadable, ": its counter is an old one")
	// ErrRevealed is an ErrIgnored: the MAC key that would verify the message has been
	// revealed, so anyone may have written it.
	ErrRevealed = refine.Error(&ErrIgnored, ": its MAC key is public")
	// ErrExhausted means that a counter or key id has no next value.
	ErrExhausted = errors.New("v3: the session's counters are used up")
)

// The slots for the two most recent keys of each side.
const (
	previous = 0 // our_keyid − 1, their_keyid − 1
	latest   = 1 // our_keyid, their_keyid
)

// A session is the state that section "Key Management" keeps for a correspondent.
type session struct {
	peer     *keys.DSAPublicKey
	ssid     [8]byte
	revealed bool

	ours    [2]*dhKey
	ourID   uint32 // the id of ours[latest]
	theirs  [2][]byte
	theirID uint32 // the id of theirs[latest]

	// pairs holds the session keys of ours[i] with theirs[j] at [i][j], once they have been
	// needed.
	pairs [2][2]*pairKeys

	// prepared is the Preparation for the current keys; nil: none.
	prepared *Preparation

	reveal []byte // the receiving MAC keys to reveal in the next data message
	onKey  func(UsedKey)

	// The extra symmetric keys of the last messages sent and received.
	extraSent, extraReceived [32]byte
}

func newSession(with established, rand io.Reader) (*session, error) {
	next, err := newDHKey(rand)
	if err != nil {
		return nil, err
	}
	ours := with.ours
	return &session{
		peer:     with.peer,
		ssid:     with.ssid,
		revealed: with.revealed,
		ours:     [2]*dhKey{previous: &ours, latest: next},
		ourID:    exchangeKeyID + 1,
		theirs:   [2][]byte{latest: bytes.Clone(with.theirs)},
		theirID:  with.theirID,
	}, nil
}

// Seal appends a whole Data Message to b. It encrypts p with the newest keys that the peer is
// known to have, and reveals the MAC keys that are due. Without a session the error is
// ErrNoSession.
func (e *Engine) Seal(b []byte, flags byte, p wire.Plaintext) ([]byte, error) {
	s := e.session
	if s == nil {
		return b, ErrNoSession
	}
	var m sealing
	defer m.wipe()
	var err error
	if e.outline, err = e.settle(&m, e.outline[:0], flags, p); err != nil {
		return b, err
	}
	secret.Do(func() { b = m.finish(b) })
	return b, nil
}

// A sealing is a data message that has its keys and its place in the session's order, but is
// not encrypted and authenticated yet. Doing that does not touch the session.
type sealing struct {
	outline []byte         // the message without its text; the authenticator is zero
	head    int            // how many bytes of outline come before the text
	plain   wire.Plaintext // the text; borrowed
	size    int            // the length of the text in bytes
	keys    dataKeys
	counter uint64
}

// settle advances the session by one message, and appends the outline of the message to room.
// The text is copied when the message is finished, perhaps on another core; until then
// neither p nor the outline must change. After an error nothing has changed.
func (e *Engine) settle(m *sealing, room []byte, flags byte, p wire.Plaintext) ([]byte, error) {
	s := e.session
	keys, err := s.pair(previous, latest)
	if err != nil {
		return room, err
	}
	if keys.sent == math.MaxUint64 {
		return room, ErrExhausted
	}
	keys.sent++
	d := Data{
		Flags:          flags,
		SenderKeyID:    s.ourID - 1,
		RecipientKeyID: s.theirID,
		DHY:            s.ours[latest].public,
		Counter:        keys.sent,
	}
	m.keys, m.counter = keys.send, d.Counter
	m.plain, m.size = p, wire.PlaintextLen(p)
	start := len(room)
	room = e.header(wire.TypeData).Append(room)
	room = d.appendHead(room, m.size)
	m.head = len(room) - start
	var none [dataMACLen]byte
	room = append(room, none[:]...)
	s.extraSent = keys.extra

	room = wire.AppendInt(room, uint32(len(e.reveal)+len(s.reveal)))
	room = append(append(room, e.reveal...), s.reveal...)
	e.reveal, s.reveal = e.reveal[:0], s.reveal[:0]
	m.outline = room[start:]
	return room, nil
}

// len returns the length of the message.
func (m *sealing) len() int { return len(m.outline) + m.size }

// finish appends the message to b.
func (m *sealing) finish(b []byte) []byte {
	start := len(b)
	b = append(slices.Grow(b, m.len()), m.outline[:m.head]...)
	text := len(b)
	b = wire.AppendPlaintext(b, m.plain)
	m.keys.crypt(b[text:], m.counter)
	end := len(b)
	b = append(b, m.outline[m.head:]...)
	mac := authenticator(&m.keys.macKey, b[start:end])
	copy(b[end:], mac[:])
	return b
}

// wipe forgets the keys.
func (m *sealing) wipe() { m.keys = dataKeys{} }

// SealLast is Seal for the session's last message. It also reveals every MAC key that has
// verified a message, because they will verify no further message, and drops the session.
func (e *Engine) SealLast(b []byte, flags byte, p wire.Plaintext) ([]byte, error) {
	if e.session == nil {
		return b, ErrNoSession
	}
	e.reveal = e.session.revealAll(e.reveal)
	b, err := e.Seal(b, flags, p)
	e.Drop()
	e.reveal = e.reveal[:0]
	return b, err
}

// SealRevealing is Seal for a message that also reveals every MAC key that has verified a
// message of the peer. These keys verify no further message, so messages that the peer has
// sent under them, and that have not arrived yet, are lost (ErrRevealed). Messages that the
// peer sends after reading this one use other keys.
func (e *Engine) SealRevealing(b []byte, flags byte, p wire.Plaintext) ([]byte, error) {
	if e.session == nil {
		return b, ErrNoSession
	}
	e.reveal = e.session.revealAll(e.reveal)
	return e.Seal(b, flags, p)
}

// ExtraKey returns the extra symmetric key of the last data message sent, or received.
// Version 3 only.
func (e *Engine) ExtraKey(received bool) (key [32]byte, err error) {
	switch {
	case e.session == nil:
		return key, ErrNoSession
	case received:
		return e.session.extraReceived, nil
	}
	return e.session.extraSent, nil
}

// receiveData implements "When you receive a Data Message" in section "Key Management". msg
// is the whole message, body its end. ahead, unless nil, is the result of a Foresight for
// msg.
func (e *Engine) receiveData(body, msg []byte, tlvs []wire.TLV, ahead *Ahead) (wire.Plaintext, error) {
	m, err := ParseData(body)
	if err != nil {
		return wire.Plaintext{}, err
	}
	s := e.session
	if s == nil {
		return wire.Plaintext{}, fmt.Errorf("%w: %w", ErrUnreadable, ErrNoSession)
	}
	if comparePublic(m.DHY, s.ours[latest].public) == 0 || comparePublic(m.DHY, s.ours[previous].public) == 0 {
		return wire.Plaintext{}, ErrEcho
	}
	our, their, ok := s.slots(&m)
	if !ok {
		return wire.Plaintext{}, ErrUnknownKey
	}
	keys, err := s.pair(our, their)
	if err != nil {
		return wire.Plaintext{}, fmt.Errorf("%w: %w", ErrUnreadable, err)
	}
	if keys.public {
		return wire.Plaintext{}, ErrRevealed
	}
	opened := ahead.by(&keys.receive)
	if !opened {
		covered := len(msg) - len(body) + m.Authenticated
		mac := authenticator(&keys.receive.macKey, msg[:covered])
		if subtle.ConstantTimeCompare(mac[:], m.MAC) != 1 {
			return wire.Plaintext{}, ErrMAC
		}
	}
	if m.Counter <= keys.received {
		return wire.Plaintext{}, ErrReplay
	}
	next, err := e.rotation(our, their, m.DHY)
	if err != nil {
		return wire.Plaintext{}, err
	}
	keys.received = m.Counter
	keys.used = true
	s.extraReceived = keys.extra
	if !opened {
		secret.Do(func() { keys.receive.crypt(m.Encrypted, m.Counter) })
	}
	s.rotate(next)
	p, err := wire.ParsePlaintext(tlvs, m.Encrypted)
	if err != nil {
		return wire.Plaintext{}, malformed("plaintext", err)
	}
	return p, nil
}

// A rotation holds the next D-H keys.
type rotation struct {
	ours   *dhKey // nil: our key stays
	theirs []byte // nil: their key stays
}

// rotation returns the rotation of keys that follows a message under the keys in two slots;
// nextTheirs is the D-H key in the message.
func (e *Engine) rotation(our, their int, nextTheirs []byte) (next rotation, err error) {
	if their == latest {
		if e.session.theirID == math.MaxUint32 {
			return next, ErrExhausted
		}
		if err := group.MODP1536().Check(nextTheirs); err != nil {
			return next, fmt.Errorf("%w: next D-H key: %w", ErrUnreadable, err)
		}
		next.theirs = nextTheirs
	}
	if our == latest {
		if e.session.ourID == math.MaxUint32 {
			return next, ErrExhausted
		}
		if next.ours = e.session.prepared.takeNext(); next.ours == nil {
			next.ours, err = newDHKey(e.rand)
		}
	}
	return next, err
}

func (s *session) rotate(next rotation) {
	if next.ours != nil || next.theirs != nil {
		s.prepared.drop()
		s.prepared = nil
	}
	if next.ours != nil {
		s.rotateOurs(next.ours)
	}
	if next.theirs != nil {
		s.rotateTheirs(next.theirs)
	}
}

// slots returns the slots of the keys that a data message names.
func (s *session) slots(m *Data) (our, their int, ok bool) {
	switch m.RecipientKeyID {
	case s.ourID:
		our = latest
	case s.ourID - 1:
		our = previous
	default:
		return 0, 0, false
	}
	switch {
	case m.SenderKeyID == s.theirID:
		their = latest
	case m.SenderKeyID == s.theirID-1 && s.theirs[previous] != nil:
		their = previous
	default:
		return 0, 0, false
	}
	return our, their, true
}

// pair returns the session keys for two slots.
func (s *session) pair(our, their int) (*pairKeys, error) {
	p := s.pairs[our][their]
	if p == nil {
		if their == latest {
			p = s.prepared.takePair(our)
		}
		if p == nil {
			var err error
			if p, err = newPairKeys(s.ours[our], s.theirs[their]); err != nil {
				return nil, err
			}
		}
		s.pairs[our][their] = p
		s.tellKeys(p, s.ourID-uint32(latest-our), s.theirID-uint32(latest-their))
	}
	return p, nil
}

// tellKeys calls onKey with the keys of a pair.
func (s *session) tellKeys(p *pairKeys, ourID, theirID uint32) {
	if s.onKey == nil {
		return
	}
	s.onKey(UsedKey{Sending: true, SenderKeyID: ourID, RecipientKeyID: theirID, AES: p.send.aes})
	s.onKey(UsedKey{SenderKeyID: theirID, RecipientKeyID: ourID, AES: p.receive.aes})
}

// rotateOurs drops our previous key, because the peer has the latest one.
func (s *session) rotateOurs(next *dhKey) {
	for their := range s.pairs[previous] {
		s.reveal = s.pairs[previous][their].retire(s.reveal)
	}
	s.ours[previous].wipe()
	s.ours[previous], s.ours[latest] = s.ours[latest], next
	s.ourID++
	s.pairs[previous], s.pairs[latest] = s.pairs[latest], [2]*pairKeys{}
}

// rotateTheirs drops the peer's previous key, because the peer has announced a new one.
func (s *session) rotateTheirs(next []byte) {
	for our := range s.pairs {
		s.reveal = s.pairs[our][previous].retire(s.reveal)
		s.pairs[our][previous], s.pairs[our][latest] = s.pairs[our][latest], nil
	}
	s.theirs[previous], s.theirs[latest] = s.theirs[latest], bytes.Clone(next)
	s.theirID++
}

// retire wipes the keys. If the receiving MAC key ever verified a message, it is first
// appended to reveal; see section "Revealing MAC keys".
func (p *pairKeys) retire(reveal []byte) []byte {
	if p == nil {
		return reveal
	}
	if p.used {
		reveal = p.appendReveal(reveal)
	}
	p.wipe()
	return reveal
}

// maxReveal bounds the size of the MAC keys that wait to be revealed, in bytes. There are
// only a few, unless a peer changes its keys with every message and is never answered.
const maxReveal = 500 * dataMACLen

// appendReveal appends the receiving MAC key to those that wait to be revealed.
func (p *pairKeys) appendReveal(reveal []byte) []byte {
	if len(reveal) >= maxReveal {
		return reveal
	}
	return append(reveal, p.receive.macKey[:]...)
}

// revealAll appends the MAC keys that are due and those in use to reveal. They verify no
// further messages.
func (s *session) revealAll(reveal []byte) []byte {
	reveal = append(reveal, s.reveal[:min(len(s.reveal), maxReveal-min(len(reveal), maxReveal))]...)
	s.reveal = s.reveal[:0]
	for our := range s.pairs {
		for _, p := range s.pairs[our] {
			if p != nil && p.used {
				reveal = p.appendReveal(reveal)
				p.used, p.public = false, true
			}
		}
	}
	return reveal
}

func (s *session) wipe() {
	s.prepared.drop()
	for our := range s.pairs {
		s.ours[our].wipe()
		for _, p := range s.pairs[our] {
			p.wipe()
		}
	}
	*s = session{}
}
