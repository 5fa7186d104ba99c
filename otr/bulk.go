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

// Many messages at once take the session through them one by one, as single ones do; what
// needs the keys of one message only, its encryption, authentication and armor, is done on
// as many cores as Go may use, and in version 4 four messages share a vector unit. Nothing
// of it outlasts the call.

// bulkUnit is how many messages one core takes at a time in version 4. In the others it is
// one message, so that all cores end at nearly the same time.
const bulkUnit = v4.Lanes

const (
	// maxBulkCores bounds the cores that one Conversation uses at a time: a transport that
	// could take more than that is not known.
	maxBulkCores = 4
	// maxBulkMessages are two units for each of maxBulkCores. More than that leaves the
	// processor's caches.
	maxBulkMessages = 2 * bulkUnit * maxBulkCores
)

// BulkMessages returns how many messages are best given to AppendMessages, and how many
// lines to ReceiveAll, at a time. For several cores they are three units each, if that is
// not too many: it takes as long as half a unit for another core to begin.
func BulkMessages() int {
	cores := runtime.GOMAXPROCS(0)
	if cores == 1 {
		return bulkUnit
	}
	return min(3*bulkUnit*cores, maxBulkMessages)
}

// fewBytes is up to how many bytes one core is done with messages before another has begun.
const fewBytes = 96 << 10

// A crew is the cores that work on messages.
type crew struct {
	unit   int            // how many messages one of them takes at a time
	work   func(core int) // set when start is closed
	start  chan struct{}
	others sync.WaitGroup
}

// newCrew lets as many cores begin as are useful for n messages of a version with so many
// bytes. They wait for finish, which must follow: what has to be done before takes less
// time than they need to begin.
func newCrew(version, n, size int) *crew {
	c := &crew{unit: 1, start: make(chan struct{})}
	if version == v4.Version {
		c.unit = bulkUnit
	}
	if size <= fewBytes {
		return c
	}
	cores := min((n+c.unit-1)/c.unit, runtime.GOMAXPROCS(0), maxBulkCores)
	for core := 1; core < cores; core++ {
		c.others.Go(func() {
			<-c.start
			c.work(core)
		})
	}
	return c
}

// finish calls f for the units of n messages, each time for those from first up to end, on all
// cores of the crew, which are counted from 0. The caller's is one of them.
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
	close(c.start)
	c.work(0)
	c.others.Wait()
}

// sealings are settled messages of whatever version.
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

// foresight is the keys of the next messages, in whatever version.
type foresight struct {
	version int
	v3      v3.Foresight
	v4      v4.Foresight
}

// An ahead is a message that foresight has opened, or not.
type ahead struct {
	v3 v3.Ahead
	v4 v4.Ahead
}

// verified says that the message was authentic under the keys that were foreseen.
func (a *ahead) verified() bool { return a.v3.Verified() || a.v4.Verified() }

func (a *ahead) wipe() {
	a.v3.Wipe()
	a.v4.Wipe()
}

func (f *foresight) wipe() {
	f.v3.Wipe()
	f.v4.Wipe()
}

// bulkMessage is the room for one received message among many.
type bulkMessage struct {
	buf   []byte // the binary message
	tlvs  []wire.TLV
	ahead ahead
	ready bool // buf is the message of its line
}

// bulk is what many messages at once need, kept for the next time.
type bulk struct {
	sealings sealings
	ends     []int                          // where in the output each line ends
	scratch  [maxBulkCores][bulkUnit][]byte // the messages that a core makes into lines
	in       []bulkMessage
	foreseen foresight
	got      []Received
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

// AppendMessages appends what AppendMessage appends for one message after the other. After
// an error the messages before the one that it is about have been appended. RevealAll is
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

// settleMessage takes the session to the message m, and returns how long that is.
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

// ReceiveAll handles lines as calls of Receive would, one after the other, and returns
// what became of each. It returns early, so that the caller can give the rest again: behind
// a line that was more than a message for the caller, since that may be about the lines
// that follow, and before a line that it has not been able to verify ahead. It always
// handles the first line. The error is about the last line returned.
//
// A message is delivered only once its own authenticator has been verified, after those
// before it. What is returned is valid until the next call of ReceiveAll, Receive, End,
// EndWith or Wipe.
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
		if err != nil || !got.DataMessage || len(got.Send) > 0 || len(got.Events) > 0 {
			return c.bulk.got, err
		}
	}
	return c.bulk.got, nil
}

// openAhead decodes the first n lines, and verifies and decrypts those that the keys of
// the active session's next messages fit. It changes nothing of the conversation.
func (c *Conversation) openAhead(lines [][]byte) (n int) {
	n = min(len(lines), BulkMessages())
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

// decode sets m.buf to the message of a line, if there is a whole one in it.
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

// open verifies and decrypts messages, of which the first is the at-th that was foreseen.
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
