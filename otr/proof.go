package otr

import (
	"errors"

	"otrpipe/otr/wire"
)

// Private record types of version 4, by which two otrpipes make up for what a transitional
// signature cannot prove. Other programs ignore records of types that they do not know.
const (
	typeProofRequest = 0x6F11 // no value
	typeProof        = 0x6F12 // the signature
)

// ErrNoProof says that there is no key of version 3 that could vouch for the peer's, so
// there is no proof to ask for.
var ErrNoProof = errors.New("otr: there is no key of version 3 to prove")

// AskProof asks the peer to prove that Session.Vouching is a key of its own. If it can, and
// does, there will be a Proven event; a peer that is no otrpipe does not answer.
func (c *Conversation) AskProof() ([][]byte, error) {
	if c.state != StateEncrypted {
		return nil, ErrNotEncrypted
	}
	if c.active.engine.vouchingFingerprint().IsZero() {
		return nil, ErrNoProof
	}
	c.proof.asked = true
	return c.internal(wire.TLV{Type: typeProofRequest})
}

// proofState is what has become of proofs in a session.
type proofState struct {
	given  bool // by us: once is enough
	asked  bool
	proven bool // by the peer
}

// giveProof answers a request, once a session.
func (c *Conversation) giveProof(got *Received) error {
	if c.proof.given {
		return nil
	}
	c.proof.given = true
	proof, err := c.active.engine.prove()
	if errors.Is(err, ErrNoProof) {
		return nil // that is an answer too
	} else if err != nil {
		return err
	}
	lines, err := c.internal(wire.TLV{Type: typeProof, Value: proof})
	got.Send = append(got.Send, lines...)
	return err
}

// receiveProof takes the proof that we have asked for.
func (c *Conversation) receiveProof(t wire.TLV, got *Received) {
	if !c.proof.asked || c.proof.proven {
		return
	}
	if err := c.active.engine.checkProof(t.Value); err != nil {
		got.event(Malformed{Reason: err})
		return
	}
	c.proof.proven = true
	got.event(Proven{})
}
