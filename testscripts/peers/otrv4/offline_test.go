package otrv4

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"otrpipe/testscripts/peers/python"
	"otrpipe/testscripts/release"
	"otrpipe/testscripts/slowtest"
)

// An offlineWorld is a folder with our program's home and the stores of offline.py, which
// runs in one process.
type offlineWorld struct {
	t       *testing.T
	folder  string
	program string
	python  *pythonPeer
}

var builtProgram = sync.OnceValues(func() (string, error) { return release.Program(buildFolder) })

// buildFolder holds the program for as long as the tests run.
var buildFolder string

func TestMain(m *testing.M) { os.Exit(runTests(m)) }

func runTests(m *testing.M) int {
	var err error
	if buildFolder, err = os.MkdirTemp("", "otrpipe"); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(buildFolder)
	return m.Run()
}

// long skips a test that takes seconds where -short asks for the quick ones.
func long(t *testing.T) {
	t.Helper()
	if testing.Short() {
		t.Skip("short: takes seconds")
	}
}

func newOfflineWorld(t *testing.T) *offlineWorld {
	t.Helper()
	python.Need(t)
	program, err := builtProgram()
	if err != nil {
		t.Fatal(err)
	}
	w := &offlineWorld{t: t, folder: t.TempDir(), program: program}
	w.python = newPythonPeer(t, w.folder)
	if r := w.otrpipe(nil, "keygen"); r.status != 0 {
		t.Fatal(r.stderr)
	}
	return w
}

type outcome struct {
	status int
	stdout []byte
	stderr string
}

func (w *offlineWorld) run(input []byte, argv ...string) outcome {
	w.t.Helper()
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.Dir = w.folder
	cmd.Env = append(os.Environ(), "OTRPIPE_HOME="+filepath.Join(w.folder, "home"))
	cmd.Stdin = bytes.NewReader(input)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	cmd.WaitDelay = time.Second
	if err := cmd.Start(); err != nil {
		w.t.Fatal(err)
	}
	kill := time.AfterFunc(peerTime, func() { cmd.Process.Kill() })
	defer kill.Stop()
	cmd.Wait()
	return outcome{cmd.ProcessState.ExitCode(), stdout.Bytes(), stderr.String()}
}

func (w *offlineWorld) otrpipe(input []byte, args ...string) outcome {
	w.t.Helper()
	return w.run(input, append([]string{w.program}, args...)...)
}

func (w *offlineWorld) write(name string, content []byte) {
	w.t.Helper()
	if err := os.WriteFile(filepath.Join(w.folder, name), content, 0o600); err != nil {
		w.t.Fatal(err)
	}
}

func texts(events []event) (all []string) {
	for _, e := range events {
		if e.Event == "text" {
			all = append(all, e.Text)
		}
	}
	return all
}

// receive has our program read lines in a file, which needs no flag.
func (w *offlineWorld) receive(lines []byte, args ...string) outcome {
	w.t.Helper()
	return w.otrpipe(lines, append([]string{"decrypt-stream", "--offline", "--mode", "lines"}, args...)...)
}

