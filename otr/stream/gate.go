package stream

import (
	"fmt"
	"time"

	"otrpipe/otr"
	"otrpipe/otr/keys"
	"otrpipe/otr/smp"
)

const (
	// starterWait is how long the end that should not start the protocol waits for the other
	// end to do so. Then it starts itself, because the peer has no configured secret and a
	// person has to answer.
	starterWait = time.Second
	// maxSteps bounds how often the comparison restarts Config.Timeout: when it begins, when
	// the peer starts it, when the peer starts it again after a crossing, and when the
	// outcome has been shown. The bound prevents a peer from delaying us forever.
	maxSteps = 4
	// crossedWait is how long the end that starts again after a crossing waits for the peer's
	// abort. The other end waits twice as long for that start.
	crossedWait = 10 * time.Second
	// maxGateTrip is the upper limit for the transport's round trip, which is added to these
	// waits: some network clients need ten seconds for a message.
	maxGateTrip = 30 * time.Second
)

// A gate is the comparison of secrets that comes before payload. All of it is the
// owner's.
//
// A connection allows one comparison, no matter how many sessions it has. Once the peer has
// been shown an outcome there is never another run, and anything but success is failure.
// Until then a run that was ended by a new key exchange or a crossing may be started again,
// because neither end has learned anything.
//
// The end that sent the Reveal Signature message (in version 4, Auth-R) starts, so that two
// ends with a secret do not both start. If both start nevertheless, because of a slow line or
// because a person started SMP, both runs end, and the same end starts once more.
type gate struct {
	state    gateState
	passedBy keys.Fingerprint // in gatePassed: the key with which the peer passed
	crossing crossing

	delayed bool      // SMPConfig.Delay has been called
	opensAt time.Time // nothing is started or answered before this time
	at      time.Time // when we start, or answer a peer that has started; zero: not scheduled
	steps   int       // how often Config.Timeout has been restarted
}

// A gateState is the progress of the comparison.
type gateState int

const (
	gateIdle   gateState = iota // no session has needed it yet
	gateWanted                  // the current session's peer has not passed yet
	gateShown                   // the peer has been shown the outcome, but we have not
	gatePassed                  // the peer has passed
	gateFailed                  // the comparison has failed
)

func (s gateState) String() string {
	switch s {
	case gateIdle:
		return "idle"
	case gateWanted:
		return "wanted"
	case gateShown:
		return "shown"
	case gatePassed:
		return "passed"
	case gateFailed:
		return "failed"
	}
	return fmt.Sprintf("gateState(%d)", int(s))
}

// A crossing is the state after both ends have started a run at the same time.
type crossing int

const (
	uncrossed crossing = iota
	crossed            // the peer's abort is still to come
	recrossed          // it has come, or we started again without it; no second crossing is allowed
)

// needed reports whether the peer of s still has to pass the comparison.
func (g *gate) needed(c *SMPConfig, s otr.Session) bool {
	return c != nil && !(g.state == gatePassed && g.passedBy == s.Fingerprint)
}

// expects reports whether e is the abort that the peer sent because the runs crossed.
func (g *gate) expects(e otr.Event) bool {
	_, aborted := e.(otr.SMPAborted)
	return aborted && g.state == gateWanted && g.crossing == crossed
}

// prove schedules the comparison with the peer of a new session.
func (l *link) prove() {
	g := &l.gate
	if g.state != gateIdle && g.state != gateWanted {
		l.end(ErrSMP, gateClosed) // unreachable: the link has ended, or rejects other keys
		return
	}
	g.state, g.crossing = gateWanted, uncrossed
	if !g.delayed && l.cfg.SMP.Delay != nil {
		delay, err := l.cfg.SMP.Delay()
		if err != nil {
			g.state = gateFailed
			l.end(fmt.Errorf("%w: %w", ErrSMP, err), gateClosed)
			return
		}
		delay = max(delay, 0)
		g.opensAt = l.now.Add(delay)
	}
	if !g.delayed {
		g.delayed = true
		l.gateStep()
	}
	wait := time.Duration(0)
	if !l.session.FirstHalfBold {
		wait = starterWait + l.gateTrip()
	}
	l.compareAfter(wait)
}

