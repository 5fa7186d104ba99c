//go:build unix

package keyfile

import (
	"fmt"
	"io/fs"
	"os"
	"syscall"
)

// openItself opens a path without following a link in its last element (which gives
// syscall.ELOOP), and without waiting for the other end of a pipe.
const openItself = syscall.O_NOFOLLOW | syscall.O_NONBLOCK

// makeHome creates the folder of a home, for its user alone, if there is none.
func makeHome(dir string) error { return os.MkdirAll(dir, folderMode) }

// ownerError returns an error if a file or folder belongs to another user.
func ownerError(path string, info fs.FileInfo) *UnsafeError {
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok || int(stat.Uid) == os.Geteuid() {
		return nil
	}
	unsafe := &UnsafeError{
		Path:   path,
		Reason: fmt.Sprintf("belongs to user %d, not to us (user %d)", stat.Uid, os.Geteuid()),
		Fix:    fmt.Sprintf("chown %d %s", os.Geteuid(), shellQuote(path)),
	}
	if os.Geteuid() == 0 {
		// This happens with sudo in the user's shell. Changing the owner would lock the user
		// out.
		unsafe.Fix = fmt.Sprintf("run otrpipe as user %d, without sudo, or name another --home", stat.Uid)
	}
	return unsafe
}

// modeError returns an error if anyone but the owner has access to a file or folder; mode is
// the mode that it should have.
func modeError(path string, info fs.FileInfo, mode fs.FileMode) *UnsafeError {
	perm := info.Mode().Perm()
	if perm&0o077 == 0 {
		return nil
	}
	return &UnsafeError{
		Path:   path,
		Reason: fmt.Sprintf("has mode %04o, which lets others in", perm),
		Fix:    fmt.Sprintf("chmod %o %s", mode, shellQuote(path)),
	}
}

// withoutModes reports whether new files in folder cannot be private at all: on FAT, exFAT
// and some network file systems the mount determines the mode and owner of every file. It
// creates a file to find out. If that fails it returns false, so that the file is still
// refused.
func withoutModes(folder string) bool {
	f, err := os.CreateTemp(folder, trialPrefix+"*")
	if err != nil {
		return false
	}
	defer os.Remove(f.Name())
	defer f.Close()
	info, err := f.Stat()
	return err == nil && (info.Mode().Perm()&0o077 != 0 || ownerError("", info) != nil)
}
