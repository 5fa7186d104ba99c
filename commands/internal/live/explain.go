package live

import (
	"errors"
	"fmt"
	"strings"
	"syscall"
	"time"

	"otrpipe/commands/internal/exit"
	"otrpipe/commands/internal/options"
	"otrpipe/commands/internal/terminal"
	"otrpipe/otr"
	"otrpipe/otr/stream"
	"otrpipe/otr/wire"
)

// offlineHint is the hint for a live session that receives a message meant for decrypt-stream.
const offlineHint = "otrpipe decrypt-stream --offline reads it"

// explain gives the error that ended a stream its exit code and a hint.
func (s *Session) explain(err error) error {
	var e *exit.Error
	switch {
	case err == nil:
		return nil
	case errors.As(err, &e):
		// The key was refused, or we stopped for a reason of our own.
		return e
	case errors.Is(err, stream.ErrDowngraded):
		return exit.Errorf(exit.Refused, "both ends offered a newer version of OTR than the session's").
			WithHint("someone in the middle has altered the offers made before the session began; if both ends want an older version: --otr 3 at both")
	case errors.Is(err, stream.ErrRefused):
		return exit.Errorf(exit.Refused, "%s came back with another key", s.endName()).
			WithHint("someone may be in the middle; ask %s through another channel which key is theirs", s.contactName())
	case errors.Is(err, stream.ErrSMP) && s.cfg.ByCode:
		return codesDiffer(err)
	case errors.Is(err, stream.ErrBrokenOff):
		return exit.Errorf(exit.SMP, "%w", ErrSMPBrokenOff).WithHint(guessHint)
	case errors.Is(err, stream.ErrSMP):
		failed := ErrSMPFailed
		if why := whySMP(err); why != "" {
			failed = fmt.Errorf("SMP failed: %s", why)
		}
		return exit.Errorf(exit.SMP, "%w", failed).
			WithHint("both ends need the very same secret, capitals and blanks included: check it, and that the other end is really %s", s.contactName())
	case errors.Is(err, stream.ErrPeerLines):
		return exit.Errorf(exit.Timeout, "%s runs mode lines, and this end mode stream", s.peerName()).
			WithHint("both ends need the same: --mode lines here, or --mode stream there")
	case errors.Is(err, stream.ErrPeerStream):
		return exit.Errorf(exit.Timeout, "%s runs mode stream, and this end mode lines", s.peerName()).
			WithHint("both ends need the same: --mode stream here, or --mode lines there")
	case errors.Is(err, stream.ErrNoStream):
		return exit.Errorf(exit.Timeout, "the session is encrypted, but %s sends no byte stream within %v", s.peerName(), s.options.Timeout).
			WithHint("another OTR client, or an otrpipe in mode lines, needs --mode lines here too")
	case errors.Is(err, stream.ErrTimeout):
		return s.timedOut(err)
	case errors.Is(err, stream.ErrClosedBeforeSession) && noRoom(err):
		return exit.Errorf(exit.Broken, "the lines of OTR cannot be written: %w", withoutName(err))
	case errors.Is(err, stream.ErrClosedBeforeSession) && s.offline:
		return exit.Errorf(exit.Broken, "the transport carried a message to somebody who is away, not a live session").WithHint(offlineHint)
	case errors.Is(err, stream.ErrClosedBeforeSession) && s.exchangeHint() != "":
		return s.closedEarly().WithHint("%s", s.exchangeHint())
	case errors.Is(err, stream.ErrClosedBeforeSession):
		return s.closedEarly().WithHint("is %s running, and is it an otrpipe or another OTR client?", s.endName())
	}
	return s.explainBreak(err)
}

// noRoom reports whether err is that of a transport that is a file or a device, and takes no more.
func noRoom(err error) bool {
	for _, full := range []error{syscall.ENOSPC, syscall.EDQUOT, syscall.EFBIG} {
		if errors.Is(err, full) {
			return true
		}
	}
	return false
}

// ourKeyHint says what to do about a peer that refuses our key.
func (s *Session) ourKeyHint() string {
	return fmt.Sprintf("the user there expects another key, or has not verified ours; compare keys through another channel: ours is %v", s.ourKey)
}

// guessHint is for a comparison that was broken off after its outcome had been shown.
const guessHint = "each such connection is one guess; if it was the line that was cut, try again"

