package keyfile

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"otrpipe/testscripts/slowtest"
)

// These tests need other processes that are killed in the middle of a write, hold the lock,
// or write at the same time. They start the test program itself, with its task in the
// environment.
const (
	envWriter     = "KEYFILE_TEST_WRITER"      // one of writers
	envWriterHome = "KEYFILE_TEST_WRITER_HOME" // where
	envWriterArg  = "KEYFILE_TEST_WRITER_ARG"
)

func init() {
	if os.Getenv(envWriter) != "" {
		// One thread does everything, so that it can be followed step by step.
		runtime.LockOSThread()
	}
}

func TestMain(m *testing.M) {
	name := os.Getenv(envWriter)
	if name == "" {
		os.Exit(m.Run())
	}
	if err := writers[name](homeIn(os.Getenv(envWriterHome)), os.Getenv(envWriterArg)); err != nil {
		fmt.Fprintln(os.Stderr, err)
		if errors.Is(err, ErrExists) {
			os.Exit(existsCode)
		}
		os.Exit(1)
	}
}

const existsCode = 6

// writers lists the tasks of such a process. The part between two calls of mark can be
// interrupted.
var writers = map[string]func(h *Home, arg string) error{
	"create": func(h *Home, arg string) error {
		id, err := h.Identity("alice", nil)
		if err != nil {
			return err
		}
		id.Name = arg
		return marked(func() error { return h.Create(id, nil) })
	},
	"protect": func(h *Home, arg string) error {
		id, err := h.Identity("alice", nil)
		if err != nil {
			return err
		}
		return marked(func() error { return h.SetPassphrase(id, []byte(arg)) })
	},
	"upgrade": func(h *Home, arg string) error {
		return marked(func() error { return h.Upgrade(arg, rand.Reader, false, nil) })
	},
	"remove": func(h *Home, arg string) error {
		return marked(func() error { return h.Remove(arg) })
	},
	"remember": func(h *Home, arg string) error {
		n, err := strconv.Atoi(arg)
		if err != nil {
			return err
		}
		return marked(func() error { return h.RememberKey("contact "+arg, fingerprintOf(byte(n)), Seen, someday) })
	},
	"export": func(h *Home, arg string) error {
		return marked(func() error { return WriteFile(arg, []byte("the new content"), true) })
	},
	"export new": func(h *Home, arg string) error {
		return marked(func() error { return WriteFile(arg, []byte("the new content"), false) })
	},
	"hold": func(h *Home, arg string) error {
		unlock, err := h.lock()
		if err != nil {
			return err
		}
		defer unlock()
		fmt.Println("locked")
		_, err = io.Copy(io.Discard, os.Stdin)
		return err
	},
}

// markSignal tells the tracer of the process that the write begins or is complete. Go ignores
// it.
const markSignal = unix.SIGUSR2

func marked(write func() error) error {
	if err := unix.Tgkill(os.Getpid(), unix.Gettid(), markSignal); err != nil {
		return err
	}
	err := write()
	if err := unix.Tgkill(os.Getpid(), unix.Gettid(), markSignal); err != nil {
		return err
	}
	return err
}

func writerCommand(t testing.TB, h *Home, name, arg string) *exec.Cmd {
	t.Helper()
	program, err := os.Executable()
	must(t, err)
	cmd := exec.Command(program)
	cmd.Env = append(os.Environ(), envWriter+"="+name, envWriterHome+"="+h.Dir(), envWriterArg+"="+arg)
	return cmd
}

