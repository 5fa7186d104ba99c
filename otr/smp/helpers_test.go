package smp

import (
	"math/rand/v2"
	"testing"

	"otrpipe/otr/keys"
	"otrpipe/otr/wire"
)

var (
	aliceFingerprint = testFingerprint('a')
	bobFingerprint   = testFingerprint('b')
	testSSID         = [8]byte{1, 2, 3, 4, 5, 6, 7, 8}
)

func testFingerprint(fill byte) keys.Fingerprint {
	b := make([]byte, keys.FingerprintLen3)
	for i := range b {
		b[i] = fill
	}
	f, err := keys.FingerprintFromBytes(b)
	if err != nil {
		panic(err)
	}
	return f
}

// testRand is a stream of bytes that follows from seed.
func testRand(seed byte) *rand.ChaCha8 {
	return rand.NewChaCha8([32]byte{seed})
}

func newAlice() *Machine { return New(V3(aliceFingerprint, bobFingerprint, testSSID), testRand('a')) }
func newBob() *Machine   { return New(V3(bobFingerprint, aliceFingerprint, testSSID), testRand('b')) }

// one returns the only record there should be.
func one(t testing.TB, send []wire.TLV) wire.TLV {
	t.Helper()
	if len(send) != 1 {
		t.Fatalf("%d records to send instead of one", len(send))
	}
	return send[0]
}

func mustStart(t testing.TB, m *Machine, secret, question string) []wire.TLV {
	t.Helper()
	send, err := m.Start([]byte(secret), question)
	if err != nil {
		t.Fatal(err)
	}
	return send
}

func mustAnswer(t testing.TB, m *Machine, secret string) []wire.TLV {
	t.Helper()
	send, err := m.Answer([]byte(secret))
	if err != nil {
		t.Fatal(err)
	}
	return send
}

// mustReceive delivers records in order, wants the last one to give an event of
// this kind, and returns what it made the machine send.
func mustReceive(t testing.TB, m *Machine, records []wire.TLV, want Kind) []wire.TLV {
	t.Helper()
	var send []wire.TLV
	var event Event
	for _, r := range records {
		send, event = m.Receive(r)
	}
	if event.Kind != want {
		t.Fatalf("%v after %v instead of %v (reason: %v)", event.Kind, records[len(records)-1].Type, want, event.Reason)
	}
	return send
}

// transcript is the records of one run, in order.
type transcript [4]wire.TLV

// runBetween runs the protocol from Start to end, and wants both ends to report
// the result. Abort records that stand before message 1 are delivered.
func runBetween(t testing.TB, initiator, responder *Machine, x, y string, want Kind) transcript {
	t.Helper()
	start := mustStart(t, initiator, x, "")
	mustReceive(t, responder, start, Asked)
	message2 := mustAnswer(t, responder, y)
	message3 := mustReceive(t, initiator, message2, None)
	message4 := mustReceive(t, responder, message3, want)
	if send := mustReceive(t, initiator, message4, want); send != nil {
		t.Fatalf("%d records to send after the last message", len(send))
	}
	for _, m := range []*Machine{initiator, responder} {
		if m.State() != StateExpect1 {
			t.Fatalf("state %v after the run", m.State())
		}
	}
	return transcript{start[len(start)-1], one(t, message2), one(t, message3), one(t, message4)}
}

// scene is a machine in some state, and its honest peer in the same run.
type scene struct {
	machine, peer *Machine
	// next is what the peer has to say in this run, if it is the peer's turn.
	next []wire.TLV
}

// inState returns a scene whose machine is in the given state.
func inState(t testing.TB, s State) scene {
	t.Helper()
	switch s {
	case StateExpect2, StateExpect4:
		alice, bob := newAlice(), newBob()
		mustReceive(t, bob, mustStart(t, alice, "secret", ""), Asked)
		next := mustAnswer(t, bob, "secret")
		if s == StateExpect4 {
			next = mustReceive(t, bob, mustReceive(t, alice, next, None), Succeeded)
		}
		return scene{machine: alice, peer: bob, next: next}
	case StateAwaitingSecret, StateExpect3:
		bob, alice := newBob(), newAlice()
		mustReceive(t, bob, mustStart(t, alice, "secret", "why?"), Asked)
		if s == StateAwaitingSecret {
			return scene{machine: bob, peer: alice}
		}
		next := mustReceive(t, alice, mustAnswer(t, bob, "secret"), None)
		return scene{machine: bob, peer: alice, next: next}
	}
	alice := newAlice()
	return scene{machine: newBob(), peer: alice, next: mustStart(t, alice, "secret", "")}
}
