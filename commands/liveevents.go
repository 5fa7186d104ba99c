package commands

import (
	"errors"
	"fmt"
	"os"
	"time"

	"otrpipe/commands/internal/control"
	"otrpipe/commands/internal/events"
	"otrpipe/commands/internal/exit"
	"otrpipe/commands/internal/guesses"
	"otrpipe/commands/internal/terminal"
	"otrpipe/commands/internal/trust"
	"otrpipe/otr"
	"otrpipe/otr/stream"
)

// verify decides about the key of a session's peer. Like event it runs in the
// goroutine that owns the conversation.
func (l *live) verify(s otr.Session) error {
	v := l.keeper.Meet(s, time.Now())
	p := l.describe(s, v.Standing)
	l.mu.Lock()
	// What the checks have said so far, they have said of one key.
	l.trusted = l.trusted && v.Err == nil && l.session.Fingerprint == s.Fingerprint
	l.met = l.keeper.Passed()
	l.peer, l.session = p, s
	l.refusal = v.Err != nil
	l.mu.Unlock()
	if v.Downgraded {
		l.logNow(events.Record{Event: events.Downgraded, Peer: p})
		if v.Err == nil {
			l.Warn("%s comes with OTR version %d, but is known to speak version 4", l.contactName(), s.Version)
		}
	}
	return v.Err
}

// admitPeer has the last word when every check has passed: the peer's key is put on file.
func (l *live) admitPeer(s otr.Session) error {
	standing, err := l.keeper.Trusted(s, time.Now())
	var refusal *exit.Error
	if errors.As(err, &refusal) {
		return refusal
	}
	l.remembered(standing, err)
	return nil
}

// vouched follows what the peer tells of its key of version 4, inside the session.
func (l *live) vouched(e stream.Event, what stream.Vouched) {
	standing, err := l.keeper.Vouched(what.Session, what.Fingerprint, e.Time)
	if err != nil {
		l.Warn("the OTRv4 key that %s tells is not taken: %v", l.contactName(), exit.Plain(err))
		return
	}
	p := l.describe(what.Session, standing)
	p.Version, p.Fingerprint = 4, what.Fingerprint.Hex()
	l.log(e, events.Record{Event: events.Vouched, Peer: p, Vouching: what.Session.Fingerprint.Hex()})
	if l.options.Contact != "" {
		l.Note("%s told its OTRv4 key in this session; it is now as trusted as the OTRv3 key", l.contactName())
	}
}

// strangerRefused follows a session with another key than the one that the run belongs
// to, which was ended at once.
func (l *live) strangerRefused(what stream.Refused) {
	l.setUntrusted()
	l.Warn("a session with another key was refused: %v", what.Session.Fingerprint)
	l.Advise("somebody may be in between; waiting for %s", l.contactName())
}

// describe is a session's peer as events and status show it.
func (l *live) describe(s otr.Session, standing trust.Standing) *events.Peer {
	p := &events.Peer{
		Version:     s.Version,
		Fingerprint: s.Fingerprint.Hex(),
		Trust:       string(standing),
		SSID:        fmt.Sprintf("%x", s.SSID),
		Instance:    events.Instance(s.PeerInstance),
	}
	if l.options.Contact != "" {
		p.Contact = &l.options.Contact
	}
	return p
}

