package commands

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
	"otrpipe/otr/stream"
)

func mustParse(t *testing.T, s string) keys.Fingerprint {
	t.Helper()
	f, err := keys.ParseFingerprint(s)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

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
		contact, level string
		expect         []keys.Fingerprint
		smp            bool
		met            keys.Fingerprint
		trust          string
		in             bool
	}{
		{contact: "", level: trustNew, met: key, trust: peerUnverified, in: true},
		{contact: "", level: trustNew, met: key, expect: []keys.Fingerprint{key}, trust: peerVerified, in: true},
		{contact: "", level: trustNew, met: key, expect: []keys.Fingerprint{other, key}, trust: peerVerified, in: true},
		{contact: "", level: trustNew, met: key, expect: []keys.Fingerprint{other}, trust: peerUnverified},

		{contact: "stranger", level: trustNew, met: key, trust: peerNew, in: true},
		{contact: "stranger", level: trustKnown, met: key, trust: peerNew},
		{contact: "stranger", level: trustVerified, met: key, trust: peerNew},
		{contact: "stranger", level: trustKnown, met: key, smp: true, trust: peerNew},
		{contact: "stranger", level: trustVerified, met: key, smp: true, trust: peerNew, in: true},
		{contact: "stranger", level: trustNew, met: key, expect: []keys.Fingerprint{key}, trust: peerNew, in: true},

		{contact: "seen", level: trustNew, met: key, trust: peerKnown, in: true},
		{contact: "seen", level: trustKnown, met: key, trust: peerKnown, in: true},
		{contact: "seen", level: trustVerified, met: key, trust: peerKnown},
		{contact: "seen", level: trustVerified, met: key, smp: true, trust: peerKnown, in: true},
		{contact: "seen", level: trustNew, met: key, expect: []keys.Fingerprint{other}, trust: peerKnown},

		{contact: "smp", level: trustVerified, met: key, trust: peerVerified, in: true},
		{contact: "verified", level: trustVerified, met: key, trust: peerVerified, in: true},

		// A changed key is refused whatever else speaks for it.
		{contact: "seen", level: trustNew, met: other, trust: peerChanged},
		{contact: "verified", level: trustVerified, met: other, smp: true, trust: peerChanged},
		{contact: "verified", level: trustNew, met: other, expect: []keys.Fingerprint{other}, trust: peerChanged},
	} {
		j := judge{home: home, contact: test.contact, level: test.level, expect: test.expect, smp: test.smp}
		trust, err := j.trust(otr.Session{Version: 3, Fingerprint: test.met})
		if err != nil || trust != test.trust {
			t.Errorf("%+v: trust is %s, %v", test, trust, err)
		}
		err = j.judge(otr.Session{Version: 3, Fingerprint: test.met})
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
	nobody := judge{home: home}
	if err := nobody.remember(otr.Session{Version: 3, Fingerprint: key}, keyfile.Seen, time.Now()); err != nil {
		t.Fatal(err)
	}
	if all, err := home.Contacts(); err != nil || len(all) != 0 {
		t.Fatalf("contacts %v, %v", all, err)
	}
	bob := judge{home: home, contact: "bob"}
	if err := bob.remember(otr.Session{Version: 3, Fingerprint: key}, keyfile.SMP, time.Now()); err != nil {
		t.Fatal(err)
	}
	if err := bob.remember(otr.Session{Version: 3, Fingerprint: key}, keyfile.Seen, time.Now()); err != nil {
		t.Fatal(err)
	}
	if trust, err := bob.trust(otr.Session{Fingerprint: key}); err != nil || trust != peerVerified {
		t.Errorf("after SMP and another meeting the key is %s, %v", trust, err)
	}
}

// key4 is a fingerprint of version 4 made of one digit.
func key4(t *testing.T, digit string) keys.Fingerprint {
	t.Helper()
	return mustParse(t, strings.Repeat(digit, 112))
}

