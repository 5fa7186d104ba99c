package otr_test

import (
	"errors"
	"testing"

	"otrpipe/otr"
	"otrpipe/otr/v4"
	"otrpipe/otr/wire"
)

// provingPair returns two ends in a session, both with a key of version 3.
func provingPair(t *testing.T) (alice, bob *v4End) {
	t.Helper()
	alice, bob = speaking(t, "alice", 0, otr.AllowV3|otr.AllowV4), speaking(t, "bob", 1, otr.AllowV3|otr.AllowV4)
	carry(alice.Query(), bob, alice)
	wantV4Session(t, alice, bob)
	alice.events, bob.events = nil, nil
	return alice, bob
}

func TestAPeerProvesItsKeyOfVersion3WhenAsked(t *testing.T) {
	alice, bob := provingPair(t)
	request := alice.must(alice.AskProof())
	if s, _ := alice.Session(); s.Proven {
		t.Error("proven before there is an answer")
	}
	carry(request, bob, alice)
	s, _ := alice.Session()
	if !s.Proven || len(happened[otr.Proven](alice)) != 1 || s.Vouching != testKeys()[1].Public().Fingerprint() {
		t.Errorf("%+v", s)
	}
	if s, _ := bob.Session(); s.Proven {
		t.Error("bob takes his own proof for alice's")
	}
	// Once is enough for a session, and it is of that session's profile.
	if answer := bob.take(alice.must(alice.AskProof())); len(answer) != 0 {
		t.Errorf("bob answers again: %d lines", len(answer))
	}
	carry(alice.must(alice.Refresh()), bob, alice)
	if s, _ := alice.Session(); s.Proven {
		t.Error("the next session is proven too")
	}
	carry(alice.must(alice.AskProof()), bob, alice)
	if s, _ := alice.Session(); !s.Proven {
		t.Error("the next session cannot be proven")
	}
}

func TestOnlyThePeersOwnProofThatWasAskedForCounts(t *testing.T) {
	const typeProof = 0x6F12
	say := func(from, to *v4End, proof []byte) {
		b, err := from.AppendMessage(nil, otr.Message{TLVs: []wire.TLV{{Type: typeProof, Value: proof}}})
		if err != nil {
			t.Fatal(err)
		}
		to.take([][]byte{b[:len(b)-1]})
	}
	alice, bob := provingPair(t)
	zero := make([]byte, 40)
	say(bob, alice, zero)
	if len(alice.events) != 0 {
		t.Errorf("a proof that nobody asked for: %v", alice.events)
	}
	// Nobody answers the request; something else comes in place of the proof.
	alice.must(alice.AskProof())
	for _, proof := range [][]byte{nil, zero, make([]byte, 39), make([]byte, 4000)} {
		say(bob, alice, proof)
		if e := happened[otr.Malformed](alice); len(e) != 1 || !errors.Is(e[0].Reason, v4.ErrProof) {
			t.Errorf("%d bytes: %v", len(proof), e)
		}
	}
	if s, _ := alice.Session(); s.Proven {
		t.Error("proven")
	}
}

func TestWhoHasNoKeyOfVersion3HasNothingToProve(t *testing.T) {
	alice, bob := speaking(t, "alice", 0, otr.AllowV3|otr.AllowV4), speaking(t, "bob", 1, otr.AllowV4)
	if _, err := alice.AskProof(); !errors.Is(err, otr.ErrNotEncrypted) {
		t.Error(err)
	}
	carry(alice.Query(), bob, alice)
	wantV4Session(t, alice, bob)
	if _, err := alice.AskProof(); !errors.Is(err, otr.ErrNoProof) {
		t.Error(err)
	}
	// Whoever asks bob gets no answer.
	b, err := alice.AppendMessage(nil, otr.Message{TLVs: []wire.TLV{{Type: 0x6F11}}})
	if err != nil {
		t.Fatal(err)
	}
	if answer := bob.take([][]byte{b[:len(b)-1]}); len(answer) != 0 || len(happened[otr.Malformed](bob)) != 0 {
		t.Errorf("bob answers %q", answer)
	}
	old, _ := newSession(t)
	if _, err := old.AskProof(); !errors.Is(err, otr.ErrNoProof) {
		t.Error(err)
	}
}
