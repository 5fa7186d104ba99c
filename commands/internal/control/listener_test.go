//go:build unix

package control

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

var alice = Name{Home: "/home/alice", Identity: "default", Session: "default"}

func TestOneProcessHostsASessionAndTheOthersAreTold(t *testing.T) {
	dir := t.TempDir()
	listener, err := Listen(dir, alice)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Listen(dir, alice); !errors.Is(err, ErrTaken) {
		t.Fatalf("the listener was given twice: %v", err)
	}
	other := alice
	other.Session = "work"
	second, err := Listen(dir, other)
	if err != nil {
		t.Fatalf("a session of another name: %v", err)
	}
	second.Close()
	listener.Close()
	again, err := Listen(dir, alice)
	if err != nil {
		t.Fatalf("after the host has left: %v", err)
	}
	again.Close()
	if left, _ := os.ReadDir(dir); len(left) != 0 {
		t.Errorf("files are left behind: %v", left)
	}
}

func TestASocketOfADeadProcessIsTakenOver(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, alice.file())
	// What a killed process leaves: an unlocked lock file and a socket that
	// nobody listens at.
	if err := os.WriteFile(path+lockSuffix, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	l, err := listenAt(path + socketSuffix)
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
	if _, err := Dial(dir, alice); err == nil {
		t.Fatal("the dead socket answers")
	}
	listener, err := Listen(dir, alice)
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	c, err := Dial(dir, alice)
	if err != nil {
		t.Fatalf("nobody listens at the socket that was taken over: %v", err)
	}
	c.Close()
}

func TestAThousandFightsForASeatHaveOneWinnerEach(t *testing.T) {
	dir := t.TempDir()
	var holders, wins atomic.Int32
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			for range 125 {
				listener, err := Listen(dir, alice)
				if errors.Is(err, ErrTaken) {
					continue
				}
				if err != nil {
					t.Error(err)
					return
				}
				if holders.Add(1) != 1 {
					t.Error("two hold the listener")
				}
				wins.Add(1)
				holders.Add(-1)
				listener.Close()
			}
		})
	}
	all.Wait()
	if wins.Load() == 0 {
		t.Error("nobody ever got the listener")
	}
}

func TestAFolderTooDeepForASocketsPathStillWorks(t *testing.T) {
	if _, err := os.Stat("/proc/self/fd"); err != nil {
		t.Skip("needs /proc")
	}
	dir := filepath.Join(t.TempDir(), strings.Repeat("deep/", 40))
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	listener, err := Listen(dir, alice)
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	c, err := Dial(dir, alice)
	if err != nil {
		t.Fatal(err)
	}
	c.Close()
	// Nobody serves the socket, so that the session is silent; but it is there.
	if _, silent := Find(dir, time.Millisecond, Filter{}); len(silent) != 1 {
		t.Fatalf("found %v", silent)
	}
	listener.Close()
	if left, err := os.ReadDir(dir); err != nil || len(left) != 0 {
		t.Errorf("files are left behind: %v, %v", left, err)
	}
}

func TestTheFolderForSocketsIsTheUsersAlone(t *testing.T) {
	run := t.TempDir()
	t.Setenv("XDG_RUNTIME_DIR", run)
	dir, err := Dir()
	if err != nil {
		t.Fatal(err)
	}
	if dir != filepath.Join(run, "otrpipe") {
		t.Errorf("the folder is %s", dir)
	}
	info, err := os.Stat(dir)
	if err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("its mode is %v, %v", info.Mode(), err)
	}

	for _, mode := range []fs.FileMode{0o755, 0o750, 0o705, 0o710, 0o701} {
		if err := os.Chmod(dir, mode); err != nil {
			t.Fatal(err)
		}
		if _, err := Dir(); !errors.Is(err, ErrDir) {
			t.Errorf("a folder of mode %o: %v", mode, err)
		}
	}

	if err := os.Remove(dir); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(dir, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Dir(); !errors.Is(err, ErrDir) {
		t.Errorf("a file in the folder's place: %v", err)
	}
	if err := os.Remove(dir); err != nil {
		t.Fatal(err)
	}
	elsewhere := t.TempDir()
	if err := os.Symlink(elsewhere, dir); err != nil {
		t.Fatal(err)
	}
	if _, err := Dir(); !errors.Is(err, ErrDir) {
		t.Errorf("a link in the folder's place: %v", err)
	}
}

