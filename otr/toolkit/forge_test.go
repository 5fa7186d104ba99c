package toolkit

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"otrpipe/otr/keys"
	"otrpipe/otr/v4"
	"otrpipe/otr/wire"
	"otrpipe/testscripts/slowtest"
)

// Whichever of the two people has forged the transcript, it passes every check that a judge
// can make.
func TestAForgedConversationPassesEveryCheckOfAJudge(t *testing.T) {
	for _, begin := range []bool{true, false} {
		_, _, sent := forge4(t, begin)
		all := parseText(t, transcript(sent))
		if len(all) != 3+5+2 {
			t.Fatalf("%d messages", len(all))
		}
		names := []string{"identity", "auth_r", "auth_i"}
		revealed := map[uint64]bool{}
		for i, m := range all {
			if m.Err != nil {
				t.Errorf("message %d: %v", m.Number, m.Err)
			}
			if i < 3 && m.Name != names[i] || i >= 3 && m.Name != "data" {
				t.Errorf("message %d is a %s", i, m.Name)
			}
			if p, ok := m.Fields.Get("client_profile").(Fields); ok && p.Get("valid") != true {
				t.Errorf("message %d: %v", i, p)
			}
			if check := m.Fields.Get("sigma_check"); check != nil && check != "valid" {
				t.Errorf("message %d: sigma is %v", i, check)
			}
			keys, _ := m.Fields.Get("revealed_mac_keys").([]Fields)
			for _, k := range keys {
				numbers, _ := k.Get("authenticates").([]uint64)
				if len(numbers) != 1 {
					t.Errorf("message %d reveals a key that authenticates %v", i, numbers)
				}
				for _, n := range numbers {
					revealed[n] = true
				}
			}
		}
		for n := uint64(4); n <= 8; n++ {
			if !revealed[n] {
				t.Errorf("the key of message %d was not revealed", n)
			}
		}
	}
}

// Except for a few random-looking bytes, a transcript is the same whichever person forges it:
// neither the lengths nor the kinds of messages give it away.
func TestTheForgerIsNotToldByTheShapeOfTheTranscript(t *testing.T) {
	alice, bob := newParty(t, 1), newParty(t, 2)
	shape := func(us, them *party, name string, begin bool) string {
		script, err := ParseScript(testScript, name)
		if err != nil {
			t.Fatal(err)
		}
		f := &Forger{InstanceTag: us.client.InstanceTag, Identity: us.identity, Forging: us.client.Forging, Rand: steady(9), Now: func() time.Time { return testTime }, Begin: begin}
		sent, err := f.Forge4(script, them.profile)
		if err != nil {
			t.Fatal(err)
		}
		var b strings.Builder
		for _, m := range sent {
			who := name
			if !m.Ours {
				who = map[string]string{"alice": "bob", "bob": "alice"}[name]
			}
			b.WriteString(who)
			b.WriteString(strings.Repeat(".", len(m.Line)/64)) // DH values are occasionally one byte shorter
			b.WriteString("\n")
		}
		return b.String()
	}
	if a, b := shape(alice, bob, "alice", true), shape(bob, alice, "bob", false); a != b {
		t.Errorf("alice's forgery\n%s\nbob's forgery\n%s", a, b)
	}
}

func TestAForgedConversationOfVersion3LooksLikeOneToWhoHasNoKey(t *testing.T) {
	dsa, err := keys.GenerateDSA(rand.NewChaCha8([32]byte{3}))
	if err != nil {
		t.Fatal(err)
	}
	script, err := ParseScript(testScript, "bob")
	if err != nil {
		t.Fatal(err)
	}
	f := &Forger{InstanceTag: 0x100, DSA: dsa, Rand: steady(4)}
	sent, err := f.Forge3(script, 0x200)
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"d_h_commit", "d_h_key", "reveal_signature", "signature"}
	authenticated := 0
	for i, m := range parseText(t, transcript(sent)) {
		if m.Err != nil {
			t.Error(m.Err)
		}
		name := "data"
		if i < len(want) {
			name = want[i]
		}
		if m.Name != name {
			t.Errorf("message %d is a %s, not a %s", i, m.Name, name)
		}
		keys, _ := m.Fields.Get("revealed_mac_keys").([]Fields)
		for _, k := range keys {
			n, _ := k.Get("authenticates").([]uint64)
			authenticated += len(n)
		}
	}
	if authenticated < 4 {
		t.Errorf("revealed keys authenticate %d messages", authenticated)
	}
}

