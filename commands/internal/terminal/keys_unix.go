//go:build unix

package terminal

import (
	"io"
	"os"

	"golang.org/x/sys/unix"
	"golang.org/x/term"
)

// Keys is a terminal whose keys come one by one: nothing is echoed, and no key
// means a signal.
type Keys struct {
	fd    int
	saved *term.State
	mode  unix.Termios
	// wake is a pipe. Its writing end is closed by Wake.
	wake, waking *os.File
}

// TakeKeys makes the keys of the terminal f come one by one, until Restore.
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

// Size is how many columns and rows the terminal has.
func (k *Keys) Size() (width, height int, err error) { return term.GetSize(k.fd) }

// Wait waits until there are keys, for limit milliseconds at most; -1 is no limit. It fails
// with ErrWoken once Wake has been called. It is for one goroutine, as Read is.
func (k *Keys) Wait(limit int) (ready bool, err error) {
	fds := []unix.PollFd{
		{Fd: int32(k.fd), Events: unix.POLLIN},
		{Fd: int32(k.wake.Fd()), Events: unix.POLLIN},
	}
	n, err := unix.Poll(fds, limit)
	switch {
	case err == unix.EINTR:
		return k.Wait(limit)
	case err != nil:
		return false, err
	case fds[1].Revents != 0:
		return false, ErrWoken
	}
	return n > 0, nil
}

// Read reads what there is, which may be nothing. A terminal that is gone is an error.
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

// Discard throws away what has been typed and not been read. A program in the background must
// not read: that would stop it.
func (k *Keys) Discard() {
	group, err := unix.IoctlGetInt(k.fd, unix.TIOCGPGRP)
	if ours, _ := unix.Getpgid(0); err == nil && group != ours { // an error: it is not our controlling terminal
		return
	}
	var buf [4096]byte
	defer clear(buf[:])
	for {
		fds := []unix.PollFd{{Fd: int32(k.fd), Events: unix.POLLIN}}
		if n, err := unix.Poll(fds, 0); err != nil || n == 0 || fds[0].Revents&unix.POLLIN == 0 {
			return
		}
		if n, err := unix.Read(k.fd, buf[:]); err != nil || n == 0 {
			return
		}
	}
}

// Wake ends all waits, now and later. It is to be called once at most.
func (k *Keys) Wake() { k.waking.Close() }

// Retake makes the keys come one by one again, after the process was stopped
// and whoever had the terminal meanwhile has left it in another mode.
func (k *Keys) Retake() error {
	if _, err := term.MakeRaw(k.fd); err != nil {
		return err
	}
	mode, err := unix.IoctlGetTermios(k.fd, getTermios)
	if err != nil {
		return err
	}
	// What other programs write and read, as a transport that asks for a
	// password, shall look as always.
	mode.Oflag |= unix.OPOST | unix.ONLCR
	mode.Iflag |= unix.ICRNL
	// It means nothing in this mode. But those who ask for a password clear it,
	// and so are noticed by Ours.
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

// Ours says that nobody else has changed the terminal's mode: another program
// that has is about to read the keys.
func (k *Keys) Ours() bool {
	mode, err := unix.IoctlGetTermios(k.fd, getTermios)
	return err != nil || mode.Lflag == k.mode.Lflag && mode.Iflag == k.mode.Iflag
}

// Restore gives the terminal back as it was.
func (k *Keys) Restore() { _ = term.Restore(k.fd, k.saved) }