func TestWithoutARuntimeFolderTheTemporaryOneIsUsed(t *testing.T) {
	tmp := t.TempDir()
	t.Setenv("TMPDIR", tmp)
	for _, unusable := range []string{"", "relative", filepath.Join(tmp, "missing")} {
		t.Setenv("XDG_RUNTIME_DIR", unusable)
		dir, err := Dir()
		if err != nil {
			t.Fatal(err)
		}
		if want := filepath.Join(tmp, fmt.Sprintf("otrpipe-%d", os.Getuid())); dir != want {
			t.Errorf("with XDG_RUNTIME_DIR=%q: %s, want %s", unusable, dir, want)
		}
	}
}

func TestTheFolderOfAnotherUserIsRefused(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("needs root to give a folder away")
	}
	tmp := t.TempDir()
	t.Setenv("TMPDIR", tmp)
	t.Setenv("XDG_RUNTIME_DIR", "")
	dir := filepath.Join(tmp, "otrpipe-0")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Chown(dir, 12345, 12345); err != nil {
		t.Fatal(err)
	}
	if _, err := Dir(); !errors.Is(err, ErrDir) {
		t.Errorf("the folder of another user: %v", err)
	}
	// A runtime folder of another user, as in a shell of root's, is not used at all.
	t.Setenv("XDG_RUNTIME_DIR", dir)
	t.Setenv("TMPDIR", t.TempDir())
	if got, err := Dir(); err != nil || got != filepath.Join(os.TempDir(), "otrpipe-0") {
		t.Errorf("with a runtime folder of another user: %s, %v", got, err)
	}
}

func TestNamesThatDoNotFitALineAreRefused(t *testing.T) {
	for _, bad := range []string{"", "a\nb", "\x1b[31m", "\xff", strings.Repeat("x", 129)} {
		if CheckName(bad) == nil {
			t.Errorf("%q is accepted", bad)
		}
	}
	for _, good := range []string{"default", "bob at work", "ß", strings.Repeat("x", 128)} {
		if err := CheckName(good); err != nil {
			t.Errorf("%q: %v", good, err)
		}
	}
}

func TestOneHoldsAThingAtATime(t *testing.T) {
	dir := t.TempDir()
	held, ok := Hold(dir, "instance", "home", "default")
	if !ok {
		t.Fatal("nobody else has it")
	}
	if _, ok := Hold(dir, "instance", "home", "default"); ok {
		t.Error("two hold it")
	}
	other, ok := Hold(dir, "instance", "homedefault", "")
	if !ok {
		t.Error("another thing is taken for it")
	}
	other.Release()
	held.Release()
	again, ok := Hold(dir, "instance", "home", "default")
	if !ok {
		t.Error("it was not given back")
	}
	if again.Left() {
		t.Error("it was given back, and counts as left")
	}
	again.Release()
	if left, _ := os.ReadDir(dir); len(left) != 0 {
		t.Errorf("files are left behind: %v", left)
	}
}

// TestAThingThatWasNotGivenBackCountsAsLeft: a killed process only loses its lock.
func TestAThingThatWasNotGivenBackCountsAsLeft(t *testing.T) {
	dir := t.TempDir()
	killed, ok := Hold(dir, "instance")
	if !ok {
		t.Fatal("nobody else has it")
	}
	killed.lock.Close()
	for range 2 {
		next, ok := Hold(dir, "instance")
		if !ok || !next.Left() {
			t.Fatalf("held %v, left %v", ok, ok && next.Left())
		}
		next.Leave()
	}
}

// TestAFullDiskForgetsNothingThatWasLeft: writing a mark again would empty its file first. It runs in a process
// of its own, because go test writes a file in this one.
func TestAFullDiskForgetsNothingThatWasLeft(t *testing.T) {
	const itself = "SESSION_TEST_FULL_DISK"
	if os.Getenv(itself) == "" {
		cmd := exec.Command(os.Args[0], "-test.run=^"+t.Name()+"$")
		cmd.Env = append(os.Environ(), itself+"=yes")
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		return
	}
	dir := t.TempDir()
	killed, ok := Hold(dir, "instance")
	if !ok {
		t.Fatal("nobody else has it")
	}
	killed.Leave()
	signal.Ignore(syscall.SIGXFSZ)
	defer signal.Reset(syscall.SIGXFSZ)
	var was syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_FSIZE, &was); err != nil {
		t.Fatal(err)
	}
	full := was
	full.Cur = 0
	if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &full); err != nil {
		t.Fatal(err)
	}
	next, ok := Hold(dir, "instance")
	fresh, okFresh := Hold(dir, "another")
	if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &was); err != nil {
		t.Fatal(err)
	}
	if !ok || !next.Left() || !okFresh || !fresh.Left() {
		t.Fatalf("held %v and %v, or not left", ok, okFresh)
	}
	next.Leave()
	fresh.Leave()
	if next, ok = Hold(dir, "instance"); !ok || !next.Left() {
		t.Fatal("what was left counts as given back")
	}
	next.Leave()
}