func TestAScriptIsReadWholeOrRefused(t *testing.T) {
	for text, want := range map[string]string{
		"":                           "nobody says",
		"alice: a\nbob: b\ncarol: c": "third person",
		"alice: a\nno colon here":    "line 2",
		": text":                     "line 1",
		"alice: a\nbob: \x00":        "NUL",
		"bob: b\nalice: " + strings.Repeat("x", maxText+1): "line 2",
	} {
		_, err := ParseScript(text, "alice")
		if !errors.Is(err, ErrScript) || !strings.Contains(err.Error(), want) {
			t.Errorf("%.40q: %v", text, err)
		}
	}
}

func TestAForgeryThatCannotBeIsRefused(t *testing.T) {
	alice := newParty(t, 1)
	script, err := ParseScript(testScript, "alice")
	if err != nil {
		t.Fatal(err)
	}
	f := &Forger{
		InstanceTag: alice.client.InstanceTag, Identity: alice.identity, Forging: alice.client.Forging,
		Rand: steady(9), Now: func() time.Time { return testTime },
	}
	if _, err := f.Forge4(script, alice.profile); !errors.Is(err, ErrForgery) {
		t.Errorf("with oneself: %v", err)
	}
	if _, err := f.Forge3(script, f.InstanceTag); !errors.Is(err, ErrForgery) {
		t.Errorf("with one's own instance tag: %v", err)
	}
	alone, err := ParseScript("alice: hello", "alice")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.Forge4(alone, newParty(t, 2).profile); !errors.Is(err, ErrScript) {
		t.Errorf("version 4 with nobody: %v", err)
	}
	if _, err := f.Forge3(alone, 0x200); !errors.Is(err, ErrScript) {
		t.Errorf("version 3 with nobody: %v", err)
	}
}

func TestTheOtherPersonsProfileIsFound(t *testing.T) {
	alice, bob, sent := forge4(t, true)
	log := transcript(sent)
	for _, test := range []struct{ us, them *party }{{alice, bob}, {bob, alice}} {
		p, ours, err := FindProfiles(strings.NewReader(log), test.us.identity.Public())
		if err != nil || string(p.PublicKey) != string(test.them.profile.PublicKey) ||
			ours == nil || string(ours.PublicKey) != string(test.us.profile.PublicKey) {
			t.Errorf("%v", err)
		}
	}
	if _, _, err := FindProfiles(strings.NewReader(log), newParty(t, 3).identity.Public()); !errors.Is(err, ErrProfiles) {
		t.Errorf("of two others: %v", err)
	}
	if _, _, err := FindProfiles(strings.NewReader("?OTRv4?"), alice.identity.Public()); !errors.Is(err, ErrNoProfile) {
		t.Errorf("of nobody: %v", err)
	}
}

