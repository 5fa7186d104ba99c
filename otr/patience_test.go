package otr_test

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"otrpipe/otr"
	"otrpipe/testscripts/slowtest"
)

// A line that is still in a queue cannot have been ignored: nothing is sent again, and no key
// exchange is given up, before it has left.
func TestWhatHasNotLeftIsNotSentAgain(t *testing.T) {
	for name, version := range bothVersions {
		t.Run(name, func(t *testing.T) {
			alice, bob := newPair(t, policy(version))
			alice.TrackDepartures()
			first := alice.refresh()
			if !alice.Undeparted() {
				t.Fatal("nothing is on its way")
			}
			for range 5 {
				alice.clock.advance(time.Minute)
				if lines := tickOf(t, alice); lines != nil {
					t.Fatalf("%s is sent again in the queue", kinds(lines))
				}
				if again := alice.refresh(); again != nil {
					t.Fatalf("%s is made again in the queue", kinds(again))
				}
			}
			alice.Departed()
			alice.clock.advance(3 * time.Second)
			if lines := tickOf(t, alice); lines != nil {
				t.Fatalf("%s is sent again after 3 s", kinds(lines))
			}
			alice.clock.advance(2 * time.Second)
			if lines := tickOf(t, alice); len(lines) != 1 || !bytes.Equal(lines[0], first[0]) {
				t.Fatalf("after 5 s %s is sent", kinds(lines))
			}
			alice.Departed()
			answer := bob.all(first)
			reveal := alice.all(answer)
			if !alice.Undeparted() {
				t.Fatal("the answer to the answer has not left")
			}
			converse(alice, bob, reveal)
			wantSameSession(t, alice, bob)
		})
	}
}

// tickOf does what is due at one end.
func tickOf(t *testing.T, e *end) (lines [][]byte) {
	t.Helper()
	for next := e.NextTick(); !next.IsZero() && !next.After(e.clock.now); next = e.NextTick() {
		got, err := e.Tick()
		if err != nil {
			t.Fatal(err)
		}
		e.note(got)
		lines = append(lines, cloneLines(got.Send)...)
	}
	return lines
}

// A client that takes twenty seconds to answer each line, for example because its server
// allows one line every five seconds, gets its session. From the second key exchange on it
// gets nothing twice.
func TestASlowClientIsWaitedFor(t *testing.T) {
	slowtest.SkipShort(t)
	for name, version := range bothVersions {
		t.Run(name, func(t *testing.T) {
			const delay = 20 * time.Second // of each answer of bob's
			alice, bob := newPair(t, policy(version))
			exchange := func() (sent int) {
				type parcel struct {
					at   time.Time
					line []byte
				}
				var onTheWay []parcel
				send := func(lines [][]byte) {
					sent += len(lines)
					for _, line := range lines {
						for _, answer := range cloneLines(bob.receive(line).Send) {
							onTheWay = append(onTheWay, parcel{alice.clock.now.Add(delay), answer})
						}
					}
				}
				send(cloneLines(alice.refresh()))
				for range 100 {
					alice.clock.advance(time.Second)
					send(tickOf(t, alice))
					for len(onTheWay) > 0 && !onTheWay[0].at.After(alice.clock.now) {
						line := onTheWay[0].line
						onTheWay = onTheWay[1:]
						send(cloneLines(alice.receive(line).Send))
					}
				}
				wantSameSession(t, alice, bob)
				return sent
			}
			if sent := exchange(); sent < 3 || sent > 6 {
				t.Errorf("the first key exchange took %d lines", sent)
			}
			if trip := alice.RoundTrip(); trip < delay/2 || trip > delay {
				t.Errorf("a round trip of %v was seen", trip)
			}
			if sent := exchange(); sent != 2 { // D-H Commit and Reveal Signature
				t.Errorf("the second key exchange took %d lines", sent)
			}
			wantTalk(t, alice, bob)
		})
	}
}

