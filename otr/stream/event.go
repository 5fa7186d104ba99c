package stream

import (
	"fmt"
	"reflect"
	"time"

	"otrpipe/otr"
	"otrpipe/otr/keys"
)

// MaxClear is how many bytes of an unencrypted text an Unencrypted event contains: more than
// anyone reads of a text that anyone may have written.
const MaxClear = 4 << 10

// An Event reports something that happened.
type Event struct {
	Time time.Time
	// Session is the session in which it happened; zero: outside any session.
	Session SessionID
	// What is an otr.Event, or a Trusted, Refused, OurKeyRefused, Told, Downgraded,
	// StreamEnded, Text, LineTooLong, Unencrypted, Unsent, Lost, Late, Unacknowledged,
	// Undelivered, Delivered, Unwritten, NoSign, Draining or OtherMode. This package's
	// Unencrypted replaces otr.Unencrypted.
	What fmt.Stringer
	// Count is 1, or more when this event stands for a flood of events of one kind. Events
	// that affect trust are always reported, at once and in order.
	Count int
	// Flood marks an event that is one of a flood, so that a program need not show each of
	// them.
	Flood bool
}

type (
	// Trusted: the peer has passed every check that Config asks for: Verify, and SMP if it is
	// configured.
	Trusted struct {
		otr.Session
	}

	// Refused: a session with another key than the one that Lines belongs to was ended. Lines
	// waits for the first key to come back; see Config.Verify.
	Refused struct {
		Session otr.Session
		Err     error // an ErrRefused
	}

	// OurKeyRefused: the peer says that it refuses our key. It ends the session; Lines with
	// Config.Stay waits for another one.
	OurKeyRefused struct{}

	// Told: in a version 3 session that has passed all checks, the peer has told its version
	// 4 key. Only a Secure version 4 session with that key shows that the peer holds it.
	Told struct {
		Session     otr.Session
		Fingerprint keys.Fingerprint // of the version 4 key
	}

	// Downgraded: both ends offered a better version of OTR than the session has; see
	// Config.RefuseDowngrade.
	Downgraded struct {
		Session otr.Session
		Common  int // the best version that both ends offered
	}

	// StreamEnded: one direction of a Stream ended properly: the peer's END came, or ours was
	// acknowledged by a peer that has not stopped reading before.
	StreamEnded struct {
		Sent  bool  // ours; otherwise the peer's
		Bytes int64 // the total length of this direction
	}

	// Text: an authenticated text came where only records are expected, perhaps because the
	// peer uses an ordinary OTR client. It is not payload.
	Text struct {
		Text otr.Authenticated
	}

	// LineTooLong: a line that is longer than the longest message was dropped.
	LineTooLong struct {
		Bytes int64
	}

	// Lost: texts from the peer did not arrive. If one arrives later, a Late follows.
	Lost struct {
		Texts int64
	}

	// Late: texts from the peer arrived after texts that it had sent later.
	Late struct {
		Texts int64
	}

	// Unacknowledged: the peer, which acknowledges texts, has not acknowledged these texts of
	// ours within ten seconds, or longer on a slow line. First is the number that WriteText
	// returned for the first of them.
	Unacknowledged struct {
		First, Texts int64
	}

	// Undelivered: these texts of ours were lost. The peer says so, or, if Perhaps is set,
	// the session has ended without an acknowledgement.
	Undelivered struct {
		First, Texts int64
		Perhaps      bool
	}

	// Delivered: the peer has acknowledged these texts of ours. AfterAll is set if they were
	// reported as Unacknowledged or Undelivered before.
	Delivered struct {
		First, Texts int64
		AfterAll     bool
	}

	// Unwritten: the peer has lost texts of ours, though it may have acknowledged them: it
	// could not write what it had received.
	Unwritten struct{}

	// NoSign: our input has ended and everything was sent, but nothing has come from the peer in
	// this session. A message would show that the peer has the session, and whether it
	// acknowledges texts, so Lines waits for one, for at most Wait.
	NoSign struct {
		Wait time.Duration
	}

	// Unencrypted: an unencrypted text came, which anyone may have written. It is not
	// payload.
	Unencrypted struct {
		Bytes int                 // of the whole text, or of all texts that this event stands for
		Text  otr.Unauthenticated // the first MaxClear bytes of the latest text
	}

	// OtherMode: the peer of Lines runs a Stream, so Lines has ended the session.
	OtherMode struct{}

	// Unsent: texts that WriteText had accepted were dropped, because their session ended
	// before they could be sent; see Config.OneSession. First is the number that WriteText
	// returned for the first of them.
	Unsent struct {
		First int64
		Texts int
	}

	// Draining: at the end, this many bytes still wait for the transport; see Config.Drain.
	Draining struct {
		Bytes int64
	}
)

func (e Draining) String() string {
	return fmt.Sprintf("%d bytes have still to be sent", e.Bytes)
}

func (t Trusted) String() string { return "the peer is who it should be" }

func (e Refused) String() string {
	return fmt.Sprintf("another key is refused: %v", e.Session.Fingerprint)
}

func (OurKeyRefused) String() string { return "the peer refuses our key" }

func (e Told) String() string {
	return fmt.Sprintf("the peer says that its key of version 4 is %v", e.Fingerprint)
}

func (e Downgraded) String() string {
	return fmt.Sprintf("the session is of version %d, though both ends offered version %d", e.Session.Version, e.Common)
}

