//go:build unix

package terminal

import (
	"os"

	"golang.org/x/sys/unix"
)

// Open opens the controlling terminal, to read its keys and to write to it. Both files are
// to be closed.
func Open() (in, out *os.File, err error) {
	const path = "/dev/tty"
	if in, err = os.OpenFile(path, os.O_RDWR, 0); err != nil {
		return nil, nil, err
	}
	if out, err = os.OpenFile(path, os.O_RDWR, 0); err != nil {
		in.Close()
		return nil, nil, err
	}
	return in, out, nil
}

// background reports whether f is our terminal and other processes are in its foreground, so
// that the cursor's line is theirs.
func background(f *os.File) (is bool) {
	control(f, func(fd int) { is = behind(fd) })
	return is
}

// behind reports whether fd is our terminal and other processes are in its foreground.
func behind(fd int) bool {
	front, err := unix.IoctlGetInt(fd, unix.TIOCGPGRP)
	if err != nil {
		return false
	}
	own, err := unix.Getpgid(0)
	return err == nil && front != own
}