// slowly delivers one end's lines at once, and the other's answers one line per gap, until
// seconds have passed. It returns the lines that the first end has sent.
func slowly(t *testing.T, alice, bob *end, lines [][]byte, gap time.Duration, seconds int, lost func(line []byte) bool) (sent [][]byte) {
	t.Helper()
	var queue [][]byte
	ready := alice.clock.now
	send := func(lines [][]byte) {
		for _, line := range cloneLines(lines) {
			sent = append(sent, line)
			if !lost(line) {
				queue = append(queue, cloneLines(bob.receive(line).Send)...)
			}
		}
	}
	send(lines)
	for range seconds {
		alice.clock.advance(time.Second)
		send(tickOf(t, alice))
		if len(queue) > 0 && !alice.clock.now.Before(ready) {
			line := queue[0]
			queue, ready = queue[1:], alice.clock.now.Add(gap)
			send(cloneLines(alice.receive(line).Send))
		}
	}
	return sent
}

func nothingIsLost([]byte) bool { return false }

// Some clients make their key when they first need it. They ignore messages until they have
// it, and then continue only the exchange that they have begun.
func TestAPeerThatMakesItsKeyFirstIsWaitedFor(t *testing.T) {
	for name, version := range bothVersions {
		t.Run(name, func(t *testing.T) {
			alice, bob := newPair(t, policy(version))
			began := alice.clock.now
			sent := slowly(t, alice, bob, alice.Query(), time.Second, 70, func(line []byte) bool {
				hasKey := alice.clock.now.Sub(began) > 25*time.Second
				return kinds([][]byte{line}) == "D-H Key" && !hasKey || kinds([][]byte{line}) == "D-H Commit"
			})
			wantSameSession(t, alice, bob)
			if len(sent) > 8 || strings.Contains(kinds(sent), "D-H Commit") {
				t.Errorf("it took %s", kinds(sent))
			}
			wantTalk(t, alice, bob)
		})
	}
}

// A message of which a piece has come is still arriving: IRC clients send one long line every
// five or six seconds. Nothing is sent again in the meantime.
func TestAMessageThatArrivesInPiecesIsWaitedFor(t *testing.T) {
	for name, version := range bothVersions {
		t.Run(name, func(t *testing.T) {
			alice, _ := newPair(t, policy(version))
			bob := newEnd(t, "bob", 1, 2, alice.clock, policy(version), func(c *otr.Config) { c.MaxSize = 250 })
			sent := slowly(t, alice, bob, alice.Query(), 6*time.Second, 60, nothingIsLost)
			wantSameSession(t, alice, bob)
			if got := kinds(sent); got != "query, D-H Key, Signature" {
				t.Errorf("it took %s", got)
			}
			sent = slowly(t, alice, bob, alice.refresh(), 6*time.Second, 60, nothingIsLost)
			wantSameSession(t, alice, bob)
			if got := kinds(sent); got != "D-H Commit, Reveal Signature" {
				t.Errorf("new keys took %s", got)
			}
		})
	}
}

// After a version 3 session has ended, the next one begins with an offer instead of a query,
// which makes some clients send the next texts unencrypted. If nobody answers for 40 s, a
// query follows.
func TestAfterASessionTheNextBeginsWithAnOffer(t *testing.T) {
	sent := func(do func() ([][]byte, error)) [][]byte {
		t.Helper()
		lines, err := do()
		if err != nil {
			t.Fatal(err)
		}
		return cloneLines(lines)
	}
	for name, end := range map[string]func(alice, bob *end){
		"by this end":  func(alice, bob *end) { bob.all(sent(alice.End)) },
		"by the other": func(alice, bob *end) { alice.all(sent(bob.End)) },
	} {
		t.Run(name, func(t *testing.T) {
			alice, bob := newSession(t)
			end(alice, bob)
			lines := sent(alice.Start)
			if got := kinds(lines); got != "D-H Commit" {
				t.Fatalf("it begins with %s", got)
			}
			converse(alice, bob, lines)
			wantSameSession(t, alice, bob)

			end(alice, bob)
			sent(alice.Start)
			for range 41 {
				alice.clock.advance(time.Second)
				tickOf(t, alice)
			}
			lines = sent(alice.Start)
			if got := kinds(lines); got != "query" {
				t.Fatalf("after 40 s without an answer it begins with %s", got)
			}
		})
	}
}

