package smp

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"

	"otrpipe/otr/keys"
	"otrpipe/otr/wire"
	"otrpipe/testscripts/slowtest"
)

func TestEqualSecretsSucceedOnBothSides(t *testing.T) {
	runBetween(t, newAlice(), newBob(), "our secret", "our secret", Succeeded)
}

func TestDifferentSecretsFailOnBothSidesAndTheNextRunSucceeds(t *testing.T) {
	alice, bob := newAlice(), newBob()
	runBetween(t, alice, bob, "our secret", "another", Failed)
	runBetween(t, bob, alice, "our secret", "our secret", Succeeded)
}

func TestSecretIsTiedToBothKeysAndTheSession(t *testing.T) {
	mallory := testFingerprint('m')
	for _, c := range []struct {
		name string
		bob  Binding
	}{
		{"another session id", V3(bobFingerprint, aliceFingerprint, [8]byte{9})},
		{"the initiator has another key", V3(bobFingerprint, mallory, testSSID)},
		{"the responder has another key", V3(mallory, aliceFingerprint, testSSID)},
		{"both believe to be the initiator's key", V3(aliceFingerprint, bobFingerprint, testSSID)},
	} {
		t.Run(c.name, func(t *testing.T) {
			runBetween(t, newAlice(), New(c.bob, testRand('b')), "our secret", "our secret", Failed)
		})
	}
}

func TestBindingIsRefusedWithoutFingerprintsOfItsVersion(t *testing.T) {
	long, err := keys.FingerprintFromBytes(make([]byte, keys.FingerprintLen4))
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range []keys.Fingerprint{{}, long} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("a fingerprint of %d bytes was accepted", len(f.Bytes()))
				}
			}()
			V3(aliceFingerprint, f, testSSID)
		}()
	}
}

func TestQuestionReachesThePeer(t *testing.T) {
	for _, question := range []string{"", "where did we meet?", "d'où?", strings.Repeat("q", MaxQuestion)} {
		alice, bob := newAlice(), newBob()
		message1 := one(t, mustStart(t, alice, "there", question))
		wantType := uint16(wire.TLVSMP1Q)
		if question == "" {
			wantType = wire.TLVSMP1
		}
		if message1.Type != wantType {
			t.Errorf("question of %d bytes in a record of type %d", len(question), message1.Type)
		}
		_, event := bob.Receive(message1)
		if event != (Event{Kind: Asked, Question: question}) {
			t.Errorf("question of %d bytes: %+v", len(question), event)
		}
	}
}

func TestQuestionIsBoundedInBothDirections(t *testing.T) {
	alice := newAlice()
	for _, question := range []string{strings.Repeat("q", MaxQuestion+1), "a\x00b"} {
		if _, err := alice.Start([]byte("s"), question); !errors.Is(err, ErrQuestion) {
			t.Errorf("Start with a bad question: %v", err)
		}
	}
	message1 := one(t, mustStart(t, alice, "s", strings.Repeat("q", MaxQuestion)))
	message1.Value = append([]byte{'q'}, message1.Value...)
	bob := newBob()
	if _, event := bob.Receive(message1); event.Kind != Aborted || !errors.Is(event.Reason, ErrQuestion) {
		t.Errorf("a question that is too long gives %+v", event)
	}
}

func TestMessage1QWithAnEmptyQuestionIsAccepted(t *testing.T) {
	message1 := one(t, mustStart(t, newAlice(), "s", ""))
	message1q := wire.TLV{Type: wire.TLVSMP1Q, Value: append([]byte{0}, message1.Value...)}
	if _, event := newBob().Receive(message1q); event != (Event{Kind: Asked}) {
		t.Errorf("%+v", event)
	}
}

func TestEmptySecretIsRefused(t *testing.T) {
	alice, bob := newAlice(), newBob()
	if _, err := alice.Start(nil, ""); !errors.Is(err, ErrNoSecret) || alice.State() != StateExpect1 {
		t.Errorf("Start: %v, %v", err, alice.State())
	}
	mustReceive(t, bob, mustStart(t, alice, "s", ""), Asked)
	if _, err := bob.Answer(nil); !errors.Is(err, ErrNoSecret) || bob.State() != StateAwaitingSecret {
		t.Errorf("Answer: %v, %v", err, bob.State())
	}
}

