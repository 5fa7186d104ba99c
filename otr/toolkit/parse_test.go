package toolkit

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"otrpipe/otr/keys"
	"otrpipe/otr/v4"
	"otrpipe/otr/wire"
	"otrpipe/testscripts/slowtest"
)

// awayTranscript returns a version 4 conversation that began while bob was away, forged by
// bob: his ensemble and the messages to it.
func awayTranscript(t testing.TB) (alice, bob *party, text string) {
	t.Helper()
	alice, bob = newParty(t, 1), newParty(t, 2)
	script, err := ParseScript("alice: hello\nbob: hello", "bob")
	if err != nil {
		t.Fatal(err)
	}
	sent, err := forgerOf(bob).ForgeFromProfile(script, alice.profile)
	if err != nil {
		t.Fatal(err)
	}
	return alice, bob, transcript(sent)
}

func forgerOf(p *party) *Forger {
	return &Forger{
		InstanceTag: p.client.InstanceTag, Identity: p.identity, Forging: p.client.Forging,
		Rand: steady(9), Now: func() time.Time { return testTime },
	}
}

// transcript3 is a made-up conversation of version 3.
func transcript3(t testing.TB) string {
	t.Helper()
	dsa, err := keys.GenerateDSA(steady(3))
	if err != nil {
		t.Fatal(err)
	}
	script, err := ParseScript(testScript, "bob")
	if err != nil {
		t.Fatal(err)
	}
	sent, err := (&Forger{InstanceTag: 0x100, DSA: dsa, Rand: steady(4)}).Forge3(script, 0x200)
	if err != nil {
		t.Fatal(err)
	}
	return transcript(sent)
}

// Every kind of message, with one byte missing or one too many, is named and rejected with
// the position of the fault, and the next message is read.
func TestEveryKindOfMessageIsReadWholeOrRefused(t *testing.T) {
	_, _, away := awayTranscript(t)
	seen := map[string]bool{}
	for _, m := range parseText(t, transcript3(t)+log4(t, true)+away) {
		if m.Raw == nil || seen[m.Name] && m.Name != "data" {
			continue
		}
		seen[m.Name] = true
		for name, raw := range map[string][]byte{
			"cut":  m.Raw[:len(m.Raw)-1],
			"long": append(bytes.Clone(m.Raw), 0),
		} {
			line := string(wire.AppendArmor(nil, raw))
			all := parseText(t, "ab "+line+"\n"+armoredDHKey())
			if len(all) != 2 || all[0].Name != m.Name || all[0].Err == nil || all[0].ErrAt != all[0].Position || all[0].Column != 4 {
				t.Errorf("%s, %s: %s", m.Name, name, summary(all))
			}
			if all[len(all)-1].Err != nil || all[len(all)-1].Name != "d_h_key" {
				t.Errorf("%s, %s: then %s", m.Name, name, summary(all))
			}
			if _, err := Read(&all[0], make([]byte, AESKeyLen)); err == nil {
				t.Errorf("%s, %s: it can be decrypted", m.Name, name)
			}
		}
	}
	for _, name := range names {
		if !seen[name] {
			t.Errorf("no %s was tried", name)
		}
	}
}

func TestAnEnsembleThatIsNotWholeOrNotValidSaysWhy(t *testing.T) {
	_, _, away := awayTranscript(t)
	at := strings.Index(away, "?OTRP:")
	line := away[at : at+strings.IndexByte(away[at:], '\n')]
	for name, test := range map[string]struct {
		line string
		want error
	}{
		"cut":      {line[:len(line)-9] + ".", v4.ErrEnsemble},
		"no bytes": {"?OTRP:.", v4.ErrEnsemble},
	} {
		m := parseText(t, test.line)[0]
		if m.Name != "prekey_ensemble" || !errors.Is(m.Err, test.want) {
			t.Errorf("%s: %s, %v", name, m.Name, m.Err)
		}
	}
	e, err := v4.ParseArmoredEnsemble([]byte(line))
	if err != nil {
		t.Fatal(err)
	}
	e.Client.Signature[3] ^= 1
	m := parseText(t, string(e.AppendArmor(nil)))[0]
	if fault, _ := m.Fields.Get("fault").(string); m.Err != nil || m.Fields.Get("valid") != false || fault == "" {
		t.Errorf("with a false signature: %v, %v", m.Fields, m.Err)
	}
	profile := m.Fields.Get("client_profile").(Fields)
	if profile.Get("valid") != false || profile.Get("fault") == nil || profile.Get("fingerprint") != nil {
		t.Errorf("its profile: %v", profile)
	}
}

