// Package otr implements one OTR conversation of any version: query messages and whitespace
// tags, the choice of a version, fragments, instances, policy, and the message state machine.
// It builds on the key exchanges and data messages of packages v3 and v4.
//
// It does no I/O and has no callbacks. A caller passes a [Conversation] one message from the
// network, and gets back the text to show, the lines to send and the events that happened.
// Randomness and the clock come from [Config].
//
//	c, err := otr.New(otr.Config{DSA: key, Policy: otr.AllowV3 | otr.RequireEncryption, Rand: rand.Reader, Now: time.Now})
//	got, err := c.Receive(line)
//	lines, err := c.Send(text)
//
// A [Secure] event contains the fingerprint of the key that authenticated the peer. The
// caller has to decide whether that key is the right one before it shows or sends anything.
//
// The specifications are "Off-the-Record Messaging Protocol version 3", section
// "The protocol state machine", and "OTR version 4", section "The Protocol State
// Machine".
//
// Secrets are overwritten when they are no longer needed. Go may have copied them before
// that, when it moved a stack, or in the standard library's cipher and hash states, and such
// copies cannot be reached. A process that must leave nothing behind has to exit.
package otr
