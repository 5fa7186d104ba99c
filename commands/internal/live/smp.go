package live

import (
	"context"
	"errors"
	"fmt"
	"time"

	"otrpipe/commands/internal/control"
	"otrpipe/commands/internal/events"
	"otrpipe/commands/internal/exit"
	"otrpipe/commands/internal/terminal"
	"otrpipe/commands/internal/trust"
	"otrpipe/otr"
	"otrpipe/otr/stream"
)

const (
	// AnswerTime is how long the person at the other end may take to answer.
	AnswerTime = 5 * time.Minute
	// crossedWait is how long a run that crossed one of the peer's waits for the peer to resolve
	// it. A client that has not done so by then will not start again either.
	crossedWait = 10 * time.Second
)

// smpHint names the usual reasons why two people's secrets differ.
const smpHint = "capitals and blanks count: agree on how the secret is written, and compare again"

// The ends of an SMP run that an event reports.
var (
	ErrSMPFailed error = exit.Errorf(exit.SMP, "SMP failed: the secrets differ, or someone is in the middle").
			WithHint(smpHint)
	ErrSMPBrokenOff error = exit.Errorf(exit.SMP, "SMP failed: it was broken off after its outcome had been shown; somebody may be guessing")
	ErrSMPAborted   error = exit.Errorf(exit.SMP, "SMP was aborted")
)

// ErrNoSMP says that there is no SMP run to abort.
var ErrNoSMP error = exit.Errorf(exit.Failure, "there is no comparison to abort")

// A smpState is a session's state of SMP. It belongs to the session's owner.
type smpState struct {
	asked    *string // the question that the peer waits for an answer to; nil: none
	run      uint64  // the number of that question, or of the last one
	answered bool    // the run under way answers a question of the peer
	crossed  bool    // both ends have started; the peer's abort is on its way
}

// A smpRun is an SMP run that a process or a person waits for. The owner sees every event and
// decides when to begin again, but cannot do so itself while handling an event.
type smpRun struct {
	*waiter
	begin chan struct{} // of capacity one: check whether to start or answer again

	// Owned by the session's owner.
	crossed bool // both ends have started
	settled bool // the abort that the peer sends after a crossing has arrived
	due     bool // it is time to begin again
	again   bool // it has begun again
}

// CompareSecret starts SMP, or answers if the peer has started, and waits for the result. It
// wipes the secret.
func (s *Session) CompareSecret(ctx context.Context, r *control.SMP) error {
	late := limit(r.Timeout)
	session, err := s.awaitSecure(ctx, late)
	if err != nil {
		clear(r.Secret)
		return err
	}
	return s.compareSecret(ctx, session, r, late)
}

// CompareSecretIn is CompareSecret in the given session or not at all.
func (s *Session) CompareSecretIn(ctx context.Context, session stream.SessionID, r *control.SMP) error {
	if session == (stream.SessionID{}) {
		clear(r.Secret)
		return ErrUnencrypted
	}
	return s.compareSecret(ctx, session, r, limit(r.Timeout))
}

func (s *Session) compareSecret(ctx context.Context, session stream.SessionID, r *control.SMP, late deadline) error {
	defer clear(r.Secret)
	run := &smpRun{waiter: newWaiter(), begin: make(chan struct{}, 1)}
	run.session = session
	started := false // as opposed to answered
	err := s.doIn(session, func(c *otr.Conversation) ([][]byte, error) {
		if s.waiters.smp != nil {
			return nil, exit.Errorf(exit.Failure, "SMP is under way already").
				WithHint("%s ends it", s.byHand("/abort", "otrpipe smp --abort"))
		}
		started = s.smp.asked == nil
		lines, err := s.beginSMP(c, r, false)
		if err == nil {
			s.waiters.smp = run
		}
		return lines, err
	})
	if err != nil {
		return err
	}
	if started {
		s.tellPerson(fmt.Sprintf("waiting for %s's answer; /abort gives up", s.otherEnd()))
	}
	return s.awaitSMP(ctx, run, r, late)
}

