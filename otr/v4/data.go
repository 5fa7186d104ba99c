package v4

import (
	"bytes"
	"crypto/subtle"
	"errors"
	"fmt"
	"slices"
	"time"

	"otrpipe/internal/refine"
	"otrpipe/internal/secret"
	"otrpipe/otr/group"
	"otrpipe/otr/wire"
)

var (
	// ErrNoSession means that there are no keys to encrypt with.
	ErrNoSession = errors.New("v4: no encrypted session")
	// ErrUnreadable means that a data message could not be verified. Nothing has changed.
	ErrUnreadable = errors.New("v4: unreadable data message")
	// ErrUnknownKey is an ErrUnreadable: the message belongs to a ratchet that we do not
	// have.
	ErrUnknownKey = refine.Error(&ErrUnreadable, ": its keys are not ours")
	// ErrMAC is an ErrUnreadable: the authenticator is wrong.
	ErrMAC = refine.Error(&ErrUnreadable, ": the authenticator is wrong")
	// ErrReplay is an ErrUnreadable: the message has come before, or its key has been
	// dropped. There is no key left to verify it with.
	ErrReplay = refine.Error(&ErrUnreadable, ": it has come before")
)

const (
	// maxRevealed is how many bytes of old MAC keys one message reveals at most, except for
	// the last of a session: those of 256 messages. So a caller knows how much room is left
	// for a text. The next messages, in any ratchet, reveal the rest.
	maxRevealed = 256 * macLen
	// maxHeld is how many bytes of old MAC keys are kept for revealing at most. A peer may
	// send any number of messages before we send one; if there are more keys, the oldest are
	// never revealed.
	maxHeld = 16 * maxRevealed
)

// Seal appends a whole data message to b. It encrypts p, and reveals the MAC keys that are
// due (section "When you send a Data Message"). Without a session the error is ErrNoSession.
// After an error b is returned unchanged.
func (e *Engine) Seal(b []byte, flags byte, p wire.Plaintext) ([]byte, error) {
	if e.session == nil {
		return b, ErrNoSession
	}
	return e.seal(b, flags, p, false)
}

// SealRevealing is Seal for a message that also reveals every MAC key that has verified a
// message or could verify a missing one. Messages that are still missing can no longer be
// read.
func (e *Engine) SealRevealing(b []byte, flags byte, p wire.Plaintext) ([]byte, error) {
	s := e.session
	if s == nil {
		return b, ErrNoSession
	}
	s.dropSkipped(len(s.skipped))
	return e.seal(b, flags, p, true)
}

// SealLast is SealRevealing for the session's last message. The session is dropped.
func (e *Engine) SealLast(b []byte, flags byte, p wire.Plaintext) ([]byte, error) {
	b, err := e.SealRevealing(b, flags, p)
	e.drop()
	return b, err
}

// seal seals a message that reveals all kept MAC keys, or only as many as are due.
func (e *Engine) seal(b []byte, flags byte, p wire.Plaintext, all bool) (sealed []byte, err error) {
	secret.Do(func() {
		var m sealing
		defer m.wipe()
		sealed = b
		if e.outline, err = e.settle(&m, e.outline[:0], flags, p, all); err == nil {
			sealed = m.finish(b)
		}
	})
	return sealed, err
}

// A sealing is a data message that has its keys and its place in the session's order, but is
// not encrypted and authenticated yet. Doing that does not touch the session.
type sealing struct {
	outline []byte         // the message without its text; the authenticator is zero
	head    int            // how many bytes of outline come before the text
	plain   wire.Plaintext // the text; borrowed
	size    int            // the length of the text in bytes
	enc     key

	// Set by fill.
	buf              []byte // up to the end of the message
	start, text, mac int    // where the message, its encrypted part and its authenticator begin
	macKey           key    // set by finish
}

