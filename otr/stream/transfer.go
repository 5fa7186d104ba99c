package stream

import (
	"fmt"
	"time"

	"otrpipe/otr"
	"otrpipe/otr/wire"
)

const (
	// maxRecords is how many DATA records one message carries at most. With
	// traffic both ways every message can cost a key rotation, a millisecond at
	// both ends; beyond a quarter of a megabyte the caches lose what that saves.
	maxRecords = 4
	// bulkRecords is how many records' payload must wait for each to have a message of
	// its own: messages of one length can be encrypted at once, on several cores.
	bulkRecords = 3
	// firstHello is when HELLO is repeated first while the peer's has not come;
	// each time after that it is after twice as long.
	firstHello = time.Second
)

// A transfer is the protocol of a Stream's records. All of it is the owner's,
// save window, which never changes.
type transfer struct {
	window  int64
	id      streamID
	tlvs    []wire.TLV    // scratch for the messages sent at once
	ends    []int         // where each of them ends in tlvs
	batch   []otr.Message // scratch
	values  []byte        // scratch for the values of their small records
	chunks  []*chunk      // what their DATA records borrow
	records []record      // scratch for a received message

	// The peer.
	hasKey     bool        // there has been a session
	key        otr.Session // the first one; its key must not change but to the one it vouches for
	hasPeer    bool        // a HELLO has come
	peer       streamID
	peerWindow int64

	// This session.
	greeted   bool // the peer's HELLO has come
	answered  bool // something has come that the peer sends only after our HELLO
	owesHello bool
	owesStand bool // the next message shows where we stand
	asks      bool // and asks the peer to do so
	helloAt   time.Time
	helloGap  time.Duration

	// Our direction.
	sent     int64
	acked    int64
	endSent  bool
	endAcked bool

	// The peer's direction.
	received    int64
	ackSent     int64
	endReceived bool
	endAnswered bool // an ACK of everything has been sent since END came
}

// quarter is how much may be handed to the reader before an ACK says so.
func (t *transfer) quarter() int64 { return max(t.window/4, 1) }

// secured greets the peer of a new session. A stream's peer is one key.
func (s *Stream) secured(session otr.Session) error {
	if s.hasKey && s.key.Fingerprint != session.Fingerprint && !s.vouch.expects(session) {
		return fmt.Errorf("%w: %v", ErrOtherKey, session.Fingerprint)
	}
	s.hasKey, s.key = true, session
	s.greeted, s.answered = false, false
	s.owesHello = true
	// What was said last under the old keys may be lost.
	s.endAnswered = false
	s.helloGap = firstHello
	s.helloAt = s.now.Add(s.helloGap)
	return nil
}

func (s *Stream) accepted() {} // what is written waits anyhow

func (s *Stream) trusted() {
	s.mu.Lock()
	s.trustedIn = true
	s.readable.Broadcast()
	s.mu.Unlock()
	s.mayOpen()
}

// mayOpen lets payload move when all it takes has come.
func (s *Stream) mayOpen() {
	if s.mayMove() {
		s.open()
	}
}

// mayMove says whether payload may be sent.
func (s *Stream) mayMove() bool { return s.isTrusted && s.greeted && s.vouch.by.IsZero() }

// message handles the records of one data message: all of them, or none and the
// stream is broken.
func (s *Stream) message(r *otr.Received) {
	if len(r.Text) > 0 {
		s.report(Text{Text: append(otr.Authenticated(nil), r.Text...)})
	}
	s.records = s.records[:0]
	for _, t := range r.TLVs {
		switch t.Type {
		case typeNumber, typeTextAck, typeCount:
			s.end(ErrPeerLines, "the other end runs mode stream")
			return
		case typeAsk:
			s.owesStand = s.owesStand || s.opened
		}
		rec, known, err := parseRecord(t)
		if err != nil {
			s.end(broken("%w", err), "malformed record")
			return
		}
		if known {
			s.records = append(s.records, rec)
		}
	}
	for i := range s.records {
		if !s.follow(&s.records[i]) {
			return
		}
	}
	s.closing.follow(r.TLVs)
	if s.closing.closed > 0 && s.canSend() {
		s.sayClosed() // the peer had not read it yet
	}
	s.leaveIfDone()
}

