package otr

import (
	"fmt"
	"time"

	"otrpipe/otr/smp"
	"otrpipe/otr/v4"
	"otrpipe/otr/wire"
)

// A pendingOffer is the key exchange that we have begun and that no instance
// has completed yet.
type pendingOffer struct {
	offer
	version int
	open    bool // sent to whoever answers, not to one instance
	since   time.Time
}

func (p *pendingOffer) state() AuthState {
	if p.version == v4.Version {
		return AuthWaitingAuthR
	}
	return AuthAwaitingDHKey
}

// Query returns the query message that asks the peer for a session in any of
// the versions that Policy allows: "User requests to start an OTR
// conversation".
func (c *Conversation) Query() [][]byte {
	return [][]byte{wire.AppendQuery(nil, c.versions())}
}

// Refresh begins a new key exchange: with the instance that the session is
// with, in its version, or else with whoever answers in the best version. Where
// an exchange is under way already there is nothing to send: that one will do.
func (c *Conversation) Refresh() ([][]byte, error) {
	version, receiver := 0, uint32(0)
	if c.state == StateEncrypted {
		version, receiver = c.active.id.version, c.active.id.tag
	} else {
		version = best(c.versions(), c.protocols)
	}
	msg, err := c.begin(version, receiver)
	if msg == nil {
		return nil, err
	}
	return c.lines(msg, version, receiver)
}

// best returns the highest offered version that is among ours, or 0.
func best(offered wire.Versions, ours map[int]protocol) int {
	highest := 0
	for version := range ours {
		if offered.Has(version) {
			highest = max(highest, version)
		}
	}
	return highest
}

// begin returns the message that begins a key exchange; receiver 0 means
// whoever answers. An exchange that is already offered is offered again, the
// same, and one that has gone further is left to end: nil. A D-H Key Message
// does not say which commitment it answers, so two exchanges of one end would
// take each other's messages, and both ends could wait for ever.
func (c *Conversation) begin(version int, receiver uint32) ([]byte, error) {
	if c.answered() != nil {
		return nil, nil
	}
	open := receiver == 0
	if !open {
		c.instance(peerID{version: version, tag: receiver})
	}
	if c.pending == nil || c.pending.version != version || c.pending.revealed() {
		o, err := c.protocols[version].newOffer()
		if err != nil {
			return nil, err
		}
		c.withdraw()
		c.pending = &pendingOffer{offer: o, version: version}
	}
	c.pending.since = c.cfg.Now()
	c.pending.open = c.pending.open || open
	for id, p := range c.peers {
		if id.version == version && (open || id.tag == receiver) {
			p.engine.begin(c.pending.offer)
		}
	}
	return c.pending.message(receiver), nil
}

// answered returns the instance that a key exchange is past its first message
// with, unless its next message is overdue.
func (c *Conversation) answered() *peer {
	for _, p := range c.peers {
		switch p.engine.authState() {
		case AuthAwaitingRevealSig, AuthAwaitingSig, AuthWaitingAuthI:
			if c.cfg.Now().Sub(p.stepped) < overdueAfter {
				return p
			}
		}
	}
	return nil
}

// withdraw forgets the pending offer, wherever it is held.
func (c *Conversation) withdraw() {
	if c.pending == nil {
		return
	}
	for _, p := range c.peers {
		p.engine.forget()
	}
	c.pending.wipe()
	c.pending = nil
}

// answerQuery begins a key exchange in the best common version: "Receiving a
// Query Message". A session of version 4 is not given up for one.
func (c *Conversation) answerQuery(offered wire.Versions, got *Received) {
	if c.state == StateEncrypted && c.active.id.version == v4.Version {
		c.probe(got)
		return
	}
	version := best(offered, c.protocols)
	if version == 0 || c.downgrades(version) || !c.answers.allow(c.cfg.Now()) {
		got.event(Queried{Offered: offered, Common: version})
		return
	}
	if p := c.answered(); p != nil {
		got.event(Queried{Offered: offered, Common: version, Answer: p.id.version})
		return
	}
	msg, err := c.begin(version, 0)
	if err != nil {
		got.event(Malformed{Reason: err})
		return
	}
	got.event(Queried{Offered: offered, Common: version, Answer: version})
	if c.state == StateEncrypted {
		got.event(Restarted{})
	}
	c.reply(got, msg, version, 0)
}

// probe sends an empty message that the peer is to complain about where it
// cannot read it. If it was the peer who asked, because it has lost the session,
// it learns from that with whom to begin another; if it was somebody else,
// nothing happens.
func (c *Conversation) probe(got *Received) {
	if c.Exchanging() || !c.answers.allow(c.cfg.Now()) {
		return
	}
	b, err := c.AppendMessage(nil, Message{})
	if err != nil {
		got.event(Malformed{Reason: err})
		return
	}
	got.Send = append(got.Send, split(b)...)
}

