package stream

import "encoding/binary"

// A chunk is a piece of a queue. The space before its bytes is for the offset of a DATA
// record, so that a record can be sent without copying its bytes.
type chunk struct {
	next *chunk
	r, w int // the bytes are buf[r:w]
	buf  [offsetLen + maxData]byte
}

// spareChunks is how many empty chunks a queue keeps. A busy stream soon needs as many as
// sendRoom holds plus those that are being encrypted. Further chunks, which pile up while the
// reader does not read, are not worth keeping.
const spareChunks = 56

// A queue is a first-in first-out queue of bytes that recycles its memory. It is not safe for
// concurrent use.
type queue struct {
	head, tail *chunk
	size       int
	spare      *chunk // a list
	spares     int
}

// push appends all of b.
func (q *queue) push(b []byte) {
	q.size += len(b)
	for len(b) > 0 {
		if q.tail == nil || q.tail.w == len(q.tail.buf) {
			q.grow()
		}
		n := copy(q.tail.buf[q.tail.w:], b)
		q.tail.w += n
		b = b[n:]
	}
}

// pop moves up to len(p) bytes to p.
func (q *queue) pop(p []byte) int {
	n := 0
	for n < len(p) && q.head != nil {
		c := q.head
		m := copy(p[n:], c.buf[c.r:c.w])
		c.r += m
		n += m
		if c.r == c.w {
			q.release(q.detach())
		}
	}
	q.size -= n
	return n
}

// take removes up to limit bytes from the first chunk, and returns them as the value of a
// DATA record at offset. The value is valid until release(c) if c is not nil, and otherwise
// until the next take.
func (q *queue) take(limit int, offset int64) (value []byte, c *chunk) {
	c = q.head
	n := min(c.w-c.r, limit)
	value = c.buf[c.r-offsetLen : c.r+n]
	binary.BigEndian.PutUint64(value, uint64(offset))
	c.r += n
	q.size -= n
	if c.r < c.w {
		return value, nil
	}
	return value, q.detach()
}

// append moves all of o to the end of q.
func (q *queue) append(o *queue) {
	for o.head != nil {
		c := o.detach()
		if q.tail == nil {
			q.head = c
		} else {
			q.tail.next = c
		}
		q.tail = c
	}
	q.size += o.size
	o.size = 0
}

// clear removes everything.
func (q *queue) clear() {
	for q.head != nil {
		q.release(q.detach())
	}
	q.size = 0
}

// grow adds an empty chunk.
func (q *queue) grow() {
	c := q.spare
	if c != nil {
		q.spare = c.next
		q.spares--
	} else {
		c = new(chunk)
	}
	c.next, c.r, c.w = nil, offsetLen, offsetLen
	if q.tail == nil {
		q.head = c
	} else {
		q.tail.next = c
	}
	q.tail = c
}

// detach removes the first chunk.
func (q *queue) detach() *chunk {
	c := q.head
	q.head = c.next
	if q.head == nil {
		q.tail = nil
	}
	c.next = nil
	return c
}

// release takes back a chunk that take or detach returned.
func (q *queue) release(c *chunk) {
	if q.spares == spareChunks {
		return
	}
	c.next = q.spare
	q.spare = c
	q.spares++
}
