// Package smp implements the socialist millionaires' protocol: two peers in an encrypted
// session learn whether they typed the same secret, and nothing else. The secret is tied to
// both fingerprints and to the session, so that nobody in the middle can relay the
// comparison.
//
// It follows the section "Socialist Millionaires' Protocol (SMP)" of the specification of OTR
// version 3 (version 2's is the same). Version 4's section, "Socialist Millionaires Protocol
// (SMP)" over Ed448, uses the same code: [Machine] is the state machine, and a [Binding]
// holds what differs between versions and sessions.
//
// The checks of received values are stricter than the specification requires. Elements must
// not only be in range, but in the group of prime order, as all honest values are: an element
// outside it would reveal one bit of the secret's hash to its sender in every run. Proof
// values must be below q, numbers must be minimally encoded, and the peer must not repeat our
// own P and Q. Honest peers always pass these checks.
package smp

import (
	"errors"
	"io"

	"otrpipe/otr/wire"
)

// MaxQuestion is the length of the longest question that is sent or accepted, in bytes. A
// person has to read and answer it.
const MaxQuestion = 4096

var (
	// ErrNotAsked reports a call of Answer although the peer has not asked.
	ErrNotAsked = errors.New("smp: the peer has not asked for a secret")
	// ErrNoSecret reports an empty secret, which anyone could guess.
	ErrNoSecret = errors.New("smp: the secret is empty")
	// ErrQuestion reports a question longer than MaxQuestion, or with a NUL byte
	// in it.
	ErrQuestion = errors.New("smp: the question is too long or has a NUL byte in it")
	// ErrState reports a message that is not expected in the current state.
	ErrState = errors.New("smp: message out of turn")
	// ErrMalformed reports a message with an invalid encoding.
	ErrMalformed = errors.New("smp: malformed message")
	// ErrElement reports a received value that is not an element of the group, or offers no
	// security: 0, 1, −1, and everything outside the prime-order group.
	ErrElement = errors.New("smp: value is not in the group")
	// ErrProof reports a zero-knowledge proof that does not hold.
	ErrProof = errors.New("smp: proof does not hold")
	// ErrRepeated reports a peer whose P or Q is our own.
	ErrRepeated = errors.New("smp: the peer repeats our own value")
)

// Machine is the state machine of one session, section "The SMP state machine". It runs the
// protocol any number of times, one run after another. However a run ends, its secrets are
// wiped and the next run can succeed. Only one goroutine may use it, and only while the
// session is encrypted: call Wipe when the session ends. It does not limit the number of
// runs. A caller that answers without a person must do so, because each run gives the peer
// one guess.
type Machine struct {
	binding Binding
	rand    io.Reader
	state   State
	run     run  // the current run; nil in StateExpect1
	crossed bool // a run was ended by a crossing start, and the peer's abort has not come yet
}

// New returns a Machine in StateExpect1. All randomness is read from rand.
func New(b Binding, rand io.Reader) *Machine {
	return &Machine{binding: b, rand: rand}
}

// State returns the state. StateExpect1 means that no run is under way.
func (m *Machine) State() State {
	return m.state
}

// OutcomeShown reports whether a run is under way whose outcome the peer knows and we do not:
// our message 3 was sent, and the peer's message 4 has not come. (This happens only to the
// end that began the run, because the other end learns the outcome before it shows it with
// message 4.) If the run now ends in any way but success, the peer has had one guess.
func (m *Machine) OutcomeShown() bool {
	return m.state == StateExpect4
}

// Start begins a run, section "User requests to begin SMP", and returns the records to send.
// It first aborts a run that is under way, whichever end began it. The question is for the
// peer's user; empty means none. Errors are ErrNoSecret, ErrQuestion and those of the source
// of randomness; after an error nothing has changed.
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

// Answer answers the peer's question with our secret, and returns the records to send. In
// states other than StateAwaitingSecret it returns ErrNotAsked. Other errors are ErrNoSecret
// and those of the source of randomness; after an error nothing has changed.
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

// Abort ends the current run, if any, section "User requests to abort SMP", and returns the
// SMP abort to send.
func (m *Machine) Abort() []wire.TLV {
	m.Wipe()
	return []wire.TLV{{Type: wire.TLVSMPAbort}}
}

// Wipe wipes the current run, if any, without telling the peer. It is for the end of the
// session.
func (m *Machine) Wipe() {
	if m.run != nil {
		m.run.wipe()
	}
	m.run, m.state, m.crossed = nil, StateExpect1, false
}

// Receive handles one record from the peer, and returns the records to send and what
// happened. It ignores records of other protocols, and does not keep the value. A message out
// of turn, a malformed message, or one that fails a check ends the run with an abort.
func (m *Machine) Receive(t wire.TLV) ([]wire.TLV, Event) {
	turn := m.state
	switch {
	case t.Type == wire.TLVSMPAbort: // its value should be empty, but some peers send one
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

// receiveAbort handles the SMP abort in every state.
func (m *Machine) receiveAbort() Event {
	under, shown := m.state != StateExpect1 || m.crossed, m.OutcomeShown()
	m.Wipe()
	if !under { // it answers our own abort, or the end of a failed run
		return Event{}
	}
	return Event{Kind: Aborted, Shown: shown}
}

// receiveOutOfTurn handles messages that are not expected in the current state: it ends the
// current run and answers with an abort.
func (m *Machine) receiveOutOfTurn(t wire.TLV) ([]wire.TLV, Event) {
	event := Event{Kind: Aborted, Reason: ErrState, Shown: m.OutcomeShown()}
	switch {
	case m.state == StateExpect1: // there is no run; it may be left over from one that ended
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

// refuse ends the run because of an invalid message from the peer, or because the source of
// randomness failed.
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