// follow does what a record asks for; false: it was the last thing to do.
func (s *Stream) follow(r *record) bool {
	var err error
	switch r.kind {
	case typeHello:
		err = s.followHello(r)
	case typeData:
		err = s.followData(r)
	case typeAck:
		err = s.followAck(r)
	case typeEnd:
		err = s.followEnd(r)
	case typeStop:
		s.followStop()
	case typeAbort:
		s.end(fmt.Errorf("%w: %q", ErrAborted, r.reason), "aborted")
		return false
	}
	if err != nil {
		s.end(err, "records out of order")
		return false
	}
	return true
}

func (s *Stream) followHello(r *record) error {
	if s.hasPeer && s.peer != r.id {
		return broken("the peer began another stream")
	}
	s.hasPeer, s.peer, s.peerWindow = true, r.id, r.window
	if s.greeted {
		return nil
	}
	if s.heardOffer(r.offer); s.phase != running {
		return nil
	}
	s.greeted = true
	s.owesStand = s.opened
	s.mayOpen()
	return nil
}

func (s *Stream) followData(r *record) error {
	n := int64(len(r.data))
	switch {
	case !s.greeted:
		return broken("DATA before HELLO")
	case r.offset != s.received:
		return broken("DATA at offset %d, not %d", r.offset, s.received)
	case n > 0 && s.endReceived:
		return broken("DATA after END")
	case n > s.window-(s.received-s.ackSent):
		return broken("more DATA than the window takes")
	}
	s.answered = true
	if n == 0 {
		return nil
	}
	s.received += n
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stats.ReceivedMessages++
	s.in.push(r.data)
	if s.readStopped != nil {
		s.discard()
	}
	s.readable.Broadcast()
	return nil
}

func (s *Stream) followAck(r *record) error {
	if r.offset < s.acked || r.offset > s.sent {
		return broken("ACK of %d after %d with %d sent", r.offset, s.acked, s.sent)
	}
	s.acked = r.offset
	if s.endSent && !s.endAcked && s.acked == s.sent {
		s.endAcked = true
		s.report(StreamEnded{Sent: true, Bytes: s.sent})
	}
	return nil
}

func (s *Stream) followEnd(r *record) error {
	switch {
	case !s.greeted:
		return broken("END before HELLO")
	case r.offset != s.received:
		return broken("END at offset %d, not %d", r.offset, s.received)
	}
	s.answered = true
	if !s.closing.closeSent && s.closing.closed == 0 {
		s.endAnswered = false // a repeated END asks for the ACK again
	}
	if s.endReceived {
		return nil
	}
	s.endReceived = true
	s.report(StreamEnded{Bytes: s.received})
	s.mu.Lock()
	defer s.mu.Unlock()
	s.inEnded = true
	s.readable.Broadcast()
	return nil
}

// followStop ends our direction where it stands. What the peer has not read is
// lost, and the ACK that comes with STOP says how much it has.
func (s *Stream) followStop() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.cut = s.cut || s.out.size > 0 || s.acked < s.sent
	s.stopped = true
	s.out.clear()
	s.writable.Broadcast()
}

// pump sends what there is to send.
func (s *Stream) pump() {
	for s.room() && s.canSend() && !s.saidAll() && s.send() {
	}
	s.leaveIfDone()
}

// send sends a message, or in full flight several at once; false: there is nothing to say.
func (s *Stream) send() bool {
	s.tlvs, s.ends, s.values, s.chunks = s.tlvs[:0], s.ends[:0], s.values[:0], s.chunks[:0]
	if s.owesHello {
		s.addHello()
	}
	if s.asks {
		s.asks = false
		s.tlvs = append(s.tlvs, wire.TLV{Type: typeAsk})
	}
	s.mu.Lock()
	if s.greeted {
		// Who only answers shows where it stands too. On a wire that loses every
		// heartbeat and no answer, a gap would stay hidden for ever.
		s.owesStand = s.owesStand || s.opened && s.ackDue()
		records, messages := maxRecords, 1
		if s.out.size >= bulkRecords*maxData {
			records, messages = 1, otr.BulkMessages()
		}
		data := s.mayMove() && s.addData(records)
		s.addAck(data)
		s.addStop()
		s.addClose()
		s.owesHello, s.owesStand = false, false
		for s.endMessage(); data && len(s.ends) < messages && s.out.size > 0; s.endMessage() {
			data = s.addData(records)
			s.addClose()
		}
	} else {
		s.owesHello, s.owesStand = false, false
		s.endMessage()
	}
	s.mu.Unlock()
	if len(s.ends) == 0 {
		return false
	}
	s.batch = s.batch[:0]
	from := 0
	for _, end := range s.ends {
		s.batch = append(s.batch, otr.Message{TLVs: s.tlvs[from:end:end], IgnoreUnreadable: true})
		from = end
	}
	err := s.sealAll(s.batch)
	s.release()
	if err != nil {
		s.end(err, internalError)
	}
	return err == nil
}

