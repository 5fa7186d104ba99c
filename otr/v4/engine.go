package v4

import (
	"fmt"
	"io"
	"time"

	"otrpipe/otr/group"
	"otrpipe/otr/wire"
)

// Version is the version of the protocol that this package implements.
const Version = 4

// An Engine is our side of the protocol with one instance of the peer: one key exchange, and
// at most one session. Only one goroutine may use it at a time.
type Engine struct {
	client   *Client
	peer     uint32 // the peer's instance tag
	exchange exchange
	late     *answer // an earlier answer to which an Auth-I may still come; or nil
	session  *session
	sessions int

	answered identityHash // the last Identity message that we answered
	again    *Offer       // the offer of the session, while the peer may answer it again
	answers  int          // how often it has done so
	accepted []byte       // the X of its last answer
	offered  []byte       // Y of our last offer, which may come back much later
	reveal   []byte       // MAC keys of an earlier session, to be revealed in the next one
	outline  []byte       // scratch space for the outline of a data message
}

// NewEngine returns the engine for one instance of the peer.
func (c *Client) NewEngine(peer uint32) *Engine { return &Engine{client: c, peer: peer} }

// Begin enters AuthWaitingAuthR: o has been, or is about to be, sent to the peer. Any
// exchange that was under way is forgotten, but an Auth-I for it that is still on its way is
// accepted, and the new exchange goes on. If there is an offer of ours already, send the
// message of Offer again instead of beginning another: if several offers cross the peer's,
// each side could end up answering one that the other has given up.
func (e *Engine) Begin(o *Offer) {
	e.keepLate()
	e.exchange.clear()
	e.exchange.state, e.exchange.offer = AuthWaitingAuthR, o
	e.offered = o.ours.ecdh.public[:]
}

// Offer returns our offer that the peer has not answered; nil except in AuthWaitingAuthR.
func (e *Engine) Offer() *Offer { return e.exchange.offer }

// Settling reports whether the offer that led to the session was sent more than once, so that
// a peer that answers every copy with new keys may answer again. Each such answer begins a
// new session. While Settling is true, the offer must not be wiped.
func (e *Engine) Settling() bool { return e.again != nil }

// Settled ends that state.
func (e *Engine) Settled() { e.again, e.answers, e.accepted = nil, 0, nil }

// Answer returns our Auth-R in AuthWaitingAuthI, to be sent again, and otherwise nil.
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

// Late reports whether an Auth-I for an exchange before the last Begin is still accepted.
func (e *Engine) Late() bool { return e.late != nil }

// AuthState returns the state of the key exchange.
func (e *Engine) AuthState() AuthState { return e.exchange.state }

// Receive handles one message of the peer. Its header h must be for us and of version 4; body
// is the rest of msg after the header. It returns the answer to send, if any, and the
// plaintext of an authentic data message, which borrows msg: msg is decrypted in place. The
// plaintext's TLVs are appended to tlvs[:0].
//
// An error is the reason why the message was rejected: ErrIgnored, ErrEcho, ErrBeaten,
// ErrMalformed, ErrAuthentication (key exchange), ErrBusy, ErrUnreadable and the errors that
// wrap it (data messages). The state is then unchanged.
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

// Sessions returns the number of key exchanges that have succeeded. When it has grown, the
// session is a new one.
func (e *Engine) Sessions() int { return e.sessions }

// Encrypted reports whether there is a session.
func (e *Engine) Encrypted() bool { return e.session != nil }

// PeerKey returns the long-term keys that authenticated the session; nil: there is no
// session.
func (e *Engine) PeerKey() *PeerKey {
	if e.session == nil {
		return nil
	}
	return e.session.peer
}

// SSID returns the secure session id, and whether its first half is shown in bold here,
// because we sent the Auth-R.
func (e *Engine) SSID() (id [ssidLen]byte, firstHalfBold bool) {
	if e.session == nil {
		return id, false
	}
	return e.session.ssid, e.session.role == roleAlice
}

// KeyRotations returns the number of ECDH keys that we have made in this session. If it does
// not grow for too long, the session should be ended (section "Session Expiration").
func (e *Engine) KeyRotations() uint32 {
	if e.session == nil {
		return 0
	}
	return e.session.ratchet.rotations
}

// Drop wipes the session, if there is one. Its MAC keys are revealed in the next session.
func (e *Engine) Drop() {
	if e.session == nil {
		return
	}
	e.session.dropSkipped(len(e.session.skipped))
	e.reveal = append(e.reveal, e.session.reveal...)
	e.drop()
}

// Inherit drops the session of old, another Engine, and takes over the MAC keys that wait there
// to be revealed, as far as there is room. This engine must have a session, which reveals them.
func (e *Engine) Inherit(old *Engine) {
	old.Drop()
	s := e.session
	room := maxHeld - min(len(s.reveal), maxHeld)
	s.reveal = append(s.reveal, old.reveal[:min(len(old.reveal), room)]...)
	old.reveal = nil
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

// role is our role in the section "Interactive DAKE Overview".
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
	next    ratchet // see try
	skipped skippedKeys
	// prepared is the Preparation for our next ratchet, or nil.
	prepared *Preparation
	reveal   []byte // mac_keys_to_reveal

	skippedLife time.Duration // how long skipped keys are kept

	extraSent, extraReceived []ExtraKey
}

// establish completes a key exchange with a new session, from K. The MAC keys of the replaced
// session are revealed in the new one.
func (e *Engine) establish(mixed *key, ours *ephemeral, theirs *contribution, who role) error {
	s := &session{peer: theirs.peer, role: who, ourProfile: ours.profile, peerProfile: theirs.profile, skippedLife: skippedLifetime}
	group.KDF(s.ssid[:], group.UsageSSID, mixed[:])
	if err := s.ratchet.begin(mixed, ours, theirs, who); err != nil {
		return err
	}
	e.Drop()
	s.reveal, e.reveal = e.reveal, nil
	e.session = s
	e.sessions++
	return nil
}

// try returns a copy of the ratchet, which the caller wipes. It is not on the stack: when that
// grows, Go leaves what was on it behind.
func (s *session) try() *ratchet {
	s.next = s.ratchet
	return &s.next
}

// mix returns K, the mixed shared secret of the key exchange. After that, x and a, or y and
// b, are no longer needed.
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
		s.next.wipe()
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