// awaitSMP waits for the result of a run and begins it again when that is due.
func (s *Session) awaitSMP(ctx context.Context, run *smpRun, r *control.SMP, late deadline) error {
	for {
		select {
		case <-run.done:
			return run.err
		case <-run.begin:
			err := s.doIn(run.session, func(c *otr.Conversation) ([][]byte, error) {
				if s.waiters.smp != run || run.again && !run.due {
					return nil, nil // there is a result, or the peer was quicker than the timer
				}
				run.again, run.due = true, false
				return s.beginSMP(c, r, true)
			})
			if err != nil {
				return s.leaveSMP(run, err)
			}
		case <-late:
			return s.leaveSMP(run, exit.Errorf(exit.Timeout, "%s has not answered within %v; SMP is aborted", s.contactName(), r.Timeout))
		case <-ctx.Done():
			return s.leaveSMP(run, ctx.Err())
		case <-s.ended:
			return s.endedBeforeSMP()
		}
	}
}

// leaveSMP aborts a run that nobody waits for any longer. err is the reason.
func (s *Session) leaveSMP(run *smpRun, err error) error {
	aborted := s.do(func(c *otr.Conversation) ([][]byte, error) { // an error means that the session has ended
		if s.waiters.smp != run {
			return nil, nil
		}
		s.waiters.smp = nil
		return s.abortRun(c)
	})
	if errors.Is(aborted, ErrSMPBrokenOff) {
		return aborted
	}
	return err
}

// AbortSMP aborts the run under way. Its error is ErrNoSMP if there is none.
func (s *Session) AbortSMP() error {
	if !s.isRunning() {
		return ErrNoSMP
	}
	return s.do(func(c *otr.Conversation) ([][]byte, error) {
		if !c.SMPUnderWay() && s.waiters.smp == nil {
			return nil, ErrNoSMP
		}
		return s.abortRun(c)
	})
}

// abortRun aborts the run under way and ends the wait for it. The owner calls it.
func (s *Session) abortRun(c *otr.Conversation) ([][]byte, error) {
	shown := c.SMPOutcomeShown()
	lines, err := c.AbortSMP()
	if err != nil {
		return nil, err
	}
	s.smpEnded(nil)
	if shown { // the stream reports it
		return lines, ErrSMPBrokenOff
	}
	s.log(stream.Event{Time: time.Now(), Count: 1}, events.Record{Event: events.SMPAborted})
	s.finishSMP(ErrSMPAborted)
	return lines, nil
}

// beginSMP answers if the peer waits for an answer, and starts a run otherwise. After a
// crossing, the secret was not chosen for the peer's question, so the result counts whichever
// end asked. The owner calls it.
func (s *Session) beginSMP(c *otr.Conversation, r *control.SMP, again bool) ([][]byte, error) {
	asked := s.smp.asked
	if !again && (r.Run != 0 && (asked == nil || r.Run != s.smp.run) || r.Run == 0 && asked != nil && *asked != "") {
		return nil, errAsksOtherwise
	}
	s.smp.asked, s.smp.answered = nil, asked != nil && *asked != "" && !again
	if asked != nil {
		return c.AnswerSMP(r.Secret)
	}
	return c.StartSMP(r.Secret, r.Question)
}

// finishSMP passes the result to the process that waits for the run under way.
func (s *Session) finishSMP(err error) {
	if run := s.waiters.smp; run != nil {
		s.waiters.smp = nil
		run.finish(err)
	}
}

// advanceSMP applies an event to the run that a process waits for.
func (s *Session) advanceSMP(e any) {
	run := s.waiters.smp
	if run == nil {
		return
	}
	switch e := e.(type) {
	case otr.SMPSucceeded:
		s.finishSMP(nil)
	case otr.SMPFailed:
		s.finishSMP(failureOf(e))
	case otr.SMPCrossed:
		if run.crossed {
			s.finishSMP(exit.Errorf(exit.SMP, "SMP was started at both ends again and again"))
			return
		}
		run.crossed = true
		time.AfterFunc(crossedWait, run.rouse)
	case otr.SMPAborted:
		if !run.crossed || run.settled {
			s.finishSMP(ErrSMPAborted)
			return
		}
		run.settled = true
		// After a crossing, the end that starts again is the one that starts SMP at the
		// beginning of a stream.
		if s.session.FirstHalfBold {
			run.due = true
			run.rouse()
		}
	case otr.SMPAsked:
		if run.crossed {
			run.due = true
			run.rouse()
		}
	case otr.PeerEnded, otr.Ended, otr.Secure, stream.Refused:
		// The secret was not meant for the peer of the next session.
		s.finishSMP(s.endedBeforeSMP())
	}
}

