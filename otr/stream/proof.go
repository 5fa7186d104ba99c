package stream

import (
	"fmt"
	"time"

	"otrpipe/otr"
)

const (
	// starterWait is how long the end that is not to start the protocol waits
	// for the other to do so. Then it starts itself: the peer has no secret of
	// its own in its configuration, and a person is to answer.
	starterWait = time.Second
	// crossedWait is how long the end that is to start again after a crossing
	// waits for the peer's abort. The other waits twice as long for that start.
	crossedWait = 10 * time.Second
)

// A proof is SMP before payload. All of it is the owner's.
//
// Who sent the Reveal Signature starts, so two ends that both have a secret do
// not cross. Where they do all the same, on a slow line or because somebody
// asked by hand, both runs end, and that same end starts once more.
type proof struct {
	done    bool        // some session's peer has proven itself
	doneFor otr.Session // that session; its key counts
	wanted  bool        // the current session's peer has still to
	startAt time.Time   // when we start; zero: we don't
	crossed bool        // the runs have crossed once
	settled bool        // after that the peer's abort, which belongs to it, has come
}

// needed says whether the peer of s has still to prove itself.
func (p *proof) needed(c *SMPConfig, s otr.Session) bool {
	return c != nil && !(p.done && p.doneFor.Fingerprint == s.Fingerprint)
}

// expects says whether e is the abort that the peer has sent because the runs
// crossed, which is no news.
func (p *proof) expects(e otr.Event) bool {
	_, aborted := e.(otr.SMPAborted)
	return aborted && p.wanted && p.crossed && !p.settled
}

// prove begins to ask for the proof.
func (l *link) prove() {
	p := &l.proof
	p.wanted, p.crossed, p.settled = true, false, false
	p.startAt = l.now
	if !l.session.FirstHalfBold {
		p.startAt = l.now.Add(starterWait)
	}
}

// startProof sends our SMP message 1.
func (l *link) startProof() {
	l.proof.startAt = time.Time{}
	lines, err := l.conv.StartSMP(l.cfg.SMP.Secret, l.cfg.SMP.Question)
	l.sendProof(lines, err)
}

func (l *link) sendProof(lines [][]byte, err error) {
	if err != nil {
		l.end(err, internalError)
		return
	}
	l.sendLines(lines)
}

// proofEvent follows what the peer does about SMP, while it matters here. A
// run after that is between the people.
func (l *link) proofEvent(e otr.Event) {
	p := &l.proof
	if !p.wanted || !l.secure {
		return
	}
	switch e.(type) {
	case otr.SMPAsked:
		p.startAt = time.Time{}
		l.sendProof(l.conv.AnswerSMP(l.cfg.SMP.Secret))
	case otr.SMPSucceeded:
		*p = proof{done: true, doneFor: l.session}
		l.trust()
	case otr.SMPFailed:
		l.end(ErrSMP, proofFailed)
	case otr.SMPAborted:
		l.end(fmt.Errorf("%w: it was aborted", ErrSMP), proofFailed)
	case otr.SMPCrossed:
		l.proofCrossed()
	}
}

// proofFailed is what the peer is told then.
const proofFailed = "the comparison of secrets failed"

// proofCrossed waits for the peer's abort, which is on its way, and for one of
// the two to start again.
func (l *link) proofCrossed() {
	p := &l.proof
	if p.crossed {
		l.end(fmt.Errorf("%w: both ends start it again and again", ErrSMP), proofFailed)
		return
	}
	p.crossed = true
	p.startAt = l.now.Add(crossedWait)
	if !l.session.FirstHalfBold {
		p.startAt = p.startAt.Add(crossedWait)
	}
}

// proofSettled follows the peer's abort after a crossing.
func (l *link) proofSettled() {
	l.proof.settled = true
	if l.session.FirstHalfBold {
		l.proof.startAt = l.now
	}
}
