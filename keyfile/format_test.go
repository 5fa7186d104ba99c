package keyfile

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"otrpipe/otr/keys"
)

func readTestdata(t testing.TB, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// The files in testdata were written by the first otrpipe that had their
// format. Every later one must open them.
func TestFilesOfVersion1OpenForEver(t *testing.T) {
	const fingerprint = "4785F574 919DF276 98623363 6D3EF573 D516C2CB"
	for _, name := range []string{"identity-v1.key", "identity-v1-protected.key"} {
		id, format, err := ReadIdentity(readTestdata(t, name), name, Account{}, func(string) ([]byte, error) {
			return []byte("correct horse"), nil
		})
		if err != nil {
			t.Fatal(err)
		}
		if id.Name != "default" || id.InstanceTag != 0xbd3231bb || format != FormatOTRPipe ||
			id.DSA.Public().Fingerprint().String() != fingerprint || id.Protected != strings.Contains(name, "protected") {
			t.Errorf("%s: %+v", name, id.Public())
		}
	}
	public, err := parsePublic(readTestdata(t, "public-v1.json"))
	if err != nil || public.Name != "default" || public.InstanceTag != 0xbd3231bb || public.Keys[0].String() != fingerprint {
		t.Errorf("public part %+v, %v", public, err)
	}
	contacts, err := parseContacts(readTestdata(t, "contacts-v1.json"))
	if err != nil {
		t.Fatal(err)
	}
	fp, err := keys.ParseFingerprint(fingerprint)
	if err != nil {
		t.Fatal(err)
	}
	seen := time.Date(2026, 11, 23, 0, 31, 58, 0, time.UTC)
	want := []Contact{
		{"al \"q\" é", []ContactKey{{fp, Verified, seen, seen}}},
		{"bob", []ContactKey{{fp, Seen, seen, seen.Add(2 * time.Second)}, {fingerprint4Of(0xab), SMP, seen, seen}}},
	}
	if !reflect.DeepEqual(contacts, want) {
		t.Errorf("contacts %v", contacts)
	}
}

// parsers are all of our formats, with a file of each.
func parsers(t testing.TB) map[string]struct {
	file  []byte
	parse func([]byte) error
} {
	type one = struct {
		file  []byte
		parse func([]byte) error
	}
	return map[string]one{
		"identity": {readTestdata(t, "identity-v1.key"), func(b []byte) error { _, err := parseIdentity(b); return err }},
		"public":   {readTestdata(t, "public-v1.json"), func(b []byte) error { _, err := parsePublic(b); return err }},
		"contacts": {readTestdata(t, "contacts-v1.json"), func(b []byte) error { _, err := parseContacts(b); return err }},
	}
}

func TestATruncatedFileIsRefusedWhereverItWasCut(t *testing.T) {
	for what, p := range parsers(t) {
		if err := p.parse(p.file); err != nil {
			t.Fatalf("%s: %v", what, err)
		}
		for n := range p.file {
			if err := p.parse(p.file[:n]); !errors.Is(err, ErrFormat) {
				t.Fatalf("%s cut to %d bytes: %v", what, n, err)
			}
		}
	}
}

func TestATruncatedProtectedFileIsRefusedBeforeThePassphrase(t *testing.T) {
	file := readTestdata(t, "identity-v1-protected.key")
	for n := len("-----BEGIN AGE ENCRYPTED FILE-----"); n < len(file)-1; n += 7 {
		_, _, err := ReadIdentity(file[:n], "cut", Account{}, neverAsk(t))
		if !errors.Is(err, ErrFormat) {
			t.Fatalf("cut to %d bytes: %v", n, err)
		}
	}
}

func TestAFileOfANewerVersionIsRefusedAsThat(t *testing.T) {
	for what, p := range parsers(t) {
		newer := bytes.Replace(p.file, []byte(`"version": 1`), []byte(`"version": 2, "all": ["is", "new"]`), 1)
		if err := p.parse(newer); !errors.Is(err, ErrNewer) {
			t.Errorf("%s: %v", what, err)
		}
	}
}

func TestAFileOfAnotherKindIsRefusedAsThat(t *testing.T) {
	all := parsers(t)
	for what, p := range all {
		for other, q := range all {
			if err := p.parse(q.file); what != other && !errors.Is(err, ErrFormat) {
				t.Errorf("%s read as %s: %v", other, what, err)
			}
		}
		for _, foreign := range []string{"", "{}", "[]", "null", "hello", "{\"version\": 1}", "\x00\xff", `{"otrpipe": 1, "version": 1}`} {
			if err := p.parse([]byte(foreign)); !errors.Is(err, ErrFormat) {
				t.Errorf("%q read as %s: %v", foreign, what, err)
			}
		}
	}
}

// Each change leaves the JSON valid, and to a careless reader's eye the same.
func TestOnlyOneSpellingIsAccepted(t *testing.T) {
	for _, change := range [][2]string{
		{"{\n", "{\n  \"version\": 1,\n"},
		{"\"otrpipe\"", "\"OTRPIPE\""},
		{"}\n", "}\n\n"},
		{"}\n", "}"},
		{"{\n", " {\n"},
		{"\"version\": 1,", "\"version\": 1, \"more\": 0,"},
		{"\"version\": 1", "\"version\": 0"},
		{"\"keys\"", "\"k\\u0065ys\""},
	} {
		for what, p := range parsers(t) {
			i := bytes.Index(p.file, []byte(change[0]))
			if change[0] == "}\n" {
				i = bytes.LastIndex(p.file, []byte(change[0]))
			}
			file := append(bytes.Clone(p.file[:i]), change[1]...)
			file = append(file, p.file[i+len(change[0]):]...)
			if change[1] != "}" && change[1] != "}\n\n" && !json.Valid(file) {
				t.Fatalf("%s with %q for %q is no JSON", what, change[1], change[0])
			}
			if err := p.parse(file); !errors.Is(err, ErrFormat) {
				t.Errorf("%s with %q for %q: %v", what, change[1], change[0], err)
			}
		}
	}
}

func TestDamagedValuesAreRefused(t *testing.T) {
	all := parsers(t)
	for _, change := range []struct{ what, old, new string }{
		{"identity", `"q": "b599`, `"q": "B599`},
		{"identity", `"q": "b599`, `"q": "b5`},
		{"identity", `"q": "b599`, `"q": "b59`},
		{"identity", `"q": "b599`, `"q": "00b599`},
		{"identity", `"x": "01`, `"x": "02`},
		{"identity", `"x": "01`, `"x": "zz`},
		{"identity", `"type": "dsa"`, `"type": "rsa"`},
		{"identity", `"otr": 3`, `"otr": 4`},
		{"identity", `"bd3231bb"`, `"BD3231BB"`},
		{"identity", `"bd3231bb"`, `"d3231bb"`},
		{"identity", `"bd3231bb"`, `3`},
		{"identity", `"default"`, `""`},
		{"identity", `"default"`, `"a\nb"`},
		{"public", `4785f574`, `4785F574`},
		{"public", `4785f574`, `5f574`},
		{"public", `"otr": 3`, `"otr": 4`},
		{"contacts", `"al `, `"zl `},
		{"contacts", `"bob"`, `"al"`},
		{"contacts", `"smp"`, `"blind"`},
		{"contacts", `00:32:00Z`, `00:32:00+00:00`},
		{"contacts", `00:32:00Z`, `00:32:00.5Z`},
		{"contacts", `00:32:00Z`, `sometime`},
	} {
		p := all[change.what]
		if !bytes.Contains(p.file, []byte(change.old)) {
			t.Fatalf("%s has no %s", change.what, change.old)
		}
		err := p.parse(bytes.Replace(p.file, []byte(change.old), []byte(change.new), 1))
		if !errors.Is(err, ErrFormat) {
			t.Errorf("%s with %s for %s: %v", change.what, change.new, change.old, err)
		}
	}
}

func TestErrorsDoNotTellTheSecret(t *testing.T) {
	file := readTestdata(t, "identity-v1.key")
	i := bytes.Index(file, []byte(`"x": "`)) + len(`"x": "`)
	for _, damage := range []string{"§", "", "\"", "\\u0030", "zz"} {
		broken := append(bytes.Clone(file[:i+4]), damage...)
		broken = append(broken, file[i+5:]...)
		_, err := parseIdentity(broken)
		if err == nil {
			t.Fatalf("%q did no damage", damage)
		}
		if strings.Contains(err.Error(), string(file[i+6:i+16])) {
			t.Errorf("the error shows the key: %v", err)
		}
	}
}

func FuzzIdentityFile(f *testing.F) {
	f.Add(readTestdata(f, "identity-v1.key"))
	f.Fuzz(func(t *testing.T, b []byte) {
		if id, err := parseIdentity(b); err == nil && !bytes.Equal(appendIdentity(nil, id), b) {
			t.Error("what was read is not what is written")
		}
	})
}

func FuzzPublicFile(f *testing.F) {
	f.Add(readTestdata(f, "public-v1.json"))
	f.Fuzz(func(t *testing.T, b []byte) {
		if public, err := parsePublic(b); err == nil && !bytes.Equal(appendPublic(nil, public), b) {
			t.Error("what was read is not what is written")
		}
	})
}

func FuzzContactsFile(f *testing.F) {
	f.Add(readTestdata(f, "contacts-v1.json"))
	f.Fuzz(func(t *testing.T, b []byte) {
		if contacts, err := parseContacts(b); err == nil && !bytes.Equal(appendContacts(nil, contacts), b) {
			t.Error("what was read is not what is written")
		}
	})
}

func FuzzSealedIdentityFile(f *testing.F) {
	f.Add(readTestdata(f, "identity-v1-protected.key"))
	f.Fuzz(func(t *testing.T, b []byte) {
		// No passphrase: what is fuzzed is what comes before one is asked for.
		if _, _, err := ReadIdentity(b, "fuzzed", Account{}, nil); err == nil && isSealed(b) {
			t.Error("opened without a passphrase")
		}
	})
}
