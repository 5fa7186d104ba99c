package v4

import (
	"errors"
	"fmt"
	"math"
	"time"

	"otrpipe/otr/group"
	"otrpipe/otr/wire"
)

const (
	// sessionFormat is the version of the format of stored sessions.
	sessionFormat = 1
	// maxStoredReveal is how many bytes of old MAC keys are stored with a session: as many as
	// four messages reveal. Without this limit the receiver of a long stream would store four
	// times as many. If there are more, the oldest are never revealed.
	maxStoredReveal = 4 * maxRevealed
	// storedSkippedLen is the length of a stored skippedKey in bytes.
	storedSkippedLen = group.PointLen + 4 + len(key{}) + len(key{}) + 8
)

// StoredLen returns the length of what AppendSession appends, in bytes.
func (e *Engine) StoredLen() int {
	s := e.session
	if s == nil {
		return 0
	}
	r := &s.ratchet
	n := 2 + 4 + len(s.ssid) + 4 + len(s.ourProfile.encoded) + 4 + len(s.peerProfile.encoded) + 8
	n += len(r.root) + len(r.brace) + len(r.sendChain) + len(r.receiveChain) + 3 + 7*4
	n += group.ScalarLen + len(r.ecdh.public) + len(r.dh.secret) + 4 + len(r.dh.public) + len(r.theirPublic) + 4 + len(r.theirDH)
	return n + 4 + len(s.skipped)*storedSkippedLen + 4 + len(s.storedReveal())
}

// Trim makes StoredLen at most size if dropping all of the following achieves that: first the MAC
// keys that are to be revealed, then the keys of missing messages, the oldest first.
func (e *Engine) Trim(size int) {
	over := e.StoredLen() - size
	if over <= 0 {
		return
	}
	s := e.session
	reveal := s.storedReveal()
	n := min(len(reveal), (over+macLen-1)/macLen*macLen)
	s.reveal = append(s.reveal[:0], reveal[n:]...)
	if over -= n; over > 0 {
		s.skipped.remove(0, min(len(s.skipped), (over+storedSkippedLen-1)/storedSkippedLen))
	}
}

// storedReveal returns the MAC keys that are stored.
func (s *session) storedReveal() []byte {
	return s.reveal[max(0, len(s.reveal)-maxStoredReveal):]
}

// AppendSession appends the engine's session with its secrets. The caller has to encrypt it
// before storing it. Without a session the error is ErrNoSession. Key exchanges are not
// stored.
//
// ahead is how many messages the engine may seal before the session is stored again. The
// stored session continues after them and contains none of their keys, so that after a crash
// the restored session never encrypts two messages with one key. If the next message begins a
// ratchet, that is begun now.
func (e *Engine) AppendSession(b []byte, ahead int) ([]byte, error) {
	s := e.session
	if s == nil {
		return b, ErrNoSession
	}
	if ahead > 0 && s.ratchet.ourTurn {
		next := s.try()
		if err := next.rotateSending(e.client.Rand, nil); err != nil {
			next.wipe()
			return b, err
		}
		s.ratchet = *next
		next.wipe()
	}
	r := s.try()
	defer r.wipe()
	for range ahead {
		keys, err := r.nextSending()
		if err != nil {
			return b, err
		}
		keys.wipe()
	}

	b = append(b, sessionFormat, byte(s.role))
	b = wire.AppendInt(b, e.peer)
	b = append(b, s.ssid[:]...)
	b = wire.AppendData(b, s.ourProfile.encoded)
	b = wire.AppendData(b, s.peerProfile.encoded)
	b = appendLong(b, int64(s.skippedLife/time.Second))

	b = append(append(b, r.root[:]...), r.brace[:]...)
	b = append(append(b, r.sendChain[:]...), r.receiveChain[:]...)
	b = append(b, boolByte(r.braceAhead), boolByte(r.receiving), boolByte(r.ourTurn))
	for _, n := range []uint32{r.i, r.sendID, r.receiveID, r.j, r.k, r.pn, r.rotations} {
		b = wire.AppendInt(b, n)
	}
	b = append(r.ecdh.secret.Append(b), r.ecdh.public[:]...)
	b = wire.AppendData(append(b, r.dh.secret[:]...), r.dh.public)
	b = wire.AppendData(append(b, r.theirPublic[:]...), r.theirDH)

	b = wire.AppendInt(b, uint32(len(s.skipped)))
	for i := range s.skipped {
		k := &s.skipped[i]
		b = wire.AppendInt(append(b, k.ecdh[:]...), k.id)
		b = append(append(b, k.keys.enc[:]...), k.keys.extra[:]...)
		b = appendLong(b, k.since.Unix())
	}
	return wire.AppendData(b, s.storedReveal()), nil
}

// ReadSession returns an engine with a session from the output of AppendSession. The result
// does not borrow from r. The error wraps ErrState.
func (c *Client) ReadSession(r *wire.Reader) (*Engine, error) {
	if format := r.Byte(); r.Err() == nil && format != sessionFormat {
		return nil, stateError(fmt.Errorf("session of form %d", format))
	}
	s := &session{role: role(r.Byte())}
	e := c.NewEngine(r.Int())
	copy(s.ssid[:], r.Take(len(s.ssid)))
	ours, theirs := r.Data(), r.Data()
	life := r.Long()

	good := s.ratchet.read(r) && s.readSkipped(r)
	s.reveal = append([]byte(nil), r.Data()...)
	if err := r.Err(); err != nil {
		return nil, stateError(err)
	}
	if !good || life > math.MaxInt64/uint64(time.Second) || s.role > roleAlice || len(s.reveal)%macLen != 0 || len(s.reveal) > maxHeld {
		return nil, stateError(errors.New("session"))
	}
	s.skippedLife = time.Duration(life) * time.Second
	var err error
	if s.ratchet.theirECDH, err = group.ParsePoint(s.ratchet.theirPublic[:]); err != nil {
		return nil, stateError(err)
	}
	if s.ourProfile, err = storedProfile(ours); err != nil {
		return nil, stateError(err)
	}
	if s.peerProfile, err = storedProfile(theirs); err != nil {
		return nil, stateError(err)
	}
	// The profile was valid when the session began. Its expiry no longer matters.
	if s.peer, err = s.peerProfile.Validate(e.peer, time.Unix(s.peerProfile.Expires-1, 0)); err != nil {
		return nil, stateError(err)
	}
	e.session = s
	return e, nil
}

