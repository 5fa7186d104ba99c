package transfer

import "golang.org/x/sys/unix"

// blockSize returns the unit in which a file system counts its blocks. On Linux that is the
// fragment size. The block size is how much to read or write at once, and with FUSE it can be
// another number.
func blockSize(s *unix.Statfs_t) int64 {
	if s.Frsize > 0 {
		return int64(s.Frsize)
	}
	return int64(s.Bsize)
}
