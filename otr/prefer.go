package otr

import (
	"bytes"
	"time"

	"otrpipe/otr/wire"
)

// preferWait is how long the answer of an instance that has ended its session waits for
// the answer of another one: longer than clients of one person take to answer the same
// message, and short for a person whose only client asks again.
const preferWait = time.Second

// A deferredAnswer is an answer to our offer that waits. When the peer's first client has
// ended its session and another one asks for one by a query, which names nobody, our offer
// goes to both and both answer. The session, and what waits to be sent, is for the one that
// asked, and that is not the one that has just left.
type deferredAnswer struct {
	line  []byte
	until time.Time
}

// defers says whether an answer to our offer has to wait for that of another instance.
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

// takeDeferred handles an answer that has waited long enough: nobody else wants the session.
func (c *Conversation) takeDeferred(got *Received) error {
	line := c.deferred.line
	if line == nil || c.cfg.Now().Before(c.deferred.until) {
		return nil
	}
	c.deferred, c.left = deferredAnswer{}, peerID{}
	return c.receiveEncoded(line, got)
}
