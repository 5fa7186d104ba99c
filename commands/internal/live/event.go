package live

import (
	"errors"
	"fmt"
	"os"
	"time"

	"otrpipe/commands/internal/events"
	"otrpipe/commands/internal/exit"
	"otrpipe/commands/internal/guesses"
	"otrpipe/commands/internal/options"
	"otrpipe/commands/internal/terminal"
	"otrpipe/otr"
	"otrpipe/otr/stream"
)

// clocksHint is the hint for a client profile that was expired when it arrived.
const clocksHint = "compare the date and the time of both machines; more than a week of difference is too much for version 4"

// event logs an event, tells the user, and acts on it. It is the stream's Event.
func (s *Session) event(e stream.Event) {
	switch what := e.What.(type) {
	case otr.Secure:
		s.stepped(e.Time)
		s.secured(e, what)
		if !s.refusal { // otherwise who waits for the key exchange learns that the session has ended
			finishAll(&s.waiters.secure, e.Session)
		}
	case stream.Trusted:
		s.trustedNow(e.Session)
	case stream.Told:
		s.told(e, what)
	case stream.Refused:
		s.strangerRefused(what)
	case stream.OurKeyRefused:
		s.ourKeyRefused = true // the end of the session or of the stream follows
	case stream.Downgraded:
		s.downgraded(e, what)
	case otr.PeerEnded:
		s.peerEnded(e)
	case otr.Ended:
		s.endedHere(what)
	case otr.SMPAsked, otr.SMPSucceeded, otr.SMPFailed, otr.SMPCrossed, otr.SMPAborted:
		s.smpEvent(e)
	case otr.ExtraKeyReceived:
		s.keepExtraKey(e.Session, what)
		s.log(e, events.Record{Event: events.ExtraKey, Use: &what.Use, Data: events.Hex(what.Data)})
		s.Note("%s will use the extra symmetric key for use %d; otrpipe extra-key --received shows it", s.peerName(), what.Use)
	case stream.StreamEnded:
		s.streamEnded(e, what)
	case stream.Draining:
		s.tellDraining(what.Bytes)
	case stream.NoSign:
		s.Note("everything was sent; waiting up to %v for a sign of life from %s%s", rounded(what.Wait), s.peerName(), s.waysOut())
	case stream.OtherMode:
		s.Warn("%s runs mode stream; the session is ended", s.peerName())
	case stream.Lost, stream.Late, stream.Undelivered, stream.Unacknowledged, stream.Delivered, stream.Unsent, stream.Unwritten:
		s.textsMoved(e)
	case stream.Text:
		s.Warn("%s wrote %s of text%s, which mode stream has no place for", s.peerName(), bytesOf(int64(len(what.Text))), times(e.Count))
		s.Advise("with another OTR client use --mode lines")
	case otr.ExchangeBegun, otr.Restarted, otr.OtherKey, otr.SecondClient, otr.ProfileExpired:
		s.exchangeEvent(e)
	default:
		s.dropped(e)
	}
	s.publish()
	s.advanceSMP(e.What) // before the outcome is told, so that its effects are visible then
}

// smpEvent handles an event of SMP.
func (s *Session) smpEvent(e stream.Event) {
	s.stepped(e.Time)
	switch what := e.What.(type) {
	case otr.SMPAsked:
		s.smpAsked(e, what)
	case otr.SMPSucceeded:
		s.endGate(guesses.Succeeded)
		s.smpSucceeded(e)
	case otr.SMPFailed:
		s.endGate(guesses.Failed)
		s.smpFailed(e, what)
	case otr.SMPCrossed:
		// Both runs are over, and one end starts again.
		s.smp.crossed = s.waiters.smp != nil
	case otr.SMPAborted:
		s.smpAborted(e)
	}
}

// exchangeEvent handles an event of a key exchange that has not led to a session yet.
func (s *Session) exchangeEvent(e stream.Event) {
	switch what := e.What.(type) {
	case otr.ExchangeBegun:
		s.speaks4 = s.speaks4 || what.Version == 4
		s.Detail("%v", what)
	case otr.Restarted:
		s.Note("%v", what)
	case otr.OtherKey:
		s.log(e, events.Record{Event: events.OtherKey, Peer: &events.Peer{
			Version: what.Version, Fingerprint: what.Fingerprint.Hex(), Instance: events.Instance(what.Instance),
		}})
		s.Warn("another client asked for a session and was refused; this session goes on; the other one's OTRv%d key: %v", what.Version, what.Fingerprint)
		s.Advise("if that is another device of %s: contacts add takes its key for the next session", s.peerName())
	case otr.SecondClient:
		s.log(e, events.Record{Event: events.SecondClient, Peer: &events.Peer{Version: what.Version, Instance: events.Instance(what.Instance)}})
		s.Note("a second client of %s asked for a session; this one goes on with the first", s.peerName())
	case otr.ProfileExpired:
		s.expired = &what
		s.Warn("%v", what)
		s.Advise(clocksHint)
	}
}

