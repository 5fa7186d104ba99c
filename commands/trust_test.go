package commands

import (
	"errors"
	"path/filepath"
	"testing"
	"time"

	"otrpipe/keyfile"
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
		trust, err := j.trust(test.met)
		if err != nil || trust != test.trust {
			t.Errorf("%+v: trust is %s, %v", test, trust, err)
		}
		err = j.judge(test.met)
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
	if err := nobody.remember(key, keyfile.Seen, time.Now()); err != nil {
		t.Fatal(err)
	}
	if all, err := home.Contacts(); err != nil || len(all) != 0 {
		t.Fatalf("contacts %v, %v", all, err)
	}
	bob := judge{home: home, contact: "bob"}
	if err := bob.remember(key, keyfile.SMP, time.Now()); err != nil {
		t.Fatal(err)
	}
	if err := bob.remember(key, keyfile.Seen, time.Now()); err != nil {
		t.Fatal(err)
	}
	if trust, err := bob.trust(key); err != nil || trust != peerVerified {
		t.Errorf("after SMP and another meeting the key is %s, %v", trust, err)
	}
}
