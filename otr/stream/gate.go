package stream

import (
	"fmt"
	"time"

	"otrpipe/otr"
	"otrpipe/otr/keys"
	"otrpipe/otr/smp"
)

const (
	// starterWait is how long the end that is not to start the protocol waits
	// for the other to do so. Then it starts itself: the peer has no secret of
	// its own in its configuration, and a person is to answer.
	starterWait = time.Second
	// maxSteps bounds how often the comparison has Config.Timeout count anew: when it
	// begins, when the peer has started it, when it has done so after a crossing, and when
	// the outcome has been shown. So no peer can hold us up for ever.
	maxSteps = 4
	// crossedWait is how long the end that is to start again after a crossing
	// waits for the peer's abort. The other waits twice as long for that start.
	crossedWait = 10 * time.Second
	// maxGateTrip bounds what is believed of the transport's delay, there and back, by
	// which these waits are longer: some network clients need ten seconds for a message.
	maxGateTrip = 30 * time.Second
)

// A gate is the comparison of secrets that comes before payload. All of it is the
// owner's.
//
// A connection allows one comparison, whatever sessions come and go in it: once the
// peer has been shown an outcome there is never another, and everything but success
// is failure. Until then a run may be begun anew, because a new key exchange or a
// crossing has ended it; that shows nobody anything.
//
// The end that sent the Reveal Signature starts, so two ends that both have a secret do
// not cross. Where they do all the same, on a slow line or because somebody asked by
// hand, both runs end, and that same end starts once more.
type gate struct {
	state    gateState
	passedBy keys.Fingerprint // in gatePassed: the key that the peer proved itself with
	crossing crossing

	delayed bool      // SMPConfig.Delay has been asked
	opensAt time.Time // until then nothing is started or answered
	at      time.Time // when we start, or answer a peer that has started; zero: we don't
	steps   int       // how often Config.Timeout has counted anew
}

// A gateState says how far the comparison has come.
type gateState int

const (
	gateIdle   gateState = iota // no session has needed it yet
	gateWanted                  // the current session's peer has still to prove itself
	gateShown                   // and has been shown the outcome
	gatePassed                  // it has proved itself
	gateFailed                  // it has not
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

// A crossing says what has become of two runs that both ends began at once.
type crossing int

const (
	uncrossed crossing = iota
	crossed            // the peer's abort is still to come
	recrossed          // it has come, or a new run was begun without it: there is no second time
)

// needed says whether the peer of s has still to prove itself.
func (g *gate) needed(c *SMPConfig, s otr.Session) bool {
	return c != nil && !(g.state == gatePassed && g.passedBy == s.Fingerprint)
}

// expects says whether e is the abort that the peer has sent because the runs
// crossed, which is no news.
func (g *gate) expects(e otr.Event) bool {
	_, aborted := e.(otr.SMPAborted)
	return aborted && g.state == gateWanted && g.crossing == crossed
}

// prove begins to ask the peer of a session for the proof.
func (l *link) prove() {
	g := &l.gate
	if g.state != gateIdle && g.state != gateWanted {
		l.end(ErrSMP, gateClosed) // not reached: what is shown or passed has ended, or refuses other keys
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

// gateTrip is how long an answer of the peer's takes to come.
func (l *link) gateTrip() time.Duration {
	return max(l.roundTrip, min(l.conv.RoundTrip(), maxGateTrip))
}

// gateStep has Config.Timeout count anew, for the comparison has come further: on some
// transports each of its messages takes ten seconds. Where we put it off, the time counts
// from when it is due.
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

// gateClosed is what the peer is told when the comparison has failed.
const gateClosed = "the comparison of secrets failed"

// compareAfter has compare called after d, or when the gate opens.
func (l *link) compareAfter(d time.Duration) {
	l.gate.at = l.now.Add(d)
	if l.gate.at.Before(l.gate.opensAt) {
		l.gate.at = l.gate.opensAt
	}
}

// compare answers the peer's start, or starts.
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

// gateEvent follows what happens to the comparison, while it is the gate's. A run
// after that is between the people.
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

// gateCrossed waits for the peer's abort, which is on its way, and for one of
// the two to start again.
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

// gateSettled follows the peer's abort after a crossing.
func (l *link) gateSettled() {
	l.gate.crossing = recrossed
	if l.session.FirstHalfBold {
		l.compareAfter(0)
	}
}

// failGate returns the result of a link that ends with result: where the peer has been
// shown the outcome, and the comparison has not ended as it should, that is one guess.
// A run of the people's that is cut off so is told as failed, too.
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
