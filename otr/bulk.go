package otr

import (
	"runtime"
	"slices"
	"sync"
	"sync/atomic"

	"otrpipe/otr/v3"
	"otrpipe/otr/v4"
	"otrpipe/otr/wire"
)

// A batch of messages advances the session message by message, exactly like single messages.
// Only the work that needs nothing but one message's keys (encryption, authentication and
// armor) runs on several cores, and in version 4 four messages share a vector unit. No
// goroutine outlives the call.

// bulkUnit is how many messages one core takes at a time in version 4. In the other versions
// a core takes one, so that all cores finish at nearly the same time.
const bulkUnit = v4.Lanes

const (
	// maxBulkCores bounds the cores that one Conversation uses at a time. No known transport
	// is fast enough to need more.
	maxBulkCores = 4
	// maxBulkMessages is two units for each of maxBulkCores. Larger batches no longer fit
	// into the processor's caches.
	maxBulkMessages = 2 * bulkUnit * maxBulkCores
)

// BulkMessages returns the best number of messages for one call of AppendMessages, and of
// lines for ReceiveAll. For several cores it is three units per core, up to maxBulkMessages,
// because waking another core costs as much as a part of a unit.
func BulkMessages() int {
	cores := runtime.GOMAXPROCS(0)
	if cores == 1 {
		return bulkUnit
	}
	return min(3*bulkUnit*cores, maxBulkMessages)
}

// fewBytes is the total size of messages up to which one core finishes before another could
// start.
const fewBytes = 96 << 10

// A crew is the group of cores that work on a batch.
type crew struct {
	unit      int            // how many messages a core takes at a time
	work      func(core int) // set before preparing is 0
	preparing atomic.Int32   // 1 until finish is called
	start     chan struct{}  // closed when preparing is 0
	busy      atomic.Int32   // the other cores that have not finished
	others    sync.WaitGroup
}

// newCrew starts as many cores as are useful for n messages of a version with a total of size
// bytes. They wait for finish, which must be called. They are started early because starting
// takes longer than the work that has to be done before finish.
func newCrew(version, n, size int) *crew {
	c := &crew{unit: 1, start: make(chan struct{})}
	if version == v4.Version {
		c.unit = bulkUnit
	}
	c.preparing.Store(1)
	if size <= fewBytes {
		return c
	}
	cores := min((n+c.unit-1)/c.unit, runtime.GOMAXPROCS(0), maxBulkCores)
	if cores < 2 {
		return c
	}
	c.busy.Store(int32(cores - 1))
	for core := 1; core < cores; core++ {
		c.others.Go(func() {
			if !soonZero(&c.preparing) {
				<-c.start
			}
			c.work(core)
			c.busy.Add(-1)
		})
	}
	// Go expects the goroutine that was started last to run soon on this core, when this
	// goroutine blocks. Before another core takes it over, it sleeps for 3 µs, which on Linux
	// become more than 50. So the last one is a goroutine that has nothing to do.
	c.others.Go(func() {})
	return c
}

// finish calls f for each unit of n messages, with the range from first up to, but not
// including, end, on all cores of the crew. Cores are numbered from 0, which is the caller's.
func (c *crew) finish(n int, f func(core, first, end int)) {
	var next atomic.Int64
	c.work = func(core int) {
		for {
			end := int(next.Add(int64(c.unit)))
			if first := end - c.unit; first < n {
				f(core, first, min(end, n))
			} else {
				return
			}
		}
	}
	c.preparing.Store(0)
	close(c.start)
	c.work(0)
	soonZero(&c.busy)
	c.others.Wait()
}

// maxYields is how often a core that waits for another one yields to other goroutines before
// it sleeps: for about 50 µs, which is what waking it would take.
const maxYields = 300

// soonZero waits for n to become 0, but only for a time in which it is not worth sleeping. It
// reports whether n is 0.
func soonZero(n *atomic.Int32) bool {
	for range maxYields {
		if n.Load() == 0 {
			return true
		}
		runtime.Gosched()
	}
	return false
}

// sealings holds settled messages of any version.
type sealings struct {
	version int
	v3      v3.Sealings
	v4      v4.Sealings
}

