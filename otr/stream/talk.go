package stream

import (
	"bytes"
	"slices"
	"time"

	"otrpipe/otr"
	"otrpipe/otr/wire"
)

// secured prepares for a new session. If its peer is another one, it drops the texts of a
// previous peer that never passed its checks.
func (l *Lines) secured(session otr.Session) error {
	another := l.session.Fingerprint != session.Fingerprint && !l.vouch.expects(session)
	if another {
		l.dropHeld()
		l.takeNoMore()
	}
	l.lapsed, l.lapsing, l.refused, l.flushing = false, false, false, false
	l.beginTexts(session, another)
	return nil
}

// takeNoMore handles the end of a session with a trusted peer. With Config.OneSession it
// drops the unsent texts, which were written for that peer alone.
func (l *Lines) takeNoMore() {
	l.mu.Lock()
	l.taking = false
	unsent, first := 0, l.refOut+1-int64(l.unsureTexts)
	if l.cfg.OneSession {
		for ; l.out.size > 0; unsent++ {
			l.scratch, _ = popText(&l.out, l.scratch[:0])
			l.outTexts--
			l.refOut++
		}
		unsent += l.unsureTexts
		l.unsure.clear()
		l.unsureTexts = 0
		l.writable.Broadcast()
	}
	l.mu.Unlock()
	if unsent > 0 {
		l.report(Unsent{First: first, Texts: unsent})
	}
}

func (l *Lines) accepted() {
	l.mu.Lock()
	l.taking = true
	l.mu.Unlock()
}

func (l *Lines) trusted() {
	l.mu.Lock()
	if !l.everTrusted {
		l.everTrusted = true
		l.lastText = l.now
	}
	l.in.append(&l.held)
	l.heldTexts = 0
	l.readable.Broadcast()
	l.mu.Unlock()
	l.open()
}

// message handles the text and the records of a data message.
func (l *Lines) message(r *otr.Received) {
	plain := l.heardMark(r.TLVs)
	if l.phase != running {
		return
	}
	l.confirm()
	if plain && l.numbersTexts() && len(l.sent) > 0 {
		l.acknowledges() // its mark may be all that comes for a while
	}
	records, err := parseTextRecords(r.TLVs)
	switch {
	case err != nil:
		l.end(broken("%w", err), "malformed record")
		return
	case records.stream:
		l.meetStream()
		return
	}
	if records.refused && !l.refused {
		l.refused = true
		l.report(OurKeyRefused{})
	}
	if records.failed && l.isTrusted && !l.toldFail {
		l.failed, l.toldFail = true, true
		l.report(Unwritten{})
	}
	l.closing.follow(r.TLVs)
	fresh := l.followTexts(&records)
	text := r.HasText && fresh
	if text && l.textsEnded() {
		l.loseLate()
		text = false
	}
	if l.closing.closed > 0 && l.canSend() {
		l.sayClosed() // the peer sent this before it read our CLOSED
	}
	if text {
		l.keepToRead(&records)
		l.deliver([]byte(r.Text), plain)
		l.endBy = l.now.Add(l.slowly(endWait)) // go on waiting as long as texts arrive
	}
	l.takeLeave()
}

