package torture

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"
)

// limited is a command of the program under limits of ulimit's.
func (w *world) limited(limits string, args ...string) *exec.Cmd {
	script := "ulimit " + limits + ` && exec "$0" "$@"`
	return w.other("bash", append([]string{"-c", script, program, "--home", w.home}, args...)...)
}

// An errand is something that the program can be asked to do with a home: one command. It is done
// whole or not at all.
type errand struct {
	name  string
	args  func(w *world) []string
	input string
	// done checks what a command that reported success has done.
	done func(w *world, p *process)
}

// errands are commands that read and write all kinds of files. Each world that does them was
// prepared by prepareErrands.
func errands() []errand {
	return []errand{
		{"keygen", func(w *world) []string { return []string{"keygen", "-i", "carol"} }, "", func(w *world, p *process) {
			w.must("keys", "export", "-i", "carol", "--format", "otrpipe")
			w.must("keys", "remove", "-y", "carol")
		}},
		{"trust", func(w *world) []string { return []string{"contacts", "trust", "bob"} }, "", func(w *world, p *process) {
			if got := w.must("contacts", "list", "--json"); !bytes.Contains(got, []byte("verified")) {
				w.t.Errorf("%s: and yet: %s", p.describe(), got)
			}
			w.must("contacts", "distrust", "bob")
		}},
		{"publish", func(w *world) []string {
			os.Remove(w.path("disk/published"))
			return []string{"prekeys", "publish", "-i", "bob", "-n", "3", "-o", w.path("disk/published")}
		}, "", func(w *world, p *process) {
			if got := bytes.Count(w.read("disk/published"), []byte("?OTRP:")); got != 3 {
				w.t.Errorf("%s: %d ensembles", p.describe(), got)
			}
		}},
		{"encrypt", func(w *world) []string {
			return []string{"encrypt-stream", "-i", "alice", "--to", w.path("disk/ensembles"), "--contact", "bob"}
		}, "sent", func(w *world, p *process) {
			w.write("letter", p.output())
			read := w.run("read", w.from("letter", w.command("decrypt-stream", "-i", "bob", "--offline")))
			w.partOf(read.describe(), read.code, read.output(), w.read("sent"))
			if read.code != 0 {
				w.t.Errorf("%s\n%s: it cannot be read", p.describe(), read.describe())
			}
		}},
		{"connect", func(w *world) []string {
			return []string{"connect", "-i", "alice", "--contact", "carol", "--",
				program, "--home", w.path("other"), "serve", "-i", "bob", "--", "tee", w.path("disk/application")}
		}, "sent", func(w *world, p *process) {
			w.partOf(p.describe(), p.code, p.output(), w.read("sent"))
			if !bytes.Contains(w.must("contacts", "list", "--json"), []byte("carol")) {
				w.t.Errorf("%s: the contact is not remembered", p.describe())
				return
			}
			os.RemoveAll(w.path("disk/application")) // the change needs room
			w.must("contacts", "remove", "carol")
		}},
		{"fingerprint", func(w *world) []string { return []string{"fingerprint", "-i", "alice"} }, "", func(w *world, p *process) {
			if !bytes.Contains(p.output(), []byte("OTRv4")) {
				w.t.Error(p.describe())
			}
		}},
	}
}

// prepareErrands makes what the errands need: ensembles, a contact, a second home, and a text.
func (w *world) prepareErrands(random *rand.Rand) {
	w.t.Helper()
	if err := os.MkdirAll(w.path("disk"), 0o700); err != nil {
		w.t.Fatal(err)
	}
	if err := os.RemoveAll(w.path("other")); err != nil { // of the time before
		w.t.Fatal(err)
	}
	if err := os.CopyFS(w.path("other"), os.DirFS(w.home)); err != nil {
		w.t.Fatal(err)
	}
	// CopyFS grants what the umask allows.
	err := filepath.WalkDir(w.path("other"), func(path string, entry os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entry.IsDir() {
			return os.Chmod(path, 0o700)
		}
		return os.Chmod(path, 0o600)
	})
	if err != nil {
		w.t.Fatal(err)
	}
	w.write("sent", payload(random, 100_000))
	w.must("prekeys", "publish", "-i", "bob", "-n", "1", "-o", w.path("disk/ensembles"))
	w.must("encrypt-stream", "-i", "alice", "--to", w.path("disk/ensembles"), "--contact", "bob")
}

