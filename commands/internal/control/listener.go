package control

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"sync"
	"syscall"

	"github.com/gofrs/flock"
)

const (
	lockSuffix   = ".lock"
	socketSuffix = ".sock"
)

// ErrTaken says that another process hosts the session.
var ErrTaken = errors.New("control: taken")

// A Listener is the right to host a session, and the socket where the others
// come in. A process that dies loses it at once.
type Listener struct {
	lock     *flock.Flock
	socket   string            // path of the listener's socket
	listener *net.UnixListener // nil until it listens
	once     sync.Once
	// answering holds one for each request that is being answered.
	answering chan struct{}
}

// Listen begins to host the session called n in dir, or fails with ErrTaken.
// What a dead process left behind is taken over: the lock goes with its
// process, and only its holder touches the socket.
func Listen(dir string, n Name) (*Listener, error) {
	path := filepath.Join(dir, n.file())
	lock, err := takeLock(path + lockSuffix)
	if err != nil {
		return nil, err
	}
	l := &Listener{lock: lock, socket: path + socketSuffix, answering: make(chan struct{}, maxGuests)}
	if err := os.Remove(l.socket); err != nil && !errors.Is(err, fs.ErrNotExist) {
		l.Close()
		return nil, fmt.Errorf("control: %w", err)
	}
	if err := writeHost(lock.Path(), n); err != nil {
		l.Close()
		return nil, err
	}
	if l.listener, err = listenAt(l.socket); err != nil {
		l.Close()
		return nil, fmt.Errorf("control: %w", err)
	}
	return l, nil
}

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

// accept waits for the next process that comes in and returns the connection
// to it. Processes of other users are turned away. It fails with
// net.ErrClosed once the listener is closed.
func (l *Listener) accept() (*Conn, error) {
	for {
		c, err := l.listener.AcceptUnix()
		if err != nil {
			return nil, err
		}
		if err := checkPeer(c); err != nil {
			c.Close()
			continue
		}
		return newConn(c), nil
	}
}

// Close gives the session's name up. Processes that have come in stay.
func (l *Listener) Close() {
	l.once.Do(func() {
		if l.listener != nil {
			l.listener.Close()
			os.Remove(l.socket)
		}
		dropLock(l.lock)
	})
}

// dropLock removes a lock's file while it is still held, so that nobody can
// hold it in between, and lets go.
func dropLock(lock *flock.Flock) {
	os.Remove(lock.Path())
	lock.Close()
}

// Dial connects to the process that hosts the session called n. The error is
// fs.ErrNotExist or syscall.ECONNREFUSED where there is none.
func Dial(dir string, n Name) (*Conn, error) {
	return dialPath(filepath.Join(dir, n.file()+socketSuffix))
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
