//go:build unix

package process

import (
	"errors"

	"golang.org/x/sys/unix"
)

// ForbidDumps keeps this process's memory, which holds keys, out of core files and, on systems
// that can do so, away from other processes of the same user, such as debuggers and readers of
// /proc. Call it at the start, before there are secrets. Programs started from here inherit only
// the limit on core files, which they can raise again.
func ForbidDumps() error {
	var limit unix.Rlimit
	err := unix.Getrlimit(unix.RLIMIT_CORE, &limit)
	if err == nil {
		limit.Cur = 0
		err = unix.Setrlimit(unix.RLIMIT_CORE, &limit)
	}
	return errors.Join(err, becomeUndumpable())
}