func (e StreamEnded) String() string {
	if e.Sent {
		return fmt.Sprintf("the peer has all %d bytes", e.Bytes)
	}
	return fmt.Sprintf("the peer's stream ended after %d bytes", e.Bytes)
}

func (e Text) String() string {
	return fmt.Sprintf("the peer wrote a text of %d bytes into the stream", len(e.Text))
}

func (e LineTooLong) String() string {
	return fmt.Sprintf("a line of %d bytes was dropped: it is too long", e.Bytes)
}

func (e Lost) String() string { return fmt.Sprintf("%d texts of the peer's were lost", e.Texts) }

func (e Late) String() string {
	return fmt.Sprintf("%d texts of the peer's came after later ones", e.Texts)
}

func (e Unacknowledged) String() string {
	return fmt.Sprintf("the peer has not acknowledged %d texts yet", e.Texts)
}

func (e Undelivered) String() string {
	return fmt.Sprintf("%d texts have not reached the peer", e.Texts)
}

func (e Delivered) String() string {
	return fmt.Sprintf("%d texts have reached the peer", e.Texts)
}

func (Unwritten) String() string { return "the peer could not write every text that it had received" }

func (e NoSign) String() string {
	return fmt.Sprintf("waiting for a sign of the peer, for at most %v", e.Wait)
}

func (e Unencrypted) String() string { return otr.Unencrypted{Bytes: e.Bytes}.String() }

func (OtherMode) String() string { return "the peer runs mode stream, not lines" }

func (e Unsent) String() string {
	return fmt.Sprintf("the session ended before %d texts could be sent", e.Texts)
}

// Events of one kind are reported at most floodLimit times in any floodTime; the rest are
// counted. Anyone on the line can cause them, and each costs the user's attention. Events
// that affect trust are always reported, but marked as a flood.
const (
	floodLimit = 10
	floodTime  = time.Second
)

// decides reports whether an event affects trust in the peer, or whether texts can be sent.
// Such events are neither summed up nor delayed, because their receiver would then act on an
// outdated state.
func decides(what fmt.Stringer) bool {
	switch what.(type) {
	case otr.Secure, Trusted, Refused, OurKeyRefused, Told, Downgraded, otr.PeerEnded, otr.Ended, Unsent,
		otr.SMPAsked, otr.SMPShown, otr.SMPSucceeded, otr.SMPFailed, otr.SMPAborted, otr.SMPCrossed,
		otr.ExtraKeyReceived:
		return true
	}
	return false
}

// A reporter reports events, and sums up those of a flood.
type reporter struct {
	tell  func(Event) // nil: nobody listens
	kinds map[reflect.Type]*flood
}

// A flood is a reporter's state for one kind of event.
type flood struct {
	told [floodLimit]time.Time // ring of the times of the latest reports
	at   int                   // index of the oldest of them
	kept Event                 // the latest unreported event; Count 0: none
}

// report reports what, or counts it.
func (r *reporter) report(now time.Time, session SessionID, what fmt.Stringer) {
	if r.tell == nil {
		return
	}
	kind := reflect.TypeOf(what)
	f := r.kinds[kind]
	if f == nil {
		if r.kinds == nil {
			r.kinds = make(map[reflect.Type]*flood)
		}
		f = new(flood)
		r.kinds[kind] = f
	}
	e := Event{Time: now, Session: session, What: what, Count: 1}
	if decides(what) {
		if e.Flood = now.Before(f.due()); !e.Flood {
			f.note(now)
		}
		r.tell(e)
		return
	}
	f.keep(e)
	if !now.Before(f.due()) {
		r.release(f, now)
	}
}

// due returns when the next event may be reported.
func (f *flood) due() time.Time {
	if f.told[f.at].IsZero() {
		return time.Time{}
	}
	return f.told[f.at].Add(floodTime)
}

// keep merges e into the waiting event. Bytes and texts are added up; for the rest, the
// latest event stands for all.
func (f *flood) keep(e Event) {
	if f.kept.Count > 0 {
		e.Count += f.kept.Count
		switch what := e.What.(type) {
		case Unencrypted:
			what.Bytes += f.kept.What.(Unencrypted).Bytes
			e.What = what
		case LineTooLong:
			what.Bytes += f.kept.What.(LineTooLong).Bytes
			e.What = what
		case Lost:
			what.Texts += f.kept.What.(Lost).Texts
			e.What = what
		case Late:
			what.Texts += f.kept.What.(Late).Texts
			e.What = what
		}
	}
	f.kept = e
}

func (r *reporter) release(f *flood, now time.Time) {
	e := f.kept
	f.kept = Event{}
	f.note(now)
	r.tell(e)
}

// note records that an event was reported.
func (f *flood) note(now time.Time) {
	f.told[f.at] = now
	f.at = (f.at + 1) % floodLimit
}

// next returns when tick has something to do; zero: never.
func (r *reporter) next() time.Time {
	var next time.Time
	for _, f := range r.kinds {
		if f.kept.Count > 0 {
			next = earlier(next, f.due())
		}
	}
	return next
}

// tick reports the waiting events that may be reported by now.
func (r *reporter) tick(now time.Time) {
	for _, f := range r.kinds {
		if f.kept.Count > 0 && !now.Before(f.due()) {
			r.release(f, now)
		}
	}
}

// flush reports all waiting events.
func (r *reporter) flush(now time.Time) {
	for _, f := range r.kinds {
		if f.kept.Count > 0 {
			r.release(f, now)
		}
	}
}

// earlier returns the earlier of two times, where zero means never.
func earlier(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}
