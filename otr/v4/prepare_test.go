package v4

import (
	"fmt"
	"reflect"
	"testing"
	"testing/iotest"

	"otrpipe/testscripts/slowtest"
)

// A session continues in the same way whether the next keys have been prepared completely,
// partly or not at all.
func TestPreparedKeysAreThoseOfTheSession(t *testing.T) {
	for name, prepare := range map[string]func(e *Engine, turn int){
		"never":  func(*Engine, int) {},
		"always": func(e *Engine, _ int) { run(t, e) },
		"not done": func(e *Engine, _ int) {
			if _, err := e.Prepare(); err != nil {
				t.Fatal(err)
			}
		},
		"in between": func(e *Engine, turn int) {
			if turn%2 == 0 {
				run(t, e)
			}
		},
		"late": func(e *Engine, _ int) {
			p, err := e.Prepare()
			if err != nil {
				t.Fatal(err)
			}
			if p != nil {
				t.Cleanup(p.Run) // after the session has gone on without it
			}
		},
		"beside": func(e *Engine, _ int) {
			if p, _ := e.Prepare(); p != nil {
				go p.Run()
			}
		},
	} {
		if testing.Short() && (name == "never" || name == "not done" || name == "in between" || name == "late") {
			continue
		}
		t.Run(name, func(t *testing.T) {
			alice, bob := newSession(t)
			for turn := range 14 {
				from, to := alice, bob
				if turn%2 == 1 {
					from, to = bob, alice
				}
				prepare(from.Engine, turn) // the peer's key is known
				text := fmt.Sprint("text ", turn)
				if got := to.read(from.say(text)); got != text {
					t.Fatalf("turn %d: read %q", turn, got)
				}
				prepare(to.Engine, turn)
				prepare(from.Engine, turn) // the peer's next key is not
			}
		})
	}
}

// run prepares all that can be.
func run(t *testing.T, e *Engine) {
	t.Helper()
	for range 10 { // there is work for one ratchet at a time
		p, err := e.Prepare()
		if err != nil {
			t.Fatal(err)
		}
		if p == nil {
			return
		}
		p.Run()
	}
	t.Fatal("there is always something to prepare")
}

func TestAPreparedTurnDrawsNothing(t *testing.T) {
	slowtest.SkipShort(t)
	alice, bob := newSession(t)
	for turn := range 6 {
		from, to := alice, bob
		if turn%2 == 1 {
			from, to = bob, alice
		}
		run(t, from.Engine)
		if p := from.session.prepared; from.session.ratchet.ourTurn && (p == nil || !p.keys.shared) {
			t.Fatalf("turn %d: not everything is prepared", turn)
		}
		rand := from.client.Rand
		from.client.Rand = iotest.ErrReader(errNoRandomness)
		msg := from.say("text")
		from.client.Rand = rand
		to.read(msg)
	}
}

func TestPreparedSecretsGoWithTheSession(t *testing.T) {
	alice, bob := newSession(t)
	bob.read(alice.say("text"))
	p, err := bob.Prepare()
	if p == nil || err != nil {
		t.Fatal(p, err)
	}
	bob.Drop()
	p.Run()
	if !reflect.ValueOf(p.keys).IsZero() {
		t.Error("secrets are left")
	}
}