// Once the client that was met last has answered, it does not count as silent any more,
// however slowly it continues.
func TestAKnownPeerThatAnswersSlowlyIsWaitedFor(t *testing.T) {
	_, bob := newPair(t, policy(otr.AllowV3))
	alice := newEnd(t, "alice", 0, 1, bob.clock, func(c *otr.Config) {
		c.Policy, c.Peer = otr.AllowV3, otr.Peer{Version: 3, Instance: bob.InstanceTag()}
	})
	lines, err := alice.Start()
	if err != nil {
		t.Fatal(err)
	}
	var queue [][]byte
	answer := func(lines [][]byte) {
		for _, line := range cloneLines(lines) {
			queue = append(queue, cloneLines(bob.receive(line).Send)...)
		}
	}
	answer(lines)
	for second := range 45 {
		alice.clock.advance(time.Second)
		tickOf(t, alice) // repeated lines are lost
		if second == 25 || second == 44 {
			if len(queue) != 1 {
				t.Fatalf("bob says %s", kinds(queue))
			}
			line := queue[0]
			queue = nil
			answer(alice.receive(line).Send)
		}
	}
	wantSameSession(t, alice, bob)
}

// The client that was met last is offered a key exchange. If it does not answer for 40 s, a
// query goes to any client.
func TestAKnownPeerThatKeepsSilentIsFollowedByAQuery(t *testing.T) {
	for _, peer := range []otr.Peer{{Version: 2}, {Version: 3}, {Version: 3, Instance: 0x4000}} {
		allowed := otr.AllowV3
		if peer.Version == 2 {
			allowed = otr.AllowV2
		}
		alice, bob := newPair(t, policy(allowed))
		alice = newEnd(t, "alice", 0, 1, bob.clock, func(c *otr.Config) { c.Policy, c.Peer = allowed, peer })
		start := func() [][]byte {
			lines, err := alice.Start()
			if err != nil {
				t.Fatal(err)
			}
			return lines
		}
		if lines := start(); kinds(lines) != "D-H Commit" {
			t.Fatalf("%+v is met by %s", peer, kinds(lines))
		}
		began := alice.clock.now
		for rounds := 0; alice.UnderWay(); rounds++ {
			mayGoOn(t, rounds)
			alice.clock.advance(time.Second)
			for _, line := range tickOf(t, alice) {
				if kinds([][]byte{line}) != "D-H Commit" {
					t.Errorf("%+v gets %s", peer, kinds([][]byte{line}))
				}
			}
			if alice.UnderWay() && start() != nil {
				t.Errorf("%+v is asked twice at once", peer)
			}
		}
		if waited := alice.clock.now.Sub(began); waited != 40*time.Second {
			t.Errorf("%+v was waited for for %v", peer, waited)
		}
		lines := start()
		if kinds(lines) != "query" {
			t.Fatalf("after %+v has kept silent it is asked by %s", peer, kinds(lines))
		}
		converse(alice, bob, lines)
		wantSameSession(t, alice, bob)
	}
}

func TestTheAnswerToAnEndsOwnQueryGoesFirst(t *testing.T) {
	for _, asked := range []bool{false, true} {
		alice, bob := newPair(t, policy(otr.AllowV3))
		if asked {
			alice.Query()
		}
		got, err := alice.Receive(bob.Query()[0])
		if err != nil {
			t.Fatal(err)
		}
		if answered := kinds(got.Send) == "D-H Commit"; answered == asked {
			t.Errorf("it has asked: %v; it answers with %s", asked, kinds(got.Send))
		}
		alice.clock.advance(300 * time.Millisecond)
		if lines := tickOf(t, alice); asked != (kinds(lines) == "D-H Commit") {
			t.Errorf("it has asked: %v; then it sends %s", asked, kinds(lines))
		}
	}
}

