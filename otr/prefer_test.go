package otr_test

import (
	"testing"
	"time"

	"otrpipe/otr"
	"otrpipe/otr/keys"
	"otrpipe/testscripts/slowtest"
)

// newEndOf is newEnd for one version. Ends with the same key are clients of one person.
func newEndOf(t *testing.T, name string, key int, seed uint64, clock *clock, p otr.Policy) *end {
	return newEnd(t, name, key, seed, clock, policy(p), func(c *otr.Config) {
		if !p.Has(otr.AllowV4) {
			return
		}
		random := testRand(uint64(2000 + key))
		var err error
		if c.Ed448, err = keys.GenerateEd448(random); err != nil {
			t.Fatal(err)
		}
		if c.Forging, err = keys.GenerateForgingKey(random); err != nil {
			t.Fatal(err)
		}
	})
}

// leaveAndAsk lets bob, one of two clients of a person, end his session with alice, who
// stays, and then lets a client ask her for a session. It returns alice's answer to the
// query.
func leaveAndAsk(t *testing.T, alice, bob, asks *end) [][]byte {
	t.Helper()
	lines, err := bob.End()
	if err != nil {
		t.Fatal(err)
	}
	alice.all(lines)
	if lines, err := alice.End(); err != nil || len(lines) > 0 {
		t.Fatal(lines, err)
	}
	return alice.all(asks.Query())
}

func TestTheSessionAfterAnEndIsForTheClientThatAsked(t *testing.T) {
	slowtest.SkipShort(t)
	for _, p := range []otr.Policy{otr.AllowV3, otr.AllowV4} {
		for _, leaverFirst := range []bool{false, true} {
			if testing.Short() && leaverFirst == (p == otr.AllowV4) {
				continue
			}
			clock := newClock()
			alice := newEndOf(t, "alice", 0, 1, clock, p)
			bob, beside := newEndOf(t, "bob", 1, 2, clock, p), newEndOf(t, "beside", 1, 7, clock, p)
			converse(alice, bob, alice.Query())
			wantSameSession(t, alice, bob)
			offer := leaveAndAsk(t, alice, bob, beside)
			// Both clients hear the offer and answer it.
			first, second := beside.all(offer), bob.all(offer)
			if leaverFirst {
				first, second = second, first
			}
			answers := append(alice.all(first), alice.all(second)...)
			converse(alice, beside, answers)
			wantSameSession(t, alice, beside)
			wantTalk(t, alice, beside)
		}
	}
}

func TestAClientThatLeftAndAsksAgainAloneWaitsASecond(t *testing.T) {
	slowtest.SkipShort(t)
	for _, p := range []otr.Policy{otr.AllowV3, otr.AllowV4} {
		clock := newClock()
		alice, bob := newEndOf(t, "alice", 0, 1, clock, p), newEndOf(t, "bob", 1, 2, clock, p)
		converse(alice, bob, alice.Query())
		offer := leaveAndAsk(t, alice, bob, bob)
		if answers := alice.all(bob.all(offer)); len(answers) != 0 {
			t.Fatalf("%s at once", kinds(answers))
		}
		at := alice.NextTick()
		if d := at.Sub(clock.Now()); d <= 0 || d > time.Second {
			t.Fatalf("the next tick is in %v", d)
		}
		clock.now = at
		got, err := alice.Tick()
		if err != nil {
			t.Fatal(err)
		}
		alice.note(got)
		converse(alice, bob, got.Send)
		wantSameSession(t, alice, bob)
		wantTalk(t, alice, bob)
	}
}

// An answer that waits belongs to an offer that Wipe forgets. Without its offer it would be taken
// for the answer to the next one.
func TestAnAnswerThatWaitsIsForgottenWithTheConversation(t *testing.T) {
	clock := newClock()
	alice, bob := newEndOf(t, "alice", 0, 1, clock, otr.AllowV3), newEndOf(t, "bob", 1, 2, clock, otr.AllowV3)
	converse(alice, bob, alice.Query())
	alice.all(bob.all(leaveAndAsk(t, alice, bob, bob)))
	if alice.NextTick().IsZero() {
		t.Fatal("no answer waits")
	}
	alice.Wipe()
	if at := alice.NextTick(); !at.IsZero() {
		t.Errorf("something waits until %v", at)
	}
	alice.refresh()
	clock.advance(time.Second)
	got, err := alice.Tick()
	if err != nil || len(got.Send) > 0 {
		t.Errorf("the new offer is answered with %s, %v", kinds(got.Send), err)
	}
}
