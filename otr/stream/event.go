package stream

import (
	"fmt"
	"reflect"
	"time"

	"otrpipe/otr"
	"otrpipe/otr/keys"
)

// MaxClear is how much of a text that came in clear an Unencrypted event has, in bytes: more
// than anybody reads of what nobody can vouch for.
const MaxClear = 4 << 10

// An Event is something that happened.
type Event struct {
	Time time.Time
	// Session is the one that it happened in; zero: in none.
	Session SessionID
	// What is an otr.Event, or a Trusted, Refused, Told, Downgraded, StreamEnded, Text,
	// LineTooLong, Unencrypted, Unsent, Lost, Late, Unacknowledged, Undelivered, Delivered or
	// OtherMode. An Unencrypted takes the place of otr's.
	What fmt.Stringer
	// Count is 1, or more when a flood of one kind is summed up in its latest. An
	// event that decides about trust always comes, at once and in its place.
	Count int
	// Flood says that it is one of a flood of such events: nobody needs to be shown
	// each of them.
	Flood bool
}

type (
	// Trusted says that every check of the peer that was asked for has passed:
	// Verify, and SMP if Config has it.
	Trusted struct {
		otr.Session
	}

	// Refused says that a session with another key came in the place of the one that
	// Lines belongs to, and was ended; Lines waits for the old one. See Config.Verify.
	Refused struct {
		Session otr.Session
		Err     error // an ErrRefused
	}

	// Told says that the peer, in a session of version 3 whose checks have passed, has
	// told its key of version 4. That it has that key shows only when a session of version
	// 4 is Secure with it.
	Told struct {
		Session     otr.Session
		Fingerprint keys.Fingerprint // of the key of version 4
	}

	// Downgraded says that both ends offered a better version of OTR than the session
	// has; see Config.RefuseDowngrade.
	Downgraded struct {
		Session otr.Session
		Common  int // the version that could have been spoken
	}

	// StreamEnded says that one direction of a Stream ended as it should: the
	// peer's END came, or ours was acknowledged.
	StreamEnded struct {
		Sent  bool  // ours; otherwise the peer's
		Bytes int64 // the direction's whole length
	}

	// Text says that an authenticated text came where only records are
	// expected: somebody writes to a Stream by hand. It is no payload.
	Text struct {
		Text otr.Authenticated
	}

	// LineTooLong says that a transport line longer than a message may be was
	// dropped.
	LineTooLong struct {
		Bytes int64
	}

	// Lost says that texts of the peer's did not arrive. Whether one did later, a
	// Late tells.
	Lost struct {
		Texts int64
	}

	// Late says that texts of the peer's arrived after others that it had sent later.
	Late struct {
		Texts int64
	}

	// Unacknowledged says that the peer, which acknowledges texts, has not
	// acknowledged these of ours within ten seconds. First is the number that
	// WriteText returned for the first of them.
	Unacknowledged struct {
		First, Texts int64
	}

	// Undelivered says that these texts of ours were lost: the peer says so, or, with
	// Perhaps, the session has ended without its acknowledgement.
	Undelivered struct {
		First, Texts int64
		Perhaps      bool
	}

	// Delivered says that the peer has acknowledged these texts of ours; with AfterAll,
	// texts that were told to be Unacknowledged or Undelivered.
	Delivered struct {
		First, Texts int64
		AfterAll     bool
	}

	// Unencrypted says that text came in clear: anyone may have written it. It is no payload.
	Unencrypted struct {
		Bytes int                 // of the whole text, or of all for which this event stands
		Text  otr.Unauthenticated // of the latest text, the first MaxClear bytes
	}

	// OtherMode says that Lines has met a peer that runs a Stream, and has ended the
	// session with it.
	OtherMode struct{}

	// Unsent says that texts which WriteMessage had taken were dropped, because
	// their session ended before they could be sent; see Config.OneSession. First is the
	// number that WriteText returned for the first of them.
	Unsent struct {
		First int64
		Texts int
	}

	// Draining says that the end waits for the transport, which has still to take so many
	// bytes; see Config.Drain.
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

func (e Unencrypted) String() string { return otr.Unencrypted{Bytes: e.Bytes}.String() }

func (OtherMode) String() string { return "the peer runs mode stream, not lines" }

func (e Unsent) String() string {
	return fmt.Sprintf("the session ended before %d texts could be sent", e.Texts)
}

// Events of one kind are told at most floodLimit times in any floodTime; the
// rest is counted. Anyone on the line can cause them, and each costs the
// user's attention. Events that decide about trust come all the same, marked.
const (
	floodLimit = 10
	floodTime  = time.Second
)

// decides says whether trust in the peer, or what may be said to it, hangs on an event.
// Such events are neither summed up nor put off: whoever follows them would take an old
// state for the present one.
func decides(what fmt.Stringer) bool {
	switch what.(type) {
	case otr.Secure, Trusted, Refused, Told, Downgraded, otr.PeerEnded, otr.Ended, Unsent,
		otr.SMPAsked, otr.SMPShown, otr.SMPSucceeded, otr.SMPFailed, otr.SMPAborted, otr.SMPCrossed,
		otr.ExtraKeyReceived:
		return true
	}
	return false
}

// A reporter tells events, those of a flood summed up.
type reporter struct {
	tell  func(Event) // nil: nobody listens
	kinds map[reflect.Type]*flood
}

// A flood is what a reporter knows of one kind of events.
type flood struct {
	told [floodLimit]time.Time // when the latest ones were told, a ring
	at   int                   // the oldest of them
	kept Event                 // the latest that was not told; Count 0: none
}

// report tells what, or counts it.
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

// due returns when the next event may be told.
func (f *flood) due() time.Time {
	if f.told[f.at].IsZero() {
		return time.Time{}
	}
	return f.told[f.at].Add(floodTime)
}

// keep adds e to what waits. Bytes and texts add up; otherwise the latest stands for all.
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

// note notes that an event was told.
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

// tick tells what may be told by now.
func (r *reporter) tick(now time.Time) {
	for _, f := range r.kinds {
		if f.kept.Count > 0 && !now.Before(f.due()) {
			r.release(f, now)
		}
	}
}

// flush tells everything that waits.
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
