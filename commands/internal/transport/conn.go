package transport

import (
	"io"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// lastRead bounds how long Close waits for the other end to close too. Closing a connection with
// unread bytes resets it, which can destroy what we have just sent.
const lastRead = time.Second

// A Conn is a connection to the other end that carries the lines of a session. Several
// goroutines may call its methods, but only one at a time may read and only one may write.
type Conn struct {
	tcp   net.Conn
	first []byte // bytes that were read before; owned by the reader
	heard atomic.Int64
	// reading is held by Read while it reads, and by Close from the moment when the reader has
	// left, for ever.
	reading sync.Mutex
	once    sync.Once
	err     error // the error of the first Close
}

// Address returns the other end's address as IP:PORT.
func (c *Conn) Address() string { return c.tcp.RemoteAddr().String() }

// Heard returns the number of bytes read.
func (c *Conn) Heard() int64 { return c.heard.Load() }

func (c *Conn) Read(p []byte) (int, error) {
	if !c.reading.TryLock() {
		return 0, net.ErrClosed
	}
	defer c.reading.Unlock()
	if len(c.first) > 0 {
		n := copy(p, c.first)
		c.first = c.first[n:]
		c.heard.Add(int64(n))
		return n, nil
	}
	n, err := c.tcp.Read(p)
	c.heard.Add(int64(n))
	return n, reason(err)
}

func (c *Conn) Write(p []byte) (int, error) {
	n, err := c.tcp.Write(p)
	return n, reason(err)
}

// Close closes our direction, waits a moment for the other end to do the same, and closes the
// connection. Blocked Reads and Writes return at once.
func (c *Conn) Close() error {
	c.once.Do(func() {
		now := time.Now()
		_ = c.tcp.SetDeadline(now) // wakes the reader and the writer
		// A later deadline that is set before the reader runs would let it read on.
		c.reading.Lock()
		if half, ok := c.tcp.(interface{ CloseWrite() error }); ok && half.CloseWrite() == nil {
			_ = c.tcp.SetReadDeadline(now.Add(lastRead))
			_, _ = io.Copy(io.Discard, io.LimitReader(c.tcp, maxDiscard))
		}
		c.err = c.tcp.Close()
	})
	return c.err
}

// maxDiscard bounds what Close reads, in bytes. It is more than can be in transit.
const maxDiscard = 64 << 20
