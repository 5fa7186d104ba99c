package keyfile

import (
	"crypto/rand"
	"errors"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"

	"otrpipe/otr/wire"
)

func TestAClientProfileIsMadeOnceAndKept(t *testing.T) {
	h := newHome(t)
	id := testIdentity("alice")
	must(t, h.Create(id, nil))
	var made atomic.Int32
	renew := func(kept []byte) ([]byte, error) {
		if kept != nil {
			return kept, nil
		}
		return []byte{byte(made.Add(1))}, nil
	}
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			// Another Home, as another process has it.
			profile, err := homeIn(h.Dir()).ClientProfile(id, 1, wire.MakeVersions(3, 4), renew)
			if err != nil {
				t.Error(err)
				return
			}
			kept, err := os.ReadFile(filepath.Join(h.Dir(), identitiesFolder, "alice", "profile-34"))
			if err != nil || string(kept) != string(profile) {
				t.Errorf("%x, but %x is kept, %v", profile, kept, err)
			}
		})
	}
	all.Wait()
	other, err := h.ClientProfile(id, 1, wire.MakeVersions(4), func(kept []byte) ([]byte, error) {
		if kept != nil {
			t.Errorf("the profile of other versions is %x", kept)
		}
		return []byte("of version 4 alone"), nil
	})
	must(t, err)
	if string(other) != "of version 4 alone" {
		t.Errorf("%q", other)
	}
	info, err := os.Stat(filepath.Join(h.Dir(), identitiesFolder, "alice", "profile-34"))
	must(t, err)
	if info.Mode().Perm() != fileMode {
		t.Errorf("mode %v", info.Mode())
	}
	// The identity opens as before, and goes with its profiles.
	opened, err := h.Identity("alice", nil)
	must(t, err)
	opened.Wipe()
	must(t, h.Remove("alice"))
	_, err = h.ClientProfile(id, 1, wire.MakeVersions(3, 4), renew)
	wantError(t, err, ErrNotFound)
}

// Each further process of an identity is a client of its own, and the same at its next start.
func TestEveryClientOfAnIdentityKeepsItsTagAndItsProfile(t *testing.T) {
	h := newHome(t)
	id := testIdentity("alice")
	must(t, h.Create(id, nil))
	seen := map[uint32]int{}
	var tags [MaxClients + 1]uint32
	for client := 1; client <= MaxClients; client++ {
		var err error
		tags[client], err = h.ClientTag(id, client, rand.Reader)
		must(t, err)
		if other, twice := seen[tags[client]]; twice || tags[client] < minInstanceTag {
			t.Errorf("client %d has the tag %x, as has client %d", client, tags[client], other)
		}
		seen[tags[client]] = client
		profile, err := h.ClientProfile(id, client, wire.MakeVersions(4), func(kept []byte) ([]byte, error) {
			if kept != nil {
				t.Errorf("client %d has the profile %q already", client, kept)
			}
			return []byte{byte(client)}, nil
		})
		must(t, err)
		if string(profile) != string([]byte{byte(client)}) {
			t.Errorf("client %d has the profile %q", client, profile)
		}
	}
	if tags[1] != id.InstanceTag {
		t.Errorf("the first has the tag %x, the identity %x", tags[1], id.InstanceTag)
	}
	again := homeIn(h.Dir())
	for client := 1; client <= MaxClients; client++ {
		tag, err := again.ClientTag(id, client, rand.Reader)
		if err != nil || tag != tags[client] {
			t.Errorf("client %d has the tag %x at its next start, %v; it was %x", client, tag, err, tags[client])
		}
		if _, err := again.ClientProfile(id, client, wire.MakeVersions(4), func(kept []byte) ([]byte, error) {
			if string(kept) != string([]byte{byte(client)}) {
				t.Errorf("the profile of client %d is %q", client, kept)
			}
			return kept, nil
		}); err != nil {
			t.Error(err)
		}
	}
	// A file that is damaged is drawn anew.
	path := filepath.Join(h.Dir(), identitiesFolder, "alice", tagPrefix+"2")
	for _, damaged := range []string{"", "000000ff\n", "1234567", "xxxxxxxx\n", "123456789\n"} {
		must(t, os.WriteFile(path, []byte(damaged), 0o600))
		tag, err := h.ClientTag(id, 2, rand.Reader)
		if err != nil || tag < minInstanceTag {
			t.Errorf("%q: %x, %v", damaged, tag, err)
		}
		if kept, err := h.ClientTag(id, 2, rand.Reader); kept != tag || err != nil {
			t.Errorf("%q: %x is not kept: %x, %v", damaged, tag, kept, err)
		}
	}
	must(t, os.Chmod(path, 0o644))
	_, err := h.ClientTag(id, 2, rand.Reader)
	wantError(t, err, ErrUnsafe)
}

func TestAClientProfileThatCannotBeMadeChangesNothing(t *testing.T) {
	h := newHome(t)
	id := testIdentity("alice")
	must(t, h.Create(id, nil))
	_, err := h.ClientProfile(id, 1, wire.MakeVersions(3, 4), func([]byte) ([]byte, error) { return []byte("kept"), nil })
	must(t, err)
	broken := errors.New("broken")
	if _, err := h.ClientProfile(id, 1, wire.MakeVersions(3, 4), func([]byte) ([]byte, error) { return nil, broken }); !errors.Is(err, broken) {
		t.Errorf("error %v", err)
	}
	path := filepath.Join(h.Dir(), identitiesFolder, "alice", "profile-34")
	must(t, os.WriteFile(path, make([]byte, maxClientProfile+1), 0o600))
	profile, err := h.ClientProfile(id, 1, wire.MakeVersions(3, 4), func(kept []byte) ([]byte, error) {
		if kept != nil {
			t.Errorf("%d bytes are a profile", len(kept))
		}
		return []byte("new"), nil
	})
	if string(profile) != "new" || err != nil {
		t.Errorf("%q, %v", profile, err)
	}
	must(t, os.Chmod(path, 0o644))
	_, err = h.ClientProfile(id, 1, wire.MakeVersions(3, 4), nil)
	wantError(t, err, ErrUnsafe)
}

func TestAnEphemeralIdentityIsNewEachTimeAndNowhereOnDisk(t *testing.T) {
	t.Chdir(t.TempDir())
	t.Setenv("HOME", ".")
	first, err := Ephemeral(rand.Reader)
	must(t, err)
	second, err := Ephemeral(rand.Reader)
	must(t, err)
	if first.Ed448 == nil || first.InstanceTag < minInstanceTag || len(first.Public().Keys) != 2 {
		t.Errorf("identity %v", first.Public())
	}
	for i, fp := range first.Public().Keys {
		if fp == second.Public().Keys[i] {
			t.Errorf("two of them have the key %v", fp)
		}
	}
	if entries, err := os.ReadDir("."); err != nil || len(entries) > 0 {
		t.Errorf("the folder has %v, %v", entries, err)
	}
}