// renewEnsembles gives the sender ensembles that are not used.
func (w *world) renewEnsembles() {
	w.must("prekeys", "revoke", "-i", "bob", "--all")
	w.must("prekeys", "publish", "-i", "bob", "-n", "1", "--force", "-o", w.path("disk/ensembles"))
}

// tries does an errand, which may fail. Nothing may be damaged by that.
func (w *world) tries(e errand, cmd *exec.Cmd) *process {
	w.t.Helper()
	if e.input != "" {
		w.from(e.input, cmd)
	}
	// A limit on the sizes of files is none on pipes: the command can say what is wrong.
	errs, err := os.Create(w.path("errand-" + e.name + ".err"))
	if err != nil {
		w.t.Fatal(err)
	}
	defer errs.Close()
	cmd.Stderr = struct{ io.Writer }{errs}
	return w.run("errand-"+e.name, cmd)
}

// TestAFullDiskDamagesNothing does errands on a disk that has room for a random part of what they write.
func TestAFullDiskDamagesNothing(t *testing.T) {
	if testing.Short() {
		t.Skip("short: runs the program for seconds")
	}
	t.Parallel()
	if os.Getenv(envDisk) == "" {
		// A copy of this test has disks of its own, which nobody else sees.
		self, err := os.Executable()
		if err != nil {
			t.Fatal(err)
		}
		cmd := exec.Command(self, "-test.run", "^"+t.Name()+"$", "-test.v", "-test.timeout", "0",
			"-torture", duration.String(), "-seed", fmt.Sprint(*seed))
		cmd.Env = append(os.Environ(), envDisk+"=yes", envProgram+"="+program)
		cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNS, Pdeathsig: syscall.SIGKILL}
		if os.Getuid() != 0 {
			cmd.SysProcAttr.Cloneflags |= syscall.CLONE_NEWUSER
			cmd.SysProcAttr.UidMappings = []syscall.SysProcIDMap{{ContainerID: os.Getuid(), HostID: os.Getuid(), Size: 1}}
			cmd.SysProcAttr.GidMappings = []syscall.SysProcIDMap{{ContainerID: os.Getgid(), HostID: os.Getgid(), Size: 1}}
		}
		out, err := cmd.CombinedOutput()
		switch {
		case errors.Is(err, os.ErrPermission) || strings.Contains(string(out), noMounts):
			t.Skipf("this system allows no mounts: %v", err)
		case err != nil:
			t.Errorf("%v\n%s", err, out)
		default:
			t.Logf("%s", out)
		}
		return
	}
	if err := syscall.Mount("none", "/", "", syscall.MS_REC|syscall.MS_PRIVATE, ""); err != nil {
		t.Fatal(noMounts, err)
	}
	w := newWorld(t)
	whole, err := readTree(w.home)
	if err != nil {
		t.Fatal(err)
	}
	// The home and the outputs are on a small disk.
	disk := w.path("disk")
	if err := os.Mkdir(disk, 0o700); err != nil {
		t.Fatal(err)
	}
	const blocks = 64 // of 4 KiB
	if err := syscall.Mount("none", disk, "tmpfs", 0, fmt.Sprintf("size=%dk,mode=700", 4*blocks)); err != nil {
		t.Fatal(noMounts, err)
	}
	defer syscall.Unmount(disk, syscall.MNT_DETACH)
	w.home = filepath.Join(disk, "home")
	begin := func() {
		if err := os.RemoveAll(w.home); err != nil {
			t.Fatal(err)
		}
		for name, content := range whole {
			if err := os.MkdirAll(filepath.Dir(filepath.Join(w.home, name)), 0o700); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(w.home, name), content, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		os.Remove(w.path("disk/ensembles"))
		w.prepareErrands(rand.New(rand.NewPCG(*seed, 0)))
	}
	all := errands()
	failed := make(map[string]int)
	rounds(t, 1, func(n int, random *rand.Rand) {
		if n%someRounds == 0 {
			begin()
		}
		e := all[random.IntN(len(all))]
		w.renewEnsembles()
		// From a disk with no room at all to one with enough of it.
		room := random.IntN(6)
		filler := filepath.Join(disk, "filler")
		if err := fill(filler, room*4096); err != nil {
			t.Fatal(err)
		}
		p := w.tries(e, w.command(e.args(w)...))
		if err := os.Remove(filler); err != nil {
			t.Fatal(err)
		}
		w.noneIsLeft()
		w.homeIsWhole()
		if p.code == 0 {
			e.done(w, p)
		} else {
			failed[e.name]++
			w.failsPlainly(p, noSpace)
			w.undone(e, p)
		}
		if t.Failed() {
			t.Logf("%s, with room for %d blocks", e.name, room)
		}
		os.RemoveAll(filepath.Join(disk, "published"))
		os.RemoveAll(filepath.Join(disk, "application"))
	})
	t.Logf("failures: %v", failed)
}

