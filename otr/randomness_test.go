package otr_test

import (
	"errors"
	"fmt"
	"io"
	"testing"
	"time"

	"otrpipe/otr"
)

// A well is a source of randomness that fails after a number of bytes.
type well struct {
	source io.Reader
	left   int
}

var errDry = errors.New("no randomness is left")

func (w *well) Read(p []byte) (int, error) {
	if len(p) > w.left {
		return 0, errDry
	}
	w.left -= len(p)
	return w.source.Read(p)
}

// Wherever randomness runs out in a conversation, that is the error returned, nothing
// unauthenticated is read, and nothing that needs randomness is sent. Once it is available
// again, the two ends can establish a session.
func TestAConversationWithoutRandomnessFailsAndRecovers(t *testing.T) {
	forEachVersion(t, func(t *testing.T, version otr.Policy) {
		if testing.Short() && version != otr.AllowV3 {
			return // otr/v4 has a table of its own
		}
		failed := 0
		slower := 2
		if testing.Short() {
			slower = 1
		}
		for budget := 0; ; budget += 1 + budget/slower {
			w := &well{source: testRand(77), left: 1 << 20}
			clock := newClock()
			alice := newEnd(t, "alice", 0, 1, clock, inVersion(t, version), func(c *otr.Config) {
				c.Rand, c.LogKeys, c.InstanceTag = w, true, 0x1000
			})
			bob := newEnd(t, "bob", 1, 2, clock, inVersion(t, version))
			w.left = budget
			dry := false
			check := func(lines [][]byte, err error) [][]byte {
				t.Helper()
				if errors.Is(err, errDry) {
					dry = true
				} else if err != nil && !dry {
					t.Fatalf("budget %d: %v", budget, err)
				}
				return cloneLines(lines)
			}
			run := func(lines [][]byte) { // from alice
				for rounds := 0; len(lines) > 0 && rounds < 20; rounds++ {
					var next [][]byte
					for _, answer := range cloneLines(bob.all(lines)) {
						got, err := alice.Receive(answer)
						alice.note(got)
						next = append(next, check(got.Send, err)...)
					}
					lines = next
				}
			}
			run(cloneLines(alice.Query()))
			run(check(alice.Refresh()))
			for i := range 3 {
				run(check(alice.Send(fmt.Append(nil, "text ", i))))
				if bob.State() == otr.StateEncrypted {
					for _, line := range bob.say("answer") {
						got, err := alice.Receive(line)
						alice.note(got)
						run(check(got.Send, err))
					}
				}
			}
			run(check(alice.StartSMP([]byte("secret"), "why?")))
			run(check(alice.AbortSMP()))
			_, lines, err := alice.ExtraKey(1, nil)
			if !errors.Is(err, otr.ErrNoExtraKey) {
				run(check(lines, err))
			}
			clock.advance(10 * time.Second)
			run(check(alice.Refresh()))
			run(check(alice.End()))
			for _, text := range bob.texts {
				if text != "text 0" && text != "text 1" && text != "text 2" {
					t.Fatalf("budget %d: bob reads %q", budget, text)
				}
			}

			whole := w.left > 0 && !dry
			w.left = 1 << 20
			if dry {
				failed++
			}
			if lines, err := bob.End(); err == nil {
				alice.all(lines)
			}
			for range 2 {
				clock.advance(2 * time.Minute)
				for _, e := range []*end{alice, bob} {
					if got, err := e.Tick(); err != nil {
						t.Fatalf("budget %d: %v", budget, err)
					} else {
						e.note(got)
					}
				}
			}
			converse(alice, bob, cloneLines(alice.refresh()))
			wantSameSession(t, alice, bob)
			wantTalk(t, alice, bob)
			if whole {
				break
			}
		}
		if failed < 7 {
			t.Errorf("randomness ran out only %d times", failed)
		}
	})
}
