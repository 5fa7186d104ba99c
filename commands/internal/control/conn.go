package control

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"syscall"
	"time"
)

const (
	// maxMessage bounds the JSON of one message between processes, in bytes. The largest
	// messages carry a half's flags or the answer to status.
	maxMessage = 256 << 10
	// maxSecret bounds each secret of a message, in bytes. No source of a secret returns more.
	maxSecret = 4096
)

// maxFiles is the maximum number of files that come with a message: a half's two streams and its
// events.
const maxFiles = 4

// ErrMessage says that the other process sent an invalid message.
var ErrMessage = errors.New("control: a malformed message")

// A Conn carries messages between two processes. A message is the length of a JSON text, in
// four bytes, big-endian; the text; and each secret that such a message has a place for:
// its length and one, in four bytes, and its bytes, or 0 where there is none. So secrets
// pass through no encoder, whose buffers nobody can wipe. Files come with the beginning of
// the message that speaks of them. One goroutine may receive while others send.
type Conn struct {
	c     *net.UnixConn
	send  sync.Mutex
	files []*os.File // owned by the goroutine that receives
}

func newConn(c *net.UnixConn) *Conn { return &Conn{c: c} }

// A Message is a *Request or a *Reply.
type Message interface {
	// secrets returns the places of the secrets in a message whose other fields are set.
	secrets() []*[]byte
}

// Send sends a message, and with it the files. The caller still has to wipe its secrets.
func (c *Conn) Send(m Message, files ...*os.File) error {
	text, err := json.Marshal(m)
	if err != nil {
		return fmt.Errorf("control: %w", err)
	}
	parts := [][]byte{append(binary.BigEndian.AppendUint32(nil, uint32(len(text))), text...)}
	if len(text) > maxMessage {
		return ErrMessage
	}
	for _, secret := range m.secrets() {
		if *secret == nil {
			parts = append(parts, make([]byte, 4))
			continue
		}
		if len(*secret) > maxSecret {
			return ErrMessage
		}
		parts = append(parts, binary.BigEndian.AppendUint32(nil, uint32(len(*secret)+1)), *secret)
	}
	rights := rightsOf(files)
	c.send.Lock()
	defer c.send.Unlock()
	n, _, err := c.c.WriteMsgUnix(parts[0], rights, nil)
	for parts[0] = parts[0][max(n, 0):]; err == nil && len(parts) > 0; parts = parts[1:] {
		_, err = c.c.Write(parts[0])
	}
	if err != nil {
		return fmt.Errorf("control: %w", err)
	}
	return nil
}

// Receive reads the next message into m, which must be empty, and returns the files that came
// with it. The caller wipes the secrets and closes the files; if there is an error, there are
// none. The error is io.EOF if the other process has left.
func (c *Conn) Receive(m Message) (files []*os.File, err error) {
	defer func() {
		files, c.files = c.files, nil
		if err != nil {
			CloseFiles(files)
			files = nil
		}
	}()
	length, err := c.readLength()
	if err != nil {
		return nil, err
	}
	if length > maxMessage {
		return nil, ErrMessage
	}
	text := make([]byte, length)
	if err := c.readFull(text); err != nil {
		return nil, err
	}
	if json.Unmarshal(text, m) != nil {
		return nil, ErrMessage
	}
	for _, secret := range m.secrets() {
		if *secret, err = c.readSecret(); err != nil {
			wipeSecrets(m)
			return nil, err
		}
	}
	return nil, nil
}

// wipeSecrets overwrites the secrets of a message.
func wipeSecrets(m Message) {
	for _, secret := range m.secrets() {
		clear(*secret)
		*secret = nil
	}
}

// readSecret reads a secret into memory that nothing else shares. It returns nil if there is
// none.
func (c *Conn) readSecret() ([]byte, error) {
	length, err := c.readLength()
	switch {
	case err != nil || length == 0:
		return nil, err
	case length > maxSecret+1:
		return nil, ErrMessage
	}
	secret := make([]byte, length-1)
	if err := c.readFull(secret); err != nil {
		clear(secret)
		return nil, err
	}
	return secret, nil
}

func (c *Conn) readLength() (uint32, error) {
	var b [4]byte
	err := c.readFull(b[:])
	return binary.BigEndian.Uint32(b[:]), err
}

func (c *Conn) readFull(p []byte) error {
	for len(p) > 0 {
		n, err := c.read(p)
		if err != nil {
			return err
		}
		p = p[n:]
	}
	return nil
}

// read reads the bytes that have arrived and keeps the files that came with them.
func (c *Conn) read(p []byte) (int, error) {
	rights := make([]byte, rightsSize)
	n, rn, flags, _, err := c.c.ReadMsgUnix(p, rights)
	if rn > 0 {
		files, ferr := filesOf(rights[:rn])
		c.files = append(c.files, files...)
		if ferr != nil || isCut(flags) || len(c.files) > maxFiles {
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

// SetDeadline bounds how long Send and Receive may take; the zero time removes the bound.
func (c *Conn) SetDeadline(t time.Time) { _ = c.c.SetDeadline(t) }

func (c *Conn) setWriteDeadline(t time.Time) { _ = c.c.SetWriteDeadline(t) }

// Close closes the connection.
func (c *Conn) Close() {
	c.c.Close()
}

// CloseFiles closes the files that came with a message.
func CloseFiles(files []*os.File) {
	for _, f := range files {
		f.Close()
	}
}
