package otr_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"otrpipe/otr"
)

// versionsOf reads a policy's versions.
func versionsOf(p otr.Policy) string {
	var s strings.Builder
	for i, flag := range []otr.Policy{otr.AllowV2, otr.AllowV3, otr.AllowV4} {
		if p.Has(flag) {
			fmt.Fprint(&s, 2+i)
		}
	}
	return s.String()
}

// speaking returns an end that speaks these versions.
func speaking(t *testing.T, name string, key int, versions otr.Policy) *v4End {
	t.Helper()
	return newV4End(t, name, func(c *otr.Config) {
		c.DSA, c.Policy = testKeys()[key], versions|otr.WhitespaceStartAKE|otr.SendWhitespaceTag
	})
}

// Two ends, with any versions and whichever begins, agree on the best common version, or on
// none.
func TestTheNewestCommonVersionIsSpoken(t *testing.T) {
	starts := map[string]func(alice, bob *v4End){
		"a query": func(alice, bob *v4End) { carry(alice.Query(), bob, alice) },
		"a whitespace tag": func(alice, bob *v4End) {
			carry(alice.must(alice.Send([]byte("hello"))), bob, alice)
		},
		"a key exchange": func(alice, bob *v4End) { carry(alice.must(alice.Refresh()), bob, alice) },
		"two queries": func(alice, bob *v4End) {
			deliver(alice, bob, bob.Query(), alice.Query(), 0b0101)
			for range 4 {
				pass(alice, bob, 100*time.Millisecond)
			}
		},
		"two whitespace tags": func(alice, bob *v4End) {
			deliver(alice, bob, bob.must(bob.Send([]byte("hello"))), alice.must(alice.Send([]byte("hello"))), 0b0110)
		},
	}
	const all = otr.AllowV2 | otr.AllowV3 | otr.AllowV4
	for name, start := range starts {
		for ours := otr.AllowV2; ours <= all; ours++ {
			for theirs := otr.AllowV2; theirs <= all; theirs++ {
				if name != "a query" && (!ours.Has(otr.AllowV3) || !theirs.Has(otr.AllowV3)) {
					continue // the rest is no news then
				}
				if testing.Short() && (ours != all || name != "a query" && (ours != theirs || name != "two queries")) {
					continue
				}
				best := 0
				for i, flag := range []otr.Policy{otr.AllowV2, otr.AllowV3, otr.AllowV4} {
					if ours.Has(flag) && theirs.Has(flag) {
						best = 2 + i
					}
				}
				if name == "a key exchange" && best != 0 && !strings.HasSuffix(versionsOf(ours), fmt.Sprint(best)) {
					best = 0 // begun unasked in a version that the other end does not speak
				}
				alice, bob := speaking(t, "alice", 0, ours), speaking(t, "bob", 1, theirs)
				start(alice, bob)
				a, _ := alice.Session()
				b, _ := bob.Session()
				if a.Version != best || b.Version != best || a.SSID != b.SSID {
					t.Fatalf("%s, versions %s and %s: sessions of %d and %d, not %d", name, versionsOf(ours), versionsOf(theirs), a.Version, b.Version, best)
				}
				if best > 0 {
					mustTalk(t, alice, bob)
				}
				if best == 4 {
					wantProfile(t, a, theirs, bob.now)
					wantProfile(t, b, ours, alice.now)
				} else if a.PeerVersions != 0 || !a.Vouching.IsZero() {
					t.Errorf("a session of version %d has a profile: %+v", best, a)
				}
			}
		}
	}
}

// mustTalk fails unless both ends understand each other.
func mustTalk(t testing.TB, alice, bob *v4End) {
	t.Helper()
	alice.texts, bob.texts = nil, nil
	carry(alice.must(alice.Send([]byte("one"))), bob, alice)
	carry(bob.must(bob.Send([]byte("two"))), alice, bob)
	if len(bob.texts) != 1 || len(alice.texts) != 1 {
		t.Fatalf("alice read %q, bob %q", alice.texts, bob.texts)
	}
}

// wantProfile checks the peer's client profile: it must list version 3 only if the peer
// allows it, and then have the signature of the version 3 key.
func wantProfile(t *testing.T, s otr.Session, theirs otr.Policy, now time.Time) {
	t.Helper()
	want := strings.TrimPrefix(versionsOf(theirs), "2")
	if s.PeerVersions.Digits() != want || now.Add(7*24*time.Hour).Sub(s.VersionsUntil).Abs() > 24*time.Hour {
		t.Errorf("a peer of versions %s has signed for %v until %v", versionsOf(theirs), s.PeerVersions, s.VersionsUntil)
	}
	if vouched := !s.Vouching.IsZero(); vouched != theirs.Has(otr.AllowV3) || vouched && s.Vouching.OTR() != 3 {
		t.Errorf("a peer of versions %s has the vouching key %v", versionsOf(theirs), s.Vouching)
	}
}

// Key exchanges of two versions are under way when a query comes. The event names the higher one,
// and not whichever comes first in a map.
func TestAQueryDuringTwoExchangesIsAnsweredInTheHigherVersion(t *testing.T) {
	for range 20 {
		alice := speaking(t, "alice", 0, otr.AllowV3|otr.AllowV4)
		older, newer := speaking(t, "bob", 1, otr.AllowV3), speaking(t, "carol", 2, otr.AllowV4)
		query := cloneLines(alice.Query())
		for _, e := range []*v4End{newer, older} {
			alice.take(e.take(query))
		}
		alice.events = nil
		alice.take([][]byte{[]byte("?OTRv34?")})
		if got := happened[otr.Queried](alice); len(got) != 1 || got[0].Answer != 4 {
			t.Fatalf("%+v", got)
		}
	}
}
