package trust

import (
	"errors"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"otrpipe/commands/internal/exit"
	"otrpipe/keyfile"
	"otrpipe/otr"
	"otrpipe/otr/keys"
)

// bobsHome is a home in which bob has a key of version 3, and mallory another.
func bobsHome(t *testing.T, level keyfile.Trust) (home *keyfile.Home, old, fresh otr.Session) {
	t.Helper()
	home = keyfile.Open(filepath.Join(t.TempDir(), "home"))
	old = otr.Session{Version: 3, Fingerprint: mustParse(t, someKey), SSID: [8]byte{3}}
	fresh = otr.Session{Version: 4, Fingerprint: key4(t, "4"), SSID: [8]byte{4}, Vouching: old.Fingerprint}
	if err := home.RememberKey("bob", old.Fingerprint, level, time.Now()); err != nil {
		t.Fatal(err)
	}
	return home, old, fresh
}

// keeperOf is a Keeper for sessions with bob.
func keeperOf(home *keyfile.Home, level Level) *Keeper {
	return NewKeeper(Config{Home: home, Contact: "bob", Level: level, Speaks4: true, Live: true})
}

// wantRefusal checks that a key is refused with 3 and with a hint.
func wantRefusal(t *testing.T, what string, err error) {
	t.Helper()
	var e *exit.Error
	if !errors.As(err, &e) || e.Code != exit.Refused || e.Hint == "" {
		t.Errorf("%s: %v", what, err)
	}
}

// onFile returns bob.
func onFile(t *testing.T, home *keyfile.Home) keyfile.Contact {
	t.Helper()
	bob, _, err := home.Contact("bob")
	if err != nil {
		t.Fatal(err)
	}
	return bob
}

func standingFor(level keyfile.Trust) Standing {
	if level == keyfile.Seen {
		return Known
	}
	return Verified
}

// In the session in which it was told, or in a later run.
func TestAKeyThatWasToldIsAsTrustedAsItsTellerWhenItIsMet(t *testing.T) {
	now := time.Now()
	for _, level := range []keyfile.Trust{keyfile.Seen, keyfile.Verified, keyfile.SMP} {
		for _, later := range []bool{false, true} {
			home, old, fresh := bobsHome(t, level)
			k := keeperOf(home, RequireKnown)
			// A transitional signature alone can be forged.
			wantRefusal(t, "before it was told", decide(k, fresh).Err)
			if err := meet(k, old); err != nil {
				t.Fatal(err)
			}
			if err := k.Told(old, fresh.Fingerprint); err != nil {
				t.Fatal(err)
			}
			if bob := onFile(t, home); len(bob.Keys) != 1 || !bob.HasTold() || !k.Vouching().IsZero() {
				t.Errorf("%v: after it was told: %+v", level, bob)
			}
			if later {
				k = keeperOf(home, RequireKnown)
			}
			v := decide(k, fresh)
			if v.Err != nil || v.Standing != standingFor(level) || k.Passed() == later {
				t.Errorf("%v, later %v: %+v", level, later, v)
			}
			if bob := onFile(t, home); len(bob.Keys) != 1 || !k.Vouching().IsZero() {
				t.Errorf("%v: before all checks have passed: %+v", level, bob)
			}
			note := k.Refreshed
			if later {
				note = k.Trusted
			}
			if got, err := note(fresh, now); got != standingFor(level) || err != nil || !k.Passed() {
				t.Errorf("%v, later %v: %v, %v", level, later, got, err)
			}
			if got := k.Vouching(); got != old.Fingerprint {
				t.Errorf("%v, later %v: vouched for by %v", level, later, got)
			}
			if got := k.Vouching(); !got.IsZero() {
				t.Error("that is told twice")
			}
			bob := onFile(t, home)
			if key, _ := bob.Key(fresh.Fingerprint); len(bob.Keys) != 2 || key.Trust != level || bob.HasTold() {
				t.Errorf("%v: on file: %+v", level, bob)
			}
			if err := k.Told(old, key4(t, "5")); !errors.Is(err, keyfile.ErrExists) {
				t.Errorf("%v: a second key: %v", level, err)
			}
		}
	}
}

