package process

import (
	"os"

	"golang.org/x/sys/unix"
)

// pipeSize is how many bytes our pipes to COMMAND hold: enough for a long
// message, so that the ends take turns less often. It is what an unprivileged
// user may ask for.
const pipeSize = 1 << 20

// Widen lets a pipe hold more. Where that is not allowed it stays as it is.
func Widen(f *os.File) {
	conn, err := f.SyscallConn()
	if err != nil {
		return
	}
	_ = conn.Control(func(fd uintptr) {
		if size, err := unix.FcntlInt(fd, unix.F_GETPIPE_SZ, 0); err == nil && size < pipeSize {
			_, _ = unix.FcntlInt(fd, unix.F_SETPIPE_SZ, pipeSize)
		}
	})
}