// Some clients send one line every few seconds, however much their user has typed. What they
// have typed before they get our D-H Commit goes out before their answers, under the old
// keys, and what they type afterwards goes out behind their answers, under the new ones.
// Nothing of it is lost, although this end has begun again in the meantime.
func TestNewKeysThatWaitBehindATypedTextLoseNothing(t *testing.T) {
	slowtest.SkipShort(t)
	for _, texts := range []int{5, 30, 200} {
		t.Run(fmt.Sprint(texts, " texts"), func(t *testing.T) {
			alice, bob := newSession(t)
			const gap = 2 * time.Second // between bob's lines
			var queue [][]byte
			typed := 0
			types := func() {
				typed++
				queue = append(queue, cloneLines(bob.say(fmt.Sprint("text ", typed)))...)
			}
			send := func(lines [][]byte) {
				for _, line := range cloneLines(lines) {
					if kinds([][]byte{line}) == "Reveal Signature" {
						for typed < texts { // before it arrives
							types()
						}
					}
					queue = append(queue, cloneLines(bob.receive(line).Send)...)
				}
			}
			send(alice.refresh())
			for len(queue) > 0 {
				alice.clock.advance(gap)
				send(tickOf(t, alice))
				line := queue[0]
				queue = queue[1:]
				send(alice.receive(line).Send)
				if typed < texts+20 {
					types()
				}
			}
			if lost := count[otr.Unreadable](alice.events); lost > 0 {
				t.Errorf("%d texts cannot be read", lost)
			}
			if len(alice.texts) != typed {
				t.Errorf("%d of %d texts have arrived", len(alice.texts), typed)
			}
			for i, text := range alice.texts {
				if want := fmt.Sprint("text ", i+1); text != want {
					t.Fatalf("%q arrives in place of %q", text, want)
				}
			}
			wantSameSession(t, alice, bob)
			wantTalk(t, alice, bob)
		})
	}
}

// Our answer to the session's peer waits behind texts for more than two minutes. We do not begin an
// exchange of our own, which would abandon the one that the peer continues when the answer arrives.
func TestAnAnswerBehindMinutesOfTextsLeadsToNewKeys(t *testing.T) {
	const texts, gap = 12, 10 * time.Second
	alice, bob := newSession(t)
	before, _ := alice.Session()
	var queue [][]byte // of bob's lines, one of which leaves per gap
	for i := range texts {
		queue = append(queue, cloneLines(bob.say(fmt.Sprint("text ", i)))...)
	}
	answers := func(lines [][]byte) {
		for _, line := range lines {
			if kinds([][]byte{line}) == "D-H Commit" {
				t.Error("bob begins an exchange of his own")
			}
			queue = append(queue, line)
		}
	}
	send := func(lines [][]byte) {
		for _, line := range cloneLines(lines) {
			answers(cloneLines(bob.receive(line).Send))
		}
	}
	start := alice.clock.now
	send(alice.refresh())
	for seconds := 1; len(queue) > 0; seconds++ {
		alice.clock.advance(time.Second) // which is bob's clock too
		send(tickOf(t, alice))
		answers(tickOf(t, bob))
		if seconds%int(gap/time.Second) == 0 {
			line := queue[0]
			queue = queue[1:]
			send(alice.receive(line).Send)
		}
	}
	wantSameSession(t, alice, bob)
	if now, _ := alice.Session(); now.SSID == before.SSID {
		t.Error("the keys are still the old ones")
	}
	if took := alice.clock.now.Sub(start); took > 5*time.Minute {
		t.Errorf("it took %v", took)
	}
	if len(alice.texts) != texts || count[otr.Unreadable](alice.events) > 0 {
		t.Errorf("%d of %d texts have arrived", len(alice.texts), texts)
	}
	wantTalk(t, alice, bob)
}

