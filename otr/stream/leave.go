package stream

import (
	"fmt"
	"io"
	"time"

	"otrpipe/otr"
	"otrpipe/otr/wire"
)

const (
	// lastWords is how long the transport has to accept the last lines when a link fails.
	lastWords = 2 * time.Second
	// readGrace is how long a link goes on reading after a write error, because the peer may
	// have completed everything before it left.
	readGrace = 2 * time.Second
	// hastyDrain is the same limit for a transport that accepts lines slowly. It restarts
	// whenever the transport accepts a line: IRC clients send one every five or six seconds.
	hastyDrain = 10 * time.Second
	// firstNews is when the first Draining event, or a NoSign, is reported at the end, and
	// drainNews the interval of the next Draining events.
	firstNews = 3 * time.Second
	drainNews = 10 * time.Second
	// goodbyeWait is how long the peer has to leave after a proper end. Closing some
	// transports at once would destroy data that is still on its way to the peer.
	goodbyeWait = time.Second
)

// internalError is the reason that the peer is told when our own side fails.
const internalError = "internal error"

// keyRefused is the reason that the peer is told when its key is rejected. Lines sends it as a
// record of its own.
const keyRefused = "key refused"

// A phase is a stage in the life of a link.
type phase int

const (
	running phase = iota
	leaving       // the result is known; the last lines are being written
	parting       // they are written; the peer is given time
	over
)

// end ends the link, once, with its result. If there is a session, the peer is told the
// reason. A failure is published at once, success when the last line has been written.
func (l *link) end(result error, reason string) {
	if l.phase != running {
		return
	}
	result = l.failGate(result)
	l.phase = leaving
	var last []wire.TLV
	encrypted := l.conv.State() == otr.StateEncrypted
	if encrypted {
		l.mark() // without it the peer might not notice a downgrade
		last = l.mode.farewell(result, reason)
		l.report(otr.Ended{})
	}
	// In any state, this makes the Conversation wipe its secrets.
	if lines, err := l.conv.EndWith(last...); err == nil {
		l.sendLines(lines)
	}
	if encrypted {
		l.owed = l.produced
	}
	l.secure, l.isTrusted = false, false
	l.setCurrent(SessionID{})
	l.leaveBy = l.now.Add(lastWords)
	switch {
	case result == nil && !l.hasty && l.mode.drains():
		l.leaveBy = after(l.now, l.drainWait())
	case result == nil && !l.hasty:
		l.leaveBy = after(l.now, l.cfg.Timeout)
	case l.hasty && l.everSecure:
		l.leaveBy = l.now.Add(l.hastyWait())
	case l.hasty:
		l.leaveBy = l.now // a query need not be sent any more
	}
	l.beginDraining()
	if l.writeError {
		l.phase = over
	}
	l.mu.Lock()
	l.ended = true
	l.mu.Unlock()
	if result != nil {
		l.publish(result)
	}
}

// hastyWait returns how long to wait for the transport when we are told to leave.
func (l *link) hastyWait() time.Duration {
	if l.mode.drains() {
		return max(lastWords, min(l.cfg.Drain, hastyDrain))
	}
	return lastWords
}

// drainWait returns how long the transport may accept none of the remaining output at the
// end; 0: no limit.
func (l *link) drainWait() time.Duration {
	switch {
	case l.hasty:
		return l.hastyWait()
	case l.cfg.Drain > 0:
		return l.cfg.Drain
	}
	return l.cfg.Timeout
}

// beginDraining starts to watch whether the transport accepts the remaining output.
func (l *link) beginDraining() {
	l.takenMark = l.writer.written.Load()
	if l.mode.drains() && l.drainTell.IsZero() {
		l.drainTell = l.now.Add(firstNews)
	}
}

// takesMore reports whether the transport has accepted any of the remaining output since the
// last call.
func (l *link) takesMore() bool {
	taken := l.writer.written.Load()
	more := l.mode.drains() && taken > l.takenMark
	l.takenMark = taken
	return more
}

// tellDraining reports how much output is left.
func (l *link) tellDraining() {
	l.drainTell = time.Time{}
	if left := l.produced - l.writer.written.Load(); left > 0 {
		l.report(Draining{Bytes: left})
		l.drainTell = l.now.Add(drainNews)
	}
}

// publish makes the result known.
func (l *link) publish(result error) {
	l.mu.Lock()
	l.result, l.known = result, true
	l.mode.finished()
	l.mu.Unlock()
	close(l.broke)
}

// written runs when the last line has been written.
func (l *link) written() {
	if !l.known {
		l.publish(nil)
	}
	if !l.polite || l.peerLeft || l.readEnded {
		l.phase = over
		return
	}
	l.phase = parting
	l.leaveBy = l.now.Add(goodbyeWait)
}

// transportEnded handles the end of the transport's input.
func (l *link) transportEnded(err error) {
	l.readEnded = true
	switch l.phase {
	case running:
		if err == io.EOF {
			err = nil
		}
		l.end(l.mode.transportEnded(err), "the transport ended")
	case parting:
		l.phase = over
	}
}

// writeFailed handles a write error of the transport.
func (l *link) writeFailed(err error) {
	l.writeError = true
	l.pending = l.pending[:0]
	if l.phase != running {
		l.phase = over
		return
	}
	l.writeCause = err
	l.leaveBy = l.now.Add(readGrace)
}

// close releases everything.
func (l *link) close() {
	if !l.known {
		l.publish(l.mode.unwritten())
	}
	close(l.quit)
	l.transport.Close()
	close(l.writer.full)
	if l.timer != nil {
		l.timer.Stop()
	}
	l.reporter.flush(l.now)
	l.mu.Lock()
	ops := l.ops
	l.ops, l.gone = nil, true
	l.mu.Unlock()
	for _, o := range ops {
		o.finish(l.closedError())
	}
	close(l.done)
}

// closedError returns the error of a method that is called after the end. The mutex is held,
// or the caller is the owner, or broke is closed.
func (l *link) closedError() error {
	if l.result != nil {
		return l.result
	}
	return ErrClosed
}

// transportError returns the result when the transport ended too early.
func (l *link) transportError(err error) error {
	kind := ErrTransport
	if !l.everSecure {
		kind = ErrClosedBeforeSession
	}
	if err == nil {
		return kind
	}
	return fmt.Errorf("%w: %w", kind, err)
}

// timeoutError returns the result when Config.Timeout passed.
func (l *link) timeoutError() error {
	switch {
	case l.secure:
		return fmt.Errorf("%w: the comparison of secrets was not finished", ErrTimeout)
	case !l.heardAny:
		return ErrSilent
	}
	return fmt.Errorf("%w: no session", ErrTimeout)
}

// requestAbort asks the owner to abort for a reason.
func (l *link) requestAbort(reason string) {
	l.mu.Lock()
	if l.abort == nil {
		l.abort = &reason
	}
	l.mu.Unlock()
	l.rouse()
}

// rouse makes the owner look at the fields guarded by mu.
func (l *link) rouse() {
	select {
	case l.wake <- struct{}{}:
	default:
	}
}
