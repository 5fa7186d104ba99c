package stream

import (
	"errors"
	"fmt"
	"time"

	"otrpipe/otr"
	"otrpipe/otr/keys"
	"otrpipe/otr/wire"
)

// typeVouch is the type of the TLV by which an otrpipe tells, inside a session of
// version 3, the fingerprint of its key of version 4; empty: it has none, or does not
// want to use it.
const typeVouch = 0x6F13

// vouchWait is how long payload waits for the peer to tell its key of version 4, and then
// for the session of version 4. An otrpipe does both at once, unless its own checks
// still wait, for a person perhaps.
const vouchWait = 2 * time.Second

// A SessionID names a session with one peer, from the key exchange that begins it to its
// end. New keys between the same two keep it. It is comparable; the zero value names no
// session, and values of different Streams or Lines have nothing to do with each other.
type SessionID struct{ n uint64 }

// Session returns the session whose peer has passed every check; false: there is none now.
func (l *link) Session() (SessionID, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.current, l.current != SessionID{}
}

// setCurrent says which session may be written in.
func (l *link) setCurrent(id SessionID) {
	l.mu.Lock()
	l.current = id
	l.mu.Unlock()
}

// newSession gives a session its name.
func (l *link) newSession() {
	l.lastID++
	l.sessionID = SessionID{l.lastID}
	l.vouch = vouching{}
	l.marked, l.toldDowngrade = false, false
	l.mu.Lock()
	l.current = SessionID{}
	l.stats.FailedComparisons = 0
	l.mu.Unlock()
}

// judge says whether the peer of a new session is let in. A run belongs to the first
// key that has passed every check. Another one is let in only where Config allows more
// keys of the same contact, and Verify says that it is one; or if the first vouched
// for it. Where a comparison of secrets was asked for, the key that passed it stays:
// there is no second comparison.
func (l *link) judge(s otr.Session) error {
	if l.isPinned && s.Fingerprint != l.pinned && !l.vouch.expects(s) &&
		(!l.cfg.MoreKeys || l.gate.state == gatePassed) {
		return fmt.Errorf("%w: %v", ErrOtherKey, s.Fingerprint)
	}
	if l.cfg.Verify != nil {
		if err := l.cfg.Verify(s); err != nil {
			return err
		}
	}
	return l.mode.secured(s)
}

// pin makes the run belong to the key of the session.
func (l *link) pin() {
	l.pinned, l.isPinned = l.session.Fingerprint, true
	if l.gate.state == gatePassed {
		l.gate.passedBy = l.pinned // it is the same, or vouched for by it
	}
}

// refuse follows the refusal of a session's peer. Another key in the place of the one that
// the run belongs to ends only its own session if the mode waits for the next; the old
// one may come back.
func (l *link) refusePeer(e otr.Secure, err error) {
	err = fmt.Errorf("%w: %w", ErrRefused, err)
	if l.isPinned && e.Fingerprint != l.pinned && l.mode.waits() {
		l.closed()
		l.report(Refused{Session: e.Session, Err: err})
		lines, err := l.conv.End()
		if err != nil {
			l.end(err, internalError)
			return
		}
		l.sendLines(lines)
		return
	}
	l.report(e)
	l.end(err, "key refused")
}

// offered is what the peer says that it offered when the session was made. Somebody who
// takes versions out of queries on the way gets no better session refused in silence.
func (l *link) heardOffer(theirs wire.Versions) {
	l.marked = true
	common := 0
	for v := range 10 {
		if l.offer.Has(v) && theirs.Has(v) {
			common = v
		}
	}
	if common <= l.session.Version || l.toldDowngrade {
		return
	}
	l.toldDowngrade = true
	l.report(Downgraded{Session: l.session, Common: common})
	if l.cfg.RefuseDowngrade || l.cfg.SMP != nil {
		l.end(fmt.Errorf("%w: version %d, though both ends offered version %d", ErrDowngraded, l.session.Version, common), "downgraded")
	}
}

// offerByte is our offer as HELLO and the mark carry it: bit v stands for version v.
func (l *link) offerByte() byte { return byte(l.offer) }

// A vouching is how two ends that have met in version 3 tell each other their keys of
// version 4. All of it is the owner's, and of one session.
//
// What is told inside an authenticated session is as deniable as all that is said there:
// no signature is made, which would be a proof for strangers. It comes from the key of the
// session, but does not show that the peer has the key that it names. A session of version 4
// with that key does.
type vouching struct {
	owed   bool             // ours is to be told
	told   bool             // it has been
	heard  bool             // the peer's has come
	theirs keys.Fingerprint // zero: it has none to tell, or Config.Told does not take it
	agreed bool             // both have one: from now on the peer may come with it
	by     time.Time        // until then payload waits for it; zero: it does not
}

