//go:build unix

package descriptor

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// Lock locks an open file until it is closed, or fails with ErrLocked. Other errors mean that
// the file system has no locks.
func Lock(f *os.File) error {
	conn, err := f.SyscallConn()
	if err != nil {
		return err
	}
	for {
		var failed error
		if err := conn.Control(func(fd uintptr) { failed = unix.Flock(int(fd), unix.LOCK_EX|unix.LOCK_NB) }); err != nil {
			return err
		}
		switch {
		case errors.Is(failed, unix.EINTR):
		case errors.Is(failed, unix.EWOULDBLOCK):
			return ErrLocked
		default:
			return failed
		}
	}
}
