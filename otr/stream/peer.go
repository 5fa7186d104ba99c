package stream

import (
	"errors"
	"fmt"
	"time"

	"otrpipe/otr"
	"otrpipe/otr/keys"
	"otrpipe/otr/wire"
)

// typeVouch is the type of the TLV that carries the fingerprint of the sender's version 4 key
// inside a version 3 session. Empty: the sender has no such key, or does not want to use it.
const typeVouch = 0x6F13

// vouchWait is how long payload waits for the peer to tell its version 4 key, and then for
// the version 4 session. An otrpipe does both at once, unless its own checks are still
// waiting, perhaps for a person.
const vouchWait = 2 * time.Second

// A SessionID names a session with one peer, from the key exchange that begins it to its end.
// A further key exchange between the same two keys does not change it. It is comparable; the
// zero value names no session. Values from different Streams or Lines are unrelated.
type SessionID struct{ n uint64 }

// Session returns the current session whose peer has passed every check; false: there is
// none.
func (l *link) Session() (SessionID, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.current, l.current != SessionID{}
}

// setCurrent sets the session that accepts texts and operations.
func (l *link) setCurrent(id SessionID) {
	l.mu.Lock()
	l.current = id
	l.mu.Unlock()
}

// newSession gives a new session its id.
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

// judge returns an error if the peer of a new session is to be rejected. The link belongs to
// the first key that has passed every check. Another key is accepted only if Config allows
// more keys of the same contact and Verify accepts it, or if the first key vouched for it. If
// a comparison of secrets was asked for, only the key that passed it is accepted, because
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

// pin makes the link belong to the key of the session.
func (l *link) pin() {
	l.pinned, l.isPinned = l.session.Fingerprint, true
	if l.gate.state == gatePassed {
		l.gate.passedBy = l.pinned // the same key, or one that it vouched for
	}
}

// refusePeer handles the rejection of a session's peer. If the key is not the one that the
// link belongs to, and the mode waits for another session, only this session ends: the first
// key may come back.
func (l *link) refusePeer(e otr.Secure, err error) {
	err = fmt.Errorf("%w: %w", ErrRefused, err)
	if l.isPinned && e.Fingerprint != l.pinned && l.mode.waits() {
		l.closed()
		l.report(Refused{Session: e.Session, Err: err})
		lines, err := l.conv.EndWith(l.mode.farewell(err, keyRefused)...)
		if err != nil {
			l.end(err, internalError)
			return
		}
		l.sendLines(lines)
		return
	}
	l.report(e)
	l.secure = false // the stranger is told nothing of an earlier session
	l.end(err, keyRefused)
}

// heardOffer compares the versions that the peer says it offered with ours. An attacker who
// removes versions from queries is thereby detected.
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

// offerByte returns our offer as HELLO and the mark carry it: bit v stands for version v.
func (l *link) offerByte() byte { return byte(l.offer) }

// A vouching is the state of two ends that have met in version 3 and tell each other their
// version 4 keys. It belongs to the owner, and to one session.
//
// A fingerprint told inside an authenticated session is as deniable as every message there:
// no signature is made that could prove anything to a third party. The fingerprint comes from
// the peer of the session, but does not show that the peer holds that key. Only a version 4
// session with that key shows it.
type vouching struct {
	owed   bool             // we have to tell ours
	told   bool             // we have told ours
	heard  bool             // the peer's record has come
	theirs keys.Fingerprint // zero: the peer has none, or Config.Told did not accept it
	agreed bool             // both have told one: the peer may now use it
	by     time.Time        // payload waits until then; zero: it does not wait
}

// expects reports whether s is a session with the key that the peer has told.
func (v *vouching) expects(s otr.Session) bool {
	return v.agreed && s.Version == 4 && s.Fingerprint == v.theirs
}

// beginVouching runs after the last check of a session's peer. An end without a version 4 key
// says so only to a peer that has told its own, because that peer may be waiting.
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

// tell sends the mark and our version 4 key when they are due.
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

// mark sends the mark of an otrpipe, once per session.
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

// heardVouch handles the peer's version 4 key. Only the first one of a session counts.
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

// agree runs when both ends have told their keys: from now on the peer may use its version 4
// key. If no payload has moved yet, the ends switch to version 4 at once.
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

// vouchLate runs when payload has waited long enough for the peer's key.
func (l *link) vouchLate() {
	l.vouch.by = time.Time{}
	l.moveOn()
}

// moveOn releases payload that has waited for the peer's version 4 key.
func (l *link) moveOn() {
	if l.isTrusted {
		l.mode.trusted()
	}
}

// waits prepares Lines for another session if Config.Stay is set, and reports whether it is.
func (l *Lines) waits() bool {
	if !l.cfg.Stay || l.quits {
		return false
	}
	l.settleTexts()
	l.takeNoMore()
	l.closing, l.wantsEnd, l.flushing = closing{}, false, false
	return true
}

// untouched reports whether no text has moved yet.
func (l *Lines) untouched() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.stats.SentMessages == 0 && l.stats.ReceivedMessages == 0
}

// marks: only the mark distinguishes an otrpipe from other clients.
func (l *Lines) marks() bool { return true }

// marks: HELLO serves as the mark.
func (s *Stream) marks() bool { return false }

// waits: a stream has only one session.
func (s *Stream) waits() bool { return false }

// untouched reports whether no payload has moved yet.
func (s *Stream) untouched() bool {
	return s.sent == 0 && s.received == 0 && !s.endSent && !s.endReceived
}
