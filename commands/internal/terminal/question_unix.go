//go:build unix

package terminal

import (
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
	"golang.org/x/term"

	"otrpipe/commands/internal/descriptor"
)

// askOnTerminal asks for a secret on the controlling terminal. The answer is in the terminal's
// charset and may be empty.
func askOnTerminal(stop <-chan struct{}, prompt string) ([]byte, error) {
	tty, err := os.OpenFile("/dev/tty", os.O_RDWR, 0)
	if err != nil {
		return nil, ErrNoTerminal
	}
	q := question{tty: tty, fd: int(tty.Fd()), prompt: prompt, signals: make(chan os.Signal, 8), abandoned: make(chan struct{})}
	defer close(q.abandoned)
	if !term.IsTerminal(q.fd) {
		tty.Close()
		return nil, ErrNoTerminal
	}
	for _, s := range []os.Signal{syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGQUIT, syscall.SIGTSTP} {
		if !signal.Ignored(s) { // nohup, for example, ignores the hangup
			signal.Notify(q.signals, s)
		}
	}
	signal.Notify(q.signals, syscall.SIGCONT)
	defer signal.Stop(q.signals)
	secret, err := q.answer(stop)
	if q.answers == nil { // there is no reader that would close it
		tty.Close()
	}
	return secret, err
}

// A question is asked on a terminal. The answer is not shown while it is typed.
type question struct {
	tty       *os.File
	fd        int
	prompt    string
	signals   chan os.Signal
	abandoned chan struct{} // closed when the answer is no longer needed

	asked   time.Time   // when it was asked last
	saved   *term.State // the terminal's mode to restore; nil: the mode has not been changed
	answers chan answer // nil: nothing has been read yet
}

type answer struct {
	line []byte
	err  error
}

const (
	// resumePause is how long a stopped process waits for the signal that continues it. A
	// process that the system does not stop, because there is no shell to continue it, goes on
	// after this time.
	resumePause = 200 * time.Millisecond
	// readPause is how long the reader of an answer takes to notice that the answer is no longer
	// needed.
	readPause = 50 * time.Millisecond
	// maxBackground is how often a background process that was not stopped for asking checks
	// whether it is in the foreground again.
	maxBackground = 5
)

// answer asks until there is an answer, a signal ends the program, or stop is closed.
func (q *question) answer(stop <-chan struct{}) ([]byte, error) {
	resume := time.After(0)
	for background := 0; ; {
		select {
		case a := <-q.answers:
			q.show()
			return a.line, a.err
		case <-stop:
			q.show()
			return nil, ErrStopped
		case s := <-q.signals:
			switch s {
			case syscall.SIGTSTP:
				q.show()
				stopProcess()
				resume = time.After(resumePause)
			case syscall.SIGCONT:
				if time.Since(q.asked) > resumePause {
					resume = time.After(0)
				}
				background = 0
			default:
				q.show()
				return nil, &Interrupted{s.(syscall.Signal)}
			}
		case <-resume:
			resume = nil
			switch {
			case q.foreground():
				if err := q.hide(); err != nil {
					return nil, err
				}
			case background == maxBackground:
				return nil, ErrNoTerminal
			default:
				// Do what the terminal does to a background process that reads. After the signal
				// that continues it, another one may follow that ends it.
				background++
				syscall.Kill(0, syscall.SIGTTIN)
				resume = time.After(resumePause)
			}
		}
	}
}

// hide turns echo off and asks, in this order, so that a quick answer does not show.
func (q *question) hide() error {
	if q.saved == nil {
		saved, err := term.GetState(q.fd)
		if err != nil {
			return ErrNoTerminal
		}
		q.saved = saved
	}
	if err := noEcho(q.fd); err != nil {
		return ErrNoTerminal
	}
	q.asked = time.Now()
	fmt.Fprintf(q.tty, "%s: ", Locale().Encode(q.prompt))
	if q.answers == nil {
		q.answers = make(chan answer, 1)
		go func() {
			line, err := readLine(q)
			q.answers <- answer{line, err}
			<-q.abandoned
			q.tty.Close()
		}()
	}
	return nil
}

// show restores the terminal's mode, unless we are in the background, where the terminal belongs
// to another process.
func (q *question) show() {
	if q.saved == nil || !q.foreground() {
		return
	}
	_ = term.Restore(q.fd, q.saved)
	q.saved = nil
	fmt.Fprintln(q.tty)
}

// Read reads from the terminal when there is input and we are in the foreground. A blocking read
// would stop the process again as soon as it is continued in the background, before it has seen
// the signal that ends it.
func (q *question) Read(b []byte) (int, error) {
	for {
		select {
		case <-q.abandoned:
			return 0, os.ErrClosed
		default:
		}
		can, err := descriptor.Await(readPause, false, q.fd)
		switch {
		case err == unix.EINTR:
		case err != nil:
			return 0, err
		case can[0] && q.foreground():
			return q.tty.Read(b)
		case can[0]:
			time.Sleep(readPause)
		}
	}
}

// foreground reports whether we are in the terminal's foreground.
func (q *question) foreground() bool {
	return !behind(q.fd)
}

// stopProcess stops this process as Ctrl-Z does. The other processes of the group have received
// the key's signal themselves, and a signal from outside was for us only. It uses SIGTTOU,
// because our handler would catch SIGTSTP: the runtime never removes it. Like SIGTSTP, SIGTTOU
// has no effect if there is no shell to continue us.
func stopProcess() { syscall.Kill(os.Getpid(), syscall.SIGTTOU) }

// readLine reads one line without its end. It does not change the terminal's mode, so that an
// interruption restores the right one.
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
		case err == io.EOF: // Ctrl-D, with or without a line before it
			return line, nil
		case err != nil:
			clear(line)
			return nil, err
		}
	}
}

// noEcho turns echo off. The terminal still reads whole lines, and keys send signals.
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
