//go:build unix

package terminal

import (
	"io"
	"os"
	"time"

	"golang.org/x/sys/unix"
	"golang.org/x/term"

	"otrpipe/commands/internal/descriptor"
)

// Keys is a terminal from which keys are read one by one: nothing is echoed, and no key sends a
// signal.
type Keys struct {
	fd    int
	saved *term.State
	mode  unix.Termios
	// wake is a pipe. Its writing end is closed by Wake.
	wake, waking *os.File
}

// TakeKeys switches the terminal f to reading keys one by one, until Restore.
func TakeKeys(f *os.File) (*Keys, error) {
	conn, err := f.SyscallConn()
	if err != nil {
		return nil, err
	}
	k := new(Keys)
	if err := conn.Control(func(fd uintptr) { k.fd = int(fd) }); err != nil {
		return nil, err
	}
	if k.saved, err = term.GetState(k.fd); err != nil {
		return nil, err
	}
	if k.wake, k.waking, err = os.Pipe(); err != nil {
		return nil, err
	}
	if err := k.Retake(); err != nil {
		k.wake.Close()
		k.waking.Close()
		return nil, err
	}
	return k, nil
}

// Size returns the number of columns and rows of the terminal.
func (k *Keys) Size() (width, height int, err error) { return term.GetSize(k.fd) }

// Wait waits until there are keys, for at most limit milliseconds; -1 is no limit. It returns
// ErrWoken once Wake has been called. Only one goroutine may call Wait and Read.
func (k *Keys) Wait(limit int) (ready bool, err error) {
	until := descriptor.Forever
	if limit >= 0 {
		until = time.Duration(limit) * time.Millisecond
	}
	can, err := descriptor.Await(until, false, k.fd, int(k.wake.Fd()))
	switch {
	case err == unix.EINTR:
		return k.Wait(limit)
	case err != nil:
		return false, err
	case can[1]:
		return false, ErrWoken
	}
	return can[0], nil
}

// Read reads the keys that are there, possibly none. It returns an error if the terminal is
// gone.
func (k *Keys) Read(p []byte) (int, error) {
	n, err := unix.Read(k.fd, p)
	switch {
	case err == unix.EINTR, err == unix.EAGAIN:
		return 0, nil
	case err != nil:
		return 0, err
	case n == 0:
		return 0, io.ErrUnexpectedEOF
	}
	return n, nil
}

// Discard throws away what has been typed but not read. It does nothing in a background process,
// which the system would stop for it.
func (k *Keys) Discard() {
	group, err := unix.IoctlGetInt(k.fd, unix.TIOCGPGRP)
	if ours, _ := unix.Getpgid(0); err == nil && group != ours { // an error: it is not our controlling terminal
		return
	}
	var buf [4096]byte
	defer clear(buf[:])
	for {
		if can, err := descriptor.Await(0, false, k.fd); err != nil || !can[0] {
			return
		}
		if n, err := unix.Read(k.fd, buf[:]); err != nil || n == 0 {
			return
		}
	}
}

// Wake ends all present and future waits. It must be called at most once.
func (k *Keys) Wake() { k.waking.Close() }

// Retake switches to reading keys one by one again after the process was stopped, since another
// program may have left the terminal in a different mode.
func (k *Keys) Retake() error {
	if _, err := term.MakeRaw(k.fd); err != nil {
		return err
	}
	mode, err := unix.IoctlGetTermios(k.fd, getTermios)
	if err != nil {
		return err
	}
	// Input and output of other programs, such as a transport that asks for a password, should
	// look as usual.
	mode.Oflag |= unix.OPOST | unix.ONLCR
	mode.Iflag |= unix.ICRNL
	// It has no effect in this mode. But programs that ask for a password clear it, by which
	// Ours notices them.
	mode.Lflag |= unix.ECHONL
	if err := unix.IoctlSetTermios(k.fd, setTermios, mode); err != nil {
		return err
	}
	if mode, err = unix.IoctlGetTermios(k.fd, getTermios); err != nil {
		return err
	}
	k.mode = *mode
	return nil
}

// Ours reports whether the terminal still has our mode. If another program has changed it, that
// program is about to read keys.
func (k *Keys) Ours() bool {
	mode, err := unix.IoctlGetTermios(k.fd, getTermios)
	return err != nil || mode.Lflag == k.mode.Lflag && mode.Iflag == k.mode.Iflag
}

// Restore restores the terminal's original mode.
func (k *Keys) Restore() { _ = term.Restore(k.fd, k.saved) }
