package transport

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	"otrpipe/otr/wire"
)

const (
	// speakTime is how long a caller may take to send its first line. An otrpipe sends it at
	// once; a slow line may take a few round trips. Silent callers do not delay others.
	speakTime = 30 * time.Second
	// maxFirstLine is how much of a caller's first line is inspected, in bytes. A query or the
	// first message of a key exchange is recognized far sooner, and a text with a whitespace tag
	// is a sentence or two.
	maxFirstLine = 4096
	// maxCallers bounds the number of waiting connections, and so the memory for their first
	// lines to 256 KiB. A further one replaces the one that has been silent for longest.
	maxCallers = 64
	// acceptPause is the pause before another attempt when a connection could not be accepted,
	// probably because we are out of file descriptors.
	acceptPause = 50 * time.Millisecond
	// lastLine is how long a caller that is turned away may take to read the reason.
	lastLine = time.Second
)

// turnedAway is the OTR error message for callers that do not speak OTR. Any client shows it.
const turnedAway = "?OTR Error: this port is for OTR; goodbye\n"

// ErrClosed says that the listener was closed.
var ErrClosed = errors.New("transport: the listener is closed")

// A Listener accepts callers.
type Listener struct {
	// Set by Listen and not changed later.
	tcp     net.Listener
	spoken  chan *Caller  // callers that have spoken OTR
	closed  chan struct{} // closed by Close
	dismiss func(address string, why error, total int)

	mu sync.Mutex
	// Guarded by mu.
	waiting []*Caller // all callers that Accept has not returned, oldest first
	guard   guard
	total   int // the number of callers that were turned away or refused
	over    bool
}

// A Caller is a connection that a Listener has accepted.
type Caller struct {
	*Conn
	listener *Listener
	spoke    bool // guarded by the listener's mu
}

// The reasons that are passed to Listen's dismiss.
var (
	ErrSilent   = errors.New("it said nothing")
	ErrNoOTR    = errors.New("it does not speak OTR")
	ErrTooMany  = errors.New("too many callers wait")
	ErrTooOften = errors.New("its address has failed too often lately")
)

// Listen begins to listen on address, in the form of ListenAddress. dismiss, unless nil, is
// called for each caller that is turned away before Accept returns it, with its IP:PORT, the
// reason, and the total number of such callers. Other goroutines call it.
func Listen(address string, dismiss func(address string, why error, total int)) (*Listener, error) {
	if host, port, err := net.SplitHostPort(address); err == nil && isLocalhost(host) {
		address = net.JoinHostPort(loopback, port)
	}
	tcp, err := net.Listen("tcp", address)
	if err != nil {
		return nil, fmt.Errorf("transport: %w", reason(err))
	}
	l := &Listener{
		tcp: tcp, spoken: make(chan *Caller, maxCallers), closed: make(chan struct{}), dismiss: dismiss,
		guard: newGuard(),
	}
	go l.run()
	return l, nil
}

// Address returns the listener's address as IP:PORT.
func (l *Listener) Address() string { return l.tcp.Addr().String() }

// Everywhere reports whether it listens on every address of this machine.
func (l *Listener) Everywhere() bool {
	tcp, ok := l.tcp.Addr().(*net.TCPAddr)
	return ok && tcp.IP.IsUnspecified()
}

// Accept returns the next caller that has begun to speak OTR. It fails with ErrClosed when
// the listener is closed, or when stop is.
func (l *Listener) Accept(stop <-chan struct{}) (*Caller, error) {
	for {
		select {
		case <-l.closed:
			return nil, ErrClosed
		case <-stop:
			return nil, ErrClosed
		case c := <-l.spoken:
			if l.remove(c) {
				return c, nil
			}
		}
	}
}

// Waiting returns the number of callers that Accept could return at once.
func (l *Listener) Waiting() int { return len(l.spoken) }

// Close ends the listening. Waiting callers are disconnected without a message; callers that
// Accept has returned stay connected.
func (l *Listener) Close() {
	l.mu.Lock()
	waiting := l.waiting
	if !l.over {
		l.over = true
		close(l.closed)
	}
	l.waiting = nil
	l.mu.Unlock()
	l.tcp.Close()
	for _, c := range waiting {
		c.tcp.Close()
	}
}

// Refuse closes a caller that has failed a check, and returns the number of callers that have
// been turned away or refused so far. The next connections from its address must wait.
func (c *Caller) Refuse() (total int) {
	_ = c.Close()
	return c.listener.count(c)
}

