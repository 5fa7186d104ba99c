package commands

import (
	"context"
	"errors"
	"time"

	"otrpipe/commands/internal/control"
	"otrpipe/commands/internal/events"
	"otrpipe/commands/internal/exit"
	"otrpipe/commands/internal/trust"
	"otrpipe/otr"
	"otrpipe/otr/stream"
)

// A smpState is what a live session knows of SMP.
type smpState struct {
	asked    *string // the question that the peer waits with; nil: it does not
	run      uint64  // which one that is, or was last
	busy     bool    // a controller waits for the result
	answered bool    // the run under way answers a question of the peer's
	crossed  bool    // both ends have started; the peer's abort is on its way
}

// crossedWait is how long a run that crossed one of the peer's waits for the
// peer to settle it. A client that does not will not start again either.
const crossedWait = 10 * time.Second

// smpAsked tells that the peer has started SMP. Where the stream has a secret
// of its own it answers by itself.
func (l *live) smpAsked(e stream.Event, what otr.SMPAsked) {
	l.log(e, events.Record{Event: events.SMPAsked, Question: &what.Question})
	l.mu.Lock()
	byItself := l.options.SMP != nil && !l.trusted
	busy := l.smp.busy
	if !byItself {
		l.smp.asked, l.smp.run = &what.Question, what.Run
	}
	l.mu.Unlock()
	if byItself || busy {
		return
	}
	if what.Question == "" {
		l.Note("%s wants to compare a secret with SMP", l.peerName())
	} else {
		l.Note("%s asks with SMP: %s", l.peerName(), what.Question)
	}
	l.Advise("answer with: %s", l.by("/answer", "otrpipe smp -s "+exit.ShellWord(l.name.Session)))
}

// smpSucceeded raises the trust in the peer's key. Who has only answered a
// question of the peer's has shown who he is, and knows no more of the peer:
// anybody can ask what everybody knows.
func (l *live) smpSucceeded(e stream.Event) {
	l.mu.Lock()
	answered, trusted, s := l.smp.answered, l.trusted, l.session
	verified := l.peer != nil && l.peer.Trust == string(trust.Verified)
	l.mu.Unlock()
	l.smpEnded(nil)
	l.log(e, events.Record{Event: events.SMPSucceeded})
	switch {
	case answered:
		l.Note("SMP succeeded: %s knows now who you are", l.peerName())
		if !verified {
			l.Advise("to verify %s, ask a question of your own: %s", l.peerName(), l.by("/smp QUESTION", "otrpipe smp --question Q"))
		}
	default:
		l.Note("SMP succeeded: %s knows the secret", l.peerName())
		if trusted {
			l.remembered(l.keeper.Proven(s, e.Time))
		}
	}
}

// smpCrossed notes that both ends have started SMP, so that both runs are over
// and one of the ends starts again.
func (l *live) smpCrossed() {
	l.mu.Lock()
	l.smp.crossed = l.smp.busy
	l.mu.Unlock()
}

// smpAborted tells that the run under way was aborted, unless that belongs to
// a crossing.
func (l *live) smpAborted(e stream.Event) {
	l.mu.Lock()
	crossed := l.smp.crossed
	l.smp.crossed = false
	l.mu.Unlock()
	if crossed {
		return
	}
	proving := l.proving()
	l.smpEnded(nil)
	l.log(e, events.Record{Event: events.SMPAborted})
	if !proving { // or it is what we leave with
		l.Warn("%v", errSMPAborted)
	}
}

// proving says that the peer has still to prove itself by SMP, without which there
// is no session.
func (l *live) proving() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.options.SMP != nil && !l.trusted
}

// smpEnded says that no run is under way; asked is the question of another.
func (l *live) smpEnded(asked *string) {
	l.mu.Lock()
	l.smp.asked, l.smp.answered = asked, false
	l.mu.Unlock()
}

// smpFailed tells that a comparison of the people's has failed.
func (l *live) smpFailed(what otr.SMPFailed) {
	failure := errSMPFailed
	if what.BrokenOff {
		failure = errSMPBrokenOff
	}
	n := 0
	l.mu.Lock()
	if l.link != nil {
		n = l.link.Stats().FailedComparisons
	}
	l.mu.Unlock()
	l.Warn("%v", failure)
	if n > 1 {
		l.Warn("%s have failed in this session: somebody may be guessing", count(n, "comparison"))
	}
}

// abortSMP ends the run under way.
func (l *live) abortSMP() error {
	l.mu.Lock()
	lk := l.link
	l.mu.Unlock()
	if lk == nil {
		return nil
	}
	shown := false
	err := lk.Do(func(c *otr.Conversation) ([][]byte, error) {
		shown = c.SMPOutcomeShown()
		return c.AbortSMP()
	})
	if err != nil {
		return l.refused(err)
	}
	l.smpEnded(nil)
	if shown { // which the stream has told of
		return errSMPBrokenOff
	}
	l.log(stream.Event{Time: time.Now(), Count: 1}, events.Record{Event: events.SMPAborted})
	l.tell(otr.SMPAborted{})
	return nil
}