func (s *sealings) finish(first int, bufs [][]byte) {
	if s.version == v4.Version {
		s.v4.Finish(first, bufs)
		return
	}
	s.v3.Finish(first, bufs)
}

func (s *sealings) reset() {
	s.v3.Reset()
	s.v4.Reset()
}

// foresight holds the keys of the next messages, in any version.
type foresight struct {
	version int
	v3      v3.Foresight
	v4      v4.Foresight
}

// An ahead is the result of opening a message with foreseen keys, successful or not.
type ahead struct {
	v3 v3.Ahead
	v4 v4.Ahead
}

// verified reports whether the message was authentic under the foreseen keys.
func (a *ahead) verified() bool { return a.v3.Verified() || a.v4.Verified() }

func (a *ahead) wipe() {
	a.v3.Wipe()
	a.v4.Wipe()
}

func (f *foresight) wipe() {
	f.v3.Wipe()
	f.v4.Wipe()
}

// bulkMessage is the buffer for one received message of a batch.
type bulkMessage struct {
	buf   []byte // the binary message
	tlvs  []wire.TLV
	ahead ahead
	ready bool // buf holds the message of its line
}

// bulk holds the buffers for batches, which are reused.
type bulk struct {
	sealings sealings
	ends     []int                          // output positions where the lines end
	scratch  [maxBulkCores][bulkUnit][]byte // the messages that a core armors
	in       []bulkMessage
	foreseen foresight
	got      []Received
	misses   int // calls of ReceiveAll since the last one whose first line was a data message
}

// room returns room for n messages.
func (b *bulk) room(n int) []bulkMessage {
	if n > len(b.in) {
		b.in = slices.Grow(b.in, n-len(b.in))[:n]
	}
	return b.in[:n]
}

// wipe overwrites texts.
func (b *bulk) wipe() {
	for i := range b.in {
		clear(b.in[i].buf[:cap(b.in[i].buf)])
		b.in[i].ahead.wipe()
	}
	for core := range b.scratch {
		for _, buf := range b.scratch[core] {
			clear(buf[:cap(buf)])
		}
	}
}

// AppendMessages has the same result as calls of AppendMessage for one message after the
// other. After an error, the messages before the failed one have been appended. RevealAll is
// for AppendMessage only.
func (c *Conversation) AppendMessages(dst []byte, ms []Message) ([]byte, error) {
	if c.cfg.MaxSize != 0 || c.cfg.Pad != 0 || len(ms) < 2 || c.state != StateEncrypted {
		for _, m := range ms {
			var err error
			if dst, err = c.AppendMessage(dst, m); err != nil {
				return dst, err
			}
		}
		return dst, nil
	}
	defer c.bulk.sealings.reset()
	texts := 0
	for i := range ms {
		texts += wire.PlaintextLen(wire.Plaintext{Text: ms[i].Text, TLVs: ms[i].TLVs})
	}
	crew := newCrew(c.active.id.version, len(ms), texts)
	start, size := len(dst), len(dst)
	ends := c.bulk.ends[:0]
	var err error
	for i := range ms {
		var n int
		if n, err = c.settleMessage(&ms[i]); err != nil {
			break
		}
		size += wire.ArmoredLen(n) + 1
		ends = append(ends, size)
	}
	c.bulk.ends = ends
	dst = slices.Grow(dst, size-start)[:size]
	crew.finish(len(ends), func(core, first, end int) {
		msgs := c.bulk.scratch[core][:end-first]
		for i := range msgs {
			msgs[i] = msgs[i][:0]
		}
		c.bulk.sealings.finish(first, msgs)
		for i, msg := range msgs {
			from := start
			if first+i > 0 {
				from = ends[first+i-1]
			}
			line := wire.AppendArmor(dst[:from], msg)
			dst[len(line)] = '\n'
		}
	})
	return dst, err
}

// settleMessage advances the session by the message m, and returns the length of the data
// message in bytes.
func (c *Conversation) settleMessage(m *Message) (size int, err error) {
	if err := checkText(m.Text); err != nil {
		return 0, err
	}
	p, flags, err := c.plaintext(*m)
	if err != nil {
		return 0, err
	}
	if size, err = c.active.engine.settle(&c.bulk.sealings, flags, p); err != nil {
		return 0, err
	}
	c.lastSent = c.cfg.Now()
	c.noteRotation(c.lastSent)
	return size, nil
}