// Whoever it may belong to: as long as nobody has met it, a key that was told lets nobody but
// its owner in, and nobody at all without a key exchange.
func TestAKeyThatWasToldGivesNothingToAnybodyElse(t *testing.T) {
	for _, level := range []Level{RequireNew, RequireKnown, RequireVerified} {
		home, old, fresh := bobsHome(t, keyfile.Verified)
		k := keeperOf(home, level)
		if err := errors.Join(meet(k, old), k.Told(old, fresh.Fingerprint)); err != nil {
			t.Fatal(err)
		}
		other := otr.Session{Version: 4, Fingerprint: key4(t, "5")}
		wantRefusal(t, "another key of version 4", decide(keeperOf(home, level), other).Err)
		wantRefusal(t, "another one, in the same run", decide(k, other).Err)

		offline := NewKeeper(Config{Home: home, Contact: "bob", Level: level, Speaks4: true})
		v := decide(offline, fresh)
		wantRefusal(t, "offline", v.Err)
		if v.Standing != Changed || !strings.Contains(v.Err.Error(), "has told this key") {
			t.Errorf("offline: %+v", v)
		}
		named := NewKeeper(Config{Home: home, Contact: "bob", Level: level, Speaks4: true, Live: true, Expect: []keys.Fingerprint{old.Fingerprint}})
		wantRefusal(t, "with another key expected", decide(named, fresh).Err)
		if v := decide(NewKeeper(Config{Home: home, Contact: "carol", Level: RequireNew, Speaks4: true, Live: true}), fresh); v.Err != nil || v.Standing != New {
			t.Errorf("as somebody else: %+v", v)
		}
	}
}

func TestAKeyThatWasToldIsNoMoreTrustedThanItsTeller(t *testing.T) {
	home, old, fresh := bobsHome(t, keyfile.Verified)
	k := keeperOf(home, RequireVerified)
	if err := errors.Join(meet(k, old), k.Told(old, fresh.Fingerprint), home.Distrust("bob")); err != nil {
		t.Fatal(err)
	}
	wantRefusal(t, "by an old key that is not verified any more", decide(keeperOf(home, RequireVerified), fresh).Err)
	if err := home.RemoveKey("bob", fresh.Fingerprint); err != nil {
		t.Fatal(err)
	}
	wantRefusal(t, "after it was removed", decide(keeperOf(home, RequireNew), fresh).Err)
}

func TestAKeyThatIsAnothersMeanwhileIsRefused(t *testing.T) {
	now := time.Now()
	home, old, fresh := bobsHome(t, keyfile.Verified)
	k := keeperOf(home, RequireKnown)
	if err := errors.Join(meet(k, old), k.Told(old, fresh.Fingerprint)); err != nil {
		t.Fatal(err)
	}
	k = keeperOf(home, RequireKnown)
	if err := decide(k, fresh).Err; err != nil {
		t.Fatal(err)
	}
	if err := home.RememberKey("carol", fresh.Fingerprint, keyfile.Seen, now); err != nil {
		t.Fatal(err)
	}
	_, err := k.Trusted(fresh, now)
	wantRefusal(t, "it is carol's", err)
	if !k.Vouching().IsZero() || k.Passed() {
		t.Error("it has passed")
	}
	wantRefusal(t, "the next time", decide(keeperOf(home, RequireKnown), fresh).Err)
	if err := keeperOf(home, RequireKnown).Told(old, fresh.Fingerprint); !errors.Is(err, keyfile.ErrExists) {
		t.Errorf("told once more: %v", err)
	}
}

