package control

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/gofrs/flock"
)

const (
	lockSuffix   = ".lock"
	socketSuffix = ".sock"
)

// ErrTaken says that another process hosts the session.
var ErrTaken = errors.New("control: taken")

var errOtherUser = errors.New("control: the other process belongs to another user")

// A Listener is the right to host a session, with the socket to which other processes connect. A
// process that dies loses it at once.
type Listener struct {
	lock        *flock.Flock
	socket      string            // path of the listener's socket
	listener    *net.UnixListener // nil until it listens, and where sessions are not Reachable
	file        fs.FileInfo       // the socket's file; nil like listener
	stopRefresh func()
	once        sync.Once
	// answering counts the requests that are being answered.
	answering chan struct{}
	// greeting is how long a process may take to send its first request: Greeting.
	greeting time.Duration
}

// Listen begins to host the session called n in dir, or returns ErrTaken. It takes over what a
// dead process left behind: a lock ends with its process, and only the lock's holder touches the
// socket. If another program has removed the lock's file, a live session at the socket still has
// the name.
func Listen(dir string, n Name) (*Listener, error) {
	path := filepath.Join(dir, n.file())
	lock, err := takeLock(path + lockSuffix)
	if err != nil {
		return nil, err
	}
	l := &Listener{lock: lock, socket: path + socketSuffix, answering: make(chan struct{}, maxGuests), greeting: Greeting}
	l.stopRefresh = keepFresh(lock.Path(), l.socket)
	if !Reachable {
		return l, nil
	}
	if isOrphaned(lock, l.socket) {
		l.Close()
		return nil, ErrTaken
	}
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
	if l.file, err = os.Lstat(l.socket); err != nil {
		l.Close()
		return nil, fmt.Errorf("control: %w", err)
	}
	return l, nil
}

// accept waits for the next process to connect. It turns away processes of other users. It
// returns net.ErrClosed once the listener is closed.
func (l *Listener) accept() (*Conn, error) {
	if l.listener == nil {
		return nil, net.ErrClosed
	}
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

// Close gives up the session's name. Existing connections stay.
func (l *Listener) Close() {
	l.once.Do(func() {
		l.stopRefresh()
		if l.listener != nil {
			// Another program may have removed our files, and another session of this name may
			// have begun. While the socket is open, no other file can be taken for it.
			there, err := os.Lstat(l.socket)
			ours := err == nil && l.file != nil && os.SameFile(there, l.file)
			l.listener.Close()
			if ours {
				os.Remove(l.socket)
			}
		}
		dropLock(l.lock)
	})
}

// Dial connects to the process that hosts the session called n. The error is fs.ErrNotExist or
// syscall.ECONNREFUSED if there is none.
func Dial(dir string, n Name) (*Conn, error) {
	return dialPath(filepath.Join(dir, n.file()+socketSuffix))
}
