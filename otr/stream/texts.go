package stream

import (
	"encoding/binary"
	"slices"
	"time"

	"otrpipe/otr"
	"otrpipe/otr/wire"
)

const (
	// endWait is how long an end that has sent everything waits for the peer to acknowledge or
	// send another text. A slow line with a queue in front of it may take that long.
	endWait = 30 * time.Second
	// confirmWait is how long an end that has sent texts waits for the peer's first message in
	// the session. If this end sent the last message of the key exchange, the peer may not have
	// received it; then it asks again after a few seconds, and the texts are sent in another
	// session. In any case the message shows whether the peer acknowledges texts.
	confirmWait = 20 * time.Second
	// readWait is how long after a text has come the reader can show that it has failed, before the
	// text is acknowledged. Somebody may read slowly what it shows, so the wait is no longer than a
	// failing write takes, and shorter than goodbyeWait, for which a peer in haste waits for us.
	readWait = goodbyeWait / 2
	// maxCloses is how often CLOSE is sent to a peer that has acknowledged every text and falls
	// silent. We wait for a second after the first one, and twice as long after each further one,
	// in addition to round trips: the peer's texts may wait for a slow transport.
	maxCloses = 3
)

// texts tracks the texts that Lines has sent and received. All of it belongs to the owner.
//
// Numbering starts again in every session. After a key exchange each end repeats how many
// texts it sent, and which it received, in the sessions before. So the loss of a text that
// was on its way during the key exchange is noticed, and a text that arrived is not reported
// as lost.
type texts struct {
	tlvs   []wire.TLV // scratch space for one message
	values []byte     // scratch space for the values of its records

	sent        []*sentTexts     // by session; the last one is the current one
	received    []*receivedTexts // likewise
	peerNumbers bool             // the peer numbers and acknowledges texts in this session
	owesStand   bool             // the next message must contain our state
	owesAck     bool
	owedSince   time.Time // since when, if owesAck
	undelivered int64     // unacknowledged texts of ended sessions
	allCame     bool      // after the end: the peer has acknowledged every text
	missed      int64     // the peer's texts of ended sessions that have not arrived

	toRead      []arrivedText // texts that the reader has not dealt with, in the order of arrival
	heldTexts   int           // how many of them, the last ones, are held
	readTexts   int64         // how many texts came before these
	cameAt      time.Time     // when the last one came
	ackHeld     bool          // the last acknowledgement did not include all of them
	ackedToRead int           // how many of them, the first ones, may have been acknowledged
	noMoreAt    time.Time     // when we knew that no more texts come

	// If we sent the last message of the key exchange, the peer may not have the session
	// until an authenticated message comes from it.
	confirmed   bool
	unsure      queue // texts sent before that, to be sent again in the next session
	unsureTexts int
	sureOnly    bool // there were too many texts to keep
	earlier     []sentBefore
	past        []*receivedTexts // texts received in ended sessions, to recognize repeats
}

// sentBefore is a session whose texts are sent again, because the peer has given no sign that
// it has the session. It may have had it nevertheless.
type sentBefore struct {
	id    sessionID
	first int64 // the number that WriteText returned for text 0
	n     int64 // how many were sent
}

// An arrivedText is a text that waits for the reader.
type arrivedText struct {
	at place
	// Before the next text, texts came that had been sent in an earlier session too, and had arrived
	// there. Perhaps they still wait. This is the first one.
	again place
}

// A place is the number of a text in a session; zero: it has none.
type place struct {
	in     sessionID
	number int64
}

func (t *texts) currentSent() *sentTexts { return t.sent[len(t.sent)-1] }

func (t *texts) currentReceived() *receivedTexts { return t.received[len(t.received)-1] }

// numbersTexts reports whether texts of this session are marked and numbered.
func (l *Lines) numbersTexts() bool { return l.session.Version >= markedFrom }

// saidAll reports whether we have promised to send nothing more except the messages of the
// closing handshake.
func (l *Lines) saidAll() bool { return l.closing.closeSent || l.closing.closed > 0 }

