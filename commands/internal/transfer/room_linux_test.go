package transfer

import (
	"testing"

	"golang.org/x/sys/unix"
)

func TestFreeBlocksAreCountedInFragments(t *testing.T) {
	for _, test := range []struct {
		name string
		is   unix.Statfs_t
		want int64
	}{
		{"FUSE may prefer large blocks", unix.Statfs_t{Bsize: 1 << 20, Frsize: 4096}, 4096},
		{"a file system without fragments", unix.Statfs_t{Bsize: 4096}, 4096},
	} {
		if got := blockSize(&test.is); got != test.want {
			t.Errorf("%s: %d", test.name, got)
		}
	}
}
