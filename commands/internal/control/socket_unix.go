//go:build unix

package control

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"syscall"

	"github.com/gofrs/flock"
)

// Reachable says that other processes can reach a live session.
const Reachable = true

// noFollow opens a link itself instead of what it leads to, or fails.
const noFollow = syscall.O_NOFOLLOW

// takeLock locks the file at path, which its holder removes when it leaves:
// a lock on a file that is no longer there is none.
func takeLock(path string) (*flock.Flock, error) {
	for {
		lock := flock.New(path, flock.SetFlag(os.O_CREATE|os.O_RDWR|syscall.O_NOFOLLOW), flock.SetPermissions(0o600))
		locked, err := lock.TryLock()
		if err != nil {
			return nil, fmt.Errorf("control: %w", err)
		}
		if !locked {
			return nil, ErrTaken
		}
		held, err := lock.Stat()
		if err == nil {
			var there fs.FileInfo
			if there, err = os.Lstat(path); err == nil && os.SameFile(held, there) {
				return lock, nil
			}
		}
		lock.Close()
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("control: %w", err)
		}
	}
}

// dropLock removes a lock's file while it is still held, so that nobody can
// hold it in between, and lets go.
func dropLock(lock *flock.Flock) {
	os.Remove(lock.Path())
	lock.Close()
}

func dialPath(path string) (*Conn, error) {
	short, done, err := shorten(path)
	if err != nil {
		return nil, err
	}
	defer done()
	c, err := net.DialUnix("unix", nil, &net.UnixAddr{Name: short, Net: "unix"})
	if err != nil {
		return nil, fmt.Errorf("control: %w", err)
	}
	if err := checkPeer(c); err != nil {
		c.Close()
		return nil, err
	}
	return newConn(c), nil
}

// listenAt listens at a socket at path, which the caller removes: the listener
// knows it by a name that may be valid for this call only.
func listenAt(path string) (*net.UnixListener, error) {
	short, done, err := shorten(path)
	if err != nil {
		return nil, err
	}
	defer done()
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: short, Net: "unix"})
	if err != nil {
		return nil, err
	}
	l.SetUnlinkOnClose(false)
	return l, nil
}

// maxPath is how long the path of a Unix socket may be everywhere: the field
// for it has 104 bytes on the BSDs and 108 on Linux, with a NUL.
const maxPath = 103

// shorten returns a path to the same file that fits a socket's address, valid
// until done is called.
func shorten(path string) (short string, done func(), err error) {
	if len(path) <= maxPath {
		return path, func() {}, nil
	}
	dir, err := os.Open(filepath.Dir(path))
	if err != nil {
		return "", nil, fmt.Errorf("control: %w", err)
	}
	short = fmt.Sprintf("/proc/self/fd/%d/%s", dir.Fd(), filepath.Base(path))
	if _, err := os.Stat(filepath.Dir(short)); err != nil {
		dir.Close()
		return "", nil, fmt.Errorf("control: the path of the socket is too long: %s", path)
	}
	return short, func() { dir.Close() }, nil
}

// isMarked reports whether the one that held the lock before has not released it: dropLock
// removes the file, and until then something is in it.
func isMarked(lock *flock.Flock) bool {
	info, err := lock.Stat()
	return err != nil || info.Size() > 0
}

// mark marks that the lock is held.
func mark(lock *flock.Flock) error { return os.WriteFile(lock.Path(), []byte("held\n"), 0o600) }

// unmark does nothing: the mark goes with the file.
func unmark(*flock.Flock) {}
