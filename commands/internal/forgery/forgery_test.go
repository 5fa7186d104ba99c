package forgery

import (
	"errors"
	"io"
	mathrand "math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"otrpipe/commands/internal/exit"
	"otrpipe/commands/internal/terminal"
	"otrpipe/keyfile"
	"otrpipe/otr/toolkit"
)

// newIdentity returns alice's identity. The primes of this seed are found soon.
func newIdentity() (*keyfile.Identity, error) {
	return keyfile.Generate("alice", mathrand.NewChaCha8([32]byte{3}), false)
}

// newConfig returns what every forgery here has: alice's script and alice's identity.
func newConfig(t *testing.T, version int, script string) Config {
	t.Helper()
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { null.Close() })
	return Config{
		IO: terminal.NewIO("otrpipe", null, null, null), Version: version, Script: strings.NewReader(script), As: "alice",
		Open: newIdentity,
	}
}

// refused checks that nothing is written, and with what a forgery ends.
func refused(t *testing.T, cfg Config, code int, text string) {
	t.Helper()
	var out strings.Builder
	err := Forge(cfg, &out)
	if err == nil || out.Len() > 0 {
		t.Errorf("written is %q, and not %q", out.String(), text)
		return
	}
	if e := exit.As(err); e.Code != code || !strings.Contains(e.Error()+"\n"+e.Hint, text) {
		t.Errorf("refused with %d: %v (hint: %s); want %d: %s", e.Code, e, e.Hint, code, text)
	}
}

func TestAScriptBecomesAConversationOfVersion3(t *testing.T) {
	for _, peerBegins := range []bool{false, true} {
		cfg := newConfig(t, 3, "alice: hello\nbob: who is there?\n")
		cfg.PeerBegins = peerBegins
		var out strings.Builder
		if err := Forge(cfg, &out); err != nil {
			t.Fatal(err)
		}
		begins := "alice: "
		if peerBegins {
			begins = "bob: "
		}
		if !strings.HasPrefix(out.String(), begins) {
			t.Errorf("with PeerBegins %v the log begins with %.20q", peerBegins, out.String())
		}
		if strings.Contains(out.String(), "hello") {
			t.Error("a text of the script is in the log as it is")
		}
		kinds := map[string]int{}
		p := toolkit.NewParser(strings.NewReader(out.String()))
		for {
			m, err := p.Next()
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
			kinds[m.Name]++
		}
		for _, kind := range []string{"d_h_commit", "d_h_key", "reveal_signature", "signature"} {
			if kinds[kind] != 1 {
				t.Errorf("the log has %v", kinds)
			}
		}
		if kinds["data"] < 2 {
			t.Errorf("the log has %v", kinds)
		}
	}
}

func TestABadScriptIsRefusedBeforeTheIdentityIsOpened(t *testing.T) {
	for script, text := range map[string]string{
		"no name\n":                         "line 1 is not of the form NAME: TEXT",
		"alice: hello\nbob: hi\ncarol: hey": "line 3",
	} {
		cfg := newConfig(t, 3, script)
		cfg.Open = func() (*keyfile.Identity, error) {
			t.Error("the identity was opened")
			return nil, keyfile.ErrNotFound
		}
		refused(t, cfg, exit.Failure, text)
		cfg.Script = strings.NewReader(script)
		refused(t, cfg, exit.Failure, "alice: hello") // the hint
	}
}

func TestAnIdentityOfVersion3ForgesNothingOfVersion4(t *testing.T) {
	cfg := newConfig(t, 4, "alice: hello\nbob: hi\n")
	cfg.Open = func() (*keyfile.Identity, error) {
		id, err := newIdentity()
		if err == nil {
			id.Ed448.Wipe()
			id.Ed448, id.Forging = nil, nil
		}
		return id, err
	}
	refused(t, cfg, exit.KeyFile, "no key for OTR version 4")
}

func TestVersion4NeedsTheProfileOfThePeer(t *testing.T) {
	log := filepath.Join(t.TempDir(), "log")
	cfg := newConfig(t, 4, "alice: hello\nbob: hi\n")
	cfg.Log = log
	refused(t, cfg, exit.Failure, "--profile: ")
	if err := os.WriteFile(log, []byte("a log without a key exchange\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for away, needs := range map[bool]string{false: "an Identity or Auth-R message of the peer", true: "a prekey ensemble of the peer"} {
		cfg := newConfig(t, 4, "alice: hello\n")
		if !away {
			cfg = newConfig(t, 4, "alice: hello\nbob: hi\n")
		}
		cfg.Log, cfg.Away = log, away
		refused(t, cfg, exit.Failure, needs)
	}
}
