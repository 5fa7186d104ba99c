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
	// after twice as long. A peer may come up after us, and a transport may lose
	// what nobody reads yet.
	firstQuery = time.Second
	// heardQuery is the least time between what the peer said last and another
	// query. A second exchange must not begin while the first is under way on a
	// slow line.
	heardQuery = 4 * time.Second
	// exchangeRetry is how long data is held back for the answer to our Reveal
	// Signature before we begin another exchange; each time after that it is
	// twice as long.
	exchangeRetry = 10 * time.Second
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
	l.queryAt = time.Time{}
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

// query sends a query and arranges the next.
func (l *link) query() {
	l.sendLines(l.conv.Query())
	l.queryAt = l.now.Add(l.queryGap)
	l.queryGap *= 2
}

// heardInClear puts the next query off when the peer has said something.
func (l *link) heardInClear(line []byte, events []otr.Event) {
	if l.queryAt.IsZero() || wire.Classify(line) == wire.KindPlain {
		return
	}
	for _, e := range events {
		if _, ok := e.(otr.Echo); ok {
			return
		}
	}
	l.queryGap = max(l.queryGap, heardQuery)
	l.queryAt = l.now.Add(l.queryGap)
}

// watchExchange begins to hold data back when a key exchange of ours is where
// data sent now could be lost: the peer may change keys before we can. That is
// over when we have changed too; see becameSecure.
func (l *link) watchExchange() {
	if l.hold == unheld && l.phase == running && l.secure && l.conv.Exchanging() {
		l.hold = held
		l.heldSince = l.now
		l.exchangeGap = exchangeRetry
		l.exchangeBy = l.now.Add(l.exchangeGap)
	}
}

// retryExchange begins another key exchange, because the answer to the last one
// seems to be lost. Whether the peer has changed keys nobody knows, and another
// exchange settles it: what either end sent under new keys that the other never
// got was not payload, since that waits for a HELLO under the same keys. On a
// slow line the answer may yet come, so the peer is given more time each turn.
func (l *link) retryExchange() {
	l.exchangeGap *= 2
	l.exchangeBy = l.now.Add(l.exchangeGap)
	if l.cfg.Timeout > 0 && l.now.Sub(l.heldSince) >= l.cfg.Timeout {
		// The peer wants no other keys; perhaps it still has the old ones.
		l.hold = gaveUp
		l.exchangeBy = time.Time{}
		return
	}
	lines, err := l.conv.Refresh()
	if err != nil {
		l.end(err, internalError)
		return
	}
	l.sendLines(lines)
}

// canSend says whether a data message would reach the peer now.
func (l *link) canSend() bool {
	return l.secure && l.hold != held && l.conv.State() == otr.StateEncrypted
}

// report tells an event.
func (l *link) report(what fmt.Stringer) { l.reporter.report(l.now, l.sessionID, what) }
