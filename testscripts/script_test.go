//go:build unix

package testscripts

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
	"golang.org/x/sys/unix"

	"otrpipe/testscripts/slowtest"
)

// patience is how long a script waits for what must come. It is far above
// what anything takes, and no test passes because of it.
const patience = 90 * time.Second

// scriptCommands are the commands that scripts have beyond testscript's own:
//
//	slow                          marks a script that takes seconds: scripts/test skips it
//	                              without --all
//	need PROGRAM [PACKAGE]        skips the script where PROGRAM is missing, naming
//	                              Debian's package; with CI=true it fails instead
//	identity NAME...              is otrpipe keygen -i NAME, but the identity is one that
//	                              several stories have
//	freeport VAR...               sets each VAR to a free TCP port of loopback
//	waitport PORT                 waits until something listens there, without
//	                              connecting to it
//	[!] waitfor FILE REGEXP       waits until FILE has a match
//	exits CODE PROGRAM ARGS...    like exec, with this exit code; a program killed by
//	                              signal n has 128 + n
//	start [-i] NAME PROGRAM ARGS... [<FILE] [>FILE] [2>FILE]
//	                              starts a program in the background; its output goes to
//	                              NAME.out and NAME.err. With -i its input stays open
//	feed NAME TEXT...             writes each TEXT as a line to the input of a -i program
//	hangup NAME                   closes that input
//	signal NAME SIGNAL            sends a signal by its name, such as TERM
//	finish NAME CODE              waits for the program's exit, which must be CODE;
//	                              then stdout and stderr look at its output
//	running NAME                  the program has not ended
//	cgo                           from here on otrpipe is built with cgo; see also the
//	                              condition [cgo]
//	sshd VAR                      starts a throw-away sshd of our own on loopback and sets
//	                              VAR to its port; see startSSHD
var scriptCommands = map[string]func(ts *testscript.TestScript, neg bool, args []string){
	"slow":     markSlow,
	"need":     need,
	"identity": identity,
	"freeport": freePort,
	"waitport": waitPort,
	"waitfor":  waitFor,
	"exits":    exits,
	"start":    start,
	"feed":     feed,
	"hangup":   hangup,
	"signal":   signal,
	"finish":   finish,
	"running":  running,
	"cgo":      useCgo,
	"sshd":     startSSHD,
}

// A script's Values hold its processes and its test under these keys.
type (
	processesKey struct{}
	testKey      struct{}
)

// processes are the background programs of one script, by the script's names.
type processes struct {
	mu     sync.Mutex
	byName map[string]*process
}

type process struct {
	cmd   *exec.Cmd
	stdin io.WriteCloser // nil unless started with -i
	done  chan struct{}
	err   error // of Wait; valid once done is closed
	out   string
	errs  string
}

func (p *processes) add(name string, one *process) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if old := p.byName[name]; old != nil && !old.ended() {
		return fmt.Errorf("%s is still running", name)
	}
	if p.byName == nil {
		p.byName = make(map[string]*process)
	}
	p.byName[name] = one
	return nil
}

// killAll ends what is left. Each program leads a process group of its own,
// so what it started goes with it.
func (p *processes) killAll() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, one := range p.byName {
		// An ended leader may have left members of its group behind.
		syscall.Kill(-one.cmd.Process.Pid, syscall.SIGKILL)
		<-one.done
	}
}

func (p *process) ended() bool {
	select {
	case <-p.done:
		return true
	default:
		return false
	}
}

// exitCode is what a shell would show for err of a Wait.
func exitCode(err error) (int, error) {
	if err == nil {
		return 0, nil
	}
	var exit *exec.ExitError
	if !errors.As(err, &exit) {
		return 0, err
	}
	if status := exit.Sys().(syscall.WaitStatus); status.Signaled() {
		return 128 + int(status.Signal()), nil
	}
	return exit.ExitCode(), nil
}

func named(ts *testscript.TestScript, name string) *process {
	all := ts.Value(processesKey{}).(*processes)
	all.mu.Lock()
	defer all.mu.Unlock()
	one := all.byName[name]
	if one == nil {
		ts.Fatalf("no program was started as %s", name)
	}
	return one
}

func markSlow(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 0 {
		ts.Fatalf("usage: slow")
	}
	if slowtest.LeftOut() {
		ts.Value(testKey{}).(testscript.T).Skip(slowtest.Reason)
	}
}

func need(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 1 || len(args) > 2 {
		ts.Fatalf("usage: need PROGRAM [PACKAGE]")
	}
	if _, err := findProgram(args[0]); err == nil {
		return
	}
	message := fmt.Sprintf("%s is not installed: apt-get install %s", args[0], args[len(args)-1])
	if os.Getenv("CI") == "true" {
		ts.Fatalf("%s", message)
	}
	ts.Value(testKey{}).(testscript.T).Skip(message)
}

// madeIdentities is a home with an identity for each name that a story has asked for.
var madeIdentities struct {
	sync.Mutex
	home string
	made map[string]bool
}

