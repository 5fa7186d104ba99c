package commands

import (
	"errors"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"otrpipe/keyfile"
	"otrpipe/otr"
	"otrpipe/otr/keys"
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
		var e *exitError
		if err != nil && (!errors.As(err, &e) || e.code != exitRefused || e.tip == "") {
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

func TestAVouchedKeyHasTheTrustOfTheKeyThatSignedIt(t *testing.T) {
	now := time.Now()
	old, fresh := mustParse(t, someKey), key4(t, "4")
	met := otr.Session{Version: 4, Fingerprint: fresh, Vouching: old}
	for _, trust := range []keyfile.Trust{keyfile.Seen, keyfile.Verified, keyfile.SMP} {
		home := keyfile.Open(filepath.Join(t.TempDir(), "home"))
		if err := home.RememberKey("bob", old, trust, now); err != nil {
			t.Fatal(err)
		}
		j := &judge{home: home, contact: "bob", level: trustKnown, speaks4: true}
		if err := j.judge(met); err != nil {
			t.Fatalf("%v: refused: %v", trust, err)
		}
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
		if key, ok := contact.Key(fresh); !ok || key.Trust != trust {
			t.Errorf("%v: the new key is on file as %v, %v", trust, key.Trust, ok)
		}
		// The first key of version 4 is the only one that is taken on this word.
		if err := j.judge(otr.Session{Version: 4, Fingerprint: key4(t, "5"), Vouching: old}); err == nil {
			t.Errorf("%v: a second key was let in", trust)
		}
	}
}

func TestAContactThatSpeaksVersion4IsNotMetInSilenceInVersion3(t *testing.T) {
	now := time.Now()
	home := keyfile.Open(filepath.Join(t.TempDir(), "home"))
	old := mustParse(t, someKey)
	for _, key := range []keys.Fingerprint{old, key4(t, "4")} {
		if err := home.RememberKey("bob", key, keyfile.Verified, now); err != nil {
			t.Fatal(err)
		}
	}
	met := otr.Session{Version: 3, Fingerprint: old}
	for _, test := range []struct {
		level       string
		speaks4     bool
		downgraded  bool
		refusedCode int
	}{
		{trustNew, true, true, 0},
		{trustKnown, true, true, 0},
		{trustVerified, true, true, exitRefused},
		{trustVerified, false, false, 0}, // --otr 3 was asked for here
	} {
		j := &judge{home: home, contact: "bob", level: test.level, speaks4: test.speaks4}
		downgraded, err := j.downgraded(met)
		code := 0
		if err != nil {
			code = asExit(err).code
		}
		if downgraded != test.downgraded || code != test.refusedCode {
			t.Errorf("%+v: %v, exit %d", test, downgraded, code)
		}
	}
}
