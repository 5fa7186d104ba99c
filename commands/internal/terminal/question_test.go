//go:build unix

package terminal

import (
	"errors"
	"io"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/creack/pty"
	"golang.org/x/sys/unix"
)

// ask asks a question at a terminal that is not the process's own, as ReadSecret does at
// the one that is.
func ask(t *testing.T, stop <-chan struct{}) (q *question, person *os.File, done <-chan answer) {
	t.Helper()
	person, program, err := pty.Open()
	if err != nil {
		t.Fatal(err)
	}
	return askAt(t, stop, person, program)
}

// askAt is ask at an open terminal, whose two sides are given.
func askAt(t *testing.T, stop <-chan struct{}, person, program *os.File) (q *question, _ *os.File, done <-chan answer) {
	t.Helper()
	t.Cleanup(func() { person.Close() })
	q = &question{tty: program, fd: int(program.Fd()), prompt: "secret", signals: make(chan os.Signal, 8), abandoned: make(chan struct{})}
	answered := make(chan answer, 1)
	go func() {
		line, err := q.answer(stop)
		close(q.abandoned)
		answered <- answer{line, err}
	}()
	prompt := make([]byte, len("secret: "))
	if _, err := io.ReadFull(person, prompt); err != nil || string(prompt) != "secret: " {
		t.Fatalf("it asks %q, %v", prompt, err)
	}
	return q, person, answered
}

// echoes reports whether a terminal shows what is typed.
func echoes(t *testing.T, person *os.File) bool {
	t.Helper()
	stty := exec.Command("stty", "-a")
	stty.Stdin = person
	out, err := stty.Output()
	if err != nil {
		t.Fatal(err)
	}
	return !strings.Contains(string(out), "-echo ")
}

func TestASecretIsTypedWithoutEchoAndTheTerminalGivenBack(t *testing.T) {
	_, person, done := ask(t, nil)
	if echoes(t, person) {
		t.Error("the terminal shows what is typed")
	}
	if _, err := io.WriteString(person, "sesami\x7fe\r"); err != nil {
		t.Fatal(err)
	}
	got := <-done
	if got.err != nil || string(got.line) != "sesame" {
		t.Errorf("%q, %v", got.line, got.err)
	}
	if !echoes(t, person) {
		t.Error("the terminal does not show any more what is typed")
	}
	shown := make([]byte, 2)
	if _, err := io.ReadFull(person, shown); err != nil || string(shown) != "\r\n" {
		t.Errorf("the terminal shows %q, %v", shown, err)
	}
}

func TestAQuestionIsAskedThoughManyFilesAreOpen(t *testing.T) {
	person, program, err := pty.Open()
	if err != nil {
		t.Fatal(err)
	}
	high, err := unix.FcntlInt(program.Fd(), unix.F_DUPFD_CLOEXEC, 2000)
	program.Close()
	if err != nil {
		t.Skipf("the limit is too low: %v", err)
	}
	_, _, done := askAt(t, nil, person, os.NewFile(uintptr(high), "terminal"))
	if _, err := io.WriteString(person, "sesame\r"); err != nil {
		t.Fatal(err)
	}
	if got := <-done; got.err != nil || string(got.line) != "sesame" {
		t.Errorf("%q, %v", got.line, got.err)
	}
}

func TestAQuestionEndsWithWhatItIsAskedFor(t *testing.T) {
	stop := make(chan struct{})
	_, person, done := ask(t, stop)
	close(stop)
	if got := <-done; !errors.Is(got.err, ErrStopped) {
		t.Errorf("it ends with %v", got.err)
	}
	if !echoes(t, person) {
		t.Error("the terminal does not show any more what is typed")
	}
	q, _, done := ask(t, nil)
	q.signals <- syscall.SIGTERM
	var interrupted *Interrupted
	if got := <-done; !errors.As(got.err, &interrupted) || interrupted.SilentExitCode() != 143 || interrupted.Error() != "terminal: terminated" {
		t.Errorf("it ends with %v", got.err)
	}
}

func TestAQuestionIsAskedAgainWhenTheProcessGoesOn(t *testing.T) {
	q, person, done := ask(t, nil)
	// The signal that comes with the terminal's own stop counts once.
	time.Sleep(resumePause + resumePause/4)
	q.signals <- syscall.SIGCONT
	again := make([]byte, len("secret: "))
	if _, err := io.ReadFull(person, again); err != nil || string(again) != "secret: " {
		t.Fatalf("it asks %q, %v", again, err)
	}
	if _, err := io.WriteString(person, "sesame\r"); err != nil {
		t.Fatal(err)
	}
	if got := <-done; got.err != nil || string(got.line) != "sesame" {
		t.Errorf("%q, %v", got.line, got.err)
	}
}
