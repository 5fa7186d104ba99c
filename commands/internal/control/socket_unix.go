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

// takeLock locks the file at path, which its holder removes when it leaves. A lock on a file
// that has been removed does not count.
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
		counts, err := isInPlace(lock)
		if counts {
			return lock, nil
		}
		lock.Close()
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("control: %w", err)
		}
	}
}

// isInPlace reports whether the file of a held lock is still the one at its path. Another program
// may have removed it, and another process may then have locked a new one.
func isInPlace(lock *flock.Flock) (bool, error) {
	held, err := lock.Stat()
	if err != nil {
		return false, err
	}
	there, err := os.Lstat(lock.Path())
	return err == nil && os.SameFile(held, there), err
}

// dropLock removes the lock's file while it still holds the lock, so that nobody can take it in
// between, and then releases it. It leaves the file of another process's lock alone.
func dropLock(lock *flock.Flock) {
	if ours, _ := isInPlace(lock); ours {
		os.Remove(lock.Path())
	}
	lock.Close()
}

// isOrphaned reports whether somebody listens at a socket although its lock is free. Then another
// program has removed the lock's file: what a dead process leaves has contents.
func isOrphaned(lock *flock.Flock, socket string) bool {
	if info, err := lock.Stat(); err != nil || info.Size() > 0 {
		return false
	}
	c, err := dialPath(socket)
	if err == nil {
		c.Close()
	}
	return err == nil || errors.Is(err, syscall.EAGAIN) // a stopped process accepts nobody
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

// listenAt listens at a socket at path. The caller removes the socket, because the listener
// knows it by a name that may be valid during this call only.
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

// maxPath is the length that every system allows for the path of a Unix socket. Its field has
// 104 bytes on the BSDs and 108 on Linux, including a NUL.
const maxPath = 103

// shorten returns a path to the same file that fits into a socket's address. It is valid until
// done is called.
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

// isMarked reports whether the previous holder never released the lock: dropLock removes the
// file, which has contents until then.
func isMarked(lock *flock.Flock) bool {
	info, err := lock.Stat()
	return err != nil || info.Size() > 0
}

// mark marks that the lock is held.
func mark(lock *flock.Flock) error { return os.WriteFile(lock.Path(), []byte("held\n"), 0o600) }

// unmark does nothing, because removing the file removes the mark.
func unmark(*flock.Flock) {}
