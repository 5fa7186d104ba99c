package stream

import (
	"bytes"
	"slices"
	"time"

	"otrpipe/otr"
	"otrpipe/otr/wire"
)

// secured drops what a peer said that never proved itself, if this is another.
func (l *Lines) secured(session otr.Session) error {
	if l.session.Fingerprint != session.Fingerprint {
		l.mu.Lock()
		l.held.clear()
		l.mu.Unlock()
		l.takeNoMore()
	}
	return nil
}

// takeNoMore follows the end of a session with a trusted peer: what was written
// for it and has not been sent is nobody else's.
func (l *Lines) takeNoMore() {
	l.mu.Lock()
	l.taking = false
	unsent := 0
	if l.cfg.OneSession {
		for ; l.out.size > 0; unsent++ {
			l.scratch, _ = popText(&l.out, l.scratch[:0])
		}
		l.writable.Broadcast()
	}
	l.mu.Unlock()
	if unsent > 0 {
		l.report(Unsent{unsent})
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
	l.readable.Broadcast()
	l.mu.Unlock()
	l.open()
}

// message takes in a text.
func (l *Lines) message(r *otr.Received) {
	if !r.HasText {
		return
	}
	l.lastText = l.now
	text, plain := []byte(r.Text), isPlain(r.TLVs)
	if !l.cfg.Raw {
		text = oneLine(text)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.stats.ReceivedBytes += int64(len(r.Text))
	l.stats.ReceivedMessages++
	if !l.isTrusted {
		pushText(&l.held, text, plain)
		return
	}
	pushText(&l.in, text, plain)
	l.readable.Broadcast()
}

// isPlain says whether a message's records mark its text as plain.
func isPlain(tlvs []wire.TLV) bool {
	return slices.ContainsFunc(tlvs, func(t wire.TLV) bool { return t.Type == typePlain })
}

// oneLine makes line ends in a text visible.
func oneLine(text []byte) []byte {
	if bytes.IndexByte(text, '\r') < 0 && bytes.IndexByte(text, '\n') < 0 {
		return text
	}
	text = bytes.ReplaceAll(text, []byte("\r"), []byte(`\r`))
	return bytes.ReplaceAll(text, []byte("\n"), []byte(`\n`))
}

// pump sends the texts that wait, as far as there is room.
func (l *Lines) pump() {
	for l.room() && l.sendText() {
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.writeClosed && l.inputEnd.IsZero() {
		l.inputEnd = l.now
		l.watchWriter = true
	}
	written := l.isWritten(l.textEnd)
	if l.writing && written {
		l.lastText = l.now
	}
	l.writing = !written
}

// sendText sends the first text that waits; false: there is none, or none may
// be sent.
func (l *Lines) sendText() bool {
	if !l.canSend() || !l.isTrusted || !l.popOut() {
		return false
	}
	l.lastText, l.beat = l.now, l.now
	m := otr.Message{Text: l.scratch}
	if len(m.Text) > 0 && l.session.Version >= markedFrom {
		m.TLVs = plainMark
	}
	err := l.seal(m)
	l.textEnd = l.produced
	if err != nil {
		l.end(err, internalError)
	}
	return err == nil
}

// popOut moves the next text to scratch; false: there is none.
func (l *Lines) popOut() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.out.size == 0 {
		return false
	}
	l.scratch, _ = popText(&l.out, l.scratch[:0])
	l.stats.SentBytes += int64(len(l.scratch))
	l.stats.SentMessages++
	l.writable.Broadcast()
	return true
}

func (l *Lines) heartbeat() {
	if err := l.seal(otr.Message{IgnoreUnreadable: true}); err != nil {
		l.end(err, internalError)
	}
}

// next is when we have lingered long enough.
func (l *Lines) next() time.Time {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.inputEnd.IsZero() || l.out.size > 0 || !l.everTrusted || l.writing {
		return time.Time{}
	}
	if l.inputEnd.After(l.lastText) {
		return l.inputEnd.Add(l.cfg.Linger)
	}
	return l.lastText.Add(l.cfg.Linger)
}

func (l *Lines) tick() { l.end(nil, "") }

// peerEnded, expired and endedHere end all, or with Config.Stay wait for another
// session.
func (l *Lines) peerEnded() { l.sessionOver(ErrPeerEnded) }

func (l *Lines) expired() { l.sessionOver(ErrExpired) }

func (l *Lines) endedHere() { l.sessionOver(ErrClosed) }

func (l *Lines) sessionOver(err error) {
	if !l.cfg.Stay {
		l.end(l.sentOr(err), "")
		return
	}
	l.takeNoMore()
	l.closed()
	lines, err := l.conv.End()
	if err != nil {
		l.end(err, "")
		return
	}
	l.sendLines(lines)
}

// sentOr returns err unless everything that was written has been sent to a peer
// that is who it should be.
func (l *Lines) sentOr(err error) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.out.size > 0 || !l.everTrusted {
		return err
	}
	return nil
}

// transportEnded is an error, save between sessions: a peer that has taken its
// leave may go.
func (l *Lines) transportEnded(err error) error {
	err = l.transportError(err)
	if l.secure {
		return err
	}
	return l.sentOr(err)
}

// aborted sends what waits before it is too late.
func (l *Lines) aborted() error {
	for l.sendText() {
	}
	return l.sentOr(ErrClosed)
}

// unwritten is a failure only if texts are among it.
func (l *Lines) unwritten() error {
	if l.isWritten(l.textEnd) {
		return nil
	}
	return l.transportError(l.writeCause)
}

func (l *Lines) timedOut() error                   { return l.timeoutError() }
func (l *Lines) farewell(error, string) []wire.TLV { return nil }
func (l *Lines) unanswered()                       {}

func (l *Lines) finished() {
	l.out.clear()
	l.held.clear()
	l.readable.Broadcast()
	l.writable.Broadcast()
}

func (l *Lines) backlogged() bool { return l.in.size+l.held.size >= linesRoom }
