//go:build darwin || freebsd || dragonfly

package transfer

import "golang.org/x/sys/unix"

// blockSize returns the unit in which a file system counts its blocks.
func blockSize(s *unix.Statfs_t) int64 { return int64(s.Bsize) }