// harmless lists system calls that change no file: being killed before one of them leaves the
// same files as being killed before the next one that is not harmless. Most are made by the
// Go runtime. A call that is missing here only costs time.
var harmless = []uint64{
	unix.SYS_READ, unix.SYS_PREAD64, unix.SYS_LSEEK, unix.SYS_CLOSE, unix.SYS_FCNTL, unix.SYS_FLOCK, unix.SYS_GETDENTS64, unix.SYS_STATX,
	unix.SYS_FSTAT, unix.SYS_READLINKAT, unix.SYS_FACCESSAT, unix.SYS_FACCESSAT2,
	sysMmap, unix.SYS_MUNMAP, unix.SYS_MPROTECT, unix.SYS_MADVISE, unix.SYS_FUTEX, unix.SYS_NANOSLEEP, unix.SYS_SCHED_YIELD,
	unix.SYS_CLONE, unix.SYS_CLONE3, unix.SYS_RT_SIGPROCMASK, unix.SYS_RT_SIGACTION, unix.SYS_RT_SIGRETURN, unix.SYS_SIGALTSTACK,
	unix.SYS_EPOLL_CREATE1, unix.SYS_EPOLL_CTL, unix.SYS_EPOLL_PWAIT, unix.SYS_EVENTFD2,
	unix.SYS_GETPID, unix.SYS_GETTID, unix.SYS_TGKILL, unix.SYS_GETRANDOM, unix.SYS_PRCTL,
}

// A systemCall is the beginning of what PTRACE_GET_SYSCALL_INFO tells.
type systemCall struct {
	op     uint8 // 1: it is about to be made
	_      [3]uint8
	arch   uint32
	ip, sp uint64
	number uint64
	args   [6]uint64
}

// callOf is the system call that a process has stopped at.
func callOf(t *testing.T, pid int) (call systemCall) {
	t.Helper()
	_, _, errno := unix.Syscall6(unix.SYS_PTRACE, unix.PTRACE_GET_SYSCALL_INFO, uintptr(pid), unsafe.Sizeof(call), uintptr(unsafe.Pointer(&call)), 0, 0)
	if errno != 0 {
		t.Fatal(errno)
	}
	return call
}

// killAtStep runs a writer and kills it just before its step-th system call between its marks
// that is not harmless. It reports whether there was such a call.
func killAtStep(t *testing.T, cmd *exec.Cmd, step int) (killed bool) {
	t.Helper()
	runtime.LockOSThread() // only the thread that follows a process may go on with it
	defer runtime.UnlockOSThread()
	cmd.SysProcAttr = &syscall.SysProcAttr{Ptrace: true}
	var stderr strings.Builder
	cmd.Stderr = &stderr
	must(t, cmd.Start())
	pid := cmd.Process.Pid
	var status syscall.WaitStatus
	wait := func() {
		for {
			_, err := syscall.Wait4(pid, &status, syscall.WALL, nil)
			if err == nil {
				return
			}
			if err != syscall.EINTR {
				t.Fatal(err)
			}
		}
	}
	wait() // it stops when it has been loaded
	must(t, syscall.PtraceSetOptions(pid, unix.PTRACE_O_TRACESYSGOOD|unix.PTRACE_O_EXITKILL))
	marks, calls, signal := 0, 0, 0
	for {
		resume := syscall.PtraceCont // to the first mark
		if marks > 0 {
			resume = syscall.PtraceSyscall
		}
		must(t, resume(pid, signal))
		wait()
		signal = 0
		switch {
		case status.Exited() || status.Signaled():
			if status.ExitStatus() != 0 || marks != 2 {
				t.Fatalf("the writer ended with %v after %d marks: %s", status, marks, stderr.String())
			}
			return false
		case status.StopSignal() == syscall.SIGTRAP|0x80:
			if call := callOf(t, pid); marks == 1 && call.op == 1 && !slices.Contains(harmless, call.number) {
				if calls == step {
					must(t, syscall.Kill(pid, syscall.SIGKILL))
					wait()
					return true
				}
				calls++
			}
		case status.StopSignal() == markSignal:
			marks++
		default:
			signal = int(status.StopSignal())
		}
	}
}

