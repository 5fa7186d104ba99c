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
)

// askOnTerminal asks for a secret on the controlling terminal. The answer is in the terminal's
// charset, and may be empty.
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
		if !signal.Ignored(s) { // as the hangup is for a program that nohup has started
			signal.Notify(q.signals, s)
		}
	}
	signal.Notify(q.signals, syscall.SIGCONT)
	defer signal.Stop(q.signals)
	secret, err := q.answer(stop)
	if q.answers == nil { // nobody reads, who would close it
		tty.Close()
	}
	return secret, err
}

// A question is asked on a terminal; its answer is not shown.
type question struct {
	tty       *os.File
	fd        int
	prompt    string
	signals   chan os.Signal
	abandoned chan struct{} // closed when nobody waits for the answer any more

	asked   time.Time   // when it was asked last
	saved   *term.State // the terminal's mode, to be restored; nil: it is as we found it
	answers chan answer // nil: nothing has been read yet
}

type answer struct {
	line []byte
	err  error
}

const (
	// resumePause is how long a stopped process waits for the signal that continues it,
	// which is sent before it runs. One that the system does not stop, because no
	// shell is there to continue it, goes on after it.
	resumePause = 200 * time.Millisecond
	// readPause is how long the reader of an answer takes to notice that nobody waits
	// for it.
	readPause = 50 * time.Millisecond
	// maxBackground is how often a process that is in the background, and is not
	// stopped for asking there, looks whether that has changed.
	maxBackground = 5
)

// answer asks until there is an answer, a signal that ends the program, or stop is closed.
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
				// What the terminal does to a background process that reads. The signal
				// that continues it may have another behind it that ends it.
				background++
				syscall.Kill(0, syscall.SIGTTIN)
				resume = time.After(resumePause)
			}
		}
	}
}

// hide turns echo off before the question is there to be answered, or a quick answer
// would show, and asks.
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

// show gives the terminal back as it was. In the background it is another's.
func (q *question) show() {
	if q.saved == nil || !q.foreground() {
		return
	}
	_ = term.Restore(q.fd, q.saved)
	q.saved = nil
	fmt.Fprintln(q.tty)
}

// Read reads from the terminal once there is something to read and it is ours. A read
// that waited would stop the process again as soon as it is continued in the background,
// before it has heard the signal that ends it.
func (q *question) Read(b []byte) (int, error) {
	for {
		select {
		case <-q.abandoned:
			return 0, os.ErrClosed
		default:
		}
		var ready unix.FdSet
		ready.Set(q.fd)
		wait := unix.NsecToTimeval(int64(readPause))
		n, err := unix.Select(q.fd+1, &ready, nil, nil, &wait)
		switch {
		case err != nil && err != unix.EINTR:
			return 0, err
		case n > 0 && q.foreground():
			return q.tty.Read(b)
		case n > 0:
			time.Sleep(readPause)
		}
	}
}

// foreground reports whether the terminal's input is for us.
func (q *question) foreground() bool {
	return !behind(q.fd)
}

// stopProcess stops this process as the key does. The others of its group have heard the key
// themselves; a signal from outside was for us alone. SIGTSTP would come back to us, as
// the runtime keeps a handler once it has one; SIGTTOU stops too, and as SIGTSTP does it
// stops nobody where no shell is there to go on from.
func stopProcess() { syscall.Kill(os.Getpid(), syscall.SIGTTOU) }

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