func TestAVouchedKeyIsAsKnownAsTheOldOneIfThatIsProven(t *testing.T) {
	now := time.Now()
	old, fresh := mustParse(t, someKey), key4(t, "4")
	met := otr.Session{Version: 4, Fingerprint: fresh, Vouching: old, PeerVersions: "34", VersionsUntil: now.Add(time.Hour)}
	for _, trust := range []keyfile.Trust{keyfile.Seen, keyfile.Verified, keyfile.SMP} {
		home := keyfile.Open(filepath.Join(t.TempDir(), "home"))
		if err := home.RememberKey("bob", old, trust, now); err != nil {
			t.Fatal(err)
		}
		// The signature may be forged: without a proof the key is a stranger's.
		for _, level := range []string{trustNew, trustKnown, trustVerified} {
			j := &judge{home: home, contact: "bob", level: level, speaks4: true}
			var e *exit.Error
			if err := j.judge(met); !errors.As(err, &e) || e.Code != exit.Refused || !strings.Contains(e.Hint, "contacts add bob "+fresh.Hex()) {
				t.Errorf("%v, %s: %v", trust, level, err)
			}
			if got, err := j.trust(met); err != nil || got != peerChanged {
				t.Errorf("%v, %s: the new key is %s, %v", trust, level, got, err)
			}
			j.smp = true // which proves it
			if err := j.judge(met); err != nil {
				t.Errorf("%v, %s, with SMP: %v", trust, level, err)
			}
		}
		j := &judge{home: home, contact: "bob", level: trustKnown, speaks4: true}
		if err := j.judge(otr.Session{Version: 4, Fingerprint: fresh}); err == nil {
			t.Fatalf("%v: a key that nothing vouches for was let in", trust)
		}
		if err := j.judge(otr.Session{Version: 4, Fingerprint: fresh, Vouching: mustParse(t, otherKey)}); err == nil {
			t.Fatalf("%v: a key that a stranger's vouches for was let in", trust)
		}
		if err := j.remember(met, keyfile.Seen, now); err != nil {
			t.Fatal(err)
		}
		contact, _, err := home.Contact("bob")
		if err != nil {
			t.Fatal(err)
		}
		if key, ok := contact.Key(fresh); !ok || key.Trust != keyfile.Seen {
			t.Errorf("%v: the new key is on file as %v, %v", trust, key.Trust, ok)
		}
		if key, _ := contact.Key(old); key.Trust != trust {
			t.Errorf("%v: the old key is on file as %v", trust, key.Trust)
		}
		// With the proof of the old key the new one has its trust.
		proven := met
		proven.Proven, proven.SSID = true, [8]byte{1}
		sure := keyfile.Open(filepath.Join(t.TempDir(), "home"))
		if err := sure.RememberKey("bob", old, trust, now); err != nil {
			t.Fatal(err)
		}
		strict := &judge{home: sure, contact: "bob", level: trustVerified, speaks4: true}
		if err := strict.judge(proven); (err == nil) != (trust != keyfile.Seen) {
			t.Errorf("%v, proven: %v", trust, err)
		}
		if err := strict.remember(proven, keyfile.Seen, now); err != nil {
			t.Fatal(err)
		}
		if contact, _, err = sure.Contact("bob"); err != nil {
			t.Fatal(err)
		}
		if key, ok := contact.Key(fresh); !ok || key.Trust != trust {
			t.Errorf("%v, proven: the new key is on file as %v, %v", trust, key.Trust, ok)
		}
		// The first key of version 4 is the only one that is taken on this word.
		if err := j.judge(otr.Session{Version: 4, Fingerprint: key4(t, "5"), Vouching: old}); err == nil {
			t.Errorf("%v: a second key was let in", trust)
		}
	}
}

func TestAProofIsAskedForOnceAndWhereItMatters(t *testing.T) {
	now := time.Now()
	old, fresh := mustParse(t, someKey), key4(t, "4")
	met := otr.Session{Version: 4, Fingerprint: fresh, Vouching: old, SSID: [8]byte{1}}
	proven, stranger := met, met
	proven.Proven, stranger.Vouching = true, mustParse(t, otherKey)
	for _, test := range []struct {
		name    string
		trust   keyfile.Trust
		session otr.Session
		smp     bool
		contact string
		asks    bool
	}{
		{"a verified key", keyfile.Verified, met, false, "bob", true},
		{"one that SMP has proven", keyfile.SMP, met, false, "bob", true},
		{"one that has only been seen", keyfile.Seen, met, false, "bob", true},
		{"it is proven", keyfile.Verified, proven, false, "bob", false},
		{"SMP is about to", keyfile.Verified, met, true, "bob", false},
		{"a stranger's key", keyfile.Verified, stranger, false, "bob", false},
		{"nobody's contact", keyfile.Verified, met, false, "", false},
	} {
		home := keyfile.Open(filepath.Join(t.TempDir(), "home"))
		if err := home.RememberKey("bob", old, test.trust, now); err != nil {
			t.Fatal(err)
		}
		j := &judge{home: home, contact: test.contact, level: trustNew, smp: test.smp}
		if err := j.unproven(test.session); errors.Is(err, stream.ErrUnproven) != test.asks {
			t.Errorf("%s: %v", test.name, err)
		}
		if err := j.unproven(test.session); err != nil {
			t.Errorf("%s: asked again", test.name)
		}
	}
}

