package stream

import (
	"bytes"
	"io"
	"sync/atomic"
)

// buffers is how many output buffers there are: one being filled by the owner,
// one waiting, one being written.
const buffers = 3

// pieceSize is how much of a line a writer that is watched hands to the transport at
// once, so that a slow transport is seen to take it.
const pieceSize = 1 << 10

// A writer moves the owner's buffers to the transport.
type writer struct {
	dst    io.Writer
	pieces bool        // a line at a time, so that written follows what the transport takes
	full   chan []byte // from the owner; closed after the last
	empty  chan []byte // back; never blocks
	failed chan error  // the first error; from then on everything is dropped

	written atomic.Int64 // bytes that the transport has taken
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

// run writes until full is closed. The owner must go on taking from empty only
// as many buffers as it has handed over.
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
