package stream

import (
	"fmt"
	"time"

	"otrpipe/otr"
	"otrpipe/otr/wire"
)

const (
	// maxRecords is the maximum number of DATA records in one message. With traffic in both
	// directions every message can cost a key rotation, which takes a millisecond at both
	// ends; but beyond a quarter of a megabyte, cache misses cost more than larger messages
	// save.
	maxRecords = 4
	// bulkRecords is how many records' worth of payload must wait before each record gets its
	// own message. Messages of equal length can be encrypted in parallel on several cores.
	bulkRecords = 3
	// firstHello is the time after which HELLO is first repeated while the peer's has not
	// come. The time doubles with each repetition.
	firstHello = time.Second
)

// A transfer is the state of a Stream's record protocol. It belongs to the owner, except
// window, which never changes.
type transfer struct {
	window  int64
	id      streamID
	tlvs    []wire.TLV    // scratch space for the TLVs of a batch of messages
	ends    []int         // where each message ends in tlvs
	batch   []otr.Message // scratch
	values  []byte        // scratch space for the values of their small records
	chunks  []*chunk      // the chunks that their DATA records borrow
	records []record      // scratch for a received message

	// The peer.
	hasKey     bool        // there has been a session
	key        otr.Session // the latest; the next has its key or one it vouched for
	hasPeer    bool        // a HELLO has come
	peer       streamID
	peerWindow int64

	// This session.
	greeted   bool // the peer's HELLO has come
	answered  bool // a record has come that the peer sends only after our HELLO
	owesHello bool
	owesStand bool // the next message must contain our state
	asks      bool // and must ask the peer for its own
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

// quarter returns how many bytes may be handed to the reader before an ACK is due.
func (t *transfer) quarter() int64 { return max(t.window/4, 1) }

// secured starts a new session with HELLO. The key must be that of the previous session, or
// one that it vouched for.
func (s *Stream) secured(session otr.Session) error {
	if s.hasKey && s.key.Fingerprint != session.Fingerprint && !s.vouch.expects(session) {
		return fmt.Errorf("%w: %v", ErrOtherKey, session.Fingerprint)
	}
	s.hasKey, s.key = true, session
	s.greeted, s.answered = false, false
	s.owesHello = true
	// The last messages under the old keys may be lost.
	s.endAnswered = false
	s.helloGap = firstHello
	s.helloAt = s.now.Add(s.helloGap)
	return nil
}

func (s *Stream) accepted() {} // written bytes wait in any case

func (s *Stream) trusted() {
	s.mu.Lock()
	s.trustedIn = true
	s.readable.Broadcast()
	s.mu.Unlock()
	s.mayOpen()
}

// mayOpen lets payload move once nothing is missing for that.
func (s *Stream) mayOpen() {
	if s.mayMove() {
		s.open()
	}
}

// mayMove reports whether payload may be sent.
func (s *Stream) mayMove() bool { return s.isTrusted && s.greeted && s.vouch.by.IsZero() }

// message handles the records of one data message. If one of them is malformed, none is used
// and the stream is broken.
func (s *Stream) message(r *otr.Received) {
	if len(r.Text) > 0 {
		s.report(Text{Text: append(otr.Authenticated(nil), r.Text...)})
	}
	s.records = s.records[:0]
	for _, t := range r.TLVs {
		switch t.Type {
		case typeRefused, typeAsk, typeClose, typeClosed:
			if err := checkEmpty(t); err != nil {
				s.end(broken("%w", err), "malformed record")
				return
			}
		}
		switch t.Type {
		case typeRefused:
			s.ourKeyRefused()
			return
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
		s.sayClosed() // the peer sent this before it read our CLOSED
	}
	s.leaveIfDone()
}

// follow handles a record; false: the stream has ended.
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
		if r.reason == keyRefused {
			s.ourKeyRefused()
			return false
		}
		s.end(fmt.Errorf("%w: %q", ErrAborted, r.reason), "aborted")
		return false
	}
	if err != nil {
		s.end(err, "records out of order")
		return false
	}
	return true
}

