package otr_test

import (
	"errors"
	"slices"
	"testing"
	"time"

	"otrpipe/otr"
)

// Two ends with a version 3 session that allow the upgrade switch to version 4, whichever
// begins. Until the new session exists, nothing is sent that could get lost.
func TestASessionOfVersion3IsUpgradedWhereBothEndsAllowIt(t *testing.T) {
	for _, first := range []string{"alice", "bob"} {
		alice, bob := speaking(t, "alice", 0, otr.AllowV3), speaking(t, "bob", 1, otr.AllowV3|otr.AllowV4)
		carry(alice.Query(), bob, alice)
		if s, _ := alice.Session(); s.Version != 3 {
			t.Fatalf("version %d", s.Version)
		}
		if _, err := alice.Upgrade(); !errors.Is(err, otr.ErrNoUpgrade) {
			t.Errorf("without leave: %v", err)
		}
		if err := errors.Join(alice.AllowUpgrade(), bob.AllowUpgrade()); err != nil {
			t.Fatal(err)
		}
		if !alice.Versions().Has(4) {
			t.Error("version 4 is not offered")
		}
		from, to := alice, bob
		if first == "bob" {
			from, to = bob, alice
		}
		lines := from.must(from.Upgrade())
		if !from.Exchanging() || to.Exchanging() {
			t.Error("the end that begins may send, or the other may not")
		}
		carry(lines, to, from)
		for _, e := range []*v4End{alice, bob} {
			if secure := happened[otr.Secure](e); len(secure) != 2 || !secure[1].Refreshed || secure[1].Version != 4 {
				t.Errorf("%s: %v", e.name, secure)
			}
		}
		wantV4Session(t, alice, bob)
	}
}

// The peer has new keys of version 3 already, and its Signature is late, when this end offers version
// 4. What the peer writes under the new keys can be read, nothing is sent that the peer could not
// read, and what is kept for the Signature is dropped if it never comes.
func TestAnUpgradeDoesNotLoseALateSignature(t *testing.T) {
	for _, comes := range []bool{true, false} {
		alice, bob := speaking(t, "alice", 0, otr.AllowV3), speaking(t, "bob", 1, otr.AllowV3|otr.AllowV4)
		carry(alice.Query(), bob, alice)
		if err := errors.Join(alice.AllowUpgrade(), bob.AllowUpgrade()); err != nil {
			t.Fatal(err)
		}
		reveal := alice.take(bob.take(alice.must(alice.Refresh())))
		late := append(bob.take(reveal), cloneLines(bob.must(bob.Send([]byte("under new keys"))))...)
		alice.events = nil
		alice.now, bob.now = alice.now.Add(45*time.Second), bob.now.Add(45*time.Second)
		if offer := alice.must(alice.Upgrade()); kinds(offer) != "Identity" {
			t.Fatal(kinds(offer))
		}
		if !alice.Exchanging() {
			t.Error("alice may send under keys that bob has dropped")
		}
		if comes {
			alice.take(late)
			a, _ := alice.Session()
			if b, _ := bob.Session(); a.SSID != b.SSID || len(happened[otr.Unreadable](alice)) > 0 || !slices.Equal(alice.texts, []string{"under new keys"}) {
				t.Errorf("alice got %q", alice.texts)
			}
			continue
		}
		for range 20 { // minutes in which bob is silent
			alice.now = alice.now.Add(time.Minute)
			alice.tick()
		}
		if alice.Exchanging() || !alice.NextTick().IsZero() {
			t.Errorf("alice still waits, until %v", alice.NextTick())
		}
		alice.take(late[:1])
		if s, _ := alice.Session(); len(happened[otr.Secure](alice)) > 0 || s.Version != 3 {
			t.Error("the Signature counts twenty minutes later")
		}
	}
}

// An end that has not allowed the upgrade does not replace its session by one of another
// version, and only a version 3 session can be upgraded.
func TestAnUpgradeThatWasNotAllowedIsIgnored(t *testing.T) {
	alice, bob := speaking(t, "alice", 0, otr.AllowV3), speaking(t, "bob", 1, otr.AllowV3|otr.AllowV4)
	if err := alice.AllowUpgrade(); !errors.Is(err, otr.ErrNotEncrypted) {
		t.Errorf("without a session: %v", err)
	}
	carry(alice.Query(), bob, alice)
	if err := alice.AllowUpgrade(); err != nil {
		t.Fatal(err)
	}
	bob.events = nil
	if answer := bob.take(alice.must(alice.Upgrade())); len(answer) != 0 || len(happened[otr.OtherInstance](bob)) != 1 {
		t.Errorf("bob answers %q", answer)
	}
	if s, _ := bob.Session(); s.Version != 3 {
		t.Errorf("bob has version %d", s.Version)
	}
	// Alice's offer can be given up for a new version 3 exchange.
	carry(alice.must(alice.Refresh()), bob, alice)
	a, _ := alice.Session()
	b, _ := bob.Session()
	if a.SSID != b.SSID || a.Version != 3 {
		t.Errorf("%+v and %+v", a, b)
	}
	four, _ := v4Pair(t, nil)
	if err := four.AllowUpgrade(); !errors.Is(err, otr.ErrNoUpgrade) {
		t.Errorf("in version 4: %v", err)
	}
	old, _ := newSession(t)
	if err := old.AllowUpgrade(); !errors.Is(err, otr.ErrNoUpgrade) {
		t.Errorf("without keys of version 4: %v", err)
	}
}

// The offer of an upgrade waits in the transport's queue like every other message of a key
// exchange. It is not repeated before it has left.
func TestTheOfferOfAnUpgradeIsNotRepeatedBeforeItHasLeft(t *testing.T) {
	alice, bob := speaking(t, "alice", 0, otr.AllowV3), speaking(t, "bob", 1, otr.AllowV3)
	alice.TrackDepartures()
	carry(alice.Query(), bob, alice)
	alice.Departed()
	if err := errors.Join(alice.AllowUpgrade(), bob.AllowUpgrade()); err != nil {
		t.Fatal(err)
	}
	alice.must(alice.Upgrade())
	if !alice.Undeparted() {
		t.Error("nothing waits to leave")
	}
	alice.now = alice.now.Add(30 * time.Second)
	if got, err := alice.Tick(); err != nil || len(got.Send) != 0 {
		t.Errorf("%s, %v", kinds(got.Send), err)
	}
}