// codesDiffer is the error of a session whose ends know each other by a code, where comparing
// the codes has failed with err.
func codesDiffer(err error) error {
	why := whySMP(err)
	switch {
	case errors.Is(err, stream.ErrBrokenOff):
		return exit.Errorf(exit.SMP, "comparing the codes was broken off after its outcome had been shown; somebody may be guessing").
			WithHint(guessHint)
	case why != "":
		return exit.Errorf(exit.SMP, "comparing the codes failed: %s", why).
			WithHint("try again; if it goes on failing, someone is in the middle")
	}
	return exit.Errorf(exit.SMP, "the codes differ: a word is wrong, or someone is in the middle").
		WithHint("compare the three words with the person at the other end; capitals, blanks and dashes do not matter in a code")
}

// whySMP is the reason that an ErrSMP gives; "": the secrets differ.
func whySMP(err error) string {
	_, why, _ := strings.Cut(err.Error(), stream.ErrSMP.Error()+": ")
	return why
}

// explainBreak is explain for a session that broke or was ended after it had begun.
func (s *Session) explainBreak(err error) error {
	switch {
	case errors.Is(err, stream.ErrOurKeyRefused) && s.options.Mode == options.ModeStream:
		return exit.Errorf(exit.Broken, "%s (%s refuses our key)", s.howFar(), s.peerName()).WithHint("%s", s.ourKeyHint())
	case errors.Is(err, stream.ErrOurKeyRefused):
		return exit.Errorf(exit.Broken, "%s refuses our key", s.peerName()).WithHint("%s", s.ourKeyHint())
	case errors.Is(err, stream.ErrBroken) && s.options.Mode == options.ModeStream:
		return exit.Errorf(exit.Broken, "%s (%v%s)", s.howFar(), s.reword(err), s.statusAfter(err))
	case errors.Is(err, stream.ErrTransport):
		return exit.Errorf(exit.Broken, "the line was cut; %s did not end the session (%v%s)", s.peerName(), s.reword(err), s.TransportStatus())
	case errors.Is(err, stream.ErrLost):
		return exit.Errorf(exit.Broken, "messages of %s were lost on the way", s.peerName()).
			WithHint("ask for them again: which ones they were cannot be known here")
	case errors.Is(err, stream.ErrUnwritten):
		return exit.Errorf(exit.Broken, "%s", s.unwrittenText()).WithHint("ask what has arrived, and send the rest again")
	case errors.Is(err, stream.ErrUndelivered):
		return exit.Errorf(exit.Broken, "not every message has reached %s", s.peerName()).
			WithHint("ask what has arrived, and send the rest again")
	case errors.Is(err, stream.ErrUntaken):
		return s.untaken()
	case errors.Is(err, stream.ErrUnconfirmed):
		return exit.Errorf(exit.Broken, "%s has shown no sign of the session: what was sent may not have arrived", s.peerName()).
			WithHint("ask what has arrived, and send the rest again")
	case errors.Is(err, stream.ErrPeerEnded) && s.connected.Load().Stats().ReceivedMessages == 0:
		return exit.Errorf(exit.Broken, "%w", s.reword(err)).
			WithHint("if it does that each time, it may not accept our key; compare keys through another channel: ours is %v", s.ourKey)
	case errors.Is(err, stream.ErrBroken):
		return exit.Errorf(exit.Broken, "%w", s.reword(err))
	case errors.Is(err, stream.ErrClosed):
		return exit.Errorf(exit.Broken, "the session was ended")
	}
	return err
}

// unwrittenText says that the peer has lost messages that it may have acknowledged.
func (s *Session) unwrittenText() string {
	return s.peerName() + " could not write every message: some are lost there"
}

// closedEarly is explain for a transport that closed before there was a session.
func (s *Session) closedEarly() *exit.Error {
	return exit.Errorf(exit.Broken, "%s", "the transport closed before there was a session"+s.TransportStatus())
}

// exchangeHint says why a key exchange in which the peer took part has not led to a session; "":
// the peer did not take part, or the reason is unknown.
func (s *Session) exchangeHint() string {
	switch {
	case s.expired != nil:
		return s.expired.String()
	case s.clocks != "":
		return fmt.Sprintf("the program at %s says: %s (this clock says %s)", s.endName(), s.clocks, time.Now().UTC().Format("2006-01-02 15:04 UTC"))
	case s.speaks4:
		return s.accountsHint()
	}
	return ""
}

// accountsHint is the hint for a peer that speaks version 4 but with which no key exchange
// succeeds.
func (s *Session) accountsHint() string {
	if s.options.Account == "" {
		return s.endName() + " speaks OTR version 4, and may know account names, as otr4j and otrr always do: " +
			"give both, --account for ours and --peer-account for theirs, or neither at both ends"
	}
	return fmt.Sprintf("%s speaks OTR version 4, and may know other account names, or none: it needs --account %s --peer-account %s, "+
		"or give neither at both ends", s.endName(), exit.ShellWord(s.options.PeerAccount), exit.ShellWord(s.options.Account))
}