// ReceiveAll has the same result as calls of Receive for one line after the other. It may
// return before the last line: after a line that caused anything besides a message for the
// caller, because this may affect the following lines; and before a line that it could not
// verify ahead. The caller then passes the rest again. The first line is always handled. The
// error is that of the last line returned.
//
// A message is delivered only after its own authenticator has been verified, and in order.
// The results are valid until the next call of ReceiveAll, Receive, End, EndWith or Wipe.
func (c *Conversation) ReceiveAll(lines [][]byte) ([]Received, error) {
	c.bulk.got = c.bulk.got[:0]
	n := c.openAhead(lines)
	room := c.bulk.in[:n]
	defer func() {
		for i := range room {
			room[i].ahead.wipe()
		}
	}()
	for i, line := range lines {
		var got Received
		var err error
		switch {
		case i < n && room[i].ready && !c.assembler.Joining() && (i == 0 || room[i].ahead.verified()):
			err = c.receiveBinary(line, room[i].buf, &room[i], &got)
		case i == 0:
			got, err = c.Receive(line)
		default:
			return c.bulk.got, nil
		}
		c.bulk.got = append(c.bulk.got, got)
		if i == 0 {
			c.bulk.noteFirst(got.DataMessage)
		}
		if err != nil || !got.DataMessage || len(got.Send) > 0 || len(got.Events) > 0 {
			return c.bulk.got, err
		}
	}
	return c.bulk.got, nil
}

// noteFirst records whether the first line of a batch was an authentic data message.
func (b *bulk) noteFirst(was bool) {
	if was {
		b.misses = 0
		return
	}
	b.misses++
}

// openAhead decodes the first n lines, and verifies and decrypts those that match the keys of
// the active session's next messages. It does not change the state of the conversation.
//
// What is done for the lines after the first one is in vain if the first one is not authentic. A
// flood of such lines, which anyone can write, would cost 25 times as much as one by one. So n is
// halved with each of them, until an authentic one comes.
func (c *Conversation) openAhead(lines [][]byte) (n int) {
	n = min(len(lines), BulkMessages()>>min(c.bulk.misses, 8))
	if n < 2 || c.state != StateEncrypted {
		return 0
	}
	size := 0
	for _, line := range lines[:n] {
		size += len(line)
	}
	crew := newCrew(c.active.id.version, n, size)
	defer c.bulk.foreseen.wipe()
	if !c.active.engine.foresee(&c.bulk.foreseen, n) {
		crew.finish(0, nil)
		return 0
	}
	room := c.bulk.room(n)
	crew.finish(n, func(_, first, end int) {
		var msgs [bulkUnit][]byte
		for i := first; i < end; i++ {
			room[i].decode(lines[i])
			msgs[i-first] = nil
			if room[i].ready {
				msgs[i-first] = room[i].buf
			}
		}
		c.bulk.foreseen.open(first, msgs[:end-first], room[first:end])
	})
	return n
}

// decode sets m.buf to the message of a line, if the line is a whole message.
func (m *bulkMessage) decode(line []byte) {
	m.ready = false
	if len(line) > wire.MaxMessage {
		return
	}
	b, err := wire.AppendDearmored(m.buf[:0], line)
	if err == nil {
		m.buf, m.ready = b, true
	}
}

// open verifies and decrypts messages. The first of them is expected under the keys with the
// index at.
func (f *foresight) open(at int, msgs [][]byte, room []bulkMessage) {
	if f.version == v4.Version {
		var a [bulkUnit]v4.Ahead
		f.v4.Open(at, msgs, a[:len(msgs)])
		for i := range room {
			room[i].ahead.v4 = a[i]
		}
		clear(a[:])
		return
	}
	var a [bulkUnit]v3.Ahead
	f.v3.Open(msgs, a[:len(msgs)])
	for i := range room {
		room[i].ahead.v3 = a[i]
	}
	clear(a[:])
}
