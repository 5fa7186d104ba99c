package wire

import (
	"errors"
	"fmt"
	"slices"
	"time"
)

const (
	// MaxOpenMessages is how many messages may be incomplete at a time. In version 4 the
	// fragments of many messages may arrive interleaved, for example from a bouncer that
	// replays an evening in any order. More than this means lost messages or a flood, and the
	// message that has waited longest is dropped.
	MaxOpenMessages = 64
	// MaxOpenBytes bounds the memory that all incomplete messages occupy together, with what is
	// kept of each piece: room for several of the longest. Here, too, the message that has
	// waited longest is dropped.
	MaxOpenBytes = 8 * MaxMessage
	// MaxFragmentAge is how long an incomplete message waits for its next piece. It counts
	// from the last piece, so that a long message may come slowly.
	MaxFragmentAge = 5 * time.Minute
)

var (
	// ErrFragmentOrder reports a piece that does not continue the pieces before it.
	ErrFragmentOrder = errors.New("wire: fragment out of order")
	// ErrTooLong reports a message whose pieces total more than MaxMessage.
	ErrTooLong = errors.New("wire: message is longer than 1 MiB")
)

// Assembler reassembles messages from their fragments (section "Receiving Fragments"). It
// holds at most MaxOpenMessages messages of MaxMessage bytes each and MaxOpenBytes in total,
// for MaxFragmentAge. Except for Join, lines that are not fragments do not affect it. The
// zero value is ready for use.
//
// In formats 2 and 3 a sender sends one message at a time, and its pieces come in order;
// otherwise it is lost. In format 4 messages have identifiers, and pieces may come in any
// order.
type Assembler struct {
	open  []*partial // in the order of their last piece, oldest first
	bytes int        // the memory that open occupies
	spare *partial   // the last dropped one; the next one reuses its memory
	cut   cutLine
}

// partial is a message with pieces missing.
type partial struct {
	format     int
	id, sender uint32
	n          uint16
	last       time.Time // when the last piece came

	// buf holds the pieces in the order of their arrival, and pieces says which ones they
	// are. A message whose pieces come in order needs no second copy.
	buf    []byte
	pieces []pieceAt
	seen   []uint64 // one bit for each piece, in format 4
}

type pieceAt struct {
	k   uint16
	end uint32 // where it ends in buf; it starts where the one before it ends
}

// size returns how many bytes of memory p occupies. It counts memory that is not in use yet,
// because a message may reuse the memory of a longer one.
func (p *partial) size() int {
	const pieceSize, wordSize = 8, 8
	return cap(p.buf) + pieceSize*cap(p.pieces) + wordSize*cap(p.seen)
}

// Add adds a fragment that came at now. It returns the whole message if no other piece was
// missing, and otherwise nil. The message is valid until the next call of Add. A piece that
// does not fit is rejected with ErrFragmentOrder. In formats 2 and 3, or if it contradicts
// the number of pieces, the pieces before it are dropped too. A message of more than
// MaxMessage bytes is dropped with ErrTooLong.
func (a *Assembler) Add(f Fragment, now time.Time) (whole []byte, err error) {
	a.Expire(now)
	i := a.find(f)
	if i >= 0 && f.Version != 4 && f.K == 1 {
		a.drop(i)
		i = -1
	}
	if i < 0 {
		if f.Version != 4 && f.K != 1 {
			return nil, fmt.Errorf("%w: %d of %d without those before it", ErrFragmentOrder, f.K, f.N)
		}
		if len(a.open) == MaxOpenMessages {
			a.drop(0)
		}
		a.open = append(a.open, a.begin(f))
		i = len(a.open) - 1
		a.bytes += a.open[i].size()
	}
	p := a.open[i]
	if f.N != p.n || f.Version != 4 && int(f.K) != len(p.pieces)+1 {
		a.drop(i)
		return nil, fmt.Errorf("%w: %d of %d after %d of %d", ErrFragmentOrder, f.K, f.N, len(p.pieces), p.n)
	}
	if len(p.buf)+len(f.Piece) > MaxMessage {
		a.drop(i)
		return nil, ErrTooLong
	}
	before := p.size()
	if !p.add(f) {
		return nil, fmt.Errorf("%w: %d of %d came before", ErrFragmentOrder, f.K, f.N)
	}
	a.bytes += p.size() - before
	p.last = now
	a.open = append(slices.Delete(a.open, i, i+1), p)
	for a.bytes > MaxOpenBytes { // never p itself, which occupies less than that
		a.drop(0)
	}
	if len(p.pieces) < int(p.n) {
		return nil, nil
	}
	whole = p.whole()
	a.drop(len(a.open) - 1)
	return whole, nil
}