// event writes down and tells what happens, and acts on it where it is ours to
// act.
func (l *live) event(e stream.Event) {
	switch what := e.What.(type) {
	case otr.Secure:
		l.secured(e, what)
	case stream.Trusted:
		l.trustedNow()
	case stream.Vouched:
		l.vouched(e, what)
	case stream.Refused:
		l.strangerRefused(what)
	case stream.Downgraded:
		l.mu.Lock()
		p := *l.peer
		l.mu.Unlock()
		l.log(e, events.Record{Event: events.Downgraded, Peer: &p})
		l.Warn("both ends offered OTR version %d, but the session is of version %d", what.Common, what.Session.Version)
		l.Advise("somebody in between may have taken version %d away", what.Common)
	case otr.PeerEnded:
		l.setUntrusted()
		l.log(e, events.Record{Event: events.PeerEnded})
		if l.options.Mode == modeLines {
			l.Note("%s ended the session", l.peerName())
		}
	case otr.Ended:
		l.endedHere(what)
	case otr.SMPAsked:
		l.smpAsked(e, what)
	case otr.SMPSucceeded:
		l.endGate(guesses.Succeeded)
		l.smpSucceeded(e)
	case otr.SMPFailed:
		l.endGate(guesses.Failed)
		proving := l.proving()
		l.smpEnded(nil)
		l.log(e, events.Record{Event: events.SMPFailed})
		if !proving { // or it is what we leave with
			l.smpFailed(what)
		}
	case otr.SMPCrossed:
		l.smpCrossed()
	case otr.SMPAborted:
		l.smpAborted(e)
	case otr.Echo:
		l.mu.Lock()
		l.echoed = true
		l.mu.Unlock()
		l.Detail("%v%s", what, times(e.Count))
	case otr.Unencrypted:
		l.mu.Lock()
		l.inClear = true
		l.mu.Unlock()
		n := int64(what.Bytes)
		l.log(e, events.Record{Event: events.Unencrypted, Bytes: &n})
		l.Warn("%s came unencrypted and %s dropped%s", bytesOf(n), wasOrWere(n), times(e.Count))
	case otr.Unreadable:
		l.log(e, events.Record{Event: events.Unreadable, Reason: what.Reason.Error()})
		l.Warn("a message that cannot be read was dropped%s: %v", times(e.Count), exit.Plain(what.Reason))
	case otr.Malformed:
		l.log(e, events.Record{Event: events.Unreadable, Reason: what.Reason.Error()})
		l.Warn("a message that makes no sense was dropped%s: %v", times(e.Count), exit.Plain(what.Reason))
	case stream.LineTooLong:
		l.log(e, events.Record{Event: events.Unreadable, Bytes: &what.Bytes, Reason: "the line is too long"})
		l.Warn("a line of %s was dropped%s: that is too long", bytesOf(what.Bytes), times(e.Count))
	case otr.PeerError:
		l.log(e, events.Record{Event: events.PeerError, Text: &what.Text})
		l.Warn("the peer's program reports an error%s: %s", times(e.Count), what.Text)
	case otr.ExtraKeyReceived:
		l.keepExtraKey(e.Session, what)
		l.log(e, events.Record{Event: events.ExtraKey, Use: &what.Use, Data: events.Hex(what.Data)})
		l.Note("%s will use the extra symmetric key for use %d; otrpipe extra-key --received shows it", l.peerName(), what.Use)
	case stream.StreamEnded:
		direction := "received"
		if what.Sent {
			direction = "sent"
		} else {
			l.mu.Lock()
			l.complete = true
			l.mu.Unlock()
		}
		l.log(e, events.Record{Event: events.StreamEnded, Direction: direction, Bytes: &what.Bytes})
		l.Detail("all %s have been %s", bytesOf(what.Bytes), direction)
	case stream.Lost:
		n := int(what.Texts)
		l.log(stream.Event{Time: e.Time}, events.Record{Event: events.Lost, Direction: "received", Count: n})
		l.Warn("%s of %s got lost on the way", count(n, "message"), l.peerName())
	case stream.Late:
		n := int(what.Texts)
		l.log(stream.Event{Time: e.Time}, events.Record{Event: events.Late, Count: n})
		l.Warn("%s of %s came late, after others that were sent later", count(n, "message"), l.peerName())
	case stream.Undelivered:
		n := int(what.Texts)
		l.log(stream.Event{Time: e.Time}, events.Record{Event: events.Lost, Direction: "sent", Count: n})
		l.aboutTexts(true, "did not reach "+l.peerName(), what.First, what.Texts)
	case stream.Unacknowledged:
		l.aboutTexts(true, "not acknowledged yet by "+l.peerName(), what.First, what.Texts)
	case stream.Delivered:
		l.aboutTexts(false, "reached "+l.peerName()+" after all", what.First, what.Texts)
	case stream.OtherMode:
		l.Warn("%s runs mode stream; the session is ended", l.peerName())
	case stream.Unsent:
		l.Warn("not sent, for the session had ended: %s", count(what.Texts, "message"))
	case stream.Text:
		l.Warn("the peer wrote %s of text%s, which mode stream has no place for", bytesOf(int64(len(what.Text))), times(e.Count))
		l.Advise("with another OTR client use --mode lines")
	case otr.Queried:
		if what.Common == 0 {
			l.mu.Lock()
			offers := what.Offered.String()
			told := l.offers == offers // who waits for a session asks again and again
			l.offers = offers
			l.mu.Unlock()
			if !told {
				l.Warn("the peer asks for versions of OTR that are not allowed here: %v", what.Offered)
			}
			return
		}
		l.Detail("%v", what)
	case otr.Restarted:
		l.Note("%v", what)
	default:
		l.Detail("%v%s", what, times(e.Count))
	}
	switch e.What.(type) {
	case otr.Event, stream.Trusted, stream.Refused:
		l.tell(e.What)
	}
	if person := l.atTerminal(); person != nil {
		person.showStanding()
	}
}

// endedHere follows the end of a session that we have ended, or that had the
// same keys for too long.
func (l *live) endedHere(e otr.Ended) {
	lapsed := e.Expired && l.options.Mode == modeLines // and comes back
	if !l.options.Stay && !lapsed {
		l.Detail("%v", e)
		return
	}
	l.setUntrusted()
	if e.Expired {
		l.Note("the session with %s ended: its keys had not changed for %v", l.peerName(), l.options.Expire)
	}
}