// dropped reports input that was not part of the session.
func (s *Session) dropped(e stream.Event) {
	switch what := e.What.(type) {
	case otr.Echo:
		s.echoed = true
		s.Detail("%v%s", what, times(e.Count))
	case stream.Unencrypted:
		s.inClear = true
		n := int64(what.Bytes)
		s.log(e, events.Record{Event: events.Unencrypted, Bytes: &n})
		if s.cfg.InClear != nil {
			s.cfg.InClear(what, e.Count)
			return
		}
		s.Warn("%s came unencrypted and %s dropped%s", bytesOf(n), wasOrWere(n), times(e.Count))
	case otr.Unreadable:
		s.log(e, events.Record{Event: events.Unreadable, Reason: what.Reason.Error()})
		s.Warn("a message that cannot be read was dropped%s: %v", times(e.Count), exit.Plain(what.Reason))
	case otr.Malformed:
		s.log(e, events.Record{Event: events.Unreadable, Reason: what.Reason.Error()})
		if errors.Is(what.Reason, otr.ErrOffline) {
			s.offline = true
			s.Warn("a message to somebody who is away was dropped%s: no live session can read it", times(e.Count))
			return
		}
		s.Warn("a malformed message was dropped%s: %v", times(e.Count), exit.Plain(what.Reason))
		if errors.Is(what.Reason, otr.ErrAuthentication) && s.peer == nil && !s.advised {
			s.advised = true
			s.Advise("%s", s.accountsHint())
		}
	case stream.LineTooLong:
		s.log(e, events.Record{Event: events.Unreadable, Bytes: &what.Bytes, Reason: "the line is too long"})
		s.Warn("a line of %s was dropped%s: that is too long", bytesOf(what.Bytes), times(e.Count))
	case otr.PeerError:
		s.log(e, events.Record{Event: events.PeerError, Text: &what.Text})
		s.Warn("the program at %s reports an error%s: %s", s.endName(), times(e.Count), errorText(what))
		if what.Expired {
			s.clocks = what.Text
			s.Advise(clocksHint)
		}
	case otr.Queried:
		s.queried(what)
	default:
		s.Detail("%v%s", what, times(e.Count))
	}
}

// errorText returns an error message of the peer, with its code in words.
func errorText(e otr.PeerError) string {
	if e.Meaning() == "" {
		return e.Text
	}
	return e.Meaning() + " (" + e.Text + ")"
}

// textsMoved handles events about the delivery of messages.
func (s *Session) textsMoved(e stream.Event) {
	switch what := e.What.(type) {
	case stream.Lost:
		n := int(what.Texts)
		s.log(stream.Event{Time: e.Time}, events.Record{Event: events.Lost, Direction: "received", Count: n})
		s.Warn("%s of %s got lost on the way", terminal.Count(n, "message"), s.peerName())
	case stream.Late:
		n := int(what.Texts)
		s.log(stream.Event{Time: e.Time}, events.Record{Event: events.Late, Count: n})
		s.Warn("%s of %s came late, after others that were sent later", terminal.Count(n, "message"), s.peerName())
	case stream.Undelivered:
		n := int(what.Texts)
		s.log(stream.Event{Time: e.Time}, events.Record{Event: events.Lost, Direction: "sent", Count: n})
		s.settled(what.First, what.Texts, false)
		how := "did not reach "
		if what.Perhaps {
			how = "may not have reached "
		}
		s.aboutTexts(s.Warn, how+s.peerName(), what.First, what.Texts)
	case stream.Unacknowledged:
		s.aboutTexts(s.Warn, "not acknowledged yet by "+s.peerName(), what.First, what.Texts)
	case stream.Delivered:
		s.acknowledged = true
		s.settled(what.First, what.Texts, true)
		if what.AfterAll {
			s.aboutTexts(s.Note, "reached "+s.peerName()+" after all", what.First, what.Texts)
		}
	case stream.Unwritten:
		if s.options.Stay { // otherwise the outcome says so
			s.Warn("%s", s.unwrittenText())
		}
	case stream.Unsent:
		s.settled(what.First, int64(what.Texts), false)
		s.aboutTexts(s.Warn, "not sent, because the session had ended", what.First, int64(what.Texts))
	}
}

