package v4

import (
	"fmt"
	"io"
	"time"

	"otrpipe/otr/group"
	"otrpipe/otr/wire"
)

// Version is the version of the protocol that this package speaks.
const Version = 4

// An Engine is our side of the protocol with one instance of the peer: one key exchange,
// and at most one session. It is for one goroutine.
type Engine struct {
	client   *Client
	peer     uint32 // their instance tag
	exchange exchange
	late     *answer // to which an Auth-I may still come after another exchange has begun; or nil
	session  *session
	sessions int

	answered identityHash // of the last Identity message that we answered
	again    *Offer       // the offer of the session, while the peer may answer it again
	answers  int          // how often it has
	accepted []byte       // the X of its last answer
	offered  []byte       // Y of our last one, which may come back long after
	reveal   []byte       // MAC keys of an earlier session, for the next one to reveal
	outline  []byte       // scratch for that of a data message
}

// NewEngine returns the engine for one instance of the peer.
func (c *Client) NewEngine(peer uint32) *Engine { return &Engine{client: c, peer: peer} }

// Begin enters AuthWaitingAuthR: o has been, or is about to be, sent to the peer. Whatever
// exchange was under way is forgotten, except that an Auth-I that is still on its way ends
// it as before; the new exchange goes on then. Where that was one of ours, whoever wants another
// sends the message of Offer again instead: of several offers that cross the peer's, each
// side could end up answering one that the other has given up.
func (e *Engine) Begin(o *Offer) {
	e.keepLate()
	e.exchange.clear()
	e.exchange.state, e.exchange.offer = AuthWaitingAuthR, o
	e.offered = o.ours.ecdh.public[:]
}

// Offer returns what we have begun and the peer has not answered; nil but in
// AuthWaitingAuthR.
func (e *Engine) Offer() *Offer { return e.exchange.offer }

// Settling reports whether the offer that the session has come from was made more than
// once, so that a peer who answers every copy with new keys may answer again. Each such
// answer brings a new session. Until then, or until Settled, the offer must not be wiped.
func (e *Engine) Settling() bool { return e.again != nil }

// Settled ends that.
func (e *Engine) Settled() { e.again, e.answers, e.accepted = nil, 0, nil }

// Answer returns our Auth-R, to be sent again, in AuthWaitingAuthI; else nil.
func (e *Engine) Answer() []byte {
	if e.exchange.answer == nil {
		return nil
	}
	return e.exchange.answer.message
}

// Forget returns to AuthNone without touching the session.
func (e *Engine) Forget() {
	e.exchange.clear()
	e.forgetLate()
}

// AuthState returns the state of the key exchange.
func (e *Engine) AuthState() AuthState { return e.exchange.state }

// Receive handles one message of the peer whose header h is for us and of version 4; body
// is what follows the header in msg. It returns the message to answer, if any, and for an
// authentic data message its plaintext, which borrows msg: msg is decrypted in place. The
// plaintext's TLVs are appended to tlvs[:0].
//
// An error says why nothing came of the message: ErrIgnored, ErrEcho, ErrBeaten,
// ErrMalformed, ErrAuthentication (key exchange), ErrBusy, ErrUnreadable and its kinds (data messages). Then the
// state is as it was.
func (e *Engine) Receive(h wire.Header, body, msg []byte, tlvs []wire.TLV) (reply []byte, got wire.Plaintext, err error) {
	switch h.Type {
	case wire.TypeIdentity:
		reply, err = e.receiveIdentity(h, body)
	case wire.TypeAuthR:
		reply, err = e.receiveAuthR(h, body)
	case wire.TypeAuthI:
		err = e.receiveAuthI(body)
	case wire.TypeData:
		got, err = e.receiveData(body, msg, tlvs, nil)
	default:
		err = fmt.Errorf("%w: %v", ErrIgnored, h.Type)
	}
	return reply, got, err
}

