package v4

import (
	"bytes"
	"crypto/sha3"
	"errors"
	"fmt"

	"otrpipe/otr/wire"
)

// An AuthState is where the key exchange stands, in the words of the section "Protocol
// States". ENCRYPTED_MESSAGES and FINISHED are no states of a key exchange: a session
// goes on until another has taken its place.
type AuthState int

// The authentication states.
const (
	AuthNone AuthState = iota
	AuthWaitingAuthR
	AuthWaitingAuthI
)

func (s AuthState) String() string {
	switch s {
	case AuthNone:
		return "START"
	case AuthWaitingAuthR:
		return "WAITING_AUTH_R"
	case AuthWaitingAuthI:
		return "WAITING_AUTH_I"
	}
	return fmt.Sprintf("AuthState(%d)", int(s))
}

var (
	// ErrIgnored says that the state machine has no use for the message; nothing has
	// changed.
	ErrIgnored = errors.New("v4: message ignored in this state")
	// ErrEcho says that the message is one of our own.
	ErrEcho = errors.New("v4: our own message came back")
	// ErrAuthentication says that a message of the key exchange failed a check; nothing
	// has changed.
	ErrAuthentication = errors.New("v4: key exchange refused")
)

func unauthenticated(err error) error { return fmt.Errorf("%w: %w", ErrAuthentication, err) }

// The positions of our key in the rings of the two signatures: Alice signs {F_b, H_a, Y},
// Bob {H_b, F_a, X}.
const (
	alicePosition = 1
	bobPosition   = 0
)

// exchange is the state of one key exchange. The names are those of the section
// "Interactive DAKE Overview": Bob begins with an Identity message, Alice answers.
type exchange struct {
	state  AuthState
	offer  *Offer  // in AuthWaitingAuthR: we are Bob
	answer *answer // in AuthWaitingAuthI: we are Alice
}

// answer is our answer to the peer's Identity message.
type answer struct {
	ours    *ephemeral
	theirs  *contribution
	message []byte // the whole Auth-R
}

// identityHash tells the Identity messages of one peer apart. Zero is none's.
type identityHash [32]byte

func hashIdentity(body []byte) (h identityHash) {
	copy(h[:], sha3.SumSHAKE256(body, len(h)))
	return h
}

// clear forgets everything and returns to AuthNone. The offer is not ours to wipe.
func (x *exchange) clear() {
	if x.answer != nil {
		x.answer.ours.wipe()
	}
	*x = exchange{}
}

// receiveIdentity follows "Receiving an Identity Message".
func (e *Engine) receiveIdentity(h wire.Header, body []byte) (reply []byte, err error) {
	m, err := ParseIdentity(body)
	if err != nil {
		return nil, err
	}
	x, hash := &e.exchange, hashIdentity(body)
	if bytes.Equal(m.Y, e.offered) {
		return nil, ErrEcho
	}
	if hash == e.answered {
		// It was sent twice because two of them crossed. A new Auth-R would make the
		// Auth-I to the first one worthless; and where we have gone on since, the copy is
		// of an exchange that the peer has ended or will end. Either way neither side
		// would get on.
		if x.state == AuthWaitingAuthI {
			return x.answer.message, nil
		}
		return nil, ErrIgnored
	}
	theirs, err := e.theirs(h, m.Profile, m.Y, m.B, m.FirstECDH, m.FirstDH).validate(e.client.Now())
	if err != nil {
		return nil, err
	}
	if x.state == AuthWaitingAuthR && hashedDH(x.offer.ours.dh.public) > hashedDH(m.B) {
		return x.offer.Message(x.offer.receiver), nil
	}
	a, err := e.newAnswer(theirs)
	if err != nil {
		return nil, err
	}
	x.clear()
	x.state, x.answer, e.answered = AuthWaitingAuthI, a, hash
	return a.message, nil
}

// newAnswer makes the Auth-R to an Identity message (section "Auth-R Message").
func (e *Engine) newAnswer(theirs *contribution) (*answer, error) {
	ours, err := e.client.newEphemeral()
	if err != nil {
		return nil, err
	}
	public := ours.public(e.client)
	ring := Ring{theirs.peer.Forging.Point(), e.client.public.Point(), theirs.ecdhPoint}
	sigma, err := e.client.signer.SignRing(e.client.Rand, ring, alicePosition, authRTranscript(&theirs.public, public))
	if err != nil {
		ours.wipe()
		return nil, err
	}
	m := AuthR{
		Profile: ours.profile,
		X:       public.ecdh, A: public.dh,
		Sigma:     sigma,
		FirstECDH: public.firstECDH, FirstDH: public.firstDH,
	}
	return &answer{ours: ours, theirs: theirs, message: m.Append(e.header(wire.TypeAuthR).Append(nil))}, nil
}

// receiveAuthR follows "Receiving an Auth-R Message".
func (e *Engine) receiveAuthR(h wire.Header, body []byte) (reply []byte, err error) {
	m, err := ParseAuthR(body)
	if err != nil {
		return nil, err
	}
	x := &e.exchange
	if x.state != AuthWaitingAuthR {
		return nil, ErrIgnored
	}
	theirs, err := e.theirs(h, m.Profile, m.X, m.A, m.FirstECDH, m.FirstDH).validate(e.client.Now())
	if err != nil {
		return nil, err
	}
	ours := x.offer.ours
	bob := ours.public(e.client)
	ring := Ring{e.client.Forging.Point(), theirs.peer.Public.Point(), ours.ecdh.point}
	if err := ring.Verify(m.Sigma, authRTranscript(bob, &theirs.public)); err != nil {
		return nil, unauthenticated(err)
	}
	ring = Ring{e.client.public.Point(), theirs.peer.Forging.Point(), theirs.ecdhPoint}
	sigma, err := e.client.signer.SignRing(e.client.Rand, ring, bobPosition, authITranscript(bob, &theirs.public))
	if err != nil {
		return nil, err
	}
	if err := e.establish(ours, theirs, roleBob); err != nil {
		return nil, err
	}
	return (&AuthI{Sigma: sigma}).Append(e.header(wire.TypeAuthI).Append(nil)), nil
}

// receiveAuthI follows "Receiving an Auth-I Message".
func (e *Engine) receiveAuthI(body []byte) error {
	m, err := ParseAuthI(body)
	if err != nil {
		return err
	}
	x := &e.exchange
	if x.state != AuthWaitingAuthI {
		return ErrIgnored
	}
	ours, theirs := x.answer.ours, x.answer.theirs
	ring := Ring{theirs.peer.Public.Point(), e.client.Forging.Point(), ours.ecdh.point}
	if err := ring.Verify(m.Sigma, authITranscript(&theirs.public, ours.public(e.client))); err != nil {
		return unauthenticated(err)
	}
	return e.establish(ours, theirs, roleAlice)
}

// theirs is what a message of the peer contributes, not validated.
func (e *Engine) theirs(h wire.Header, profile *Profile, ecdh, dh, firstECDH, firstDH []byte) public {
	p := public{
		tag:     h.Sender,
		profile: profile,
		ecdh:    ecdh, dh: dh,
		firstECDH: firstECDH, firstDH: firstDH,
	}
	if e.client.Accounts != nil {
		p.account = &e.client.Accounts.Theirs
	}
	return p
}

// hashedDH is the hash of B by which one of two crossing Identity messages is chosen,
// SHAKE-256(MPI(B), 32), to be compared as a big-endian number.
func hashedDH(b []byte) string {
	return string(sha3.SumSHAKE256(wire.AppendMPI(nil, b), 32))
}