// endMessage ends a message, if there is anything in it.
func (s *Stream) endMessage() {
	before := 0
	if n := len(s.ends); n > 0 {
		before = s.ends[n-1]
	}
	if len(s.tlvs) > before {
		s.ends = append(s.ends, len(s.tlvs))
	}
}

// addData adds as much DATA as the peer's window takes, in so many records at most, and
// END behind the last. It says whether payload moves. The mutex is held.
//
// The window alone may cut a record short, and then nothing more is taken from the queue,
// which would write over its end.
func (s *Stream) addData(records int) (moved bool) {
	before := s.sent
	for ; records > 0 && s.out.size > 0; records-- {
		room := s.peerWindow - (s.sent - s.acked)
		if room <= 0 {
			break
		}
		value, c := s.out.take(int(min(room, maxData)), s.sent)
		s.tlvs = append(s.tlvs, wire.TLV{Type: typeData, Value: value})
		s.chunks = append(s.chunks, c)
		s.sent += int64(len(value) - offsetLen)
	}
	if moved = s.sent > before; moved {
		s.stats.SentBytes += s.sent - before
		s.stats.SentMessages++
		s.writable.Broadcast()
	} else if s.owesStand {
		s.addOffset(typeData, s.sent)
	}
	if moved || s.owesStand {
		s.beat = s.now
	}
	if (s.writeClosed || s.stopped) && s.out.size == 0 && (!s.endSent || s.owesStand) {
		s.endSent = true
		s.addOffset(typeEnd, s.sent)
	}
	return moved
}

// ackDue says whether the peer waits for an ACK. The mutex is held.
func (s *Stream) ackDue() bool {
	return s.taken-s.ackSent >= s.quarter() || s.allTaken() && !s.endAnswered || s.stopping || s.unread >= revealAfter
}

// allTaken says that the reader has everything up to the peer's END. The mutex
// is held.
func (s *Stream) allTaken() bool { return s.endReceived && s.taken == s.received }

// addAck adds an ACK when it is due, or costs nothing. The mutex is held.
func (s *Stream) addAck(free bool) {
	if !(s.owesStand || s.ackDue() || free && s.taken > s.ackSent) {
		return
	}
	ack := s.taken
	if s.stopping {
		ack = s.readBytes // what was dropped must not count as read when STOP comes
	}
	s.addOffset(typeAck, ack)
	s.ackSent = ack
	s.takenGoal = s.ackSent + s.quarter()
	s.endAnswered = s.allTaken() && ack == s.taken
}

// addClose adds CLOSE when we have nothing more to say. The mutex is held.
func (s *Stream) addClose() {
	if len(s.tlvs) > 0 && s.leads() && s.endSent && s.endAnswered && s.allTaken() {
		s.closing.closeSent = true
		s.tlvs = append(s.tlvs, wire.TLV{Type: typeClose})
	}
}

// addStop adds a STOP that has been asked for. The mutex is held.
func (s *Stream) addStop() {
	if s.stopping {
		s.stopping = false
		s.tlvs = append(s.tlvs, wire.TLV{Type: typeStop, Value: reasonValue(*s.readStopped)})
	}
}

func (s *Stream) addHello() {
	s.addValue(typeHello, func(b []byte) []byte { return appendHello(b, s.id, s.window, s.offerByte()) })
}

func (s *Stream) addOffset(kind uint16, offset int64) {
	s.addValue(kind, func(b []byte) []byte { return appendOffset(b, offset) })
}

// addValue adds a record whose value is made in the scratch space.
func (s *Stream) addValue(kind uint16, appendTo func([]byte) []byte) {
	n := len(s.values)
	s.values = appendTo(s.values)
	s.tlvs = append(s.tlvs, wire.TLV{Type: kind, Value: s.values[n:]})
}

// release gives back what the DATA records have borrowed.
func (s *Stream) release() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range s.chunks {
		if c != nil {
			s.out.release(c)
		}
	}
}

// heartbeat repeats where we stand, and HELLO while the peer may lack it.
func (s *Stream) heartbeat() {
	s.owesStand = true
	s.owesHello = s.owesHello || !s.greeted || !s.answered
}

func (s *Stream) ask() {
	s.asks = true
	s.heartbeat()
}