// A text waits although this end has begun again before the Signature came, for whatever
// reason: the peer has the new keys already and could not read it.
func TestTextsWaitForALateSignatureAfterAnotherRefresh(t *testing.T) {
	alice, bob := newSession(t)
	signature := bob.all(alice.all(bob.all(alice.refresh())))
	alice.clock.advance(time.Minute / 2)
	if got := kinds(alice.refresh()); got != "D-H Commit" { // before Tick
		t.Fatalf("a second refresh sends %s", got)
	}
	if !alice.Exchanging() {
		t.Fatal("a text would be sent under keys that the peer has dropped")
	}
	alice.all(signature)
	if alice.Exchanging() {
		t.Fatal("texts still wait")
	}
	bob.all(alice.say("under the new keys"))
	if len(bob.texts) != 1 {
		t.Fatalf("bob reads %q: %v", bob.texts, bob.events)
	}
}

// What counts is when the session's peer last sent something that this end accepted.
func TestWhenThePeerWasHeardLast(t *testing.T) {
	alice, bob := newPair(t)
	if !alice.Heard().IsZero() {
		t.Error("the peer is heard before there is a session")
	}
	converse(alice, bob, alice.Query())
	text := cloneLines(bob.say("a text"))
	alice.clock.advance(time.Minute)
	alice.all(text)
	heard := alice.clock.now
	alice.clock.advance(time.Minute)
	alice.all(text)
	if !alice.Heard().Equal(heard) {
		t.Errorf("heard at %v instead of %v", alice.Heard(), heard)
	}
}

// In version 4 the peer has the new session when it sends its Auth-I, which may wait in a queue
// for half a minute. This end, which has made an offer of its own meanwhile, holds its texts and
// does not go back to the old session before the Auth-I has come.
func TestAnAuthIThatWaitsInAQueueIsWaitedFor(t *testing.T) {
	slowtest.SkipShort(t)
	for _, wait := range []int{3, 10, 30, 60} {
		t.Run(fmt.Sprint(wait, " s"), func(t *testing.T) {
			alice, bob := newSession(t, withVersion4)
			authI := bob.all(alice.all(bob.refresh()))
			if kinds(authI) != "Auth-I" {
				t.Fatalf("bob sends %s", kinds(authI))
			}
			var sent [][]byte
			for range wait {
				alice.clock.advance(time.Second)
				sent = append(sent, tickOf(t, alice)...)
				if !alice.Exchanging() {
					t.Fatal("a text would be sent under keys that the peer has dropped")
				}
			}
			authI = append(authI, bob.all(sent)...)
			converse(bob, alice, authI)
			for range 60 {
				alice.clock.advance(time.Second)
				converse(alice, bob, tickOf(t, alice))
				converse(bob, alice, tickOf(t, bob))
			}
			wantSameSession(t, alice, bob)
			wantTalk(t, alice, bob)
		})
	}
}

// Bob repeats his Identity message as long as alice's Auth-R is in her queue, which may take
// minutes. Alice waits for his Auth-I for as long as he does, but not for more than ten minutes.
func TestAnAuthIIsWaitedForWhileThePeerRepeatsItsIdentityMessage(t *testing.T) {
	slowtest.SkipShort(t)
	const limit = 10 * time.Minute
	for _, wait := range []time.Duration{3 * time.Minute, limit - time.Minute, limit + time.Minute} {
		t.Run(wait.String(), func(t *testing.T) {
			alice, bob := newSession(t, withVersion4)
			identity := cloneLines(bob.refresh())
			queue := cloneLines(alice.all(identity))
			if kinds(queue) != "Auth-R" {
				t.Fatalf("alice answers with %s", kinds(queue))
			}
			for began := alice.clock.now; alice.clock.now.Sub(began) < wait; {
				for range 30 {
					alice.clock.advance(time.Second)
					queue = append(queue, tickOf(t, alice)...)
				}
				queue = append(queue, cloneLines(alice.all(identity))...)
			}
			if waits := alice.Exchanging(); waits != (wait < limit) {
				t.Fatalf("alice's texts wait: %v", waits)
			}
			authI := bob.all(queue[:1])
			if kinds(authI) != "Auth-I" {
				t.Fatalf("bob answers with %s", kinds(authI))
			}
			authI = append(cloneLines(authI), bob.say("under the new keys")...)
			alice.all(authI)
			if read := len(alice.texts) == 1; read != (wait < limit) {
				t.Fatalf("alice reads %q: %v", alice.texts, alice.events)
			}
		})
	}
}

