package otr

import (
	"otrpipe/otr/smp"
	"otrpipe/otr/wire"
)

// StartSMP begins the socialist millionaires' protocol, which tests whether the peer's secret
// and ours are the same. The question, which may be empty, is shown to the peer's user. A run
// that is under way is aborted first. The result is reported in events.
func (c *Conversation) StartSMP(secret []byte, question string) ([][]byte, error) {
	if c.state != StateEncrypted {
		return nil, ErrNotEncrypted
	}
	return c.sendSMP(c.machine().Start(secret, question))
}

// AnswerSMP answers an SMPAsked event with our secret.
func (c *Conversation) AnswerSMP(secret []byte) ([][]byte, error) {
	if c.state != StateEncrypted {
		return nil, ErrNotEncrypted
	}
	return c.sendSMP(c.machine().Answer(secret))
}

// SMPRun returns the number of the latest SMPAsked.
func (c *Conversation) SMPRun() uint64 { return c.smpRun }

// AbortSMP ends the run that is under way.
func (c *Conversation) AbortSMP() ([][]byte, error) {
	if c.state != StateEncrypted {
		return nil, ErrNotEncrypted
	}
	return c.sendSMP(c.machine().Abort(), nil)
}

func (c *Conversation) sendSMP(tlvs []wire.TLV, err error) ([][]byte, error) {
	if err != nil {
		return nil, err
	}
	var lines [][]byte
	for _, t := range tlvs { // one per message, because x/crypto reads only the first
		more, err := c.internal(t)
		if err != nil {
			return nil, err
		}
		lines = append(lines, more...)
	}
	return lines, nil
}

// machine returns the session's SMP machine.
func (c *Conversation) machine() *smp.Machine {
	if c.smp == nil {
		c.smp = smp.New(c.active.engine.smpBinding(), c.cfg.Rand)
	}
	return c.smp
}

// SMPUnderWay reports whether either end has begun a run that has not ended.
func (c *Conversation) SMPUnderWay() bool {
	return c.SMPState() != smp.StateExpect1
}

// SMPOutcomeShown reports whether a run is under way whose outcome the peer has been shown
// but we have not; see SMPShown. If such a run ends now, it must be counted as failed.
func (c *Conversation) SMPOutcomeShown() bool {
	return c.smp != nil && c.smp.OutcomeShown()
}

// smpEnds is called when the session ends. A run whose outcome the peer has been shown has
// failed.
func (c *Conversation) smpEnds(got *Received) {
	if c.SMPOutcomeShown() {
		got.event(SMPFailed{BrokenOff: true})
	}
}