// aboutTexts tells what became of messages of ours: a person which ones, others how
// many.
func (l *live) aboutTexts(bad bool, what string, first, n int64) {
	say := l.Note
	if bad {
		say = l.Warn
	}
	if person := l.atTerminal(); person != nil {
		if texts := person.sentTexts(first, n); len(texts) == int(n) {
			for _, text := range texts {
				say("%s: %s", what, text)
			}
			return
		}
	}
	say("%s: %s", what, count(int(n), "message"))
}

// times says how often something happened that is told only once.
func times(n int) string {
	if n <= 1 {
		return ""
	}
	return fmt.Sprintf(" (%d times)", n)
}

func bytesOf(n int64) string {
	if n == 1 {
		return "1 byte"
	}
	return fmt.Sprintf("%d bytes", n)
}

func wasOrWere(n int64) string {
	if n == 1 {
		return "was"
	}
	return "were"
}

// secured tells whom a session is with.
func (l *live) secured(e stream.Event, s otr.Secure) {
	l.mu.Lock()
	p := *l.peer
	trusted := l.trusted
	refusal := l.refusal
	l.mu.Unlock()
	name := events.Secure
	if s.Refreshed {
		name = events.Refreshed
	}
	l.log(e, events.Record{Event: name, Peer: &p})
	if s.Refreshed {
		l.Detail("the keys are new; session id %s", p.SSID)
	}
	if refusal {
		return // the error says so, and nothing here may sound like a session with the contact
	}
	if trusted { // it has been told, but the peer's profile is a newer one
		l.remembered(l.keeper.Refreshed(s.Session, e.Time))
		return
	}
	switch p.Trust {
	case string(trust.Unverified):
		l.Note("secure with OTRv%d key %v", s.Version, s.Fingerprint)
		if l.options.SMP != nil {
			return // it is about to prove itself
		}
		l.Warn("nobody has checked whose key that is: no contact was named")
		l.Advise("--contact NAME remembers the key for the next time, --expect FINGERPRINT takes one key only")
	case string(trust.New):
		l.Note("secure with %s, OTRv%d key %v (%s)", l.contactName(), s.Version, s.Fingerprint, p.Trust)
	default:
		l.Note("secure with %s, OTRv%d (%s)", l.contactName(), s.Version, p.Trust)
		l.Detail("the key is %v", s.Fingerprint)
	}
	if p.Trust != string(trust.Verified) && p.Trust != string(trust.Unverified) && l.atTerminal() != nil {
		l.Advise("to verify whose key that is: /smp, or compare /fingerprint through another channel and then /trust")
	}
}

// contactName is what the one who should be the peer is called in messages.
func (l *live) contactName() string {
	if l.options.Contact != "" {
		return terminal.Visible(l.options.Contact)
	}
	return "the peer"
}

// peerName is what the peer is called in messages: by its contact's name only if
// every check that was asked for has passed.
func (l *live) peerName() string {
	l.mu.Lock()
	met := l.met
	l.mu.Unlock()
	if met {
		return l.contactName()
	}
	return "the peer"
}

// trustedNow follows the last check that was asked for: the key is remembered.
func (l *live) trustedNow() {
	l.mu.Lock()
	l.trusted, l.met = true, true
	l.state = control.StateEncrypted
	l.mu.Unlock()
}

// remembered follows putting the peer's key on file. A home that cannot be written
// to does not stop the stream: the peer has met what was asked, but the next time
// we will not know it, and the user must.
func (l *live) remembered(standing trust.Standing, err error) {
	if err != nil {
		l.Warn("the key of %s cannot be remembered: %v", l.contactName(), exit.Plain(err))
		return
	}
	l.mu.Lock()
	if l.peer != nil {
		l.peer.Trust = string(standing)
	}
	l.mu.Unlock()
}

func (l *live) setUntrusted() {
	l.mu.Lock()
	l.trusted = false
	l.smp.asked, l.smp.answered, l.smp.crossed = nil, false, false
	l.state = control.StateFinished
	if l.options.Stay {
		l.state = control.StateHandshake
	}
	l.mu.Unlock()
}

// log writes an event that the stream told to --events.
func (l *live) log(e stream.Event, out events.Record) {
	if e.Count > 1 {
		out.Count = e.Count
	}
	for _, log := range l.logs {
		log.Write(e.Time, out)
	}
}

// logNow writes an event of our own to --events.
func (l *live) logNow(out events.Record) {
	for _, log := range l.logs {
		log.Write(time.Now(), out)
	}
}

func (l *live) logStarted() {
	l.logNow(events.Record{Event: events.Started, Identity: l.name.Identity, Mode: l.options.Mode, PID: os.Getpid()})
}

func (l *live) logEnded(err error) {
	code, message := exit.OK, ""
	if err != nil {
		e := exit.As(err)
		code = e.Code
		if !e.Silent {
			message = err.Error()
		}
	}
	for _, log := range l.logs {
		log.Write(time.Now(), events.Record{Event: events.Ended, Code: &code, Message: message})
	}
}
