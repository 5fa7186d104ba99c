//go:build unix

package testscripts

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"otrpipe/otr/stream"
	"otrpipe/testscripts/slowtest"
)

// maxMemory is what one end may have at once, however much passes through.
const maxMemory = 64 << 20

// TestAGibibyteOneWay sends a gibibyte from connect to serve and holds three
// promises to it: every bit arrives, either end does with little memory, and
// the keys change although only one side has anything to say.
func TestAGibibyteOneWay(t *testing.T) {
	slowtest.Skip(t)
	sendOneWay(t, "3", 1<<30)
}

// TestMuchOneWayInVersion4 holds the same promises in version 4, whose keys are those of a
// ratchet. That is sixteen windows, so any ratchet too long shows.
func TestMuchOneWayInVersion4(t *testing.T) {
	slowtest.Skip(t)
	sendOneWay(t, "4", 1<<28)
}

func sendOneWay(t *testing.T, version string, size int64) {
	if testing.Short() {
		t.Skip("short: so much takes its time")
	}
	program := buildProgram(t)
	home := newHome(t)
	folder, err := shortFolder()
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(folder)

	// What each key carried, in bytes of plaintext, and all of them together.
	carried := make(map[string]int64)
	var total int64
	r := &relay{cutAfter: -1, tap: func(from side, passed []byte) {
		if from != alice {
			return
		}
		if seen, ok := seeData(passed); ok {
			n := int64(seen.ciphertext - recordOverhead)
			total += n
			for _, key := range seen.keys {
				carried[key] += n
			}
		}
	}}
	if err := r.begin(folder); err != nil {
		t.Fatal(err)
	}

	// bob's application is one that reads to the end and then says what it got.
	begin := func(s side, args ...string) (*exec.Cmd, *bytes.Buffer) {
		said := new(bytes.Buffer)
		cmd := exec.Command("measure", append([]string{filepath.Join(folder, s.String()+".measured"), program, "--home", home}, args...)...)
		cmd.Env = cleanEnvironment(folder)
		cmd.Stderr = said
		cmd.WaitDelay = patience
		return cmd, said
	}
	sender, senderSaid := begin(alice, "connect", "-i", "alice", "--otr", version, "--", "dial", r.sockets[alice])
	hash := sha256.New()
	sender.Stdin = io.TeeReader(randomBytes(size, "one way"), hash)
	answer := new(bytes.Buffer)
	sender.Stdout = answer

	receiver, receiverSaid := begin(bob, "serve", "-i", "bob", "--otr", version, "--", "sha256sum")
	transport := exec.Command("dial", r.sockets[bob])
	transport.Stdin, receiver.Stdout, err = os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	receiver.Stdin, transport.Stdout, err = os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	all := []*exec.Cmd{transport, receiver, sender}
	for _, cmd := range all {
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
	}
	// The ends of the pipes are theirs now.
	for _, file := range []any{transport.Stdin, transport.Stdout, receiver.Stdin, receiver.Stdout} {
		file.(*os.File).Close()
	}
	for _, cmd := range all {
		if err := cmd.Wait(); err != nil {
			t.Errorf("%s: %v", cmd.Args[0], err)
		}
	}
	if err := r.wait(); err != nil {
		t.Fatal(err)
	}
	if t.Failed() {
		t.Fatalf("alice said:\n%s\nbob said:\n%s", senderSaid, receiverSaid)
	}

	got, _, _ := strings.Cut(answer.String(), " ")
	if want := hex.EncodeToString(hash.Sum(nil)); got != want {
		t.Errorf("bob got %s, alice sent %s", got, want)
	}
	for _, s := range []side{alice, bob} {
		text, err := os.ReadFile(filepath.Join(folder, s.String()+".measured"))
		if err != nil {
			t.Fatal(err)
		}
		var m measured
		if err := json.Unmarshal(text, &m); err != nil {
			t.Fatal(err)
		}
		t.Logf("%s had %d KiB of memory at most", s, m.MaxRSS>>10)
		if m.MaxRSS >= maxMemory {
			t.Errorf("%s had %d MiB of memory, not under %d", s, m.MaxRSS>>20, maxMemory>>20)
		}
	}
	var most int64
	for key, n := range carried {
		most = max(most, n)
		if n > 2*stream.DefaultWindow {
			t.Errorf("the key %s carried %d bytes, more than two windows of %d", key, n, stream.DefaultWindow)
		}
	}
	t.Logf("%d keys carried %d KiB at most", len(carried), most>>10)
	if total < size {
		t.Errorf("the wire showed %d bytes only", total)
	}
}

// recordOverhead is what a message of the stream has besides its bytes: the
// NUL after the empty text, a TLV's type and length, and an offset.
const recordOverhead = 1 + 4 + 8

// builtProgram is the program as a person gets it: without the race detector and the
// tests' own code, whose memory is not its. It is built once for all tests.
var builtProgram = sync.OnceValues(func() (string, error) {
	folder, err := sharedFolders.make("otrpipe-built")
	if err != nil {
		return "", err
	}
	program := filepath.Join(folder, "otrpipe")
	if out, err := exec.Command("go", "build", "-buildvcs=false", "-ldflags", "-s -w", "-o", program, "otrpipe").CombinedOutput(); err != nil {
		return "", fmt.Errorf("go build: %w: %s", err, out)
	}
	return program, nil
})

func buildProgram(t *testing.T) string {
	t.Helper()
	program, err := builtProgram()
	if err != nil {
		t.Fatal(err)
	}
	return program
}