// TestEveryStateMeetsEveryAction has the whole table of the section "State
// Transitions": each state with each received message and each user action.
// After every one of them the machine must be able to run to success.
func TestEveryStateMeetsEveryAction(t *testing.T) {
	other := runBetween(t,
		New(V3(bobFingerprint, aliceFingerprint, testSSID), testRand('x')),
		New(V3(aliceFingerprint, bobFingerprint, testSSID), testRand('y')), "s", "s", Succeeded)
	question := wire.TLV{Type: wire.TLVSMP1Q, Value: append([]byte("q\x00"), other[0].Value...)}
	abort := wire.TLV{Type: wire.TLVSMPAbort}

	received := map[string]func(scene) []wire.TLV{
		"SMP message 1":          func(scene) []wire.TLV { return []wire.TLV{other[0]} },
		"SMP message 1Q":         func(scene) []wire.TLV { return []wire.TLV{question} },
		"SMP message 2":          func(scene) []wire.TLV { return []wire.TLV{other[1]} },
		"SMP message 3":          func(scene) []wire.TLV { return []wire.TLV{other[2]} },
		"SMP message 4":          func(scene) []wire.TLV { return []wire.TLV{other[3]} },
		"this run's message":     func(s scene) []wire.TLV { return s.next },
		"SMP abort":              func(scene) []wire.TLV { return []wire.TLV{abort} },
		"a record of other type": func(scene) []wire.TLV { return []wire.TLV{{Type: wire.TLVPadding, Value: other[0].Value}} },
	}
	user := map[string]func(*Machine) ([]wire.TLV, error){
		"user begins":  func(m *Machine) ([]wire.TLV, error) { return m.Start([]byte("new"), "") },
		"user answers": func(m *Machine) ([]wire.TLV, error) { return m.Answer([]byte("secret")) },
		"user aborts":  func(m *Machine) ([]wire.TLV, error) { return m.Abort(), nil },
	}
	const (
		e1 = StateExpect1
		as = StateAwaitingSecret
		e2 = StateExpect2
		e3 = StateExpect3
		e4 = StateExpect4
	)
	for _, c := range []struct {
		state  State
		action string
		after  State
		send   []uint16
		kind   Kind
		err    error
	}{
		{e1, "SMP message 1", as, nil, Asked, nil},
		{e1, "SMP message 1Q", as, nil, Asked, nil},
		{e1, "SMP message 2", e1, []uint16{6}, None, nil},
		{e1, "SMP message 3", e1, []uint16{6}, None, nil},
		{e1, "SMP message 4", e1, []uint16{6}, None, nil},
		{e1, "this run's message", as, nil, Asked, nil},
		{e1, "SMP abort", e1, nil, None, nil},
		{e1, "a record of other type", e1, nil, None, nil},
		{e1, "user begins", e2, []uint16{2}, None, nil},
		{e1, "user answers", e1, nil, None, ErrNotAsked},
		{e1, "user aborts", e1, []uint16{6}, None, nil},

		{as, "SMP message 1", e1, []uint16{6}, Aborted, ErrState},
		{as, "SMP message 1Q", e1, []uint16{6}, Aborted, ErrState},
		{as, "SMP message 2", e1, []uint16{6}, Aborted, ErrState},
		{as, "SMP message 3", e1, []uint16{6}, Aborted, ErrState},
		{as, "SMP message 4", e1, []uint16{6}, Aborted, ErrState},
		{as, "SMP abort", e1, nil, Aborted, nil},
		{as, "a record of other type", as, nil, None, nil},
		{as, "user begins", e2, []uint16{6, 2}, None, nil},
		{as, "user answers", e3, []uint16{3}, None, nil},
		{as, "user aborts", e1, []uint16{6}, None, nil},

		{e2, "SMP message 1", e1, []uint16{6}, Crossed, nil},
		{e2, "SMP message 1Q", e1, []uint16{6}, Crossed, nil},
		{e2, "SMP message 2", e1, []uint16{6}, Cheated, ErrProof}, // it answers another message 1
		{e2, "SMP message 3", e1, []uint16{6}, Aborted, ErrState},
		{e2, "SMP message 4", e1, []uint16{6}, Aborted, ErrState},
		{e2, "this run's message", e4, []uint16{4}, None, nil},
		{e2, "SMP abort", e1, nil, Aborted, nil},
		{e2, "a record of other type", e2, nil, None, nil},
		{e2, "user begins", e2, []uint16{6, 2}, None, nil},
		{e2, "user answers", e2, nil, None, ErrNotAsked},
		{e2, "user aborts", e1, []uint16{6}, None, nil},

		{e3, "SMP message 1", e1, []uint16{6}, Aborted, ErrState},
		{e3, "SMP message 1Q", e1, []uint16{6}, Aborted, ErrState},
		{e3, "SMP message 2", e1, []uint16{6}, Aborted, ErrState},
		{e3, "SMP message 3", e1, []uint16{6}, Cheated, ErrProof},
		{e3, "SMP message 4", e1, []uint16{6}, Aborted, ErrState},
		{e3, "this run's message", e1, []uint16{5}, Succeeded, nil},
		{e3, "SMP abort", e1, nil, Aborted, nil},
		{e3, "a record of other type", e3, nil, None, nil},
		{e3, "user begins", e2, []uint16{6, 2}, None, nil},
		{e3, "user answers", e3, nil, None, ErrNotAsked},
		{e3, "user aborts", e1, []uint16{6}, None, nil},

		{e4, "SMP message 1", e1, []uint16{6}, Aborted, ErrState},
		{e4, "SMP message 1Q", e1, []uint16{6}, Aborted, ErrState},
		{e4, "SMP message 2", e1, []uint16{6}, Aborted, ErrState},
		{e4, "SMP message 3", e1, []uint16{6}, Aborted, ErrState},
		{e4, "SMP message 4", e1, []uint16{6}, Cheated, ErrProof},
		{e4, "this run's message", e1, nil, Succeeded, nil},
		{e4, "SMP abort", e1, nil, Aborted, nil},
		{e4, "a record of other type", e4, nil, None, nil},
		{e4, "user begins", e2, []uint16{6, 2}, None, nil},
		{e4, "user answers", e4, nil, None, ErrNotAsked},
		{e4, "user aborts", e1, []uint16{6}, None, nil},
	} {
		if testing.Short() && c.kind != Cheated && c.kind != Succeeded && (int(c.state)+len(c.action))%6 != 0 {
			continue
		}
		t.Run(fmt.Sprintf("%v: %s", c.state, c.action), func(t *testing.T) {
			t.Parallel()
			s := inState(t, c.state)
			if s.machine.State() != c.state {
				t.Fatalf("the scene begins in state %v", s.machine.State())
			}
			var send []wire.TLV
			var event Event
			var err error
			if act, ok := user[c.action]; ok {
				send, err = act(s.machine)
			} else {
				send, event = s.machine.Receive(one(t, received[c.action](s)))
				err = event.Reason
			}
			if !errors.Is(err, c.err) {
				t.Errorf("reason: %v", err)
			}
			if event.Kind != c.kind {
				t.Errorf("event: %v", event.Kind)
			}
			if after := s.machine.State(); after != c.after {
				t.Errorf("state afterwards: %v", after)
			}
			var types []uint16
			for _, r := range send {
				types = append(types, r.Type)
				if r.Type == wire.TLVSMPAbort && len(r.Value) != 0 {
					t.Error("the abort has a value")
				}
			}
			if !slices.Equal(types, c.send) {
				t.Errorf("sent records of types %v", types)
			}
			mustReceive(t, s.machine, []wire.TLV{abort}, afterwards(c.after, c.kind))
			s.peer.Receive(abort)
			if testing.Short() && c.kind != Cheated {
				return
			}
			runBetween(t, s.machine, s.peer, "again", "again", Succeeded)
		})
	}
}