func TestWritingToThePeerWhoIsAway(t *testing.T) {
	long(t)
	t.Parallel()
	w := newOfflineWorld(t)
	published, _ := w.python.run(nil, "publish", "-n", "2", "--store", "peer.json")
	w.write("ensembles", published.stdout)
	sent := w.otrpipe([]byte("one\nzwölf\n"), "encrypt-stream", "--to", "ensembles", "--contact", "peer", "--mode", "lines", "--last")
	if sent.status != 0 {
		t.Fatal(sent.stderr)
	}
	got, events := w.python.run(sent.stdout, "receive", "--store", "peer.json")
	if got.status != 0 || !slices.Equal(texts(events), []string{"one", "zwölf"}) {
		t.Errorf("%d, %v", got.status, events)
	}
	// A conversation that goes on, in fragments.
	sent = w.otrpipe([]byte("hello\n"), "encrypt-stream", "--to", "ensembles", "--contact", "peer", "--mode", "lines", "--max-size", "500")
	_, events = w.python.run(sent.stdout, "receive", "--store", "peer.json")
	if !slices.Equal(texts(events), []string{"hello"}) {
		t.Fatalf("%v", events)
	}
	rounds := 4
	if slowtest.LeftOut() {
		rounds = 1
	}
	for range rounds {
		answer, _ := w.python.run(nil, "answer", "--store", "peer.json", "--text", "answer")
		got := w.receive(answer.stdout)
		if got.status != 5 || string(got.stdout) != "answer\n" { // nothing marks the end of an answer
			t.Fatalf("%d, %q, %s", got.status, got.stdout, got.stderr)
		}
		sent := w.otrpipe([]byte("again\n"), "encrypt-stream", "--reply-to", "peer", "--mode", "lines")
		if _, events = w.python.run(sent.stdout, "receive", "--store", "peer.json"); !slices.Equal(texts(events), []string{"again"}) {
			t.Fatalf("%v, %s", events, sent.stderr)
		}
	}
	answer, _ := w.python.run(nil, "answer", "--store", "peer.json", "--text", "bye", "--end")
	if got := w.receive(answer.stdout); got.status != 0 || string(got.stdout) != "bye\n" {
		t.Errorf("%d, %q, %s", got.status, got.stdout, got.stderr)
	}
}

func TestReadingWhatThePeerWroteWhileWeWereAway(t *testing.T) {
	long(t)
	t.Parallel()
	w := newOfflineWorld(t)
	w.write("ensembles", w.otrpipe(nil, "prekeys", "publish", "-n", "3").stdout)
	sent, _ := w.python.run(nil, "send", "--to", "ensembles", "--text", "one", "--text", "zwölf", "--store", "peer.json")
	got := w.receive(sent.stdout, "--contact", "peer")
	if got.status != 0 || string(got.stdout) != "one\nzwölf\n" {
		t.Fatalf("%d, %q, %s", got.status, got.stdout, got.stderr)
	}
	if got := w.receive(sent.stdout); got.status != 1 || len(got.stdout) > 0 {
		t.Errorf("again: %d, %q, %s", got.status, got.stdout, got.stderr)
	}
	// An answer of ours, and the peer's to that.
	sent, _ = w.python.run(nil, "send", "--to", "ensembles", "--text", "hello", "--open", "--store", "peer.json", "--fragment", "5")
	if got := w.receive(sent.stdout, "--contact", "peer", "--trust", "known"); got.status != 5 || string(got.stdout) != "hello\n" {
		t.Fatalf("%d, %q, %s", got.status, got.stdout, got.stderr)
	}
	reply := w.otrpipe([]byte("answer\n"), "encrypt-stream", "--reply-to", "peer", "--mode", "lines")
	if _, events := w.python.run(reply.stdout, "receive", "--store", "peer.json"); !slices.Equal(texts(events), []string{"answer"}) {
		t.Errorf("%v, %s", events, reply.stderr)
	}
	sent, _ = w.python.run(nil, "answer", "--store", "peer.json", "--text", "bye", "--end")
	if got := w.receive(sent.stdout); got.status != 0 || string(got.stdout) != "bye\n" {
		t.Errorf("%d, %q, %s", got.status, got.stdout, got.stderr)
	}
}

func TestAPrekeyServesAnHonestMessageAfterHostileOnes(t *testing.T) {
	long(t)
	t.Parallel()
	w := newOfflineWorld(t)
	w.write("ensembles", w.otrpipe(nil, "prekeys", "publish", "-n", "1").stdout)
	for _, kind := range []string{"bad-auth-mac", "bad-ring-signature", "changed-first-key", "truncated-auth"} {
		sent, _ := w.python.run(nil, "send", "--to", "ensembles", "--text", "x", "--hostile", kind)
		if got := w.receive(sent.stdout); got.status == 0 || len(got.stdout) > 0 {
			t.Errorf("%s: exit status %d, %q", kind, got.status, got.stdout)
		}
	}
	honest, _ := w.python.run(nil, "send", "--to", "ensembles", "--text", "honest")
	if got := w.receive(honest.stdout); got.status != 0 || string(got.stdout) != "honest\n" {
		t.Errorf("exit status %d, %q, %s", got.status, got.stdout, got.stderr)
	}
}
