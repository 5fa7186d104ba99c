package keyfile

import (
	"errors"
	"os"
	"reflect"
	"testing"
	"time"

	"otrpipe/otr/keys"
	"otrpipe/otr/wire"
)

func contacts(t testing.TB, h *Home) []Contact {
	t.Helper()
	list, err := h.Contacts()
	if err != nil {
		t.Fatal(err)
	}
	return list
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// metKey is a key on file without a profile.
func metKey(fp keys.Fingerprint, trust Trust, first, last time.Time) ContactKey {
	return ContactKey{Fingerprint: fp, Trust: trust, FirstSeen: first, LastSeen: last}
}

func TestContactsAreRememberedInOrderWithSeveralKeys(t *testing.T) {
	h := newHome(t)
	later := someday.Add(time.Hour)
	must(t, h.RememberKey("bob", fingerprintOf(1), Seen, someday))
	must(t, h.RememberKey("alice \"q\" \\ é <&>", fingerprintOf(2), Verified, someday))
	must(t, h.RememberKey("bob", fingerprint4Of(3), SMP, later))
	want := []Contact{
		{Name: "alice \"q\" \\ é <&>", Keys: []ContactKey{metKey(fingerprintOf(2), Verified, someday, someday)}},
		{Name: "bob", Keys: []ContactKey{metKey(fingerprintOf(1), Seen, someday, someday), metKey(fingerprint4Of(3), SMP, later, later)}},
	}
	if got := contacts(t, h); !reflect.DeepEqual(got, want) {
		t.Errorf("contacts %v", got)
	}
	bob, ok, err := h.Contact("bob")
	if !ok || err != nil || !reflect.DeepEqual(bob, want[1]) {
		t.Errorf("contact %v, %v, %v", bob, ok, err)
	}
	if key, ok := bob.Key(fingerprint4Of(3)); !ok || key.Trust != SMP {
		t.Errorf("key %v, %v", key, ok)
	}
	if _, ok := bob.Key(fingerprintOf(2)); ok {
		t.Error("bob has alice's key")
	}
	if _, ok, err := h.Contact("nobody"); ok || err != nil {
		t.Errorf("contact nobody: %v, %v", ok, err)
	}
	_, _, err = h.Contact("no\nbody")
	wantError(t, err, ErrName)
}

func TestRememberingRaisesTrustAndNeverLowersIt(t *testing.T) {
	for _, step := range []struct{ before, with, after Trust }{
		{Seen, Seen, Seen}, {Seen, Verified, Verified}, {Seen, SMP, SMP},
		{Verified, Seen, Verified}, {SMP, Seen, SMP}, {SMP, Verified, SMP}, {Verified, SMP, SMP},
	} {
		h := newHome(t)
		must(t, h.RememberKey("bob", fingerprintOf(1), step.before, someday))
		must(t, h.RememberKey("bob", fingerprintOf(1), step.with, someday.Add(time.Minute)))
		key := contacts(t, h)[0].Keys[0]
		if key.Trust != step.after {
			t.Errorf("%v with %v is %v", step.before, step.with, key.Trust)
		}
		if !key.FirstSeen.Equal(someday) || !key.LastSeen.Equal(someday.Add(time.Minute)) {
			t.Errorf("seen first %v, last %v", key.FirstSeen, key.LastSeen)
		}
	}
}

func TestAClockThatWentBackDoesNotUnsee(t *testing.T) {
	h := newHome(t)
	must(t, h.RememberKey("bob", fingerprintOf(1), Seen, someday))
	must(t, h.RememberKey("bob", fingerprintOf(1), Seen, someday.Add(-time.Hour)))
	if last := contacts(t, h)[0].Keys[0].LastSeen; !last.Equal(someday) {
		t.Errorf("last seen %v", last)
	}
}

func TestTrustIsSetUpAndDownForOneKey(t *testing.T) {
	h := newHome(t)
	must(t, h.RememberKey("bob", fingerprintOf(1), Seen, someday))
	must(t, h.RememberKey("bob", fingerprintOf(2), SMP, someday))
	must(t, h.SetTrust("bob", fingerprintOf(1), Verified))
	must(t, h.SetTrust("bob", fingerprintOf(2), Seen))
	keys := contacts(t, h)[0].Keys
	if keys[0].Trust != Verified || keys[1].Trust != Seen {
		t.Errorf("keys %v", keys)
	}
	must(t, h.Distrust("bob"))
	if keys := contacts(t, h)[0].Keys; keys[0].Trust != Seen || keys[1].Trust != Seen {
		t.Errorf("keys %v", keys)
	}
}

func TestWhatAContactsProfileSaidIsKeptWithItsKey(t *testing.T) {
	h := newHome(t)
	week := someday.Add(7 * 24 * time.Hour)
	must(t, h.RememberKey("bob", fingerprint4Of(3), Verified, someday))
	must(t, h.RememberProfile("bob", fingerprint4Of(3), Seen, Profile{wire.MakeVersions(3, 4), week.Add(time.Millisecond)}, someday))
	must(t, h.RememberKey("bob", fingerprint4Of(3), Seen, someday)) // met where no profile is shown
	key, _ := contacts(t, h)[0].Key(fingerprint4Of(3))
	if key.Profile != (Profile{wire.MakeVersions(3, 4), week}) || key.Trust != Verified {
		t.Errorf("on file: %+v", key)
	}
	// The last word counts, also where it holds for less long.
	must(t, h.RememberProfile("bob", fingerprint4Of(3), Seen, Profile{wire.MakeVersions(4), someday.Add(time.Hour)}, someday))
	if key, _ = contacts(t, h)[0].Key(fingerprint4Of(3)); key.Profile != (Profile{wire.MakeVersions(4), someday.Add(time.Hour)}) {
		t.Errorf("on file: %+v", key)
	}
	// What is signed for centuries is believed for a year.
	must(t, h.RememberProfile("bob", fingerprint4Of(3), Seen, Profile{wire.MakeVersions(3, 4), time.Unix(1<<60, 0)}, someday))
	if key, _ = contacts(t, h)[0].Key(fingerprint4Of(3)); !key.Profile.Expires.Equal(someday.Add(maxProfile)) {
		t.Errorf("on file: %+v", key)
	}
	wantError(t, h.RememberProfile("bob", fingerprintOf(1), Seen, Profile{wire.MakeVersions(3, 4), week}, someday), ErrFormat)
	for _, versions := range []wire.Versions{0, wire.MakeVersions(3), wire.MakeVersions(2, 3, 4)} {
		wantError(t, h.RememberProfile("bob", fingerprint4Of(3), Seen, Profile{versions, week}, someday), ErrFormat)
	}
}

func TestAProfileSpeaksUntilItExpires(t *testing.T) {
	both := Profile{wire.MakeVersions(3, 4), someday}
	for _, c := range []struct {
		profile Profile
		version int
		now     time.Time
		want    bool
	}{
		{both, 3, someday.Add(-time.Second), true},
		{both, 4, someday.Add(-time.Second), true},
		{both, 2, someday.Add(-time.Second), false},
		{both, 3, someday, false},
		{both, 3, someday.Add(time.Second), false},
		{Profile{wire.MakeVersions(4), someday}, 3, someday.Add(-time.Second), false},
		{Profile{}, 3, time.Time{}, false},
	} {
		if got := c.profile.Speaks(c.version, c.now); got != c.want {
			t.Errorf("%+v speaks %d at %v: %v", c.profile, c.version, c.now, got)
		}
	}
}

func TestAContactGoesWithItsLastKey(t *testing.T) {
	h := newHome(t)
	must(t, h.RememberKey("bob", fingerprintOf(1), Seen, someday))
	must(t, h.RememberKey("bob", fingerprintOf(2), Seen, someday))
	must(t, h.RememberKey("carol", fingerprintOf(1), Seen, someday))
	must(t, h.RemoveKey("bob", fingerprintOf(1)))
	if bob := contacts(t, h)[0]; len(bob.Keys) != 1 || bob.Keys[0].Fingerprint != fingerprintOf(2) {
		t.Errorf("bob is %v", bob)
	}
	must(t, h.RemoveKey("bob", fingerprintOf(2)))
	must(t, h.RemoveContact("carol"))
	if left := contacts(t, h); len(left) != 0 {
		t.Errorf("left %v", left)
	}
}

func TestRenamingKeepsTheKeysAndTakesNobodysName(t *testing.T) {
	h := newHome(t)
	must(t, h.RememberKey("bob", fingerprintOf(1), Verified, someday))
	must(t, h.RememberKey("carol", fingerprintOf(2), Seen, someday))
	wantError(t, h.RenameContact("bob", "carol"), ErrExists)
	must(t, h.RenameContact("bob", "zoe"))
	list := contacts(t, h)
	if len(list) != 2 || list[0].Name != "carol" || list[1].Name != "zoe" || list[1].Keys[0].Trust != Verified {
		t.Errorf("contacts %v", list)
	}
	wantError(t, h.RenameContact("zoe", ""), ErrName)
}

func TestWhatIsNotThereCannotBeChanged(t *testing.T) {
	h := newHome(t)
	must(t, h.RememberKey("bob", fingerprintOf(1), Seen, someday))
	before := tree(t, h.Dir())
	for what, err := range map[string]error{
		"trust":          h.SetTrust("bob", fingerprintOf(2), Verified),
		"trust nobody":   h.SetTrust("nobody", fingerprintOf(1), Verified),
		"distrust":       h.Distrust("nobody"),
		"remove key":     h.RemoveKey("bob", fingerprintOf(2)),
		"remove key of":  h.RemoveKey("nobody", fingerprintOf(1)),
		"remove contact": h.RemoveContact("nobody"),
		"rename":         h.RenameContact("nobody", "somebody"),
	} {
		if !errors.Is(err, ErrNotFound) {
			t.Errorf("%s: %v", what, err)
		}
	}
	wantError(t, h.RememberKey("no\x1bbody", fingerprintOf(1), Seen, someday), ErrName)
	sameTree(t, h.Dir(), before)
}

func TestManyContactsComeInOneWriteOrNotAtAll(t *testing.T) {
	h := newHome(t)
	one := func(name string) Contact {
		return Contact{Name: name, Keys: []ContactKey{metKey(fingerprintOf(1), Seen, someday, someday)}}
	}
	wantError(t, h.Remember([]Contact{one("alice"), one("b\tb")}), ErrName)
	if list := contacts(t, h); len(list) != 0 {
		t.Errorf("contacts %v", list)
	}
	must(t, h.Remember([]Contact{one("bob"), one("alice"), one("bob")}))
	if list := contacts(t, h); len(list) != 2 || list[0].Name != "alice" {
		t.Errorf("contacts %v", list)
	}
}

func TestTooManyContactsAreRefusedBeforeTheyAreWritten(t *testing.T) {
	if testing.Short() {
		t.Skip("short: makes eighty thousand keys")
	}
	h := newHome(t)
	must(t, h.RememberKey("bob", fingerprintOf(1), Seen, someday))
	before := tree(t, h.Dir())
	crowd := Contact{Name: "crowd"}
	for i := range maxContacts / 200 {
		fp := make([]byte, keys.FingerprintLen3)
		fp[0], fp[1], fp[2] = byte(i>>16), byte(i>>8), byte(i)
		key, err := keys.FingerprintFromBytes(fp)
		must(t, err)
		crowd.Keys = append(crowd.Keys, metKey(key, Seen, someday, someday))
	}
	wantError(t, h.changeContacts(func([]Contact) ([]Contact, error) { return []Contact{crowd}, nil }), ErrFormat)
	sameTree(t, h.Dir(), before)
}

func TestAHomeThatIsNotThereHasNoContacts(t *testing.T) {
	h := newHome(t)
	if list := contacts(t, h); list != nil {
		t.Errorf("contacts %v", list)
	}
	if _, err := os.Stat(h.Dir()); err == nil {
		t.Error("a home was made for nothing")
	}
}

func TestTrustHasNames(t *testing.T) {
	for _, trust := range []Trust{Seen, Verified, SMP} {
		var back Trust
		if err := back.UnmarshalText([]byte(trust.String())); err != nil || back != trust {
			t.Errorf("%v came back as %v, %v", trust, back, err)
		}
	}
	wantError(t, new(Trust).UnmarshalText([]byte("blind")), ErrFormat)
	if s := Trust(7).String(); s != "Trust(7)" {
		t.Errorf("no trust is called %s", s)
	}
}
