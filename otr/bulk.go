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

// bulkUnit is how many messages one core takes at a time.
const bulkUnit = v4.Lanes

// maxBulkCores bounds the cores that one Conversation uses at a time: a transport that
// could take more than that is not known.
const maxBulkCores = 4

// BulkMessages returns how many messages are best given to AppendMessages, and how many
// lines to ReceiveAll, at a time: every core has full units then, and where there are
// several, two each, since it takes as long as half a unit for another core to begin.
func BulkMessages() int {
	cores := min(runtime.GOMAXPROCS(0), maxBulkCores)
	if cores == 1 {
		return bulkUnit
	}
	return 2 * bulkUnit * cores
}

// onCores calls f for the units of n things, each time for those from first up to end, on
// several cores at once where there are several units.
func onCores(n int, f func(first, end int)) {
	units := (n + bulkUnit - 1) / bulkUnit
	unit := func(i int) { f(i*bulkUnit, min((i+1)*bulkUnit, n)) }
	cores := min(units, runtime.GOMAXPROCS(0), maxBulkCores)
	if cores <= 1 {
		for i := range units {
			unit(i)
		}
		return
	}
	var next atomic.Int64
	work := func() {
		for {
			i := int(next.Add(1)) - 1
			if i >= units {
				return
			}
			unit(i)
		}
	}
	var others sync.WaitGroup
	for range cores - 1 {
		others.Go(work)
	}
	work()
	others.Wait()
}

// sealings are settled messages of whatever version.
type sealings struct {
	version int
	v3      v3.Sealings
	v4      v4.Sealings
}

func (s *sealings) finish(first, end int) {
	if s.version == v4.Version {
		s.v4.Finish(first, end)
		return
	}
	s.v3.Finish(first, end)
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

// bulkMessage is the room for one message among many.
type bulkMessage struct {
	buf   []byte // the binary message
	tlvs  []wire.TLV
	from  int // where its line begins
	ahead ahead
	ready bool // buf is the message of its line
}

// bulk is what many messages at once need, kept for the next time.
type bulk struct {
	out, in  []bulkMessage
	sealings sealings
	foreseen foresight
	got      []Received
}

// grow returns room for n messages.
func grow(list *[]bulkMessage, n int) []bulkMessage {
	if n > len(*list) {
		*list = slices.Grow(*list, n-len(*list))[:n]
	}
	return (*list)[:n]
}

// wipe overwrites texts.
func (b *bulk) wipe() {
	for _, list := range [][]bulkMessage{b.out, b.in} {
		for i := range list {
			clear(list[i].buf[:cap(list[i].buf)])
			list[i].ahead.wipe()
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
	n := 0
	size := len(dst)
	room := grow(&c.bulk.out, len(ms))
	var err error
	for i := range ms {
		if err = c.layOut(&room[i], &ms[i]); err != nil {
			break
		}
		room[i].from = size
		size += wire.ArmoredLen(len(room[i].buf)) + 1
		n++
	}
	dst = slices.Grow(dst, size-len(dst))[:size]
	onCores(n, func(first, end int) {
		c.bulk.sealings.finish(first, end)
		for i := first; i < end; i++ {
			line := wire.AppendArmor(dst[:room[i].from], room[i].buf)
			dst[len(line)] = '\n'
		}
	})
	return dst, err
}

// layOut takes the session to the message m, and lays it out in room.
func (c *Conversation) layOut(room *bulkMessage, m *Message) error {
	if err := checkText(m.Text); err != nil {
		return err
	}
	p, flags, err := c.plaintext(*m)
	if err != nil {
		return err
	}
	if room.buf, err = c.active.engine.settle(&c.bulk.sealings, room.buf[:0], flags, p); err != nil {
		return err
	}
	c.lastSent = c.cfg.Now()
	c.noteRotation(c.lastSent)
	return nil
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
	if n < 2 || c.state != StateEncrypted || !c.active.engine.foresee(&c.bulk.foreseen, n) {
		return 0
	}
	defer c.bulk.foreseen.wipe()
	room := grow(&c.bulk.in, n)
	onCores(n, func(first, end int) {
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
