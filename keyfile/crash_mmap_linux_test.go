//go:build !arm

package keyfile

import "golang.org/x/sys/unix"

const sysMmap = unix.SYS_MMAP