// Sessions counts the key exchanges that succeeded. When it has grown, the session is a
// new one.
func (e *Engine) Sessions() int { return e.sessions }

// Encrypted says whether there is a session.
func (e *Engine) Encrypted() bool { return e.session != nil }

// PeerKey returns the long-term keys that authenticated the session; nil without one.
func (e *Engine) PeerKey() *PeerKey {
	if e.session == nil {
		return nil
	}
	return e.session.peer
}

// SSID returns the secure session id, and whether its first half is to be shown in bold:
// we sent the Auth-R.
func (e *Engine) SSID() (id [ssidLen]byte, firstHalfBold bool) {
	if e.session == nil {
		return id, false
	}
	return e.session.ssid, e.session.role == roleAlice
}

// KeyRotations counts the ECDH keys that we have made in this session. A session in which
// it stands still for long is to be expired (section "Session Expiration").
func (e *Engine) KeyRotations() uint32 {
	if e.session == nil {
		return 0
	}
	return e.session.ratchet.rotations
}

// Drop forgets the session, if there is one, and its keys. Its MAC keys are revealed in the
// next one.
func (e *Engine) Drop() {
	if e.session == nil {
		return
	}
	e.session.dropSkipped(len(e.session.skipped))
	e.reveal = append(e.reveal, e.session.reveal...)
	e.drop()
}

// Wipe forgets everything.
func (e *Engine) Wipe() {
	e.Forget()
	e.Settled()
	e.drop()
	e.reveal = nil
}

// Format prints a placeholder for every verb.
func (Engine) Format(f fmt.State, _ rune) { io.WriteString(f, "v4.Engine(…)") }

// role is who we are in the section "Interactive DAKE Overview".
type role int

const (
	roleBob   role = iota // sent the Identity message and Auth-I
	roleAlice             // sent Auth-R
)

// session is an encrypted session.
type session struct {
	peer *PeerKey
	ssid [ssidLen]byte
	role role

	ourProfile, peerProfile *Profile

	ratchet ratchet
	skipped skippedKeys
	// prepared is for our next ratchet, or nil.
	prepared *Preparation
	reveal   []byte // mac_keys_to_reveal

	skippedLife time.Duration // how long skipped keys are kept

	extraSent, extraReceived []ExtraKey
}

// establish ends a key exchange with a new session, from K. The MAC keys of the one it
// replaces are revealed in it.
func (e *Engine) establish(mixed *key, ours *ephemeral, theirs *contribution, who role) error {
	s := &session{peer: theirs.peer, role: who, ourProfile: ours.profile, peerProfile: theirs.profile, skippedLife: skippedLifetime}
	group.KDF(s.ssid[:], group.UsageSSID, mixed[:])
	var err error
	if s.ratchet, err = newRatchet(mixed, ours, theirs, who); err != nil {
		return err
	}
	e.Drop()
	s.reveal, e.reveal = e.reveal, nil
	e.session = s
	e.sessions++
	return nil
}

// mix returns K, the mixed shared secret of the key exchange. x and a, or y and b, have
// then done what they were for.
func (e *ephemeral) mix(theirs *contribution) (mixed key, err error) {
	brace, err := thirdBraceKey(&e.dh, theirs.dh)
	if err != nil {
		return mixed, err
	}
	defer clear(brace[:])
	return mixedSecret(&e.ecdh, theirs.ecdhPoint, brace)
}

// drop wipes the session without revealing anything.
func (e *Engine) drop() {
	if s := e.session; s != nil {
		s.ratchet.wipe()
		s.prepared.drop()
		clear(s.skipped)
		wipeExtraKeys(s.extraSent[:cap(s.extraSent)])
		wipeExtraKeys(s.extraReceived[:cap(s.extraReceived)])
		*s = session{}
		e.session = nil
	}
}

func (e *Engine) header(t wire.MessageType) wire.Header {
	return wire.Header{Version: Version, Type: t, Sender: e.client.InstanceTag, Receiver: e.peer}
}
