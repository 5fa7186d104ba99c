package wire

import (
	"errors"
	"fmt"
	"slices"
	"time"
)

const (
	// MaxOpenMessages is how many messages may be incomplete at a time. In
	// version 4 the fragments of many messages may arrive mixed, for example
	// from a bouncer that replays an evening in any order; more means that
	// messages were lost, or a flood. The one that has waited longest goes.
	MaxOpenMessages = 64
	// MaxOpenBytes bounds the incomplete messages together: room for several of
	// the longest. Here too the one that has waited longest goes.
	MaxOpenBytes = 8 * MaxMessage
	// MaxFragmentAge is how long an incomplete message waits for its next piece.
	// It is measured from the last piece, so that a long message may come slowly.
	MaxFragmentAge = 5 * time.Minute
)

var (
	// ErrFragmentOrder reports a piece that does not continue what came before.
	ErrFragmentOrder = errors.New("wire: fragment out of order")
	// ErrTooLong reports a message whose pieces come to more than MaxMessage.
	ErrTooLong = errors.New("wire: message is longer than 1 MiB")
)

// Assembler puts messages together from their fragments ("Receiving
// Fragments"). What it holds is bounded: MaxOpenMessages messages of MaxMessage
// bytes each and MaxOpenBytes together, for MaxFragmentAge. Lines that are no
// fragments do not matter to it, except to Join. The zero value is ready for use.
//
// In formats 2 and 3 a sender has one message under way, whose pieces come in
// order; anything else loses it. In format 4 a sender's messages are told apart
// by their identifier and pieces may come in any order.
type Assembler struct {
	open  []*partial // in the order of their last piece, oldest first
	bytes int        // in the buffers of open
	spare *partial   // the last one that was dropped, whose memory the next one uses
	cut   cutLine
}

// partial is a message with pieces missing.
type partial struct {
	format     int
	id, sender uint32
	n          uint16
	last       time.Time // when the last piece came

	// buf holds the pieces in the order of their arrival, pieces tells which
	// ones they are. A message whose pieces come in order needs no second copy.
	buf    []byte
	pieces []pieceAt
	seen   []uint64 // one bit for each piece, in format 4
}

type pieceAt struct {
	k   uint16
	end uint32 // where it ends in buf; it starts where the one before it ends
}

// Add takes a fragment that came at now, and returns the whole message if it
// was the last one missing, else nil. The message is valid until the next call
// of Add. A piece that does not fit in is refused with ErrFragmentOrder: in
// formats 2 and 3, and if it contradicts the number of pieces, what came before
// is forgotten with it. A message of more than MaxMessage bytes is forgotten
// with ErrTooLong.
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
	if !p.add(f) {
		return nil, fmt.Errorf("%w: %d of %d came before", ErrFragmentOrder, f.K, f.N)
	}
	a.bytes += len(f.Piece)
	p.last = now
	a.open = append(slices.Delete(a.open, i, i+1), p)
	for a.bytes > MaxOpenBytes { // never p itself, which is at most MaxMessage
		a.drop(0)
	}
	if len(p.pieces) < int(p.n) {
		return nil, nil
	}
	whole = p.whole()
	a.drop(len(a.open) - 1)
	return whole, nil
}

// Forget drops what has come of the messages of a sender's instance; 0 stands
// for the sender of fragments in format 2.
func (a *Assembler) Forget(sender uint32) {
	for i := len(a.open) - 1; i >= 0; i-- {
		if a.open[i].sender == sender {
			a.drop(i)
		}
	}
}

// Expire drops the messages that have waited for a piece since MaxFragmentAge
// before now, and returns how many.
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

// find returns the index of the open message that f belongs to, or -1.
func (a *Assembler) find(f Fragment) int {
	for i, p := range a.open {
		if p.format == f.Version && p.id == f.ID && p.sender == f.Sender {
			return i
		}
	}
	return -1
}

// begin returns an empty message that f is a piece of. A flood of first pieces allocates
// nothing: each uses the memory of the one that was dropped for it.
func (a *Assembler) begin(f Fragment) *partial {
	p := a.spare
	if a.spare = nil; p == nil {
		p = new(partial)
	}
	*p = partial{format: f.Version, id: f.ID, sender: f.Sender, n: f.N, buf: p.buf[:0], pieces: p.pieces[:0], seen: p.seen[:0]}
	if f.Version == 4 { // elsewhere pieces come in order
		words := (int(f.N) + 63) / 64
		p.seen = slices.Grow(p.seen, words)[:words]
		clear(p.seen)
	}
	return p
}

// drop forgets the open message i and keeps its memory for another.
func (a *Assembler) drop(i int) {
	a.spare = a.open[i]
	a.bytes -= len(a.spare.buf)
	a.open = slices.Delete(a.open, i, i+1)
}

// add stores a piece; it reports false if that piece is already there.
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

// whole returns the pieces, all of which are there, in their order.
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
