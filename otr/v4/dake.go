package v4

import (
	"bytes"
	"crypto/sha3"
	"errors"
	"fmt"

	"otrpipe/otr/wire"
)

// An AuthState is the state of the key exchange, with the names of the section "Protocol
// States". ENCRYPTED_MESSAGES and FINISHED are not states of a key exchange here: a session
// goes on until another replaces it.
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
	// ErrIgnored means that the message is not expected in this state; nothing has changed.
	ErrIgnored = errors.New("v4: message ignored in this state")
	// ErrEcho means that the message is one of our own.
	ErrEcho = errors.New("v4: our own message came back")
	// ErrBeaten means that the peer's Identity message has lost against ours, which the peer
	// has received or will receive; nothing has changed. Do not send ours again at once,
	// because some peers answer every copy with new keys.
	ErrBeaten = errors.New("v4: the peer's Identity message has lost against ours")
	// ErrAuthentication means that a message of the key exchange failed a check; nothing has
	// changed.
	ErrAuthentication = errors.New("v4: key exchange refused")
)

func unauthenticated(err error) error { return fmt.Errorf("%w: %w", ErrAuthentication, err) }

// The positions of our key in the rings of the two signatures: Alice signs {F_b, H_a, Y},
// Bob {H_b, F_a, X}.
const (
	alicePosition = 1
	bobPosition   = 0
)

// exchange is the state of one key exchange. The names are from the section "Interactive DAKE
// Overview": Bob begins with an Identity message, Alice answers.
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

// identityHash identifies an Identity message of one peer. Zero: none.
type identityHash [32]byte

func hashIdentity(body []byte) (h identityHash) {
	copy(h[:], sha3.SumSHAKE256(body, len(h)))
	return h
}

// clear forgets everything and returns to AuthNone. It does not wipe the offer, which other
// engines may hold.
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

// keepLate keeps our answer for an Auth-I that may be on its way: the peer may have the
// session already, and may have sent messages in it.
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

// receiveIdentity implements section "Receiving an Identity Message".
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
		// This is a copy. A new Auth-R would make the Auth-I for the first one useless. If we
		// have moved on since then, the copy belongs to an exchange that the peer has
		// completed or will complete, so answering it would lead nowhere.
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

// newAnswer makes the Auth-R that answers an Identity message (section "Auth-R Message").
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

// receiveAuthR implements section "Receiving an Auth-R Message". An offer that was sent more
// than once may be answered more than once; see Settling.
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

// answeredBy records an answer to an offer, with its X.
func (e *Engine) answeredBy(offer *Offer, x []byte) {
	if offer != e.again {
		e.Settled()
		e.forgetLate() // it would have come before this answer
	}
	// A peer that answers our offer has given up its own, which we have answered, unless its
	// messages were reordered.
	e.keepLate()
	e.exchange.clear()
	e.again, e.accepted = offer, x
	if e.answers++; e.answers >= offer.sends {
		e.Settled()
	}
}

// receiveAuthI implements section "Receiving an Auth-I Message".
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
		if a != nil { // the first check counts too
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
	for range checks + 1 { // these checks, and that of the Identity message
		e.client.exchanges.restore()
	}
	e.Settled()
	e.forgetLate()
	if !late {
		x.clear()
	}
	return nil
}

// verifyAuthI checks that an Auth-I completes the exchange in which a, unless nil, is our
// answer.
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

// theirs returns the contribution in a message of the peer, not validated.
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

// hashedDH returns the hash of B that decides between two crossing Identity messages,
// SHAKE-256(MPI(B), 32), to be compared as a big-endian number.
func hashedDH(b []byte) string {
	return string(sha3.SumSHAKE256(wire.AppendMPI(nil, b), 32))
}