const (
	// someRounds is after how many rounds the home is made anew: it remembers used and revoked
	// ensembles, and would fill the small disk in some thousands of rounds.
	someRounds = 200
	// envDisk is set for a copy of the test that may mount.
	envDisk = "TORTURE_DISK"
	// noMounts marks the failure of such a copy.
	noMounts = "cannot mount a disk:"
)

// What a command says that fails for want of room, or an application for it.
var (
	noSpace  = regexp.MustCompile("(?i)no space left on device")
	tooLarge = regexp.MustCompile("file too large|file size limit exceeded|the application was killed")
)

// fill makes a file that takes all room of a disk but some bytes.
func fill(path string, room int) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	defer f.Close()
	block := make([]byte, 4096)
	size := 0
	for {
		n, err := f.Write(block)
		size += n
		if err != nil {
			break
		}
	}
	return f.Truncate(int64(max(0, size-room)))
}

// failsPlainly checks that a command has failed with an error that says why, and not with a crash.
func (w *world) failsPlainly(p *process, why *regexp.Regexp) {
	w.t.Helper()
	said := p.errors()
	if !strings.Contains(said, "otrpipe: ") || strings.Contains(said, "goroutine ") || p.code > 127 {
		w.t.Errorf("%s: it does not fail plainly", p.describe())
	}
	if !why.MatchString(said) {
		w.t.Errorf("%s: it does not say why: %s", p.describe(), why)
	}
}

// undone checks that an errand that has failed can be done now, and leaves nothing half-done.
func (w *world) undone(e errand, p *process) {
	w.t.Helper()
	switch e.name {
	case "publish":
		if got := w.read("disk/published"); len(got) != 0 {
			w.t.Errorf("%s: a part of the file has its name", p.describe())
		}
	case "connect":
		w.partOf(p.describe(), p.code, p.output(), w.read("sent"))
		w.run("remove", w.command("contacts", "remove", "carol")) // it may be there
	case "keygen":
		if listed := w.must("keys", "list"); bytes.Contains(listed, []byte("carol")) {
			// Only what comes after the identity was made has failed.
			w.must("keys", "export", "-i", "carol", "--format", "otrpipe")
			w.must("keys", "remove", "-y", "carol")
		}
	case "encrypt":
		w.renewEnsembles()
	}
	again := w.tries(e, w.command(e.args(w)...))
	if again.code != 0 {
		w.t.Errorf("%s\nand again:\n%s", p.describe(), again.describe())
		return
	}
	e.done(w, again)
}

