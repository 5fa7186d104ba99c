package keyfile

import (
	"bytes"
	"crypto/rand"
	"errors"
	"fmt"
	mathrand "math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"filippo.io/age"
	"filippo.io/age/armor"

	"otrpipe/otr/keys"
	"otrpipe/testscripts/slowtest"
)

// testWorkFactor keeps the tests quick; a real home takes age's.
const testWorkFactor = 8

func newHome(t testing.TB) *Home {
	return homeIn(filepath.Join(t.TempDir(), "home"))
}

func homeIn(dir string) *Home {
	h := Open(dir)
	h.workFactor = testWorkFactor
	return h
}

// testKeys are made once: making one takes a while.
var testKeys = sync.OnceValue(func() (all [2]*keys.DSAPrivateKey) {
	for i, seed := range []byte{3, 30} { // their primes are found soon
		key, err := keys.GenerateDSA(mathrand.NewChaCha8([32]byte{seed}))
		if err != nil {
			panic(err)
		}
		all[i] = key
	}
	return all
})

// testIdentity has a DSA key only, as identities of format version 1 do.
func testIdentity(name string) *Identity {
	return &Identity{Name: name, InstanceTag: 0x1234abcd, DSA: testKeys()[0]}
}

// testIdentity4 has keys of all versions.
func testIdentity4(t testing.TB, name string, keepForging bool) *Identity {
	t.Helper()
	id := testIdentity(name)
	must(t, id.AddVersion4(rand.Reader, keepForging))
	return id
}

func create(t testing.TB, h *Home, name, passphrase string) *Identity {
	t.Helper()
	id := testIdentity(name)
	if err := h.Create(id, []byte(passphrase)); err != nil {
		t.Fatal(err)
	}
	return id
}

// saying is a PassphraseFunc that fails the test when it is asked twice.
func saying(t testing.TB, passphrase string) PassphraseFunc {
	asked := false
	return func(string) ([]byte, error) {
		if asked {
			t.Error("the passphrase was asked for twice")
		}
		asked = true
		return []byte(passphrase), nil
	}
}

func neverAsk(t testing.TB) PassphraseFunc {
	return func(prompt string) ([]byte, error) {
		t.Errorf("asked for a %s", prompt)
		return nil, errors.New("asked")
	}
}

func sameIdentity(t testing.TB, got, want *Identity) {
	t.Helper()
	_, _, _, _, x := got.DSA.Parameters()
	_, _, _, _, y := want.DSA.Parameters()
	if got.Name != want.Name || got.InstanceTag != want.InstanceTag || !bytes.Equal(x, y) ||
		!slices.Equal(got.Public().Keys, want.Public().Keys) ||
		!sameEd448(got.Ed448, want.Ed448) || !sameEd448(got.ForgingPrivate, want.ForgingPrivate) {
		t.Errorf("opened %+v, made %+v", got.Public(), want.Public())
	}
}

func sameEd448(a, b *keys.Ed448PrivateKey) bool {
	if a == nil || b == nil {
		return a == b
	}
	return bytes.Equal(a.Symmetric(), b.Symmetric())
}

func wantError(t testing.TB, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Fatalf("error %v, not %v", err, want)
	}
	if strings.Contains(err.Error(), "\n") {
		t.Errorf("an error of several lines: %q", err)
	}
}

