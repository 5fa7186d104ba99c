package control

import (
	"fmt"
	"io/fs"
	"net"
	"os"

	"github.com/gofrs/flock"
	"golang.org/x/sys/windows"
)

// Reachable says that other processes can reach a live session. Windows has no sockets that
// tell whose the process at the other end is. So a session only reserves its name.
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

// dropLock lets a lock go and removes its file. Where another process has taken it in
// between, Windows does not remove the file, because it is open.
func dropLock(lock *flock.Flock) {
	lock.Close()
	os.Remove(lock.Path())
}

func dialPath(path string) (*Conn, error) {
	return nil, &fs.PathError{Op: "dial", Path: path, Err: fs.ErrNotExist}
}

func listenAt(path string) (*net.UnixListener, error) {
	return nil, &fs.PathError{Op: "listen", Path: path, Err: fs.ErrNotExist}
}

func checkPeer(*net.UnixConn) error { return errOtherUser }

// A mark says in a file of its own that a thing was held: what is locked cannot be written to
// on Windows by another handle.
func markPath(lock *flock.Flock) string { return lock.Path() + ".mark" }

// isMarked reports whether the one that held the lock before has not released it.
func isMarked(lock *flock.Flock) bool {
	_, err := os.Lstat(markPath(lock))
	return err == nil
}

// mark marks that the lock is held, until unmark.
func mark(lock *flock.Flock) error { return os.WriteFile(markPath(lock), []byte("held\n"), 0o600) }

func unmark(lock *flock.Flock) { os.Remove(markPath(lock)) }
