package otr

import (
	"otrpipe/otr/smp"
	"otrpipe/otr/wire"
)

// StartSMP begins the socialist millionaires' protocol: are the peer's secret
// and ours the same? The question, which may be empty, is shown to the peer's
// user. A run that is under way is aborted first. The answer comes in events.
func (c *Conversation) StartSMP(secret []byte, question string) ([][]byte, error) {
	if c.state != StateEncrypted {
		return nil, ErrNotEncrypted
	}
	return c.sendSMP(c.machine().Start(secret, question))
}

// AnswerSMP gives the secret that an SMPAsked event asked for.
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
	for _, t := range tlvs { // one a message: x/crypto reads no second one
		more, err := c.internal(t)
		if err != nil {
			return nil, err
		}
		lines = append(lines, more...)
	}
	return lines, nil
}

// machine returns the session's.
func (c *Conversation) machine() *smp.Machine {
	if c.smp == nil {
		c.smp = smp.New(c.active.engine.smpBinding(), c.cfg.Rand)
	}
	return c.smp
}

// SMPOutcomeShown says that a run is under way whose outcome the peer has been shown,
// and has not shown us yet; see SMPShown. Whoever ends it now must count it as failed.
func (c *Conversation) SMPOutcomeShown() bool {
	return c.smp != nil && c.smp.OutcomeShown()
}

// smpEnds follows the end of what a run belongs to: the session, or the
// Conversation. A run whose outcome the peer has seen has failed.
func (c *Conversation) smpEnds(got *Received) {
	if c.SMPOutcomeShown() {
		got.event(SMPFailed{BrokenOff: true})
	}
}