// settled passes the fate of texts on to a person's terminal.
func (s *Session) settled(first, n int64, arrived bool) {
	if s.cfg.Settled != nil {
		s.cfg.Settled(first, n, arrived)
	}
}

// aboutTexts reports the fate of our messages: to a person, which ones; to others, how many.
func (s *Session) aboutTexts(tell func(format string, a ...any), what string, first, n int64) {
	if s.cfg.SentTexts != nil {
		if texts := s.cfg.SentTexts(first, n); len(texts) == int(n) {
			for _, text := range texts {
				tell("%s: %s", what, text)
			}
			return
		}
	}
	tell("%s: %s", what, terminal.Count(int(n), "message"))
}

// queried handles a query of the peer.
func (s *Session) queried(what otr.Queried) {
	if what.Common != 0 {
		s.Detail("%v", what)
		return
	}
	offers := what.Offered.String()
	if s.offers != offers { // a peer that waits for a session repeats its query
		s.Warn("%s asks for versions of OTR that are not allowed here: %v", s.endName(), what.Offered)
	}
	s.offers, s.offered = offers, what.Offered
}

// streamEnded handles the end of one direction.
func (s *Session) streamEnded(e stream.Event, what stream.StreamEnded) {
	direction := "sent"
	if !what.Sent {
		direction = "received"
		s.complete = true
	}
	s.log(e, events.Record{Event: events.StreamEnded, Direction: direction, Bytes: &what.Bytes})
	s.Detail("all %s have been %s", bytesOf(what.Bytes), direction)
	s.halves.end(what)
	if terminal.Is(s.Messages.File()) && !s.setup.Served && s.bothWays(what) {
		time.AfterFunc(notice, s.tellHalfEnded)
	}
}

// bothWays reports whether the end of a direction tells a person anything new. It does not if
// either end was never meant to send.
func (s *Session) bothWays(what stream.StreamEnded) bool {
	if what.Sent {
		return what.Bytes > 0
	}
	return !s.options.SendOnly
}

// peerEnded handles the end of a session by the peer.
func (s *Session) peerEnded(e stream.Event) {
	s.setUntrusted()
	record := events.Record{Event: events.PeerEnded}
	if s.ourKeyRefused {
		record.Reason = ourKeyRefused
	}
	s.log(e, record)
	switch {
	case s.ourKeyRefused && s.options.Stay:
		s.Warn("%s refuses our key", s.peerName())
		s.Advise("%s", s.ourKeyHint())
	case s.ourKeyRefused: // the outcome says so
	case s.options.Mode == options.ModeLines:
		s.Note("%s ended the session", s.peerName())
	}
}

// ourKeyRefused is the reason of a peer_ended event if the peer refuses our key.
const ourKeyRefused = "our key was refused"

// endedHere handles the end of a session that we ended, or that had the same keys for too long.
func (s *Session) endedHere(e otr.Ended) {
	lapsed := e.Expired && s.options.Mode == options.ModeLines // and can begin again
	if !s.options.Stay && !lapsed {
		s.Detail("%v", e)
		return
	}
	s.setUntrusted()
	if e.Expired {
		s.Note("the session with %s ended: its keys had not changed for %v", s.peerName(), s.options.Expire)
	}
}

// log writes an event of the stream to --events.
func (s *Session) log(e stream.Event, out events.Record) {
	if e.Count > 1 {
		out.Count = e.Count
	}
	for _, log := range s.logs {
		log.Write(e.Time, out)
	}
}

// logNow writes an event of our own to --events.
func (s *Session) logNow(out events.Record) {
	for _, log := range s.logs {
		log.Write(time.Now(), out)
	}
}

// logStarted logs, once, that the session has begun.
func (s *Session) logStarted() {
	if s.started {
		return
	}
	s.started = true
	s.logNow(events.Record{Event: events.Started, Identity: s.cfg.Name.Identity, Mode: s.options.Mode, PID: os.Getpid()})
}

func (s *Session) logEnded(err error) {
	code, message := exit.OK, ""
	if err != nil {
		e := exit.As(err)
		code = e.Code
		if !e.Silent {
			message = err.Error()
		}
	}
	s.logNow(events.Record{Event: events.Ended, Code: &code, Message: message})
}

// times returns words for how often something happened that is reported only once.
func times(n int) string {
	if n <= 1 {
		return ""
	}
	return fmt.Sprintf(" (%d times)", n)
}

func bytesOf(n int64) string { return terminal.Count(int(n), "byte") }

func wasOrWere(n int64) string {
	if n == 1 {
		return "was"
	}
	return "were"
}
