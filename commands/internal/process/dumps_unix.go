//go:build unix

package process

import (
	"errors"

	"golang.org/x/sys/unix"
)

// ForbidDumps keeps the memory of this process, which has keys in it, out of core files
// and, where the system has a way, from other processes of the same user: debuggers, and
// readers of /proc. It is for the beginning, before there are secrets. Programs that are
// started from here inherit the limit of core files, which they may raise again, and
// nothing else.
func ForbidDumps() error {
	var limit unix.Rlimit
	err := unix.Getrlimit(unix.RLIMIT_CORE, &limit)
	if err == nil {
		limit.Cur = 0
		err = unix.Setrlimit(unix.RLIMIT_CORE, &limit)
	}
	return errors.Join(err, becomeUndumpable())
}