// Without a contact all is as long as the run.
func TestWithoutAContactAKeyThatWasToldTakesTheOldOnesPlace(t *testing.T) {
	old, fresh := otr.Session{Version: 3, Fingerprint: mustParse(t, someKey)}, otr.Session{Version: 4, Fingerprint: key4(t, "4")}
	for _, verified := range []bool{false, true} {
		k := NewKeeper(Config{Live: true})
		if err := meet(k, old); err != nil {
			t.Fatal(err)
		}
		want := Unverified
		if verified {
			want = Verified
			if err := k.MarkVerified(); err != nil {
				t.Fatal(err)
			}
			wantRefusal(t, "before it was told", decide(k, fresh).Err)
		}
		k = NewKeeper(Config{Live: true})
		if err := meet(k, old); err != nil {
			t.Fatal(err)
		}
		if verified {
			if err := k.MarkVerified(); err != nil {
				t.Fatal(err)
			}
		}
		if err := k.Told(old, fresh.Fingerprint); err != nil {
			t.Fatal(err)
		}
		if v := decide(k, fresh); v.Err != nil || v.Standing != want || !k.Passed() {
			t.Errorf("verified %v: %+v", verified, v)
		}
		if _, err := k.Refreshed(fresh, time.Now()); err != nil || k.Vouching() != old.Fingerprint {
			t.Errorf("verified %v: %v", verified, err)
		}
		if v := decide(k, fresh); v.Err != nil || v.Standing != want {
			t.Errorf("verified %v: the next time: %+v", verified, v)
		}
	}
}

// The session goes on as it began, and nothing of the contact is on file again.
func TestAContactThatIsRemovedAfterItToldAKeyStaysRemoved(t *testing.T) {
	home, old, fresh := bobsHome(t, keyfile.Seen)
	k := keeperOf(home, RequireNew)
	if err := errors.Join(meet(k, old), k.Told(old, fresh.Fingerprint), home.RemoveContact("bob")); err != nil {
		t.Fatal(err)
	}
	if v := decide(k, fresh); v.Err != nil || !k.Passed() {
		t.Errorf("%+v", v)
	}
	if _, err := k.Refreshed(fresh, time.Now()); err != nil || !k.Vouching().IsZero() {
		t.Errorf("%v", err)
	}
	if bob, ok, _ := home.Contact("bob"); ok {
		t.Errorf("on file: %+v", bob)
	}
	if err := k.Told(old, fresh.Fingerprint); !errors.Is(err, keyfile.ErrNotFound) {
		t.Errorf("told after that: %v", err)
	}
}

// Nothing but the word of version 3 says that the contact speaks version 4: it is told, and
// decides nothing.
func TestAContactThatHasToldAKeyIsNotMetInSilenceInVersion3(t *testing.T) {
	for _, level := range []Level{RequireNew, RequireVerified} {
		home, old, fresh := bobsHome(t, keyfile.Verified)
		k := keeperOf(home, level)
		if v := decide(k, old); v.Downgraded || v.Err != nil {
			t.Errorf("%s: before: %+v", level, v)
		}
		if err := errors.Join(meet(k, old), k.Told(old, fresh.Fingerprint)); err != nil {
			t.Fatal(err)
		}
		if v := decide(keeperOf(home, level), old); !v.Downgraded || v.Err != nil {
			t.Errorf("%s: %+v", level, v)
		}
	}
}

func TestAContactOfVersion3AloneIsOfferedThat(t *testing.T) {
	old, fresh := keyfile.ContactKey{Fingerprint: mustParse(t, someKey)}, keyfile.ContactKey{Fingerprint: key4(t, "4")}
	teller := old
	teller.Told = fresh.Fingerprint
	for _, test := range []struct {
		keys []keyfile.ContactKey
		want bool
	}{
		{nil, false}, {[]keyfile.ContactKey{old}, true}, {[]keyfile.ContactKey{fresh}, false},
		{[]keyfile.ContactKey{old, fresh}, false}, {[]keyfile.ContactKey{teller}, false},
	} {
		if got := OnlyVersion3(keyfile.Contact{Keys: test.keys}); got != test.want {
			t.Errorf("%v: %v", test.keys, got)
		}
	}
}

