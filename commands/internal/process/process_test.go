//go:build unix

package process

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"otrpipe/commands/internal/exit"
)

// start starts a command of a shell.
func start(t *testing.T, script string) *Command {
	t.Helper()
	if _, err := exec.LookPath("sh"); err != nil {
		t.Skip("needs a shell")
	}
	w := Watch()
	defer w.Stop()
	c, err := Start([]string{"sh", "-c", script}, os.Stderr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Signal(syscall.SIGKILL) })
	return c
}

func TestACommandThatCannotBeRunIsExitCode127(t *testing.T) {
	missing := filepath.Join(t.TempDir(), "missing")
	for _, name := range []string{missing, "no-such-program-anywhere", t.TempDir()} {
		w := Watch()
		_, startErr := Start([]string{name}, os.Stderr)
		w.Stop()
		for _, err := range []error{Find([]string{name}), startErr} {
			if err == nil || exit.As(err).Code != exit.CannotRun || !strings.Contains(err.Error(), "cannot be run") {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
}

func TestBytesGoThroughACommandBothWays(t *testing.T) {
	c := start(t, "cat")
	pipe := c.Transport()
	text := strings.Repeat("over there and back\n", 1000)
	go func() {
		_, _ = io.WriteString(pipe, text)
		_ = pipe.Close()
		_ = pipe.Close() // a second time does no harm
	}()
	got, err := io.ReadAll(pipe)
	if err != nil || string(got) != text {
		t.Errorf("%d bytes came back, %v", len(got), err)
	}
	c.Leave(Patience)
	if err := c.Result(); err != nil {
		t.Errorf("the result is %v", err)
	}
}

func TestTheResultOfACommandIsHowItEnded(t *testing.T) {
	for _, test := range []struct {
		script string
		code   int
		silent bool
		text   string
	}{
		{"exit 3", 3, true, "exited with status 3"},
		{"kill -TERM $$", 143, false, "killed by signal 15"},
	} {
		c := start(t, test.script)
		<-c.Exited
		err := c.Result()
		if e := exit.As(err); e.Code != test.code || e.Silent != test.silent {
			t.Errorf("%s: %+v", test.script, e)
		}
		if !strings.Contains(c.Describe(), test.text) {
			t.Errorf("%s: %s", test.script, c.Describe())
		}
		c.Leave(Patience)
	}
}

func TestTheOutputOfAnApplicationThatWasKilledIsNotComplete(t *testing.T) {
	c := start(t, "echo some; kill -KILL $$")
	got, err := io.ReadAll(c.Output())
	if e := exit.As(errors.Join(err)); string(got) != "some\n" || e.Code != 137 {
		t.Errorf("read %q, %v", got, err)
	}
	c = start(t, "echo all")
	if got, err := io.ReadAll(c.Output()); string(got) != "all\n" || err != nil {
		t.Errorf("read %q, %v", got, err)
	}
}

func TestOutputEndsThoughAnApplicationLeavesAProcessBehind(t *testing.T) {
	if testing.Short() {
		t.Skip("short: waits for seconds")
	}
	c := start(t, "echo all; sleep 60 & exit 0")
	begun := time.Now()
	got, err := io.ReadAll(c.Output())
	if string(got) != "all\n" || err != nil {
		t.Errorf("read %q, %v", got, err)
	}
	if waited := time.Since(begun); waited > 30*time.Second {
		t.Errorf("it took %v", waited)
	}
	c.Sweep()
}

func TestProcessesThatATransportLeavesBehindAreEnded(t *testing.T) {
	c := start(t, "sleep 600 & echo $!; exec cat >/dev/null")
	if !c.group {
		t.Skip("in the foreground of a terminal they stay")
	}
	var left int
	if _, err := fmt.Fscan(c.Out, &left); err != nil {
		t.Fatal(err)
	}
	c.Leave(Patience)
	if err := syscall.Kill(left, 0); err != nil {
		t.Fatalf("it is gone already: %v", err)
	}
	c.Sweep()
	// Its output ends with its last process.
	_ = c.Out.SetReadDeadline(time.Now().Add(30 * time.Second))
	if _, err := io.Copy(io.Discard, c.Out); err != nil {
		t.Errorf("it goes on: %v", err)
	}
}

func TestACommandIsLetAloneAsLongAsItTakesWhatIsLeft(t *testing.T) {
	const lines = 20
	text := strings.Repeat("a line of what is left\n", lines)
	for _, test := range []struct {
		name, script string
		patience     time.Duration
		surplus      int
		taken        bool // everything but the surplus
	}{
		{"slowly", "n=0; while read -r line; do n=$((n+1)); sleep 0.02; done; [ $n = 20 ]", 30 * time.Second, 0, true},
		{"but for what nobody misses", "head -c 1 >/dev/null; exec sleep 60", 30 * time.Second, len(text) - 1, true},
		{"nothing any more", "head -c 1 >/dev/null; exec sleep 60", 100 * time.Millisecond, 0, false},
		{"and has exited", "head -c 1 >/dev/null", 30 * time.Second, 0, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			c := start(t, test.script)
			Narrow(c.In)
			if _, err := io.WriteString(c.Transport(), text); err != nil {
				t.Fatal(err)
			}
			if end := readingEnd(c.In); end == nil {
				t.Skip("this system does not tell what a pipe holds")
			} else {
				end.Close()
			}
			left := c.Drain(test.patience, test.surplus, nil, func(int) {})
			if (left <= test.surplus) != test.taken {
				t.Errorf("%d bytes are left", left)
			}
			if test.name == "slowly" {
				c.Leave(Patience)
				if err := c.Result(); err != nil {
					t.Errorf("it was not let alone: %s", c.Describe())
				}
			}
		})
	}
	c := start(t, "exec sleep 60")
	_, _ = io.WriteString(c.Transport(), text)
	stop := make(chan struct{})
	close(stop)
	if left := c.Drain(time.Hour, 0, stop, func(int) {}); left != len(text) && left != 0 {
		t.Errorf("stopped, and %d bytes are left", left)
	}
}

func TestACommandThatDoesNotLeaveIsKilled(t *testing.T) {
	if testing.Short() {
		t.Skip("short: waits five seconds for the command")
	}
	c := start(t, "trap '' TERM; while :; do sleep 1; done")
	c.Leave(Patience)
	if _, killedBy := c.Status(); killedBy != syscall.SIGKILL {
		t.Error(c.Describe())
	}
}

func TestSignalsComeToTheWatchUntilItStops(t *testing.T) {
	w := Watch()
	if err := syscall.Kill(os.Getpid(), syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	select {
	case s := <-w.Signals:
		if s != syscall.SIGHUP {
			t.Errorf("%v came", s)
		}
	case <-time.After(30 * time.Second):
		t.Fatal("no signal came")
	}
	// A closed pipe is an error of the write, not the end of the process.
	r, out, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	r.Close()
	if _, err := out.WriteString("x"); !errors.Is(err, syscall.EPIPE) {
		t.Errorf("writing to a closed pipe: %v", err)
	}
	out.Close()
	w.Stop()
}

func TestAProcessCanBeStartedDeafToTheTerminalsSignals(t *testing.T) {
	w := Watch()
	defer w.Stop()
	cmd := exec.Command("sh", "-c", "kill -INT $$; kill -HUP $$; kill -QUIT $$; echo survived")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := startDeaf(cmd.Start); err != nil {
		t.Skip("needs a shell")
	}
	got, _ := io.ReadAll(out)
	if err := cmd.Wait(); err != nil || string(got) != "survived\n" {
		t.Errorf("%q, %v", got, err)
	}
	// The watch hears those signals again.
	if err := syscall.Kill(os.Getpid(), syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	select {
	case <-w.Signals:
	case <-time.After(30 * time.Second):
		t.Error("no signal came")
	}
}

// TestEveryWatchHearsTheSignalsAfterADeafStart: a server with several sessions at a terminal has a
// watch of its own, and one for each session, which starts its own application.
func TestEveryWatchHearsTheSignalsAfterADeafStart(t *testing.T) {
	server, first, second := Watch(), Watch(), Watch()
	defer server.Stop()
	defer first.Stop()
	begun := make(chan *SignalWatch, 1)
	if err := startDeaf(func() error {
		go func() { begun <- Watch() }() // it must not believe that our parent wants them ignored
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	late := <-begun
	defer late.Stop()
	second.Stop()
	for _, s := range []syscall.Signal{syscall.SIGINT, syscall.SIGHUP, syscall.SIGQUIT} {
		if err := syscall.Kill(os.Getpid(), s); err != nil {
			t.Fatal(err)
		}
		for who, w := range map[string]*SignalWatch{"the server": server, "an earlier session": first, "a later session": late} {
			select {
			case got := <-w.Signals:
				if got != s {
					t.Errorf("%s: %v came instead of %v", who, got, s)
				}
			case <-time.After(30 * time.Second):
				t.Fatalf("%s does not hear %v", who, s)
			}
		}
	}
}