// beginTexts starts counting the texts of a new session.
func (l *Lines) beginTexts(s otr.Session, another bool) {
	if another {
		l.settleTexts()
		l.unsure.clear()
		l.unsureTexts = 0
		l.earlier = nil
	}
	switch {
	case l.unsureTexts == 0:
	case len(l.earlier) < maxAgain:
		l.sendAgain()
	default: // they count as undelivered unless the peer acknowledges them
		l.currentSent().acked = true
		l.unsure.clear()
		l.unsureTexts = 0
	}
	l.sent = append(l.sent, &sentTexts{id: s.SSID})
	l.received = append(l.received, &receivedTexts{id: s.SSID})
	for len(l.sent) > maxSessions {
		l.settleSent(l.sent[0])
		l.settleReceived(l.received[0])
		l.rememberReceived(l.received[0])
		l.sent, l.received = l.sent[1:], l.received[1:]
	}
	// A peer with new keys goes on acknowledging, and its last messages may be all that comes.
	l.peerNumbers = l.peerNumbers && s.Version >= markedFrom
	l.currentSent().acked = l.peerNumbers
	l.owesAck = false
	l.owesStand = s.Version >= markedFrom
	l.confirmed, l.sureOnly = false, false
}

// slowly returns d, or a longer wait on a line whose key exchange has been slow.
func (l *Lines) slowly(d time.Duration) time.Duration {
	return max(d, queryTrips*l.conv.RoundTrip())
}

// keepUnsure keeps a copy of the text in scratch while it is uncertain whether the peer has
// the session.
func (l *Lines) keepUnsure() {
	switch {
	case l.confirmed || l.session.FirstHalfBold || l.sureOnly:
	case l.unsure.size+len(l.scratch) > linesRoom:
		l.unsure.clear()
		l.unsureTexts, l.sureOnly = 0, true
	default:
		pushText(&l.unsure, l.scratch, true)
		l.unsureTexts++
	}
}

// confirm records that the peer has the session.
func (l *Lines) confirm() {
	l.confirmed = true
	l.unsure.clear()
	l.unsureTexts = 0
	l.earlier = slices.DeleteFunc(l.earlier, func(e sentBefore) bool { return e.first+e.n <= l.refOut+1 })
}

// unconfirmed reports whether texts were sent in a session that the peer may not have.
func (l *Lines) unconfirmed() bool {
	return l.secure && !l.confirmed && !l.session.FirstHalfBold && l.currentSent().sent > 0
}

// unsettled reports whether there are texts whose fate only another session can show.
func (l *Lines) unsettled() bool {
	for _, s := range l.sent {
		if s.acked && !s.settled() {
			return true
		}
	}
	return l.unsureTexts > 0
}

