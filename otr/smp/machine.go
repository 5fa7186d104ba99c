// Package smp is the socialist millionaires' protocol: two peers in an
// encrypted session learn whether they typed the same secret, and nothing else.
// The secret is tied to both fingerprints and to the session, so that nobody in
// the middle can pass the comparison on.
//
// It follows the section "Socialist Millionaires' Protocol (SMP)" of the
// specification of OTR version 3 (version 2's is the same). Version 4's,
// "Socialist Millionaires Protocol (SMP)" over Ed448, is the same code:
// [Machine] is the state machine, a [Binding] is what differs between versions
// and sessions.
//
// Received values are held to more than the specification asks. Besides the
// range they must lie in the group of prime order that honest values lie in: an
// element outside it would show its sender one bit of the secret's hash in every
// run. Proof values must be below q, numbers minimally encoded, and the peer must
// not repeat our own P and Q. No honest peer notices.
package smp

import (
	"errors"
	"io"

	"otrpipe/otr/wire"
)

// MaxQuestion is the longest question, in bytes, that is sent or accepted. It is
// shown to a person who has to answer it; a longer one is a nuisance, not a
// question.
const MaxQuestion = 4096

var (
	// ErrNotAsked reports an Answer where the peer has not asked.
	ErrNotAsked = errors.New("smp: the peer has not asked for a secret")
	// ErrNoSecret reports an empty secret, which everybody knows.
	ErrNoSecret = errors.New("smp: the secret is empty")
	// ErrQuestion reports a question longer than MaxQuestion, or with a NUL byte
	// in it.
	ErrQuestion = errors.New("smp: the question is too long or has a NUL byte in it")
	// ErrState reports a message that is not the one the state asks for.
	ErrState = errors.New("smp: message out of turn")
	// ErrMalformed reports a message that is not encoded as it must be.
	ErrMalformed = errors.New("smp: malformed message")
	// ErrElement reports a received value that is no element of the group, or one
	// that gives no security: 0, 1, −1 and what lies outside the prime-order group.
	ErrElement = errors.New("smp: value is not in the group")
	// ErrProof reports a zero-knowledge proof that does not hold.
	ErrProof = errors.New("smp: proof does not hold")
	// ErrRepeated reports a peer whose P or Q is our own.
	ErrRepeated = errors.New("smp: the peer repeats our own value")
)

// Machine is the state machine of one session, section "The SMP state machine".
// It runs the protocol any number of times, one run after another; every end of
// a run, good or bad, wipes that run's secrets and leaves the next able to
// succeed. It is for one goroutine, and only while the session is encrypted:
// call Wipe when that ends. It sets no bound on the number of runs; whoever
// answers without a person must, because each run is one guess for the peer.
type Machine struct {
	binding Binding
	rand    io.Reader
	state   State
	run     run  // of the run under way; nil in StateExpect1
	crossed bool // ended by a crossing start; the peer's abort is still to come
}

// New returns a Machine in StateExpect1. All randomness is read from rand.
func New(b Binding, rand io.Reader) *Machine {
	return &Machine{binding: b, rand: rand}
}

// State returns the state. StateExpect1 means that no run is under way.
func (m *Machine) State() State {
	return m.state
}

// OutcomeShown says that a run is under way whose outcome the peer knows and we do
// not: our message 3 is out, and the peer's message 4 has not come. (A responder
// learns the outcome before it shows it with message 4, so only who began a run can
// be in that place.) Whatever ends the run now but its success, the peer has had
// one guess.
func (m *Machine) OutcomeShown() bool {
	return m.state == StateExpect4
}

// Start begins a run, "User requests to begin SMP", and returns what to send. A
// run that is under way is aborted first, whoever began it. The question is for
// the peer's user; empty means none. Errors are ErrNoSecret, ErrQuestion and
// those of the randomness; after an error nothing has changed.
func (m *Machine) Start(secret []byte, question string) ([]wire.TLV, error) {
	if len(secret) == 0 {
		return nil, ErrNoSecret
	}
	if err := checkQuestion(question); err != nil {
		return nil, err
	}
	next := m.binding.newRun(m.rand)
	body, err := next.message1(secret)
	if err != nil {
		next.wipe()
		return nil, err
	}
	var send []wire.TLV
	if m.state != StateExpect1 {
		send = m.Abort()
	}
	m.run, m.state, m.crossed = next, StateExpect2, false
	return append(send, m.binding.framing.message1(question, body)), nil
}

// Answer gives the secret that the peer asked for and returns what to send. It
// is for StateAwaitingSecret; elsewhere it returns ErrNotAsked. Errors are also
// ErrNoSecret and those of the randomness; after an error nothing has changed.
func (m *Machine) Answer(secret []byte) ([]wire.TLV, error) {
	if m.state != StateAwaitingSecret {
		return nil, ErrNotAsked
	}
	if len(secret) == 0 {
		return nil, ErrNoSecret
	}
	body, err := m.run.message2(secret)
	if err != nil {
		return nil, err
	}
	m.state = StateExpect3
	return []wire.TLV{{Type: wire.TLVSMP2, Value: body}}, nil
}