// howFar says how much of a broken stream has arrived, so that nobody mistakes a part for the
// whole.
func (s *Session) howFar() string {
	stats := s.connected.Load().Stats()
	switch {
	case s.cfg.OwnProgress && !s.complete: // the command says what arrived
		return "the transfer was cut short"
	case s.complete:
		return fmt.Sprintf("the stream was cut short: everything from %[1]s has arrived, but %[1]s may not have everything that was sent", s.peerName())
	case stats.ReceivedBytes > 0:
		return fmt.Sprintf("the stream was cut short after %s: what arrived is authentic, but it is not all", terminal.Size(stats.ReceivedBytes))
	case stats.SentBytes > 0:
		return fmt.Sprintf("the stream was cut short after %s: %s may not have all that was sent", terminal.Size(stats.SentBytes), s.peerName())
	}
	return "the stream was cut short before anything arrived"
}

// statusAfter returns the transport's status if the stream broke because of it.
func (s *Session) statusAfter(err error) string {
	if errors.Is(err, stream.ErrTransport) {
		return s.TransportStatus()
	}
	return ""
}

// timedOut is explain for a handshake that took too long.
func (s *Session) timedOut(err error) error {
	switch {
	case s.peer != nil && s.comparesFirst() && s.cfg.ByCode:
		return exit.Errorf(exit.Timeout, "the codes were not compared: no answer within %v", s.options.Timeout).
			WithHint("the other end needs otrpipe send or otrpipe receive, with the same code")
	case s.peer != nil && s.comparesFirst():
		return exit.Errorf(exit.Timeout, "SMP was not finished: no answer within %v", s.options.Timeout).
			WithHint("%s answers with the same --smp-secret-file, or by hand with otrpipe smp", s.otherEnd())
	}
	after := s.options.Timeout
	if errors.Is(err, stream.ErrSilent) {
		after = s.longest()
	}
	late := exit.Errorf(exit.Timeout, "there is no session after %v", after)
	switch {
	case s.exchangeHint() != "":
		return late.WithHint("%s", s.exchangeHint())
	case s.echoed:
		return late.WithHint("the transport sends back what we say; does it lead to %s?", s.otherEnd())
	case s.offline:
		return late.WithHint(offlineHint)
	case s.offered&options.Spoken != 0:
		return late.WithHint("what came asks for OTR version %s, which is not allowed here; --otr %s allows it", s.offers, s.withOffered())
	case s.offers != "":
		return late.WithHint("what came asks for OTR version %s, which is not spoken here", s.offers)
	case s.inClear:
		return late.WithHint("only unencrypted text arrived; does %s speak OTR?", s.endName())
	}
	if s.options.Mode == options.ModeLines && !s.cfg.AtTerminal && !s.options.Policy.Has(otr.AllowV2) {
		return late.WithHint("is %s running? --timeout D gives it longer; WeeChat and profanity speak OTR version 2 only: --otr 234", s.endName())
	}
	return late.WithHint("is %s running? --timeout D gives it longer", s.endName())
}

// withOffered returns the versions that are allowed here together with those that the peer has
// asked for, in the form of --otr.
func (s *Session) withOffered() string {
	all := s.offered & options.Spoken
	for v := range 10 {
		if options.Spoken.Has(v) && s.options.Policy.Allows(v) {
			all |= wire.MakeVersions(v)
		}
	}
	return all.Digits()
}

// Reword returns an error of package stream in words for the user.
func Reword(err error) error {
	e := exit.Plain(err)
	if rest, ok := strings.CutPrefix(e.Error(), "broken: "); ok {
		return exit.Rephrase(err, rest)
	}
	return e
}

// reword is Reword with the peer's name, if it is known.
func (s *Session) reword(err error) error {
	e := Reword(err)
	if rest, ok := strings.CutPrefix(e.Error(), "the peer "); ok {
		return exit.Rephrase(err, s.peerName()+" "+rest)
	}
	return e
}

// TransportStatus describes how COMMAND ended, if it is the transport.
func (s *Session) TransportStatus() string {
	s.mu.Lock()
	c := s.child
	s.mu.Unlock()
	if c == nil || s.setup.Served || !c.HasExited() {
		return ""
	}
	return ": " + c.Describe()
}