// A session with it begins with a query, which offers version 4.
func TestAContactThatHasToldAKeyHasNoLastClientOfVersion3(t *testing.T) {
	key := keyfile.ContactKey{Fingerprint: mustParse(t, someKey), Client: keyfile.Client{OTR: 3, Instance: 0x1234}}
	all := func(int) bool { return true }
	if got := LastClient(keyfile.Contact{Keys: []keyfile.ContactKey{key}}, all); got.Version != 3 {
		t.Errorf("before: %+v", got)
	}
	key.Told = key4(t, "4")
	told := keyfile.Contact{Keys: []keyfile.ContactKey{key}}
	if got := LastClient(told, all); got != (otr.Peer{}) {
		t.Errorf("%+v", got)
	}
	if got := LastClient(told, func(version int) bool { return version == 3 }); got.Version != 3 {
		t.Errorf("without version 4: %+v", got)
	}
}

func TestNoKeyHasPassedBeforeItsChecks(t *testing.T) {
	home, old, _ := bobsHome(t, keyfile.Verified)
	k := keeperOf(home, RequireNew)
	for range 3 {
		if v := decide(k, old); v.Err != nil || k.Passed() {
			t.Errorf("passed %v: %+v", k.Passed(), v)
		}
	}
}

// Only the key that was told goes on with the session of the key that told it, right after it
// and once.
func TestOnlyTheKeyThatWasToldGoesOnWithItsTellersSession(t *testing.T) {
	old, fresh := otr.Session{Version: 3, Fingerprint: mustParse(t, someKey)}, otr.Session{Version: 4, Fingerprint: key4(t, "4")}
	another, other := otr.Session{Version: 4, Fingerprint: key4(t, "5")}, otr.Session{Version: 3, Fingerprint: mustParse(t, otherKey)}
	start := func() *Keeper {
		k := NewKeeper(Config{Live: true})
		if err := errors.Join(meet(k, old), k.Told(old, fresh.Fingerprint)); err != nil {
			t.Fatal(err)
		}
		return k
	}
	k := start()
	if v := decide(k, another); v.Err != nil || k.Passed() {
		t.Errorf("another key of version 4: passed %v, %v", k.Passed(), v.Err)
	}
	k = start()
	if err := meet(k, other); err != nil {
		t.Fatal(err)
	}
	if v := decide(k, fresh); v.Err != nil || k.Passed() {
		t.Errorf("after a session with another key: passed %v, %v", k.Passed(), v.Err)
	}
	k = start()
	decide(k, fresh)
	if _, err := k.Refreshed(fresh, time.Now()); err != nil || !k.Passed() {
		t.Fatalf("passed %v, %v", k.Passed(), err)
	}
	if err := meet(k, old); err != nil {
		t.Fatal(err)
	}
	if v := decide(k, fresh); v.Err != nil || k.Passed() {
		t.Errorf("after the old key has come back: passed %v, %v", k.Passed(), v.Err)
	}
}

func TestARunBelongsToTheKeyThatWasMetLast(t *testing.T) {
	home, old, fresh := bobsHome(t, keyfile.Seen)
	k := keeperOf(home, RequireNew)
	if err := errors.Join(meet(k, old), k.Told(old, fresh.Fingerprint), decide(k, fresh).Err); err != nil {
		t.Fatal(err)
	}
	if _, err := k.Refreshed(fresh, time.Now()); err != nil {
		t.Fatal(err)
	}
	if err := home.RemoveContact("bob"); err != nil {
		t.Fatal(err)
	}
	if v := decide(k, fresh); v.Err != nil || !k.Passed() {
		t.Errorf("the session does not go on: %v", v.Err)
	}
}

func TestAnotherSessionsSuccessVouchesForNothing(t *testing.T) {
	now := time.Now()
	home, old, fresh := bobsHome(t, keyfile.Verified)
	if err := home.TellKey("bob", old.Fingerprint, fresh.Fingerprint); err != nil {
		t.Fatal(err)
	}
	k := keeperOf(home, RequireKnown)
	if err := decide(k, fresh).Err; err != nil {
		t.Fatal(err)
	}
	if _, err := k.Trusted(old, now); err != nil || !k.Vouching().IsZero() || len(onFile(t, home).Keys) != 1 {
		t.Errorf("%v; on file: %+v", err, onFile(t, home))
	}
}