// How a run of SMP can end that an event has told of.
var (
	errSMPFailed    error = exit.Errorf(exit.SMP, "SMP failed: the secrets differ, or the peer cheated")
	errSMPBrokenOff error = exit.Errorf(exit.SMP, "SMP failed: it was broken off after the peer had seen whether the secrets are the same; somebody may be guessing")
	errSMPAborted   error = exit.Errorf(exit.SMP, "SMP was aborted")
)

// runSMP starts SMP, or answers where the peer has started, and waits for the
// result.
func (l *live) runSMP(ctx context.Context, r *control.SMP) error {
	defer clear(r.Secret)
	late := limit(r.Timeout)
	lk, id, err := l.secureLink(ctx, late)
	if err != nil {
		return err
	}
	if !l.occupySMP() {
		return exit.Errorf(exit.Failure, "SMP is under way already").
			WithHint("%s ends it", l.by("/abort", "otrpipe smp --abort"))
	}
	defer l.leaveSMP()
	tap := l.tap()
	defer l.untap(tap)
	if err := l.beginSMP(lk, id, r, false); err != nil {
		return err
	}
	var again <-chan time.Time // when we start once more, if the peer does not
	crossed, settled := false, false
	for {
		begin := false
		select {
		case e := <-tap:
			switch e := e.(type) {
			case otr.SMPSucceeded:
				return nil
			case otr.SMPFailed:
				if e.BrokenOff {
					return errSMPBrokenOff
				}
				return errSMPFailed
			case otr.SMPCrossed:
				if crossed {
					return exit.Errorf(exit.SMP, "SMP was started at both ends again and again")
				}
				crossed, again = true, time.After(crossedWait)
			case otr.SMPAborted:
				if !crossed || settled {
					return errSMPAborted
				}
				settled = true
				begin = l.startsAgain()
			case otr.SMPAsked:
				begin = crossed
			case otr.PeerEnded, otr.Ended, otr.Secure, stream.Refused:
				// Whoever comes next is not the one that the secret was for.
				return l.endedBeforeSMP()
			}
		case <-again:
			begin = true
		case <-late:
			if err := l.abortSMP(); errors.Is(err, errSMPBrokenOff) {
				return err
			} // or the session has ended
			return exit.Errorf(exit.Timeout, "the peer has not answered within %v; SMP is aborted", r.Timeout)
		case <-ctx.Done():
			return l.abortSMP()
		case <-l.over:
			return l.endedBeforeSMP()
		}
		if begin {
			again = nil
			if err := l.beginSMP(lk, id, r, true); err != nil {
				return err
			}
		}
	}
}

// errAsksOtherwise keeps a secret from answering a question that it was not given for.
var errAsksOtherwise error = exit.Errorf(exit.Failure, "meanwhile it is something else that the peer asks").
	WithHint("look at the question, and answer that")

func (l *live) endedBeforeSMP() error {
	return exit.Errorf(exit.SMP, "session %q ended before SMP did", l.name.Session)
}

// startsAgain says which of the two ends starts again after a crossing: the
// one that does so at the beginning of a stream too.
func (l *live) startsAgain() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.session.FirstHalfBold
}

// beginSMP answers the peer if it waits for an answer, and else starts. After
// a crossing the secret was not chosen for the peer's question, so that the
// result counts whoever asked.
func (l *live) beginSMP(lk link, id stream.SessionID, r *control.SMP, crossed bool) error {
	err := lk.DoIn(id, func(c *otr.Conversation) ([][]byte, error) {
		// Here nothing can come from the peer in between.
		l.mu.Lock()
		asked := l.smp.asked
		if !crossed && (r.Run != 0 && (asked == nil || r.Run != l.smp.run) || r.Run == 0 && asked != nil && *asked != "") {
			l.mu.Unlock()
			return nil, errAsksOtherwise
		}
		l.smp.asked, l.smp.answered = nil, asked != nil && *asked != "" && !crossed
		l.mu.Unlock()
		if asked != nil {
			return c.AnswerSMP(r.Secret)
		}
		return c.StartSMP(r.Secret, r.Question)
	})
	if err != nil {
		return l.refused(err)
	}
	return nil
}

// occupySMP makes one controller at a time wait for SMP.
func (l *live) occupySMP() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.smp.busy {
		return false
	}
	l.smp.busy = true
	return true
}

func (l *live) leaveSMP() {
	l.mu.Lock()
	l.smp.busy = false
	l.mu.Unlock()
}
