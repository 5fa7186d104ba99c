package terminal

import (
	"errors"
	"io"
	"os"
	"syscall"

	"golang.org/x/term"

	"otrpipe/commands/internal/descriptor"
)

// ErrHangup says that the terminal that is being read or written is gone.
var ErrHangup = errors.New("terminal: hung up")

// A Reader reads a file, whatever mode its descriptor is in. It converts what is typed at a
// terminal from the locale's charset to UTF-8. If the terminal goes away, the error is ErrHangup
// instead of io.EOF, because the input may be incomplete.
type Reader struct {
	stream   descriptor.Stream
	terminal bool
	decoder  *Decoder // for a terminal that is not UTF-8; otherwise nil
	decoded  []byte   // what has not been read yet
}

// NewReader returns a Reader of f.
func NewReader(f *os.File) *Reader {
	r := &Reader{stream: descriptor.Stream{File: f}, terminal: Is(f)}
	if r.terminal && !Locale().UTF8() {
		r.decoder = Locale().NewDecoder()
	}
	return r
}

// Terminal reports whether the file was a terminal at the beginning.
func (r *Reader) Terminal() bool { return r.terminal }

func (r *Reader) Read(p []byte) (int, error) {
	if r.decoder == nil {
		return r.read(p)
	}
	for len(r.decoded) == 0 {
		var typed [4096]byte
		n, err := r.read(typed[:])
		if r.decoded = r.decoder.Append(r.decoded, typed[:n]); len(r.decoded) == 0 && err != nil {
			return 0, err
		}
	}
	n := copy(p, r.decoded)
	r.decoded = r.decoded[n:]
	return n, nil
}

func (r *Reader) read(p []byte) (int, error) {
	n, err := r.stream.Read(p)
	if r.terminal && n == 0 && (errors.Is(err, syscall.EIO) || errors.Is(err, io.EOF) && hungUp(r.stream.File)) {
		err = ErrHangup
	}
	return n, err
}

// hungUp reports whether f, which was a terminal, has gone away. The end of its input looks like
// a typed one.
func hungUp(f *os.File) bool {
	gone := false
	control(f, func(fd int) { gone = !term.IsTerminal(fd) })
	return gone
}

// A writer writes to a terminal, which may go away.
type writer struct{ stream descriptor.Stream }

func (w writer) Write(p []byte) (int, error) {
	n, err := w.stream.Write(p)
	if errors.Is(err, syscall.EIO) {
		err = ErrHangup
	}
	return n, err
}
