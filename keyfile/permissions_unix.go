//go:build unix

package keyfile

import (
	"fmt"
	"io/fs"
	"os"
	"syscall"
)

// openItself opens a path without following a link in its last place (syscall.ELOOP), and
// without waiting for the other end of a pipe.
const openItself = syscall.O_NOFOLLOW | syscall.O_NONBLOCK

// makeHome makes the folder of a home, for its user alone, if there is none.
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
		// As with sudo in the user's shell: a changed owner would lock the user out.
		unsafe.Fix = fmt.Sprintf("run otrpipe as user %d, without sudo, or name another --home", stat.Uid)
	}
	return unsafe
}

// modeError returns an error if anybody but the owner of a file or folder has a
// right to it; mode is the one that it should have.
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

// withoutModes tries whether a new file in folder can be private at all: on
// FAT, exFAT and some network file systems every file has the mode and owner
// that the mount says. Where no file can be made the answer is no, which
// leaves the refusal standing.
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
