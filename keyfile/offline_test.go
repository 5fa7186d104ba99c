package keyfile

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"otrpipe/testscripts/slowtest"
)

// carol is an identity with keys of version 4, in a home, opened from it.
func carol(t testing.TB, h *Home, passphrase string) *Identity {
	t.Helper()
	must(t, h.Create(testIdentity4(t, "carol", false), []byte(passphrase)))
	id, err := h.Identity("carol", func(string) ([]byte, error) { return []byte(passphrase), nil })
	must(t, err)
	return id
}

func setOffline(t testing.TB, h *Home, id *Identity, state string) {
	t.Helper()
	must(t, h.UpdateOffline(id, func([]byte) ([]byte, error) { return []byte(state), nil }))
}

func offlineOf(t testing.TB, h *Home, id *Identity) string {
	t.Helper()
	state, err := h.Offline(id)
	must(t, err)
	return string(state)
}

func TestTheOfflineStateIsKeptSealed(t *testing.T) {
	h := newHome(t)
	id := carol(t, h, "secret")
	if state, err := h.Offline(id); state != nil || err != nil {
		t.Errorf("before there is one: %q, %v", state, err)
	}
	setOffline(t, h, id, "what nobody else may read")
	must(t, h.UpdateOffline(id, func(old []byte) ([]byte, error) { return append([]byte("and "), old...), nil }))
	if got := offlineOf(t, h, id); got != "and what nobody else may read" {
		t.Errorf("%q", got)
	}
	path := filepath.Join(h.Dir(), "identities", "carol", offlineFile)
	file, err := os.ReadFile(path)
	must(t, err)
	if bytes.Contains(file, []byte("nobody")) {
		t.Error("the file shows it")
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
	must(t, h.SetPassphrase(id, []byte("another")))
	if got := offlineOf(t, h, id); !strings.HasPrefix(got, "and") {
		t.Errorf("with another passphrase: %q", got)
	}
	must(t, h.Remove("carol"))
	for name := range tree(t, h.Dir()) {
		if strings.Contains(name, offlineFile) {
			t.Errorf("%s is left of a removed identity", name)
		}
	}
}

func TestAnOfflineStateThatWasTamperedWithIsRefused(t *testing.T) {
	h := newHome(t)
	id := carol(t, h, "")
	setOffline(t, h, id, "state")
	path := filepath.Join(h.Dir(), "identities", "carol", offlineFile)
	file, err := os.ReadFile(path)
	must(t, err)
	for at := range file {
		bad := bytes.Clone(file)
		bad[at] ^= 1
		must(t, os.WriteFile(path, bad, 0o600))
		want := ErrFormat
		if at >= len(offlineFamily) && at < len(offlineHead) {
			want = ErrNewer
		}
		if _, err := h.Offline(id); !errors.Is(err, want) {
			t.Errorf("byte %d changed: %v", at, err)
		}
	}
	for n := range file {
		must(t, os.WriteFile(path, file[:n], 0o600))
		if _, err := h.Offline(id); !errors.Is(err, ErrFormat) && !errors.Is(err, ErrNewer) {
			t.Errorf("cut to %d: %v", n, err)
		}
	}
	must(t, os.WriteFile(path, file, 0o600))
	other := testIdentity4(t, "carol", false)
	if _, err := h.Offline(other); !errors.Is(err, ErrFormat) {
		t.Errorf("of another key: %v", err)
	}
	must(t, os.Chmod(path, 0o644))
	if _, err := h.Offline(id); !errors.Is(err, ErrUnsafe) {
		t.Errorf("readable by others: %v", err)
	}
}

func TestAnOfflineStateThatCannotBeChangedStays(t *testing.T) {
	slowtest.SkipShort(t)
	h := newHome(t)
	id := carol(t, h, "")
	setOffline(t, h, id, "state")
	fails := errors.New("no")
	if err := h.UpdateOffline(id, func([]byte) ([]byte, error) { return []byte("other"), fails }); !errors.Is(err, fails) {
		t.Errorf("%v", err)
	}
	if err := h.UpdateOffline(id, func([]byte) ([]byte, error) { return make([]byte, MaxOffline+1), nil }); !errors.Is(err, ErrFormat) {
		t.Errorf("too long: %v", err)
	}
	if got := offlineOf(t, h, id); got != "state" {
		t.Errorf("%q", got)
	}
	old := create(t, h, "alice", "")
	if err := h.UpdateOffline(old, func([]byte) ([]byte, error) { return nil, nil }); !errors.Is(err, ErrNoVersion4) {
		t.Errorf("without a key of version 4: %v", err)
	}
}

func TestOneProcessAtATimeReadsOffline(t *testing.T) {
	slowtest.SkipShort(t)
	h := newHome(t)
	carol(t, h, "")
	unlock, err := h.LockOffline(context.Background(), "carol")
	must(t, err)
	ctx, cancel := context.WithTimeout(context.Background(), 2*offlinePause)
	defer cancel()
	if _, err := h.LockOffline(ctx, "carol"); !errors.Is(err, ErrLocked) {
		t.Errorf("%v", err)
	}
	time.AfterFunc(2*offlinePause, unlock)
	unlock, err = h.LockOffline(context.Background(), "carol")
	must(t, err)
	unlock()
	if _, err := h.LockOffline(context.Background(), "nobody"); !errors.Is(err, ErrNotFound) {
		t.Errorf("%v", err)
	}
}
