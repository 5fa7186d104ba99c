package otr

import (
	"bytes"
	"time"

	"otrpipe/otr/wire"
)

// preferWait is how long the answer of an instance that ended the last session waits for the
// answer of another instance. It is longer than two clients of one person differ in answering
// the same message, and short for a person whose only client asks again.
const preferWait = time.Second

// A deferredAnswer is an answer to our offer that waits. When the peer's first client has
// ended its session and a second one asks for a session with a query, which does not name its
// sender, our offer goes to both clients and both answer. The session, and the texts that
// wait, are for the client that asked, not for the one that has just left.
type deferredAnswer struct {
	line  []byte
	until time.Time
}

// defers reports whether an answer to our offer has to wait for that of another instance.
func (c *Conversation) defers(id peerID, t wire.MessageType) bool {
	answer := t == wire.TypeDHKey || t == wire.TypeAuthR
	return answer && c.state != StateEncrypted && c.left != peerID{} && c.left == id && id.tag != 0 &&
		c.pending != nil && c.pending.open && c.pending.asked && !c.pending.revealed()
}

// deferAnswer keeps an answer.
func (c *Conversation) deferAnswer(line []byte) {
	if c.deferred.line == nil {
		c.deferred = deferredAnswer{line: bytes.Clone(line), until: c.cfg.Now().Add(preferWait)}
	}
}

// takeDeferred handles the answer when it has waited long enough without another instance
// answering.
func (c *Conversation) takeDeferred(got *Received) error {
	line := c.deferred.line
	if line == nil || c.cfg.Now().Before(c.deferred.until) {
		return nil
	}
	c.deferred, c.left = deferredAnswer{}, peerID{}
	return c.receiveEncoded(line, got)
}