// A client answers within a second at first, and later takes six. In the first key exchange
// after that, lines are sent again before the answer comes; in the next one nothing is.
func TestAClientThatBecomesSlowGetsNothingTwiceInTheSecondKeyExchange(t *testing.T) {
	slowtest.SkipShort(t)
	for version, configure := range everyVersion {
		for _, tracked := range []bool{false, true} {
			t.Run(fmt.Sprintf("version %s, tracked %v", version, tracked), func(t *testing.T) {
				alice, bob := newSession(t, configure)
				if tracked {
					alice.TrackDepartures()
				}
				exchange := func(delay int) (sent string) {
					type parcel struct {
						at   time.Time
						line []byte
					}
					var all [][]byte
					var onTheWay []parcel
					send := func(lines [][]byte) {
						for _, line := range cloneLines(lines) {
							all = append(all, line)
							for _, answer := range cloneLines(bob.receive(line).Send) {
								onTheWay = append(onTheWay, parcel{alice.clock.now.Add(time.Duration(delay) * time.Second), answer})
							}
						}
						alice.Departed()
					}
					send(alice.refresh())
					for range 60 {
						alice.clock.advance(time.Second)
						send(tickOf(t, alice))
						for len(onTheWay) > 0 && !onTheWay[0].at.After(alice.clock.now) {
							line := onTheWay[0].line
							onTheWay = onTheWay[1:]
							send(alice.receive(line).Send)
						}
					}
					wantSameSession(t, alice, bob)
					return kinds(all)
				}
				undisturbed := exchange(1)
				if again := exchange(6); again == undisturbed {
					t.Fatalf("nothing is sent again: %s", again)
				}
				if sent := exchange(6); sent != undisturbed {
					t.Errorf("the second slow key exchange takes %s, not %s", sent, undisturbed)
				}
			})
		}
	}
}

// While the answer to a message is on its way, the peer may repeat what that message answers, and
// gets it again. The answer may be to either copy, so the round trip lies in between.
func TestAnAnswerAfterAnotherCopyTellsOnlyTheLimitsOfTheRoundTrip(t *testing.T) {
	slowtest.SkipShort(t)
	for version, configure := range everyVersion {
		t.Run("version "+version, func(t *testing.T) {
			alice, bob := newSession(t, configure)
			for _, c := range []struct{ again, answer, trip time.Duration }{
				{6 * time.Second, 7 * time.Second, 7 * time.Second},  // nothing was known before
				{6 * time.Second, 10 * time.Second, 7 * time.Second}, // between 4 s and 10 s
				{1 * time.Second, 10 * time.Second, 9 * time.Second}, // between 9 s and 10 s
			} {
				offer := cloneLines(bob.refresh())
				lines := cloneLines(alice.all(offer))
				alice.clock.advance(c.again)
				if again := alice.all(offer); kinds(again) != kinds(lines) {
					t.Fatalf("alice answers with %s, and then with %s", kinds(lines), kinds(again))
				}
				alice.clock.advance(c.answer - c.again)
				lines = alice.all(bob.all(lines))
				if trip := alice.RoundTrip(); trip != c.trip {
					t.Errorf("after an answer in %v, the second copy %v late, the round trip is %v, not %v", c.answer, c.again, trip, c.trip)
				}
				converse(alice, bob, lines)
				wantSameSession(t, alice, bob)
			}
		})
	}
}