// sendAgain queues the texts of a session that the peer may never have had, before the
// waiting texts.
func (l *Lines) sendAgain() {
	if len(l.sent) > 0 {
		s := l.currentSent()
		l.earlier = append(l.earlier, sentBefore{id: s.id, first: s.ref, n: s.sent})
		s.open, s.sent = nil, 0
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.stats.SentMessages -= int64(l.unsureTexts)
	l.stats.SentBytes -= int64(l.unsure.size - headLen*l.unsureTexts)
	l.refOut -= int64(l.unsureTexts)
	l.outTexts += l.unsureTexts
	l.unsure.append(&l.out)
	l.out, l.unsure = l.unsure, queue{}
	l.unsureTexts = 0
}

// addAgain adds a record of the sessions in which the current text was sent before.
func (l *Lines) addAgain() {
	sent := func(e sentBefore) bool { return l.refOut >= e.first && l.refOut < e.first+e.n }
	if !slices.ContainsFunc(l.earlier, sent) {
		return
	}
	l.addValue(typeAgain, func(b []byte) []byte {
		for _, e := range l.earlier {
			if sent(e) {
				b = binary.BigEndian.AppendUint64(append(b, e.id[:]...), uint64(l.refOut-e.first))
			}
		}
		return b
	})
}

// rememberReceived keeps the record of received texts of an ended session, to recognize texts
// that are sent again.
func (l *Lines) rememberReceived(r *receivedTexts) {
	if r.next == 0 {
		return
	}
	if len(l.past) == maxPast {
		l.past = slices.Delete(l.past, 0, 1)
	}
	l.past = append(l.past, r)
}

// cameBefore reports whether a text has already arrived in one of the sessions in which it
// was sent.
func (l *Lines) cameBefore(again []textAgain) bool {
	for _, a := range again {
		for _, list := range [][]*receivedTexts{l.received, l.past} {
			for _, r := range list {
				if r.id == a.id && r.has(a.number) {
					return true
				}
			}
		}
	}
	return false
}

// followTexts handles the records of a message that concern texts. It reports whether the
// message's own text is new. In version 2 no otrpipe sends such records.
func (l *Lines) followTexts(r *textRecords) (fresh bool) {
	if len(l.received) == 0 || !l.numbersTexts() {
		return true
	}
	fresh = true
	if r.numbered {
		if fresh = !l.cameBefore(r.again); !fresh {
			l.keepAgain(r)
		}
		switch l.currentReceived().arrive(r.number, l.now) {
		case late:
			l.report(Late{Texts: 1})
		case repeated:
			fresh = false
		}
		if !l.owesAck {
			l.owesAck, l.owedSince = true, l.now
		}
	}
	for _, c := range r.counts {
		for _, in := range l.received {
			if in.id == c.id {
				in.reach(c.n, l.now)
			}
		}
	}
	for _, out := range l.sent {
		for _, a := range r.acks {
			if out.id == a.id {
				l.followAck(out, &a)
			}
		}
	}
	if len(r.acks) > 0 {
		l.forgetUnknown(r.acks)
	}
	l.lapsing = l.lapsing || r.lapsed
	l.owesStand = l.owesStand || r.ask
	if r.ours() {
		l.acknowledges()
	}
	return fresh
}

// acknowledges records that the peer acknowledges texts.
func (l *Lines) acknowledges() {
	l.peerNumbers = true
	l.currentSent().acked = true
}

func (l *Lines) followAck(out *sentTexts, a *textAck) {
	waiting := count(out.open)
	lost, arrived, afterAll := out.acknowledge(a.next, a.gaps)
	if count(out.open) < waiting {
		l.endBy = l.now.Add(l.slowly(endWait)) // go on waiting as long as texts arrive
	}
	for _, s := range lost {
		l.tellNow(Undelivered{First: out.ref + s.first, Texts: s.n})
	}
	for _, s := range arrived {
		l.tellNow(Delivered{First: out.ref + s.first, Texts: s.n})
	}
	for _, s := range afterAll {
		l.tellNow(Delivered{First: out.ref + s.first, Texts: s.n, AfterAll: true})
	}
}

// forgetUnknown settles earlier sessions that the peer no longer knows. The acknowledgement
// of the current session shows that the list is complete.
func (l *Lines) forgetUnknown(acks []textAck) {
	known := func(id sessionID) bool {
		for _, a := range acks {
			if a.id == id {
				return true
			}
		}
		return false
	}
	current := l.currentSent()
	if !known(current.id) {
		return
	}
	kept := l.sent[:0]
	for _, s := range l.sent {
		if s != current && !known(s.id) {
			l.settleSent(s)
			continue
		}
		kept = append(kept, s)
	}
	l.sent = kept
}

// settleSent gives up the unacknowledged texts of an ended session.
func (l *Lines) settleSent(s *sentTexts) {
	if !s.acked {
		return
	}
	for _, lost := range s.giveUp() {
		l.tellNow(Undelivered{First: s.ref + lost.first, Texts: lost.n, Perhaps: true})
	}
	l.undelivered += count(s.open)
}

// settleReceived gives up the missing texts of an ended session.
func (l *Lines) settleReceived(r *receivedTexts) {
	l.tellLost(r.lose(l.now, true))
	l.missed += count(r.missing)
}

// settleTexts gives up all open texts, because all sessions so far are over, and forgets these
// sessions.
func (l *Lines) settleTexts() {
	l.settleAll()
	for _, r := range l.received {
		l.rememberReceived(r)
	}
	l.sent, l.received = nil, nil
	l.toldFail = false
	l.peerNumbers, l.owesStand, l.owesAck = false, false, false
}

// settleAll gives up all open texts.
func (l *Lines) settleAll() {
	for _, s := range l.sent {
		l.settleSent(s)
	}
	for _, r := range l.received {
		l.settleReceived(r)
	}
}

// allAcked reports whether the peer has acknowledged every text.
func (l *Lines) allAcked() bool {
	for _, s := range l.sent {
		if len(s.open) > 0 {
			return false
		}
	}
	return true
}

// fateOfTexts returns the result of an end that has sent everything. It keeps what farewell tells
// the peer.
func (l *Lines) fateOfTexts() error {
	unconfirmed := (l.unconfirmed() || l.unsureTexts > 0) && !l.hasty
	l.settleAll()
	switch {
	case l.missed > 0:
		return ErrLost
	case l.undelivered > 0:
		return ErrUndelivered
	case l.failed:
		return ErrUnwritten
	case unconfirmed:
		return ErrUnconfirmed
	}
	l.allCame = l.peerNumbers
	return nil
}

func (l *Lines) tellLost(n int64) {
	if n > 0 {
		l.report(Lost{Texts: n})
	}
}

// missing reports whether a missing text of the peer may still come.
func (l *Lines) missing() bool {
	for _, r := range l.received {
		if !r.nextLoss().IsZero() {
			return true
		}
	}
	return false
}

// nextTexts returns when tickTexts or sendStand is due; zero: never.
func (l *Lines) nextTexts() (next time.Time) {
	for _, r := range l.received {
		next = earlier(next, r.nextLoss())
	}
	next = earlier(next, l.readerBy())
	for _, s := range l.sent {
		if !l.writing {
			next = earlier(next, s.nextOverdue(l.taken, l.slowly(overdueAfter)))
		}
	}
	if l.owesAck && l.isTrusted && l.canSend() && l.room() && !l.saidAll() { // what sendStand waits for
		next = earlier(next, l.owedSince.Add(ackEvery))
	}
	return next
}

// tickTexts reports the texts that are lost or overdue by now.
func (l *Lines) tickTexts() {
	for _, r := range l.received {
		if n := r.lose(l.now, false); n > 0 {
			l.tellLost(n)
			if !l.owesAck {
				l.owesAck, l.owedSince = true, l.now
			}
		}
	}
	for _, s := range l.sent {
		if l.writing {
			break // the transport is slow, not the peer
		}
		for _, o := range s.overdue(l.now, l.taken, l.slowly(overdueAfter)) {
			l.tellNow(Unacknowledged{First: s.ref + o.first, Texts: o.n})
		}
	}
}

// tellNow reports an event about our own texts at once. Only an authenticated peer can cause
// these events. They cannot be summed up, because each is about different texts.
func (l *Lines) tellNow(what interface{ String() string }) {
	if l.cfg.Event != nil {
		l.cfg.Event(Event{Time: l.now, What: what, Count: 1})
	}
}

func (l *Lines) ackDue() bool {
	return l.owesAck && l.isTrusted && !l.now.Before(l.owedSince.Add(ackEvery))
}

// sendStand sends our state when that is due.
func (l *Lines) sendStand() {
	reveal := l.peerNumbers && l.unread >= revealAfter
	if !l.room() || !l.canSend() || !l.numbersTexts() || l.saidAll() || !(l.owesStand || l.ackDue() || reveal) {
		return
	}
	l.tlvs, l.values = l.tlvs[:0], l.values[:0]
	if l.owesStand || l.ackDue() {
		l.addStand()
	}
	if err := l.seal(otr.Message{TLVs: l.tlvs, IgnoreUnreadable: true}); err != nil {
		l.end(err, internalError)
	}
}

// addStand adds our state: how many texts we have sent and which have arrived, in this
// session and those before it. Texts from a peer that has not passed its checks are not
// acknowledged. The mark goes with it: if someone drops the mark at the beginning of the
// session, the peer still learns which versions we offered before its texts are acknowledged.
func (l *Lines) addStand() {
	l.owesStand, l.ackHeld = false, false
	l.owesAck = l.owesAck && !l.isTrusted
	l.addMark()
	for _, s := range l.sent {
		l.addValue(typeCount, func(b []byte) []byte { return appendCount(b, s.id, s.sent) })
	}
	for _, r := range l.received {
		l.addValue(typeTextAck, func(b []byte) []byte {
			if !l.isTrusted {
				return appendAckValue(b, r.id, 0, nil)
			}
			return r.appendAck(b, l.ackLimit(r))
		})
	}
	if l.isTrusted && l.lostAcknowledged() {
		l.tlvs = append(l.tlvs, wire.TLV{Type: typeUnwritten})
	}
}

// keepToRead records a text that waits for the reader.
func (l *Lines) keepToRead(r *textRecords) {
	l.cameAt = l.now
	var t arrivedText
	if r.numbered && len(l.received) > 0 {
		t.at = place{l.currentReceived().id, r.number}
	}
	if n := len(l.toRead); n > 0 && l.toRead[n-1].at.in == t.at.in && l.isTrusted && l.readerFailed() {
		// One stands for all: from the first of them on, nothing must be acknowledged.
		last := &l.toRead[n-1].at
		last.number = min(last.number, t.at.number)
		return
	}
	l.toRead = append(l.toRead, t)
}

// keepAgain records a text that has arrived before, in an earlier session: it may be one of those that
// wait for the reader.
func (l *Lines) keepAgain(r *textRecords) {
	if len(l.toRead) == 0 {
		return
	}
	last := &l.toRead[len(l.toRead)-1]
	if id := l.currentReceived().id; last.again.in != id || r.number < last.again.number {
		last.again = place{id, r.number}
	}
}

// dropHeld drops the texts of a peer that never passed its checks.
func (l *Lines) dropHeld() {
	l.mu.Lock()
	l.held.clear()
	l.mu.Unlock()
	l.toRead = l.toRead[:len(l.toRead)-l.heldTexts]
	l.heldTexts = 0
}

// followReader forgets the texts that the reader has dealt with, and acknowledges them if an earlier
// acknowledgement could not.
func (l *Lines) followReader() {
	l.mu.Lock()
	n := int(l.handled - l.readTexts)
	l.mu.Unlock()
	if n > 0 {
		l.toRead = l.toRead[n:]
		l.readTexts += int64(n)
		l.ackedToRead = max(l.ackedToRead-n, 0)
	}
	if l.ackHeld && (n > 0 || !l.awaitsReader()) && !l.readerFailed() {
		l.ackHeld = false
		l.owesAck, l.owedSince = true, l.now
	}
}

// readerFailed reports whether the texts that the reader has not dealt with are lost.
func (l *Lines) readerFailed() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.readClosed
}

