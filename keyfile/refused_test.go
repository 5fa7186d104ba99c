//go:build unix

package keyfile

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"testing/iotest"

	"otrpipe/otr/keys"
)

var errDry = errors.New("no randomness is left")

// dry is randomness that ends after n bytes.
func dry(n int64) io.Reader {
	return io.MultiReader(io.LimitReader(rand.Reader, n), iotest.ErrReader(errDry))
}

func TestWithoutRandomnessThereAreNoKeysAndNoTag(t *testing.T) {
	if _, err := Generate("alice", dry(0), false); !errors.Is(err, errDry) {
		t.Errorf("an identity: %v", err)
	}
	for _, keepForging := range []bool{false, true} {
		for _, n := range []int64{0, 57} { // the second is for the forging key
			id := testIdentity("alice")
			if err := id.AddVersion4(dry(n), keepForging); !errors.Is(err, errDry) || id.Ed448 != nil || id.Forging != nil {
				t.Errorf("keys of version 4 from %d bytes: %v", n, err)
			}
		}
	}
	if tag, err := NewInstanceTag(dry(3)); !errors.Is(err, errDry) || tag != 0 {
		t.Errorf("an instance tag: %08x, %v", tag, err)
	}
	h := newHome(t)
	id := create(t, h, "alice", "")
	before := tree(t, h.Dir())
	if tag, err := h.ClientTag(id, 2, dry(3)); !errors.Is(err, errDry) || tag != 0 {
		t.Errorf("the tag of a client: %08x, %v", tag, err)
	}
	sameTree(t, h.Dir(), before)
}

func TestNothingIsKnownOfAnIdentityThatIsNotThere(t *testing.T) {
	h := newHome(t)
	create(t, h, "alice", "")
	before := tree(t, h.Dir())
	gone := testIdentity4(t, "bob", false)
	for what, do := range map[string]func() error{
		"open":                         func() error { _, err := h.Identity("bob", nil); return err },
		"its file":                     func() error { _, err := h.PrivateFile("bob"); return err },
		"its folder":                   func() error { _, err := h.Folder("bob"); return err },
		"remove":                       func() error { return h.Remove("bob") },
		"protect":                      func() error { return h.SetPassphrase(gone, []byte("secret")) },
		"the tag of its second client": func() error { _, err := h.ClientTag(gone, 2, rand.Reader); return err },
		"its offline state":            func() error { _, err := h.Offline(gone); return err },
		"change its offline state": func() error {
			return h.UpdateOffline(gone, func([]byte) ([]byte, error) { t.Error("asked for a change"); return nil, nil })
		},
	} {
		if err := do(); !errors.Is(err, ErrNotFound) {
			t.Errorf("%s: %v", what, err)
		}
	}
	if err := h.Vacant("bob"); err != nil {
		t.Errorf("its name is taken: %v", err)
	}
	wantError(t, h.Vacant("alice"), ErrExists)
	wantError(t, h.Vacant(""), ErrName)
	wantError(t, h.Create(testIdentity(""), nil), ErrName)
	sameTree(t, h.Dir(), before)
	folder, err := h.Folder("alice")
	must(t, err)
	if want := filepath.Join(h.Dir(), identitiesFolder, "alice"); folder != want {
		t.Errorf("alice's folder is %s", folder)
	}
}

func TestWhereNoHomeCanBeNothingIsWritten(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	must(t, os.WriteFile(file, nil, 0o600))
	h := homeIn(filepath.Join(file, "home"))
	id := testIdentity4(t, "alice", false)
	for what, do := range map[string]func() error{
		"create":        func() error { return h.Create(id, nil) },
		"remember":      func() error { return h.RememberKey("bob", fingerprintOf(1), Seen, someday) },
		"offline state": func() error { return h.UpdateOffline(id, func(b []byte) ([]byte, error) { return b, nil }) },
		"read":          func() error { _, err := h.Identity("alice", nil); return err },
	} {
		if err := do(); !errors.Is(err, syscall.ENOTDIR) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: %v", what, err)
		}
	}
}

func TestThePathOfAHomeIsTheOneBehindTheLinks(t *testing.T) {
	dir, err := filepath.EvalSymlinks(t.TempDir())
	must(t, err)
	h := homeIn(filepath.Join(dir, "home"))
	create(t, h, "alice", "")
	must(t, os.Symlink("home", filepath.Join(dir, "link")))
	t.Chdir(dir)
	for given, want := range map[string]string{
		"home": "home", "./home/": "home", "link": "home", filepath.Join(dir, "link"): "home",
		"none": "none", // not there yet
	} {
		path, err := Open(given).RealPath()
		if err != nil || path != filepath.Join(dir, want) {
			t.Errorf("%s is %s, %v", given, path, err)
		}
	}
}