// However late an answer comes, the next message is repeated after 40 s at the latest.
func TestNoWaitIsLongerThanItsLimit(t *testing.T) {
	for version, configure := range everyVersion {
		t.Run("version "+version, func(t *testing.T) {
			alice, bob := newSession(t, configure)
			answer := bob.all(alice.refresh())
			for range 90 {
				alice.clock.advance(time.Second)
				tickOf(t, alice) // repeated lines are lost
			}
			converse(alice, bob, alice.all(answer))
			for range 60 { // for what may still come
				alice.clock.advance(time.Second)
				tickOf(t, alice)
			}
			wantSameSession(t, alice, bob)
			alice.refresh()
			for waited := 0; len(tickOf(t, alice)) == 0; waited++ {
				if waited == 40 {
					t.Fatal("nothing is repeated after 40 s")
				}
				alice.clock.advance(time.Second)
			}
		})
	}
}

// An answer may come before the transport has reported that the question left. Then it says
// only that the round trip is not longer than that.
func TestAnAnswerBeforeTheDepartureIsKnownOnlyLowersTheRoundTrip(t *testing.T) {
	alice, bob := newSession(t)
	alice.TrackDepartures()
	exchange := func(departs bool, wait time.Duration) {
		t.Helper()
		lines := alice.refresh()
		for len(lines) > 0 { // D-H Commit, Reveal Signature
			answer := bob.all(lines)
			if departs {
				alice.Departed()
			}
			alice.clock.advance(wait)
			lines = alice.all(answer)
		}
		alice.Departed()
		wantSameSession(t, alice, bob)
	}
	for _, c := range []struct {
		departs bool
		wait    time.Duration
		trip    time.Duration // afterwards
	}{
		{false, 10 * time.Second, 0}, // it may have left at the last moment
		{true, 8 * time.Second, 8 * time.Second},
		{false, 10 * time.Second, 8 * time.Second},
		{false, 2 * time.Second, 3500 * time.Millisecond}, // halfway to 2 s, twice
	} {
		exchange(c.departs, c.wait)
		if trip := alice.RoundTrip(); trip != c.trip {
			t.Errorf("after an answer in %v (departure known: %v) the round trip is %v, not %v", c.wait, c.departs, trip, c.trip)
		}
	}
}

// The peer has sent one long text, in fragments, when it gets our commitment. Its Signature comes
// after the last of them, long after everything was sent that this end expects an answer to.
func TestNewKeysThatWaitBehindAFragmentedTextLoseNothing(t *testing.T) {
	alice, _ := newPair(t)
	bob := newEnd(t, "bob", 1, 2, alice.clock, func(c *otr.Config) { c.MaxSize = 250 })
	converse(alice, bob, alice.Query())
	queue := cloneLines(bob.all(alice.refresh())) // D-H Key
	long := strings.Repeat("a long text. ", 400)
	queue = append(queue, cloneLines(bob.say(long))...)
	if len(queue) < 25 {
		t.Fatalf("it has only %d fragments", len(queue))
	}
	revealed := false
	for len(queue) > 0 || alice.UnderWay() {
		alice.clock.advance(6 * time.Second)
		mine := tickOf(t, alice)
		if len(queue) > 0 {
			mine = append(mine, alice.receive(queue[0]).Send...)
			queue = queue[1:]
		}
		for _, line := range cloneLines(mine) {
			queue = append(queue, cloneLines(bob.receive(line).Send)...)
			if kinds([][]byte{line}) == "Reveal Signature" && !revealed {
				revealed = true
				queue = append(queue, cloneLines(bob.say("under the new keys"))...)
			}
		}
		if revealed && len(queue) > 5 && !alice.Exchanging() {
			t.Fatalf("with %d lines to come, texts would be sent under the old keys", len(queue))
		}
	}
	if want := []string{long, "under the new keys"}; !slices.Equal(alice.texts, want) {
		t.Fatalf("%d texts arrive: %v", len(alice.texts), alice.events)
	}
	wantSameSession(t, alice, bob)
	wantTalk(t, alice, bob)
}