// lostAcknowledged reports whether texts are lost here that may have been acknowledged.
func (l *Lines) lostAcknowledged() bool {
	l.mu.Lock()
	failed, spoiled := l.readClosed, l.spoiled
	l.mu.Unlock()
	return spoiled || failed && l.ackedToRead > 0
}

// endTexts tells a reader that wants to know it that no more texts come from the peer.
func (l *Lines) endTexts() {
	if !l.isTrusted || l.cfg.Stay && !l.quits {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.noMore && l.finish != nil {
		l.noMore, l.noMoreAt = true, l.now
		l.readable.Broadcast()
	}
}

// loseLate counts a text that has come after endTexts as lost. The peer had said that there were no
// more; a key exchange at that very moment may have made it send one nevertheless.
func (l *Lines) loseLate() {
	l.missed++
	l.tellLost(1)
	l.mu.Lock()
	l.spoiled = true
	l.mu.Unlock()
}

// textsEnded reports whether endTexts has told the reader that no more texts come.
func (l *Lines) textsEnded() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.noMore
}

// awaitsReader reports whether the reader may be about to deal with the texts that have come, to
// close its output after the last one, or to fail.
func (l *Lines) awaitsReader() bool { return !l.readerBy().IsZero() }

// readerBy returns until when the reader may show that it has failed; zero: it need not be waited
// for.
func (l *Lines) readerBy() (by time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.readClosed {
		return by
	}
	if len(l.toRead) > 0 {
		by = l.cameAt.Add(readWait)
	}
	if at := l.noMoreAt.Add(readWait); l.noMore && (l.finish != nil || l.finishing) && at.After(by) {
		by = at
	}
	if !l.now.Before(by) {
		return time.Time{}
	}
	return by
}

