package stream

import (
	"bytes"
	"io"
	"runtime"

	"otrpipe/otr/wire"
)

const (
	// blocks is how many blocks may circulate between reader and owner. It is enough
	// for those that the owner handles at once on two cores, with two lines of a bulk stream
	// in each, and a few that are filled meanwhile.
	blocks = 12
	// blockSize is the initial size of a block: room for two lines of a bulk stream.
	blockSize = 256 << 10
	// maxBlock is the maximum size of a block: the longest line, with CR LF.
	maxBlock = wire.MaxMessage + 2
	// loneLine is the size up to which a read counts as everything that the peer has sent for
	// now. The next read is going to block, and on a file a blocking read occupies its
	// processor for a while, so the owner goes first.
	loneLine = 4 << 10
)

// A block is a batch of lines that the reader hands to the owner.
type block struct {
	buf     []byte // its whole length may be filled
	lines   []byte // whole lines in buf, each ended by LF, except perhaps the transport's last one
	dropped int64  // bytes of an over-long line that ended in this block; 0: none
	err     error  // why the transport ended; nil: it goes on
}

// A reader splits the transport's input into blocks of lines.
type reader struct {
	src   io.Reader
	full  chan *block     // to the owner
	empty chan *block     // back
	quit  <-chan struct{} // closed when no more blocks are wanted
}

func newReader(src io.Reader, quit <-chan struct{}) *reader {
	return &reader{src: src, full: make(chan *block, blocks), empty: make(chan *block, blocks), quit: quit}
}

// run reads until the transport ends.
func (r *reader) run() {
	var rest []byte   // the beginning of a line, in the previous block, where it is not overwritten
	var skipped int64 // bytes so far of an over-long line whose end has not come
	made := 0         // blocks so far: most sessions need one or two, and each costs the clearing of its buffer
	for ended := false; !ended; {
		var b *block
		if made < blocks && len(r.empty) == 0 {
			b = &block{buf: make([]byte, blockSize)}
			made++
		} else {
			select {
			case b = <-r.empty:
			case <-r.quit:
				return
			}
		}
		rest, skipped = b.fill(r.src, rest, skipped)
		ended = b.err != nil
		small := len(b.lines) <= loneLine // computed now, because the owner may own b afterwards
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

// fill reads from src until b has something for the owner. It takes and returns the state
// between blocks: rest is the beginning of a line, and skipped counts the bytes of a line
// that is too long.
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

// lastLF is a fast bytes.LastIndexByte for LF. The standard library's searches byte by byte,
// which was a tenth of the total work of a bulk stream.
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

// room makes b at least n bytes long; if it has to grow, it at least doubles, up to maxBlock.
// It returns false if n is more than maxBlock.
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
