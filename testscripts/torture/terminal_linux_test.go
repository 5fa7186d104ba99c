package torture

import (
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/creack/pty"
)

// A terminal is a pseudo-terminal with a program at it.
type terminal struct {
	process *process
	control *os.File

	mu   sync.Mutex
	text []byte // what it has shown
	gone bool   // nobody is at it any more
}

// atTerminal starts a program at a terminal of its own.
func (w *world) atTerminal(name string, cmd *exec.Cmd) *terminal {
	w.t.Helper()
	control, tty, err := pty.Open()
	if err != nil {
		w.t.Fatal(err)
	}
	if err := pty.Setsize(control, &pty.Winsize{Rows: 40, Cols: 120}); err != nil {
		w.t.Fatal(err)
	}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true, Pdeathsig: syscall.SIGKILL}
	cmd.Stdin, cmd.Stdout, cmd.Stderr = tty, tty, tty
	t := &terminal{control: control}
	t.process = w.start(name, cmd)
	go t.read()
	return t
}

func (t *terminal) read() {
	b := make([]byte, 4096)
	for {
		n, err := t.control.Read(b)
		t.mu.Lock()
		t.text = append(t.text, b[:n]...)
		t.gone = err != nil
		t.mu.Unlock()
		if err != nil {
			return
		}
	}
}

// write types a text. A program that has ended does not read it.
func (t *terminal) write(text string) { t.control.WriteString(text) }

// leave ends the program with its input's end.
func (t *terminal) leave() {
	for begun := time.Now(); time.Since(begun) < patience && !t.process.ended(); time.Sleep(300 * time.Millisecond) {
		t.write("\x04")
	}
	t.process.finish()
}

// screen is what the terminal has shown.
func (t *terminal) screen() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return string(t.text)
}

// shows waits until the terminal has shown one of some texts. It returns false if the program
// has ended before that, or says that the connection is lost.
func (t *terminal) shows(texts ...string) bool {
	for begun := time.Now(); time.Since(begun) < patience; time.Sleep(10 * time.Millisecond) {
		t.mu.Lock()
		shown, gone := string(t.text), t.gone
		t.mu.Unlock()
		switch {
		case slices.ContainsFunc(texts, func(text string) bool { return strings.Contains(shown, text) }):
			return true
		case gone || strings.Contains(shown, "Enter: connect again"):
			return false
		}
	}
	return false
}

func (t *terminal) close() { t.control.Close() }