// ackLimit returns the number of the first text that must not be acknowledged yet.
func (l *Lines) ackLimit(r *receivedTexts) int64 {
	limit := r.next
	if !l.awaitsReader() && !l.readerFailed() {
		l.ackedToRead = len(l.toRead)
		return limit
	}
	for _, t := range l.toRead {
		for _, p := range [...]place{t.at, t.again} {
			if p.in == r.id && p.number < limit {
				limit = p.number
				l.ackHeld = true
			}
		}
	}
	return limit
}

// addMark adds the mark of an otrpipe, unless it is there already.
func (l *Lines) addMark() {
	if !slices.ContainsFunc(l.tlvs, func(t wire.TLV) bool { return t.Type == typePlain }) {
		l.addValue(typePlain, func(b []byte) []byte { return append(b, l.offerByte()) })
	}
}

// addValue adds a record whose value is appended to the scratch space.
func (l *Lines) addValue(kind uint16, appendTo func([]byte) []byte) {
	n := len(l.values)
	l.values = appendTo(l.values)
	l.tlvs = append(l.tlvs, wire.TLV{Type: kind, Value: l.values[n:len(l.values):len(l.values)]})
}

// takeLeave takes the next step of the closing handshake.
func (l *Lines) takeLeave() {
	c := &l.closing
	if l.phase != running || !l.secure || l.conv.State() != otr.StateEncrypted {
		return
	}
	switch {
	case c.closeSent && c.answered:
		if l.missing() {
			return
		}
		if l.endTexts(); !l.awaitsReader() {
			l.leaveSession()
		}
	case c.asked && !(c.closeSent && l.leads()):
		l.followClose()
	case l.wantsEnd:
		l.leadClose()
	}
}

