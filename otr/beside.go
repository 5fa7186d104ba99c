package otr

import (
	"bytes"
	"time"

	"otrpipe/otr/v4"
	"otrpipe/otr/wire"
)

// A besideMessage is a message from an instance of the peer other than the session's, with
// the same key, that would make this second instance replace the first. The sender may be a
// second client of the peer, or the peer's only client, started again after a crash. Only a
// sign of life from the first instance can tell. So the message waits for as long as the
// first instance may take to answer an offer of ours. If the first instance has sent anything
// by then, the session stays with it.
type besideMessage struct {
	line  []byte // nil: none waits
	from  peerID
	first peerID // the instance that the session was with
	heard int    // how often first had been heard when line came
	until time.Time
}

// waitsForFirst reports whether a message has to wait for a sign of life from the session's
// own instance. That is a message that would complete a key exchange by which another
// instance replaces it, while the session's instance has not answered the same offer yet; or,
// in version 4, an Identity message from another instance that names the same key.
func (c *Conversation) waitsForFirst(id peerID, t wire.MessageType, body []byte) bool {
	if c.state != StateEncrypted || id.version != c.active.id.version ||
		id.tag == 0 || id.tag == c.active.id.tag || c.silent() {
		return false
	}
	switch t {
	case wire.TypeSignature, wire.TypeAuthR:
		o := c.pending
		if o == nil || !o.open || o.version != id.version || c.passed(o.since) >= c.patience(1) {
			return false
		}
		first := c.active.engine.authState()
		return first == AuthAwaitingDHKey || first == AuthWaitingAuthR
	case wire.TypeIdentity:
		return c.active.engine.namesPeer(id.tag, body)
	}
	return false
}

// holdBeside keeps such a message, and makes the session's instance give a sign of life.
func (c *Conversation) holdBeside(id peerID, t wire.MessageType, line []byte, got *Received) {
	if c.beside.line != nil {
		return // one waits already; this one's sender will repeat it
	}
	now := c.cfg.Now()
	b := besideMessage{line: bytes.Clone(line), from: id, first: c.active.id, heard: c.active.heard, until: now.Add(c.patience(1))}
	if t != wire.TypeIdentity {
		b.until = now.Add(c.patience(1) - c.passed(c.pending.since))
		c.beside = b
		return
	}
	if !c.answers.allow(now) {
		c.tellSecond(id, got)
		return
	}
	c.beside = b
	first := c.active.id
	if c.active.engine.authState() != AuthNone || c.offers(first.version, first.tag) {
		return // it is about to answer anyway
	}
	msg, err := c.offer(first.version, first.tag)
	if err != nil {
		got.event(Malformed{Reason: err})
		return
	}
	c.reply(got, msg, first.version, first.tag)
}

// takeBeside handles the waiting message when its time is up. If the session's own instance
// is alive, the key exchange that an Identity message begins is still completed, so that the
// second client can be told that it gets no session.
func (c *Conversation) takeBeside(got *Received) error {
	b := c.beside
	if b.line == nil || c.cfg.Now().Before(b.until) {
		return nil
	}
	c.beside = besideMessage{}
	msg, err := wire.AppendDearmored(c.decoded[:0], b.line)
	if err != nil {
		return err
	}
	c.decoded = msg
	h, body, err := wire.ParseHeader(msg)
	if err != nil {
		return err
	}
	if h.Type == wire.TypeIdentity && c.state == StateEncrypted && c.active.id == b.first && c.active.heard != b.heard {
		c.instance(b.from).refused = true
	}
	return c.receiveExchange(b.from, h, body, msg, got)
}

// namesPeer reports whether the body of an Identity message from the instance sender names
// the key of the session's peer. Anyone can write such a message: it does not prove that the
// sender has the key.
func (e engineV4) namesPeer(sender uint32, body []byte) bool {
	m, err := v4.ParseIdentity(body)
	k := e.PeerKey()
	return err == nil && m.Profile.InstanceTag == sender && k != nil && k.Names(m.Profile)
}

func (e engineV3) namesPeer(uint32, []byte) bool { return false }
