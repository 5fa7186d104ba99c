package otr_test

import (
	"bytes"
	"testing"
	"time"

	"otrpipe/otr"
	"otrpipe/testscripts/slowtest"
)

// Each error message may begin a key exchange, and the peer completes it at once.
func TestErrorsInALoopBeginABoundedNumberOfKeyExchanges(t *testing.T) {
	alice, bob := newPair(t, policy(otr.AllowV3|otr.ErrorStartAKE))
	begun := 0
	for range 10 {
		lines := cloneLines(alice.receive([]byte("?OTR Error: again")).Send)
		if len(lines) > 0 {
			begun++
		}
		converse(alice, bob, lines)
	}
	if begun != 3 {
		t.Errorf("%d key exchanges in a minute", begun)
	}
	wantTalk(t, alice, bob)
}

// So may each unreadable data message, which anyone can write.
func TestUnreadableMessagesInALoopBeginABoundedNumberOfKeyExchanges(t *testing.T) {
	alice, bob := newSession(t, policy(otr.AllowV3|otr.RestartAKE))
	begun := 0
	for range 10 {
		alice.take()
		lines := cloneLines(alice.receive(foreignData(alice.InstanceTag(), bob.InstanceTag(), 0)).Send)
		begun += count[otr.Restarted](alice.events)
		converse(alice, bob, lines)
	}
	if begun != 3 {
		t.Errorf("%d key exchanges in a minute", begun)
	}
	wantTalk(t, alice, bob)
}

// A session is recorded, then both ends end it and begin another one. Every line of the first
// session comes again: none is read, and none changes the second session.
func TestLinesOfAnEarlierSessionChangeNothing(t *testing.T) {
	forEachVersion(t, func(t *testing.T, version otr.Policy) {
		alice, bob := newPair(t, inVersion(t, version))
		recorded := map[*end][][]byte{} // by receiving end
		run := func(from, to *end, lines [][]byte) {
			for rounds := 0; len(lines) > 0; rounds++ {
				mayGoOn(t, rounds)
				recorded[to] = append(recorded[to], cloneLines(lines)...)
				lines = cloneLines(to.all(lines))
				from, to = to, from
			}
		}
		run(alice, bob, alice.refresh())
		for range 3 {
			run(alice, bob, alice.say("of the first session"))
			run(bob, alice, bob.say("of the first session"))
		}
		lines, err := alice.StartSMP([]byte("secret"), "")
		if err != nil {
			t.Fatal(err)
		}
		run(alice, bob, lines)
		if lines, err = alice.End(); err != nil {
			t.Fatal(err)
		}
		run(alice, bob, lines)
		if _, err = bob.End(); err != nil {
			t.Fatal(err)
		}

		alice.clock.advance(2 * time.Minute)
		converse(alice, bob, alice.refresh())
		wantSameSession(t, alice, bob)
		before, _ := alice.Session()
		alice.texts, bob.texts = nil, nil
		for i, e := range []*end{alice, bob} {
			e.take()
			for _, line := range recorded[e] {
				e.all([][]byte{line}) // what it answers gets lost
			}
			if len(e.texts) > 0 || count[otr.Secure](e.events)+count[otr.PeerEnded](e.events)+count[otr.SMPAsked](e.events) > 0 {
				t.Fatalf("end %d has read %q and was told %v", i, e.texts, e.take())
			}
		}
		for _, e := range []*end{alice, bob} {
			if s, ok := e.Session(); !ok || s.SSID != before.SSID {
				t.Fatalf("%s has another session", e.name)
			}
		}
		wantTalk(t, alice, bob)
	})
}

// Queries in a loop, as a broken client or an attacker sends them, begin a bounded number of
// key exchanges.
func TestQueriesInALoopBeginABoundedNumberOfKeyExchanges(t *testing.T) {
	for _, query := range []string{"?OTRv2?", "?OTRv3?", "?OTRv23?"} {
		alice, _ := newPair(t, policy(otr.AllowV2|otr.AllowV3))
		for minute := range 2 {
			answers := 0
			for range 6000 {
				answers += len(alice.receive([]byte(query)).Send)
				alice.clock.advance(10 * time.Millisecond)
			}
			if answers < 1 || answers > 31 { // 30, and one more at the boundary of two minutes
				t.Errorf("%s: %d answers in minute %d", query, answers, minute)
			}
		}
	}
}

// A peer that completes every key exchange may ask for the next one.
func TestQueriesThatAreFollowedUpBeginABoundedNumberOfKeyExchanges(t *testing.T) {
	slowtest.SkipShort(t)
	alice, bob := newPair(t)
	answers := 0
	for range 40 {
		commit := cloneLines(alice.receive([]byte("?OTRv3?")).Send)
		answers += len(commit)
		converse(alice, bob, commit)
	}
	if answers != 30 {
		t.Errorf("%d key exchanges in a minute", answers)
	}
	wantTalk(t, alice, bob)
}

// If every line is sent back to its sender, at both ends, no end gets a session with itself,
// and an existing session goes on.
func TestLinesThatComeBackMakeNoSession(t *testing.T) {
	forEachVersion(t, func(t *testing.T, version otr.Policy) {
		alice, bob := newPair(t, inVersion(t, version))
		lines := append(cloneLines(alice.Query()), cloneLines(alice.refresh())...)
		for range 20 {
			lines = cloneLines(alice.all(lines))
		}
		if alice.State() != otr.StatePlaintext || len(alice.texts) > 0 || count[otr.Secure](alice.take()) > 0 {
			t.Fatalf("a session with itself: %v", alice.State())
		}
		alice.clock.advance(2 * time.Minute)
		if got, err := alice.Tick(); err != nil {
			t.Fatal(got, err)
		}
		converse(bob, alice, bob.refresh())
		wantSameSession(t, alice, bob)
		alice.take()
		said := alice.say("to bob")
		for range 3 {
			for _, line := range said {
				if got := alice.receive(bytes.Clone(line)); got.DataMessage || got.HasText {
					t.Fatalf("alice reads her own %q", got.Text)
				}
			}
		}
		converse(alice, bob, said)
		wantTalk(t, alice, bob)
	})
}