// afterwards is what an abort gives where a cell of the table has led.
func afterwards(s State, k Kind) Kind {
	if s != StateExpect1 || k == Crossed {
		return Aborted
	}
	return None
}

func TestAbortWithAValueIsAnAbort(t *testing.T) {
	s := inState(t, StateExpect2)
	mustReceive(t, s.machine, []wire.TLV{{Type: wire.TLVSMPAbort, Value: []byte{0, 0, 0, 0}}}, Aborted)
}

func TestBothBeginAtOnceAndOneTriesAgainAfterTheOthersAbort(t *testing.T) {
	slowtest.SkipShort(t)
	alice, bob := newAlice(), newBob()
	alicesStart := mustStart(t, alice, "s", "")
	bobsStart := mustStart(t, bob, "s", "")
	alicesAbort := mustReceive(t, alice, bobsStart, Crossed)
	bobsAbort := mustReceive(t, bob, alicesStart, Crossed)
	mustReceive(t, alice, bobsAbort, Aborted)
	// Alice tries again, before her abort has reached Bob.
	again := mustStart(t, alice, "s", "")
	mustReceive(t, bob, alicesAbort, Aborted)
	mustReceive(t, bob, again, Asked)
	message3 := mustReceive(t, alice, mustAnswer(t, bob, "s"), None)
	mustReceive(t, alice, mustReceive(t, bob, message3, Succeeded), Succeeded)
}

