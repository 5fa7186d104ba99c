package keyfile

import "golang.org/x/sys/unix"

const sysMmap = unix.SYS_MMAP2 // the only one that arm has