// gateTrip returns how long the peer's answer takes to arrive.
func (l *link) gateTrip() time.Duration {
	return max(l.roundTrip, min(l.conv.RoundTrip(), maxGateTrip))
}

// gateStep restarts Config.Timeout after progress in the comparison, because on some
// transports each message takes ten seconds. If we have postponed the comparison, the time
// counts from when it is due.
func (l *link) gateStep() {
	g := &l.gate
	if l.opened || l.cfg.Timeout <= 0 || g.steps == maxSteps {
		return
	}
	g.steps++
	from := l.now
	if from.Before(g.opensAt) {
		from = g.opensAt
	}
	l.readyBy = from.Add(l.cfg.Timeout)
}

// gateClosed is the reason that the peer is told when the comparison has failed.
const gateClosed = "the comparison of secrets failed"

// compareAfter schedules compare after d, but not before opensAt.
func (l *link) compareAfter(d time.Duration) {
	l.gate.at = l.now.Add(d)
	if l.gate.at.Before(l.gate.opensAt) {
		l.gate.at = l.gate.opensAt
	}
}

// compare answers a run that the peer has started, or starts one.
func (l *link) compare() {
	g := &l.gate
	g.at = time.Time{}
	if g.state != gateWanted {
		return
	}
	if g.crossing == crossed {
		g.crossing = recrossed
	}
	var lines [][]byte
	var err error
	if l.conv.SMPState() == smp.StateAwaitingSecret {
		lines, err = l.conv.AnswerSMP(l.cfg.SMP.Secret)
	} else {
		lines, err = l.conv.StartSMP(l.cfg.SMP.Secret, l.cfg.SMP.Question)
	}
	if err != nil {
		l.end(err, internalError)
		return
	}
	l.sendLines(lines)
}

// gateEvent handles the events of the comparison until it has passed or failed. Later runs
// are started by people.
func (l *link) gateEvent(e otr.Event) {
	g := &l.gate
	if g.state != gateWanted && g.state != gateShown {
		return
	}
	switch e := e.(type) {
	case otr.SMPAsked:
		l.gateStep()
		l.compareAfter(0)
		if l.due(g.at) {
			l.compare()
		}
	case otr.SMPShown:
		l.gateStep()
		g.state, g.at = gateShown, time.Time{}
	case otr.SMPSucceeded:
		g.state, g.passedBy, g.at = gatePassed, l.session.Fingerprint, time.Time{}
		l.trust()
	case otr.SMPFailed:
		g.state = gateFailed
		if e.BrokenOff {
			l.end(ErrBrokenOff, gateClosed)
		} else {
			l.end(ErrSMP, gateClosed)
		}
	case otr.SMPAborted:
		g.state = gateFailed
		l.end(fmt.Errorf("%w: it was aborted", ErrSMP), gateClosed)
	case otr.SMPCrossed:
		l.gateCrossed()
	}
}

// gateCrossed waits for the peer's abort, which is on its way, and for one end to start
// again.
func (l *link) gateCrossed() {
	g := &l.gate
	if g.crossing != uncrossed {
		g.state = gateFailed
		l.end(fmt.Errorf("%w: both ends start it again and again", ErrSMP), gateClosed)
		return
	}
	g.crossing = crossed
	wait := crossedWait + l.gateTrip()
	if !l.session.FirstHalfBold {
		wait *= 2
	}
	l.compareAfter(wait)
}

// gateSettled handles the peer's abort after a crossing.
func (l *link) gateSettled() {
	l.gate.crossing = recrossed
	if l.session.FirstHalfBold {
		l.compareAfter(0)
	}
}

// failGate returns the result of a link that is about to end with result. If the peer has
// been shown the outcome and the comparison has not finished, that counts as a guess: the
// result is ErrBrokenOff. An interrupted run that a person started is reported as failed,
// too.
func (l *link) failGate(result error) error {
	gate := l.gate.state == gateShown
	if gate || l.conv.SMPOutcomeShown() {
		l.countFailure()
		l.report(otr.SMPFailed{BrokenOff: true})
	}
	if !gate {
		return result
	}
	l.gate.state = gateFailed
	if result == nil {
		return ErrBrokenOff
	}
	return fmt.Errorf("%w (%v)", ErrBrokenOff, result)
}

// countFailure counts a comparison that has failed in this session.
func (l *link) countFailure() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.stats.FailedComparisons++
}
