package contacts

import (
	"bytes"
	"crypto/rand"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"otrpipe/commands/internal/exit"
	"otrpipe/commands/internal/files"
	"otrpipe/commands/internal/terminal"
	"otrpipe/keyfile"
	"otrpipe/otr/keys"
)

// newBook returns the contacts of an empty home.
func newBook(t *testing.T) Book {
	t.Helper()
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { null.Close() })
	return Book{IO: terminal.NewIO("otrpipe", null, null, null), Home: keyfile.Open(filepath.Join(t.TempDir(), "home"))}
}

// key3 and key4 are fingerprints of versions 3 and 4.
func key3(b byte) keys.Fingerprint { return key(b, keys.FingerprintLen3) }
func key4(b byte) keys.Fingerprint { return key(b, keys.FingerprintLen4) }

func key(b byte, n int) keys.Fingerprint {
	fp, err := keys.FingerprintFromBytes(bytes.Repeat([]byte{b}, n))
	if err != nil {
		panic(err)
	}
	return fp
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// trusted are the keys of a contact that are verified.
func trusted(t *testing.T, b Book, name string) (verified []keys.Fingerprint) {
	t.Helper()
	contact, err := b.Find(name)
	must(t, err)
	for _, k := range contact.Keys {
		if k.Trust == keyfile.Verified {
			verified = append(verified, k.Fingerprint)
		}
	}
	return verified
}

// refused checks that an error has an exit code and that a text is in it or in its hint.
func refused(t *testing.T, err error, code int, text string) {
	t.Helper()
	if err == nil {
		t.Errorf("nothing is refused, but %q was expected", text)
		return
	}
	if e := exit.As(err); e.Code != code || !strings.Contains(e.Error()+"\n"+e.Hint, text) {
		t.Errorf("refused with %d: %v (hint: %s); want %d: %s", e.Code, e, e.Hint, code, text)
	}
}

func TestAnAddedKeyIsNotVerifiedUntilItIsTrusted(t *testing.T) {
	b := newBook(t)
	must(t, b.Add("bob", []keys.Fingerprint{key3(1)}))
	if got := trusted(t, b, "bob"); got != nil {
		t.Errorf("%v are verified from the start", got)
	}
	must(t, b.TrustOnly("bob"))
	if got := trusted(t, b, "bob"); !slices.Equal(got, []keys.Fingerprint{key3(1)}) {
		t.Errorf("%v are verified", got)
	}
	must(t, b.Distrust("bob", nil))
	if got := trusted(t, b, "bob"); got != nil {
		t.Errorf("%v are verified afterwards", got)
	}
}

func TestTheKeyIsNamedWhereAContactHasSeveral(t *testing.T) {
	b := newBook(t)
	must(t, b.Add("bob", []keys.Fingerprint{key3(1), key3(2)}))
	refused(t, b.TrustOnly("bob"), exit.Usage, "has 2 keys")
	must(t, b.Trust("bob", []keys.Fingerprint{key3(1), key3(2)}))
	one := key3(1)
	must(t, b.Distrust("bob", &one))
	if got := trusted(t, b, "bob"); !slices.Equal(got, []keys.Fingerprint{key3(2)}) {
		t.Errorf("%v are verified", got)
	}
}

func TestOneUnknownKeyAndNoneIsVerified(t *testing.T) {
	b := newBook(t)
	must(t, b.Add("bob", []keys.Fingerprint{key3(1)}))
	refused(t, b.Trust("bob", []keys.Fingerprint{key3(1), key3(2)}), exit.KeyFile, "")
	if got := trusted(t, b, "bob"); got != nil {
		t.Errorf("%v are verified", got)
	}
}

func TestAKeyThatWasOnlyToldIsNotVerified(t *testing.T) {
	b := newBook(t)
	must(t, b.Add("bob", []keys.Fingerprint{key3(1)}))
	must(t, b.Home.TellKey("bob", key3(1), key4(2)))
	refused(t, b.Trust("bob", []keys.Fingerprint{key4(2)}), exit.KeyFile, "has not been met with it")
	if got := trusted(t, b, "bob"); got != nil {
		t.Errorf("%v are verified", got)
	}
}

func TestAContactThatOnlyHasAnAddressHasNoKeyToTrust(t *testing.T) {
	b := newBook(t)
	must(t, b.SetAddress("bob", keyfile.Address{TCP: "bobs.host:9000"}))
	refused(t, b.TrustOnly("bob"), exit.KeyFile, "no key of")
}

func TestWhoIsNotOnFileIsNeitherChangedNorMade(t *testing.T) {
	b := newBook(t)
	_, err := b.Find("bob")
	for _, err := range []error{
		err, b.TrustOnly("bob"), b.Trust("bob", []keys.Fingerprint{key3(1)}), b.Remove("bob", nil), b.Rename("bob", "rob"),
	} {
		refused(t, err, exit.KeyFile, "bob")
	}
	if all, err := b.All(); err != nil || len(all) != 0 {
		t.Errorf("the contacts are %v, %v", all, err)
	}
}

func TestAKeyOfOnesOwnIsRefused(t *testing.T) {
	b := newBook(t)
	id, err := keyfile.Generate("alice", rand.Reader, false)
	must(t, err)
	defer id.Wipe()
	must(t, b.Home.Create(id, nil))
	public, err := b.Home.Public("alice")
	must(t, err)
	for _, fp := range public.Keys {
		refused(t, b.Add("bob", []keys.Fingerprint{key3(1), fp}), exit.Usage, "your own identity alice")
	}
	if all, err := b.All(); err != nil || len(all) != 0 {
		t.Errorf("the contacts are %v, %v", all, err)
	}
	// Nor does it come out of a file.
	path := filepath.Join(t.TempDir(), "otr.fingerprints")
	text := ""
	for _, line := range []struct {
		contact string
		fp      keys.Fingerprint
	}{{"bob", key3(1)}, {"bob", public.Keys[0]}, {"myself", public.Keys[0]}} {
		text += line.contact + "\tme\tprpl-irc\t" + line.fp.Hex() + "\tverified\n"
	}
	must(t, os.WriteFile(path, []byte(text), 0o600))
	refused(t, b.Import(path, keyfile.Account{}), exit.Failure, "2 keys of "+path)
	all, err := b.Home.Contacts()
	must(t, err)
	if len(all) != 1 || all[0].Name != "bob" || len(all[0].Keys) != 1 || all[0].Keys[0].Fingerprint != key3(1) {
		t.Errorf("the contacts are %v", all)
	}
}

func TestALastKeyTakesItsContactAlong(t *testing.T) {
	b := newBook(t)
	must(t, b.Add("bob", []keys.Fingerprint{key3(1), key3(2)}))
	must(t, b.Rename("bob", "rob"))
	for n, fp := range []keys.Fingerprint{key3(1), key3(2)} {
		must(t, b.Remove("rob", &fp))
		if all, err := b.All(); err != nil || len(all) != 1-n {
			t.Errorf("with %d keys removed the contacts are %v, %v", n+1, all, err)
		}
	}
}

func TestContactsPassThroughLibotrsFile(t *testing.T) {
	b, other := newBook(t), newBook(t)
	must(t, b.Add("bob", []keys.Fingerprint{key3(1), key4(2)}))
	must(t, b.Trust("bob", []keys.Fingerprint{key3(1)}))
	path := filepath.Join(t.TempDir(), "otr.fingerprints")
	must(t, b.Export(files.Writer{}, path, keyfile.Account{}, "alice"))
	must(t, other.Import(path, keyfile.Account{}))
	contact, err := other.Find("bob")
	must(t, err)
	if len(contact.Keys) != 1 || !slices.Equal(trusted(t, other, "bob"), []keys.Fingerprint{key3(1)}) {
		t.Errorf("imported was %+v", contact)
	}
}

func TestABadLineOfLibotrsFileIsReportedAndTheOthersAreImported(t *testing.T) {
	b := newBook(t)
	path := filepath.Join(t.TempDir(), "otr.fingerprints")
	good := "bob\talice\tprpl-irc\t" + key3(1).Hex() + "\tverified\n"
	must(t, os.WriteFile(path, []byte(good+"carol\talice\tprpl-irc\tno fingerprint\t\n"), 0o600))
	refused(t, b.Import(path, keyfile.Account{}), exit.Failure, "1 line of "+path)
	if _, err := b.Find("bob"); err != nil {
		t.Error(err)
	}
	must(t, os.WriteFile(path, []byte("anything else\n"), 0o600))
	refused(t, b.Import(path, keyfile.Account{}), exit.KeyFile, "otr.fingerprints")
}

func TestAContactIsDescribedForPeopleAndPrograms(t *testing.T) {
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	d := Describe(keyfile.Contact{
		Name: "bob", Address: keyfile.Address{Command: []string{"nc", "a host"}},
		Keys: []keyfile.ContactKey{{Fingerprint: key3(1), Trust: keyfile.Verified, FirstSeen: at, LastSeen: at, Told: key4(2)}},
	})
	lines := strings.Split(d.Text(), "\n")
	if len(lines) != 5 || lines[0] != "bob" || lines[1] != "  -- nc 'a host'" || !strings.HasSuffix(lines[2], " verified by hand") || !strings.HasSuffix(lines[3], " not met yet") {
		t.Errorf("for people:\n%s", d.Text())
	}
	if rows := strings.Split(d.TerminalText(), "\n"); len(rows) != 8 || !strings.HasSuffix(rows[2], " (weaker, verified by hand)") || !strings.HasSuffix(rows[3], " (not met yet)") {
		t.Errorf("at a terminal:\n%s", d.TerminalText())
	}
	b, err := json.Marshal(d)
	must(t, err)
	for _, part := range []string{
		`"contact":"bob"`, `"address":{"command":["nc","a host"]}`, `"trust":"verified","by":"hand"`, `"first_seen":"2026-01-02T03:04:05Z"`, `"told":"` + key4(2).Hex() + `"`,
	} {
		if !bytes.Contains(b, []byte(part)) {
			t.Errorf("for programs, %s is not in\n%s", part, b)
		}
	}
	if b, err = json.Marshal(Describe(keyfile.Contact{Name: "bob"})); err != nil || string(b) != `{"contact":"bob","keys":[]}` {
		t.Errorf("without keys: %s, %v", b, err)
	}
}