// rouse makes the process that waits for the run check whether to begin again.
func (r *smpRun) rouse() {
	select {
	case r.begin <- struct{}{}:
	default: // it is about to check
	}
}

// errAsksOtherwise prevents a secret from answering a question that it was not given for.
var errAsksOtherwise error = exit.Errorf(exit.Failure, "meanwhile another question was asked").
	WithHint("look at the question, and answer that")

func (s *Session) endedBeforeSMP() error {
	return exit.Errorf(exit.SMP, "session %q ended before SMP did", s.cfg.Name.Session)
}

// smpAsked reports that the peer has started SMP. If the stream has a secret, it answers by
// itself.
func (s *Session) smpAsked(e stream.Event, what otr.SMPAsked) {
	s.log(e, events.Record{Event: events.SMPAsked, Question: &what.Question})
	if s.proving() {
		return
	}
	s.smp.asked, s.smp.run = &what.Question, what.Run
	if s.waiters.smp != nil {
		return
	}
	if what.Question == "" {
		s.Note("%s wants to compare a secret with SMP", s.peerName())
	} else {
		s.Note("%s asks with SMP: %s", s.peerName(), what.Question)
	}
	s.Advise("answer with: %s", s.byHand("/answer", "otrpipe smp -s "+exit.ShellWord(s.cfg.Name.Session)))
}

// smpSucceeded raises the trust in the peer's key, but not if we only answered the peer's
// question. Answering authenticates us to the peer, not the peer to us: anybody can ask what
// everybody knows.
func (s *Session) smpSucceeded(e stream.Event) {
	answered := s.smp.answered
	verified := s.peer != nil && trust.Standing(s.peer.Trust) == trust.Verified
	s.smpEnded(nil)
	s.log(e, events.Record{Event: events.SMPSucceeded})
	if s.cfg.ByCode {
		s.Note("both ends have the same code")
	} else {
		s.Note("%s", SMPSucceeded(s.peerName()))
	}
	switch {
	case answered && !verified:
		s.Advise("that shows %s who you are; to verify %s, ask a question of your own: %s",
			s.peerName(), s.peerName(), s.byHand("/smp QUESTION", "otrpipe smp --question Q"))
	case !answered && s.trusted:
		standing, err := s.keeper.Proven(s.session, e.Time)
		s.remembered(s.session, standing, err)
	}
}

// SMPSucceeded is the text for a successful comparison, the same at both ends.
func SMPSucceeded(peer string) string { return "SMP succeeded: " + peer + " knows the secret" }

// smpFailed reports that a comparison has failed.
func (s *Session) smpFailed(e stream.Event, what otr.SMPFailed) {
	proving := s.proving()
	s.smpEnded(nil)
	s.log(e, events.Record{Event: events.SMPFailed})
	if proving {
		return // the exit error reports it
	}
	s.Warn("%v", failureOf(what))
	if !what.BrokenOff {
		s.Advise(smpHint)
	}
	if n := s.failedComparisons(); n > 1 {
		s.Warn("%s have failed in this session: somebody may be guessing", terminal.Count(n, "comparison"))
	}
}

func (s *Session) failedComparisons() int {
	if !s.isRunning() {
		return 0
	}
	return s.connected.Load().Stats().FailedComparisons
}

func failureOf(e otr.SMPFailed) error {
	if e.BrokenOff {
		return ErrSMPBrokenOff
	}
	return ErrSMPFailed
}

// smpAborted reports that the run under way was aborted, unless the abort is part of a crossing.
func (s *Session) smpAborted(e stream.Event) {
	crossed := s.smp.crossed
	s.smp.crossed = false
	if crossed {
		return
	}
	proving := s.proving()
	s.smpEnded(nil)
	s.log(e, events.Record{Event: events.SMPAborted})
	if !proving { // otherwise the exit error reports it
		s.Warn("%v", ErrSMPAborted)
	}
}

// proving reports whether the peer still has to pass SMP before the session can be used.
func (s *Session) proving() bool { return s.comparesFirst() && !s.trusted }

// smpEnded records that no run is under way. asked is the question of another run that the peer
// has begun.
func (s *Session) smpEnded(asked *string) {
	s.smp.asked, s.smp.answered = asked, false
}
