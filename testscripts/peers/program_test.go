//go:build unix

package peers

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"otrpipe/testscripts/release"
)

var otrpipe = sync.OnceValues(func() (string, error) { return release.Program(buildDir) })

// A home is a user of the program: keys, contacts and running sessions.
type home struct {
	t       *testing.T
	program string
	env     []string
}

// maxSocketFolder is how long the path of a folder for sockets can be: a socket's has a
// hundred bytes or so, and a name comes behind it.
const maxSocketFolder = 60

// shortFolder makes a folder for sockets, where temporary files go unless the path of that is
// too long.
func shortFolder() (string, error) {
	parent := os.TempDir()
	if len(parent) > maxSocketFolder {
		parent = "/tmp"
	}
	return os.MkdirTemp(parent, "otr")
}

func newHome(t *testing.T) *home {
	t.Helper()
	path, err := otrpipe()
	if err != nil {
		t.Fatal(err)
	}
	// The path of a socket has a hundred bytes or so, which t.TempDir may exceed.
	run, err := shortFolder()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(run) })
	program, err := filepath.Abs(path)
	if err != nil {
		t.Fatal(err)
	}
	h := &home{t: t, program: program, env: append(os.Environ(),
		"OTRPIPE_HOME="+filepath.Join(t.TempDir(), "home"), "XDG_RUNTIME_DIR="+run, "NO_COLOR=1",
		"PATH="+filepath.Dir(program)+":"+os.Getenv("PATH"), "OTR_IRC_PAUSE=0")}
	h.must("keygen")
	return h
}

// must runs the program, which must succeed, and returns what it wrote.
func (h *home) must(args ...string) string {
	h.t.Helper()
	cmd := exec.Command(h.program, args...)
	cmd.Env = h.env
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		h.t.Fatalf("otrpipe %q: %v\n%s", args, err, &stderr)
	}
	return string(out)
}

// code runs the program and returns its exit code.
func (h *home) code(args ...string) int {
	h.t.Helper()
	cmd := exec.Command(h.program, args...)
	cmd.Env = h.env
	return exitCode(h.t, cmd.Run())
}

func exitCode(t *testing.T, err error) int {
	t.Helper()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	if exit == nil {
		return 0
	}
	return exit.ExitCode()
}

// key is the key of this user that a version, 3 or 4, uses, in hex.
func (h *home) key(version string) string {
	return strings.ToLower(strings.Join(strings.Fields(h.must("fingerprint", "--otr", version)), ""))
}

// A live is a running command of the program.
type live struct {
	t      *testing.T
	cmd    *exec.Cmd
	in     io.WriteCloser
	out    buffer
	stderr buffer
}

// A buffer is written by one goroutine and read by another.
type buffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

// begin starts the program, or a script that runs it.
func (h *home) begin(args ...string) *live {
	h.t.Helper()
	cmd := exec.Command(args[0], args[1:]...)
	if args[0] == "otrpipe" {
		cmd = exec.Command(h.program, args[1:]...)
	}
	cmd.Env = h.env
	l := &live{t: h.t, cmd: cmd}
	in, err := cmd.StdinPipe()
	if err != nil {
		h.t.Fatal(err)
	}
	l.in = in
	cmd.Stdout, cmd.Stderr = &l.out, &l.stderr
	cmd.WaitDelay = 5 * time.Second
	if err := cmd.Start(); err != nil {
		h.t.Fatal(err)
	}
	h.t.Cleanup(func() {
		cmd.Process.Signal(syscall.SIGTERM)
		cmd.Wait()
		if h.t.Failed() {
			h.t.Logf("otrpipe wrote %.2000q and said:\n%s", l.out.String(), l.stderr.String())
		}
	})
	return l
}

func (l *live) say(text string) {
	l.t.Helper()
	if _, err := io.WriteString(l.in, text); err != nil {
		l.t.Fatal(err)
	}
}

func (l *live) wait(text string) {
	l.t.Helper()
	eventually(l.t, strconv.Quote(text)+" on standard output",
		func() bool { return strings.Contains(l.out.String(), text) }, l.stderr.String)
}

// left waits until the program leaves and returns its exit code.
func (l *live) left() int {
	l.t.Helper()
	return l.leaves(patience)
}

// leaves is left for a program that may take longer.
func (l *live) leaves(patience time.Duration) int {
	l.t.Helper()
	kill := time.AfterFunc(patience, func() { l.cmd.Process.Kill() })
	defer kill.Stop()
	return exitCode(l.t, l.cmd.Wait())
}

// A remote is a peer that something else runs, driven by a FIFO and watched by
// its file of events.
type remote struct {
	t       *testing.T
	control *os.File
	path    string
	argv    []string // what runs it
}

func newRemote(t *testing.T, k *kind, flags ...string) *remote {
	t.Helper()
	argv := append([]string(nil), k.command(t)...)
	dir := t.TempDir()
	r := &remote{t: t, path: filepath.Join(dir, "events")}
	fifo := filepath.Join(dir, "control")
	if err := unix.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	control, err := os.OpenFile(fifo, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { control.Close() })
	r.control = control
	r.argv = append(append(argv, "--control", fifo, "--events", r.path), flags...)
	return r
}

func (r *remote) do(verb string, arguments ...string) {
	r.t.Helper()
	for i, a := range arguments {
		arguments[i] = escapes.Replace(a)
	}
	if _, err := io.WriteString(r.control, verb+" "+strings.Join(arguments, "\t")+"\n"); err != nil {
		r.t.Fatal(err)
	}
}

// events are all its events so far.
func (r *remote) events() []event {
	r.t.Helper()
	data, _ := os.ReadFile(r.path)
	var events []event
	for line := range bytes.Lines(data) {
		var e event
		if !bytes.HasSuffix(line, []byte("\n")) {
			break // it is being written
		}
		if err := json.Unmarshal(line, &e); err != nil {
			r.t.Fatalf("%s: %v", line, err)
		}
		e.Text, e.Question = bytesOf(e.Text), bytesOf(e.Question)
		events = append(events, e)
	}
	return events
}

// wait waits for the nth event of a name, counted from 1, and returns it.
func (r *remote) wait(name string, nth int) event {
	r.t.Helper()
	var found event
	eventually(r.t, "the peer's event "+name, func() bool {
		n := 0
		for _, e := range r.events() {
			if e.Event == name {
				if n++; n == nth {
					found = e
					return true
				}
			}
		}
		return false
	}, func() string { return names(r.events()) })
	return found
}

// texts are the authentic texts that it has received.
func (r *remote) texts() []string {
	var texts []string
	for _, e := range r.events() {
		if e.Event == "text" && e.Encrypted {
			texts = append(texts, e.Text)
		}
	}
	return texts
}

// secretFile is a file with this SMP secret.
func secretFile(t *testing.T, secret string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(path, []byte(secret+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}