// Pass forgets the failures of a caller's address.
func (c *Caller) Pass() {
	c.listener.mu.Lock()
	defer c.listener.mu.Unlock()
	c.listener.guard.forgive(c.host())
}

func (c *Caller) host() string { return hostOf(c.tcp.RemoteAddr()) }

// count counts a caller as failed.
func (l *Listener) count(c *Caller) (total int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.guard.fail(c.host(), time.Now())
	l.total++
	return l.total
}

// run accepts connections until the listener is closed.
func (l *Listener) run() {
	for {
		tcp, err := l.tcp.Accept()
		if err != nil {
			select {
			case <-l.closed:
				return
			case <-time.After(acceptPause):
			}
			continue
		}
		c := &Caller{Conn: &Conn{tcp: tcp}, listener: l}
		if l.admit(c) {
			go l.hear(c)
		}
	}
}

// admit gives a caller a place among those that wait.
func (l *Listener) admit(c *Caller) bool {
	l.mu.Lock()
	if l.over {
		l.mu.Unlock()
		c.tcp.Close()
		return false
	}
	var silent *Caller
	if len(l.waiting) >= maxCallers {
		for _, other := range l.waiting {
			if !other.spoke {
				silent = other
				break
			}
		}
		if silent == nil {
			l.mu.Unlock()
			go l.turnAway(c, ErrTooMany)
			return false
		}
		l.drop(silent)
	}
	l.waiting = append(l.waiting, c)
	l.mu.Unlock()
	if silent != nil {
		silent.tcp.Close() // the goroutine that reads from it then sees that it is no longer waiting
	}
	return true
}

// remove removes a caller from the waiting ones; false: it was not among them.
func (l *Listener) remove(c *Caller) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.drop(c)
}

// drop is remove with the mutex held.
func (l *Listener) drop(c *Caller) bool {
	for i, other := range l.waiting {
		if other == c {
			l.waiting = append(l.waiting[:i:i], l.waiting[i+1:]...)
			return true
		}
	}
	return false
}

// hear waits until a caller speaks OTR and lets Accept return it, or turns it away.
func (l *Listener) hear(c *Caller) {
	l.mu.Lock()
	wait, ok := l.guard.wait(c.host(), time.Now())
	l.mu.Unlock()
	if !ok {
		l.dismissed(c, ErrTooOften)
		return
	}
	if wait > 0 {
		select {
		case <-time.After(wait):
		case <-l.closed:
			return // Close has closed the connection
		}
	}
	_ = c.tcp.SetReadDeadline(time.Now().Add(speakTime))
	first, err := firstLine(c.tcp)
	if err != nil {
		l.dismissed(c, err)
		return
	}
	_ = c.tcp.SetReadDeadline(time.Time{})
	c.first = first
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, waiting := range l.waiting {
		if waiting == c {
			c.spoke = true
			l.spoken <- c // it has room for all waiting callers
			return
		}
	}
}

// dismissed turns away a caller that waits.
func (l *Listener) dismissed(c *Caller, why error) {
	if l.remove(c) {
		l.turnAway(c, why)
	} else {
		c.tcp.Close()
	}
}

// turnAway tells a caller that it does not belong here, and counts it.
func (l *Listener) turnAway(c *Caller, why error) {
	total := l.count(c)
	if l.dismiss != nil {
		l.dismiss(c.Address(), why, total)
	}
	_ = c.tcp.SetWriteDeadline(time.Now().Add(lastLine))
	_, _ = c.tcp.Write([]byte(turnedAway))
	_ = c.Close()
}

// firstLine reads until the caller shows that it speaks OTR, and returns everything that was
// read. It skips blank lines.
func firstLine(tcp net.Conn) ([]byte, error) {
	buf := make([]byte, 0, maxFirstLine)
	for {
		n, err := tcp.Read(buf[len(buf):cap(buf)])
		buf = buf[:len(buf)+n]
		line := bytes.TrimLeft(buf, "\r\n")
		line, _, whole := bytes.Cut(line, []byte{'\n'})
		switch {
		case wire.Classify(line) != wire.KindPlain:
			return buf, nil
		case whole || len(buf) == cap(buf):
			return nil, ErrNoOTR
		case err != nil && len(line) > 0:
			return nil, ErrNoOTR
		case err != nil:
			return nil, ErrSilent
		}
	}
}