// tree is all that is in a folder, by path: the content of files, "folder" for
// folders.
func tree(t testing.TB, dir string) map[string]string {
	t.Helper()
	all := make(map[string]string)
	err := filepath.WalkDir(dir, func(path string, entry os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name, err := filepath.Rel(dir, path)
		if err != nil {
			return err
		}
		if entry.IsDir() {
			all[name] = "folder"
			return nil
		}
		b, err := os.ReadFile(path)
		all[name] = string(b)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func TestGenerateMakesDifferentIdentities(t *testing.T) {
	slowtest.SkipShort(t)
	a, err := Generate("alice", rand.Reader, false)
	if err != nil {
		t.Fatal(err)
	}
	b, err := Generate("alice", rand.Reader, false)
	if err != nil {
		t.Fatal(err)
	}
	if a.DSA.Public().Equal(b.DSA.Public()) || a.InstanceTag == b.InstanceTag ||
		a.Ed448.Public().Equal(b.Ed448.Public()) || a.Forging.Equal(&b.Forging.Ed448PublicKey) {
		t.Error("two identities have something in common")
	}
	if a.Forging.Equal(a.Ed448.Public()) {
		t.Error("the forging key is the other key")
	}
	if a.ForgingPrivate != nil {
		t.Error("the forging key has a private half that nobody asked for")
	}
	if a.InstanceTag < minInstanceTag || b.InstanceTag < minInstanceTag {
		t.Errorf("instance tags %x and %x", a.InstanceTag, b.InstanceTag)
	}
	_, err = Generate("", rand.Reader, false)
	wantError(t, err, ErrName)
}

func TestTheForgingKeysPrivateHalfIsKeptOnRequest(t *testing.T) {
	id := testIdentity4(t, "alice", true)
	if !id.ForgingPrivate.ForgingKey().Equal(&id.Forging.Ed448PublicKey) {
		t.Error("it is another key's")
	}
	wantError(t, id.AddVersion4(rand.Reader, true), ErrExists)
	if err := testIdentity("bob").AddVersion4(bytes.NewReader(make([]byte, 60)), true); err == nil {
		t.Error("60 random bytes were enough for two keys")
	}
}

func TestInstanceTagsBelow256AreDrawnAgain(t *testing.T) {
	tag, err := NewInstanceTag(bytes.NewReader([]byte{0, 0, 0, 0xff, 0, 0, 1, 0}))
	if err != nil || tag != 0x100 {
		t.Errorf("drew %x, %v", tag, err)
	}
}

func TestAnIdentityComesBackAsItWasMade(t *testing.T) {
	for n, name := range []string{"default", "bob@example.com/res", "with space \"q\"", "é", ".hidden", "%41", `back\slash`} {
		for i, passphrase := range []string{"", "correct horse", "", "correct horse", ""} {
			if testing.Short() && (n+i)%5 != 0 {
				continue
			}
			h := newHome(t)
			want := testIdentity(name)
			if i >= 2 {
				want = testIdentity4(t, name, i == 4)
			}
			must(t, h.Create(want, []byte(passphrase)))
			pass := neverAsk(t)
			if passphrase != "" {
				pass = saying(t, passphrase)
			}
			got, err := h.Identity(name, pass)
			if err != nil {
				t.Fatalf("%q: %v", name, err)
			}
			sameIdentity(t, got, want)
			if got.Protected != (passphrase != "") {
				t.Errorf("%q: protected is %v", name, got.Protected)
			}
			public, err := h.Public(name)
			if err != nil {
				t.Fatal(err)
			}
			if public.Name != name || public.InstanceTag != want.InstanceTag || public.Protected != got.Protected ||
				!slices.Equal(public.Keys, want.Public().Keys) {
				t.Errorf("%q: public part %+v", name, public)
			}
		}
	}
}

func TestEverythingIsPrivateAndNothingIsLeftLyingAbout(t *testing.T) {
	h := newHome(t)
	create(t, h, "alice", "pass")
	create(t, h, "bob", "")
	if err := h.RememberKey("carol", fingerprintOf(1), Seen, someday); err != nil {
		t.Fatal(err)
	}
	if err := h.Remove("bob"); err != nil {
		t.Fatal(err)
	}
	want := []string{".", "contacts.json", "identities", "identities/alice",
		"identities/alice/private.key", "identities/alice/public.json", "lock"}
	var got []string
	for name, content := range tree(t, h.Dir()) {
		got = append(got, name)
		info, err := os.Stat(filepath.Join(h.Dir(), name))
		if err != nil {
			t.Fatal(err)
		}
		mode := fileMode
		if content == "folder" {
			mode = folderMode
		}
		if info.Mode().Perm() != mode {
			t.Errorf("%s has mode %o", name, info.Mode().Perm())
		}
	}
	slices.Sort(got)
	if !slices.Equal(got, want) {
		t.Errorf("in the home: %q", got)
	}
}

func TestNothingIsEverOverwritten(t *testing.T) {
	h := newHome(t)
	create(t, h, "alice", "pass")
	before := tree(t, h.Dir())
	wantError(t, h.Create(&Identity{Name: "alice", InstanceTag: 0x100, DSA: testKeys()[1]}, nil), ErrExists)
	wantError(t, h.Vacant("alice"), ErrExists)
	if err := h.Vacant("bob"); err != nil {
		t.Error(err)
	}
	sameTree(t, h.Dir(), before)
}

func sameTree(t testing.TB, dir string, want map[string]string) {
	t.Helper()
	got := tree(t, dir)
	for name := range got {
		if _, ok := want[name]; !ok {
			t.Errorf("%s is new", name)
		}
	}
	for name, content := range want {
		if got[name] != content {
			t.Errorf("%s has changed", name)
		}
	}
}

func TestAnIdentityNeedsAnInstanceTag(t *testing.T) {
	id := testIdentity("alice")
	id.InstanceTag = 0xff
	wantError(t, newHome(t).Create(id, nil), ErrFormat)
}

func TestPassphrasesAreAddedChangedAndRemoved(t *testing.T) {
	h := newHome(t)
	want := create(t, h, "alice", "")
	public := tree(t, h.Dir())["identities/alice/public.json"]
	open := func(passphrase string) *Identity {
		t.Helper()
		pass := neverAsk(t)
		if passphrase != "" {
			pass = saying(t, passphrase)
		}
		id, err := h.Identity("alice", pass)
		if err != nil {
			t.Fatal(err)
		}
		sameIdentity(t, id, want)
		return id
	}
	id := open("")
	for _, passphrase := range []string{"one", "two", ""} {
		if err := h.SetPassphrase(id, []byte(passphrase)); err != nil {
			t.Fatal(err)
		}
		if id.Protected != (passphrase != "") {
			t.Errorf("protected is %v with passphrase %q", id.Protected, passphrase)
		}
		open(passphrase)
	}
	// The same identity, opened once, can be changed on.
	if err := h.SetPassphrase(id, []byte("three")); err != nil {
		t.Fatal(err)
	}
	open("three")
	if tree(t, h.Dir())["identities/alice/public.json"] != public {
		t.Error("the public part has changed")
	}
}

func TestAWrongPassphraseOpensAndChangesNothing(t *testing.T) {
	h := newHome(t)
	create(t, h, "alice", "right")
	before := tree(t, h.Dir())
	refused := errors.New("no passphrase today")
	for _, pass := range []PassphraseFunc{
		saying(t, "wrong"), saying(t, ""), nil,
		func(string) ([]byte, error) { return nil, refused },
	} {
		_, err := h.Identity("alice", pass)
		if !errors.Is(err, ErrPassphrase) && !errors.Is(err, refused) {
			t.Errorf("error %v", err)
		}
	}
	sameTree(t, h.Dir(), before)
}

func TestAChangeMeanwhileIsNotOverwritten(t *testing.T) {
	h := newHome(t)
	create(t, h, "alice", "")
	first, err := h.Identity("alice", nil)
	if err != nil {
		t.Fatal(err)
	}
	second, err := h.Identity("alice", nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := h.SetPassphrase(second, []byte("second")); err != nil {
		t.Fatal(err)
	}
	before := tree(t, h.Dir())
	wantError(t, h.SetPassphrase(first, []byte("first")), ErrChanged)
	sameTree(t, h.Dir(), before)
	if err := h.Remove("alice"); err != nil {
		t.Fatal(err)
	}
	wantError(t, h.SetPassphrase(second, nil), ErrNotFound)
}

func TestThePassphraseGivenIsWiped(t *testing.T) {
	h := newHome(t)
	create(t, h, "alice", "right")
	passphrase := []byte("right")
	if _, err := h.Identity("alice", func(string) ([]byte, error) { return passphrase, nil }); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(passphrase, make([]byte, len(passphrase))) {
		t.Errorf("the passphrase is still there: %q", passphrase)
	}
}

func TestAProtectedIdentityIsAnAgeFileWithAgesOwnWorkFactor(t *testing.T) {
	if testing.Short() {
		t.Skip("short: derives keys with the usual work factor")
	}
	t.Parallel()
	h := newHome(t)
	h.workFactor = 0
	id := create(t, h, "alice", "right")
	file, err := h.PrivateFile("alice")
	if err != nil {
		t.Fatal(err)
	}
	identity, err := age.NewScryptIdentity("right")
	if err != nil {
		t.Fatal(err)
	}
	var sealed bytes.Buffer
	if _, err := sealed.ReadFrom(armor.NewReader(bytes.NewReader(file))); err != nil {
		t.Fatal(err)
	}
	if !bytes.Contains(sealed.Bytes(), []byte(" 18\n")) {
		t.Errorf("the work factor is not age's: %q", sealed.Bytes()[:100])
	}
	if slowtest.LeftOut() {
		return // that age opens our files is shown with a lower work factor too
	}
	text, err := age.Decrypt(&sealed, identity)
	if err != nil {
		t.Fatal(err)
	}
	var plain bytes.Buffer
	if _, err := plain.ReadFrom(text); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(plain.Bytes(), appendIdentity(nil, id)) {
		t.Error("it does not hold the text of an unprotected identity")
	}
}

func TestAnAgeFileForAKeyPairIsNotAskedAPassphraseInVain(t *testing.T) {
	pair, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	var file bytes.Buffer
	armored := armor.NewWriter(&file)
	sealed, err := age.Encrypt(armored, pair.Recipient())
	if err != nil {
		t.Fatal(err)
	}
	sealed.Write(appendIdentity(nil, testIdentity("alice")))
	sealed.Close()
	armored.Close()
	_, _, err = ReadIdentity(file.Bytes(), "some file", Account{}, func(string) ([]byte, error) {
		t.Error("a passphrase was asked for")
		return []byte("right"), nil
	})
	wantError(t, err, ErrFormat)
}

func TestTamperingWithThePublicPartIsNoticed(t *testing.T) {
	h := newHome(t)
	alice := testIdentity4(t, "alice", false)
	must(t, h.Create(alice, []byte("pass")))
	path := filepath.Join(h.Dir(), "identities", "alice", "public.json")
	fps, tag := alice.Public().Keys, alice.InstanceTag
	other, other4 := testKeys()[1].Public().Fingerprint(), fingerprint4Of(1)
	for what, public := range map[string]Public{
		"fingerprint of version 3":              {Name: "alice", InstanceTag: tag, Keys: []keys.Fingerprint{other, fps[1]}},
		"fingerprint of version 4":              {Name: "alice", InstanceTag: tag, Keys: []keys.Fingerprint{fps[0], other4}},
		"fingerprint of version 3, and no more": {Name: "alice", InstanceTag: tag, Keys: []keys.Fingerprint{other}},
		"tag":                                   {Name: "alice", InstanceTag: 0x100, Keys: fps},
		"tag, and one key less":                 {Name: "alice", InstanceTag: 0x100, Keys: fps[:1]},
		"name":                                  {Name: "mallory", InstanceTag: tag, Keys: fps},
	} {
		if err := os.WriteFile(path, appendPublic(nil, public), 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := h.Identity("alice", func(string) ([]byte, error) { return []byte("pass"), nil })
		if !errors.Is(err, ErrMismatch) {
			t.Errorf("another %s: %v", what, err)
		}
	}
}

func TestAKeyThatIsShownButNotThereIsNoticed(t *testing.T) {
	h := newHome(t)
	public := create(t, h, "alice", "").Public()
	public.Keys = append(public.Keys, fingerprint4Of(1))
	path := filepath.Join(h.Dir(), "identities", "alice", "public.json")
	must(t, os.WriteFile(path, appendPublic(nil, public), 0o600))
	_, err := h.Identity("alice", nil)
	wantError(t, err, ErrMismatch)
}

func TestIdentitiesThatWereSwappedAreNoticed(t *testing.T) {
	h := newHome(t)
	create(t, h, "alice", "")
	create(t, h, "bob", "")
	folder := filepath.Join(h.Dir(), "identities")
	for _, step := range [][2]string{{"alice", ".swap"}, {"bob", "alice"}, {".swap", "bob"}} {
		if err := os.Rename(filepath.Join(folder, step[0]), filepath.Join(folder, step[1])); err != nil {
			t.Fatal(err)
		}
	}
	_, err := h.Identity("alice", nil)
	wantError(t, err, ErrMismatch)
	_, err = h.Public("bob")
	wantError(t, err, ErrMismatch)
}

func TestListingShowsWhatIsThereAndSaysWhatIsDamaged(t *testing.T) {
	h := newHome(t)
	if list, err := h.Publics(); err != nil || len(list) != 0 {
		t.Errorf("of no home: %v, %v", list, err)
	}
	for _, name := range []string{"é", "alice", "bob"} {
		create(t, h, name, "")
	}
	folder := filepath.Join(h.Dir(), "identities")
	if err := os.Truncate(filepath.Join(folder, "bob", "public.json"), 20); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(folder, "what is this"), 0o700); err != nil {
		t.Fatal(err)
	}
	list, err := h.Publics()
	var names []string
	for _, public := range list {
		names = append(names, public.Name)
	}
	if !slices.Equal(names, []string{"alice", "é"}) {
		t.Errorf("listed %q", names)
	}
	if !errors.Is(err, ErrFormat) || !strings.Contains(err.Error(), "bob") || !strings.Contains(err.Error(), "what is this") {
		t.Errorf("error %v", err)
	}
}

func TestRemovingIsForGoodAndForOneOnly(t *testing.T) {
	h := newHome(t)
	wantError(t, h.Remove("alice"), ErrNotFound)
	if _, err := os.Stat(h.Dir()); err == nil {
		t.Error("a home was made for nothing")
	}
	create(t, h, "alice", "")
	create(t, h, "bob", "")
	if err := h.Remove("alice"); err != nil {
		t.Fatal(err)
	}
	_, err := h.Identity("alice", nil)
	wantError(t, err, ErrNotFound)
	wantError(t, h.Remove("alice"), ErrNotFound)
	if _, err := h.Identity("bob", nil); err != nil {
		t.Error(err)
	}
	create(t, h, "alice", "") // the name is free again
}

func TestADamagedIdentityCanBeRemoved(t *testing.T) {
	h := newHome(t)
	create(t, h, "alice", "")
	if err := os.Truncate(filepath.Join(h.Dir(), "identities", "alice", "private.key"), 3); err != nil {
		t.Fatal(err)
	}
	if err := h.Remove("alice"); err != nil {
		t.Error(err)
	}
}

func TestADamagedIdentityIsNotHandedOut(t *testing.T) {
	for _, passphrase := range []string{"", "secret"} {
		h := newHome(t)
		create(t, h, "alice", passphrase)
		path := filepath.Join(h.Dir(), "identities", "alice", "private.key")
		whole, err := h.PrivateFile("alice")
		if err != nil || string(whole) != content(t, path) {
			t.Fatalf("handed out %q, %v", whole, err)
		}
		must(t, os.Truncate(path, int64(len(whole)-20)))
		_, err = h.PrivateFile("alice")
		wantError(t, err, ErrFormat)
	}
}

func TestAnIdentityThatIsWipedIsUseless(t *testing.T) {
	key, err := keys.GenerateDSA(mathrand.NewChaCha8([32]byte{2}))
	if err != nil {
		t.Fatal(err)
	}
	id := &Identity{Name: "alice", InstanceTag: 0x100, DSA: key}
	must(t, id.AddVersion4(rand.Reader, true))
	id.Wipe()
	if _, err := id.DSA.Sign(rand.Reader, []byte("text")); !errors.Is(err, keys.ErrWiped) {
		t.Errorf("signing: %v", err)
	}
	for _, key := range []*keys.Ed448PrivateKey{id.Ed448, id.ForgingPrivate} {
		if _, err := key.Sign([]byte("text")); !errors.Is(err, keys.ErrWiped) {
			t.Errorf("signing: %v", err)
		}
	}
}

func TestAnIdentityPrintsWithoutItsSecrets(t *testing.T) {
	id := testIdentity4(t, "alice", true)
	_, _, _, _, x := id.DSA.Parameters()
	for _, verb := range []string{"%v", "%+v", "%#v", "%x"} {
		text := fmt.Sprintf(verb, id)
		for _, secret := range [][]byte{x, id.Ed448.Symmetric(), id.ForgingPrivate.Symmetric()} {
			for _, part := range []string{fmt.Sprintf("%x", secret[4:12]), fmt.Sprint(secret[4]) + " " + fmt.Sprint(secret[5]) + " " + fmt.Sprint(secret[6]) + " "} {
				if strings.Contains(text, part) {
					t.Errorf("%s shows a secret: %s", verb, text)
				}
			}
		}
	}
}

var someday = time.Date(2026, 5, 17, 12, 30, 15, 0, time.UTC)

// fingerprintOf makes a version 3 fingerprint of n.
func fingerprintOf(n byte) keys.Fingerprint {
	fp, err := keys.FingerprintFromBytes(bytes.Repeat([]byte{n}, keys.FingerprintLen3))
	if err != nil {
		panic(err)
	}
	return fp
}

func fingerprint4Of(n byte) keys.Fingerprint {
	fp, err := keys.FingerprintFromBytes(bytes.Repeat([]byte{n}, keys.FingerprintLen4))
	if err != nil {
		panic(err)
	}
	return fp
}

func content(t testing.TB, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	must(t, err)
	return string(b)
}