// leadClose sends CLOSE once everything has been sent.
func (l *Lines) leadClose() {
	l.mu.Lock()
	waits := l.out.size > 0 && l.isTrusted
	l.mu.Unlock()
	switch {
	case waits && !l.hasty, !l.canSend() && !l.hasty, l.closing.closeSent:
		return
	case !l.peerNumbers || !l.canSend():
		l.leaveSession()
		return
	}
	l.endBy = l.now.Add(l.slowly(endWait))
	l.sayClose()
}

// sayClose sends CLOSE and waits for the answer.
func (l *Lines) sayClose() {
	l.closing.closeSent = true
	l.tlvs, l.values = l.tlvs[:0], l.values[:0]
	l.addStand()
	l.tlvs = append(l.tlvs, wire.TLV{Type: typeClose})
	if err := l.seal(otr.Message{TLVs: l.tlvs, IgnoreUnreadable: true}); err != nil {
		l.end(err, internalError)
		return
	}
	c := &l.closing
	l.awaitAnswer(goodbyeWait << min(c.closes, maxCloses-1))
	c.closes++
	c.closeAt = l.now
}

// followClose answers CLOSE once the waiting texts have been sent and no missing text of the
// peer can still come.
func (l *Lines) followClose() {
	if !l.flushing {
		l.flushing = true
		l.mu.Lock()
		l.flush = l.outTexts
		l.mu.Unlock()
	}
	if !l.isTrusted {
		l.flush = 0
	}
	c := &l.closing
	if c.closed > 0 {
		return
	}
	if l.hasty || l.brief && l.flush == 0 {
		l.awaitAnswer(lateWait + goodbyeWait) // the peer cannot keep us by sending more
	}
	if l.flush > 0 || !l.canSend() || l.missing() {
		return
	}
	if l.endTexts(); l.awaitsReader() {
		return
	}
	l.endBy = l.now.Add(l.slowly(endWait))
	c.waiting = false
	l.sayClosed()
	l.awaitAnswer(goodbyeWait / 2)
}

// sayClosed sends CLOSED.
func (l *Lines) sayClosed() {
	l.tlvs, l.values = l.tlvs[:0], l.values[:0]
	l.addStand()
	l.sendClosed(l.tlvs)
}

// unanswered repeats our part of the closing handshake, or leaves without the peer.
func (l *Lines) unanswered() {
	c := &l.closing
	switch {
	case !l.hasty && (c.closed == 1 || c.closed > 0 && !l.allAcked() && l.now.Before(l.endBy)):
		c.waiting = false
		l.sayClosed()
		l.awaitAnswer(goodbyeWait / 2)
	case c.closed > 0:
		l.sessionOver(ErrPeerEnded)
	case l.hasty || l.brief || !l.now.Before(l.endBy):
		l.leaveSession()
	case l.heard.After(c.closeAt): // it may have more to send before it answers
		c.waiting, c.closes = false, maxCloses-1
		l.sayClose()
		c.closes = 0
	case l.allAcked() && c.closes >= maxCloses:
		l.leaveSession()
	default:
		c.waiting = false
		l.sayClose()
	}
}

// leaveSession ends the session, and without Config.Stay everything.
func (l *Lines) leaveSession() {
	if l.cfg.Stay && !l.quits {
		l.wait(false)
		return
	}
	l.end(l.sentOr(ErrClosed), "")
}

// meetStream handles a record that only a Stream sends. The two modes cannot work together.
func (l *Lines) meetStream() {
	l.metStream = true
	if l.cfg.Stay {
		l.report(OtherMode{})
		l.wait(false)
		return
	}
	l.end(ErrPeerStream, "the other end runs mode lines")
}
