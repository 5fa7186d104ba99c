package terminal

import (
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
	if err := k.Retake(); err != nil {
		return nil, err
	}
	return k, nil
}

// FD is the terminal's file descriptor.
func (k *Keys) FD() int { return k.fd }

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