// ourKeyRefused ends the stream because the peer, in either mode, refuses our key.
func (s *Stream) ourKeyRefused() {
	s.report(OurKeyRefused{})
	s.end(ErrOurKeyRefused, "aborted")
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
	if s.dropping {
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
		s.mu.Lock()
		cut := s.cut // then the peer has dropped some of it
		s.mu.Unlock()
		if !cut {
			s.report(StreamEnded{Sent: true, Bytes: s.sent})
		}
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

// followStop ends our direction at its current position. Bytes that the peer has not read are
// lost; the ACK in the same message as STOP says how many it has read.
func (s *Stream) followStop() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.cut = s.cut || s.out.size > 0 || s.acked < s.sent
	s.stopped = true
	s.out.clear()
	s.writable.Broadcast()
}

// pump sends everything that can be sent now.
func (s *Stream) pump() {
	for s.room() && s.canSend() && !s.saidAll() && s.send() {
	}
	s.leaveIfDone()
}

// send sends one message, or several at once if much payload waits; false: there is nothing
// to send.
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
		// A message that only answers contains our state too. Otherwise, on a line that loses
		// heartbeats but not answers, a gap would never be noticed.
		s.owesStand = s.owesStand || s.opened && s.ackDue()
		records, messages := maxRecords, 1
		if s.out.size >= bulkRecords*maxData {
			records, messages = 1, otr.BulkMessages()
		}
		data := s.mayMove() && s.addData(records)
		s.addAck(data)
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

// addData adds as much DATA as the peer's window allows, in at most the given number of
// records, and END after the last byte. It reports whether it added payload. The mutex is
// held.
//
// A record ends in the middle of a chunk only if the window is used up. Nothing more is taken
// from the queue then, so the next offset cannot overwrite the end of the record.
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

// ackDue reports whether we should send an ACK. The mutex is held.
func (s *Stream) ackDue() bool {
	return s.ackable()-s.ackSent >= s.quarter() || s.allTaken() && !s.endAnswered || s.stopping || s.unread >= revealAfter
}

// allTaken reports whether the reader has everything up to the peer's END. The mutex is held.
func (s *Stream) allTaken() bool { return s.endReceived && s.taken == s.received && !s.delivering }

// ackable returns how many bytes an ACK may count. An ACK of everything that has come shows the peer
// that its END is here too, and that Deliver's writer is closed. Until then the last byte waits, but
// not in a window of one byte, where nothing could follow it. The mutex is held.
func (s *Stream) ackable() int64 {
	if s.allTaken() || s.dropping || s.taken < s.received || s.window == 1 {
		return s.taken
	}
	return max(s.ackSent, s.taken-1)
}

// addAck adds an ACK if one is due, or if free is set and there is anything new to
// acknowledge. The mutex is held.
func (s *Stream) addAck(free bool) {
	ack := s.ackable()
	if !(s.owesStand || s.ackDue() || free && ack > s.ackSent) {
		return
	}
	if s.stopping {
		ack = s.readBytes // the ACK with STOP must not count dropped bytes as read
		s.addOffset(typeAck, ack)
		s.addStop()
	} else {
		s.addStopAgain()
		s.addOffset(typeAck, ack)
	}
	s.ackSent = ack
	s.takenGoal = s.ackSent + s.quarter()
	s.endAnswered = s.allTaken() && ack == s.taken
}

// addClose adds CLOSE if we have nothing more to send. The mutex is held.
func (s *Stream) addClose() {
	if len(s.tlvs) > 0 && s.leads() && s.endSent && s.endAnswered && s.allTaken() {
		s.closing.closeSent = true
		s.tlvs = append(s.tlvs, wire.TLV{Type: typeClose})
	}
}

// addStop adds STOP. The mutex is held.
func (s *Stream) addStop() {
	s.stopping = false
	s.tlvs = append(s.tlvs, wire.TLV{Type: typeStop, Value: reasonValue(*s.readStopped)})
}

// addStopAgain adds STOP before an ACK that counts dropped bytes as read. The first STOP may have been
// lost, and then the peer must not take that ACK for a success. The mutex is held.
func (s *Stream) addStopAgain() {
	if s.dropping && s.taken > s.readBytes {
		s.addStop()
	}
}

func (s *Stream) addHello() {
	s.addValue(typeHello, func(b []byte) []byte { return appendHello(b, s.id, s.window, s.offerByte()) })
}

func (s *Stream) addOffset(kind uint16, offset int64) {
	s.addValue(kind, func(b []byte) []byte { return appendOffset(b, offset) })
}

// addValue adds a record whose value is appended to the scratch space.
func (s *Stream) addValue(kind uint16, appendTo func([]byte) []byte) {
	n := len(s.values)
	s.values = appendTo(s.values)
	s.tlvs = append(s.tlvs, wire.TLV{Type: kind, Value: s.values[n:]})
}

// release gives back the chunks that the DATA records have borrowed.
func (s *Stream) release() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range s.chunks {
		if c != nil {
			s.out.release(c)
		}
	}
}