// TestProgramsWithoutDescriptorsOrMemoryDamageNothing does errands with few descriptors, little
// memory, and a limit on the sizes of files.
func TestProgramsWithoutDescriptorsOrMemoryDamageNothing(t *testing.T) {
	t.Parallel()
	for _, limit := range []struct {
		name  string
		limit func(random *rand.Rand) string
		why   *regexp.Regexp // what a command that fails has to say; nil: it may have no way to say anything
	}{
		{"descriptors", func(random *rand.Rand) string { return fmt.Sprintf("-n %d", 3+random.IntN(20)) }, nil},
		// What the runtime of Go reserves at its start is some tens of megabytes.
		{"memory", func(random *rand.Rand) string { return fmt.Sprintf("-v %d", 20_000+random.IntN(1_300_000)) }, nil},
		{"size", func(random *rand.Rand) string { return fmt.Sprintf("-f %d", random.IntN(8)) }, tooLarge},
	} {
		t.Run(limit.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.prepareErrands(rand.New(rand.NewPCG(*seed, 0)))
			all := errands()
			failed := make(map[string]int)
			rounds(t, 1, func(n int, random *rand.Rand) {
				e := all[random.IntN(len(all))]
				w.renewEnsembles()
				limits := limit.limit(random)
				p := w.tries(e, w.limited(limits, e.args(w)...))
				w.noneIsLeft()
				w.homeIsWhole()
				if p.code == 0 {
					e.done(w, p)
				} else {
					failed[e.name]++
					if limit.why != nil {
						w.failsPlainly(p, limit.why)
					}
					w.undone(e, p)
				}
				if t.Failed() {
					t.Logf("%s, with ulimit %s", e.name, limits)
				}
			})
			t.Logf("failures: %v", failed)
		})
	}
}

// TestAServerWithoutDescriptorsServesAgain has more callers than a server has descriptors for. It
// goes on, and serves the next caller once they have left.
func TestAServerWithoutDescriptorsServesAgain(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	rounds(t, 1, func(n int, random *rand.Rand) {
		os.Remove(w.path("events"))
		limits := fmt.Sprintf("-n %d", 40+random.IntN(20)) // one session needs some twenty
		server := w.start("server", w.limited(limits, "serve", "-i", "bob", "--max-sessions", "100", "--listen", "127.0.0.1:0",
			"--events", w.path("events"), "--", "sh", "-c", `exec tee "$0/application.$$"`, w.folder))
		address := w.listening("events", server)
		sent := payload(random, 20_000)
		w.write("sent", sent)
		call := func(name string) *process {
			return w.start(name, w.from("sent", w.command("connect", "-i", "alice", "--timeout", "20s", "--tcp", address)))
		}
		var callers []*process
		for i := range 3 + random.IntN(8) {
			callers = append(callers, call(fmt.Sprintf("caller-%d", i)))
		}
		for _, caller := range callers {
			caller.finish()
			w.partOf(caller.describe(), caller.code, caller.output(), sent)
		}
		// The next caller may be held back, since earlier ones have failed.
		for begun := time.Now(); ; {
			last := call("last")
			if last.finish() == 0 {
				w.partOf(last.describe(), last.code, last.output(), sent)
				break
			}
			if time.Since(begun) > patience || server.ended() {
				t.Fatalf("%s\n%s: it does not serve any more", last.describe(), server.describe())
			}
		}
		syscall.Kill(server.cmd.Process.Pid, syscall.SIGTERM)
		if code := server.finish(); code != 143 {
			t.Errorf("%s: exit code %d after SIGTERM", server.describe(), code)
		}
		w.noneIsLeft()
		if t.Failed() {
			t.Logf("with ulimit %s", limits)
		}
	})
}
