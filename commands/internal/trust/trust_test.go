package trust

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"otrpipe/commands/internal/exit"
	"otrpipe/keyfile"
	"otrpipe/otr"
	"otrpipe/otr/keys"
	"otrpipe/otr/wire"
)

func mustParse(t *testing.T, s string) keys.Fingerprint {
	t.Helper()
	f, err := keys.ParseFingerprint(s)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

const (
	someKey  = "0123456789abcdef0123456789abcdef01234567"
	otherKey = "ffffffffffffffffffffffffffffffffffffffff"
)

// decide is what a Keeper says of a peer.
func decide(k *Keeper, s otr.Session) Verdict { return k.Meet(s, time.Now()) }

func TestWhoIsLetIn(t *testing.T) {
	key, other := mustParse(t, someKey), mustParse(t, otherKey)
	now := time.Now()
	home := keyfile.Open(filepath.Join(t.TempDir(), "home"))
	for contact, trust := range map[string]keyfile.Trust{"seen": keyfile.Seen, "smp": keyfile.SMP, "verified": keyfile.Verified} {
		if err := home.RememberKey(contact, key, trust, now); err != nil {
			t.Fatal(err)
		}
	}
	for _, test := range []struct {
		contact string
		level   Level
		expect  []keys.Fingerprint
		smp     bool
		met     keys.Fingerprint
		trust   Standing
		in      bool
	}{
		{contact: "", level: RequireNew, met: key, trust: Unverified, in: true},
		{contact: "", level: RequireNew, met: key, expect: []keys.Fingerprint{key}, trust: Verified, in: true},
		{contact: "", level: RequireNew, met: key, expect: []keys.Fingerprint{other, key}, trust: Verified, in: true},
		{contact: "", level: RequireNew, met: key, expect: []keys.Fingerprint{other}, trust: Unverified},

		{contact: "stranger", level: RequireNew, met: key, trust: New, in: true},
		{contact: "stranger", level: RequireKnown, met: key, trust: New},
		{contact: "stranger", level: RequireVerified, met: key, trust: New},
		{contact: "stranger", level: RequireKnown, met: key, smp: true, trust: New},
		{contact: "stranger", level: RequireVerified, met: key, smp: true, trust: New, in: true},
		{contact: "stranger", level: RequireNew, met: key, expect: []keys.Fingerprint{key}, trust: New, in: true},

		{contact: "seen", level: RequireNew, met: key, trust: Known, in: true},
		{contact: "seen", level: RequireKnown, met: key, trust: Known, in: true},
		{contact: "seen", level: RequireVerified, met: key, trust: Known},
		{contact: "seen", level: RequireVerified, met: key, smp: true, trust: Known, in: true},
		{contact: "seen", level: RequireNew, met: key, expect: []keys.Fingerprint{other}, trust: Known},

		{contact: "smp", level: RequireVerified, met: key, trust: Verified, in: true},
		{contact: "verified", level: RequireVerified, met: key, trust: Verified, in: true},

		// A changed key is refused whatever else speaks for it.
		{contact: "seen", level: RequireNew, met: other, trust: Changed},
		{contact: "verified", level: RequireVerified, met: other, smp: true, trust: Changed},
		{contact: "verified", level: RequireNew, met: other, expect: []keys.Fingerprint{other}, trust: Changed},
	} {
		j := NewKeeper(Config{Home: home, Contact: test.contact, Level: test.level, Expect: test.expect, SMP: test.smp})
		trust := decide(j, otr.Session{Version: 3, Fingerprint: test.met}).Standing
		if trust != test.trust {
			t.Errorf("%+v: the standing is %s", test, trust)
		}
		err := decide(j, otr.Session{Version: 3, Fingerprint: test.met}).Err
		if (err == nil) != test.in {
			t.Errorf("%+v: %v", test, err)
		}
		var e *exit.Error
		if err != nil && (!errors.As(err, &e) || e.Code != exit.Refused || e.Hint == "") {
			t.Errorf("%+v: %v is no refusal with a hint", test, err)
		}
	}
}

func TestAKeyIsRememberedOnlyForAContact(t *testing.T) {
	key := mustParse(t, someKey)
	home := keyfile.Open(filepath.Join(t.TempDir(), "home"))
	nobody := NewKeeper(Config{Home: home})
	if _, err := nobody.remember(otr.Session{Version: 3, Fingerprint: key}, keyfile.Seen, time.Now()); err != nil {
		t.Fatal(err)
	}
	if all, err := home.Contacts(); err != nil || len(all) != 0 {
		t.Fatalf("contacts %v, %v", all, err)
	}
	bob := NewKeeper(Config{Home: home, Contact: "bob"})
	decide(bob, otr.Session{Version: 3, Fingerprint: key})
	if _, err := bob.remember(otr.Session{Version: 3, Fingerprint: key}, keyfile.SMP, time.Now()); err != nil {
		t.Fatal(err)
	}
	if _, err := bob.remember(otr.Session{Version: 3, Fingerprint: key}, keyfile.Seen, time.Now()); err != nil {
		t.Fatal(err)
	}
	if trust := decide(bob, otr.Session{Fingerprint: key}).Standing; trust != Verified {
		t.Errorf("after SMP and another meeting the key is %s", trust)
	}
}

func TestOtherContactsWithTheSameKeyAreNamed(t *testing.T) {
	key, other := mustParse(t, someKey), mustParse(t, otherKey)
	home := keyfile.Open(filepath.Join(t.TempDir(), "home"))
	for name, key := range map[string]keys.Fingerprint{"alice": key, "bob": key, "carol": key, "dave": other} {
		if err := home.RememberKey(name, key, keyfile.Seen, time.Now()); err != nil {
			t.Fatal(err)
		}
	}
	for contact, want := range map[string]string{"bob": "alice carol", "dave": "alice bob carol", "erin": "alice bob carol", "": ""} {
		if got := strings.Join(NewKeeper(Config{Home: home, Contact: contact}).Namesakes(key), " "); got != want {
			t.Errorf("besides %q: %q; want %q", contact, got, want)
		}
	}
}

// key4 is a fingerprint of version 4 made of one digit.
func key4(t *testing.T, digit string) keys.Fingerprint {
	t.Helper()
	return mustParse(t, strings.Repeat(digit, 112))
}

func TestOfTwoCallersAtOnceTheSecondIsRefused(t *testing.T) {
	now := time.Now()
	home := keyfile.Open(filepath.Join(t.TempDir(), "home"))
	first, second := NewKeeper(Config{Home: home, Contact: "bob", Level: RequireNew}), NewKeeper(Config{Home: home, Contact: "bob", Level: RequireNew})
	bob, mallory := otr.Session{Version: 3, Fingerprint: mustParse(t, someKey)}, otr.Session{Version: 3, Fingerprint: mustParse(t, otherKey)}
	if err := errors.Join(first.Meet(bob, now).Err, second.Meet(mallory, now).Err); err != nil {
		t.Fatal(err)
	}
	if _, err := first.Trusted(bob, now); err != nil {
		t.Fatal(err)
	}
	_, err := second.Trusted(mallory, now)
	var e *exit.Error
	if !errors.As(err, &e) || e.Code != exit.Refused || second.Passed() {
		t.Errorf("%v", err)
	}
	if contact, _, _ := home.Contact("bob"); len(contact.Keys) != 1 {
		t.Errorf("on file: %v", contact.Keys)
	}
}

func TestAContactThatIsRemovedInMidSessionStaysRemoved(t *testing.T) {
	now := time.Now()
	home := keyfile.Open(filepath.Join(t.TempDir(), "home"))
	k := NewKeeper(Config{Home: home, Contact: "bob", Level: RequireNew})
	bob, mallory := otr.Session{Version: 3, Fingerprint: mustParse(t, someKey)}, otr.Session{Version: 3, Fingerprint: mustParse(t, otherKey)}
	if err := errors.Join(meet(k, bob), home.RemoveContact("bob")); err != nil {
		t.Fatal(err)
	}
	if v := decide(k, bob); v.Err != nil {
		t.Errorf("the session does not go on: %v", v.Err)
	}
	if _, err := k.Refreshed(bob, now); err != nil {
		t.Error(err)
	}
	if _, err := k.Proven(bob, now); !errors.Is(err, keyfile.ErrNotFound) {
		t.Errorf("a proof for nobody: %v", err)
	}
	if err := decide(k, mallory).Err; err == nil {
		t.Error("a stranger takes the contact's place")
	}
	if _, ok, _ := home.Contact("bob"); ok {
		t.Error("the contact is on file again")
	}
}

func TestAContactThatSpeaksVersion4IsNotMetInSilenceInVersion3(t *testing.T) {
	now := time.Now()
	old, fresh := mustParse(t, someKey), key4(t, "4")
	both := keyfile.Profile{Versions: versionsOf("34"), Expires: now.Add(time.Hour)}
	for _, test := range []struct {
		story      string
		level      Level
		speaks4    bool   // we
		named      string // --otr
		profile    keyfile.Profile
		version    int // the contact comes with
		downgraded bool
		refused    bool
	}{
		{"new keys are taken, and it is told", RequireNew, true, "", both, 3, true, false},
		{"known ones too", RequireKnown, true, "", both, 3, true, false},
		{"by default a verified contact is refused, whatever its profile", RequireVerified, true, "", both, 3, true, true},
		{"without a profile too", RequireVerified, true, "34", keyfile.Profile{}, 3, true, true},
		{"both sides have said that version 3 will do", RequireVerified, true, "34", both, 3, true, false},
		{"of more versions too", RequireVerified, true, "234", both, 3, true, false},
		{"the user has not said so", RequireVerified, true, "24", both, 3, true, true},
		{"the contact has not said so", RequireVerified, true, "34", keyfile.Profile{Versions: versionsOf("4"), Expires: both.Expires}, 3, true, true},
		{"what it has said holds no more", RequireVerified, true, "34", keyfile.Profile{Versions: versionsOf("34"), Expires: now}, 3, true, true},
		{"no profile speaks for version 2", RequireVerified, true, "234", both, 2, true, true},
		{"it comes with version 4", RequireVerified, true, "", both, 4, false, false},
		{"we do not speak version 4", RequireVerified, false, "3", both, 3, false, false},
	} {
		t.Run(test.story, func(t *testing.T) {
			home := keyfile.Open(filepath.Join(t.TempDir(), "home"))
			if err := home.RememberKey("bob", old, keyfile.Verified, now); err != nil {
				t.Fatal(err)
			}
			if err := home.RememberProfile("bob", fresh, keyfile.Verified, test.profile, now); test.profile.Versions != 0 && err != nil {
				t.Fatal(err)
			}
			if err := home.RememberKey("bob", fresh, keyfile.Verified, now); err != nil {
				t.Fatal(err)
			}
			j := NewKeeper(Config{Home: home, Contact: "bob", Level: test.level, Speaks4: test.speaks4, Named: versionsOf(test.named)})
			verdict := j.Meet(otr.Session{Version: test.version, Fingerprint: old}, now)
			downgraded, err := verdict.Downgraded, verdict.Err
			if downgraded != test.downgraded || (err != nil) != test.refused {
				t.Errorf("downgraded %v, refused: %v", downgraded, err)
			}
			var e *exit.Error
			if err != nil && (!errors.As(err, &e) || e.Code != exit.Refused || e.Hint == "") {
				t.Errorf("%v is no refusal with a hint", err)
			}
		})
	}
}

func TestOneOfSeveralProfilesThatLeavesVersion3OutIsBelieved(t *testing.T) {
	now := time.Now()
	home := keyfile.Open(filepath.Join(t.TempDir(), "home"))
	j := NewKeeper(Config{Home: home, Contact: "bob", Level: RequireVerified, Speaks4: true, Named: versionsOf("34")})
	come := otr.Session{Version: 3, Fingerprint: mustParse(t, someKey)}
	for digit, versions := range map[string]string{"4": "34", "5": "4"} {
		profile := keyfile.Profile{Versions: versionsOf(versions), Expires: now.Add(time.Hour)}
		if err := home.RememberProfile("bob", key4(t, digit), keyfile.Verified, profile, now); err != nil {
			t.Fatal(err)
		}
	}
	if err := j.Meet(come, now).Err; err == nil {
		t.Error("it was let in")
	}
}

func TestWhatAProfileSaysIsRememberedWithTheKey(t *testing.T) {
	now := time.Now().Truncate(time.Second).UTC()
	home := keyfile.Open(filepath.Join(t.TempDir(), "home"))
	bob := NewKeeper(Config{Home: home, Contact: "bob"})
	met := otr.Session{Version: 4, Fingerprint: key4(t, "4"), PeerVersions: versionsOf("34"), VersionsUntil: now.Add(time.Hour)}
	decide(bob, met)
	if _, err := bob.remember(met, keyfile.Seen, now); err != nil {
		t.Fatal(err)
	}
	contact, _, err := home.Contact("bob")
	if err != nil {
		t.Fatal(err)
	}
	if got, want := contact.Keys[0].Profile, (keyfile.Profile{Versions: versionsOf("34"), Expires: now.Add(time.Hour)}); got != want {
		t.Errorf("on file: %+v", got)
	}
}

// meet is what a stream does when a key exchange has succeeded and no SMP is to
// be run.
func meet(k *Keeper, s otr.Session) error {
	err := k.Meet(s, time.Now()).Err
	if err == nil {
		_, err = k.Trusted(s, time.Now())
	}
	return err
}

func TestAKeyThatIsRefusedInMidSessionIsNotPutOnFile(t *testing.T) {
	bob, mallory := mustParse(t, someKey), mustParse(t, otherKey)
	for _, level := range []Level{RequireNew, RequireKnown, RequireVerified} {
		for _, expect := range [][]keys.Fingerprint{nil, {bob}} {
			home := keyfile.Open(filepath.Join(t.TempDir(), "home"))
			k := NewKeeper(Config{Home: home, Contact: "bob", Level: level, Expect: expect, Speaks4: true})
			if err := home.RememberKey("bob", bob, keyfile.Verified, time.Now()); err != nil {
				t.Fatal(err)
			}
			if err := meet(k, otr.Session{Version: 3, Fingerprint: bob, SSID: [8]byte{1}}); err != nil || !k.Passed() {
				t.Fatalf("%s: bob is refused: %v", level, err)
			}
			var e *exit.Error
			if err := meet(k, otr.Session{Version: 3, Fingerprint: mallory, SSID: [8]byte{2}}); !errors.As(err, &e) || e.Code != exit.Refused {
				t.Errorf("%s: mallory: %v", level, err)
			}
			if k.Passed() {
				t.Errorf("%s: after that the session is bob's", level)
			}
			contact, _, err := home.Contact("bob")
			if err != nil {
				t.Fatal(err)
			}
			if _, ok := contact.Key(mallory); ok || len(contact.Keys) != 1 {
				t.Errorf("%s: the refused key is on file", level)
			}
		}
	}
}

func TestNothingLessThanAVerifiedKeyTakesTheVerifiedOnesPlace(t *testing.T) {
	bob, mallory := mustParse(t, someKey), mustParse(t, otherKey)
	for _, test := range []struct {
		story    string
		contact  string
		verified bool // the second key
		smp      bool // proves the next one too
		in       bool
	}{
		{"a stranger's", "", false, false, false},
		{"a contact's that was only seen", "bob", false, false, false},
		{"a contact's second one, verified", "bob", true, false, true},
		{"one that has to prove itself", "bob", false, true, false},
	} {
		home := keyfile.Open(filepath.Join(t.TempDir(), "home"))
		k := NewKeeper(Config{Home: home, Contact: test.contact, Level: RequireNew, Speaks4: true})
		trust := keyfile.Seen
		if test.verified {
			trust = keyfile.Verified
		}
		if test.contact != "" {
			if err := errors.Join(home.RememberKey("bob", bob, keyfile.Verified, time.Now()), home.RememberKey("bob", mallory, trust, time.Now())); err != nil {
				t.Fatal(err)
			}
		}
		if err := meet(k, otr.Session{Version: 3, Fingerprint: bob}); err != nil {
			t.Fatalf("%s: %v", test.story, err)
		}
		if test.contact == "" {
			if err := k.MarkVerified(); err != nil {
				t.Fatal(err)
			}
		}
		k.cfg.SMP = test.smp
		if err := k.Meet(otr.Session{Version: 3, Fingerprint: mallory}, time.Now()).Err; (err == nil) != test.in {
			t.Errorf("%s: %v", test.story, err)
		}
		if k.Passed() {
			t.Errorf("%s: trusted before any check has passed", test.story)
		}
	}
}

func TestWhatTheUserHasComparedIsVerified(t *testing.T) {
	bob := otr.Session{Version: 3, Fingerprint: mustParse(t, someKey)}
	for _, contact := range []string{"", "bob"} {
		home := keyfile.Open(filepath.Join(t.TempDir(), "home"))
		k := NewKeeper(Config{Home: home, Contact: contact, Level: RequireNew})
		if err := meet(k, bob); err != nil {
			t.Fatal(err)
		}
		if err := k.MarkVerified(); err != nil {
			t.Fatal(err)
		}
		bob.SSID[0]++
		if v := k.Meet(bob, time.Now()); v.Err != nil || v.Standing != Verified {
			t.Errorf("%q: the next session is %s, %v", contact, v.Standing, v.Err)
		}
	}
}

func TestAKeyIsNewUntilTheSessionEndsInWhichItWasMet(t *testing.T) {
	now := time.Now()
	bob := otr.Session{Version: 3, Fingerprint: mustParse(t, someKey)}
	home := keyfile.Open(filepath.Join(t.TempDir(), "home"))
	k := NewKeeper(Config{Home: home, Contact: "bob", Level: RequireNew})
	if v := k.Meet(bob, now); v.Standing != New {
		t.Fatalf("at first it is %s", v.Standing)
	}
	if standing, err := k.Trusted(bob, now); err != nil || standing != New {
		t.Fatalf("once it is on file it is %s, %v", standing, err)
	}
	bob.SSID[0]++
	if v := k.Meet(bob, now); v.Err != nil || v.Standing != New {
		t.Fatalf("after a refresh it is %s, %v", v.Standing, v.Err)
	}
	if standing, err := k.Refreshed(bob, now); err != nil || standing != New || k.Review() != New {
		t.Fatalf("after that it is %s, then %s, %v", standing, k.Review(), err)
	}
	k.SessionEnded()
	if v := k.Meet(bob, now); v.Standing != Known || k.Review() != Known {
		t.Errorf("in the next session it is %s", v.Standing)
	}
	if v := NewKeeper(Config{Home: home, Contact: "bob", Level: RequireKnown}).Meet(bob, now); v.Err != nil || v.Standing != Known {
		t.Errorf("for another process it is %s, %v", v.Standing, v.Err)
	}
}

func TestANewKeyThatProvesItselfIsVerifiedAtOnce(t *testing.T) {
	now := time.Now()
	bob := otr.Session{Version: 3, Fingerprint: mustParse(t, someKey)}
	home := keyfile.Open(filepath.Join(t.TempDir(), "home"))
	k := NewKeeper(Config{Home: home, Contact: "bob", Level: RequireNew})
	if err := meet(k, bob); err != nil {
		t.Fatal(err)
	}
	if standing, err := k.Proven(bob, now); err != nil || standing != Verified || k.By() != BySecret {
		t.Errorf("it is %s by %q, %v", standing, k.By(), err)
	}
}

func TestAVerifiedKeySaysHowItWasVerified(t *testing.T) {
	now := time.Now()
	key := mustParse(t, someKey)
	bob := otr.Session{Version: 3, Fingerprint: key}
	home := keyfile.Open(filepath.Join(t.TempDir(), "home"))
	for contact, trust := range map[string]keyfile.Trust{"seen": keyfile.Seen, "secret": keyfile.SMP, "hand": keyfile.Verified} {
		if err := home.RememberKey(contact, key, trust, now); err != nil {
			t.Fatal(err)
		}
	}
	for _, test := range []struct {
		story string
		cfg   Config
		then  func(*Keeper) error
		by    By
	}{
		{"one that was met before", Config{Contact: "seen"}, nil, ""},
		{"one that was compared", Config{Contact: "hand"}, nil, ByHand},
		{"one that has proved itself", Config{Contact: "secret"}, nil, BySecret},
		{"one that is expected", Config{Expect: []keys.Fingerprint{key}}, nil, ByHand},
		{"one without a contact", Config{}, nil, ""},
		{"one without a contact that proves itself", Config{}, func(k *Keeper) error { _, err := k.Proven(bob, now); return err }, BySecret},
		{"one without a contact that is compared", Config{}, (*Keeper).MarkVerified, ByHand},
	} {
		test.cfg.Home, test.cfg.Level = home, RequireNew
		k := NewKeeper(test.cfg)
		if err := meet(k, bob); err != nil {
			t.Fatal(err)
		}
		if test.then != nil {
			if err := test.then(k); err != nil {
				t.Fatal(err)
			}
		}
		if k.By() != test.by || k.Meet(bob, now).By != test.by {
			t.Errorf("%s: verified by %q", test.story, k.By())
		}
	}
}

func TestTheContactsOfAnotherProcessAreSeenInAReview(t *testing.T) {
	bob := otr.Session{Version: 3, Fingerprint: mustParse(t, someKey)}
	home := keyfile.Open(filepath.Join(t.TempDir(), "home"))
	k := NewKeeper(Config{Home: home, Contact: "bob", Level: RequireNew})
	if err := meet(k, bob); err != nil || k.Review() != New {
		t.Fatalf("the standing is %s, %v", k.Review(), err)
	}
	if err := home.SetTrust("bob", bob.Fingerprint, keyfile.Verified); err != nil {
		t.Fatal(err)
	}
	if got := k.Review(); got != Verified {
		t.Errorf("the standing is %s", got)
	}
	if err := home.RemoveContact("bob"); err != nil {
		t.Fatal(err)
	}
	if got := k.Review(); got != Verified {
		t.Errorf("without the contact on file the standing is %s", got)
	}
}

func TestAFirstKeyThatCannotBeRememberedIsRefusedUnlessItProvesItself(t *testing.T) {
	now := time.Now()
	bob, carol := otr.Session{Version: 3, Fingerprint: mustParse(t, someKey)}, otr.Session{Version: 3, Fingerprint: mustParse(t, otherKey)}
	dir := filepath.Join(t.TempDir(), "home")
	home := keyfile.Open(dir)
	if err := home.RememberKey("carol", carol.Fingerprint, keyfile.Seen, now); err != nil {
		t.Fatal(err)
	}
	lock := filepath.Join(dir, "lock") // no writer gets a lock that is a folder
	if err := errors.Join(os.Remove(lock), os.Mkdir(lock, 0o700)); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		cfg     Config
		session otr.Session
		refused bool
	}{
		"a first key":                  {Config{Contact: "bob"}, bob, true},
		"a first key that is expected": {Config{Contact: "bob", Expect: []keys.Fingerprint{bob.Fingerprint}}, bob, false},
		"a first key proven by SMP":    {Config{Contact: "bob", SMP: true}, bob, false},
		"a key on file":                {Config{Contact: "carol"}, carol, false},
	} {
		c.cfg.Home, c.cfg.Level = home, RequireNew
		k := NewKeeper(c.cfg)
		if v := k.Meet(c.session, now); v.Err != nil {
			t.Fatalf("%s: %v", name, v.Err)
		}
		_, err := k.Trusted(c.session, now)
		var e *exit.Error
		if err == nil || errors.As(err, &e) != c.refused || k.Passed() == c.refused {
			t.Errorf("%s: passed %v, %v", name, k.Passed(), err)
		}
		if c.refused && (e.Hint == "" || !strings.Contains(e.Error(), "cannot be remembered")) {
			t.Errorf("%s: %v, hint %q", name, e, e.Hint)
		}
	}
	if _, err := NewKeeper(Config{Home: home}).Trusted(bob, now); err != nil {
		t.Errorf("without a contact nothing is stored: %v", err)
	}
}

