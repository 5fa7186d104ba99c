package terminal

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"golang.org/x/sys/unix"
	"golang.org/x/term"
)

// ErrNoTerminal says that a secret was needed and no terminal is there to ask
// for it.
var ErrNoTerminal = errors.New("terminal: no terminal to ask on")

// ErrNoSecret says that the question was answered with nothing.
var ErrNoSecret = errors.New("terminal: nothing was entered")

// An Interrupted error says that a signal came while the terminal waited for
// a secret. The terminal echoes again.
type Interrupted struct {
	Signal syscall.Signal
}

func (e *Interrupted) Error() string {
	return fmt.Sprintf("terminal: %v", e.Signal)
}

// SilentExitCode is the exit code of a program that the signal ends: 128 plus
// its number, and no message.
func (e *Interrupted) SilentExitCode() int { return 128 + int(e.Signal) }

// ReadSecret prints prompt on the controlling terminal and reads one line
// from it without echo, whatever standard input and output are. The line
// comes back without its end; the caller wipes it. The errors are
// ErrNoTerminal, ErrNoSecret, an *Interrupted, or the terminal's own.
func ReadSecret(prompt string) ([]byte, error) {
	tty, err := os.OpenFile("/dev/tty", os.O_RDWR, 0)
	if err != nil {
		return nil, ErrNoTerminal
	}
	// On an interruption the reader below still holds the terminal: it is
	// closed by whoever is last.
	state, err := term.GetState(int(tty.Fd()))
	if err != nil {
		tty.Close()
		return nil, ErrNoTerminal
	}
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP)
	defer signal.Stop(signals)

	// Echo goes off before the question is there to be answered, or a quick
	// answer would show.
	if err := noEcho(int(tty.Fd())); err != nil {
		tty.Close()
		return nil, ErrNoTerminal
	}
	fmt.Fprintf(tty, "%s: ", prompt)
	type answer struct {
		secret []byte
		err    error
	}
	answered := make(chan answer, 1)
	go func() {
		secret, err := readLine(tty)
		answered <- answer{secret, err}
	}()
	select {
	case a := <-answered:
		_ = term.Restore(int(tty.Fd()), state)
		fmt.Fprintln(tty)
		tty.Close()
		if a.err == nil && len(a.secret) == 0 {
			return nil, ErrNoSecret
		}
		return a.secret, a.err
	case s := <-signals:
		// The line stays unread; the process is about to end.
		_ = term.Restore(int(tty.Fd()), state)
		fmt.Fprintln(tty)
		return nil, &Interrupted{s.(syscall.Signal)}
	}
}

// maxLine is how long a line at a terminal can be, in bytes: longer ones are
// cut by the terminal itself.
const maxLine = 4096

// readLine reads one line without its end. It changes no mode of the terminal,
// so that an interruption finds the one it has to change back.
func readLine(r io.Reader) ([]byte, error) {
	line := make([]byte, 0, maxLine)
	var b [1]byte
	for {
		n, err := r.Read(b[:])
		switch {
		case n == 1 && b[0] != '\n' && len(line) < maxLine:
			line = append(line, b[0])
			b[0] = 0
		case n == 1:
			return line, nil
		case err == io.EOF: // the key for it, with or without a line before
			return line, nil
		case err != nil:
			clear(line)
			return nil, err
		}
	}
}

// noEcho turns echo off; lines stay lines, and the keys for signals work.
func noEcho(fd int) error {
	mode, err := unix.IoctlGetTermios(fd, getTermios)
	if err != nil {
		return err
	}
	mode.Lflag &^= unix.ECHO
	mode.Lflag |= unix.ICANON | unix.ISIG
	mode.Iflag |= unix.ICRNL
	return unix.IoctlSetTermios(fd, setTermios, mode)
}
