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
	// ErrBeaten says that the peer's Identity message has lost against ours, which it has
	// or will have got; nothing has changed. Some peers answer every copy of ours with new
	// keys, so it is not to be sent again at once.
	ErrBeaten = errors.New("v4: the peer's Identity message has lost against ours")
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
	ours    *ephemeral // without x and a
	theirs  *contribution
	mixed   key    // K
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
	x.answer.wipe()
	*x = exchange{}
}

func (a *answer) wipe() {
	if a != nil {
		a.ours.wipe()
		clear(a.mixed[:])
	}
}

// keepLate keeps our answer for an Auth-I that is on its way: the peer may have the
// session by then, and have said something in it.
func (e *Engine) keepLate() {
	if x := &e.exchange; x.state == AuthWaitingAuthI {
		e.forgetLate()
		e.late, x.answer = x.answer, nil
	}
}

func (e *Engine) forgetLate() {
	e.late.wipe()
	e.late = nil
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
		// A new Auth-R would make the Auth-I to the first one worthless; and where we have
		// gone on since, the copy is of an exchange that the peer has ended or will end.
		// Either way neither side would get on.
		if x.state == AuthWaitingAuthI {
			return x.answer.message, nil
		}
		return nil, ErrIgnored
	}
	if !e.client.exchanges.spend(e.client.Now()) {
		return nil, ErrBusy
	}
	theirs, err := e.theirs(h, m.Profile, m.Y, m.B, m.FirstECDH, m.FirstDH).validate(e.client.Now())
	if err != nil {
		return nil, err
	}
	if x.state == AuthWaitingAuthR && hashedDH(x.offer.ours.dh.public) > hashedDH(m.B) {
		return nil, ErrBeaten
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
	mixed, err := ours.mix(theirs)
	ours.wipeExchange()
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
	return &answer{ours: ours, theirs: theirs, mixed: mixed, message: m.Append(e.header(wire.TypeAuthR).Append(nil))}, nil
}

// receiveAuthR follows "Receiving an Auth-R Message". An offer that was made more than
// once may be answered more than once; see Settling.
func (e *Engine) receiveAuthR(h wire.Header, body []byte) (reply []byte, err error) {
	m, err := ParseAuthR(body)
	if err != nil {
		return nil, err
	}
	offer := e.again
	if e.exchange.state == AuthWaitingAuthR {
		offer = e.exchange.offer
	}
	if offer == nil || offer == e.again && bytes.Equal(m.X, e.accepted) {
		return nil, ErrIgnored
	}
	if !e.client.exchanges.spend(e.client.Now()) {
		return nil, ErrBusy
	}
	theirs, err := e.theirs(h, m.Profile, m.X, m.A, m.FirstECDH, m.FirstDH).validate(e.client.Now())
	if err != nil {
		return nil, err
	}
	ours := offer.ours
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
	mixed, err := ours.mix(theirs)
	if err != nil {
		return nil, err
	}
	defer clear(mixed[:])
	if err := e.establish(&mixed, ours, theirs, roleBob); err != nil {
		return nil, err
	}
	e.client.exchanges.restore()
	e.answeredBy(offer, m.X)
	return (&AuthI{Sigma: sigma}).Append(e.header(wire.TypeAuthI).Append(nil)), nil
}

// answeredBy notes an answer to an offer, with its X.
func (e *Engine) answeredBy(offer *Offer, x []byte) {
	if offer != e.again {
		e.Settled()
		e.forgetLate() // it would have come before
	}
	// A peer that answers us has given up the offer that we have answered, unless its
	// messages have changed places.
	e.keepLate()
	e.exchange.clear()
	e.again, e.accepted = offer, x
	if e.answers++; e.answers >= offer.sends {
		e.Settled()
	}
}

// receiveAuthI follows "Receiving an Auth-I Message".
func (e *Engine) receiveAuthI(body []byte) error {
	m, err := ParseAuthI(body)
	if err != nil {
		return err
	}
	x := &e.exchange
	if x.state != AuthWaitingAuthI && e.late == nil {
		return ErrIgnored
	}
	if !e.client.exchanges.spend(e.client.Now()) {
		return ErrBusy
	}
	a, late, checks := x.answer, false, 1
	err = e.verifyAuthI(m, a)
	if err != nil && e.late != nil {
		if a != nil { // which has been a check too
			if !e.client.exchanges.spend(e.client.Now()) {
				return ErrBusy
			}
			checks++
		}
		a, late, err = e.late, true, e.verifyAuthI(m, e.late)
	}
	if err != nil {
		return err
	}
	if err := e.establish(&a.mixed, a.ours, a.theirs, roleAlice); err != nil {
		return err
	}
	for range checks + 1 { // those, and that of the Identity message
		e.client.exchanges.restore()
	}
	e.Settled()
	e.forgetLate()
	if !late {
		x.clear()
	}
	return nil
}

// verifyAuthI checks that an Auth-I ends the exchange that a, unless nil, is our answer in.
func (e *Engine) verifyAuthI(m *AuthI, a *answer) error {
	if a == nil {
		return ErrIgnored
	}
	ring := Ring{a.theirs.peer.Public.Point(), e.client.Forging.Point(), a.ours.ecdh.point}
	if err := ring.Verify(m.Sigma, authITranscript(&a.theirs.public, a.ours.public(e.client))); err != nil {
		return unauthenticated(err)
	}
	return nil
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
