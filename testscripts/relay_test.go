//go:build unix

package testscripts

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"otrpipe/otr/v4"
	"otrpipe/otr/wire"
)

// A side is one end of a wire.
type side int

const (
	alice side = iota
	bob
)

func (s side) String() string { return [...]string{"alice", "bob"}[s] }
func (s side) other() side    { return 1 - s }

// A relay stands between two ends in place of a network. Each end is joined to
// it by a Unix socket, which the program `dial` brings to an otrpipe as its
// transport. It is driven by what a test wants done to the wire.
type relay struct {
	sockets [2]string
	// tamper says what goes on to the other side in place of the n-th line
	// (from 0, its LF included) that a side sent; nil leaves all as it is.
	tamper func(from side, n int, line []byte) [][]byte
	// cutFrom and cutAfter: once so many bytes of that side went on, the wire
	// is cut in both directions. Negative: never.
	cutFrom  side
	cutAfter int64
	// tap sees what went on, as it went on; nil: nobody looks.
	tap func(from side, passed []byte)

	conns  [2]*net.UnixConn
	passed [2]int64
	done   sync.WaitGroup
	err    error // why an end could not be accepted; valid after wait
}

// maxLine is longer than any line of a stream.
const maxLine = 2 << 20

// begin makes the sockets below folder and relays once both ends have dialled.
func (r *relay) begin(folder string) error {
	var listeners [2]*net.UnixListener
	for s := range listeners {
		r.sockets[s] = filepath.Join(folder, side(s).String())
		listener, err := net.ListenUnix("unix", &net.UnixAddr{Net: "unix", Name: r.sockets[s]})
		if err != nil {
			return err
		}
		// An end that never dials must not keep the relay for ever.
		listener.SetDeadline(time.Now().Add(patience))
		listeners[s] = listener
	}
	r.done.Add(1)
	go func() {
		defer r.done.Done()
		for s, listener := range listeners {
			conn, err := listener.AcceptUnix()
			listener.Close()
			if err != nil {
				r.err = fmt.Errorf("%s did not dial: %w", side(s), err)
				continue
			}
			r.conns[s] = conn
			defer conn.Close()
		}
		if r.err != nil {
			return
		}
		var both sync.WaitGroup
		for s := range listeners {
			both.Go(func() { r.pump(side(s)) })
		}
		both.Wait()
	}()
	return nil
}

// wait returns when both directions have ended.
func (r *relay) wait() error {
	r.done.Wait()
	return r.err
}

func (r *relay) cut() {
	for _, conn := range r.conns {
		conn.Close()
	}
}

// pump carries one direction, line by line.
func (r *relay) pump(from side) {
	defer r.conns[from.other()].CloseWrite()
	in := bufio.NewReaderSize(r.conns[from], maxLine)
	for n := 0; ; n++ {
		line, err := in.ReadSlice('\n')
		if len(line) > 0 {
			lines := [][]byte{line}
			if r.tamper != nil {
				lines = r.tamper(from, n, line)
			}
			for _, line := range lines {
				if !r.pass(from, line) {
					return
				}
			}
		}
		if err != nil {
			return
		}
	}
}

// pass brings one line, or what may pass of it, to the other side.
func (r *relay) pass(from side, line []byte) bool {
	last := false
	if r.cutAfter >= 0 && from == r.cutFrom && r.passed[from]+int64(len(line)) >= r.cutAfter {
		line = line[:r.cutAfter-r.passed[from]]
		last = true
	}
	n, err := r.conns[from.other()].Write(line)
	r.passed[from] += int64(n)
	if r.tap != nil {
		r.tap(from, line[:n])
	}
	if last {
		r.cut()
	}
	return err == nil && !last
}

// An end is one otrpipe of a run.
type end struct {
	args  []string // flags and arguments of connect, before the transport
	input []byte   // its plaintext, written in pieces of chunk bytes
	quiet bool     // its input stays open until it ends: it has nothing to say and does not hang up

	cmd    *exec.Cmd
	output bytes.Buffer // what it delivered
	errors bytes.Buffer // what it said
	code   int
}

// chunk is the size of the pieces in which an end's input comes. One message
// carries a whole number of them, and what it carries besides is far shorter.
const chunk = 1000

// folders are temporary ones that several tests use, gone when all have run.
type folders struct {
	mu    sync.Mutex
	names []string
}

var sharedFolders folders

func (f *folders) make(pattern string) (string, error) {
	name, err := os.MkdirTemp("", pattern)
	f.mu.Lock()
	defer f.mu.Unlock()
	f.names = append(f.names, name)
	return name, err
}

