//go:build unix

package halves

import (
	"fmt"
	"os"
	"syscall"
)

// fileID identifies the file behind f, in the same way in every process.
func fileID(f *os.File) string {
	var id string
	conn, err := f.SyscallConn()
	if err != nil {
		return ""
	}
	_ = conn.Control(func(fd uintptr) {
		var st syscall.Stat_t
		if syscall.Fstat(int(fd), &st) == nil {
			id = fmt.Sprintf("%x:%x:%x", st.Dev, st.Ino, st.Rdev)
		}
	})
	return id
}
