package live

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"otrpipe/commands/internal/control"
	"otrpipe/commands/internal/events"
	"otrpipe/commands/internal/exit"
	"otrpipe/commands/internal/terminal"
	"otrpipe/commands/internal/trust"
	"otrpipe/otr"
	"otrpipe/otr/keys"
	"otrpipe/otr/stream"
)

// verify decides about the key of a session's peer. It is the stream's Verify.
func (s *Session) verify(met otr.Session) error {
	defer s.publish()
	v := s.keeper.Meet(met, time.Now())
	p := s.describe(met, v.Standing, v.By)
	// The results of the checks so far apply to one key, and to the version 4 key that it
	// announced.
	s.trusted = s.trusted && s.keeper.Passed()
	s.peer, s.session, s.formerInstance = p, met, s.session.PeerInstance
	s.refusal = v.Err != nil
	if v.Downgraded {
		s.logNow(events.Record{Event: events.Downgraded, Peer: p})
		if v.Err == nil {
			s.Warn("%s comes with OTR version %d, but is known to speak version 4", s.contactName(), met.Version)
		}
	}
	return v.Err
}

// admit runs when every check has passed, and stores the peer's key. It is the stream's Admit.
func (s *Session) admit(met otr.Session) error {
	defer s.publish()
	standing, err := s.keeper.Trusted(met, time.Now())
	var refusal *exit.Error
	if errors.As(err, &refusal) {
		return refusal
	}
	if s.unannounced != nil {
		s.announce(*s.unannounced)
		s.unannounced = nil
	}
	s.remembered(met, standing, err)
	return nil
}

// keepTold stores the version 4 key that the peer has announced inside the session. It is the
// stream's Told.
func (s *Session) keepTold(in otr.Session, f keys.Fingerprint) error {
	err := s.keeper.Told(in, f)
	if err != nil {
		s.Warn("the OTRv4 key that %s tells is not taken: %v", s.contactName(), exit.Plain(err))
	}
	return err
}

// told handles the event that follows.
func (s *Session) told(e stream.Event, what stream.Told) {
	p := s.describe(what.Session, trust.Told, "")
	p.Version, p.Fingerprint = 4, what.Fingerprint.Hex()
	s.log(e, events.Record{Event: events.Told, Peer: p, Vouching: what.Session.Fingerprint.Hex()})
	s.Detail("%s told its OTRv4 key in this session: %v", s.contactName(), what.Fingerprint)
}

// vouched handles the proof that the peer has the version 4 key that was announced under
// vouching, a version 3 key.
func (s *Session) vouched(met otr.Session, vouching keys.Fingerprint, standing trust.Standing) {
	p := s.describe(met, standing, s.keeper.By())
	s.logNow(events.Record{Event: events.Vouched, Peer: p, Vouching: vouching.Hex()})
	if s.options.Contact != "" {
		s.Note("%s has shown that it has the OTRv4 key that it told; that is now as trusted as the OTRv3 key", s.contactName())
	}
}

// strangerRefused handles a session that was ended at once because its key is not the one that
// this run is bound to.
func (s *Session) strangerRefused(what stream.Refused) {
	s.setUntrusted()
	s.Warn("a session with another key was refused: %v", what.Session.Fingerprint)
	s.Advise("someone may be in the middle; waiting for %s", s.contactName())
}

// downgraded handles a session whose version of OTR is older than both ends offered.
func (s *Session) downgraded(e stream.Event, what stream.Downgraded) {
	p := *s.peer
	s.log(e, events.Record{Event: events.Downgraded, Peer: &p})
	s.Warn("both ends offered OTR version %d, but the session is of version %d", what.Common, what.Session.Version)
	s.Advise("someone in the middle may have removed version %d", what.Common)
}

// describe returns a session's peer in the form of events and status.
func (s *Session) describe(met otr.Session, standing trust.Standing, by trust.By) *events.Peer {
	p := &events.Peer{
		Version:     met.Version,
		Fingerprint: met.Fingerprint.Hex(),
		Trust:       string(standing),
		By:          string(by),
		SSID:        fmt.Sprintf("%x", met.SSID),
		Instance:    events.Instance(met.PeerInstance),
	}
	if s.options.Contact != "" {
		p.Contact = &s.options.Contact
	}
	return p
}

// refusedUnasked describes the peer of a session whose key the stream has refused without asking
// verify, because the run belongs to another key.
func (s *Session) refusedUnasked(met otr.Session) {
	standing := trust.Unverified
	if s.options.Contact != "" {
		standing = trust.Changed
	}
	s.peer, s.session = s.describe(met, standing, ""), met
	s.trusted, s.refusal = false, true
}

// secured tells the user who a new session is with.
func (s *Session) secured(e stream.Event, secure otr.Secure) {
	if secure.Fingerprint != s.session.Fingerprint {
		s.refusedUnasked(secure.Session)
	}
	p := *s.peer
	name := events.Secure
	if secure.Refreshed {
		name = events.Refreshed
	}
	s.log(e, events.Record{Event: name, Peer: &p})
	if secure.Refreshed {
		s.Detail("the keys are new; session id %s", p.SSID)
		if s.trusted && len(s.waiters.secure) == 0 {
			s.tellReplaced(secure.Session)
		}
	}
	if s.refusal {
		return // the error reports it, and no message may look as if there were a session with the contact
	}
	if s.trusted { // the user knows, but the peer's profile is newer
		standing, err := s.keeper.Refreshed(secure.Session, e.Time)
		s.remembered(secure.Session, standing, err)
		return
	}
	if secure.Version == 2 && (s.options.Policy.Allows(3) || s.options.Policy.Allows(4)) {
		s.Warn("the session is of OTR version 2: %s speaks nothing newer, or someone in the middle has altered the offer", s.contactName())
	}
	standing := trust.Standing(p.Trust)
	if s.comparesFirst() && standing != trust.Verified {
		if s.cfg.ByCode {
			s.Note("encrypted with OTRv%d; comparing the codes", secure.Version)
			s.Detail("the key is %v", secure.Fingerprint)
		} else {
			s.Note("secure with OTRv%d key %v", secure.Version, secure.Fingerprint)
		}
		s.noticeAnswer()
		return // the peer is about to prove itself and has no name until then
	}
	if s.comparesFirst() { // the key is verified already, and the comparison may take long
		s.announce(secure)
		return
	}
	s.unannounced = &secure
}

