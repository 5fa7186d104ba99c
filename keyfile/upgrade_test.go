package keyfile

import (
	"bytes"
	"crypto/rand"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestAnUpgradeAddsKeysAndChangesNothingElse(t *testing.T) {
	for _, passphrase := range []string{"", "secret"} {
		for _, keepForging := range []bool{false, true} {
			h := newHome(t)
			before := create(t, h, "alice", passphrase)
			must(t, h.Upgrade("alice", rand.Reader, keepForging, passphraseOf(t, passphrase)))
			after, err := h.Identity("alice", passphraseOf(t, passphrase))
			must(t, err)
			if after.Ed448 == nil || (after.ForgingPrivate != nil) != keepForging || after.Protected != (passphrase != "") {
				t.Errorf("upgraded to %+v", after)
			}
			public, err := h.Public("alice")
			must(t, err)
			if len(public.Keys) != 2 || !slices.Equal(public.Keys, after.Public().Keys) {
				t.Errorf("it shows %v", public.Keys)
			}
			after.Ed448, after.ForgingPrivate = nil, nil
			sameIdentity(t, after, before)
		}
	}
}

func passphraseOf(t testing.TB, passphrase string) PassphraseFunc {
	if passphrase == "" {
		return neverAsk(t)
	}
	return saying(t, passphrase)
}

func TestNothingButAnUpgradeChangesTheFormat(t *testing.T) {
	h := newHome(t)
	create(t, h, "alice", "")
	before := tree(t, h.Dir())
	id, err := h.Identity("alice", nil)
	must(t, err)
	must(t, h.SetPassphrase(id, []byte("secret")))
	must(t, h.SetPassphrase(id, nil))
	sameTree(t, h.Dir(), before)
}

func TestASecondUpgradeKeepsTheKeysOfTheFirst(t *testing.T) {
	h := newHome(t)
	create(t, h, "alice", "")
	must(t, h.Upgrade("alice", rand.Reader, false, nil))
	before := tree(t, h.Dir())
	must(t, h.Upgrade("alice", rand.Reader, false, nil))
	wantError(t, h.Upgrade("alice", rand.Reader, true, nil), ErrExists)
	sameTree(t, h.Dir(), before)
}

func TestAnUpgradeThatFailsChangesNothing(t *testing.T) {
	h := newHome(t)
	create(t, h, "alice", "secret")
	before := tree(t, h.Dir())
	wantError(t, h.Upgrade("nobody", rand.Reader, false, nil), ErrNotFound)
	wantError(t, h.Upgrade("alice", rand.Reader, false, nil), ErrPassphrase)
	wantError(t, h.Upgrade("alice", rand.Reader, false, saying(t, "wrong")), ErrPassphrase)
	if err := h.Upgrade("alice", bytes.NewReader(nil), false, saying(t, "secret")); err == nil {
		t.Error("upgraded without randomness")
	}
	sameTree(t, h.Dir(), before)
}

func TestAnUpgradeNoticesAnotherOneMeanwhile(t *testing.T) {
	h := newHome(t)
	create(t, h, "alice", "secret")
	err := h.Upgrade("alice", rand.Reader, false, func(string) ([]byte, error) {
		must(t, h.Upgrade("alice", rand.Reader, false, saying(t, "secret")))
		return []byte("secret"), nil
	})
	wantError(t, err, ErrChanged)
	if _, err := h.Identity("alice", saying(t, "secret")); err != nil {
		t.Error(err)
	}
}

// interrupt leaves alice as an upgrade does that was killed between its two files.
func interrupt(t *testing.T, h *Home) (public string) {
	t.Helper()
	create(t, h, "alice", "")
	path := filepath.Join(h.Dir(), "identities", "alice", publicFile)
	old := content(t, path)
	must(t, h.Upgrade("alice", rand.Reader, false, nil))
	public = content(t, path)
	must(t, os.WriteFile(path, []byte(old), 0o600))
	return public
}

func TestAnInterruptedUpgradeOpensWarnsAndCanBeFinished(t *testing.T) {
	for what, finish := range map[string]func(h *Home) error{
		"upgrade": func(h *Home) error { return h.Upgrade("alice", rand.Reader, false, nil) },
		"passphrase": func(h *Home) error {
			id, err := h.Identity("alice", nil)
			return errors.Join(err, h.SetPassphrase(id, nil))
		},
	} {
		h := newHome(t)
		public := interrupt(t, h)
		var warnings []string
		h.Warn = func(text string) { warnings = append(warnings, text) }
		id, err := h.Identity("alice", nil)
		if err != nil || id.Ed448 == nil {
			t.Fatalf("%s: %+v, %v", what, id, err)
		}
		if len(warnings) != 1 || !strings.Contains(warnings[0], `"alice"`) || !strings.Contains(warnings[0], "interrupted") {
			t.Errorf("%s: warnings %q", what, warnings)
		}
		must(t, finish(h))
		if got := content(t, filepath.Join(h.Dir(), "identities", "alice", publicFile)); got != public {
			t.Errorf("%s: it shows %s", what, got)
		}
		again, err := h.Identity("alice", nil)
		must(t, err)
		sameIdentity(t, again, id)
		if len(warnings) != 1 {
			t.Errorf("%s: warnings %q", what, warnings)
		}
	}
}
