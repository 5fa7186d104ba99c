package v4

import (
	"bytes"
	"errors"
	"testing"
	"time"

	"otrpipe/testscripts/slowtest"
)

// floods passes forged messages to e, and fails unless the budget bounds how many of them are
// checked: a burst, and a number per second. forged returns a different message each time.
func (e *end) floods(forged func(i int) []byte) {
	e.t.Helper()
	n := 0
	looked := func() (looked int) {
		for range 2 * checksAtOnce {
			n++
			switch _, _, err := e.take(forged(n)); {
			case err == nil:
				e.t.Fatal("a forged message is accepted")
			case !errors.Is(err, ErrBusy):
				looked++
			}
		}
		return looked
	}
	// One may be under way, of an exchange that has yet to end.
	if got := looked(); got < checksAtOnce-1 || got > checksAtOnce {
		e.t.Errorf("%d are looked at at once, want %d", got, checksAtOnce)
	}
	e.clock.now = e.clock.now.Add(time.Second)
	if got := looked(); got < checksASecond-1 || got > checksASecond {
		e.t.Errorf("%d are looked at a second later, want %d", got, checksASecond)
	}
	e.clock.now = e.clock.now.Add(time.Hour)
}

// changed returns what floods asks for: msg with the byte at an index changed.
func changed(msg []byte, at int) func(i int) []byte {
	return func(i int) []byte {
		forged := bytes.Clone(msg)
		forged[at] ^= byte(i)
		return forged
	}
}

func TestMessagesOfAKeyExchangeThatAreNobodysHaveABudget(t *testing.T) {
	slowtest.SkipShort(t)
	alice, bob := newEnds(t)
	identity := bob.start()
	alice.floods(changed(identity, bytes.Index(identity, bob.offered)-60)) // in the profile's signature
	authR := alice.answer(identity)
	bob.floods(changed(authR, len(authR)-1)) // in the ring signature
	authI := bob.answer(authR)
	alice.floods(changed(authI, len(authI)-1))
	alice.answer(authI)
	alice.read(bob.say("hello"))
}

func TestHonestKeyExchangesCostNothingOfTheBudget(t *testing.T) {
	slowtest.SkipShort(t)
	alice, bob := newEnds(t)
	for range checksAtOnce + 2 {
		alice.answer(bob.answer(alice.answer(bob.start())))
	}
}

// There is also a budget for forged data messages that claim new keys.
func TestDataMessagesUnderNewKeysThatAreNobodysHaveABudget(t *testing.T) {
	alice, bob := newSession(t)
	bob.read(alice.say("0"))
	alice.read(bob.say("1"))
	next := alice.say("under new keys")
	bob.floods(changed(next, bytes.Index(next, parseData(t, next).MAC)))
	bob.read(next)
}

// A forged Auth-I that is compared with two answers of ours costs two checks; a genuine one
// that matches the second answer costs nothing in the end.
func TestAForgedAuthICostsACheckForEachAnswer(t *testing.T) {
	alice, bob := newEnds(t)
	authI := bob.answer(alice.answer(bob.start()))
	for range checksAtOnce / 2 {
		alice.start()                                         // the Auth-I is late from now on
		if _, _, err := alice.take(bob.start()); err == nil { // else it has lost against hers
			break
		}
	}
	if alice.late == nil || alice.exchange.answer == nil {
		t.Fatal("there are not two answers")
	}
	spent := alice.client.exchanges.spent
	if _, _, err := alice.take(changed(authI, len(authI)-1)(1)); err == nil {
		t.Fatal("a forged message is accepted")
	}
	if cost := alice.client.exchanges.spent.Sub(spent); cost != 2*checkTime {
		t.Errorf("it cost %v, want %v", cost, 2*checkTime)
	}
	spent = alice.client.exchanges.spent
	alice.answer(authI)
	if gained := spent.Sub(alice.client.exchanges.spent); gained != checkTime {
		t.Errorf("the real one gave %v back, want that of its Identity message, %v", gained, checkTime)
	}
}

// A flood in the names of many instances does not get a larger budget.
func TestManyInstancesShareOneBudget(t *testing.T) {
	alice, bob := newEnds(t)
	identity := bob.start()
	signature := bytes.Index(identity, bob.offered) - 60 // of the profile
	looked := 0
	for i := range uint32(3 * checksAtOnce) {
		alice.Engine = alice.client.NewEngine(0x2000 + i)
		switch _, _, err := alice.take(changed(identity, signature)(int(i%255) + 1)); {
		case err == nil:
			t.Fatal("a forged message is accepted")
		case errors.Is(err, ErrMalformed):
			t.Fatal("it is not looked at for its form")
		case !errors.Is(err, ErrBusy):
			looked++
		}
	}
	if looked != checksAtOnce {
		t.Errorf("%d are looked at at once, want %d", looked, checksAtOnce)
	}
}