// announce tells the user that a new session is secure, with a key that has passed every check
// or is verified.
func (s *Session) announce(secure otr.Secure) {
	standing := trust.Standing(s.peer.Trust)
	switch standing {
	case trust.Unverified:
		s.Note("secure with OTRv%d key %v", secure.Version, secure.Fingerprint)
		s.Warn("the peer's key is unverified: no --contact was given")
		s.Advise("--contact NAME remembers the key for the next time, --expect FINGERPRINT takes one key only")
	case trust.New:
		s.Note("secure with %s (%s), OTRv%d key %v", s.contactName(), standing, secure.Version, secure.Fingerprint)
		if others := s.keeper.Namesakes(secure.Fingerprint); len(others) > 0 {
			s.Warn("this key is also on file for %s", terminal.Visible(strings.Join(others, ", ")))
			s.Advise("if it is not the key of %s: otrpipe contacts remove %s", s.contactName(), exit.ShellWord(s.options.Contact))
		}
	default:
		s.Note("secure with %s, OTRv%d (%s)", s.contactName(), secure.Version, standing)
		s.Detail("the key is %v", secure.Fingerprint)
	}
	if standing != trust.Verified && standing != trust.Unverified && s.cfg.AtTerminal {
		s.Advise("to verify whose key that is: /smp, or compare /fingerprint through another channel and then /trust")
	}
}

// tellReplaced tells a person that the peer has replaced a session that had not ended. It says
// nothing about a new key exchange of a client that acknowledges texts, where none can be in
// doubt.
func (s *Session) tellReplaced(now otr.Session) {
	if s.cfg.LastText == nil {
		return
	}
	text := s.cfg.LastText()
	if now.PeerInstance == s.formerInstance && text == "" {
		return
	}
	s.Note("%s has begun a new session without ending the last one; their program may have been restarted", s.contactName())
	if text != "" {
		s.Warn("your last message may be lost: %s", text)
	}
}

// trustedNow runs when the last required check has passed.
func (s *Session) trustedNow(session stream.SessionID) {
	s.trusted = true
	s.stepsOver()
	clear(s.options.SMP) // it has been compared, which happens once per connection
	s.state = control.StateEncrypted
	finishAll(&s.waiters.trusted, session)
}

// remembered runs after an attempt to store the peer's key, or that it was used again. A home
// that cannot be written to does not stop the stream, because the key is on file or has proved
// itself. But what was to be stored will be unknown next time, so the user is told.
func (s *Session) remembered(met otr.Session, standing trust.Standing, err error) {
	switch {
	case err == nil:
	case standing == trust.New:
		s.Warn("the key of %s cannot be remembered: %v", s.contactName(), exit.Plain(err))
		return
	default:
		s.Warn("what is on file about the key of %s cannot be updated: %v", s.contactName(), exit.Plain(err))
		return
	}
	s.setStanding(standing)
	if by := s.keeper.Vouching(); !by.IsZero() {
		s.vouched(met, by, standing)
	}
}

func (s *Session) setStanding(standing trust.Standing) {
	if s.peer != nil {
		s.peer.Trust, s.peer.By = string(standing), string(s.keeper.By())
	}
}

// setUntrusted runs when a session ends.
func (s *Session) setUntrusted() {
	s.trusted = false
	s.keeper.SessionEnded()
	s.smp = smpState{run: s.smp.run}
	s.state = control.StateFinished
	if s.options.Stay {
		s.state = control.StateHandshake
	}
}

// MarkVerified records that the user has compared the peer's fingerprint. It fails if the
// session is with a different key by now.
func (s *Session) MarkVerified(compared keys.Fingerprint) error {
	if !s.isRunning() {
		return ErrUnencrypted
	}
	return s.do(func(*otr.Conversation) ([][]byte, error) {
		if !s.trusted || s.session.Fingerprint != compared {
			return nil, ErrUnencrypted
		}
		if err := s.keeper.MarkVerified(); err != nil {
			return nil, err
		}
		s.setStanding(trust.Verified)
		return nil, nil
	})
}

// Review checks whether the trust in the contact's key has changed, for example by another
// process.
func (s *Session) Review() {
	if !s.isRunning() {
		return
	}
	_ = s.do(func(*otr.Conversation) ([][]byte, error) { // an error means that the session has ended, with nothing to review
		if s.trusted {
			s.setStanding(s.keeper.Review())
		}
		return nil, nil
	})
}

// contactName returns the name that messages use for the contact expected as the peer.
func (s *Session) contactName() string {
	if s.options.Contact != "" {
		return terminal.Visible(s.options.Contact)
	}
	return "the peer"
}

// endName returns the name that messages use for the other end before it is known who is there.
func (s *Session) endName() string {
	if s.options.Contact != "" {
		return s.contactName() + "'s end"
	}
	return "the other end"
}

// peerName returns the name that messages use for the peer: the contact's name only if every
// required check has passed.
func (s *Session) peerName() string {
	if s.keeper != nil && s.keeper.Passed() {
		return s.contactName()
	}
	return "the peer"
}
