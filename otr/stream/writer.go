package stream

import (
	"bytes"
	"io"
	"sync/atomic"
)

// buffers is the number of output buffers: one being filled by the owner, one waiting, one
// being written.
const buffers = 3

// pieceSize is how much of a line is written at once if pieces is set, so that progress shows
// even on a slow transport.
const pieceSize = 1 << 10

// A writer moves the owner's buffers to the transport.
type writer struct {
	dst    io.Writer
	pieces bool        // write at most a line at once, so that written shows progress
	full   chan []byte // from the owner; closed after the last
	empty  chan []byte // back; never blocks
	failed chan error  // the first error; from then on everything is dropped

	written atomic.Int64 // bytes that the transport has accepted
}

func newWriter(dst io.Writer, pieces bool) *writer {
	w := &writer{
		dst:    dst,
		pieces: pieces,
		full:   make(chan []byte, 1),
		empty:  make(chan []byte, buffers),
		failed: make(chan error, 1),
	}
	for range buffers - 1 {
		w.empty <- nil
	}
	return w
}

// run writes until full is closed. The owner must not take more buffers from empty than it
// has handed over.
func (w *writer) run() {
	failed := false
	for b := range w.full {
		for rest := b; len(rest) > 0 && !failed; {
			piece := rest
			if w.pieces {
				piece = rest[:min(len(rest), pieceSize)]
				if end := bytes.IndexByte(piece, '\n'); end >= 0 {
					piece = piece[:end+1]
				}
			}
			n, err := w.dst.Write(piece)
			w.written.Add(int64(n))
			rest = rest[len(piece):]
			if err != nil {
				failed = true
				w.failed <- err
			}
		}
		w.empty <- b[:0]
	}
}
