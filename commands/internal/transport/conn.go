package transport

import (
	"io"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// lastRead bounds how long Close waits for the other end to close too. A connection that
// is closed while bytes of the other end are unread is reset, which can destroy what we
// have just sent.
const lastRead = time.Second

// A Conn is a connection to the other end, whose lines are those of a session. Its methods
// may be called from several goroutines; one at a time reads and one at a time writes.
type Conn struct {
	tcp   net.Conn
	first []byte // read already; the reader's
	heard atomic.Int64
	once  sync.Once
	err   error // of the first Close
}

// Address is the other end's, as IP:PORT.
func (c *Conn) Address() string { return c.tcp.RemoteAddr().String() }

// Heard is how many bytes have been read.
func (c *Conn) Heard() int64 { return c.heard.Load() }

func (c *Conn) Read(p []byte) (int, error) {
	if len(c.first) > 0 {
		n := copy(p, c.first)
		c.first = c.first[n:]
		c.heard.Add(int64(n))
		return n, nil
	}
	n, err := c.tcp.Read(p)
	c.heard.Add(int64(n))
	return n, err
}

func (c *Conn) Write(p []byte) (int, error) { return c.tcp.Write(p) }

// Close ends what we write, waits a moment for the other end to do the same, and closes
// the connection. A Read or Write that is blocked returns at once.
func (c *Conn) Close() error {
	c.once.Do(func() {
		now := time.Now()
		_ = c.tcp.SetDeadline(now) // wakes the reader and the writer
		if half, ok := c.tcp.(interface{ CloseWrite() error }); ok && half.CloseWrite() == nil {
			_ = c.tcp.SetReadDeadline(now.Add(lastRead))
			_, _ = io.Copy(io.Discard, io.LimitReader(c.tcp, maxDiscard))
		}
		c.err = c.tcp.Close()
	})
	return c.err
}

// maxDiscard bounds what Close reads, in bytes: more than can be on its way.
const maxDiscard = 64 << 20