// madeIdentity returns the folder of an identity, which it makes if it is the first to ask for it:
// making one costs three times as much as starting the program.
func madeIdentity(name string) (string, error) {
	all := &madeIdentities
	all.Lock()
	defer all.Unlock()
	if all.made == nil {
		home, err := sharedFolders.make("otrpipe-identities")
		if err != nil {
			return "", err
		}
		all.home, all.made = home, make(map[string]bool)
	}
	if !all.made[name] {
		if out, err := exec.Command("otrpipe", "--home", all.home, "keygen", "-i", name).CombinedOutput(); err != nil {
			return "", fmt.Errorf("keygen: %w: %s", err, out)
		}
		all.made[name] = true
	}
	return filepath.Join(all.home, "identities", name), nil
}

func identity(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) == 0 {
		ts.Fatalf("usage: identity NAME...")
	}
	home := ts.Getenv("OTRPIPE_HOME")
	if home == "" {
		home = filepath.Join(ts.Getenv("XDG_DATA_HOME"), "otrpipe")
	}
	for _, name := range args {
		from, err := madeIdentity(name)
		ts.Check(err)
		to := filepath.Join(home, "identities", name)
		if _, err := os.Stat(to); err == nil {
			ts.Fatalf("%s exists already", to)
		}
		ts.Check(os.MkdirAll(to, 0o700))
		files, err := os.ReadDir(from)
		ts.Check(err)
		for _, file := range files {
			text, err := os.ReadFile(filepath.Join(from, file.Name()))
			ts.Check(err)
			ts.Check(os.WriteFile(filepath.Join(to, file.Name()), text, 0o600))
		}
	}
}

func freePort(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) == 0 {
		ts.Fatalf("usage: freeport VAR...")
	}
	for _, name := range args {
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		ts.Check(err)
		// Held until the script ends its line, so that no two are the same.
		defer listener.Close()
		ts.Setenv(name, strconv.Itoa(listener.Addr().(*net.TCPAddr).Port))
	}
}

func waitPort(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: waitport PORT")
	}
	port, err := strconv.Atoi(args[0])
	ts.Check(err)
	ts.Check(until("nothing listens on port "+args[0], func() bool { return listening(port) }))
}

func waitFor(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: waitfor FILE REGEXP")
	}
	pattern, err := regexp.Compile("(?m)" + args[1])
	ts.Check(err)
	file := ts.MkAbs(args[0])
	var text []byte
	err = until(fmt.Sprintf("%s has no match for %s", args[0], args[1]), func() bool {
		text, _ = os.ReadFile(file)
		return pattern.Match(text)
	})
	if err != nil {
		ts.Fatalf("%v; it has:\n%s", err, text)
	}
}

func exits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits CODE PROGRAM ARGS...")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	got, err := exitCode(ts.Exec(args[1], args[2:]...))
	ts.Check(err)
	if got != want {
		ts.Fatalf("exit code %d, not %d", got, want)
	}
}

func start(ts *testscript.TestScript, neg bool, args []string) {
	const usage = "usage: start [-i] NAME PROGRAM ARGS... [<FILE] [>FILE] [2>FILE]"
	open := len(args) > 0 && args[0] == "-i"
	if open {
		args = args[1:]
	}
	if neg || len(args) < 2 {
		ts.Fatalf(usage)
	}
	name, args := args[0], args[1:]
	in, out, errs := os.DevNull, name+".out", name+".err"
	for ; len(args) > 1; args = args[:len(args)-1] {
		last := args[len(args)-1]
		if file, ok := strings.CutPrefix(last, "2>"); ok {
			errs = file
		} else if file, ok := strings.CutPrefix(last, ">"); ok {
			out = file
		} else if file, ok := strings.CutPrefix(last, "<"); ok {
			in = file
		} else {
			break
		}
	}

	program, err := lookPath(ts, args[0])
	ts.Check(err)
	cmd := exec.Command(program, args[1:]...)
	cmd.Args[0] = args[0]
	cmd.Dir = ts.MkAbs(".")
	cmd.Env, err = environment(ts)
	ts.Check(err)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	one := &process{cmd: cmd, done: make(chan struct{}), out: ts.MkAbs(out), errs: ts.MkAbs(errs)}
	var files []*os.File
	defer func() {
		for _, f := range files {
			f.Close()
		}
	}()
	create := func(path string) *os.File {
		f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_APPEND|os.O_TRUNC, 0o600)
		ts.Check(err)
		files = append(files, f)
		return f
	}
	cmd.Stdout, cmd.Stderr = create(one.out), create(one.errs)
	if open {
		one.stdin, err = cmd.StdinPipe()
		ts.Check(err)
	} else {
		f, err := os.Open(ts.MkAbs(in))
		ts.Check(err)
		files = append(files, f)
		cmd.Stdin = f
	}
	ts.Check(cmd.Start())
	go func() {
		one.err = cmd.Wait()
		close(one.done)
	}()
	if err := ts.Value(processesKey{}).(*processes).add(name, one); err != nil {
		syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
		ts.Fatalf("%v", err)
	}
}