// Forget drops the incomplete messages of a sender's instance; 0 means the sender of
// fragments in format 2.
func (a *Assembler) Forget(sender uint32) {
	for i := len(a.open) - 1; i >= 0; i-- {
		if a.open[i].sender == sender {
			a.drop(i)
		}
	}
}

// Expire drops the messages that have waited for a piece for MaxFragmentAge at now, and
// returns their number.
func (a *Assembler) Expire(now time.Time) int {
	n := 0
	for len(a.open) > 0 && now.Sub(a.open[0].last) >= MaxFragmentAge {
		a.drop(0)
		n++
	}
	return n
}

// NextExpiry returns when Expire or ExpireCut will have something to drop, or the
// zero time.
func (a *Assembler) NextExpiry() time.Time {
	var next time.Time
	if len(a.open) > 0 {
		next = a.open[0].last.Add(MaxFragmentAge)
	}
	if a.cut.kind != KindPlain {
		if cut := a.cut.last.Add(MaxCutAge); next.IsZero() || cut.Before(next) {
			next = cut
		}
	}
	return next
}

// find returns the index of the incomplete message that f belongs to, or -1.
func (a *Assembler) find(f Fragment) int {
	for i, p := range a.open {
		if p.format == f.Version && p.id == f.ID && p.sender == f.Sender {
			return i
		}
	}
	return -1
}

// begin returns an empty message for the piece f. In a flood of first pieces it allocates
// nothing, because each one reuses the memory of a dropped one.
func (a *Assembler) begin(f Fragment) *partial {
	p := a.spare
	if a.spare = nil; p == nil {
		p = new(partial)
	}
	*p = partial{format: f.Version, id: f.ID, sender: f.Sender, n: f.N, buf: p.buf[:0], pieces: p.pieces[:0], seen: p.seen[:0]}
	if f.Version == 4 { // in other formats pieces come in order
		words := (int(f.N) + 63) / 64
		p.seen = slices.Grow(p.seen, words)[:words]
		clear(p.seen)
	}
	return p
}

// drop drops the incomplete message i and keeps its memory for reuse.
func (a *Assembler) drop(i int) {
	a.spare = a.open[i]
	a.bytes -= a.spare.size()
	a.open = slices.Delete(a.open, i, i+1)
}

// add stores a piece and returns true, or returns false if that piece is already there.
func (p *partial) add(f Fragment) bool {
	if p.format == 4 {
		word, bit := int(f.K-1)/64, uint(f.K-1)%64
		if p.seen[word]>>bit&1 == 1 {
			return false
		}
		p.seen[word] |= 1 << bit
	}
	p.buf = append(p.buf, f.Piece...)
	p.pieces = append(p.pieces, pieceAt{k: f.K, end: uint32(len(p.buf))})
	return true
}

// whole returns all pieces in their order. None may be missing.
func (p *partial) whole() []byte {
	sorted := true
	at := make([]int, p.n) // at[k-1] is the index of piece k
	for i, piece := range p.pieces {
		at[piece.k-1] = i
		sorted = sorted && int(piece.k) == i+1
	}
	if sorted {
		return p.buf
	}
	out := make([]byte, 0, len(p.buf))
	for _, i := range at {
		start := uint32(0)
		if i > 0 {
			start = p.pieces[i-1].end
		}
		out = append(out, p.buf[start:p.pieces[i].end]...)
	}
	return out
}
