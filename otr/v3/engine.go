package v3

import (
	"errors"
	"fmt"
	"io"

	"otrpipe/otr/keys"
	"otrpipe/otr/wire"
)

// Versions of the protocol that this package speaks.
const (
	Version2 = 2
	Version3 = 3
)

// An Engine is our side of the protocol with one instance of the peer: one
// authentication state, and at most one session. It is for one goroutine.
type Engine struct {
	version  uint16
	tag      uint32 // ours
	peer     uint32 // theirs; 0 in version 2
	identity *keys.DSAPrivateKey
	rand     io.Reader
	onKey    func(UsedKey) // may be nil

	exchange exchange
	late     *lateSignature // nil: none is waited for
	session  *session
	sessions int

	// reveal are MAC keys of an earlier session that the next data message
	// reveals.
	reveal []byte

	outline []byte // scratch for that of a data message
}

// A Config says on whose behalf engines speak.
type Config struct {
	Version     uint16              // Version2 or Version3
	InstanceTag uint32              // ours; unused in version 2
	Identity    *keys.DSAPrivateKey // signs key exchanges
	Rand        io.Reader           // the only source of randomness
	OnKey       func(UsedKey)       // is told of each key that is derived; nil: nobody is
}

// A UsedKey is the key of the data messages that name the key ids of a pair of D-H keys.
// It is what a user asks for who wants to take a session of their own apart.
type UsedKey struct {
	Sending                     bool // we encrypt with it; else the peer does
	SenderKeyID, RecipientKeyID uint32
	AES                         AESKey
}

// NewEngine returns the engine for one instance of the peer; in version 2,
// which has no instance tags, peer is 0.
func NewEngine(c Config, peer uint32) *Engine {
	return &Engine{version: c.Version, tag: c.InstanceTag, peer: peer, identity: c.Identity, rand: c.Rand, onKey: c.OnKey}
}

// Begin enters AuthAwaitingDHKey: o has been, or is about to be, sent to the
// peer. Whatever exchange was under way is forgotten, except that a Signature that is
// still on its way ends it as before; the new exchange goes on then.
func (e *Engine) Begin(o *Offer) {
	var beaten []byte
	if e.exchange.offer == o {
		beaten = e.exchange.beaten // it has lost against the same offer
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

// Relinquish returns to AuthNone without touching the session, and reports whether a
// Signature may be on its way that still begins a session: that of a peer that has got our
// Reveal Signature and has its session by then. The offer is not needed for that. Forget
// ends the wait.
func (e *Engine) Relinquish() bool {
	e.keepLate()
	e.exchange.clear()
	return e.late != nil
}

// AuthState returns the authentication state.
func (e *Engine) AuthState() AuthState { return e.exchange.state }

// Receive handles one message of the peer whose header h is for us and of this
// engine's version. It returns the message to answer, if any, and for an
// authentic data message its plaintext, which borrows msg: msg is decrypted in
// place. The plaintext's TLVs are appended to tlvs[:0].
//
// An error says why nothing came of the message: ErrIgnored, ErrEcho,
// ErrMalformed, ErrAuthentication (key exchange), ErrUnreadable and its kinds
// (data messages). Then the state is as it was, unless a data message is
// authentic and its plaintext is not of its form: that one counts as received.
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

// Sessions counts the key exchanges that succeeded. When it has grown, the
// session is a new one.
func (e *Engine) Sessions() int { return e.sessions }

// Encrypted says whether there is a session.
func (e *Engine) Encrypted() bool { return e.session != nil }

// PeerKey returns the long-term key that authenticated the session; nil
// without one.
func (e *Engine) PeerKey() *keys.DSAPublicKey {
	if e.session == nil {
		return nil
	}
	return e.session.peer
}

// SSID returns the secure session id, and whether its first half is to be shown
// in bold: we sent the Reveal Signature.
func (e *Engine) SSID() (id [8]byte, firstHalfBold bool) {
	if e.session == nil {
		return id, false
	}
	return e.session.ssid, e.session.revealed
}

// KeyRotations counts how often our D-H key has been replaced in this session.
func (e *Engine) KeyRotations() uint32 {
	if e.session == nil {
		return 0
	}
	return e.session.ourID - exchangeKeyID - 1
}

// ErrNoSession says that there are no keys to encrypt with.
var ErrNoSession = errors.New("v3: no encrypted session")

// established is what a finished key exchange hands to its session.
type established struct {
	peer     *keys.DSAPublicKey
	ssid     [8]byte
	revealed bool // we sent the Reveal Signature
	ours     dhKey
	theirs   []byte
	theirID  uint32
}

// establish replaces the session. What the old one's MAC keys verified becomes
// forgeable with the first data message of the new one.
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

// Drop forgets the session, if there is one, and its keys.
func (e *Engine) Drop() {
	if e.session == nil {
		return
	}
	e.reveal = e.session.revealAll(e.reveal)
	e.session.wipe()
	e.session = nil
}

// Wipe forgets everything.
func (e *Engine) Wipe() {
	e.Forget()
	e.Drop()
	clear(e.reveal)
	e.reveal = nil
}

// appender is a message body that can write itself.
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
