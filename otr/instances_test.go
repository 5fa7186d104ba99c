package otr_test

import (
	"strings"
	"testing"
	"time"

	"otrpipe/otr"
	"otrpipe/otr/wire"
	"otrpipe/testscripts/slowtest"
)

// newCrowd returns alice, who has a session with bob, and another instance of bob, logged in
// at the same time with the same key.
func newCrowd(t *testing.T, configure ...func(*otr.Config)) (alice, bob, beside *end) {
	t.Helper()
	alice, bob = newSession(t, configure...)
	beside = newEnd(t, "bob's other instance", 1, 7, alice.clock, configure...)
	alice.take()
	bob.take()
	return alice, bob, beside
}

func TestMessagesForOtherInstancesAreIgnored(t *testing.T) {
	alice, bob, beside := newCrowd(t)
	for _, line := range append(alice.refresh(), alice.say("for bob")...) {
		got := beside.receive(line)
		if e := find[otr.OtherInstance](t, got.Events); e.Tag != bob.InstanceTag() || len(got.Send) != 0 {
			t.Fatalf("%v, answer %s", got.Events, kinds(got.Send))
		}
	}
}

func TestFragmentsForOtherInstancesAreIgnored(t *testing.T) {
	alice, bob, beside := newCrowd(t, func(c *otr.Config) { c.MaxSize = 200 })
	lines := alice.say(strings.Repeat("for bob ", 50))
	for _, line := range lines {
		got := beside.receive(line)
		if e := find[otr.OtherInstance](t, got.Events); e.Tag != bob.InstanceTag() || len(got.Send) != 0 {
			t.Fatalf("%v, answer %s", got.Events, kinds(got.Send))
		}
	}
	if bob.all(lines); len(bob.texts) != 1 {
		t.Fatal(bob.take())
	}
}

// A client may continue with an instance of ours that has crashed although a new one has a
// session already. It is shown the new one, once, and only at the beginning: later a person
// may really be active at the other instance.
func TestAClientThatGoesOnWithAnEarlierInstanceIsShownThisOne(t *testing.T) {
	alice, bob, beside := newCrowd(t)
	misdirected := func(e, to *end) string {
		t.Helper()
		got := e.receive(foreignData(to.InstanceTag(), alice.InstanceTag(), 0))
		find[otr.OtherInstance](t, got.Events)
		lines := cloneLines(got.Send)
		alice.all(lines)
		return kinds(lines)
	}
	if got := misdirected(bob, beside); got != "" {
		t.Errorf("in the same second it sends %s", got)
	}
	bob.clock.advance(1500 * time.Millisecond)
	if got := misdirected(bob, beside); got != "Data" {
		t.Errorf("after 1.5 s it sends %q", got)
	}
	if got := misdirected(bob, beside); got != "" {
		t.Errorf("then it sends %s again", got)
	}
	converse(alice, bob, alice.refresh())
	bob.clock.advance(15 * time.Second)
	if got := misdirected(bob, beside); got != "" {
		t.Errorf("after 15 s it sends %s", got)
	}
	if got := misdirected(beside, bob); got != "" {
		t.Errorf("without a session it sends %s", got)
	}
	wantTalk(t, alice, bob)
}

func TestSessionSticksToItsInstance(t *testing.T) {
	alice, bob, beside := newCrowd(t)
	got := alice.receive(beside.refresh()[0])
	if e := find[otr.OtherInstance](t, got.Events); e.Tag != beside.InstanceTag() || len(got.Send) != 0 {
		t.Fatalf("%v, answer %s", got.Events, kinds(got.Send))
	}
	got = alice.receive(foreignData(alice.InstanceTag(), beside.InstanceTag(), 0))
	find[otr.OtherInstance](t, got.Events)
	if len(got.Send) != 0 {
		t.Fatal(kinds(got.Send))
	}
	wantTalk(t, alice, bob)
}

func TestAnotherInstanceTakesOverFromASilentOne(t *testing.T) {
	alice, bob, beside := newCrowd(t)
	alice.clock.advance(3 * time.Minute)
	converse(beside, alice, beside.refresh())
	wantSameSession(t, alice, beside)
	wantTalk(t, alice, beside)
	if s, _ := alice.Session(); s.PeerInstance != beside.InstanceTag() {
		t.Fatalf("%08x", s.PeerInstance)
	}
	got := alice.receive(bob.say("late")[0])
	find[otr.OtherInstance](t, got.Events)
}

func TestSeveralInstancesAnswerOneQuery(t *testing.T) {
	alice, bob := newPair(t)
	beside := newEnd(t, "bob's other instance", 1, 7, alice.clock)
	query := alice.Query()
	// Each receives alice's texts, and she receives those of both, in turn.
	lines := map[*end][][]byte{bob: bob.all(query), beside: beside.all(query)}
	for range 5 {
		for _, e := range []*end{bob, beside} {
			answer := alice.all(lines[e])
			lines[e] = nil
			for _, other := range []*end{bob, beside} {
				lines[other] = append(lines[other], other.all(answer)...)
			}
		}
	}
	s, ok := alice.Session()
	if !ok {
		t.Fatalf("%v", alice.take())
	}
	with, other := bob, beside
	if s.PeerInstance == beside.InstanceTag() {
		with, other = beside, bob
	}
	wantTalk(t, alice, with)
	if other.State() != otr.StatePlaintext {
		t.Fatal("the other instance believes in a session")
	}
}

