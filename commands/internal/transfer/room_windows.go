package transfer

import (
	"math"
	"os"

	"golang.org/x/sys/windows"
)

// freeBytes returns the number of bytes that dir's file system has room for.
func freeBytes(dir *os.Root) (bytes int64, known bool) {
	path, err := windows.UTF16PtrFromString(dir.Name())
	if err != nil {
		return 0, false
	}
	var free uint64
	if err := windows.GetDiskFreeSpaceEx(path, &free, nil, nil); err != nil {
		return 0, false
	}
	return int64(min(free, math.MaxInt64)), true
}