func TestRunIsAbandonedWithoutAWordWhenTheSessionEnds(t *testing.T) {
	slowtest.SkipShort(t)
	s := inState(t, StateExpect3)
	s.machine.Wipe()
	if s.machine.State() != StateExpect1 {
		t.Errorf("state %v", s.machine.State())
	}
	mustReceive(t, s.machine, []wire.TLV{{Type: wire.TLVSMPAbort}}, None)
}

// thenFails reads n bytes of r, and then fails.
func thenFails(r io.Reader, n int64) io.Reader {
	return io.MultiReader(io.LimitReader(r, n), errReader{})
}

var errNoRandomness = errors.New("no randomness today")

type errReader struct{}

func (errReader) Read([]byte) (int, error) { return 0, errNoRandomness }

func TestWithoutRandomnessNothingIsSentAndNothingChanges(t *testing.T) {
	const exponent = 192
	for draws := range int64(4) {
		alice := New(V3(aliceFingerprint, bobFingerprint, testSSID), thenFails(testRand('a'), draws*exponent+1))
		send, err := alice.Start([]byte("s"), "")
		if send != nil || !errors.Is(err, errNoRandomness) || alice.State() != StateExpect1 {
			t.Errorf("Start after %d draws: %v, %v, %v", draws, send, err, alice.State())
		}
	}
	message1 := mustStart(t, newAlice(), "s", "")
	for draws := range int64(7) {
		bob := New(V3(bobFingerprint, aliceFingerprint, testSSID), thenFails(testRand('b'), draws*exponent+1))
		mustReceive(t, bob, message1, Asked)
		send, err := bob.Answer([]byte("s"))
		if send != nil || !errors.Is(err, errNoRandomness) || bob.State() != StateAwaitingSecret {
			t.Errorf("Answer after %d draws: %v, %v, %v", draws, send, err, bob.State())
		}
	}
}

func TestWithoutRandomnessToReplyTheRunIsAborted(t *testing.T) {
	slowtest.SkipShort(t)
	const exponent = 192
	for draws := range int64(4) {
		s := inState(t, StateExpect2)
		s.machine.run.(*party[[]byte, []byte]).rand = thenFails(testRand('a'), draws*exponent+1)
		send, event := s.machine.Receive(one(t, s.next))
		if one(t, send).Type != wire.TLVSMPAbort || event.Kind != Aborted || !errors.Is(event.Reason, errNoRandomness) {
			t.Errorf("after %d draws: %+v", draws, event)
		}
	}
	s := inState(t, StateExpect3)
	s.machine.run.(*party[[]byte, []byte]).rand = errReader{}
	if _, event := s.machine.Receive(one(t, s.next)); event.Kind != Aborted {
		t.Errorf("%+v", event)
	}
}

