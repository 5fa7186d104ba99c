package stream

import (
	"fmt"
	"slices"
	"time"

	"otrpipe/otr"
	"otrpipe/otr/wire"
)

const (
	// firstQuery is when the query is repeated first; each time after that it is
	// after twice as long, up to maxQuery. A peer may come up after us, and a
	// transport may lose what nobody reads yet.
	firstQuery = time.Second
	maxQuery   = time.Minute
	// heardQuery is the least time between what the peer said last and another
	// query: its answer may be on the way in several lines, of which some clients
	// send one in five or six seconds, and a query in the middle of it would begin
	// a second exchange.
	heardQuery = 15 * time.Second
	// quietFor is how long a peer that has been asked often enough is left alone, unless
	// it says something.
	quietFor = 24 * time.Hour
	// queryTrips is how many times as long as the peer's answers take that is at
	// least.
	queryTrips = 4
)

// A hold says whether data waits for a key exchange.
type hold int

const (
	unheld hold = iota
	held
	gaveUp // data no longer waits, until another exchange has succeeded
)

// becameSecure judges the peer of a new session.
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

// trust says that every check of the session's peer has passed.
func (l *link) trust() {
	if l.cfg.Admit != nil {
		if err := l.cfg.Admit(l.session); err != nil {
			l.end(fmt.Errorf("%w: %w", ErrRefused, err), "key refused")
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

// happened handles an event that is not Secure; later ones came with it.
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
		// A run that ends with its session, before its outcome was shown, begins anew
		// with the next.
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

// open says that payload may move.
func (l *link) open() {
	l.readyBy = time.Time{}
	if !l.opened {
		l.opened = true
		close(l.ready)
	}
}

// closed says that the session is over and another may come.
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

// query asks the peer for a session, unless a key exchange is under way, and
// arranges the next time.
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

// watchDepartures tells the Conversation when the transport has taken the lines
// that it waits for the answer to. Until then nobody can have ignored them.
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

// heardInClear puts the next query off when the peer has said something.
func (l *link) heardInClear(line []byte, events []otr.Event) {
	if l.cfg.Queries > 0 && l.queries >= l.cfg.Queries && !echoes(events) {
		// The peer is there now, and does not answer yet: it is asked again, later.
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

// echoes reports whether what came was our own.
func echoes(events []otr.Event) bool {
	return slices.ContainsFunc(events, func(e otr.Event) bool {
		_, ok := e.(otr.Echo)
		return ok
	})
}

// watchExchange begins to hold data back when a key exchange of ours is where
// data sent now could be lost: the peer may change keys before we can. That is
// over when we have changed too, see becameSecure, or when the Conversation, which
// moves an exchange that stands still, has given it up.
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

// waitedLong follows the end of the time that data waits for a key exchange at
// most. The peer wants no other keys; perhaps it still has the old ones.
func (l *link) waitedLong() {
	l.hold, l.exchangeBy = gaveUp, time.Time{}
}

// canSend says whether a data message would reach the peer now.
func (l *link) canSend() bool {
	return l.secure && l.hold != held && l.conv.State() == otr.StateEncrypted
}

// report tells an event.
func (l *link) report(what fmt.Stringer) { l.reporter.report(l.now, l.sessionID, what) }