// settle advances the session by one message, and appends the outline of the message to room.
// The text is copied when the message is finished, perhaps on another core; until then
// neither p nor the outline must change. After an error nothing has changed.
func (e *Engine) settle(m *sealing, room []byte, flags byte, p wire.Plaintext, all bool) ([]byte, error) {
	s := e.session
	next := s.try()
	defer next.wipe()
	if next.ourTurn {
		if err := next.rotateSending(e.client.Rand, s.prepared); err != nil {
			return room, err
		}
	}
	d := Data{
		Flags:         flags,
		PreviousCount: next.pn,
		RatchetID:     next.sendID,
		MessageID:     next.j,
		ECDH:          next.ecdh.public[:],
	}
	if next.sendID%braceInterval == 0 {
		d.DH = next.dh.public
	}
	keys, err := next.nextSending()
	if err != nil {
		return room, err
	}
	defer keys.wipe()
	if s.ratchet.ourTurn {
		s.prepared.drop()
		s.prepared = nil
	}
	s.ratchet = *next
	s.extraSent = appendExtraKeys(wipeExtraKeys(s.extraSent), &keys.extra, p.TLVs)

	m.plain, m.size, m.enc = p, wire.PlaintextLen(p), keys.enc
	e.tellKey(&d, &keys.enc, true)
	start := len(room)
	room = e.header(wire.TypeData).Append(room)
	room = wire.AppendInt(d.appendHead(room), uint32(m.size))
	m.head = len(room) - start
	var none [macLen]byte
	room = append(room, none[:]...)

	due := 0
	switch {
	case all:
		due = len(s.reveal)
	case d.MessageID == 0 || len(s.reveal) > maxRevealed:
		due = min(len(s.reveal), maxRevealed)
	}
	room = wire.AppendData(room, s.reveal[:due])
	s.reveal = append(s.reveal[:0], s.reveal[due:]...)
	m.outline = room[start:]
	return room, nil
}

// len returns the length of the message.
func (m *sealing) len() int { return len(m.outline) + m.size }

// finish appends the message to b.
func (m *sealing) finish(b []byte) []byte {
	m.fill(b)
	crypt(&m.enc, m.buf[m.text:m.mac])
	m.macKey = m.enc.derive(group.UsageMACKey)
	authenticate(m.authenticator(), &m.macKey, m.covered())
	return m.buf
}

func (m *sealing) covered() []byte       { return m.buf[m.start:m.mac] }
func (m *sealing) authenticator() []byte { return m.buf[m.mac:][:macLen] }

// fill appends the message to b, with its text not encrypted yet.
func (m *sealing) fill(b []byte) {
	m.start = len(b)
	b = append(slices.Grow(b, m.len()), m.outline[:m.head]...)
	m.text = len(b)
	b = wire.AppendPlaintext(b, m.plain)
	m.mac = len(b)
	m.buf = append(b, m.outline[m.head:]...)
}

// wipe forgets the keys.
func (m *sealing) wipe() {
	clear(m.enc[:])
	clear(m.macKey[:])
}

// receiveData implements section "When you receive a Data Message". msg is the whole message,
// body its end. ahead, unless nil, is the result of a Foresight for msg.
func (e *Engine) receiveData(body, msg []byte, tlvs []wire.TLV, ahead *Ahead) (p wire.Plaintext, err error) {
	secret.Do(func() { p, err = e.openData(body, msg, tlvs, ahead) })
	return p, err
}

// openData does the work of receiveData, which erases openData's stack where that is
// possible.
func (e *Engine) openData(body, msg []byte, tlvs []wire.TLV, ahead *Ahead) (wire.Plaintext, error) {
	m, err := ParseData(body)
	if err != nil {
		return wire.Plaintext{}, err
	}
	s := e.session
	if s == nil {
		return wire.Plaintext{}, fmt.Errorf("%w: %w", ErrUnreadable, ErrNoSession)
	}
	if bytes.Equal(m.ECDH, s.ratchet.ecdh.public[:]) {
		return wire.Plaintext{}, ErrEcho
	}
	now := e.client.Now()
	s.expireSkipped(now)

	next := s.try()
	defer next.wipe()
	var skipped skippedKeys
	defer func() { clear(skipped) }()
	var keys messageKeys
	defer keys.wipe()
	stored := s.skipped.find(m.ECDH, m.MessageID)
	costly := !e.client.OwnBudget && stored < 0 && (next.isNew(&m) || next.skipsFar(&m))
	if costly && !e.client.data.spend(now) {
		return wire.Plaintext{}, fmt.Errorf("%w: %w", ErrUnreadable, ErrBusy)
	}
	if stored >= 0 {
		keys = s.skipped[stored].keys
	} else if keys, skipped, err = next.receive(&m, now, ahead.step()); err != nil {
		return wire.Plaintext{}, err
	}
	var mac key
	defer clear(mac[:])
	opened := ahead.by(&keys.enc)
	if opened {
		mac = ahead.mac
	} else {
		mac = keys.enc.derive(group.UsageMACKey)
		if !authentic(m.MAC, &mac, msg[:len(msg)-len(body)+m.Authenticated]) {
			return wire.Plaintext{}, ErrMAC
		}
	}

	if costly {
		e.client.data.restore()
	}
	if stored >= 0 {
		s.skipped.remove(stored, 1)
	} else {
		s.ratchet = *next
		s.keepSkipped(skipped)
	}
	s.retire(&mac)
	e.tellKey(&m, &keys.enc, false)
	if !opened {
		crypt(&keys.enc, m.Encrypted)
	}
	p := parsePlaintext(tlvs, m.Encrypted)
	s.extraReceived = appendExtraKeys(wipeExtraKeys(s.extraReceived), &keys.extra, p.TLVs)
	return p, nil
}

