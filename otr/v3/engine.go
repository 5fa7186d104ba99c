package v3

import (
	"errors"
	"fmt"
	"io"

	"otrpipe/otr/keys"
	"otrpipe/otr/wire"
)

// The versions of the protocol that this package implements.
const (
	Version2 = 2
	Version3 = 3
)

// An Engine is our side of the protocol with one instance of the peer: one authentication
// state, and at most one session. Only one goroutine may use it at a time.
type Engine struct {
	version  uint16
	tag      uint32 // our instance tag
	peer     uint32 // the peer's instance tag; 0 in version 2
	identity *keys.DSAPrivateKey
	rand     io.Reader
	onKey    func(UsedKey) // may be nil

	exchange exchange
	late     []*lateSignature // exchanges whose Signature may still come, oldest first
	session  *session
	sessions int

	// reveal holds MAC keys of an earlier session that the next data message reveals.
	reveal []byte

	outline []byte // scratch space for the outline of a data message
}

// A Config holds the identity and the environment of engines.
type Config struct {
	Version     uint16              // Version2 or Version3
	InstanceTag uint32              // ours; unused in version 2
	Identity    *keys.DSAPrivateKey // signs key exchanges
	Rand        io.Reader           // the only source of randomness
	OnKey       func(UsedKey)       // is called with each derived key; may be nil
}

// A UsedKey is the key of the data messages that name the key ids of a pair of D-H keys. It
// is for users who want to analyse their own session.
type UsedKey struct {
	Sending                     bool // true: we encrypt with it; false: the peer does
	SenderKeyID, RecipientKeyID uint32
	AES                         AESKey
}

// NewEngine returns the engine for one instance of the peer; in version 2,
// which has no instance tags, peer is 0.
func NewEngine(c Config, peer uint32) *Engine {
	return &Engine{version: c.Version, tag: c.InstanceTag, peer: peer, identity: c.Identity, rand: c.Rand, onKey: c.OnKey}
}

// Begin enters AuthAwaitingDHKey: o has been, or is about to be, sent to the peer. Any
// exchange that was under way is forgotten, but a Signature for it that is still on its way
// is accepted, and the new exchange goes on.
func (e *Engine) Begin(o *Offer) {
	var beaten []byte
	if e.exchange.offer == o {
		beaten = e.exchange.beaten // it lost against the same offer
	}
	e.keepLate()
	e.exchange.clear()
	e.exchange.offer, e.exchange.beaten = o, beaten
	e.exchange.state = AuthAwaitingDHKey
}

// Forget returns to AuthNone without touching the session.
func (e *Engine) Forget() {
	e.exchange.clear()
	e.forgetLate()
}

// Relinquish returns to AuthNone without touching the session. It reports whether a Signature
// that would still begin a session may be on its way, because the peer may have received our
// Reveal Signature and have the session already. The offer is not needed for that. Forget
// stops waiting for that Signature.
func (e *Engine) Relinquish() bool {
	e.keepLate()
	e.exchange.clear()
	return e.Late()
}

// Late reports whether a Signature for an exchange before the last Begin is still accepted.
func (e *Engine) Late() bool { return len(e.late) > 0 }

// AuthState returns the authentication state.
func (e *Engine) AuthState() AuthState { return e.exchange.state }

// Receive handles one message of the peer. Its header h must be for us and of this engine's
// version. It returns the answer to send, if any, and the plaintext of an authentic data
// message, which borrows msg: msg is decrypted in place. The plaintext's TLVs are appended to
// tlvs[:0].
//
// An error is the reason why the message was rejected: ErrIgnored, ErrEcho, ErrMalformed,
// ErrAuthentication (key exchange), ErrUnreadable and the errors that wrap it (data
// messages). The state is then unchanged, except that an authentic data message with a
// malformed plaintext counts as received.
func (e *Engine) Receive(h wire.Header, body, msg []byte, tlvs []wire.TLV) (reply []byte, got wire.Plaintext, err error) {
	switch h.Type {
	case wire.TypeDHCommit:
		reply, err = e.receiveDHCommit(body)
	case wire.TypeDHKey:
		reply, err = e.receiveDHKey(body)
	case wire.TypeRevealSignature:
		reply, err = e.receiveRevealSignature(body)
	case wire.TypeSignature:
		err = e.receiveSignature(body)
	case wire.TypeData:
		got, err = e.receiveData(body, msg, tlvs, nil)
	default:
		err = malformed("unknown", fmt.Errorf("message type 0x%02x", byte(h.Type)))
	}
	return reply, got, err
}

// Sessions returns the number of key exchanges that have succeeded. When it has grown, the
// session is a new one.
func (e *Engine) Sessions() int { return e.sessions }

// Encrypted reports whether there is a session.
func (e *Engine) Encrypted() bool { return e.session != nil }

// PeerKey returns the long-term key that authenticated the session; nil: there is no session.
func (e *Engine) PeerKey() *keys.DSAPublicKey {
	if e.session == nil {
		return nil
	}
	return e.session.peer
}

// SSID returns the secure session id, and whether its first half is shown in bold here,
// because we sent the Reveal Signature.
func (e *Engine) SSID() (id [8]byte, firstHalfBold bool) {
	if e.session == nil {
		return id, false
	}
	return e.session.ssid, e.session.revealed
}

// KeyRotations returns how often our D-H key has been replaced in this session.
func (e *Engine) KeyRotations() uint32 {
	if e.session == nil {
		return 0
	}
	return e.session.ourID - exchangeKeyID - 1
}

// ErrNoSession means that there are no keys to encrypt with.
var ErrNoSession = errors.New("v3: no encrypted session")

// established is the result of a finished key exchange.
type established struct {
	peer     *keys.DSAPublicKey
	ssid     [8]byte
	revealed bool // we sent the Reveal Signature
	ours     dhKey
	theirs   []byte
	theirID  uint32
}

// establish replaces the session. The first data message of the new session reveals the MAC
// keys of the old one, which makes the messages that they verified forgeable.
func (e *Engine) establish(with established) error {
	s, err := newSession(with, e.rand)
	if err != nil {
		return err
	}
	s.onKey = e.onKey
	e.Drop()
	e.session = s
	e.sessions++
	return nil
}

// Drop wipes the session, if there is one.
func (e *Engine) Drop() {
	if e.session == nil {
		return
	}
	e.reveal = e.session.revealAll(e.reveal)
	e.session.wipe()
	e.session = nil
}

// Inherit drops the session of old, another Engine, and takes over the MAC keys that wait there
// to be revealed. The next data message reveals them.
func (e *Engine) Inherit(old *Engine) {
	old.Drop()
	room := maxReveal - min(len(e.reveal), maxReveal)
	e.reveal = append(e.reveal, old.reveal[:min(len(old.reveal), room)]...)
	old.reveal = nil
}

// Wipe forgets everything.
func (e *Engine) Wipe() {
	e.Forget()
	e.Drop()
	clear(e.reveal)
	e.reveal = nil
}

// appender is a message body that can be encoded.
type appender interface{ Append([]byte) []byte }

func (e *Engine) message(t wire.MessageType, body appender) []byte {
	return body.Append(e.header(t).Append(nil))
}

func (e *Engine) rawMessage(t wire.MessageType, body []byte) []byte {
	return append(e.header(t).Append(nil), body...)
}

func (e *Engine) header(t wire.MessageType) wire.Header {
	return wire.Header{Version: e.version, Type: t, Sender: e.tag, Receiver: e.peer}
}
