//go:build unix

package testscripts

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/creack/pty"
	"golang.org/x/sys/unix"
)

// runAtTerminal runs a program at a pseudo-terminal, leads the dialogue in a
// file with it, and returns its exit code. What the terminal showed goes to show.
func runAtTerminal(dialogue string, program []string, ttyOnly bool, show io.Writer) (int, error) {
	text, err := os.ReadFile(dialogue)
	if err != nil {
		return 0, err
	}
	control, terminal, err := openTerminal()
	if err != nil {
		return 0, err
	}
	if control, err = closeable(control); err != nil {
		return 0, err
	}
	defer control.Close()

	cmd := exec.Command(program[0], program[1:]...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	dieWithTest(cmd.SysProcAttr)
	if ttyOnly {
		cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
		cmd.ExtraFiles = []*os.File{terminal}
		cmd.SysProcAttr.Ctty = 3 // the first extra file
	} else {
		cmd.Stdin, cmd.Stdout, cmd.Stderr = terminal, terminal, terminal
	}
	err = cmd.Start()
	terminal.Close()
	if err != nil {
		return 0, err
	}
	screen := &screen{show: show, changed: make(chan struct{}, 1), closed: make(chan struct{})}
	go screen.read(control)
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()

	for number, line := range strings.Split(string(text), "\n") {
		if err := lead(line, control, screen); err != nil {
			cmd.Process.Kill()
			<-ended
			return 0, fmt.Errorf("%s:%d: %s: %w", dialogue, number+1, line, err)
		}
	}
	select {
	case err = <-ended:
	case <-time.After(patience):
		cmd.Process.Kill()
		<-ended
		return 0, fmt.Errorf("%s has not ended", program[0])
	}
	// With the last process gone, the terminal closes; then all of it was read.
	select {
	case <-screen.closed:
	case <-time.After(time.Second):
	}
	return exitCode(err)
}

// lead carries out one line of a dialogue.
func lead(line string, control *os.File, screen *screen) error {
	command, rest, _ := strings.Cut(strings.TrimSpace(line), " ")
	switch command {
	case "", "#":
		return nil
	case "expect":
		pattern, err := regexp.Compile(rest)
		if err != nil {
			return err
		}
		return screen.expect(pattern)
	case "type":
		_, err := control.WriteString(rest + "\r")
		return err
	case "keys":
		keys, err := strconv.Unquote(rest)
		if err != nil {
			return err
		}
		_, err = control.WriteString(keys)
		return err
	case "hangup":
		return control.Close()
	case "size":
		var size pty.Winsize
		if _, err := fmt.Sscan(rest, &size.Cols, &size.Rows); err != nil {
			return err
		}
		return pty.Setsize(control, &size)
	}
	return fmt.Errorf("no such command in a dialogue")
}

// screen is what a terminal showed.
type screen struct {
	show    io.Writer
	changed chan struct{}
	closed  chan struct{}

	mu   sync.Mutex
	text []byte // what no expect has matched yet
}

func (s *screen) read(control io.Reader) {
	defer close(s.closed)
	buf := make([]byte, 4096)
	for {
		// Linux answers EIO when nobody has the terminal open any more.
		n, err := control.Read(buf)
		s.show.Write(buf[:n])
		s.mu.Lock()
		s.text = append(s.text, buf[:n]...)
		s.mu.Unlock()
		select {
		case s.changed <- struct{}{}:
		default:
		}
		if err != nil {
			return
		}
	}
}

func (s *screen) expect(pattern *regexp.Regexp) error {
	deadline := time.After(patience)
	for {
		s.mu.Lock()
		at := pattern.FindIndex(s.text)
		if at != nil {
			s.text = s.text[at[1]:]
		}
		s.mu.Unlock()
		if at != nil {
			return nil
		}
		select {
		case <-s.changed:
		case <-s.closed:
			select {
			case <-s.changed: // one more look at what came last
				continue
			default:
			}
			return fmt.Errorf("the program ended without showing it")
		case <-deadline:
			return fmt.Errorf("it was not shown")
		}
	}
}

// closeable returns control as a file whose Close ends a Read that waits, which hangs the
// terminal up.
func closeable(control *os.File) (*os.File, error) {
	defer control.Close()
	fd, err := unix.FcntlInt(control.Fd(), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	if err := unix.SetNonblock(fd, true); err != nil {
		unix.Close(fd)
		return nil, err
	}
	return os.NewFile(uintptr(fd), control.Name()), nil
}

// openTerminal makes a pseudo-terminal of the usual size.
func openTerminal() (control, terminal *os.File, err error) {
	control, terminal, err = pty.Open()
	if err != nil {
		return nil, nil, err
	}
	if err := pty.Setsize(control, &pty.Winsize{Rows: 24, Cols: 80}); err != nil {
		control.Close()
		terminal.Close()
		return nil, nil, err
	}
	return control, terminal, nil
}
