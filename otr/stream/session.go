package stream

import (
	"fmt"
	"slices"
	"time"

	"otrpipe/otr"
	"otrpipe/otr/wire"
)

const (
	// firstQuery is the time after which the query is first repeated. The time doubles with
	// each repetition, up to maxQuery. The peer may start after us, and some transports lose
	// lines that nobody reads yet.
	firstQuery = time.Second
	maxQuery   = time.Minute
	// heardQuery is the minimum time between the peer's last message and another query. The
	// peer's answer may still be arriving in several lines, which some clients send five or
	// six seconds apart, and a query in the middle of it would start a second exchange.
	heardQuery = 15 * time.Second
	// quietFor is how long we send no query after Config.Queries of them, unless the peer
	// says something.
	quietFor = 24 * time.Hour
	// queryTrips makes heardQuery longer on a slow line: at least this many round trips.
	queryTrips = 4
)

// A hold is whether data waits for a key exchange.
type hold int

const (
	unheld hold = iota
	held
	gaveUp // data no longer waits until another exchange has succeeded
)

// becameSecure checks the peer of a new session and starts what comes next.
func (l *link) becameSecure(e otr.Secure) {
	if l.phase != running {
		return
	}
	err := l.judge(e.Session)
	if err != nil {
		l.refusePeer(e, err)
		return
	}
	vouched := l.isTrusted && l.vouch.expects(e.Session)
	same := l.secure && l.session.Fingerprint == e.Fingerprint || vouched
	trusted := same && l.isTrusted
	if !same {
		l.newSession()
	}
	l.secure, l.everSecure, l.session, l.isTrusted = true, true, e.Session, trusted
	l.report(e)
	if vouched {
		l.offer = l.conv.Versions()
	}
	l.heard, l.beat = l.now, l.now
	l.queryAt, l.queries = time.Time{}, 0
	l.hold, l.exchangeBy = unheld, time.Time{}
	l.vouch = vouching{}
	l.owesMark = l.mode.marks() && l.session.Version >= markedFrom
	if l.opened {
		l.readyBy = after(l.now, l.cfg.Timeout)
	}
	switch {
	case trusted:
		l.pin()
		l.beginVouching()
		l.mode.trusted()
	case l.gate.needed(l.cfg.SMP, l.session):
		l.prove()
	default:
		l.trust()
	}
}

// trust is called when the session's peer has passed every check.
func (l *link) trust() {
	if l.cfg.Admit != nil {
		if err := l.cfg.Admit(l.session); err != nil {
			l.end(fmt.Errorf("%w: %w", ErrRefused, err), keyRefused)
			return
		}
	}
	l.isTrusted = true
	l.pin()
	l.setCurrent(l.sessionID)
	l.mode.accepted()
	l.report(Trusted{Session: l.session})
	l.beginVouching()
	l.mode.trusted()
}

// happened handles an event other than Secure; later holds the events after it in the same
// answer.
func (l *link) happened(e otr.Event, later []otr.Event) {
	if l.phase == running && l.gate.expects(e) {
		l.gateSettled()
		return
	}
	if _, ok := e.(otr.SMPFailed); ok {
		l.countFailure()
	}
	l.report(e)
	if l.phase != running {
		return
	}
	switch e.(type) {
	case otr.PeerEnded:
		l.mode.peerEnded()
	case otr.Ended:
		l.mode.expired()
	case otr.SMPAborted:
		// If the session ends before the outcome was shown, the next session starts a new
		// run.
		if !slices.ContainsFunc(later, isSecure) {
			l.gateEvent(e)
		}
	case otr.SMPAsked, otr.SMPShown, otr.SMPSucceeded, otr.SMPFailed, otr.SMPCrossed:
		l.gateEvent(e)
	}
}

func isSecure(e otr.Event) bool {
	_, ok := e.(otr.Secure)
	return ok
}

// open lets payload move.
func (l *link) open() {
	l.readyBy = time.Time{}
	if !l.opened {
		l.opened = true
		close(l.ready)
	}
}