func TestAnswerFailsForWantOfRandomnessAndSucceedsLater(t *testing.T) {
	slowtest.SkipShort(t)
	s := inState(t, StateAwaitingSecret)
	p := s.machine.run.(*party[[]byte, []byte])
	p.rand = thenFails(testRand('b'), 6*192)
	if _, err := s.machine.Answer([]byte("another")); !errors.Is(err, errNoRandomness) {
		t.Fatal(err)
	}
	p.rand = testRand('c')
	message3 := mustReceive(t, s.peer, mustAnswer(t, s.machine, "secret"), None)
	mustReceive(t, s.machine, message3, Succeeded)
}

func TestSecretsAreWipedHoweverARunEnds(t *testing.T) {
	abort := []wire.TLV{{Type: wire.TLVSMPAbort}}
	ends := map[string]func(t *testing.T, s scene){
		"this run's message":  func(t *testing.T, s scene) { s.machine.Receive(one(t, s.next)) },
		"user aborts":         func(t *testing.T, s scene) { s.machine.Abort() },
		"peer aborts":         func(t *testing.T, s scene) { mustReceive(t, s.machine, abort, Aborted) },
		"user begins again":   func(t *testing.T, s scene) { mustStart(t, s.machine, "s", "") },
		"session ends":        func(t *testing.T, s scene) { s.machine.Wipe() },
		"message out of turn": func(t *testing.T, s scene) { s.machine.Receive(wire.TLV{Type: wire.TLVSMP1}) },
		"broken message": func(t *testing.T, s scene) {
			next := one(t, s.next)
			s.machine.Receive(wire.TLV{Type: next.Type, Value: next.Value[1:]})
		},
		"proof that does not hold": func(t *testing.T, s scene) {
			next := one(t, s.next)
			next.Value = bytes.Clone(next.Value)
			next.Value[len(next.Value)-1] ^= 1
			mustReceive(t, s.machine, []wire.TLV{next}, Cheated)
		},
	}
	for _, state := range []State{StateAwaitingSecret, StateExpect2, StateExpect3, StateExpect4} {
		for name, end := range ends {
			if testing.Short() && (int(state)+len(name))%5 != 0 {
				continue
			}
			s := inState(t, state)
			p := s.machine.run.(*party[[]byte, []byte])
			if s.next == nil && (name == "this run's message" || name == "broken message" || name == "proof that does not hold") {
				continue // it is our turn
			}
			if state == StateExpect2 && name == "this run's message" {
				continue // the run goes on
			}
			end(t, s)
			if s.machine.run == run(p) {
				t.Errorf("%v, %s: the run is still held", state, name)
			}
			for i, secret := range [][]byte{
				p.secret, p.exponent2, p.exponent3,
				p.peerHalf2, p.peerHalf3, p.g2, p.g3, p.pa, p.pb, p.qb, p.ratioQ,
			} {
				if !bytes.Equal(secret, make([]byte, len(secret))) {
					t.Errorf("%v, %s: value %d is not wiped", state, name, i)
				}
			}
		}
	}
}

func TestReceivedRecordIsNotKept(t *testing.T) {
	alice, bob := newAlice(), newBob()
	message1 := one(t, mustStart(t, alice, "s", "why?"))
	_, event := bob.Receive(message1)
	clear(message1.Value)
	if event.Question != "why?" {
		t.Errorf("the question has become %q", event.Question)
	}
	message2 := one(t, mustAnswer(t, bob, "s"))
	send, _ := alice.Receive(message2)
	clear(message2.Value)
	message3 := one(t, send)
	send, event = bob.Receive(message3)
	clear(message3.Value)
	if event.Kind != Succeeded {
		t.Fatalf("%+v", event)
	}
	mustReceive(t, alice, send, Succeeded)
}

func TestStatesAndEventsHaveNames(t *testing.T) {
	seen := map[string]bool{}
	for s := StateExpect1; s <= StateExpect4+1; s++ {
		seen[s.String()] = true
	}
	for k := None; k <= Crossed+1; k++ {
		seen[k.String()] = true
	}
	if want := 5 + 1 + 7 + 1; len(seen) != want {
		t.Errorf("%d different names instead of %d", len(seen), want)
	}
}