// deliver hands a text to the reader, or holds it until the peer has passed its checks.
func (l *Lines) deliver(text []byte, plain bool) {
	l.lastText = l.now
	size := len(text)
	if !l.cfg.Raw {
		text = oneLine(text)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.stats.ReceivedBytes += int64(size)
	l.stats.ReceivedMessages++
	if !l.isTrusted {
		l.heldTexts++
		pushText(&l.held, text, plain)
		return
	}
	if !l.readClosed {
		pushText(&l.in, text, plain)
		l.readable.Broadcast()
	}
}

// heardMark reports whether a message has the mark of an otrpipe, so that its text is plain
// text. It also handles the offered versions in the mark.
func (l *Lines) heardMark(tlvs []wire.TLV) bool {
	i := slices.IndexFunc(tlvs, func(t wire.TLV) bool { return t.Type == typePlain && len(t.Value) == 1 })
	if i < 0 {
		return false
	}
	l.heardOffer(wire.Versions(tlvs[i].Value[0]))
	return true
}

// oneLine replaces CR and LF in a text by the characters \r and \n.
func oneLine(text []byte) []byte {
	if bytes.IndexByte(text, '\r') < 0 && bytes.IndexByte(text, '\n') < 0 {
		return text
	}
	text = bytes.ReplaceAll(text, []byte("\r"), []byte(`\r`))
	return bytes.ReplaceAll(text, []byte("\n"), []byte(`\n`))
}

// pump sends the waiting texts, as far as there is room.
func (l *Lines) pump() {
	l.followReader()
	for l.room() && l.sendText() {
	}
	l.sendStand()
	l.takeLeave()
	l.comeBack()
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.writeClosed && l.inputEnd.IsZero() {
		l.inputEnd = l.now
		l.watchWriter = true
	}
	written := l.isWritten(l.textEnd)
	if l.writing && written {
		l.lastText, l.taken = l.now, l.now
	}
	l.writing = !written
	switch {
	case l.inputEnd.IsZero() || l.isWritten(l.produced) || !l.secure || l.wantsEnd:
		l.stuckBy = time.Time{}
	case l.stuckBy.IsZero():
		l.stuckBy = after(l.now, l.drainWait())
		l.beginDraining()
	}
}

// sendText sends the first waiting text; false: there is none, or none may be sent.
func (l *Lines) sendText() bool {
	if !l.canSend() || !l.isTrusted || l.saidAll() || l.flushing && l.flush == 0 || !l.popOut() {
		return false
	}
	l.flush--
	l.lastText, l.beat = l.now, l.now
	l.tlvs, l.values = l.tlvs[:0], l.values[:0]
	if l.numbersTexts() {
		if len(l.scratch) > 0 {
			l.addMark()
		}
		l.addValue(typeNumber, func(b []byte) []byte {
			return appendOffset(b, l.currentSent().add(l.now, l.refOut))
		})
		l.addAgain()
		if l.owesStand || l.ackDue() {
			l.addStand()
		}
		l.keepUnsure()
	}
	err := l.seal(otr.Message{Text: l.scratch, TLVs: l.tlvs})
	l.textEnd, l.owed = l.produced, l.produced
	if err != nil {
		l.end(err, internalError)
	}
	return err == nil
}

// popOut moves the next text from out to scratch; false: there is none.
func (l *Lines) popOut() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.out.size == 0 {
		return false
	}
	l.scratch, _ = popText(&l.out, l.scratch[:0])
	l.outTexts--
	l.refOut++
	l.stats.SentBytes += int64(len(l.scratch))
	l.stats.SentMessages++
	l.writable.Broadcast()
	return true
}

func (l *Lines) heartbeat() {
	if l.saidAll() {
		return
	}
	if l.peerNumbers {
		l.owesStand = true
		l.sendStand()
		return
	}
	if err := l.seal(otr.Message{IgnoreUnreadable: true}); err != nil {
		l.end(err, internalError)
	}
}

func (l *Lines) ask() {
	if !l.peerNumbers || l.saidAll() {
		l.heartbeat()
		return
	}
	l.askForStand()
}

// askForStand asks the peer to send its state.
func (l *Lines) askForStand() {
	l.tlvs, l.values = l.tlvs[:0], l.values[:0]
	l.addStand()
	l.tlvs = append(l.tlvs, wire.TLV{Type: typeAsk})
	if err := l.seal(otr.Message{TLVs: l.tlvs, IgnoreUnreadable: true}); err != nil {
		l.end(err, internalError)
	}
}

// lapseRecords tells a peer that uses this package that the session has expired but we stay.
func (l *Lines) lapseRecords() []wire.TLV {
	if !l.peerNumbers {
		return nil
	}
	return append(l.farewell(nil, ""), wire.TLV{Type: typeLapsed})
}