// closed resets the state at the end of a session after which another may come.
func (l *link) closed() {
	l.secure, l.isTrusted = false, false
	l.sessionID = SessionID{}
	l.setCurrent(SessionID{})
	l.hold, l.exchangeBy = unheld, time.Time{}
	l.owesMark, l.vouch = false, vouching{}
	if l.gate.at = (time.Time{}); l.gate.state == gateWanted {
		l.gate.state = gateIdle
	}
}

// query asks the peer for a session, unless a key exchange is under way, and schedules the
// next query.
func (l *link) query() {
	lines, err := l.conv.Start()
	if err != nil {
		l.end(err, internalError)
		return
	}
	l.sendLines(lines)
	l.queryAt = l.now.Add(l.queryGap)
	l.queryGap = min(2*l.queryGap, max(maxQuery, l.queryGap))
	if l.cfg.Queries == 0 {
		return
	}
	l.queryGap = max(l.queryGap, heardQuery)
	if len(lines) > 0 && wire.Classify(lines[0]) == wire.KindQuery {
		l.queries++
	}
	if l.queries >= l.cfg.Queries {
		l.queryAt, l.queryGap = l.now.Add(quietFor), 2*quietFor
	}
}

// watchDepartures tells the Conversation when the transport has accepted the lines for which
// it awaits an answer. Until then it makes no sense to conclude that the peer ignores them.
func (l *link) watchDepartures() {
	if !l.conv.Undeparted() {
		l.departMark = 0
		return
	}
	if l.departMark == 0 {
		l.departMark = l.produced
	}
	if !l.isWritten(l.departMark) {
		return
	}
	l.conv.Departed()
	l.departMark = 0
	if !l.queryAt.IsZero() {
		l.queryAt = l.now.Add(l.queryGap / 2) // what it was before it was doubled
	}
}

// heardInClear postpones the next query when the peer has said something.
func (l *link) heardInClear(line []byte, events []otr.Event) {
	if l.cfg.Queries > 0 && l.queries >= l.cfg.Queries && !echoes(events) {
		// The peer is there now, but has not answered yet: ask again later.
		l.queries, l.queryGap = 0, heardQuery
		l.queryAt = l.now.Add(heardQuery)
	}
	if l.queryAt.IsZero() || wire.Classify(line) == wire.KindPlain {
		return
	}
	if echoes(events) {
		return
	}
	l.queryGap = max(l.queryGap, heardQuery, queryTrips*l.conv.RoundTrip())
	l.queryAt = l.now.Add(l.queryGap)
}

// echoes reports whether the line was an echo of our own.
func echoes(events []otr.Event) bool {
	return slices.ContainsFunc(events, func(e otr.Event) bool {
		_, ok := e.(otr.Echo)
		return ok
	})
}

// watchExchange holds data back while a key exchange of ours is in a state in which data
// could be lost, because the peer may change keys before we do. This ends when we have
// changed keys too (see becameSecure), or when the Conversation, which restarts a stalled
// exchange, gives up.
func (l *link) watchExchange() {
	if l.phase != running || !l.secure {
		return
	}
	switch exchanging := l.conv.Exchanging(); {
	case l.hold == unheld && exchanging:
		l.hold = held
		l.exchangeBy = after(l.now, l.cfg.Timeout)
	case l.hold != unheld && !exchanging:
		l.hold, l.exchangeBy = unheld, time.Time{}
	}
}

// waitedLong lets data move again when a key exchange has taken too long. The peer does not
// want new keys; perhaps it still has the old ones. While the peer writes, its answer may be
// in a queue behind what it writes, and data waits until the Conversation gives up.
func (l *link) waitedLong() {
	heard := l.heard
	if at := l.conv.Heard(); at.After(heard) {
		heard = at // a fragment
	}
	if by := after(heard, l.cfg.Timeout); l.now.Before(by) {
		l.exchangeBy = by
		return
	}
	l.hold, l.exchangeBy = gaveUp, time.Time{}
}

// canSend reports whether a data message sent now would reach the peer.
func (l *link) canSend() bool {
	return l.secure && l.hold != held && l.conv.State() == otr.StateEncrypted
}

// report passes an event to Config.Event.
func (l *link) report(what fmt.Stringer) { l.reporter.report(l.now, l.sessionID, what) }