func TestAWriteThatIsKilledLeavesTheOldOrTheNew(t *testing.T) {
	stride := 1
	if slowtest.LeftOut() {
		stride = 15
	}
	if testing.Short() {
		stride = 40
	}
	identity := func(name string) func(h *Home) string {
		return func(h *Home) string {
			for _, passphrase := range []string{"", "secret"} {
				_, err := h.Identity(name, func(string) ([]byte, error) { return []byte(passphrase), nil })
				switch {
				case err == nil && passphrase == "":
					return "open"
				case err == nil:
					return "protected"
				case errors.Is(err, ErrNotFound):
					return "none"
				case !errors.Is(err, ErrPassphrase):
					return err.Error()
				}
			}
			return "closed"
		}
	}
	// What is shown may stay behind what is there; another upgrade brings it up.
	upgraded := func(h *Home) string {
		id, err := h.Identity("alice", nil)
		if err != nil {
			return err.Error()
		}
		if id.Ed448 == nil {
			return "old"
		}
		if err := h.Upgrade("alice", rand.Reader, false, nil); err != nil {
			return err.Error()
		}
		public, err := h.Public("alice")
		if err != nil {
			return err.Error()
		}
		if !slices.Equal(public.Keys, id.Public().Keys) {
			return fmt.Sprintf("it has %v and shows %v", id.Public().Keys, public.Keys)
		}
		return "new"
	}
	contacts := func(h *Home) string {
		list, err := h.Contacts()
		if err != nil {
			return err.Error()
		}
		return fmt.Sprint(len(list))
	}
	file := func(h *Home) string {
		b, err := os.ReadFile(filepath.Join(h.Dir(), "file"))
		if errors.Is(err, os.ErrNotExist) {
			return "none"
		} else if err != nil {
			return err.Error()
		}
		return string(b)
	}
	for _, story := range []struct {
		writer, arg string
		look        func(h *Home) string
		old, new    string
	}{
		{"create", "bob", identity("bob"), "none", "open"},
		{"protect", "secret", identity("alice"), "open", "protected"},
		{"upgrade", "alice", upgraded, "old", "new"},
		{"remove", "alice", identity("alice"), "open", "none"},
		{"remember", "7", contacts, "1", "2"},
		{"export", "file", file, "the old content", "the new content"},
		{"export new", "file", file, "none", "the new content"},
	} {
		if testing.Short() && story.writer != "protect" && story.writer != "remember" {
			continue
		}
		t.Run(story.writer, func(t *testing.T) {
			t.Parallel() // most of it is waiting for the disk
			seen := make(map[string]int)
			for step := 0; ; step += stride {
				h := furnished(t)
				arg := story.arg
				if arg == "file" {
					arg = filepath.Join(h.Dir(), arg)
					if story.writer == "export" {
						must(t, os.WriteFile(arg, []byte("the old content"), 0o600))
					}
				}
				killed := killAtStep(t, writerCommand(t, h, story.writer, arg), step)
				got := story.look(h)
				if got != story.old && got != story.new {
					t.Fatalf("killed at step %d: %s", step, got)
				}
				seen[got]++
				whole(t, h, step)
				if !killed {
					if got != story.new {
						t.Errorf("not killed, but: %s", got)
					}
					break
				}
			}
			if seen[story.old] == 0 {
				t.Error("it was never killed before the write was done")
			}
			t.Logf("%v", seen)
		})
	}
}

// whole checks a home in which a writer was killed: everything that was not being written is
// there, and the next writer works and cleans up.
func whole(t *testing.T, h *Home, step int) {
	t.Helper()
	if contact, ok, err := h.Contact("bob"); !ok || err != nil || contact.Keys[0].Fingerprint != fingerprintOf(1) {
		t.Fatalf("killed at step %d: contact %v, %v, %v", step, contact, ok, err)
	}
	if _, err := h.Publics(); err != nil {
		t.Fatalf("killed at step %d: %v", step, err)
	}
	must(t, h.RememberKey("next", fingerprintOf(2), Seen, someday))
	if err := h.Create(testIdentity("next"), nil); err != nil {
		t.Fatalf("killed at step %d: %v", step, err)
	}
	for name := range tree(t, h.Dir()) {
		// An exported file is in a folder that otrpipe must not clean up.
		base := filepath.Base(name)
		if strings.HasPrefix(base, ".") && base != "." && !strings.HasPrefix(base, ".file") {
			t.Fatalf("killed at step %d: %s is left", step, name)
		}
	}
}

