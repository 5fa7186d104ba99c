package control

import (
	"fmt"
	"io/fs"
	"net"
	"os"

	"github.com/gofrs/flock"
	"golang.org/x/sys/windows"
)

// Reachable says that other processes can reach a live session. On Windows a socket cannot tell
// which user runs the process at its other end, so a session only reserves its name.
const Reachable = false

// noFollow opens a link itself instead of what it leads to, or fails.
const noFollow = windows.O_FILE_FLAG_OPEN_REPARSE_POINT

// takeLock locks the file at path, which its holder removes when it leaves.
func takeLock(path string) (*flock.Flock, error) {
	lock := flock.New(path)
	locked, err := lock.TryLock()
	if err != nil {
		return nil, fmt.Errorf("control: %w", err)
	}
	if !locked {
		return nil, ErrTaken
	}
	return lock, nil
}

// dropLock releases a lock and removes its file. If another process has taken it in between, the
// file is open, and Windows does not remove it.
func dropLock(lock *flock.Flock) {
	lock.Close()
	os.Remove(lock.Path())
}

// isOrphaned is for sockets that other processes can reach.
func isOrphaned(*flock.Flock, string) bool { return false }

func dialPath(path string) (*Conn, error) {
	return nil, &fs.PathError{Op: "dial", Path: path, Err: fs.ErrNotExist}
}

func listenAt(path string) (*net.UnixListener, error) {
	return nil, &fs.PathError{Op: "listen", Path: path, Err: fs.ErrNotExist}
}

func checkPeer(*net.UnixConn) error { return errOtherUser }

// A mark records in a separate file that something was held, because Windows does not let
// another handle write to a locked file.
func markPath(lock *flock.Flock) string { return lock.Path() + ".mark" }

// isMarked reports whether the previous holder never released the lock.
func isMarked(lock *flock.Flock) bool {
	_, err := os.Lstat(markPath(lock))
	return err == nil
}

// mark marks that the lock is held, until unmark.
func mark(lock *flock.Flock) error { return os.WriteFile(markPath(lock), []byte("held\n"), 0o600) }

func unmark(lock *flock.Flock) { os.Remove(markPath(lock)) }
