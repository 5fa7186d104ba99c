package torture

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"hash/fnv"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"otrpipe/keyfile"
	"otrpipe/testscripts/release"
	"otrpipe/testscripts/slowtest"
)

var (
	duration = flag.Duration("torture", 3*time.Second, "how long each test goes on")
	seed     = flag.Uint64("seed", 0, "the seed of every random choice; 0 for a new one")
)

// patience is how long anything may take that must come to its end. It is far above what
// anything takes, and no test passes because of it.
const patience = 5 * time.Minute

// program is the program as a person gets it.
var program string

func TestMain(m *testing.M) { os.Exit(runTests(m)) }

func runTests(m *testing.M) int {
	flag.Parse()
	if *seed == 0 {
		*seed = rand.Uint64()
	}
	if testing.Short() {
		*duration = min(*duration, 200*time.Millisecond)
	} else if slowtest.LeftOut() {
		*duration = min(*duration, time.Second/2)
	}
	// The tests wait most of the time, and each goes on for the same time: all run at once.
	if err := flag.Set("test.parallel", "64"); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	folder, err := os.MkdirTemp("", "otrpipe-torture")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(folder)
	program = os.Getenv(envProgram)
	if program == "" && !testing.Short() {
		if program, err = release.Program(folder); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
	}
	return m.Run()
}

// envProgram names the program to a copy of these tests that runs elsewhere, see TestAFullDiskDamagesNothing.
const envProgram = "TORTURE_PROGRAM"

// rounds calls round until the time of a test is over, at least as often as said. Each round has choices of
// its own, which follow from the seed, the test's name, and the round's number.
func rounds(t *testing.T, least int, round func(n int, random *rand.Rand)) {
	t.Helper()
	t.Logf("seed %d", *seed)
	name := fnv.New64a()
	fmt.Fprint(name, t.Name())
	n := 0
	for begun := time.Now(); (n < least || time.Since(begun) < *duration) && !t.Failed(); n++ {
		round(n, rand.New(rand.NewPCG(*seed, name.Sum64()+uint64(n))))
		if t.Failed() {
			t.Logf("in round %d of seed %d", n, *seed)
		}
	}
	t.Logf("%d rounds", n)
}

// A world is a home with the identities alice and bob, and a folder for everything else.
type world struct {
	t      *testing.T
	folder string // short, since sockets are in it
	home   string
	keys   string // of both identities, as keys list shows them
	all    []*process
}

// identities is a home that is made once; every world has a copy.
var identities = sync.OnceValues(func() (map[string][]byte, error) {
	folder, err := os.MkdirTemp("", "otrpipe-torture")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(folder)
	for _, name := range []string{"alice", "bob"} {
		if out, err := exec.Command(program, "--home", folder, "keygen", "-i", name).CombinedOutput(); err != nil {
			return nil, fmt.Errorf("keygen: %w: %s", err, out)
		}
	}
	return readTree(folder)
})

// readTree reads all files below a folder.
func readTree(folder string) (map[string][]byte, error) {
	files := make(map[string][]byte)
	err := filepath.WalkDir(folder, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		name, err := filepath.Rel(folder, path)
		if err == nil {
			files[name], err = os.ReadFile(path)
		}
		return err
	})
	return files, err
}

func newWorld(t *testing.T) *world {
	t.Helper()
	if testing.Short() {
		t.Skip("short: runs the program for seconds")
	}
	parent := os.TempDir()
	if len(parent) > 60 { // the path of a socket has 108 bytes at most
		parent = "/tmp"
	}
	folder, err := os.MkdirTemp(parent, "torture")
	if err != nil {
		t.Fatal(err)
	}
	w := &world{t: t, folder: folder, home: filepath.Join(folder, "home")}
	t.Cleanup(func() {
		w.killAll()
		w.noneIsLeft()
		if t.Failed() {
			t.Logf("all files are in %s", folder)
			return
		}
		os.RemoveAll(folder)
	})
	files, err := identities()
	if err != nil {
		t.Fatal(err)
	}
	for name, content := range files {
		path := filepath.Join(w.home, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	w.keys = w.listKeys()
	return w
}

// path is a path in the world's folder.
func (w *world) path(name string) string { return filepath.Join(w.folder, name) }

// write makes a file that only its owner can read.
func (w *world) write(name string, content []byte) string {
	w.t.Helper()
	if err := os.WriteFile(w.path(name), content, 0o600); err != nil {
		w.t.Fatal(err)
	}
	return w.path(name)
}

// read returns what a file has; nothing if it does not exist.
func (w *world) read(name string) []byte {
	w.t.Helper()
	content, err := os.ReadFile(w.path(name))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		w.t.Fatal(err)
	}
	return content
}

func (w *world) environment() []string {
	return []string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + w.folder, "XDG_DATA_HOME=" + w.folder, "XDG_RUNTIME_DIR=" + w.folder,
		"TMPDIR=" + w.folder, "TERM=xterm", "OTRPIPE=" + program, "OTRPIPE_HOME=" + w.home,
	}
}