func TestAContactThatSpeaksVersion4IsNotMetInSilenceInVersion3(t *testing.T) {
	now := time.Now()
	old, fresh := mustParse(t, someKey), key4(t, "4")
	both := keyfile.Profile{Versions: "34", Expires: now.Add(time.Hour)}
	for _, test := range []struct {
		story      string
		level      string
		speaks4    bool   // we
		named      string // --otr
		profile    keyfile.Profile
		version    int // the contact comes with
		downgraded bool
		refused    bool
	}{
		{"new keys are taken, and it is told", trustNew, true, "", both, 3, true, false},
		{"known ones too", trustKnown, true, "", both, 3, true, false},
		{"by default a verified contact is refused, whatever its profile", trustVerified, true, "", both, 3, true, true},
		{"without a profile too", trustVerified, true, "34", keyfile.Profile{}, 3, true, true},
		{"both sides have said that version 3 will do", trustVerified, true, "34", both, 3, true, false},
		{"of more versions too", trustVerified, true, "234", both, 3, true, false},
		{"the user has not said so", trustVerified, true, "24", both, 3, true, true},
		{"the contact has not said so", trustVerified, true, "34", keyfile.Profile{Versions: "4", Expires: both.Expires}, 3, true, true},
		{"what it has said holds no more", trustVerified, true, "34", keyfile.Profile{Versions: "34", Expires: now}, 3, true, true},
		{"no profile speaks for version 2", trustVerified, true, "234", both, 2, true, true},
		{"it comes with version 4", trustVerified, true, "", both, 4, false, false},
		{"we do not speak version 4", trustVerified, false, "3", both, 3, false, false},
	} {
		t.Run(test.story, func(t *testing.T) {
			home := keyfile.Open(filepath.Join(t.TempDir(), "home"))
			if err := home.RememberKey("bob", old, keyfile.Verified, now); err != nil {
				t.Fatal(err)
			}
			if err := home.RememberProfile("bob", fresh, keyfile.Verified, test.profile, now); test.profile.Versions != "" && err != nil {
				t.Fatal(err)
			}
			if err := home.RememberKey("bob", fresh, keyfile.Verified, now); err != nil {
				t.Fatal(err)
			}
			j := &judge{home: home, contact: "bob", level: test.level, speaks4: test.speaks4, named: test.named}
			downgraded, err := j.downgraded(otr.Session{Version: test.version, Fingerprint: old}, now)
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
	j := &judge{home: home, contact: "bob", level: trustVerified, speaks4: true, named: "34"}
	come := otr.Session{Version: 3, Fingerprint: mustParse(t, someKey)}
	for digit, versions := range map[string]string{"4": "34", "5": "4"} {
		profile := keyfile.Profile{Versions: versions, Expires: now.Add(time.Hour)}
		if err := home.RememberProfile("bob", key4(t, digit), keyfile.Verified, profile, now); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := j.downgraded(come, now); err == nil {
		t.Error("it was let in")
	}
}

func TestWhatAProfileSaysIsRememberedWithTheKey(t *testing.T) {
	now := time.Now().Truncate(time.Second).UTC()
	home := keyfile.Open(filepath.Join(t.TempDir(), "home"))
	bob := judge{home: home, contact: "bob"}
	met := otr.Session{Version: 4, Fingerprint: key4(t, "4"), PeerVersions: "34", VersionsUntil: now.Add(time.Hour)}
	if err := bob.remember(met, keyfile.Seen, now); err != nil {
		t.Fatal(err)
	}
	contact, _, err := home.Contact("bob")
	if err != nil {
		t.Fatal(err)
	}
	if got, want := contact.Keys[0].Profile, (keyfile.Profile{Versions: "34", Expires: now.Add(time.Hour)}); got != want {
		t.Errorf("on file: %+v", got)
	}
}