// next returns when tick is due: for lingering, a first sign of the peer, a stuck transport, or
// texts.
func (l *Lines) next() time.Time {
	sign := earlier(l.signAt(), l.noSignAt())
	return earlier(earlier(earlier(l.lingered(), sign), l.stuckBy), l.nextTexts())
}

// lingered returns when we have lingered long enough; zero: not known yet.
func (l *Lines) lingered() time.Time {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.wantsEnd || l.inputEnd.IsZero() || l.out.size > 0 || !l.secure && l.unsettled() || !l.everTrusted || l.writing {
		return time.Time{}
	}
	at := l.lastText
	if l.inputEnd.After(at) {
		at = l.inputEnd
	}
	at = at.Add(l.cfg.Linger)
	if sure := l.lastText.Add(l.slowly(confirmWait)); l.awaitsSign() && sure.After(at) {
		return sure
	}
	return at
}

// awaitsSign reports whether texts were sent and nothing has come from the peer in the session.
// The peer may not have the session; or it acknowledges texts and some are lost, which its first
// message will show.
func (l *Lines) awaitsSign() bool {
	return l.unconfirmed() || l.secure && l.numbersTexts() && !l.confirmed && l.currentSent().sent > 0
}

// signAt returns when to ask the peer for its first message, before we leave; zero: never.
func (l *Lines) signAt() time.Time {
	if !l.awaitsSign() || !l.numbersTexts() || !l.canSend() || l.lingered().IsZero() {
		return time.Time{}
	}
	at := l.lastText.Add(l.cfg.Linger)
	if again := l.asked.Add(confirmWait / 4); again.After(at) {
		return again
	}
	return at
}

// noSignAt returns when to report that we wait for the peer's first message, unless we leave before;
// zero: never.
func (l *Lines) noSignAt() time.Time {
	if l.toldWait || l.lingered().IsZero() || !l.awaitsSign() {
		return time.Time{}
	}
	from := l.lastText
	if l.inputEnd.After(from) {
		from = l.inputEnd
	}
	return from.Add(l.cfg.Linger + firstNews)
}

func (l *Lines) tick() {
	l.tickTexts()
	if l.due(l.stuckBy) {
		if !l.takesMore() {
			l.end(ErrUntaken, "the transport takes nothing")
			return
		}
		l.stuckBy = after(l.now, l.drainWait())
	}
	if l.due(l.signAt()) {
		if l.asked = l.now; l.room() {
			l.askForStand()
		}
	}
	if l.due(l.lingered()) {
		l.wantsEnd, l.quits = true, true
		if !l.secure {
			l.end(l.sentOr(nil), "")
		}
	}
	if l.due(l.noSignAt()) {
		l.toldWait = true
		l.report(NoSign{Wait: l.lingered().Sub(l.now)})
	}
}

// peerEnded, expired and endedHere end everything, or wait for another session: always when a
// session expires, otherwise with Config.Stay.
func (l *Lines) peerEnded() {
	switch {
	case l.lapsing:
		l.lapse()
	case l.refused && (!l.cfg.Stay || l.quits):
		l.settleAll()
		l.end(ErrOurKeyRefused, "") // even if there was nothing to send
	default:
		l.sessionOver(ErrPeerEnded)
	}
}

func (l *Lines) expired() { l.lapse() }

func (l *Lines) endedHere() { l.sessionOver(ErrClosed) }

func (l *Lines) sessionOver(err error) {
	if !l.cfg.Stay || l.quits {
		l.end(l.sentOr(err), "")
		return
	}
	l.wait(false)
}

