package stream

import (
	"time"

	"otrpipe/otr/wire"
)

// arm sets the timer for the earliest time when something is due. That time moves to later
// with every message. The timer is left alone then, because firing too early does no harm.
func (l *link) arm() {
	next := l.next()
	if next.IsZero() || !l.timerAt.IsZero() && !next.Before(l.timerAt) {
		return
	}
	if l.timer != nil {
		l.timer.Stop()
	}
	l.timerAt = next
	l.timer = l.cfg.Clock.AfterFunc(max(next.Sub(l.now), 0), l.ring)
}

// ring is called by the timer.
func (l *link) ring() {
	select {
	case l.alarm <- struct{}{}:
	default:
	}
}

// next returns when tick is due; zero: never.
func (l *link) next() time.Time {
	next := earlier(earlier(l.reporter.next(), l.leaveBy), l.drainTell)
	if l.phase != running {
		return next
	}
	next = earlier(next, l.conv.NextTick())
	next = earlier(next, l.queryAt)
	next = earlier(next, l.vouch.by)
	next = earlier(next, l.readyBy)
	next = earlier(next, l.exchangeBy)
	next = earlier(next, l.mode.next())
	next = earlier(next, l.closing.by)
	if l.secure {
		next = earlier(next, after(l.beat, l.cfg.Heartbeat))
		next = earlier(next, after(l.heard, l.cfg.Dead))
		next = earlier(next, l.askAt())
		if l.canSend() {
			next = earlier(next, l.gate.at)
		}
	}
	return next
}

// tick does everything that is due by now.
func (l *link) tick() {
	l.reporter.tick(l.now)
	if !l.drainTell.IsZero() && !l.now.Before(l.drainTell) {
		l.tellDraining()
	}
	if l.phase != running {
		l.tickLeaving()
		return
	}
	if l.due(l.leaveBy) {
		l.end(l.mode.transportEnded(l.writeCause), "")
	}
	if l.due(l.conv.NextTick()) {
		l.tickConversation()
	}
	if l.due(l.queryAt) {
		l.query()
	}
	if l.due(l.exchangeBy) {
		l.waitedLong()
	}
	if l.due(l.vouch.by) {
		l.vouchLate()
	}
	if l.due(l.gate.at) && l.canSend() {
		l.compare()
	}
	l.tickHeartbeat()
	if l.due(l.mode.next()) {
		l.mode.tick()
	}
	if l.due(l.closing.by) {
		l.tickClosing()
	}
	if l.secure && l.due(after(l.heard, l.cfg.Dead)) {
		l.end(ErrDead, "silent for too long")
	}
	if l.due(l.readyBy) {
		l.end(l.mode.timedOut(), "time is up")
	}
}

// tickLeaving stops waiting for the last lines to be written, unless the transport still
// accepts some of them.
func (l *link) tickLeaving() {
	if l.leaveBy.IsZero() || l.now.Before(l.leaveBy) {
		return
	}
	if l.phase == leaving && !l.writeError && l.takesMore() {
		l.leaveBy = after(l.now, l.drainWait())
		return
	}
	l.phase = over
}

// tickHeartbeat sends a heartbeat, and asks the peer for a sign of life, when they are due.
func (l *link) tickHeartbeat() {
	if l.secure && l.due(after(l.beat, l.cfg.Heartbeat)) {
		l.beat = l.now
		if l.canSend() && l.room() {
			l.mode.heartbeat()
		}
	}
	if l.secure && l.due(l.askAt()) {
		l.asked = l.now
		if l.canSend() && l.room() {
			l.mode.ask()
		}
	}
}

// tickClosing stops waiting for the peer's answer in the closing handshake, unless the
// transport is still accepting the message that the peer has to answer.
func (l *link) tickClosing() {
	if l.closing.mark >= 0 && l.takesMore() {
		l.closing.by = after(l.now, l.drainWait())
		return
	}
	l.closing.by = time.Time{}
	l.mode.unanswered()
}

// askAt returns when to ask the peer for a sign of life; zero: never. That is when it has
// been silent for a third of Config.Dead, or when the keys have not changed for a third of
// the time after which a session expires. Otherwise a session could die because the peer is
// idle and its heartbeat is slower than that.
func (l *link) askAt() (next time.Time) {
	if l.cfg.Heartbeat <= 0 {
		return next
	}
	ask := func(since time.Time, limit time.Duration) {
		if l.asked.After(since) {
			since = l.asked
		}
		next = earlier(next, after(since, limit/3))
	}
	ask(l.heard, l.cfg.Dead)
	if expires, limit := l.conv.Expires(); limit > 0 {
		ask(expires.Add(-limit), limit)
	}
	return next
}

// tickConversation lets the Conversation do what is due.
func (l *link) tickConversation() {
	var last []wire.TLV
	if expires, _ := l.conv.Expires(); l.due(expires) {
		last = l.mode.lapseRecords()
	}
	l.handle(l.conv.TickWith(last...))
}

// due reports whether a time has come and the link is running; a zero time never comes.
func (l *link) due(t time.Time) bool {
	return l.phase == running && !t.IsZero() && !l.now.Before(t)
}

// after returns t+d, or zero (never) if d is not positive.
func after(t time.Time, d time.Duration) time.Time {
	if d <= 0 {
		return time.Time{}
	}
	return t.Add(d)
}