// receive advances the ratchet to the message m, whose key is not stored, and returns its
// keys and those of the skipped messages. known, unless nil, is a precomputed step that may
// be the last one.
func (r *ratchet) receive(m *Data, now time.Time, known *chainStep) (keys messageKeys, skipped skippedKeys, err error) {
	switch {
	case r.receiving && bytes.Equal(m.ECDH, r.theirPublic[:]):
		err = r.receiveSame(m)
	case r.isNew(m):
		skipped, err = r.receiveNew(m, now)
	default:
		err = ErrUnknownKey
		if m.RatchetID < r.i {
			err = ErrReplay
		}
	}
	if err == nil {
		skipped, err = r.skipTo(m.MessageID, now, skipped)
	}
	if err == nil {
		keys, err = r.nextReceiving(known)
	}
	return keys, skipped, err
}

// isNew reports whether m claims to begin the peer's next ratchet. Verifying such a claim
// takes two exponentiations.
func (r *ratchet) isNew(m *Data) bool {
	return !(r.receiving && bytes.Equal(m.ECDH, r.theirPublic[:])) && !r.ourTurn && m.RatchetID == r.i
}

// skipsFar reports whether m claims that many messages of the current receiving ratchet are
// missing, so that hashing for their keys costs us far more than m costs its sender.
func (r *ratchet) skipsFar(m *Data) bool {
	if !r.receiving || !bytes.Equal(m.ECDH, r.theirPublic[:]) || m.MessageID < r.k {
		return false
	}
	skips := m.MessageID - r.k
	return skips > freeSkip && skips <= maxSkip
}

// receiveSame checks a message of the current receiving ratchet.
func (r *ratchet) receiveSame(m *Data) error {
	switch {
	case m.MessageID < r.k:
		return ErrReplay
	case m.RatchetID != r.receiveID:
		return fmt.Errorf("%w: its ratchet id is not that of its key", ErrUnreadable)
	case r.receiveID%braceInterval == 0 && !bytes.Equal(m.DH, r.theirDH),
		r.receiveID%braceInterval != 0 && len(m.DH) != 0:
		return fmt.Errorf("%w: its DH key is not that of its ratchet", ErrUnreadable)
	}
	return nil
}

// receiveNew begins the ratchet of a message with a new key, after storing the keys of the
// missing messages of the previous ratchet.
func (r *ratchet) receiveNew(m *Data, now time.Time) (skippedKeys, error) {
	ecdh, err := group.ParsePoint(m.ECDH)
	if err != nil {
		return nil, fmt.Errorf("%w: ECDH key: %w", ErrUnreadable, err)
	}
	if m.RatchetID%braceInterval == 0 {
		err = group.MODP3072().CheckMember(m.DH)
	} else if len(m.DH) != 0 {
		err = errors.New("not due in this ratchet")
	}
	if err != nil {
		return nil, fmt.Errorf("%w: DH key: %w", ErrUnreadable, err)
	}
	skipped, err := r.skipTo(m.PreviousCount, now, nil)
	if err != nil {
		return skipped, err
	}
	return skipped, r.rotateReceiving(ecdh, bytes.Clone(m.DH))
}

// retire keeps a MAC key that will verify no further message until it is revealed.
func (s *session) retire(mac *key) {
	if len(s.reveal) >= maxHeld { // drop many at once, because the rest has to be moved
		s.reveal = append(s.reveal[:0], s.reveal[maxRevealed:]...)
	}
	s.reveal = append(s.reveal, mac[:]...)
}

// authenticate sets dst, of macLen bytes, to HCMAC(usage_authenticator || MKmac ||
// sections, 64), where sections is everything from the protocol version to the encrypted
// message.
func authenticate(dst []byte, mac *key, sections []byte) {
	group.KDFs([][]byte{dst}, group.UsageAuthenticator, [][]byte{mac[:]}, [][]byte{sections})
}

// authentic reports, in constant time, whether authenticator is that of sections under mac.
func authentic(authenticator []byte, mac *key, sections []byte) bool {
	var want [macLen]byte
	authenticate(want[:], mac, sections)
	return subtle.ConstantTimeCompare(want[:], authenticator) == 1
}