func TestManyInstancesAreBounded(t *testing.T) {
	alice, bob, _ := newCrowd(t)
	alice.clock.advance(3 * time.Minute)
	var first *end
	var answer [][]byte // to the first
	for i := range 40 {
		alice.clock.advance(time.Millisecond) // so that the first is the oldest
		e := newEnd(t, "stranger", 2, uint64(100+i), alice.clock)
		lines := cloneLines(alice.all(e.refresh()))
		if first == nil {
			first, answer = e, lines
		}
	}
	if reveal := cloneLines(first.all(answer)); kinds(reveal) != "Reveal Signature" || len(alice.all(reveal)) != 0 {
		t.Errorf("the first of 40 sends %s, and is still known", kinds(reveal))
	}
	wantTalk(t, alice, bob)
}

// TestPeerThatLostItsSessionGetsANewOne restarts the peer, as a new or the same instance: the
// end that notices begins a key exchange.
func TestPeerThatLostItsSessionGetsANewOne(t *testing.T) {
	for _, version := range []otr.Policy{otr.AllowV2, otr.AllowV3} {
		alice, bob := newSession(t, policy(version|otr.RestartAKE))
		wantTalk(t, alice, bob)
		again := newEnd(t, "bob again", 1, 21, alice.clock, policy(version|otr.RestartAKE),
			func(c *otr.Config) { c.InstanceTag = bob.InstanceTag() })
		alice.take()
		converse(alice, again, alice.say("lost"))
		find[otr.Restarted](t, again.take())
		wantSameSession(t, alice, again)
		if e := find[otr.Secure](t, alice.take()); !e.Refreshed {
			t.Fatal("alice does not say that it replaces a session")
		}
		wantTalk(t, alice, again)
	}
}

// The peer comes back as another instance after a crash. This instance gets the session when
// the first one has not answered for as long as an answer may take, and its texts in the
// meantime are not lost.
func TestPeerThatComesBackAsAnotherInstanceGetsASessionByAQuery(t *testing.T) {
	alice, _, beside := newCrowd(t)
	converse(beside, alice, beside.Query())
	find[otr.Restarted](t, alice.take())
	if lines := alice.all(beside.say("early")); len(lines) != 0 || len(alice.texts) != 0 {
		t.Fatalf("alice reads %q and answers %s", alice.texts, kinds(lines))
	}
	alice.clock.advance(2 * time.Second)
	for next := alice.NextTick(); !next.IsZero() && !next.After(alice.clock.now); next = alice.NextTick() {
		got, err := alice.Tick()
		if err != nil {
			t.Fatal(err)
		}
		alice.note(got)
		converse(alice, beside, got.Send)
	}
	if len(alice.texts) != 1 || alice.texts[0] != "early" {
		t.Errorf("alice has read %q", alice.texts)
	}
	wantSameSession(t, alice, beside)
	wantTalk(t, alice, beside)
}

// A second client may be much faster than the first, which sends one line every few seconds,
// and may complete its key exchange before the first one has answered at all.
func TestASecondClientThatIsQuickerThanTheFirstIsRefused(t *testing.T) {
	alice, bob, second := newCrowd(t)
	offer := cloneLines(alice.all(second.Query()))
	converse(second, alice, cloneLines(second.all(offer)))
	if second.State() != otr.StateEncrypted {
		t.Fatalf("the second client is in %v", second.State())
	}
	alice.clock.advance(time.Second)
	converse(bob, alice, bob.all(offer))
	alice.clock.advance(time.Second)
	for next := alice.NextTick(); !next.IsZero() && !next.After(alice.clock.now); next = alice.NextTick() {
		got, err := alice.Tick()
		if err != nil {
			t.Fatal(err)
		}
		alice.note(got)
		second.all(got.Send)
	}
	if second.State() != otr.StateFinished {
		t.Errorf("the second client is in %v", second.State())
	}
	if e := find[otr.SecondClient](t, alice.take()); e.Instance != second.InstanceTag() {
		t.Errorf("%+v", e)
	}
	wantSameSession(t, alice, bob)
	wantTalk(t, alice, bob)
}

func TestEndedSessionIsNotBegunAgainByWhatIsOnItsWay(t *testing.T) {
	alice, bob := newSession(t, policy(otr.AllowV3|otr.RestartAKE))
	late := alice.say("late")
	if _, err := bob.End(); err != nil {
		t.Fatal(err)
	}
	if send := bob.all(late); kinds(send) != "error" {
		t.Fatal(kinds(send))
	}
}