// Abort ends the run that is under way, if any, "User requests to abort SMP",
// and returns the SMP abort to send.
func (m *Machine) Abort() []wire.TLV {
	m.Wipe()
	return []wire.TLV{{Type: wire.TLVSMPAbort}}
}

// Wipe forgets and wipes the run that is under way, if any, and tells nobody.
// It is for the end of the session.
func (m *Machine) Wipe() {
	if m.run != nil {
		m.run.wipe()
	}
	m.run, m.state, m.crossed = nil, StateExpect1, false
}

// Receive takes one record from the peer and returns what to send and what
// happened. Records that are not the protocol's are ignored. The value is not
// kept. A message out of turn, a malformed one and one that fails a check end
// the run: the peer is sent an abort.
func (m *Machine) Receive(t wire.TLV) ([]wire.TLV, Event) {
	turn := m.state
	switch {
	case t.Type == wire.TLVSMPAbort: // its value should be empty, and with some peers is not
		return nil, m.receiveAbort()
	case m.binding.framing.isMessage1(t.Type):
		if turn == StateExpect1 {
			return m.receive1(t)
		}
	case t.Type == wire.TLVSMP2:
		if turn == StateExpect2 {
			return m.receive2(t.Value)
		}
	case t.Type == wire.TLVSMP3:
		if turn == StateExpect3 {
			return m.receive3(t.Value)
		}
	case t.Type == wire.TLVSMP4:
		if turn == StateExpect4 {
			return m.receive4(t.Value)
		}
	default:
		return nil, Event{}
	}
	return m.receiveOutOfTurn(t)
}

// receiveAbort is for the SMP abort in every state.
func (m *Machine) receiveAbort() Event {
	under, shown := m.state != StateExpect1 || m.crossed, m.OutcomeShown()
	m.Wipe()
	if !under { // the answer to our own abort, or to the end of a run that failed
		return Event{}
	}
	return Event{Kind: Aborted, Shown: shown}
}

// receiveOutOfTurn is for messages that the state does not ask for: each ends
// the run under way and is answered with an abort.
func (m *Machine) receiveOutOfTurn(t wire.TLV) ([]wire.TLV, Event) {
	event := Event{Kind: Aborted, Reason: ErrState, Shown: m.OutcomeShown()}
	switch {
	case m.state == StateExpect1: // no run of ours: what is left of one that ended
		event = Event{}
	case m.state == StateExpect2 && m.binding.framing.isMessage1(t.Type):
		event = Event{Kind: Crossed}
	}
	crossed := m.crossed || event.Kind == Crossed
	send := m.Abort()
	m.crossed = crossed
	return send, event
}

func (m *Machine) receive1(t wire.TLV) ([]wire.TLV, Event) {
	question, body, err := m.binding.framing.parse1(t)
	if err == nil && len(question) > MaxQuestion {
		err = ErrQuestion
	}
	if err != nil {
		return m.refuse(err)
	}
	m.run = m.binding.newRun(m.rand)
	if err := m.run.receive1(body); err != nil {
		return m.refuse(err)
	}
	m.state, m.crossed = StateAwaitingSecret, false
	return nil, Event{Kind: Asked, Question: question}
}

func (m *Machine) receive2(body []byte) ([]wire.TLV, Event) {
	reply, err := m.run.receive2(body)
	if err != nil {
		return m.refuse(err)
	}
	m.state = StateExpect4
	return []wire.TLV{{Type: wire.TLVSMP3, Value: reply}}, Event{}
}

func (m *Machine) receive3(body []byte) ([]wire.TLV, Event) {
	reply, equal, err := m.run.receive3(body)
	if err != nil {
		return m.refuse(err)
	}
	return []wire.TLV{{Type: wire.TLVSMP4, Value: reply}}, m.finish(equal)
}

func (m *Machine) receive4(body []byte) ([]wire.TLV, Event) {
	equal, err := m.run.receive4(body)
	if err != nil {
		return m.refuse(err)
	}
	return nil, m.finish(equal)
}

// refuse ends the run because of what the peer sent, or because there was no
// randomness to answer it with.
func (m *Machine) refuse(err error) ([]wire.TLV, Event) {
	kind, shown := Aborted, m.OutcomeShown()
	for _, cheat := range []error{ErrElement, ErrProof, ErrRepeated} {
		if errors.Is(err, cheat) {
			kind = Cheated
		}
	}
	return m.Abort(), Event{Kind: kind, Reason: err, Shown: shown}
}

func (m *Machine) finish(equal bool) Event {
	m.Wipe()
	if !equal {
		return Event{Kind: Failed}
	}
	return Event{Kind: Succeeded}
}