func (s *Stream) lapseRecords() []wire.TLV { return nil }

// next is when HELLO is repeated.
func (s *Stream) next() time.Time {
	if !s.secure || s.greeted || !s.canSend() {
		return time.Time{}
	}
	return s.helloAt
}

func (s *Stream) tick() {
	s.owesHello = true
	s.helloGap *= 2
	s.helloAt = s.now.Add(s.helloGap)
}

// isDone says whether both directions have ended as they should: END was
// received, and ours acknowledged.
func (s *Stream) isDone() bool { return s.endReceived && s.endAcked }

// doneOr returns the result of a Stream whose session is over: err, unless
// everything had been done.
func (s *Stream) doneOr(err error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case !s.isDone():
		return err
	case s.cut:
		return ErrStopped
	}
	return nil
}

// leaveIfDone takes the next step of the closing handshake when the peer needs
// nothing more from us.
func (s *Stream) leaveIfDone() {
	if s.phase != running || !s.isDone() || !s.endAnswered || s.conv.State() != otr.StateEncrypted {
		return
	}
	switch c := &s.closing; {
	case c.answered:
		s.end(s.doneOr(nil), "")
		return
	case !s.canSend():
	case s.leads() && !c.closeSent:
		c.closeSent = true
		if err := s.seal(otr.Message{TLVs: []wire.TLV{{Type: typeClose}}, IgnoreUnreadable: true}); err != nil {
			s.end(err, internalError)
			return
		}
	case !s.leads() && c.asked && c.closed == 0:
		s.sayClosed()
	}
	s.awaitAnswer(goodbyeWait)
}

// saidAll says that we have promised to say nothing more but what the closing
// handshake asks for.
func (s *Stream) saidAll() bool {
	return s.closing.closed > 0 || s.closing.closeSent && s.isDone() && s.endAnswered
}

// unanswered leaves a peer that does not take part in the closing handshake.
func (s *Stream) unanswered() { s.end(s.doneOr(nil), "") }

// sayClosed sends CLOSED.
func (s *Stream) sayClosed() {
	s.stand()
	s.sendClosed(s.tlvs)
}

// stand puts where we stand at the end into the scratch space: no single loss
// makes the peer believe the worst.
func (s *Stream) stand() {
	s.tlvs, s.values = s.tlvs[:0], s.values[:0]
	s.addOffset(typeData, s.sent)
	s.addOffset(typeEnd, s.sent)
	s.addOffset(typeAck, s.ackSent)
}

// farewell shows the peer once more where we stand, or says that it is the worst. A
// peer that has closed, or does not, needs no time to leave.
func (s *Stream) farewell(result error, reason string) []wire.TLV {
	if !s.isDone() {
		s.tlvs, s.values = s.tlvs[:0], s.values[:0]
		if s.owesHello {
			s.addHello() // it may be all that shows the peer a downgrade that we have found
		}
		return append(s.tlvs, wire.TLV{Type: typeAbort, Value: reasonValue(reason)})
	}
	s.polite = !s.closing.waiting
	s.stand()
	return s.tlvs
}

func (s *Stream) peerEnded()                     { s.end(s.doneOr(ErrPeerEnded), "") }
func (s *Stream) expired()                       { s.end(s.doneOr(ErrExpired), "") }
func (s *Stream) abort(reason string)            { s.end(s.doneOr(ErrClosed), reason) }
func (s *Stream) endedHere()                     { s.end(s.doneOr(ErrClosed), "") }
func (s *Stream) unwritten() error               { return nil } // the peer has all that counts
func (s *Stream) transportEnded(err error) error { return s.doneOr(s.transportError(err)) }

func (s *Stream) timedOut() error {
	switch {
	case s.opened:
		return broken("the peer sent no HELLO after a key exchange")
	case s.secure && s.isTrusted:
		return ErrNoStream
	}
	return s.timeoutError()
}

// finished wakes everybody. What had come before a failure can still be read,
// unless it was this end that gave up.
func (s *Stream) finished() {
	if s.result == ErrClosed {
		s.in.clear()
	}
	s.out.clear()
	s.readable.Broadcast()
	s.writable.Broadcast()
}

// appetite is what makes an ACK due, so that one ACK does not take the place of several:
// each lets the keys change.
func (s *Stream) appetite() int { return int(min(s.quarter(), maxGather)) }

// drains: the peer has acknowledged all that counts.
func (s *Stream) drains() bool { return false }

// backlogged is never: what may come has a window.
func (s *Stream) backlogged() bool { return false }
