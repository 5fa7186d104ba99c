// Package otr is one OTR conversation, whatever its version: query messages and
// whitespace tags, the choice of a version, fragments, instances, policy, and
// the message state machine, over the key exchanges and data messages of
// packages v3 and v4 and below.
//
// It does no I/O. A caller hands a [Conversation] one message from the network
// and gets back what to show, what to send and what happened; it never calls
// back. Randomness and the clock come in through [Config].
//
//	c, err := otr.New(otr.Config{DSA: key, Policy: otr.AllowV3 | otr.RequireEncryption, Rand: rand.Reader, Now: time.Now})
//	got, err := c.Receive(line)
//	lines, err := c.Send(text)
//
// A [Secure] event says whose key it is that the session is encrypted for.
// Whether that key is the right one is for the caller to decide, before it
// shows or sends anything.
//
// The specifications are "Off-the-Record Messaging Protocol version 3", section
// "The protocol state machine", and "OTR version 4", section "The Protocol State
// Machine".
//
// Secrets are overwritten when they end. Go may have copied them before, when
// it moved a stack or inside the standard library's cipher and hash states, and
// nothing can reach those copies; a process that must leave nothing behind has
// to end.
package otr