// Either of the two people can forge messages to a recipient who is away.
func TestForgedMessagesToSomebodyWhoIsAwayPassEveryCheck(t *testing.T) {
	alice, bob := newParty(t, 1), newParty(t, 2)
	forger := func(p *party) *Forger {
		return &Forger{
			InstanceTag: p.client.InstanceTag, Identity: p.identity, Forging: p.client.Forging,
			Rand: steady(9), Now: func() time.Time { return testTime },
		}
	}
	publication, err := bob.client.NewPublication(testTime.Add(7 * 24 * time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	prekey, err := bob.client.NewPrekey(func(uint32) bool { return false })
	if err != nil {
		t.Fatal(err)
	}
	genuine := publication.Ensemble(prekey)
	mine, err := ParseScript("alice: I confess.\nbob: x", "alice")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := forger(alice).ForgeToEnsemble(mine, genuine); !errors.Is(err, ErrForgery) {
		t.Errorf("an answer was forged: %v", err)
	}
	mine.Lines = mine.Lines[:1]
	byAlice, err := forger(alice).ForgeToEnsemble(mine, genuine)
	if err != nil {
		t.Fatal(err)
	}
	ours, err := ParseScript("alice: I confess.\nbob: You should not.\nalice: I do.", "bob")
	if err != nil {
		t.Fatal(err)
	}
	byBob, err := forger(bob).ForgeFromProfile(ours, alice.profile)
	if err != nil {
		t.Fatal(err)
	}
	for who, sent := range map[string][]SentMessage{"alice": byAlice, "bob": byBob} {
		for i, m := range parseText(t, transcript(sent)) {
			want := map[int]string{0: "prekey_ensemble", 1: "non_interactive_auth"}[i]
			if want == "" {
				want = "data"
			}
			if m.Err != nil || m.Name != want {
				t.Errorf("by %s: message %d is a %s: %v", who, i, m.Name, m.Err)
			}
			if i == 0 && m.Fields.Get("valid") != true {
				t.Errorf("by %s: the ensemble: %v", who, m.Fields.Get("fault"))
			}
			if i == 1 && m.Fields.Get("sigma_check") != "valid" {
				t.Errorf("by %s: sigma is %v", who, m.Fields.Get("sigma_check"))
			}
		}
	}
	if e, err := FindEnsemble(strings.NewReader(string(genuine.AppendArmor(nil))), alice.identity.Public()); err != nil || e.Message.ID != prekey.ID {
		t.Errorf("the ensemble was not found: %v", err)
	}
	if _, err := FindEnsemble(strings.NewReader(string(genuine.AppendArmor(nil))), bob.identity.Public()); !errors.Is(err, ErrNoEnsemble) {
		t.Errorf("our own ensemble was taken: %v", err)
	}
}

// A conversation forged with profiles that have expired takes place before their expiry.
func TestAForgeryIsOfATimeWhenAllProfilesWereValid(t *testing.T) {
	slowtest.SkipShort(t)
	alice, bob := newParty(t, 1), newParty(t, 2)
	script, err := ParseScript(testScript, "alice")
	if err != nil {
		t.Fatal(err)
	}
	f := forgerOf(alice)
	f.Now = func() time.Time { return time.Unix(bob.profile.Expires, 0).Add(time.Hour) }
	sent, err := f.Forge4(script, bob.profile)
	if err != nil {
		t.Fatal(err)
	}
	if got := sigmas(parseText(t, transcript(sent))); len(got) != 2 || got[0] != sigmaValid || got[1] != sigmaValid {
		t.Errorf("%q", got)
	}
}

// The profiles of a forged conversation were valid together, although the peer's expired long
// ago. Of two profiles that never were, the newer one would show who made the conversation. The
// one of ours that the peer has seen is used if it fits.
func TestTheProfilesOfAForgeryWereValidTogether(t *testing.T) {
	slowtest.SkipShort(t)
	alice, bob := newParty(t, 1), newParty(t, 2)
	script, err := ParseScript(testScript, "alice")
	if err != nil {
		t.Fatal(err)
	}
	later := testTime.Add(300 * 24 * time.Hour)
	now := v4.NewClient(v4.Config{
		InstanceTag: alice.client.InstanceTag, Identity: alice.identity, Forging: alice.client.Forging,
		Rand: steady(3), Now: func() time.Time { return later },
	})
	today, err := now.Profile()
	if err != nil {
		t.Fatal(err)
	}
	for name, kept := range map[string]*Profile{"none": nil, "today's": today, "that of those days": alice.profile} {
		f := forgerOf(alice)
		f.Now = func() time.Time { return later }
		if kept != nil {
			f.Profile = kept.Append(nil)
		}
		sent, err := f.Forge4(script, bob.profile)
		if err != nil {
			t.Fatal(err)
		}
		log := transcript(sent)
		_, ours, err := FindProfiles(strings.NewReader(log), alice.identity.Public())
		if err != nil {
			t.Fatal(err)
		}
		if made := time.Unix(ours.Expires, 0).Add(-v4.ProfileLifetime); made.Unix() >= bob.profile.Expires {
			t.Errorf("%s: our profile was made on %v, and bob's expired on %v", name, made, time.Unix(bob.profile.Expires, 0))
		}
		if kept == alice.profile && !bytes.Equal(ours.Append(nil), kept.Append(nil)) {
			t.Error("it is not the profile that bob has seen")
		}
		if got := sigmas(parseText(t, log)); len(got) != 2 || got[0] != sigmaValid || got[1] != sigmaValid {
			t.Errorf("%s: %q", name, got)
		}
	}
}

func TestWhatOnlyThePeerCouldHaveBegunIsNotForged(t *testing.T) {
	alice, bob := newParty(t, 1), newParty(t, 2)
	script, err := ParseScript(testScript, "alice")
	if err != nil {
		t.Fatal(err)
	}
	if sent, err := forgerOf(alice).ForgeFromProfile(script, bob.profile); !errors.Is(err, ErrForgery) || len(sent) > 0 {
		t.Errorf("we write first: %d messages, %v", len(sent), err)
	}
	// The peer's signature can only be made in a ring with a key of ours.
	ring := v4.Ring{bob.identity.Public().Point(), bob.identity.Public().Point(), bob.identity.Public().Point()}
	if sig, err := (&pretender{&memory{rand: steady(1)}}).SignRing(steady(2), ring, 0, []byte("m")); !errors.Is(err, ErrForgery) || sig != nil {
		t.Errorf("in a foreign ring: %x, %v", sig, err)
	}
}

func TestAProfileThatIsNotValidForgesNothing(t *testing.T) {
	alice, bob := newParty(t, 1), newParty(t, 2)
	mine, err := ParseScript(testScript, "alice")
	if err != nil {
		t.Fatal(err)
	}
	theirs, err := ParseScript("bob: hello", "alice")
	if err != nil {
		t.Fatal(err)
	}
	encoded := bob.profile.Append(nil)
	encoded[len(encoded)-60] ^= 1 // of the signature
	r := wire.NewReader(encoded)
	false4, err := v4.ReadProfile(&r)
	if err != nil {
		t.Fatal(err)
	}
	if sent, err := forgerOf(alice).Forge4(mine, false4); !errors.Is(err, v4.ErrProfile) || len(sent) > 0 {
		t.Errorf("a conversation: %d messages, %v", len(sent), err)
	}
	if sent, err := forgerOf(alice).ForgeFromProfile(theirs, false4); !errors.Is(err, v4.ErrProfile) || len(sent) > 0 {
		t.Errorf("messages to us: %d messages, %v", len(sent), err)
	}
	publication, err := bob.client.NewPublication(testTime.Add(7 * 24 * time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	prekey, err := bob.client.NewPrekey(func(uint32) bool { return false })
	if err != nil {
		t.Fatal(err)
	}
	e := publication.Ensemble(prekey)
	e.Client = false4
	mine.Lines = mine.Lines[:1]
	if sent, err := forgerOf(alice).ForgeToEnsemble(mine, e); !errors.Is(err, v4.ErrProfile) || len(sent) > 0 {
		t.Errorf("messages from us: %d messages, %v", len(sent), err)
	}
}

func TestAScriptHasSoManyTextsAndNoMore(t *testing.T) {
	slowtest.SkipShort(t)
	if _, err := ParseScript(strings.Repeat("alice: x\n", maxLines), "alice"); err != nil {
		t.Error(err)
	}
	if _, err := ParseScript(strings.Repeat("alice: x\n", maxLines+1), "alice"); !errors.Is(err, ErrScript) {
		t.Errorf("one more: %v", err)
	}
}