func TestTwentyWritersAtOnceLoseNothing(t *testing.T) {
	t.Parallel()
	writers := 20
	if testing.Short() {
		writers = 3
	}
	h := furnished(t)
	run := func(name string, arg func(i int) string) (codes []int) {
		var all []*exec.Cmd
		for i := range writers {
			cmd := writerCommand(t, h, name, arg(i))
			must(t, cmd.Start())
			all = append(all, cmd)
		}
		for _, cmd := range all {
			var exit *exec.ExitError
			if err := cmd.Wait(); err != nil && !errors.As(err, &exit) {
				t.Fatal(err)
			}
			codes = append(codes, cmd.ProcessState.ExitCode())
		}
		slices.Sort(codes)
		return codes
	}
	if codes := run("remember", func(i int) string { return strconv.Itoa(100 + i) }); codes[writers-1] != 0 {
		t.Errorf("exit codes %v", codes)
	}
	if list := contacts(t, h); len(list) != 1+writers {
		t.Errorf("%d contacts", len(list))
	}
	// All want the same name: one gets it.
	codes := run("create", func(int) string { return "bob" })
	want := append([]int{0}, slices.Repeat([]int{existsCode}, writers-1)...)
	if !slices.Equal(codes, want) {
		t.Errorf("exit codes %v", codes)
	}
	if _, err := h.Identity("bob", nil); err != nil {
		t.Error(err)
	}
}

func TestTheLockOfADeadProcessDoesNotLast(t *testing.T) {
	slowtest.SkipShort(t)
	h := furnished(t)
	must(t, os.WriteFile(filepath.Join(h.Dir(), lockFile), []byte("pid 1"), 0o600))
	must(t, h.RememberKey("carol", fingerprintOf(2), Seen, someday))

	holder := writerCommand(t, h, "hold", "")
	out, err := holder.StdoutPipe()
	must(t, err)
	_, err = holder.StdinPipe() // it holds the lock until this is closed, which it is not
	must(t, err)
	must(t, holder.Start())
	defer holder.Process.Kill()
	if _, err := out.Read(make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	written := make(chan error)
	go func() { written <- h.RememberKey("dave", fingerprintOf(3), Seen, someday) }()
	select {
	case err := <-written:
		t.Fatalf("written while another process holds the lock: %v", err)
	case <-time.After(20 * lockPause):
	}
	// Readers do not mind the lock.
	if list := contacts(t, h); len(list) != 2 {
		t.Errorf("%d contacts", len(list))
	}
	must(t, holder.Process.Kill())
	holder.Wait()
	must(t, <-written)
	if list := contacts(t, h); len(list) != 3 {
		t.Errorf("%d contacts", len(list))
	}
}

func TestAFullDiskLeavesTheOld(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root can mount a small disk")
	}
	disk := t.TempDir()
	if err := unix.Mount("none", disk, "tmpfs", 0, "size=256k,mode=700"); err != nil {
		t.Skipf("no small disk can be mounted: %v", err)
	}
	defer unix.Unmount(disk, unix.MNT_DETACH)
	h := homeIn(filepath.Join(disk, "home"))
	create(t, h, "alice", "")
	must(t, h.RememberKey("bob", fingerprintOf(1), Seen, someday))
	before := tree(t, h.Dir())
	id, err := h.Identity("alice", nil)
	must(t, err)

	filler := filepath.Join(disk, "filler")
	must(t, fill(filler))
	for what, err := range map[string]error{
		"create":   h.Create(testIdentity("bob"), nil),
		"protect":  h.SetPassphrase(id, []byte("secret")),
		"upgrade":  h.Upgrade("alice", rand.Reader, false, nil),
		"remember": h.RememberKey("carol", fingerprintOf(2), Seen, someday),
		"export":   WriteFile(filepath.Join(disk, "export"), make([]byte, 5000), false),
	} {
		if !errors.Is(err, syscall.ENOSPC) || !strings.Contains(err.Error(), disk) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: %v", what, err)
		}
	}
	sameTree(t, h.Dir(), before)
	if _, err := os.Stat(filepath.Join(disk, "export")); err == nil {
		t.Error("half an export is there")
	}

	must(t, os.Remove(filler))
	must(t, h.SetPassphrase(id, []byte("secret")))
	must(t, h.RememberKey("carol", fingerprintOf(2), Seen, someday))
}