// wait ends the session, if there still is one, and waits for another. If the session lapses,
// the next one will show which of its texts have arrived.
func (l *Lines) wait(lapses bool) {
	if l.gate.state == gateShown {
		l.end(nil, gateClosed)
		return
	}
	_ = l.failGate(nil) // a comparison that a person started ends with the session
	var last []wire.TLV
	if l.conv.State() == otr.StateEncrypted {
		last = l.farewell(nil, "")
		l.report(otr.Ended{})
	}
	if lapses {
		l.peerNumbers, l.owesStand, l.owesAck = false, false, false
	} else {
		l.settleTexts()
	}
	l.takeNoMore()
	l.closed()
	l.closing, l.wantsEnd, l.brief, l.flushing = closing{}, false, false, false
	lines, err := l.conv.EndWith(last...)
	if err != nil {
		l.end(err, "")
		return
	}
	l.sendLines(lines)
}

// lapse handles the end of a session whose keys became too old, at either end. Neither end
// has left: another session starts when there is something to send.
func (l *Lines) lapse() {
	l.wait(true)
	l.lapsed = true
}

// comeBack starts another session after one has lapsed, if a text waits or has not been
// acknowledged.
func (l *Lines) comeBack() {
	if !l.lapsed || l.secure || !l.queryAt.IsZero() || l.phase != running {
		return
	}
	l.mu.Lock()
	waits := l.out.size > 0
	l.mu.Unlock()
	if !waits && !l.unsettled() {
		return
	}
	if !l.cfg.Stay {
		l.readyBy = after(l.now, l.cfg.Timeout)
	}
	l.queryGap, l.queries = firstQuery, 0
	l.query()
}

// sentOr returns err if texts are left unsent or no peer has ever been trusted. Otherwise it
// returns the result that follows from the fate of the texts.
func (l *Lines) sentOr(err error) error {
	l.mu.Lock()
	unsent := l.out.size > 0 || !l.everTrusted
	l.mu.Unlock()
	if unsent {
		return err
	}
	return l.fateOfTexts()
}

// transportEnded returns an error, except between sessions, and after the last message if all
// texts were acknowledged.
func (l *Lines) transportEnded(err error) error {
	err = l.transportError(err)
	if l.secure && !(l.saidAll() && l.allAcked()) {
		return err
	}
	return l.sentOr(err)
}

// abort sends the waiting texts and ends the session.
func (l *Lines) abort(string) {
	for l.sendText() {
	}
	l.wantsEnd, l.quits = true, true
	if !l.peerNumbers || !l.canSend() || l.writeError {
		l.end(l.sentOr(ErrClosed), "")
		return
	}
	l.takeLeave()
}

// unwritten returns an error only if the unwritten lines contain texts.
func (l *Lines) unwritten() error {
	switch {
	case l.isWritten(l.textEnd):
		return nil
	case !l.writeError && !l.readEnded:
		return ErrUntaken
	}
	return l.transportError(l.writeCause)
}

func (l *Lines) timedOut() error { return l.timeoutError() }

// farewell tells the peer of a session how many texts there were and which have arrived: it may be
// the only message of ours that the peer reads. A peer in mode stream learns from the same records
// that this end runs Lines. A peer whose key is refused is told that. If the session fails, farewell
// also reports to our user which texts the peer has not acknowledged.
func (l *Lines) farewell(result error, reason string) []wire.TLV {
	l.tlvs, l.values = l.tlvs[:0], l.values[:0]
	if l.secure && l.numbersTexts() {
		l.addStand()
	}
	if s, _ := l.conv.Session(); reason == keyRefused && s.Version >= markedFrom {
		l.tlvs = append(l.tlvs, wire.TLV{Type: typeRefused})
	}
	if result != nil {
		for _, s := range l.sent {
			l.settleSent(s)
		}
	}
	return l.tlvs
}

func (l *Lines) finished() {
	l.out.clear()
	l.held.clear()
	l.readable.Broadcast()
	l.writable.Broadcast()
}

func (l *Lines) appetite() int { return maxGather }

func (l *Lines) drains() bool { return true }

func (l *Lines) backlogged() bool { return l.in.size+l.held.size >= linesRoom }