// downgrades says whether a session in this version would replace a better one
// that is alive.
func (c *Conversation) downgrades(version int) bool {
	return c.state == StateEncrypted && version < c.active.id.version && !c.silent()
}

// silent says whether the instance that our session is with has not been heard
// for long.
func (c *Conversation) silent() bool { return c.cfg.Now().Sub(c.active.seen) >= takeOverAfter }

// restart begins a key exchange with an instance that writes under keys that
// we do not have.
func (c *Conversation) restart(id peerID, got *Received) {
	if !c.cfg.Policy.Has(RestartAKE) || c.closed || c.state == StateFinished ||
		!c.restarts.allow(c.cfg.Now()) {
		return
	}
	msg, err := c.begin(id.version, id.tag)
	if err != nil {
		got.event(Malformed{Reason: err})
		return
	}
	if msg == nil {
		return
	}
	got.event(Restarted{})
	c.reply(got, msg, id.version, id.tag)
}

// instance returns the engine for the sender of a message. It knows what was
// offered to whoever answers.
func (c *Conversation) instance(id peerID) *peer {
	if p := c.peers[id]; p != nil {
		return p
	}
	if len(c.peers) == maxInstances {
		c.forgetOldest()
	}
	p := &peer{id: id, engine: c.protocols[id.version].newEngine(id.tag)}
	if c.pending != nil && c.pending.version == id.version && c.pending.open {
		p.engine.begin(c.pending.offer)
	}
	c.peers[id] = p
	return p
}

func (c *Conversation) forgetOldest() {
	var oldest *peer
	for _, p := range c.peers {
		if p != c.active && (oldest == nil || p.seen.Before(oldest.seen)) {
			oldest = p
		}
	}
	oldest.engine.wipe()
	delete(c.peers, oldest.id)
}

// mayExchange says whether a key exchange with this instance may go on. The
// session sticks to the instance that it is with, unless we asked anybody to
// answer, or that instance has fallen silent. Messages of older versions count
// only before and after a session of version 4 ("Protocol Events"), or whoever
// cuts a line for a while could have the next session in a version of his choice;
// in StateFinished we may have asked for it.
func (c *Conversation) mayExchange(p *peer) bool {
	if c.state != StatePlaintext && c.active.id.version == v4.Version && p.id.version < v4.Version {
		return c.state == StateFinished && c.pending != nil && c.pending.version == p.id.version
	}
	return c.state != StateEncrypted || p == c.active || c.upgrades(p) ||
		c.pending != nil && c.pending.open && c.pending.version == p.id.version ||
		c.silent()
}

// becomeSecure makes p's new session the conversation's.
func (c *Conversation) becomeSecure(p *peer, got *Received) {
	refreshed := c.state == StateEncrypted
	switch {
	case c.SMPOutcomeShown():
		c.smpEnds(got)
	case c.SMPState() != smp.StateExpect1:
		got.event(SMPAborted{})
	}
	c.closeSession()
	if c.active != nil && c.active != p {
		c.active.engine.wipe()
		delete(c.peers, c.active.id)
	}
	c.withdraw()
	for _, other := range c.peers {
		other.engine.forget()
	}
	c.active, c.state, c.closed, c.upgradable = p, StateEncrypted, false, false
	c.left, c.deferred = peerID{}, deferredAnswer{}
	now := c.cfg.Now()
	c.secureSince, c.keysSince, c.lastSent = now, now, now
	c.rotations = p.engine.keyRotations()
	session, _ := c.Session()
	got.event(Secure{Session: session, Refreshed: refreshed})
	c.sendStored(got)
}

// waits says until when a key exchange with p is waited for; false: there is
// none.
func (c *Conversation) waits(p *peer) (until time.Time, ok bool) {
	if p.engine.authState() == AuthNone {
		return time.Time{}, false
	}
	until = p.stepped
	if c.pending != nil && c.pending.since.After(until) {
		until = c.pending.since
	}
	return until.Add(exchangeTimeout), true
}

// abandon gives up what has waited too long for the peer.
func (c *Conversation) abandon(now time.Time) {
	waiting := false
	for id, p := range c.peers {
		until, ok := c.waits(p)
		switch {
		case !ok:
		case now.Before(until):
			waiting = true
		default:
			p.engine.forget()
			if p != c.active {
				p.engine.wipe()
				delete(c.peers, id)
			}
		}
	}
	if c.pending != nil && !waiting && now.Sub(c.pending.since) >= exchangeTimeout {
		c.withdraw()
	}
}

// reply adds a message, in as many lines as it needs, to what is to be sent.
func (c *Conversation) reply(got *Received, msg []byte, version int, receiver uint32) {
	lines, err := c.lines(msg, version, receiver)
	if err != nil {
		got.event(Malformed{Reason: fmt.Errorf("otr: reply: %w", err)})
		return
	}
	got.Send = append(got.Send, lines...)
}
