package trust

import (
	"errors"
	"path/filepath"
	"testing"
	"time"

	"otrpipe/keyfile"
	"otrpipe/otr"
	"otrpipe/otr/keys"
)

// With --stay a peer proves itself once. If the user distrusts the contact after that, the next
// session proves nothing again.
func TestWhatTheUserDistrustsAfterAProofStaysDistrusted(t *testing.T) {
	met := otr.Session{Version: 3, Fingerprint: mustParse(t, someKey)}
	for _, level := range []Level{RequireNew, RequireKnown, RequireVerified} {
		home := keyfile.Open(filepath.Join(t.TempDir(), "home"))
		if err := home.RememberKey("bob", met.Fingerprint, keyfile.Seen, time.Now()); err != nil {
			t.Fatal(err)
		}
		k := NewKeeper(Config{Home: home, Contact: "bob", Level: level, SMP: true})
		if err := meet(k, met); err != nil {
			t.Fatal(err)
		}
		if trust := onFile(t, home).Keys[0].Trust; trust != keyfile.SMP {
			t.Fatalf("--trust %s: after the proof: %v", level, trust)
		}
		k.SessionEnded()
		if err := home.Distrust("bob"); err != nil {
			t.Fatal(err)
		}
		err := meet(k, met)
		if level == RequireVerified {
			wantRefusal(t, "a key that is distrusted again", err)
		} else if err != nil {
			t.Errorf("--trust %s: %v", level, err)
		}
		if trust := onFile(t, home).Keys[0].Trust; trust != keyfile.Seen {
			t.Errorf("--trust %s: the key that the user distrusts is on file as %v", level, trust)
		}
		if by := k.By(); err == nil && by != "" {
			t.Errorf("--trust %s: the key is verified by %q", level, by)
		}
	}
}

// A comparison may take minutes. Meanwhile the user may have replaced the key.
func TestAKeyThatIsReplacedDuringItsComparisonIsRefused(t *testing.T) {
	met := otr.Session{Version: 3, Fingerprint: mustParse(t, someKey)}
	other := mustParse(t, otherKey)
	for _, replaced := range []bool{false, true} {
		home := keyfile.Open(filepath.Join(t.TempDir(), "home"))
		if err := home.RememberKey("bob", met.Fingerprint, keyfile.Verified, time.Now()); err != nil {
			t.Fatal(err)
		}
		k := NewKeeper(Config{Home: home, Contact: "bob", Level: RequireNew, SMP: true})
		if err := decide(k, met).Err; err != nil {
			t.Fatal(err)
		}
		err := home.RemoveKey("bob", met.Fingerprint)
		if replaced {
			err = errors.Join(err, home.RememberKey("bob", other, keyfile.Verified, time.Now()))
		}
		if err != nil {
			t.Fatal(err)
		}
		_, err = k.Trusted(met, time.Now())
		if replaced {
			wantRefusal(t, "a key in whose place another one is on file", err)
		} else if err == nil {
			t.Error("it is not said that the key cannot be remembered")
		}
		if k.Passed() == replaced {
			t.Errorf("replaced %v: passed %v", replaced, k.Passed())
		}
	}
}

// If such a key were taken, the ends would change to it at once, and the session would end.
func TestAKeyThatWasToldIsNotTakenIfAnotherOneIsExpected(t *testing.T) {
	for _, contact := range []string{"", "bob"} {
		for _, named := range []bool{false, true} {
			home, old, fresh := bobsHome(t, keyfile.Verified)
			expect := []keys.Fingerprint{old.Fingerprint}
			if named {
				expect = append(expect, fresh.Fingerprint)
			}
			k := NewKeeper(Config{Home: home, Contact: contact, Level: RequireNew, Speaks4: true, Live: true, Expect: expect})
			if err := meet(k, old); err != nil {
				t.Fatal(err)
			}
			taken, accepted := k.Told(old, fresh.Fingerprint) == nil, decide(k, fresh).Err == nil
			if taken != named || accepted != named {
				t.Errorf("contact %q, named %v: the key is taken %v, and accepted %v", contact, named, taken, accepted)
			}
			if contact != "" && onFile(t, home).HasTold() != named {
				t.Errorf("named %v: on file: %+v", named, onFile(t, home))
			}
		}
	}
}