// An upgrade writes two files. However little space there is, both are new or both are old.
func TestADiskThatIsAlmostFullLeavesBothFilesOfAnUpgrade(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root can mount a small disk")
	}
	disk := t.TempDir()
	if err := unix.Mount("none", disk, "tmpfs", 0, "size=256k,mode=700"); err != nil {
		t.Skipf("no small disk can be mounted: %v", err)
	}
	defer unix.Unmount(disk, unix.MNT_DETACH)
	h := homeIn(filepath.Join(disk, "home"))
	create(t, h, "alice", "")
	filler := filepath.Join(disk, "filler")
	must(t, fill(filler))
	info, err := os.Stat(filler)
	must(t, err)
	before, failures := tree(t, h.Dir()), 0
	for free := int64(0); ; free += int64(os.Getpagesize()) {
		must(t, os.Truncate(filler, info.Size()-free))
		err := h.Upgrade("alice", rand.Reader, false, nil)
		if err == nil {
			break
		}
		if !errors.Is(err, syscall.ENOSPC) {
			t.Fatal(err)
		}
		failures++
		sameTree(t, h.Dir(), before)
	}
	if failures < 2 {
		t.Errorf("it failed %d times only", failures)
	}
	public, err := h.Public("alice")
	if err != nil || len(public.Keys) != 2 {
		t.Errorf("%+v, %v", public, err)
	}
}

// fill writes until nothing more fits.
func fill(path string) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	defer f.Close()
	for _, size := range []int{4096, 1} {
		for err = nil; err == nil; {
			_, err = f.Write(make([]byte, size))
		}
		if !errors.Is(err, syscall.ENOSPC) {
			return err
		}
	}
	return nil
}

func TestAReadOnlyHomeCanBeReadAndSaysItIsReadOnly(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root can mount a read-only disk")
	}
	h := furnished(t)
	id, err := h.Identity("alice", nil)
	must(t, err)
	before := tree(t, h.Dir())
	if err := unix.Mount(h.Dir(), h.Dir(), "", unix.MS_BIND, ""); err != nil {
		t.Skipf("nothing can be mounted: %v", err)
	}
	defer unix.Unmount(h.Dir(), unix.MNT_DETACH)
	if err := unix.Mount("", h.Dir(), "", unix.MS_BIND|unix.MS_REMOUNT|unix.MS_RDONLY, ""); err != nil {
		t.Skipf("nothing can be mounted read-only: %v", err)
	}
	for what, err := range map[string]error{
		"create":   h.Create(testIdentity("bob"), nil),
		"protect":  h.SetPassphrase(id, []byte("secret")),
		"upgrade":  h.Upgrade("alice", rand.Reader, false, nil),
		"remove":   h.Remove("alice"),
		"remember": h.RememberKey("carol", fingerprintOf(2), Seen, someday),
		"export":   WriteFile(filepath.Join(h.Dir(), "export"), nil, false),
	} {
		if !errors.Is(err, syscall.EROFS) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: %v", what, err)
		}
	}
	if _, err := h.Identity("alice", nil); err != nil {
		t.Error(err)
	}
	if list := contacts(t, h); len(list) != 1 {
		t.Errorf("contacts %v", list)
	}
	sameTree(t, h.Dir(), before)
}