func TestContactsThatCannotBeReadRefuseThePeer(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "home")
	home := keyfile.Open(dir)
	if err := home.RememberKey("bob", mustParse(t, someKey), keyfile.Verified, time.Now()); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "contacts.json"), []byte("no contacts\x00\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	k := NewKeeper(Config{Home: home, Contact: "bob", Level: RequireNew})
	v := k.Meet(otr.Session{Version: 3, Fingerprint: mustParse(t, someKey)}, time.Now())
	var e *exit.Error
	if !errors.As(v.Err, &e) || e.Code != exit.KeyFile {
		t.Errorf("%+v", v)
	}
}

// versionsOf are the versions with the given digits.
func versionsOf(digits string) wire.Versions {
	v, _ := wire.ParseVersions(digits)
	return v
}

// After a cut the run goes on with the key that has passed every check in it, which need not
// prove itself again, and with no other.
func TestAVerifiedKeyIsNotReplacedInTheNextConnectionEither(t *testing.T) {
	bob, mallory := mustParse(t, someKey), mustParse(t, otherKey)
	home := keyfile.Open(filepath.Join(t.TempDir(), "home"))
	if err := errors.Join(home.RememberKey("bob", bob, keyfile.Verified, time.Now()), home.RememberKey("bob", mallory, keyfile.Seen, time.Now())); err != nil {
		t.Fatal(err)
	}
	for _, passes := range []bool{true, false} {
		k := NewKeeper(Config{Home: home, Contact: "bob", Level: RequireNew})
		met := otr.Session{Version: 3, Fingerprint: bob}
		decide(k, met)
		if passes {
			if _, err := k.Trusted(met, time.Now()); err != nil {
				t.Fatal(err)
			}
		}
		if err := decide(k.Again(), otr.Session{Version: 3, Fingerprint: mallory}).Err; (err != nil) != passes {
			t.Errorf("the verified key has passed %v: %v", passes, err)
		}
	}
}

