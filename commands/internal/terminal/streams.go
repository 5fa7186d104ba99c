package terminal

import (
	"errors"
	"io"
	"os"
	"syscall"

	"golang.org/x/term"

	"otrpipe/commands/internal/descriptor"
)

// ErrHangup says that the terminal that was read or written is gone.
var ErrHangup = errors.New("terminal: hung up")

// A Reader reads a file, in whatever mode its descriptor is. If that is a terminal which
// goes away, the error is ErrHangup and not an end: what was to be typed has not all been
// typed.
type Reader struct {
	stream   descriptor.Stream
	terminal bool
}

// NewReader returns a Reader of f.
func NewReader(f *os.File) *Reader { return &Reader{descriptor.Stream{File: f}, Is(f)} }

// Terminal reports whether the file was a terminal at the beginning.
func (r *Reader) Terminal() bool { return r.terminal }

func (r *Reader) Read(p []byte) (int, error) {
	n, err := r.stream.Read(p)
	if r.terminal && n == 0 && (errors.Is(err, syscall.EIO) || errors.Is(err, io.EOF) && hungUp(r.stream.File)) {
		err = ErrHangup
	}
	return n, err
}

// hungUp reports whether f, which was a terminal, is none any more. The end of its input
// looks like one that was typed.
func hungUp(f *os.File) bool {
	gone := false
	control(f, func(fd int) { gone = !term.IsTerminal(fd) })
	return gone
}

// A writer writes a terminal, which may go away.
type writer struct{ stream descriptor.Stream }

func (w writer) Write(p []byte) (int, error) {
	n, err := w.stream.Write(p)
	if errors.Is(err, syscall.EIO) {
		err = ErrHangup
	}
	return n, err
}
