package descriptor

import (
	"errors"
	"os"

	"golang.org/x/sys/windows"
)

// lockedByte is the position of the locked byte, in units of 4 GiB. It is beyond the end of any
// file, because others cannot read what is locked.
const lockedByte = 1 << 30

// Lock locks an open file until it is closed, or fails with ErrLocked. Other errors mean that
// the file system has no locks. Folders have none.
func Lock(f *os.File) error {
	conn, err := f.SyscallConn()
	if err != nil {
		return err
	}
	var failed error
	if err := conn.Control(func(fd uintptr) {
		const how = windows.LOCKFILE_EXCLUSIVE_LOCK | windows.LOCKFILE_FAIL_IMMEDIATELY
		failed = windows.LockFileEx(windows.Handle(fd), how, 0, 1, 0, &windows.Overlapped{OffsetHigh: lockedByte})
	}); err != nil {
		return err
	}
	if errors.Is(failed, windows.ERROR_LOCK_VIOLATION) || errors.Is(failed, windows.ERROR_IO_PENDING) {
		return ErrLocked
	}
	return failed
}