func TestTheProfileOfSomebodyWithKeysOfBothVersionsIsShownWhole(t *testing.T) {
	slowtest.SkipShort(t)
	dsa, err := keys.GenerateDSA(steady(3))
	if err != nil {
		t.Fatal(err)
	}
	bob := newParty(t, 2)
	bob.client.DSA = dsa
	alice := forgerOf(newParty(t, 1))
	script, err := ParseScript(testScript, "alice")
	if err != nil {
		t.Fatal(err)
	}
	client := v4.NewClient(bob.client.Config)
	profile, err := client.Profile()
	if err != nil {
		t.Fatal(err)
	}
	sent, err := alice.Forge4(script, profile)
	if err != nil {
		t.Fatal(err)
	}
	shown := false
	for _, m := range parseText(t, transcript(sent)) {
		f, ok := m.Fields.Get("client_profile").(Fields)
		if !ok || f.Get("versions") != "34" {
			continue
		}
		shown = true
		dsaKey, _ := f.Get("dsa_key").(Hex)
		signature, _ := f.Get("transitional_signature").(Hex)
		if f.Get("valid") != true || !bytes.Equal(dsaKey, profile.DSA.Append(nil)) || !bytes.Equal(signature, profile.Transitional) {
			t.Errorf("%v", f)
		}
	}
	if !shown {
		t.Error("the profile is in no message")
	}
}

func TestATimeThatNoCalendarHasIsShownInSeconds(t *testing.T) {
	for seconds, name := range map[int64]string{0: "expires", math.MaxInt64: "expires_seconds", 253402300799: "expires", 253402300800: "expires_seconds"} {
		var f Fields
		addExpiry(&f, seconds)
		if f.Get(name) == nil {
			t.Errorf("%d: %v", seconds, f)
		}
		if b, err := f.MarshalJSON(); err != nil || !strings.Contains(string(b), name) {
			t.Errorf("%d: %s, %v", seconds, b, err)
		}
	}
}

// Fragmented messages use no memory afterwards, however many a transcript has.
func TestCompletedMessagesOfFragmentsAreForgotten(t *testing.T) {
	key := armoredDHKey()
	var log strings.Builder
	const messages = 500
	for i := range messages {
		fmt.Fprintf(&log, "?OTR|%08x|%08x|%08x,1,1,%s,\n", i, 0x100+i, 0x101, key)
		fmt.Fprintf(&log, "?OTR|%08x|%08x,1,1,%s,\n", 0x100+i, 0x101, key)
	}
	p := NewParser(strings.NewReader(log.String()))
	whole := 0
	for range 4 * messages {
		m, err := p.Next()
		if err != nil || m.Err != nil {
			t.Fatal(err, m.Err)
		}
		if m.Pieces == 1 {
			whole++
		}
		if len(p.order) != 0 || len(p.open) != 0 {
			t.Fatalf("behind %d messages, %d are remembered", whole, len(p.order)+len(p.open))
		}
	}
	if whole != 2*messages {
		t.Errorf("%d messages of %d", whole, 2*messages)
	}
}

func TestDamagedFragmentsAreNamedAndTheirMessagesGivenUp(t *testing.T) {
	lines, err := wire.AppendFragments(nil, 3, 9, 0x100, 0x101, []byte(strings.Repeat(armoredDHKey(), 3)), 64)
	if err != nil {
		t.Fatal(err)
	}
	split := strings.SplitAfter(string(lines), "\n")
	for name, test := range map[string]struct {
		text string
		want error
	}{
		"an index behind the total": {"?OTR|00000100|00000101,3,2,AAQD,", wire.ErrFragment},
		"out of order":              {split[0] + split[2], wire.ErrFragmentOrder},
		"without an end":            {strings.TrimRight(split[0], ",\n"), ErrUnfinished},
	} {
		all := parseText(t, test.text+"\n")
		var faults []error
		for _, m := range all {
			if m.Name != "fragment" {
				t.Errorf("%s: a %s", name, m.Name)
			}
			if m.Err != nil {
				faults = append(faults, m.Err)
			}
		}
		if len(faults) == 0 || !errors.Is(faults[0], test.want) {
			t.Errorf("%s: %v", name, faults)
		}
	}
}

