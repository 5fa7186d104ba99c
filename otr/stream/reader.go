package stream

import (
	"bytes"
	"io"
	"runtime"

	"otrpipe/otr/wire"
)

const (
	// blocks is how many blocks go round between reader and owner: as many as the
	// owner works on at once on two cores, with two lines of a bulk stream in each, and
	// a few that are filled meanwhile.
	blocks = 12
	// blockSize is what a block starts with: room for two lines of a bulk stream.
	blockSize = 256 << 10
	// maxBlock is what a block may grow to: the longest line, with CR LF.
	maxBlock = wire.MaxMessage + 2
	// loneLine is up to how many bytes of lines, read at once, count as all that the peer
	// has sent for now. The next read is going to block, and where the transport is a file
	// it holds on to its processor for a while when it does, so the owner goes first.
	loneLine = 4 << 10
)

// A block is what the reader hands to the owner.
type block struct {
	buf     []byte // whole capacity in use as room
	lines   []byte // whole lines of buf, each ended by LF; the last one of the transport may lack it
	dropped int64  // bytes of an over-long line that ended in this block; 0: none
	err     error  // why the transport ended; nil: it goes on
}

// A reader cuts what comes from the transport into blocks of lines.
type reader struct {
	src   io.Reader
	full  chan *block     // to the owner
	empty chan *block     // back
	quit  <-chan struct{} // closed when nobody wants more
}

func newReader(src io.Reader, quit <-chan struct{}) *reader {
	r := &reader{src: src, full: make(chan *block, blocks), empty: make(chan *block, blocks), quit: quit}
	for range blocks {
		r.empty <- &block{buf: make([]byte, blockSize)}
	}
	return r
}

// run reads until the transport ends.
func (r *reader) run() {
	var rest []byte   // the beginning of a line, in the block before; nobody writes there
	var skipped int64 // bytes of an over-long line whose end has not come
	for ended := false; !ended; {
		var b *block
		select {
		case b = <-r.empty:
		case <-r.quit:
			return
		}
		rest, skipped = b.fill(r.src, rest, skipped)
		ended = b.err != nil
		small := len(b.lines) <= loneLine // the owner may have b from here on
		select {
		case r.full <- b:
		case <-r.quit:
			return
		}
		if small {
			runtime.Gosched()
		}
	}
}

// fill reads from src until b has something to tell. What it begins with and
// what it leaves for the next block: rest is the beginning of a line, skipped
// counts the bytes of a line that is too long.
func (b *block) fill(src io.Reader, rest []byte, skipped int64) ([]byte, int64) {
	b.room(len(rest))
	n := copy(b.buf, rest)
	b.lines, b.dropped, b.err = nil, 0, nil
	for {
		if n == len(b.buf) && !b.room(n+1) {
			skipped += int64(n)
			n = 0
		}
		m, err := src.Read(b.buf[n:])
		fresh := n
		n += m
		if skipped > 0 {
			end := bytes.IndexByte(b.buf[:n], '\n')
			if end < 0 {
				skipped += int64(n)
				n = 0
			} else {
				b.dropped, skipped = skipped+int64(end), 0
				n = copy(b.buf, b.buf[end+1:n])
			}
			fresh = 0
		}
		last := lastLF(b.buf[fresh:n])
		switch {
		case err != nil:
			b.err = err
			b.lines = b.buf[:n]
			if skipped > 0 {
				b.dropped = skipped
			}
			return nil, 0
		case last >= 0:
			b.lines = b.buf[:fresh+last+1]
			return b.buf[len(b.lines):n], 0
		case b.dropped > 0:
			return b.buf[:n], 0
		}
	}
}

// lastLF is bytes.LastIndexByte for LF, which the standard library does a byte
// at a time: a tenth of all the work of a bulk stream.
func lastLF(b []byte) int {
	const step = 512
	for end := len(b); end > 0; end -= step {
		start := max(end-step, 0)
		if bytes.IndexByte(b[start:end], '\n') >= 0 {
			return start + bytes.LastIndexByte(b[start:end], '\n')
		}
	}
	return -1
}

// room makes b at least n bytes long, and twice as long as it was rather than a
// little longer; false: it may not be.
func (b *block) room(n int) bool {
	if n <= len(b.buf) {
		return true
	}
	if n > maxBlock {
		return false
	}
	grown := make([]byte, min(max(n, 2*len(b.buf)), maxBlock))
	copy(grown, b.buf)
	b.buf = grown
	return true
}
