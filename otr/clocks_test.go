package otr_test

import (
	"strings"
	"testing"
	"time"

	"otrpipe/otr"
	"otrpipe/testscripts/slowtest"
)

// eightDays is longer than a client profile is valid.
const eightDays = 8 * 24 * time.Hour

// If two clocks are more than a week apart, the end whose clock is ahead considers the
// other's profile expired. Both ends report this, with the dates of the profile and of the
// clock, whichever end asked for the session.
func TestTwoClocksAWeekApartAreToldAtBothEnds(t *testing.T) {
	for _, asks := range []string{"the end that is ahead", "the end that is behind"} {
		t.Run(asks+" asks", func(t *testing.T) {
			ahead, behind := newV4End(t, "ahead", nil), newV4End(t, "behind", nil)
			ahead.now = ahead.now.Add(eightDays)
			first, second := ahead, behind
			if asks == "the end that is behind" {
				first, second = behind, ahead
			}
			carry(first.Query(), second, first)
			told := happened[otr.ProfileExpired](ahead)
			if len(told) != 1 {
				t.Fatalf("the end that is ahead is told %v", told)
			}
			if !told[0].Now.Equal(ahead.now) || told[0].Expires.After(ahead.now) || told[0].Expires.Before(behind.now) || told[0].Instance != behind.InstanceTag() {
				t.Errorf("%+v", told[0])
			}
			expires, now := told[0].Expires.UTC().Format("2006-01-02"), ahead.now.UTC().Format("2006-01-02")
			if s := told[0].String(); !strings.Contains(s, expires) || !strings.Contains(s, now) || !strings.Contains(s, "clock") {
				t.Errorf("%q does not name both dates, %s and %s, and the clocks", s, expires, now)
			}
			answered := happened[otr.PeerError](behind)
			if len(answered) != 1 || !answered[0].Expired {
				t.Fatalf("the end that is behind is told %+v", answered)
			}
			for _, want := range []string{expires, now, "clock"} {
				if !strings.Contains(answered[0].String(), want) {
					t.Errorf("%q does not say %q", answered[0], want)
				}
			}
			if ahead.State() == otr.StateEncrypted || behind.State() == otr.StateEncrypted {
				t.Error("there is a session")
			}
		})
	}
}

// If a clock is changed during a session, no new key exchange is possible. The session
// continues with the old keys, after both ends have waited for a while.
func TestNewKeysThatTheClocksForbidLeaveTheSessionAsItIs(t *testing.T) {
	slowtest.SkipShort(t)
	for _, asks := range []string{"the end that is ahead", "the end that is behind"} {
		t.Run(asks+" asks", func(t *testing.T) {
			ahead, behind := v4Pair(t, nil)
			before, _ := behind.Session()
			ahead.now = ahead.now.Add(eightDays)
			first, second := ahead, behind
			if asks == "the end that is behind" {
				first, second = behind, ahead
			}
			carry(first.must(first.Refresh()), second, first)
			if !ahead.Exchanging() && !behind.Exchanging() {
				t.Fatal("no key exchange is under way")
			}
			waited := time.Duration(0)
			for ; ahead.Exchanging() || behind.Exchanging() || ahead.UnderWay() || behind.UnderWay(); waited += time.Second {
				if waited > 2*time.Minute {
					t.Fatalf("after %v they are in %v and %v", waited, ahead.AuthState(), behind.AuthState())
				}
				pass(ahead, behind, time.Second)
			}
			if len(happened[otr.ProfileExpired](ahead)) == 0 {
				t.Error("the profile is not told of")
			}
			wantV4Session(t, ahead, behind)
			if after, _ := behind.Session(); after.SSID != before.SSID {
				t.Errorf("another session, after %v", waited)
			}
		})
	}
}

// After a version 4 session has expired, a key exchange may begin with any instance, but not in
// an older version.
func TestKeyExchangesAfterAnExpiredSession(t *testing.T) {
	slowtest.SkipShort(t)
	all := otr.AllowV3 | otr.AllowV4
	for name, test := range map[string]struct {
		policy otr.Policy // of another client of bob's; 0: it is the same one
		begins bool
	}{
		"the same client":                     {0, true},
		"another client":                      {otr.AllowV4, true},
		"another client, in an older version": {otr.AllowV3, false},
	} {
		t.Run(name, func(t *testing.T) {
			clock := newClock()
			speaks := func(key int, p otr.Policy) func(*otr.Config) {
				k := v4TestKeys()[key]
				return func(c *otr.Config) {
					c.Policy, c.Ed448, c.Forging, c.Expire = p, k.private, k.forging, time.Hour
				}
			}
			alice, bob := newEnd(t, "alice", 0, 1, clock, speaks(0, all)), newEnd(t, "bob", 1, 2, clock, speaks(1, all))
			converse(alice, bob, alice.Query())
			wantSameSession(t, alice, bob)
			clock.advance(2 * time.Hour)
			tickOf(t, alice)
			tickOf(t, bob)
			if alice.State() != otr.StateFinished {
				t.Fatalf("alice is in %v", alice.State())
			}
			if test.policy != 0 {
				bob = newEnd(t, "bob", 1, 3, clock, speaks(1, test.policy))
			}
			converse(bob, alice, bob.refresh())
			if began := alice.State() == otr.StateEncrypted; began != test.begins {
				t.Fatalf("alice is in %v, bob in %v", alice.State(), bob.State())
			}
			if test.begins {
				wantSameSession(t, alice, bob)
				wantTalk(t, alice, bob)
			}
		})
	}
}
