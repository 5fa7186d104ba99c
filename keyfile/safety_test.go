//go:build unix

package keyfile

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// furnished is a home with an identity and a contact.
func furnished(t testing.TB) *Home {
	t.Helper()
	h := newHome(t)
	create(t, h, "alice", "")
	must(t, h.RememberKey("bob", fingerprintOf(1), Seen, someday))
	return h
}

// readers are all the ways to read what is at a path in the home.
func readers(h *Home) map[string][]func() error {
	identity := func() error { _, err := h.Identity("alice", nil); return err }
	public := func() error { _, err := h.Public("alice"); return err }
	publics := func() error { _, err := h.Publics(); return err }
	contacts := func() error { _, err := h.Contacts(); return err }
	return map[string][]func() error{
		".":                            {identity, public, publics, contacts},
		"identities":                   {identity, public, publics},
		"identities/alice":             {identity, public, publics},
		"identities/alice/private.key": {identity, public, publics},
		"identities/alice/public.json": {identity, public, publics},
		"contacts.json":                {contacts},
	}
}

func TestWhatOthersCanGetAtIsRefusedWithTheChmodToRun(t *testing.T) {
	for _, loose := range []os.FileMode{0o040, 0o020, 0o010, 0o004, 0o002, 0o001} {
		if testing.Short() && loose != 0o040 && loose != 0o004 {
			continue
		}
		h := furnished(t)
		for name, reads := range readers(h) {
			path := filepath.Join(h.Dir(), name)
			info, err := os.Stat(path)
			must(t, err)
			must(t, os.Chmod(path, info.Mode().Perm()|loose))
			fix := "chmod 600 " + path
			if info.IsDir() {
				fix = "chmod 700 " + path
			}
			for _, read := range reads {
				err := read()
				var unsafe *UnsafeError
				if !errors.As(err, &unsafe) || !errors.Is(err, ErrUnsafe) || unsafe.Fix != fix || unsafe.Path != path {
					t.Errorf("%s with %o more: %v, %+v", name, loose, err, unsafe)
				}
			}
			must(t, os.Chmod(path, info.Mode().Perm()))
			for _, read := range reads {
				must(t, read())
			}
		}
	}
}

func TestNothingIsWrittenInAnUnsafeHome(t *testing.T) {
	h := furnished(t)
	before := tree(t, h.Dir())
	must(t, os.Chmod(h.Dir(), 0o755))
	wantError(t, h.Create(testIdentity("bob"), nil), ErrUnsafe)
	wantError(t, h.RememberKey("carol", fingerprintOf(2), Seen, someday), ErrUnsafe)
	wantError(t, h.Remove("alice"), ErrUnsafe)
	sameTree(t, h.Dir(), before)
}

func TestSymbolicLinksAreRefusedInsideTheHomeButLeadToIt(t *testing.T) {
	h := furnished(t)
	for name, reads := range readers(h) {
		if name == "." {
			continue
		}
		path := filepath.Join(h.Dir(), name)
		elsewhere := filepath.Join(t.TempDir(), "elsewhere")
		must(t, os.Rename(path, elsewhere))
		must(t, os.Symlink(elsewhere, path))
		for _, read := range reads {
			wantError(t, read(), ErrUnsafe)
		}
		must(t, os.Remove(path))
		must(t, os.Rename(elsewhere, path))
	}
	link := filepath.Join(t.TempDir(), "link")
	must(t, os.Symlink(h.Dir(), link))
	if _, err := homeIn(link).Identity("alice", nil); err != nil {
		t.Error(err)
	}
}

func TestALockThatIsALinkIsRefused(t *testing.T) {
	h := furnished(t)
	path := filepath.Join(h.Dir(), lockFile)
	target := filepath.Join(t.TempDir(), "target")
	must(t, os.Remove(path))
	must(t, os.Symlink(target, path))
	wantError(t, h.RememberKey("carol", fingerprintOf(2), Seen, someday), ErrUnsafe)
	if _, err := os.Lstat(target); err == nil {
		t.Error("a file was made where the link leads")
	}
}

