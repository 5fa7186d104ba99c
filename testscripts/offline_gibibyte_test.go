//go:build unix

package testscripts

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"otrpipe/testscripts/slowtest"
)

// TestAGibibyteToSomebodyWhoIsAway encrypts a gibibyte to a prekey and reads it: every bit
// arrives, neither side needs more memory for it, and what is kept of it is small.
func TestAGibibyteToSomebodyWhoIsAway(t *testing.T) {
	slowtest.Skip(t)
	if testing.Short() {
		t.Skip("short: so much takes its time")
	}
	program, home, folder := buildProgram(t), newHome(t), t.TempDir()
	run := func(args ...string) *exec.Cmd {
		cmd := exec.Command(program, append([]string{"--home", home}, args...)...)
		cmd.Env = cleanEnvironment(folder)
		return cmd
	}
	ensembles := filepath.Join(folder, "ensembles")
	if out, err := run("prekeys", "publish", "-i", "bob", "-n", "1", "-o", ensembles).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	measure := func(name string, cmd *exec.Cmd) (*exec.Cmd, *bytes.Buffer) {
		said := new(bytes.Buffer)
		measuring := exec.Command("measure", append([]string{filepath.Join(folder, name)}, cmd.Args...)...)
		measuring.Env, measuring.Stderr, measuring.WaitDelay = cmd.Env, said, patience
		return measuring, said
	}
	sender, senderSaid := measure("sender", run("encrypt-stream", "-i", "alice", "--to", ensembles, "--contact", "bob"))
	receiver, receiverSaid := measure("receiver", run("decrypt-stream", "-i", "bob", "--offline", "--contact", "alice"))
	sent, got := sha256.New(), sha256.New()
	sender.Stdin, receiver.Stdout = io.TeeReader(randomBytes(1<<30, "away"), sent), got
	var err error
	if receiver.Stdin, sender.Stdout, err = os.Pipe(); err != nil {
		t.Fatal(err)
	}
	for _, cmd := range []*exec.Cmd{receiver, sender} {
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
	}
	receiver.Stdin.(*os.File).Close()
	sender.Stdout.(*os.File).Close()
	for _, cmd := range []*exec.Cmd{sender, receiver} {
		if err := cmd.Wait(); err != nil {
			t.Errorf("%v", err)
		}
	}
	if t.Failed() {
		t.Fatalf("the sender said:\n%s\nthe receiver said:\n%s", senderSaid, receiverSaid)
	}
	if a, b := hex.EncodeToString(sent.Sum(nil)), hex.EncodeToString(got.Sum(nil)); a != b {
		t.Errorf("%s was sent and %s came", a, b)
	}
	for _, name := range []string{"sender", "receiver"} {
		text, err := os.ReadFile(filepath.Join(folder, name))
		if err != nil {
			t.Fatal(err)
		}
		var m measured
		if err := json.Unmarshal(text, &m); err != nil {
			t.Fatal(err)
		}
		t.Logf("the %s had %d KiB of memory at most", name, m.MaxRSS>>10)
		if m.MaxRSS >= maxMemory {
			t.Errorf("the %s had %d MiB of memory, not under %d", name, m.MaxRSS>>20, maxMemory>>20)
		}
	}
	for _, identity := range []string{"alice", "bob"} {
		info, err := os.Stat(filepath.Join(home, "identities", identity, "offline"))
		if err != nil {
			t.Fatal(err)
		}
		if info.Size() > 128<<10 {
			t.Errorf("%s keeps %d bytes of it", identity, info.Size())
		}
	}
}