func TestAFolderThatMayNotBeWrittenSaysSo(t *testing.T) {
	slowtest.SkipShort(t)
	if os.Geteuid() == 0 {
		// Another user must be able to access this folder, regardless of the mode of TMPDIR.
		t.Setenv("TMPDIR", "/tmp")
		t.Setenv("GOTMPDIR", "")
	}
	h := furnished(t)
	before := tree(t, h.Dir())
	must(t, os.Chmod(h.Dir(), 0o500))
	defer os.Chmod(h.Dir(), 0o700)
	cmd := writerCommand(t, h, "remember", "9")
	if os.Geteuid() == 0 {
		// Root may write anywhere; somebody else may not, in the same home.
		const nobody = 65534
		for name := range before {
			must(t, os.Chown(filepath.Join(h.Dir(), name), nobody, nobody))
		}
		for dir := filepath.Dir(h.Dir()); dir != os.TempDir() && dir != "/"; dir = filepath.Dir(dir) {
			must(t, os.Chmod(dir, 0o755))
		}
		program := filepath.Join(filepath.Dir(h.Dir()), "writer")
		b, err := os.ReadFile(cmd.Path)
		must(t, err)
		must(t, os.WriteFile(program, b, 0o755))
		cmd.Path = program
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
		// Measuring coverage, the program complains where it cannot write that down.
		coverage := filepath.Join(filepath.Dir(h.Dir()), "coverage")
		must(t, os.Mkdir(coverage, 0o700))
		must(t, os.Chown(coverage, nobody, nobody))
		cmd.Env = append(cmd.Env, "GOCOVERDIR="+coverage)
	}
	// The lock is there already, so it is the write itself that fails.
	out, err := cmd.CombinedOutput()
	if err == nil || !strings.Contains(string(out), "permission denied") || strings.Count(string(out), "\n") != 1 {
		t.Errorf("%v: %s", err, out)
	}
	must(t, os.Chmod(h.Dir(), 0o700))
	sameTree(t, h.Dir(), before)
}

func TestAFileSystemWithoutModesWarnsAndWorks(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root can mount such a file system")
	}
	for _, program := range []string{"mkfs.exfat", "mount.exfat-fuse", "losetup"} {
		if _, err := exec.LookPath(program); err != nil {
			t.Skipf("no %s: apt-get install exfatprogs exfat-fuse", program)
		}
	}
	disk, image := t.TempDir(), filepath.Join(t.TempDir(), "image")
	must(t, os.WriteFile(image, make([]byte, 8<<20), 0o600))
	must(t, exec.Command("mkfs.exfat", image).Run())
	loop, err := exec.Command("losetup", "-f", "--show", image).Output()
	if err != nil {
		t.Skipf("no loop device: %v", err)
	}
	device := strings.TrimSpace(string(loop))
	defer exec.Command("losetup", "-d", device).Run()
	if out, err := exec.Command("mount.exfat-fuse", device, disk, "-o", "umask=022").CombinedOutput(); err != nil {
		t.Skipf("nothing can be mounted: %v: %s", err, out)
	}
	defer unix.Unmount(disk, 0)

	h := homeIn(filepath.Join(disk, "home"))
	var warnings []string
	h.Warn = func(text string) { warnings = append(warnings, text) }
	create(t, h, "alice", "secret")
	must(t, h.RememberKey("bob", fingerprintOf(1), Seen, someday))
	id, err := h.Identity("alice", saying(t, "secret"))
	must(t, err)
	must(t, h.SetPassphrase(id, nil))
	must(t, h.Upgrade("alice", rand.Reader, false, nil))
	path := filepath.Join(disk, "export")
	must(t, WriteFile(path, []byte("one"), false))
	wantError(t, WriteFile(path, []byte("two"), false), ErrExists)
	must(t, h.Remove("alice"))
	if list := contacts(t, h); len(list) != 1 {
		t.Errorf("contacts %v", list)
	}
	if len(warnings) != 1 || !strings.Contains(warnings[0], h.Dir()) {
		t.Errorf("warnings %q", warnings)
	}
}
