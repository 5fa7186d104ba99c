//go:build unix

package events

import "golang.org/x/sys/unix"

// takeDescriptor returns a second descriptor of the file behind fd. Programs started from now on
// inherit neither it nor, unless it is a standard stream, fd.
func takeDescriptor(fd int) (uintptr, error) {
	own, err := duplicate(uintptr(fd))
	if err == nil && fd > 2 {
		unix.CloseOnExec(fd)
	}
	return own, err
}

// duplicate returns a second descriptor of the same file, which no program inherits.
func duplicate(fd uintptr) (uintptr, error) {
	own, err := unix.FcntlInt(fd, unix.F_DUPFD_CLOEXEC, 3)
	return uintptr(own), err
}