// If there are more incomplete messages than an assembler keeps, the first ones are given up
// and reported at the end, in order, up to a limit.
func TestOnlySoManyMessagesWithMissingFragmentsAreToldOf(t *testing.T) {
	const messages = wire.MaxOpenMessages + maxIncomplete + 10
	var log strings.Builder
	for i := range messages {
		fmt.Fprintf(&log, "?OTR|%08x|%08x|%08x,1,2,AAQD,\n", i, 0x100, 0x101)
	}
	p := NewParser(strings.NewReader(log.String()))
	for range messages {
		if m, err := p.Next(); err != nil || m.Err != nil {
			t.Fatal(err, m.Err)
		}
		if len(p.open) > wire.MaxOpenMessages || len(p.order) != len(p.open) {
			t.Fatalf("%d messages are open, in an order of %d", len(p.open), len(p.order))
		}
	}
	for i := range maxIncomplete {
		if m, err := p.Next(); err != nil || !errors.Is(m.Err, ErrIncomplete) || m.Line != i+1 {
			t.Fatalf("message %d: %v, %v", i, m, err)
		}
	}
	if m, err := p.Next(); m != nil || err == nil {
		t.Errorf("then %v, %v", m, err)
	}
}

// A reader's error is not taken for the end of the transcript.
func TestAnErrorOfTheReaderIsPassedOn(t *testing.T) {
	broken := errors.New("the disk is broken")
	_, bob, away := awayTranscript(t)
	reader := func() *strings.Reader { return strings.NewReader(away[:len(away)/2]) }
	p := NewParser(io.MultiReader(reader(), iotest.ErrReader(broken)))
	var err error
	for err == nil {
		_, err = p.Next()
	}
	if err != broken {
		t.Errorf("a parser: %v", err)
	}
	if _, _, err := FindProfiles(io.MultiReader(reader(), iotest.ErrReader(broken)), bob.identity.Public()); err != broken {
		t.Errorf("looking for a profile: %v", err)
	}
	if _, err := FindEnsemble(io.MultiReader(reader(), iotest.ErrReader(broken)), bob.identity.Public()); err != broken {
		t.Errorf("looking for an ensemble: %v", err)
	}
	if _, err := ReadKeyLog(io.MultiReader(strings.NewReader(KeyLogHeader+"\n"), iotest.ErrReader(broken))); err != broken {
		t.Errorf("reading a key log: %v", err)
	}
}

func TestProfilesAndEnsemblesOfMessagesToSomebodyAwayAreFound(t *testing.T) {
	slowtest.SkipShort(t)
	alice, bob, away := awayTranscript(t)
	for _, test := range []struct{ us, them *party }{{alice, bob}, {bob, alice}} {
		p, _, err := FindProfiles(strings.NewReader(away), test.us.identity.Public())
		if err != nil || !bytes.Equal(p.PublicKey, test.them.profile.PublicKey) {
			t.Errorf("a profile: %v", err)
		}
	}
	if e, err := FindEnsemble(strings.NewReader(away), alice.identity.Public()); err != nil || !bytes.Equal(e.Client.PublicKey, bob.profile.PublicKey) {
		t.Errorf("an ensemble: %v", err)
	}
	// If there are two people, neither is guessed; damaged profiles are ignored.
	carol := newParty(t, 3)
	script, err := ParseScript("alice: hello", "carol")
	if err != nil {
		t.Fatal(err)
	}
	sent, err := forgerOf(carol).ForgeFromProfile(script, alice.profile)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := FindEnsemble(strings.NewReader(away+transcript(sent)), alice.identity.Public()); !errors.Is(err, ErrProfiles) {
		t.Errorf("of two people: %v", err)
	}
	if _, err := FindEnsemble(strings.NewReader("?OTRP:AAAA."), alice.identity.Public()); !errors.Is(err, ErrNoEnsemble) {
		t.Errorf("a damaged ensemble: %v", err)
	}
	if _, _, err := FindProfiles(strings.NewReader("?OTRP:AAAA."), alice.identity.Public()); !errors.Is(err, ErrNoProfile) {
		t.Errorf("the profile of a damaged ensemble: %v", err)
	}
}
