//go:build unix

package peers

import (
	"bufio"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"otrpipe/testscripts/peers/python"
)

// seen is what a man in the middle reported.
func seen(t *testing.T, path string) []event {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var events []event
	s := bufio.NewScanner(f)
	s.Buffer(nil, 1<<24)
	for s.Scan() {
		var e event
		if err := json.Unmarshal(s.Bytes(), &e); err != nil {
			t.Fatalf("%s: %v", s.Bytes(), err)
		}
		events = append(events, e)
	}
	return events
}

// joined runs a with b as its other end, until a leaves.
func joined(t *testing.T, a, b *exec.Cmd) {
	t.Helper()
	toA, fromB, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	toB, fromA, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	a.Stdin, a.Stdout, b.Stdin, b.Stdout = toA, fromA, toB, fromB
	background(t, b)
	background(t, a)
	for _, f := range []*os.File{toA, fromB, toB, fromA} {
		f.Close()
	}
}

// The man in the middle is a real one: nothing between two clients that check
// nothing is secret from it, and they do not notice. SMP that is passed on fails.
func TestManInTheMiddleReadsThoseWhoDoNotCheck(t *testing.T) {
	long(t)
	t.Parallel()
	peer := libotr.command(t)[0]
	middle, err := helper("mitm")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	log, alice, bob := filepath.Join(dir, "seen"), filepath.Join(dir, "alice"), filepath.Join(dir, "bob")
	joined(t,
		exec.Command(peer, "--events", alice, "--on", "start=query", "--on", "secure=say payload",
			"--on", "text:1=smp the secret"),
		exec.Command(middle, "--seen", log, "--relay-smp", "--",
			peer, "--events", bob, "--echo", "--on", "asked=answer the secret"))
	for _, path := range []string{alice, bob} {
		eventually(t, "SMP to fail", func() bool {
			events, _ := os.ReadFile(path)
			return strings.Contains(string(events), "smp_failed")
		}, func() string {
			events, _ := os.ReadFile(path)
			return string(events)
		})
	}
	read := 0
	for _, e := range seen(t, log) {
		if e.Event == "message" && e.Text == "payload" {
			read++
		}
	}
	if read != 2 {
		t.Errorf("it read the payload %d times, want it from both sides", read)
	}
	var mine, theirs string
	for _, e := range seen(t, alice) {
		if e.Event == "secure" {
			theirs = e.Fingerprint
		}
	}
	for _, e := range seen(t, bob) {
		if e.Event == "ready" {
			mine = e.Fingerprint
		}
	}
	if mine == theirs || theirs == "" {
		t.Errorf("alice sees the key %q, bob has %q: nobody was between them", theirs, mine)
	}
}

// The same in version 4, between two peers of another make.
func TestManInTheMiddleOfVersion4ReadsThoseWhoDoNotCheck(t *testing.T) {
	long(t)
	t.Parallel()
	middle, err := helper("mitm")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	log, alice, bob := filepath.Join(dir, "seen"), filepath.Join(dir, "alice"), filepath.Join(dir, "bob")
	// Their events go to standard error.
	peer := []string{"sh", "-c", `events=$1; shift; exec "$@" 2>"$events"`, "sh"}
	command := func(events string, flags ...string) []string {
		return append(append(append([]string{}, peer...), events, python.Need(t), "otrv4/peer.py", "--no-accounts"), flags...)
	}
	a := command(alice, "--query", "--say", "payload", "--smp-secret", "the secret")
	b := append([]string{middle, "--version", "4", "--seen", log, "--relay-smp", "--"},
		command(bob, "--echo", "--smp-answer", "the secret")...)
	joined(t, exec.Command(a[0], a[1:]...), exec.Command(b[0], b[1:]...))
	for _, path := range []string{alice, bob} {
		eventually(t, "SMP to fail", func() bool {
			events, _ := os.ReadFile(path)
			return strings.Contains(string(events), `"smp", "result": false`)
		}, func() string {
			events, _ := os.ReadFile(path)
			return string(events)
		})
	}
	read := 0
	for _, e := range seen(t, log) {
		if e.Event == "message" && (e.Text == "payload" || e.Text == "echo: payload") {
			read++
		}
	}
	if read == 0 {
		t.Errorf("it read nothing")
	}
}
