package otr_test

import (
	"testing"
	"time"

	"otrpipe/otr"
)

// A text that is typed after a session has expired was typed for the peer of that session. It
// goes to that peer's next session, and to nobody else's.
func TestATextTypedAfterASessionHasExpiredIsForItsPeer(t *testing.T) {
	for name, version := range map[string]otr.Policy{"version 3": otr.AllowV3, "version 4": otr.AllowV4} {
		for _, comes := range []struct {
			name string
			key  int
			gets bool
		}{{"the peer", 1, true}, {"a stranger", 2, false}} {
			t.Run(name+", "+comes.name, func(t *testing.T) {
				clock := newClock()
				speaks := func(key int) func(*otr.Config) {
					k := v4TestKeys()[key]
					return func(c *otr.Config) {
						c.Policy = version | otr.RequireEncryption
						c.Ed448, c.Forging, c.Expire = k.private, k.forging, time.Hour
					}
				}
				alice, bob := newEnd(t, "alice", 0, 1, clock, speaks(0)), newEnd(t, "bob", 1, 2, clock, speaks(1))
				converse(alice, bob, alice.Query())
				wantSameSession(t, alice, bob)
				clock.advance(2 * time.Hour)
				if got, err := alice.Tick(); err != nil || !find[otr.Ended](t, got.Events).Expired {
					t.Fatal(got, err)
				}
				alice.Send([]byte("for bob")) // kept, with or without ErrFinished
				other := newEnd(t, "other", comes.key, 3, clock, speaks(comes.key))
				converse(other, alice, other.refresh())
				if alice.State() != otr.StateEncrypted {
					t.Fatal(alice.State())
				}
				if gets := len(other.texts) == 1 && other.texts[0] == "for bob"; gets != comes.gets || len(other.texts) > 1 {
					t.Errorf("texts %q", other.texts)
				}
			})
		}
	}
}