func TestTheOfflineLockIsNoLink(t *testing.T) {
	h := newHome(t)
	id := carol(t, h, "")
	folder, err := h.Folder("carol")
	must(t, err)
	must(t, os.Symlink("elsewhere", filepath.Join(folder, offlineLock)))
	if _, err := h.LockOffline(context.Background(), "carol"); !errors.Is(err, ErrUnsafe) {
		t.Errorf("a link: %v", err)
	}
	if Exists(filepath.Join(folder, "elsewhere")) {
		t.Error("the file that the link names was made")
	}
	setOffline(t, h, id, "state")
	path := filepath.Join(folder, offlineFile)
	must(t, os.Chmod(path, 0o644))
	err = h.UpdateOffline(id, func([]byte) ([]byte, error) { t.Error("it was read"); return nil, nil })
	if !errors.Is(err, ErrUnsafe) {
		t.Errorf("a state that others can read: %v", err)
	}
}

func TestContactsThatCannotBeReadAreNotReplaced(t *testing.T) {
	h := newHome(t)
	must(t, h.RememberKey("bob", fingerprintOf(1), Seen, someday))
	path := filepath.Join(h.Dir(), contactsFile)
	must(t, os.WriteFile(path, []byte("{}"), 0o600))
	key := metKey(fingerprint4Of(2), Seen, someday, someday)
	for what, do := range map[string]func() error{
		"remember":                 func() error { return h.RememberKey("carol", fingerprintOf(2), Seen, someday) },
		"remove":                   func() error { return h.RemoveContact("bob") },
		"rename":                   func() error { return h.RenameContact("bob", "robert") },
		"look":                     func() error { _, _, err := h.Contact("bob"); return err },
		"told":                     func() error { return h.TellKey("bob", fingerprintOf(1), fingerprint4Of(2)) },
		"meet":                     func() error { return h.MeetKey("bob", key, true) },
		"meet a key that was told": func() error { _, err := h.MeetTold("bob", key); return err },
	} {
		if err := do(); !errors.Is(err, ErrFormat) {
			t.Errorf("%s: %v", what, err)
		}
	}
	if got := content(t, path); got != "{}" {
		t.Errorf("the file is %q now", got)
	}
}

func TestWhatNoContactCanHaveToldIsRefused(t *testing.T) {
	h := newHome(t)
	must(t, h.RememberKey("bob", fingerprintOf(1), Seen, someday))
	before := tree(t, h.Dir())
	told := metKey(fingerprint4Of(2), Seen, someday, someday)
	wrong := told
	wrong.Fingerprint, wrong.Profile = fingerprintOf(2), Profile{Expires: someday}
	for what, c := range map[string]struct {
		do   func() error
		want error
	}{
		"a key of version 3":       {func() error { return h.TellKey("bob", fingerprintOf(1), fingerprintOf(2)) }, ErrFormat},
		"by a key of version 4":    {func() error { return h.TellKey("bob", fingerprint4Of(1), fingerprint4Of(2)) }, ErrFormat},
		"by a key nobody has":      {func() error { return h.TellKey("bob", fingerprintOf(3), fingerprint4Of(2)) }, ErrNotFound},
		"by nobody":                {func() error { return h.TellKey("carol", fingerprintOf(1), fingerprint4Of(2)) }, ErrNotFound},
		"met, and not told":        {func() error { _, err := h.MeetTold("bob", told); return err }, ErrChanged},
		"met, of nobody":           {func() error { _, err := h.MeetTold("carol", told); return err }, ErrNotFound},
		"met, with a wrong record": {func() error { _, err := h.MeetTold("bob", wrong); return err }, ErrFormat},
	} {
		if err := c.do(); !errors.Is(err, c.want) {
			t.Errorf("%s: %v", what, err)
		}
	}
	sameTree(t, h.Dir(), before)
}