func feed(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: feed NAME TEXT...")
	}
	one := named(ts, args[0])
	if one.stdin == nil {
		ts.Fatalf("%s was not started with -i", args[0])
	}
	for _, text := range args[1:] {
		_, err := io.WriteString(one.stdin, text+"\n")
		ts.Check(err)
	}
}

func hangup(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: hangup NAME")
	}
	one := named(ts, args[0])
	if one.stdin == nil {
		ts.Fatalf("%s was not started with -i", args[0])
	}
	// The input of a program that has ended is closed already.
	if err := one.stdin.Close(); err != nil && !errors.Is(err, os.ErrClosed) {
		ts.Fatalf("%v", err)
	}
}

func signal(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: signal NAME SIGNAL")
	}
	number := unix.SignalNum("SIG" + args[1])
	if number == 0 {
		ts.Fatalf("no signal is called %s", args[1])
	}
	ts.Check(named(ts, args[0]).cmd.Process.Signal(number))
}

func finish(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: finish NAME CODE")
	}
	want, err := strconv.Atoi(args[1])
	ts.Check(err)
	one := named(ts, args[0])
	select {
	case <-one.done:
	case <-time.After(patience):
		ts.Logf("%s", readAll(one.errs))
		ts.Fatalf("%s has not ended", args[0])
	}
	fmt.Fprint(ts.Stdout(), readAll(one.out))
	fmt.Fprint(ts.Stderr(), readAll(one.errs))
	got, err := exitCode(one.err)
	ts.Check(err)
	if got != want {
		ts.Fatalf("exit code of %s is %d, not %d", args[0], got, want)
	}
}

func running(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) != 1 {
		ts.Fatalf("usage: [!] running NAME")
	}
	if named(ts, args[0]).ended() != neg {
		ts.Fatalf("%s: ended is %v", args[0], !neg)
	}
}

// useCgo puts the program as go build makes it here in front of the script's PATH.
func useCgo(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 0 {
		ts.Fatalf("usage: cgo")
	}
	program, err := builtProgram()
	ts.Check(err)
	ts.Setenv("PATH", filepath.Dir(program)+string(filepath.ListSeparator)+ts.Getenv("PATH"))
}

// until waits for done, and else fails with what.
func until(what string, done func() bool) error {
	return untilEvery(20*time.Millisecond, what, done)
}

// untilEvery is until with the time between two calls of done.
func untilEvery(interval time.Duration, what string, done func() bool) error {
	for deadline := time.Now().Add(patience); ; {
		if done() {
			return nil
		}
		if time.Now().After(deadline) {
			return errors.New(what)
		}
		time.Sleep(interval)
	}
}

// listening reports whether a process of this machine listens on a TCP port.
// It asks the kernel, because a netcat that waits for one connection would
// take a trial for it.
func listening(port int) bool {
	for _, table := range []string{"/proc/net/tcp", "/proc/net/tcp6"} {
		text, _ := os.ReadFile(table)
		for line := range strings.Lines(string(text)) {
			// sl local_address rem_address st …; 0A is LISTEN.
			fields := strings.Fields(line)
			if len(fields) > 3 && fields[3] == "0A" && strings.HasSuffix(fields[1], fmt.Sprintf(":%04X", port)) {
				return true
			}
		}
	}
	return false
}

// findProgram looks where servers are too, which a user's PATH leaves out.
func findProgram(name string) (string, error) {
	path, err := exec.LookPath(name)
	if err == nil {
		return path, nil
	}
	return exec.LookPath(filepath.Join("/usr/sbin", name))
}

// lookPath finds a program in the script's PATH, or below its folder.
func lookPath(ts *testscript.TestScript, name string) (string, error) {
	if strings.Contains(name, "/") {
		return ts.MkAbs(name), nil
	}
	for _, folder := range filepath.SplitList(ts.Getenv("PATH")) {
		path := filepath.Join(folder, name)
		if info, err := os.Stat(path); err == nil && !info.IsDir() && info.Mode()&0o111 != 0 {
			return path, nil
		}
	}
	return "", &exec.Error{Name: name, Err: exec.ErrNotFound}
}

// environment returns the script's variables as they are now. The engine gives
// them to the programs it starts and to nobody else, so a program is asked.
func environment(ts *testscript.TestScript) ([]string, error) {
	file := filepath.Join(ts.Getenv("TMPDIR"), "environment")
	if err := ts.Exec("sh", "-c", `env -0 >"$0"`, file); err != nil {
		return nil, err
	}
	text, err := os.ReadFile(file)
	return strings.Split(strings.TrimSuffix(string(text), "\x00"), "\x00"), err
}

func readAll(file string) string {
	text, err := os.ReadFile(file)
	if err != nil {
		return err.Error()
	}
	return string(text)
}