func TestWhatIsNoFileIsRefusedWithoutWaiting(t *testing.T) {
	h := furnished(t)
	for _, name := range []string{"contacts.json", "identities/alice/private.key"} {
		path := filepath.Join(h.Dir(), name)
		must(t, os.Remove(path))
		must(t, unix.Mkfifo(path, 0o600))
	}
	_, err := h.Contacts()
	wantError(t, err, ErrUnsafe)
	if unsafe := (*UnsafeError)(nil); !errors.As(err, &unsafe) || unsafe.Fix == "" {
		t.Errorf("%v does not say what to do", err)
	}
	_, err = h.Identity("alice", nil)
	wantError(t, err, ErrUnsafe)
	must(t, os.RemoveAll(filepath.Join(h.Dir(), "identities")))
	must(t, os.WriteFile(filepath.Join(h.Dir(), "identities"), nil, 0o600))
	_, err = h.Publics()
	wantError(t, err, ErrUnsafe)
	wantError(t, h.Create(testIdentity("bob"), nil), ErrUnsafe)
}

func TestWhatBelongsToSomebodyElseIsRefused(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root can give files away")
	}
	h := furnished(t)
	for name, reads := range readers(h) {
		path := filepath.Join(h.Dir(), name)
		must(t, os.Chown(path, 65534, -1))
		for _, read := range reads {
			err := read()
			var unsafe *UnsafeError
			if !errors.As(err, &unsafe) || !strings.Contains(err.Error(), "belongs to user 65534") || !strings.Contains(unsafe.Fix, "run otrpipe as user 65534") || strings.Contains(unsafe.Fix, "chown") {
				t.Errorf("%s: %v", name, err)
			}
		}
		must(t, os.Chown(path, 0, -1))
	}
}

func TestHugeFilesAreRefusedUnread(t *testing.T) {
	h := furnished(t)
	for name, size := range map[string]int64{
		"contacts.json":                maxContacts + 1,
		"identities/alice/private.key": maxSealed + 1,
		"identities/alice/public.json": maxPrivate + 1,
	} {
		must(t, os.Truncate(filepath.Join(h.Dir(), name), size))
	}
	_, err := h.Contacts()
	wantError(t, err, ErrFormat)
	_, err = h.Identity("alice", nil)
	wantError(t, err, ErrFormat)
	_, err = h.PrivateFile("alice")
	wantError(t, err, ErrFormat)
}

func TestTheCommandToRunIsQuoted(t *testing.T) {
	for path, want := range map[string]string{
		"/home/me/x.key": "/home/me/x.key",
		"/a b":           "'/a b'",
		"it's":           `'it'\''s'`,
		"$(rm -rf)":      "'$(rm -rf)'",
	} {
		if got := shellQuote(path); got != want {
			t.Errorf("%s is quoted %s", path, got)
		}
	}
}

func TestADirectoryThatDoesKeepModesIsNotTakenForOneThatDoesNot(t *testing.T) {
	dir := t.TempDir()
	if withoutModes(dir) {
		t.Errorf("%s is said to keep no modes", dir)
	}
	if withoutModes(filepath.Join(dir, "none")) {
		t.Error("a folder that is not there is said to keep no modes")
	}
	if left := tree(t, dir); len(left) != 1 {
		t.Errorf("the trial left %v", left)
	}
}

func TestAFileWithASharedSecretMustBeThePrivateOneOfItsOwner(t *testing.T) {
	h := newHome(t)
	path := filepath.Join(t.TempDir(), "secret")
	must(t, os.WriteFile(path, []byte("word"), 0o600))
	check := func(name string) error {
		info, err := os.Stat(name)
		must(t, err)
		return h.CheckSecretFile(name, info)
	}
	must(t, check(path))
	for _, loose := range []os.FileMode{0o640, 0o620, 0o604, 0o602} {
		must(t, os.Chmod(path, loose))
		var unsafe *UnsafeError
		if err := check(path); !errors.As(err, &unsafe) || unsafe.Fix != "chmod 600 "+path {
			t.Errorf("mode %o: %v", loose, err)
		}
	}
	must(t, check(os.DevNull)) // a device's mode says nothing of a secret
}
