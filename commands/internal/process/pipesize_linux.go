package process

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// pipeSize is the size of our pipes to COMMAND in bytes. A long message fits, so the ends take
// turns less often. An unprivileged user may ask for this much.
const pipeSize = 1 << 20

// Widen lets a pipe hold more. If that is not allowed, the pipe stays as it is.
func Widen(f *os.File) {
	onDescriptor(f, func(fd int) {
		if size, err := unix.FcntlInt(uintptr(fd), unix.F_GETPIPE_SZ, 0); err == nil && size < pipeSize {
			_, _ = unix.FcntlInt(uintptr(fd), unix.F_SETPIPE_SZ, pipeSize)
		}
	})
}

// Narrow lets a pipe hold as little as possible, one page, so that we see when a slow reader
// falls behind.
func Narrow(f *os.File) {
	onDescriptor(f, func(fd int) {
		_, _ = unix.FcntlInt(uintptr(fd), unix.F_SETPIPE_SZ, os.Getpagesize())
	})
}

// readingEnd opens the other end of a pipe that we write to, to inspect it without reading; nil:
// that failed.
func readingEnd(f *os.File) (end *os.File) {
	onDescriptor(f, func(fd int) {
		end, _ = os.OpenFile(fmt.Sprintf("/proc/self/fd/%d", fd), os.O_RDONLY|unix.O_NONBLOCK, 0)
	})
	return end
}

// unread returns how many bytes a pipe holds.
func unread(f *os.File) (n int) {
	onDescriptor(f, func(fd int) { n, _ = unix.IoctlGetInt(fd, unix.TIOCINQ) })
	return n
}

func onDescriptor(f *os.File, do func(fd int)) {
	if conn, err := f.SyscallConn(); err == nil {
		_ = conn.Control(func(fd uintptr) { do(int(fd)) })
	}
}
