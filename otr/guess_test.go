package otr_test

import (
	"testing"
	"time"

	"otrpipe/otr"
	"otrpipe/otr/wire"
)

// A peer that has been shown the outcome of a comparison has had its guess. Unless it then
// completes the run properly, the run has failed; before that it is only aborted.
func TestARunThatIsBrokenOffAfterItsOutcomeWasShownHasFailed(t *testing.T) {
	const expiry = time.Hour
	breaks := map[string]func(alice, bob *v4End) [][]byte{
		"an abort":             func(_, bob *v4End) [][]byte { return bob.must(bob.AbortSMP()) },
		"another start":        func(_, bob *v4End) [][]byte { return bob.must(bob.StartSMP([]byte("guess"), "")) },
		"a question":           func(_, bob *v4End) [][]byte { return bob.must(bob.StartSMP([]byte("guess"), "why?")) },
		"a new exchange":       func(_, bob *v4End) [][]byte { return bob.must(bob.Refresh()) },
		"our own new exchange": func(alice, bob *v4End) [][]byte { return bob.take(alice.must(alice.Refresh())) },
		"the end":              func(_, bob *v4End) [][]byte { return bob.must(bob.End()) },
		"a message of no sense": func(_, bob *v4End) [][]byte {
			b, err := bob.AppendMessage(nil, otr.Message{TLVs: []wire.TLV{{Type: wire.TLVSMP4, Value: []byte{1}}}})
			return bob.must([][]byte{b[:max(len(b)-1, 0)]}, err)
		},
		"the age of its keys": nil,
	}
	for name, end := range breaks {
		for _, version := range []otr.Policy{otr.AllowV2, otr.AllowV3, otr.AllowV4} {
			for _, shown := range []bool{true, false} {
				if !shown && name != "an abort" && name != "a new exchange" {
					continue // covered by the tests of the specification
				}
				if testing.Short() && (name != "an abort" && version != otr.AllowV4 || version == otr.AllowV2 || name == "a question" || name == "another start" || name == "the age of its keys" || version == otr.AllowV3 && !shown || shown && name == "our own new exchange") {
					continue
				}
				alice, bob := pairOf(t, version, expiry)
				// Alice begins. Bob does not answer her message 3, so only he knows the
				// outcome.
				start := alice.must(alice.StartSMP([]byte("secret"), ""))
				bob.take(start)
				if shown {
					message2 := bob.must(bob.AnswerSMP([]byte("guess")))
					message3 := alice.take(message2)
					if n := len(happened[otr.SMPShown](alice)); n != 1 || !alice.SMPOutcomeShown() {
						t.Fatalf("%s, %v: %d events say that message 3 is out", name, version, n)
					}
					bob.take(message3)
				}
				if end == nil {
					alice.now = alice.now.Add(2 * expiry)
					got, err := alice.Tick()
					if err != nil {
						t.Fatal(err)
					}
					alice.events = append(alice.events, got.Events...)
				} else {
					carry(end(alice, bob), alice, bob)
				}
				events := alice.events
				failed, aborted := happened[otr.SMPFailed](alice), 0
				for _, e := range events {
					if _, ok := e.(otr.SMPAborted); ok {
						aborted++
					}
				}
				switch {
				case shown && (len(failed) != 1 || !failed[0].BrokenOff && name != "a message of no sense" || aborted != 0):
					t.Errorf("%s, %v, after message 3: %v", name, version, events)
				case !shown && (len(failed) != 0 || aborted != 1):
					t.Errorf("%s, %v, before message 3: %v", name, version, events)
				}
				if alice.SMPOutcomeShown() {
					t.Errorf("%s, %v: the run goes on in %v", name, version, alice.SMPState())
				}
			}
		}
	}
}

// pairOf returns two ends in a session of one version, whose keys may be so old.
func pairOf(t *testing.T, version otr.Policy, expiry time.Duration) (alice, bob *v4End) {
	t.Helper()
	newEnd := func(name string, key int) *v4End {
		return newV4End(t, name, func(c *otr.Config) {
			c.DSA, c.Policy, c.Expire = testKeys()[key], version, expiry
		})
	}
	alice, bob = newEnd("alice", 0), newEnd("bob", 1)
	carry(alice.Query(), bob, alice)
	if _, ok := alice.Session(); !ok {
		t.Fatalf("no session of policy %v", version)
	}
	alice.events, bob.events = nil, nil
	return alice, bob
}