// read reads the state of a ratchet, except the peer's point, which is parsed from
// theirPublic. It reports whether the flags are canonical. Read errors stay in r.
func (t *ratchet) read(r *wire.Reader) (good bool) {
	copy(t.root[:], r.Take(len(t.root)))
	copy(t.brace[:], r.Take(len(t.brace)))
	copy(t.sendChain[:], r.Take(len(t.sendChain)))
	copy(t.receiveChain[:], r.Take(len(t.receiveChain)))
	good = true
	for _, flag := range []*bool{&t.braceAhead, &t.receiving, &t.ourTurn} {
		v := r.Byte()
		*flag, good = v == 1, good && v <= 1
	}
	for _, n := range []*uint32{&t.i, &t.sendID, &t.receiveID, &t.j, &t.k, &t.pn, &t.rotations} {
		*n = r.Int()
	}
	if secret := r.Take(group.ScalarLen); secret != nil {
		t.ecdh.secret = group.ReduceScalar(secret) // unlike ParseScalar, in constant time
	}
	copy(t.ecdh.public[:], r.Take(group.PointLen))
	copy(t.dh.secret[:], r.Take(len(t.dh.secret)))
	t.dh.public = append([]byte(nil), r.Data()...)
	copy(t.theirPublic[:], r.Take(group.PointLen))
	t.theirDH = append([]byte(nil), r.Data()...)
	return good
}

// readSkipped reads the keys of skipped messages. It reports whether their number is within
// the limit. Read errors stay in r.
func (s *session) readSkipped(r *wire.Reader) (good bool) {
	count := r.Int()
	if r.Err() == nil && count > maxSkipped {
		return false
	}
	for range count {
		if r.Err() != nil {
			break
		}
		var k skippedKey
		copy(k.ecdh[:], r.Take(len(k.ecdh)))
		k.id = r.Int()
		copy(k.keys.enc[:], r.Take(len(k.keys.enc)))
		copy(k.keys.extra[:], r.Take(len(k.keys.extra)))
		k.since = time.Unix(int64(r.Long()), 0)
		s.skipped = s.skipped.add(k)
	}
	return true
}

// A Fit is the relation of a data message to a session.
type Fit int

// The ways in which a data message may fit a session.
const (
	// FitNone: the session has no key for it.
	FitNone Fit = iota
	// FitNew: it may begin the ratchet that the session waits for.
	FitNew
	// FitKnown: the session knows its ECDH key.
	FitKnown
)

func (f Fit) String() string {
	switch f {
	case FitNone:
		return "none"
	case FitNew:
		return "new ratchet"
	case FitKnown:
		return "known key"
	}
	return fmt.Sprintf("Fit(%d)", int(f))
}

// Fit returns how the data message m from the instance sender fits the session. If there are
// several sessions with one peer, a message is for one that knows its ECDH key, or otherwise
// for one that waits for a new ratchet. Only Receive checks whether it is genuine.
func (e *Engine) Fit(sender uint32, m *Data) Fit {
	s := e.session
	if s == nil || sender != e.peer {
		return FitNone
	}
	if s.ratchet.receiving && string(m.ECDH) == string(s.ratchet.theirPublic[:]) {
		return FitKnown
	}
	for i := range s.skipped {
		if string(m.ECDH) == string(s.skipped[i].ecdh[:]) {
			return FitKnown
		}
	}
	if !s.ratchet.ourTurn && m.RatchetID == s.ratchet.i {
		return FitNew
	}
	return FitNone
}

// Skipped returns the number of missing messages of the session: those that have not come
// although later ones have.
func (e *Engine) Skipped() int {
	if e.session == nil {
		return 0
	}
	return len(e.session.skipped)
}

// SkippedIn is Skipped for the messages of the ratchet with the key ecdh whose ids are at
// least from and below to.
func (e *Engine) SkippedIn(ecdh []byte, from, to uint32) (n int) {
	if e.session == nil {
		return 0
	}
	for i := range e.session.skipped {
		k := &e.session.skipped[i]
		if k.id >= from && k.id < to && string(k.ecdh[:]) == string(ecdh) {
			n++
		}
	}
	return n
}

// Sent returns the id of our current ratchet and how many messages have been sealed in it.
func (e *Engine) Sent() (ratchet, messages uint32) {
	if e.session == nil {
		return 0, 0
	}
	return e.session.ratchet.sendID, e.session.ratchet.j
}

// Due returns the id of the next message in the peer's ratchet with the key ecdh; 0 if that is
// not its current ratchet.
func (e *Engine) Due(ecdh []byte) uint32 {
	if s := e.session; s != nil && s.ratchet.receiving && string(ecdh) == string(s.ratchet.theirPublic[:]) {
		return s.ratchet.k
	}
	return 0
}

// Peer returns the instance tag of the peer.
func (e *Engine) Peer() uint32 { return e.peer }

func appendLong(b []byte, v int64) []byte {
	return wire.AppendInt(wire.AppendInt(b, uint32(uint64(v)>>32)), uint32(v))
}

func boolByte(v bool) byte {
	if v {
		return 1
	}
	return 0
}
