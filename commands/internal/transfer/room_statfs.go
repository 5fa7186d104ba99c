//go:build linux || darwin || freebsd || dragonfly

package transfer

import (
	"math"
	"os"

	"golang.org/x/sys/unix"
)

// freeBytes returns the number of bytes that dir's file system has room for.
func freeBytes(dir *os.Root) (bytes int64, known bool) {
	f, err := dir.Open(".")
	if err != nil {
		return 0, false
	}
	defer f.Close()
	var s unix.Statfs_t
	if err := unix.Fstatfs(int(f.Fd()), &s); err != nil {
		return 0, false
	}
	blocks, each := int64(s.Bavail), blockSize(&s)
	if blocks < 0 || each <= 0 || blocks > math.MaxInt64/each {
		return 0, false
	}
	return blocks * each, true
}