// heartbeat repeats our state, and HELLO while the peer may not have it.
func (s *Stream) heartbeat() {
	s.owesStand = true
	s.owesHello = s.owesHello || !s.greeted || !s.answered
}

func (s *Stream) ask() {
	s.asks = true
	s.heartbeat()
}

func (s *Stream) lapseRecords() []wire.TLV { return nil }

// next returns when to repeat HELLO.
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

// isDone reports whether both directions have ended properly: END was received, and ours was
// acknowledged.
func (s *Stream) isDone() bool { return s.endReceived && s.endAcked }

// doneOr returns the result of a Stream whose session is over: err, unless both directions
// have ended properly.
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

// leaveIfDone takes the next step of the closing handshake once both directions have ended
// and the peer knows it.
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

// saidAll reports whether we have promised to send nothing more except the messages of the
// closing handshake.
func (s *Stream) saidAll() bool {
	return s.closing.closed > 0 || s.closing.closeSent && s.isDone() && s.endAnswered
}

// unanswered leaves without the peer, which has not answered in the closing handshake.
func (s *Stream) unanswered() { s.end(s.doneOr(nil), "") }

// sayClosed sends CLOSED.
func (s *Stream) sayClosed() {
	s.stand()
	s.sendClosed(s.tlvs)
}

// stand puts our final state into the scratch space. It is sent more than once, so that a
// single lost message does not make the peer fail.
func (s *Stream) stand() {
	s.tlvs, s.values = s.tlvs[:0], s.values[:0]
	s.addOffset(typeData, s.sent)
	s.addOffset(typeEnd, s.sent)
	s.mu.Lock()
	s.addStopAgain()
	s.mu.Unlock()
	s.addOffset(typeAck, s.ackSent)
}

// farewell repeats our final state. If the stream is not done, or the reader has not taken
// everything, it sends ABORT. After a closing handshake, answered or not, the peer needs no more
// time to leave.
func (s *Stream) farewell(result error, reason string) []wire.TLV {
	s.mu.Lock()
	untaken := !s.allTaken()
	s.mu.Unlock()
	if !s.isDone() || untaken {
		s.tlvs, s.values = s.tlvs[:0], s.values[:0]
		if s.owesHello {
			s.addHello() // without it the peer might not notice a downgrade
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
func (s *Stream) unwritten() error               { return nil } // the peer has all payload already
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

// finished wakes all waiters. Bytes that arrived before a failure can still be read, unless
// this end has given up.
func (s *Stream) finished() {
	if s.result == ErrClosed {
		s.in.clear()
	}
	s.out.clear()
	s.readable.Broadcast()
	s.writable.Broadcast()
}

// appetite returns the amount that makes an ACK due, so that one ACK does not replace
// several: each one lets the keys rotate.
func (s *Stream) appetite() int { return int(min(s.quarter(), maxGather)) }

// drains: false, because the peer has acknowledged all payload by then.
func (s *Stream) drains() bool { return false }

// backlogged: never, because the window limits what the peer may send.
func (s *Stream) backlogged() bool { return false }