// A second client that begins a key exchange during a session is reported to the user once.
func TestASecondClientThatOffersAKeyExchangeIsToldOfOnce(t *testing.T) {
	alice, bob, beside := newCrowd(t)
	for range 3 {
		alice.all(beside.refresh())
		beside.clock.advance(5 * time.Second)
	}
	if e := find[otr.SecondClient](t, alice.take()); e.Instance != beside.InstanceTag() || e.Version != 3 {
		t.Fatalf("%+v", e)
	}
	wantSameSession(t, alice, bob)
	wantTalk(t, alice, bob)
}

func TestAFloodOfSecondClientsIsToldOfAFewTimes(t *testing.T) {
	alice, bob, beside := newCrowd(t)
	offer := beside.refresh()[0]
	for i := range uint32(40) {
		alice.receive(fromInstance(t, offer, 0x1000+i))
	}
	if n := count[otr.SecondClient](alice.take()); n == 0 || n > 3 {
		t.Fatalf("told %d times", n)
	}
	wantSameSession(t, alice, bob)
	wantTalk(t, alice, bob)
}

// fromInstance returns a message of version 3 with another instance tag of its sender.
func fromInstance(t *testing.T, line []byte, tag uint32) []byte {
	t.Helper()
	msg, err := wire.AppendDearmored(nil, line)
	if err != nil {
		t.Fatal(err)
	}
	h, body, err := wire.ParseHeader(msg)
	if err != nil {
		t.Fatal(err)
	}
	h.Sender = tag
	return wire.AppendArmor(nil, append(h.Append(nil), body...))
}

// A second client's query is answered with an offer to all instances, which both clients
// answer. The first one keeps the session, whichever completes its exchange first. The second
// one, which has a session by then, is told that it has ended, and the user is told too.
func TestASecondClientThatAsksIsRefusedAndTheSessionGoesOn(t *testing.T) {
	slowtest.SkipShort(t)
	const same, other = 1, 2
	for _, test := range []struct {
		name        string
		key         int
		secondFirst bool
	}{
		{"the same key", same, false},
		{"the same key, in front", same, true},
		{"another key", other, false},
		{"another key, in front", other, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			alice, bob := newSession(t)
			second := newEnd(t, "second", test.key, 7, alice.clock)
			offer := cloneLines(alice.all(second.Query()))
			ofBob, ofSecond := cloneLines(bob.all(offer)), cloneLines(second.all(offer))
			ofBob = cloneLines(bob.all(cloneLines(alice.all(ofBob))))
			ofSecond = cloneLines(second.all(cloneLines(alice.all(ofSecond))))
			if second.State() != otr.StateEncrypted {
				t.Fatal("the second client has no session to be refused")
			}
			alice.take()
			if test.secondFirst {
				second.all(cloneLines(alice.all(ofSecond)))
				bob.all(cloneLines(alice.all(ofBob)))
			} else {
				bob.all(cloneLines(alice.all(ofBob)))
				second.all(cloneLines(alice.all(ofSecond)))
			}
			if second.State() != otr.StateFinished {
				t.Errorf("the second client is in %v", second.State())
			}
			events := alice.take()
			if told := count[otr.SecondClient](events) + count[otr.OtherKey](events); told != 1 {
				t.Errorf("alice is told %d times: %v", told, events)
			}
			if test.key == other && find[otr.OtherKey](t, events).Instance != second.InstanceTag() {
				t.Errorf("%v", events)
			}
			wantSameSession(t, alice, bob)
			wantTalk(t, alice, bob)
		})
	}
}

// We wait for a second client's Signature for as long as for a key exchange. It is refused
// even after the end of the session.
func TestASecondClientsSignatureBeginsNoSessionLater(t *testing.T) {
	for _, test := range []struct {
		name, answer string
		later        func(alice, bob *end)
	}{
		{"after the wait", "", func(alice, _ *end) {
			alice.clock.advance(61 * time.Second)
			if _, err := alice.Tick(); err != nil {
				t.Fatal(err)
			}
		}},
		{"after the peer's end", "Data", func(alice, bob *end) {
			lines, err := bob.End()
			if err != nil {
				t.Fatal(err)
			}
			alice.all(lines)
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			alice, bob := newSession(t)
			second := newEnd(t, "second", 1, 7, alice.clock)
			offer := cloneLines(alice.all(second.Query()))
			ofBob, ofSecond := cloneLines(bob.all(offer)), cloneLines(second.all(offer))
			ofBob = cloneLines(bob.all(cloneLines(alice.all(ofBob))))
			ofSecond = cloneLines(second.all(cloneLines(alice.all(ofSecond))))
			alice.all(ofBob)
			test.later(alice, bob)
			before := alice.State()
			alice.take()
			if answer := kinds(alice.all(ofSecond)); answer != test.answer {
				t.Errorf("alice answers %q", answer)
			}
			if n := count[otr.Secure](alice.take()); n != 0 || alice.State() != before {
				t.Errorf("alice is in %v, and was in %v", alice.State(), before)
			}
		})
	}
}