// A process is a running program. Its output is in files.
type process struct {
	w    *world
	name string
	cmd  *exec.Cmd
	done chan struct{}
	code int // as a shell shows it; valid once done is closed
}

// command is a command of the program. The home is in its arguments, by which noneIsLeft
// recognizes its process.
func (w *world) command(args ...string) *exec.Cmd {
	return w.other(program, append([]string{"--home", w.home}, args...)...)
}

// other is a command of another program.
func (w *world) other(name string, args ...string) *exec.Cmd {
	cmd := exec.Command(name, args...)
	cmd.Env = w.environment()
	cmd.Dir = w.folder
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	return cmd
}

// start starts a program; its output goes to the files NAME.out and NAME.err, unless cmd has
// something else. Files that cmd has are closed here.
func (w *world) start(name string, cmd *exec.Cmd) *process {
	w.t.Helper()
	p := &process{w: w, name: name, cmd: cmd, done: make(chan struct{})}
	var files []*os.File
	create := func(name string) *os.File {
		f, err := os.OpenFile(w.path(name), os.O_WRONLY|os.O_CREATE|os.O_TRUNC|os.O_APPEND, 0o600)
		if err != nil {
			w.t.Fatal(err)
		}
		files = append(files, f)
		return f
	}
	if cmd.Stdout == nil {
		cmd.Stdout = create(name + ".out")
	}
	if cmd.Stderr == nil {
		cmd.Stderr = create(name + ".err")
	}
	err := cmd.Start()
	for _, stream := range []any{cmd.Stdin, cmd.Stdout} {
		if f, ok := stream.(*os.File); ok && f != nil && !slices.Contains(files, f) {
			files = append(files, f)
		}
	}
	for _, f := range files {
		f.Close()
	}
	if err != nil {
		w.t.Fatal(err)
	}
	w.all = append(w.all, p)
	go func() {
		err := cmd.Wait()
		p.code = exitCode(err)
		close(p.done)
	}()
	return p
}

func exitCode(err error) int {
	if err == nil {
		return 0
	}
	var exit *exec.ExitError
	if !errors.As(err, &exit) {
		return -1
	}
	if status := exit.Sys().(syscall.WaitStatus); status.Signaled() {
		return 128 + int(status.Signal())
	}
	return exit.ExitCode()
}

// finish waits for the program's end and returns its exit code. A program that does not end is
// a failure.
func (p *process) finish() int {
	p.w.t.Helper()
	select {
	case <-p.done:
	case <-time.After(patience):
		p.w.t.Errorf("%s has not ended after %v", p.describe(), patience)
		// The end of its goroutines may tell why.
		syscall.Kill(p.cmd.Process.Pid, syscall.SIGABRT)
		time.Sleep(time.Second)
		syscall.Kill(-p.cmd.Process.Pid, syscall.SIGKILL)
		<-p.done
		p.w.t.Fatal(p.errors())
	}
	return p.code
}

func (p *process) ended() bool {
	select {
	case <-p.done:
		return true
	default:
		return false
	}
}

func (p *process) output() []byte { return p.w.read(p.name + ".out") }
func (p *process) errors() string { return string(p.w.read(p.name + ".err")) }

// describe shows for a failure what a program was and what it said.
func (p *process) describe() string {
	state := "running"
	if p.ended() {
		state = fmt.Sprintf("exit %d", p.code)
	}
	return fmt.Sprintf("%s (%s): %s, %d bytes of output, said:\n%s",
		p.name, strings.Join(p.cmd.Args[1:], " "), state, len(p.output()), p.errors())
}

// from has a command read a file of the world.
func (w *world) from(name string, cmd *exec.Cmd) *exec.Cmd {
	w.t.Helper()
	f, err := os.Open(w.path(name))
	if err != nil {
		w.t.Fatal(err)
	}
	cmd.Stdin = f
	return cmd
}

