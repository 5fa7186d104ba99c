package stream

import (
	"fmt"
	"io"
	"time"

	"otrpipe/otr"
	"otrpipe/otr/wire"
)

const (
	// lastWords is how long the transport has to take what there is to say when
	// a link fails.
	lastWords = 2 * time.Second
	// readGrace is how long a link goes on reading from a transport that takes
	// nothing any more: what the peer said before it left may be all we need.
	readGrace = 2 * time.Second
	// hastyDrain is lastWords for a transport that takes lines slowly, and is given more
	// time whenever it takes one: IRC clients send one in five or six seconds.
	hastyDrain = 10 * time.Second
	// drainNews is how often it is told that the transport has still to take something
	// at the end, and firstNews when first.
	firstNews = 3 * time.Second
	drainNews = 10 * time.Second
	// goodbyeWait is how long the peer has to leave after a proper end. Closing
	// some transports at once destroys what is still on its way to the peer.
	goodbyeWait = time.Second
)

// internalError is what the peer is told when our own side fails.
const internalError = "internal error"

// A phase is where a link stands.
type phase int

const (
	running phase = iota
	leaving       // the result is known; the last lines are being written
	parting       // they are written; the peer is given time
	over
)

// end ends the link, once, with its result. The peer is told the reason, if it
// can be told anything. A failure is known at once, and success when the last
// line has been written.
func (l *link) end(result error, reason string) {
	if l.phase != running {
		return
	}
	result = l.failGate(result)
	l.phase = leaving
	var last []wire.TLV
	encrypted := l.conv.State() == otr.StateEncrypted
	if encrypted {
		l.mark() // it may be all that shows the peer a downgrade that we have found
		last = l.mode.farewell(result, reason)
		l.report(otr.Ended{})
	}
	// Whatever the state, the Conversation wipes its secrets.
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
		l.leaveBy = l.now // nobody misses a query
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

// hastyWait is how long the transport is waited for when we are told to leave.
func (l *link) hastyWait() time.Duration {
	if l.mode.drains() {
		return max(lastWords, min(l.cfg.Drain, hastyDrain))
	}
	return lastWords
}

// drainWait is how long a transport may take nothing of what is left at the end; 0: for
// ever.
func (l *link) drainWait() time.Duration {
	switch {
	case l.hasty:
		return l.hastyWait()
	case l.cfg.Drain > 0:
		return l.cfg.Drain
	}
	return l.cfg.Timeout
}

// beginDraining begins to watch whether the transport takes what is left.
func (l *link) beginDraining() {
	l.takenMark = l.writer.written.Load()
	if l.mode.drains() && l.drainTell.IsZero() {
		l.drainTell = l.now.Add(firstNews)
	}
}

// takesMore says whether the transport, which still has to take something, has taken
// some of it since we last looked.
func (l *link) takesMore() bool {
	taken := l.writer.written.Load()
	more := l.mode.drains() && taken > l.takenMark
	l.takenMark = taken
	return more
}

// tellDraining tells how much is left.
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

// written follows the end of the last line.
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

// transportEnded follows the end of what can be read.
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

// writeFailed follows an error of the transport.
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

// close lets go of everything.
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

// closedError is what a method returns that comes too late. The mutex is held,
// or the caller is the owner, or broke is closed.
func (l *link) closedError() error {
	if l.result != nil {
		return l.result
	}
	return ErrClosed
}

// transportError is the result when the transport ended too early.
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

// timeoutError is the result when Config.Timeout passed.
func (l *link) timeoutError() error {
	switch {
	case l.secure:
		return fmt.Errorf("%w: the comparison of secrets was not finished", ErrTimeout)
	case !l.heardAny:
		return ErrSilent
	}
	return fmt.Errorf("%w: no session", ErrTimeout)
}

// requestAbort makes the owner leave for a reason.
func (l *link) requestAbort(reason string) {
	l.mu.Lock()
	if l.abort == nil {
		l.abort = &reason
	}
	l.mu.Unlock()
	l.rouse()
}

// rouse makes the owner look at what mu guards.
func (l *link) rouse() {
	select {
	case l.wake <- struct{}{}:
	default:
	}
}