func TestAFileHasAsManyKeysAsItsKindAndEachOnce(t *testing.T) {
	fp := fingerprintOf(1)
	for what, list := range map[string][]keys.Fingerprint{
		"no key":     nil,
		"three keys": {fp, fingerprint4Of(1), fingerprint4Of(2)},
		"two of 3":   {fp, fingerprintOf(2)},
		"4 alone":    {fingerprint4Of(1)},
	} {
		file := appendPublic(nil, Public{Name: "alice", InstanceTag: minInstanceTag, Keys: list})
		if _, err := parsePublic(file); !errors.Is(err, ErrFormat) {
			t.Errorf("a public file with %s: %v", what, err)
		}
	}
	file := readTestdata(t, "identity-v2.key")
	from, to := bytes.IndexByte(file, '['), bytes.LastIndexByte(file, ']')
	inside := file[from+1 : to]
	for what, inside := range map[string]string{"no key": "", "four keys": string(inside) + "," + string(inside)} {
		broken := string(file[:from+1]) + inside + string(file[to:])
		if _, err := parseIdentity([]byte(broken)); !errors.Is(err, ErrFormat) || !strings.Contains(err.Error(), "not 1 or 2") {
			t.Errorf("an identity with %s: %v", what, err)
		}
	}
	key := metKey(fp, Seen, someday, someday)
	twice := appendContacts(nil, []Contact{{Name: "bob", Keys: []ContactKey{key, key}}})
	if _, err := parseContacts(twice); !errors.Is(err, ErrFormat) {
		t.Errorf("a contact with a key twice: %v", err)
	}
}

func TestAFileThatHoldsNoOneKeyIsRefused(t *testing.T) {
	for what, file := range map[string]string{
		"no account of libotr": "(privkeys)",
		"damaged":              "(privkeys (account))",
		"far too long":         strings.Repeat(" ", maxSealed) + "x",
	} {
		id, _, err := ReadIdentity([]byte(file), "the file", Account{}, neverAsk(t))
		if id != nil || !errors.Is(err, ErrFormat) || !strings.Contains(err.Error(), "the file") {
			t.Errorf("%s: %v", what, err)
		}
	}
	h := newHome(t)
	if _, err := h.IdentityFile(filepath.Join(t.TempDir(), "none"), Account{}, nil); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("no file: %v", err)
	}
}

// The strings of libotr's files have the escapes of libgcrypt, and no others.
func TestEscapesAreReadAsLibgcryptDoesOrRefused(t *testing.T) {
	file := string(aKeyFile())
	named := func(s string) string { return strings.Replace(file, "(name alice)", `(name "`+s+`")`, 1) }
	for escaped, want := range map[string]string{
		`al\x69ce`: "alice", `\141lice`: "alice", `a\\b\"c\'d`: `a\b"c'd`, `\b\t\v\n\f\r`: "\b\t\v\n\f\r", `\303\244`: "ä",
	} {
		list, err := ParseLibotrKeys([]byte(named(escaped)))
		if err != nil || list[0].Account.Name != want {
			t.Errorf("%s: %v, %v", escaped, list, err)
		}
	}
	for _, escaped := range []string{`\q`, `\x4`, `\xg0`, `\18 `, `\400`, `\08`, `\`, `\x`, `\12`} {
		if _, err := ParseLibotrKeys([]byte(named(escaped))); !errors.Is(err, ErrFormat) {
			t.Errorf("%s: %v", escaped, err)
		}
	}
	for what, text := range map[string]string{
		"a backslash":        `(privkeys (account (name "a\`,
		"two octal digits":   `(privkeys (account (name "a\12`,
		"a string":           `(privkeys (account (name "a`,
		"an unclosed number": `(privkeys (account (name #61`,
	} {
		if _, err := ParseLibotrKeys([]byte(text)); !errors.Is(err, ErrFormat) {
			t.Errorf("cut behind %s: %v", what, err)
		}
	}
}

func TestADeviceThatTakesNothingIsAnError(t *testing.T) {
	if !Exists("/dev") || Exists("/dev/full") {
		t.Skip("no /dev/full")
	}
	if err := WriteFile("/dev/full", []byte("text"), true); !errors.Is(err, syscall.ENOSPC) || !strings.Contains(err.Error(), "/dev/full") {
		t.Errorf("%v", err)
	}
}

func TestAnErrorNamesTheFileThatIsMeant(t *testing.T) {
	link := &os.LinkError{Op: "rename", Old: "/home/.pending", New: "/home/contacts.json", Err: syscall.EXDEV}
	for _, err := range []error{pathError(link), errorAt("/home/contacts.json", link)} {
		if !errors.Is(err, syscall.EXDEV) || err.Error() != "keyfile: /home/contacts.json: "+syscall.EXDEV.Error() {
			t.Errorf("%v", err)
		}
	}
	if err := pathError(errDry); !errors.Is(err, errDry) || !strings.HasPrefix(err.Error(), "keyfile: ") {
		t.Errorf("%v", err)
	}
}
