//go:build unix

package descriptor

import (
	"errors"
	"fmt"
	"syscall"

	"golang.org/x/sys/unix"
)

// Check returns ErrNotGiven unless the caller gave the program file descriptor
// fd. Descriptors with FD_CLOEXEC do not survive the exec that starts a program,
// so an inherited one never has that flag; the runtime sets it on all that it
// opens, such as its poller and the cgroup's CPU limit.
func Check(fd int) error {
	flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0)
	if err != nil || flags&unix.FD_CLOEXEC != 0 {
		return fmt.Errorf("file descriptor %d: %w", fd, ErrNotGiven)
	}
	return nil
}

// ReaderGone reports whether err, returned when writing to a pipe, means that the pipe has no
// reader any more.
func ReaderGone(err error) bool { return errors.Is(err, syscall.EPIPE) }