func (f *folders) remove() {
	for _, name := range f.names {
		os.RemoveAll(name)
	}
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

// The identities of all runs, made once: a DSA key takes its time.
var identities = sync.OnceValues(func() (string, error) {
	folder, err := sharedFolders.make("otrpipe-identities")
	if err != nil {
		return "", err
	}
	for _, name := range []string{"alice", "bob", "mallory"} {
		if out, err := exec.Command("otrpipe", "--home", folder, "keygen", "-i", name).CombinedOutput(); err != nil {
			return folder, fmt.Errorf("keygen: %w: %s", err, out)
		}
	}
	return folder, nil
})

// newHome gives a test its own copy of the identities' folder, so that what it
// remembers of contacts stays its own.
func newHome(t *testing.T) string {
	t.Helper()
	from, err := identities()
	if err != nil {
		t.Fatal(err)
	}
	to := filepath.Join(t.TempDir(), "home")
	if err := os.CopyFS(to, os.DirFS(from)); err != nil {
		t.Fatal(err)
	}
	// CopyFS keeps the bits that allow, not those that forbid.
	err = filepath.Walk(to, func(name string, info os.FileInfo, err error) error {
		if err != nil {
			return err
		}
		mode := os.FileMode(0o600)
		if info.IsDir() {
			mode = 0o700
		}
		return os.Chmod(name, mode)
	})
	if err != nil {
		t.Fatal(err)
	}
	return to
}

// begin starts the end with its transport and feeds it.
func (e *end) begin(home, program, socket string, fed *sync.WaitGroup) error {
	args := append([]string{"--home", home, "connect"}, e.args...)
	args = append(args, "--", "dial", socket)
	e.cmd = exec.Command(program, args...)
	e.cmd.Env = cleanEnvironment(filepath.Dir(socket))
	e.cmd.Stdout, e.cmd.Stderr = &e.output, &e.errors
	// What it leaves behind would hold its output open.
	e.cmd.WaitDelay = patience
	e.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	stdin, err := e.cmd.StdinPipe()
	if err != nil {
		return err
	}
	if err := e.cmd.Start(); err != nil {
		return err
	}
	fed.Go(func() {
		for rest := e.input; len(rest) > 0; {
			n, err := stdin.Write(rest[:min(chunk, len(rest))])
			if err != nil {
				return // it has left before its input's end
			}
			rest = rest[n:]
			// So that a stream is many messages. Nothing depends on how many.
			time.Sleep(2 * time.Millisecond)
		}
		if !e.quiet {
			stdin.Close()
		}
	})
	return nil
}

// finish waits for the end to leave.
func (e *end) finish() error {
	overdue := time.AfterFunc(patience, func() { syscall.Kill(-e.cmd.Process.Pid, syscall.SIGKILL) })
	defer overdue.Stop()
	var err error
	e.code, err = exitCode(e.cmd.Wait())
	return err
}

// run lets two ends meet over a relay and returns when both have left.
func run(t *testing.T, r *relay, home string, ends [2]*end) {
	t.Helper()
	folder, err := shortFolder()
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(folder)
	if err := r.begin(folder); err != nil {
		t.Fatal(err)
	}
	var fed sync.WaitGroup
	for s, e := range ends {
		if err := e.begin(home, "otrpipe", r.sockets[s], &fed); err != nil {
			t.Fatal(err)
		}
	}
	for s, e := range ends {
		if err := e.finish(); err != nil {
			t.Errorf("%s: %v", side(s), err)
		}
	}
	fed.Wait()
	if err := r.wait(); err != nil {
		t.Errorf("%v\nalice: %s\nbob: %s", err, ends[alice].describe(), ends[bob].describe())
	}
}

// cleanEnvironment is what a program of a test gets: where programs are, and
// folders below one of the test's own.
func cleanEnvironment(folder string) []string {
	environment := []string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + folder, "XDG_DATA_HOME=" + folder, "XDG_RUNTIME_DIR=" + folder, "TMPDIR=" + folder,
	}
	for _, name := range []string{"GOCOVERDIR", "GORACE"} {
		if value := os.Getenv(name); value != "" {
			environment = append(environment, name+"="+value)
		}
	}
	return environment
}

// A dataMessage is what anyone on the wire can see of one.
type dataMessage struct {
	// keys names what its encryption key comes from. In version 3 that is a key of
	// either side, in version 4 the sender's ratchet.
	keys       []string
	ciphertext int // bytes
}

// seeData returns what a line shows if it is a data message of version 3 or 4.
func seeData(line []byte) (seen dataMessage, ok bool) {
	message, err := wire.AppendDearmored(nil, bytes.TrimRight(line, "\r\n"))
	if err != nil {
		return seen, false
	}
	header, body, err := wire.ParseHeader(message)
	if err != nil || header.Type != wire.TypeData {
		return seen, false
	}
	if header.Version == 4 {
		data, err := v4.ParseData(body)
		return dataMessage{[]string{fmt.Sprintf("ratchet %x", data.ECDH)}, len(data.Encrypted)}, err == nil
	}
	r := wire.NewReader(body)
	r.Byte() // flags
	seen.keys = []string{fmt.Sprint("sender's ", r.Int()), fmt.Sprint("receiver's ", r.Int())}
	r.MPI()   // next D-H key
	r.Take(8) // counter
	seen.ciphertext = len(r.Data())
	return seen, r.Err() == nil
}

// payload is n bytes of plaintext, known for whose it is.
func payload(s side, n int64) []byte {
	bytes, err := io.ReadAll(randomBytes(n, s.String()))
	if err != nil {
		panic(err)
	}
	return bytes
}

// describe shows what an end said, for a failure's message.
func (e *end) describe() string {
	return fmt.Sprintf("exit %d, delivered %d bytes, said:\n%s", e.code, e.output.Len(), strings.TrimSpace(e.errors.String()))
}