// run runs a program to its end.
func (w *world) run(name string, cmd *exec.Cmd) *process {
	w.t.Helper()
	p := w.start(name, cmd)
	p.finish()
	return p
}

// must runs a command of the program that has to succeed, and returns its output.
func (w *world) must(args ...string) []byte {
	w.t.Helper()
	p := w.run("must", w.command(args...))
	if p.code != 0 {
		w.t.Fatal(p.describe())
	}
	return p.output()
}

func (w *world) killAll() {
	for _, p := range w.all {
		if !p.ended() {
			syscall.Kill(-p.cmd.Process.Pid, syscall.SIGKILL)
			<-p.done
		}
	}
	w.all = nil
}

// left are the processes that have the world's folder in their arguments, which all do that a
// world starts, and what these start.
func (w *world) left() (pids []int) {
	all, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		w.t.Fatal(err)
	}
	for _, path := range all {
		line, err := os.ReadFile(path)
		if err != nil || !bytes.Contains(line, []byte(w.folder)) {
			continue
		}
		pid, err := strconv.Atoi(strings.Split(path, "/")[2])
		if err == nil && pid != os.Getpid() {
			pids = append(pids, pid)
		}
	}
	return pids
}

// noneIsLeft checks that no process stays behind.
func (w *world) noneIsLeft(except ...int) {
	w.t.Helper()
	for begun := time.Now(); ; time.Sleep(20 * time.Millisecond) {
		pids := slices.DeleteFunc(w.left(), func(pid int) bool { return slices.Contains(except, pid) })
		if len(pids) == 0 {
			return
		}
		if time.Since(begun) > patience {
			for _, pid := range pids {
				line, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
				w.t.Errorf("process %d is left: %s", pid, bytes.ReplaceAll(line, []byte{0}, []byte{' '}))
				syscall.Kill(pid, syscall.SIGKILL)
			}
			return
		}
	}
}

// listKeys opens the identities alice and bob, and returns their keys.
func (w *world) listKeys() (all string) {
	w.t.Helper()
	home := keyfile.Open(w.home)
	for _, name := range []string{"alice", "bob"} {
		id, err := home.Identity(name, nil)
		if err != nil {
			w.t.Fatal(err)
		}
		public, err := home.Public(name)
		if err != nil {
			w.t.Fatal(err)
		}
		if !slices.Equal(public.Keys, id.Public().Keys) {
			w.t.Errorf("%s has %v and shows %v", name, id.Public().Keys, public.Keys)
		}
		all += fmt.Sprintf("%s %08x %v\n", name, id.InstanceTag, public.Keys)
	}
	return all
}

// homeIsWhole checks that everything in the home can be opened and has the keys that it had,
// and that nothing in it can be read by others.
func (w *world) homeIsWhole() {
	w.t.Helper()
	if keys := w.listKeys(); keys != w.keys {
		w.t.Errorf("the keys were\n%s\nand are\n%s", w.keys, keys)
	}
	contacts, err := keyfile.Open(w.home).Contacts()
	if err != nil {
		w.t.Fatal(err)
	}
	for _, contact := range contacts {
		if len(contact.Keys) == 0 {
			w.t.Errorf("the contact %s has no key", contact.Name)
		}
		for _, key := range contact.Keys {
			if shown := fmt.Sprint(key.Fingerprint); !strings.Contains(w.keys, shown) {
				w.t.Errorf("the contact %s has a key that nobody has: %s", contact.Name, shown)
			}
		}
	}
	w.must("prekeys", "list", "-i", "bob", "--json") // reads and writes the store of prekeys and sessions
	err = filepath.WalkDir(w.home, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := entry.Info()
		if err != nil {
			return err
		}
		if info.Mode().Perm()&0o077 != 0 {
			w.t.Errorf("%s has mode %v", path, info.Mode())
		}
		return nil
	})
	if err != nil {
		w.t.Fatal(err)
	}
}

// payload is n bytes that have the marker in them again and again.
func payload(random *rand.Rand, n int) []byte {
	text := make([]byte, 0, n+64)
	for len(text) < n {
		text = fmt.Appendf(text, "%016x %s %016x\n", random.Uint64(), marker, random.Uint64())
	}
	return text[:n]
}

// marker is in everything that is sent, and must not be on the wire.
const marker = "PLAINTEXT-7vQ2mX"
