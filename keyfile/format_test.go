package keyfile

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strconv"
	"strings"
	"testing"
	"time"

	"otrpipe/otr/keys"
	"otrpipe/otr/wire"
	"otrpipe/testscripts/slowtest"
)

func readTestdata(t testing.TB, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// skipUsualWorkFactor skips the protected files among those of testdata where quick tests are
// asked for: they have the usual work factor. Other tests open such files with a lower one.
func skipUsualWorkFactor(t *testing.T, name string) {
	t.Helper()
	if !strings.Contains(name, "protected") {
		return
	}
	if testing.Short() {
		t.Skip("short: opens a file with the usual work factor")
	}
	slowtest.Skip(t)
}

// The files in testdata were written by the first otrpipe that had their
// format. Every later one must open them.
func TestFilesOfVersion1OpenForEver(t *testing.T) {
	t.Parallel()
	const fingerprint = "4785F574 919DF276 98623363 6D3EF573 D516C2CB"
	for _, name := range []string{"identity-v1.key", "identity-v1-protected.key"} {
		t.Run(name, func(t *testing.T) {
			skipUsualWorkFactor(t, name)
			id, format, err := ReadIdentity(readTestdata(t, name), name, Account{}, func(string) ([]byte, error) {
				return []byte("correct horse"), nil
			})
			if err != nil {
				t.Fatal(err)
			}
			if id.Name != "default" || id.InstanceTag != 0xbd3231bb || format != FormatOTRPipe ||
				id.DSA.Public().Fingerprint().String() != fingerprint || id.Protected != strings.Contains(name, "protected") {
				t.Errorf("%+v", id.Public())
			}
		})
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
		{Name: "al \"q\" é", Keys: []ContactKey{metKey(fp, Verified, seen, seen)}},
		{Name: "bob", Keys: []ContactKey{metKey(fp, Seen, seen, seen.Add(2*time.Second)), metKey(fingerprint4Of(0xab), SMP, seen, seen)}},
	}
	if !reflect.DeepEqual(contacts, want) {
		t.Errorf("contacts %v", contacts)
	}
}

func TestContactsOfVersion2OpenForEver(t *testing.T) {
	file := readTestdata(t, "contacts-v2.json")
	contacts, err := parseContacts(file)
	if err != nil {
		t.Fatal(err)
	}
	seen := time.Date(2026, 11, 23, 3, 10, 0, 0, time.UTC)
	key := metKey(fingerprint4Of(0xab), SMP, seen, seen)
	key.Profile = Profile{wire.MakeVersions(3, 4), seen.Add(7 * 24 * time.Hour)}
	want := []Contact{{Name: "bob", Keys: []ContactKey{metKey(fingerprintOf(1), Seen, seen, seen), key, metKey(fingerprint4Of(0xcd), Seen, seen, seen)}}}
	if !reflect.DeepEqual(contacts, want) {
		t.Errorf("contacts %v", contacts)
	}
	for what, change := range map[string][2]string{
		"another version":       {`"version": 2`, `"version": 1`},
		"versions in disorder":  {`"versions": "34"`, `"versions": "43"`},
		"a version too many":    {`"versions": "34"`, `"versions": "234"`},
		"no versions":           {`"versions": "34"`, `"versions": ""`},
		"another zone":          {`"2026-11-30T03:10:00Z"`, `"2026-11-30T04:10:00+01:00"`},
		"no profile":            {`"profile": {`, `"profil": {`},
		"an empty one":          {`"versions": "34",`, ``},
		"for a key of the past": {strings.Repeat("ab", 56), strings.Repeat("ab", 20)},
	} {
		damaged := strings.Replace(string(file), change[0], change[1], 1)
		if damaged == string(file) {
			t.Fatalf("%s: nothing was changed", what)
		}
		if _, err := parseContacts([]byte(damaged)); !errors.Is(err, ErrFormat) {
			t.Errorf("%s: %v", what, err)
		}
	}
}

func TestFilesOfVersion2OpenForEver(t *testing.T) {
	t.Parallel()
	const (
		fingerprint  = "2F56F0F6 F4735EF3 A5690AC1 EAE29A42 8E0E542A"
		fingerprint4 = "7A462B14 943810E7 BA7BEAF1 64EC3CDF E218CC3A 7C48D346 C74B5CFD F2BDE83F A0C6DDD4 FE000BFF B21E45FB 5E3EAB77 F32032AB F05908B7"
	)
	for _, name := range []string{"identity-v2.key", "identity-v2-protected.key"} {
		t.Run(name, func(t *testing.T) {
			skipUsualWorkFactor(t, name)
			id, format, err := ReadIdentity(readTestdata(t, name), name, Account{}, func(string) ([]byte, error) {
				return []byte("correct horse"), nil
			})
			if err != nil {
				t.Fatal(err)
			}
			public := id.Public()
			if id.Name != "default" || id.InstanceTag != 0x3106d867 || format != FormatOTRPipe || id.ForgingPrivate != nil ||
				public.Keys[0].String() != fingerprint || public.Keys[1].String() != fingerprint4 {
				t.Errorf("%+v", public)
			}
		})
	}
	public, err := parsePublic(readTestdata(t, "public-v2.json"))
	if err != nil || public.InstanceTag != 0x3106d867 || len(public.Keys) != 2 ||
		public.Keys[0].String() != fingerprint || public.Keys[1].String() != fingerprint4 {
		t.Errorf("public part %+v, %v", public, err)
	}
	forger, err := parseIdentity(readTestdata(t, "identity-v2-forging.key"))
	if err != nil || forger.ForgingPrivate == nil || forger.Public().Keys[1].String() !=
		"9F597305 A582E923 8529022F 15094219 65E323F7 BB02EBAA 24BFF5F0 926D2D5D F64E7862 66FEC8F3 B203BD78 43292100 44CB5D83 32B9DB8B" {
		t.Errorf("with the forging key: %+v, %v", forger, err)
	}
}

// parsers are all of our formats, with a file of each version.
func parsers(t testing.TB) map[string]parser {
	identity := func(b []byte) error { _, err := parseIdentity(b); return err }
	public := func(b []byte) error { _, err := parsePublic(b); return err }
	contacts := func(b []byte) error { _, err := parseContacts(b); return err }
	return map[string]parser{
		"identity 1":       {kindIdentity, 1, readTestdata(t, "identity-v1.key"), identity},
		"identity 2":       {kindIdentity, 2, readTestdata(t, "identity-v2.key"), identity},
		"identity forging": {kindIdentity, 2, readTestdata(t, "identity-v2-forging.key"), identity},
		"public 1":         {kindPublic, 1, readTestdata(t, "public-v1.json"), public},
		"public 2":         {kindPublic, 2, readTestdata(t, "public-v2.json"), public},
		"contacts":         {kindContacts, 1, readTestdata(t, "contacts-v1.json"), contacts},
		"contacts 2":       {kindContacts, 2, readTestdata(t, "contacts-v2.json"), contacts},
		"contacts 4":       {kindContacts, 4, readTestdata(t, "contacts-v4.json"), contacts},
	}
}

type parser struct {
	kind    string
	version int
	file    []byte
	parse   func([]byte) error
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
	for _, name := range []string{"identity-v1-protected.key", "identity-v2-protected.key"} {
		file := readTestdata(t, name)
		for n := len("-----BEGIN AGE ENCRYPTED FILE-----"); n < len(file)-1; n += 7 {
			_, _, err := ReadIdentity(file[:n], "cut", Account{}, neverAsk(t))
			if !errors.Is(err, ErrFormat) {
				t.Fatalf("%s cut to %d bytes: %v", name, n, err)
			}
		}
	}
}

func TestAFileOfANewerVersionIsRefusedAsThat(t *testing.T) {
	newest := map[string]int{kindIdentity: 2, kindPublic: 2, kindContacts: 5}
	for what, p := range parsers(t) {
		version := fmt.Appendf(nil, `"version": %d, "all": ["is", "new"]`, newest[p.kind]+1)
		newer := bytes.Replace(p.file, fmt.Appendf(nil, `"version": %d`, p.version), version, 1)
		if err := p.parse(newer); !errors.Is(err, ErrNewer) {
			t.Errorf("%s: %v", what, err)
		}
	}
}

func TestAVersionMustBeTheOneOfTheContent(t *testing.T) {
	for what, p := range parsers(t) {
		for _, version := range []int{-1, 0, 3 - p.version} {
			said := bytes.Replace(p.file, fmt.Appendf(nil, `"version": %d`, p.version), fmt.Appendf(nil, `"version": %d`, version), 1)
			if err := p.parse(said); !errors.Is(err, ErrFormat) {
				t.Errorf("%s as version %d: %v", what, version, err)
			}
		}
	}
}

func TestAFileOfAnotherKindIsRefusedAsThat(t *testing.T) {
	all := parsers(t)
	for what, p := range all {
		for other, q := range all {
			if err := p.parse(q.file); p.kind != q.kind && !errors.Is(err, ErrFormat) {
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
		{"{\n", "{\n  \"version\": V,\n"},
		{"\"otrpipe\"", "\"OTRPIPE\""},
		{"}\n", "}\n\n"},
		{"}\n", "}"},
		{"{\n", " {\n"},
		{"\"version\": V,", "\"version\": V, \"more\": 0,"},
		{"\"version\": V", "\"version\": 0"},
		{"\"version\": V", "\"version\": V.0"},
		{"\"keys\"", "\"k\\u0065ys\""},
	} {
		for what, p := range parsers(t) {
			version := strings.NewReplacer("V", strconv.Itoa(p.version))
			change := [2]string{version.Replace(change[0]), version.Replace(change[1])}
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

// A digit of a damaged file may be part of a secret.
func TestWhatIsNoFileOfOursIsNotQuoted(t *testing.T) {
	for text, want := range map[string]string{
		"":         "not a file of otrpipe",
		"~ junk":   "not a file of otrpipe",
		`{"a": 1}`: "not a file of otrpipe",
		"{\n  \"otrpipe\": \"identity\",\n  \"version\": 1,\n~ junk": "it is damaged at byte 44, or ends too early",
		"{\n  \"otrpipe\": \"identity\"":                             "it is damaged at byte 25, or ends too early",
		`{"otrpipe": "identity", "version": "7~"}`:                   "the value at byte 39 is of the wrong type",
		`{"otrpipe": "identity", "version": 1, "identity": 7}`:       "the value at byte 51 is of the wrong type",
	} {
		_, err := parseIdentity([]byte(text))
		wantError(t, err, ErrFormat)
		if got := err.Error(); !strings.HasSuffix(got, ": "+want) || strings.Contains(got, "~") {
			t.Errorf("%q: %v", text, err)
		}
	}
}

func TestDamagedValuesAreRefused(t *testing.T) {
	all := parsers(t)
	for _, change := range []struct{ what, old, new string }{
		{"identity 1", `"q": "b599`, `"q": "B599`},
		{"identity 1", `"q": "b599`, `"q": "b5`},
		{"identity 1", `"q": "b599`, `"q": "b59`},
		{"identity 1", `"q": "b599`, `"q": "00b599`},
		{"identity 1", `"x": "01`, `"x": "02`},
		{"identity 1", `"x": "01`, `"x": "zz`},
		{"identity 1", `"type": "dsa"`, `"type": "rsa"`},
		{"identity 1", `"otr": 3`, `"otr": 4`},
		{"identity 1", `"bd3231bb"`, `"BD3231BB"`},
		{"identity 1", `"bd3231bb"`, `"d3231bb"`},
		{"identity 1", `"bd3231bb"`, `3`},
		{"identity 1", `"bd3231bb"`, `"000000ff"`},
		{"identity 1", `"default"`, `""`},
		{"identity 1", `"default"`, `"a\nb"`},
		{"identity 2", `"symmetric": "`, `"symmetric": "00`},
		{"identity 2", `"symmetric": "97fb`, `"symmetric": "`},
		{"identity 2", `"symmetric": "97fb`, `"symmetric": "ZZ`},
		{"identity 2", `"symmetric": "97fb`, `"forging_symmetric": "97fb`},
		{"identity 2", `"forging": "eea8`, `"forging": "eea1`},
		{"identity 2", `"type": "ed448"`, `"type": "dsa"`},
		{"identity 2", `"otr": 4`, `"otr": 3`},
		{"identity forging", `"forging_symmetric": "2b9d`, `"forging_symmetric": "2b91`},
		{"identity forging", `"forging_symmetric": "2b9d`, `"forging_symmetric": "`},
		{"identity forging", `"forging_symmetric"`, `"forging_Symmetric"`},
		{"public 1", `4785f574`, `4785F574`},
		{"public 1", `4785f574`, `5f574`},
		{"public 1", `"otr": 3`, `"otr": 4`},
		{"public 2", `7a462b14`, `7A462B14`},
		{"public 2", `7a462b14`, `62b14`},
		{"public 2", `"otr": 4`, `"otr": 3`},
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
	file := readTestdata(t, "identity-v2-forging.key")
	for _, name := range []string{`"x": "`, `"symmetric": "`, `"forging_symmetric": "`} {
		i := bytes.Index(file, []byte(name)) + len(name)
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
}

// A forging key may be anybody's; but not one that means nothing.
func TestAForgingKeyOfSmallOrderIsRefused(t *testing.T) {
	file := readTestdata(t, "identity-v2.key")
	i := bytes.Index(file, []byte(`"forging": "`)) + len(`"forging": "`)
	for _, point := range []string{"01" + strings.Repeat("00", 56), strings.Repeat("00", 57)} {
		copy(file[i:], point)
		if _, err := parseIdentity(file); !errors.Is(err, ErrFormat) || !errors.Is(err, keys.ErrEd448Key) {
			t.Errorf("%s: %v", point, err)
		}
	}
}

func FuzzIdentityFile(f *testing.F) {
	f.Add(readTestdata(f, "identity-v1.key"))
	f.Add(readTestdata(f, "identity-v2.key"))
	f.Add(readTestdata(f, "identity-v2-forging.key"))
	f.Fuzz(func(t *testing.T, b []byte) {
		if id, err := parseIdentity(b); err == nil && !bytes.Equal(appendIdentity(nil, id), b) {
			t.Error("what was read is not what is written")
		}
	})
}

func FuzzPublicFile(f *testing.F) {
	f.Add(readTestdata(f, "public-v1.json"))
	f.Add(readTestdata(f, "public-v2.json"))
	f.Fuzz(func(t *testing.T, b []byte) {
		if public, err := parsePublic(b); err == nil && !bytes.Equal(appendPublic(nil, public), b) {
			t.Error("what was read is not what is written")
		}
	})
}

func FuzzContactsFile(f *testing.F) {
	f.Add(readTestdata(f, "contacts-v1.json"))
	f.Add(readTestdata(f, "contacts-v2.json"))
	f.Add(readTestdata(f, "contacts-v4.json"))
	f.Fuzz(func(t *testing.T, b []byte) {
		if contacts, err := parseContacts(b); err == nil && !bytes.Equal(appendContacts(nil, contacts), b) {
			t.Error("what was read is not what is written")
		}
	})
}

func FuzzSealedIdentityFile(f *testing.F) {
	f.Add(readTestdata(f, "identity-v1-protected.key"))
	f.Add(readTestdata(f, "identity-v2-protected.key"))
	f.Fuzz(func(t *testing.T, b []byte) {
		// No passphrase: what is fuzzed is what comes before one is asked for.
		if _, _, err := ReadIdentity(b, "fuzzed", Account{}, nil); err == nil && isSealed(b) {
			t.Error("opened without a passphrase")
		}
	})
}