func TestTheNextConnectionOfARunBelongsToTheKeyThatHasPassed(t *testing.T) {
	key, other := mustParse(t, someKey), mustParse(t, otherKey)
	met := func(f keys.Fingerprint) otr.Session { return otr.Session{Version: 3, Fingerprint: f} }
	first := NewKeeper(Config{Home: keyfile.Open(filepath.Join(t.TempDir(), "home")), Level: RequireNew, SMP: true})
	if next := first.Again(); next.Bound() || decide(next, met(other)).Err != nil {
		t.Error("a run belongs to a key that has not passed")
	}
	decide(first, met(key))
	if _, err := first.Trusted(met(key), time.Now()); err != nil {
		t.Fatal(err)
	}
	next := first.Again()
	if !next.Bound() || next.Passed() || next.cfg.SMP {
		t.Errorf("bound: %v, passed: %v, SMP: %v", next.Bound(), next.Passed(), next.cfg.SMP)
	}
	if err := decide(next, met(other)).Err; err == nil || exit.As(err).Code != exit.Refused || exit.As(err).Hint == "" {
		t.Errorf("another key: %v", err)
	}
	if v := decide(next.Again(), met(key)); v.Err != nil || v.Standing != Verified || v.By != BySecret {
		t.Errorf("the same key: %+v", v)
	}

	// Nobody has looked at the key, and it is the run's all the same.
	first = NewKeeper(Config{Home: keyfile.Open(filepath.Join(t.TempDir(), "home")), Level: RequireNew})
	decide(first, met(key))
	if _, err := first.Trusted(met(key), time.Now()); err != nil {
		t.Fatal(err)
	}
	next = first.Again()
	if err := decide(next, met(other)).Err; err == nil || exit.As(err).Code != exit.Refused {
		t.Errorf("another key in place of an unverified one: %v", err)
	}
	if v := decide(next, met(key)); v.Err != nil || v.Standing != Unverified {
		t.Errorf("the same unverified key: %+v", v)
	}
}
