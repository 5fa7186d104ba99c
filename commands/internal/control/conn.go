package control

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// maxMessage bounds one message between processes, in bytes. The largest is a
// half's flags with an SMP secret, or the answer of status.
const maxMessage = 256 << 10

// maxFiles is how many files a message may bring: a half's two streams and
// its events.
const maxFiles = 4

// ErrMessage says that the other process sent something that is no message.
var ErrMessage = errors.New("control: a malformed message")

// A Conn carries messages between two processes: lines of JSON, and with a
// line the files it speaks of. One goroutine may receive while others send.
type Conn struct {
	c    *net.UnixConn
	send sync.Mutex
	// Owned by the goroutine that receives:
	buf   []byte // received and not yet read
	files []*os.File
}

func newConn(c *net.UnixConn) *Conn { return &Conn{c: c} }

// Send sends v as JSON, and with it the files.
func (c *Conn) Send(v any, files ...*os.File) error {
	line, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("control: %w", err)
	}
	line = append(line, '\n')
	defer clear(line) // it may hold a secret
	if len(line) > maxMessage {
		return ErrMessage
	}
	var rights []byte
	if len(files) > 0 {
		fds := make([]int, len(files))
		for i, f := range files {
			fds[i] = int(f.Fd())
		}
		rights = unix.UnixRights(fds...)
	}
	c.send.Lock()
	defer c.send.Unlock()
	n, _, err := c.c.WriteMsgUnix(line, rights, nil)
	if err == nil && n < len(line) {
		_, err = c.c.Write(line[n:])
	}
	if err != nil {
		return fmt.Errorf("control: %w", err)
	}
	return nil
}

// Receive reads the next message into v and returns the files that came with
// it, which are the caller's to close. It fails with io.EOF where the other
// process has left.
func (c *Conn) Receive(v any) ([]*os.File, error) {
	var chunk [4096]byte
	defer clear(chunk[:])
	for {
		if end := bytes.IndexByte(c.buf, '\n'); end >= 0 {
			err := json.Unmarshal(c.buf[:end], v)
			rest := append([]byte(nil), c.buf[end+1:]...)
			clear(c.buf) // it may have held a secret
			c.buf = rest
			files := c.files
			c.files = nil
			if err != nil {
				CloseFiles(files)
				return nil, ErrMessage
			}
			return files, nil
		}
		if len(c.buf) > maxMessage {
			return nil, ErrMessage
		}
		n, err := c.read(chunk[:])
		if err != nil {
			CloseFiles(c.files)
			c.files = nil
			return nil, err
		}
		grown := append(append(make([]byte, 0, 2*(len(c.buf)+n)), c.buf...), chunk[:n]...)
		clear(c.buf)
		c.buf = grown
	}
}

// read reads what is there, and keeps the files that came with it.
func (c *Conn) read(p []byte) (int, error) {
	rights := make([]byte, unix.CmsgSpace(4*maxFiles))
	n, rn, flags, _, err := c.c.ReadMsgUnix(p, rights)
	if rn > 0 {
		files, ferr := filesOf(rights[:rn])
		c.files = append(c.files, files...)
		if ferr != nil || flags&unix.MSG_CTRUNC != 0 || len(c.files) > maxFiles {
			return 0, ErrMessage
		}
	}
	switch {
	case errors.Is(err, io.EOF), errors.Is(err, syscall.ECONNRESET), err == nil && n == 0:
		return 0, io.EOF
	case err != nil:
		return 0, fmt.Errorf("control: %w", err)
	}
	return n, nil
}

// filesOf opens the file descriptors in a socket's control messages.
func filesOf(rights []byte) ([]*os.File, error) {
	messages, err := unix.ParseSocketControlMessage(rights)
	if err != nil {
		return nil, err
	}
	var files []*os.File
	for _, m := range messages {
		fds, err := unix.ParseUnixRights(&m)
		if err != nil {
			continue // other control messages
		}
		for _, fd := range fds {
			files = append(files, os.NewFile(uintptr(fd), "a half's stream"))
		}
	}
	return files, nil
}

// SetDeadline bounds how long Send and Receive may take; the zero time takes
// the bound away.
func (c *Conn) SetDeadline(t time.Time) { _ = c.c.SetDeadline(t) }

func (c *Conn) setWriteDeadline(t time.Time) { _ = c.c.SetWriteDeadline(t) }

// Close closes the connection.
func (c *Conn) Close() {
	c.c.Close()
}

// CloseFiles closes the files that a message brought.
func CloseFiles(files []*os.File) {
	for _, f := range files {
		f.Close()
	}
}
