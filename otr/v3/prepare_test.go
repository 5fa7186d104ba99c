package v3

import (
	"bytes"
	"errors"
	"fmt"
	"testing"
	"testing/iotest"
)

// A session continues in the same way whether the next keys have been prepared completely,
// partly or not at all.
func TestPreparedKeysAreThoseOfTheSession(t *testing.T) {
	for name, prepare := range map[string]func(e *Engine, turn int){
		"never":    func(*Engine, int) {},
		"always":   func(e *Engine, _ int) { prepareAll(t, e) },
		"not done": func(e *Engine, _ int) { e.Prepare() },
		"in between": func(e *Engine, turn int) {
			if turn%2 == 0 {
				prepareAll(t, e)
			}
		},
		"late": func(e *Engine, _ int) {
			if p, _ := e.Prepare(); p != nil {
				t.Cleanup(p.Run) // after the session has gone on without it
			}
		},
		"beside": func(e *Engine, _ int) {
			if p, _ := e.Prepare(); p != nil {
				go p.Run()
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			alice, bob := newSessions(t, Version3)
			for turn := range 14 {
				from, to := alice, bob
				if turn%3 == 1 {
					from, to = bob, alice
				}
				prepare(from, turn)
				tell(t, from, to, fmt.Sprint("text ", turn))
				prepare(to, turn)
				prepare(from, turn)
			}
		})
	}
}

// prepareAll prepares all that can be.
func prepareAll(t *testing.T, e *Engine) {
	t.Helper()
	p, err := e.Prepare()
	if err != nil {
		t.Fatal(err)
	}
	if p != nil {
		p.Run()
	}
}

func TestAPreparedTurnComputesNothing(t *testing.T) {
	alice, bob := newSessions(t, Version3)
	for turn := range 6 {
		from, to := alice, bob
		if turn%2 == 1 {
			from, to = bob, alice
		}
		prepareAll(t, from)
		prepareAll(t, to)
		if to.session.prepared == nil || !to.session.prepared.hasNext {
			t.Fatalf("turn %d: our next key is not prepared", turn)
		}
		next := to.session.prepared.next.public
		latestID := to.session.ourID
		rand := to.rand
		to.rand = iotest.ErrReader(errors.New("nothing is to be drawn"))
		tell(t, from, to, "text")
		to.rand = rand
		if to.session.ourID != latestID && !bytes.Equal(to.session.ours[latest].public, next) {
			t.Fatalf("turn %d: the next key is another than was prepared", turn)
		}
		if turn > 1 && to.session.ourID == latestID {
			t.Fatalf("turn %d: the keys have not changed", turn)
		}
	}
}

func TestPreparedSecretsGoWithTheSession(t *testing.T) {
	for name, runs := range map[string]func(p *Preparation, drop func()){
		"before it ends": func(p *Preparation, drop func()) { p.Run(); drop() },
		"after it":       func(p *Preparation, drop func()) { drop(); p.Run() },
		"never":          func(_ *Preparation, drop func()) { drop() },
	} {
		t.Run(name, func(t *testing.T) {
			alice, bob := newSessions(t, Version3)
			tell(t, alice, bob, "text")
			p, err := bob.Prepare()
			if p == nil || err != nil {
				t.Fatal(p, err)
			}
			runs(p, bob.Drop)
			var none [dhSecretLen]byte
			for _, k := range []dhKey{p.ours[0], p.ours[1], p.next} {
				if k.secret != none {
					t.Error("a private value is left")
				}
			}
			if p.pairs != [2]*pairKeys{} {
				t.Error("session keys are left")
			}
		})
	}
}