// expects says whether s is with the key that the peer has told.
func (v *vouching) expects(s otr.Session) bool {
	return v.agreed && s.Version == 4 && s.Fingerprint == v.theirs
}

// beginVouching follows the last check of a session's peer. An end that has no key of
// version 4 says so only to one that has told its own, and may be waiting.
func (l *link) beginVouching() {
	v := &l.vouch
	if l.session.Version != 3 || !l.isTrusted || v.owed || v.told {
		return
	}
	v.owed = v.heard || !l.conv.Fingerprint(4).IsZero()
	if v.owed && !v.heard {
		v.by = l.now.Add(vouchWait)
	}
}

// tell sends what the ends say to each other beside the payload.
func (l *link) tell() {
	if l.canSend() {
		l.mark()
	}
	if l.vouch.owed && l.marked && l.canSend() {
		l.vouch.owed, l.vouch.told = false, true
		l.say(wire.TLV{Type: typeVouch, Value: l.conv.Fingerprint(4).Bytes()})
		l.agree()
	}
}

// mark sends the mark of an otrpipe, once in a session.
func (l *link) mark() {
	if l.owesMark {
		l.owesMark = false
		l.say(wire.TLV{Type: typePlain, Value: []byte{l.offerByte()}})
	}
}

// say sends one record, in a message of its own.
func (l *link) say(t wire.TLV) {
	if err := l.seal(otr.Message{TLVs: []wire.TLV{t}, IgnoreUnreadable: true}); err != nil {
		l.end(err, internalError)
	}
}

var errVouch = errors.New("a fingerprint of version 4 that is none, or our own")

// heardVouch takes the key of version 4 that the peer tells. The first one of a session
// counts.
func (l *link) heardVouch(value []byte) {
	if l.session.Version != 3 || l.vouch.heard {
		return
	}
	l.vouch.heard = true
	if len(value) == 0 {
		l.vouch.by = time.Time{}
		l.moveOn()
		return
	}
	f, err := keys.FingerprintFromBytes(value)
	if err != nil || f.OTR() != 4 || f == l.conv.Fingerprint(4) {
		l.report(otr.Malformed{Reason: errVouch})
		l.vouch.by = time.Time{}
		l.moveOn()
		return
	}
	l.vouch.theirs = f
	l.beginVouching()
	l.agree()
}

// agree follows the last word of the two: the peer may come with its key of version 4. Where
// no payload has moved yet the ends go on in version 4 at once.
func (l *link) agree() {
	v := &l.vouch
	if v.agreed || !v.told || v.theirs.IsZero() || !l.isTrusted || l.conv.Fingerprint(4).IsZero() {
		return
	}
	if l.cfg.Told != nil {
		if err := l.cfg.Told(l.session, v.theirs); err != nil {
			v.theirs, v.by = keys.Fingerprint{}, time.Time{}
			l.moveOn()
			return
		}
	}
	v.agreed = true
	l.report(Told{Session: l.session, Fingerprint: v.theirs})
	if err := l.conv.AllowUpgrade(); err != nil {
		l.end(err, internalError)
		return
	}
	if !l.mode.untouched() {
		v.by = time.Time{}
		return
	}
	v.by = l.now.Add(vouchWait)
	if !l.session.FirstHalfBold {
		return // the other end begins
	}
	lines, err := l.conv.Upgrade()
	if err != nil {
		l.end(err, internalError)
		return
	}
	l.sendLines(lines)
	l.watchExchange()
}

// vouchLate follows the end of the time that payload waits for the peer's key.
func (l *link) vouchLate() {
	l.vouch.by = time.Time{}
	l.moveOn()
}

// moveOn lets payload move that has waited for the peer's key of version 4.
func (l *link) moveOn() {
	if l.isTrusted {
		l.mode.trusted()
	}
}

// waits makes Lines wait for another session when the peer's has ended, or was with a
// key that is refused, if it is to stay.
func (l *Lines) waits() bool {
	if !l.cfg.Stay || l.quits {
		return false
	}
	l.settleTexts()
	l.takeNoMore()
	l.closing, l.wantsEnd, l.flushing = closing{}, false, false
	return true
}

// untouched says that no text has moved yet.
func (l *Lines) untouched() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.stats.SentMessages == 0 && l.stats.ReceivedMessages == 0
}

// marks: the mark is what tells an otrpipe from another client.
func (l *Lines) marks() bool { return true }

// marks: HELLO says it.
func (s *Stream) marks() bool { return false }

// waits: a stream is with one peer.
func (s *Stream) waits() bool { return false }

// untouched says that no payload has moved yet.
func (s *Stream) untouched() bool {
	return s.sent == 0 && s.received == 0 && !s.endSent && !s.endReceived
}
