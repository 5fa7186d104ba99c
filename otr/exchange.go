package otr

import (
	"encoding/binary"
	"fmt"
	"io"
	"slices"
	"time"

	"otrpipe/otr/smp"
	"otrpipe/otr/v3"
	"otrpipe/otr/v4"
	"otrpipe/otr/wire"
)

// A pendingOffer is a key exchange that we have begun and that no instance has completed yet.
type pendingOffer struct {
	offer
	version  int
	open     bool      // sent to any instance that answers, not to one
	receiver uint32    // the latest receiver; 0: any instance
	first    time.Time // when it was sent first
	since    time.Time // when it was sent last
	sends    int
	asked    bool // made because of a query or a whitespace tag
	known    bool // sent to Config.Peer, and no exchange has made progress since
}

func (p *pendingOffer) state() AuthState {
	if p.version == v4.Version {
		return AuthWaitingAuthR
	}
	return AuthAwaitingDHKey
}

// A heldAnswer is an answer to the peer's query that waits for a moment because the peer may
// be about to answer our query.
type heldAnswer struct {
	version int
	at      time.Time // when to send it; zero: there is none
}

// Query returns the query message that asks the peer for a session in any of the versions
// that Policy allows: section "User requests to start an OTR conversation". Where possible
// use Start instead, because a query that arrives during a key exchange or a session makes
// some clients continue without encryption.
func (c *Conversation) Query() [][]byte {
	if c.queried.IsZero() {
		c.queried = c.cfg.Now()
	}
	c.delays.sent(c.cfg.Now())
	query := wire.AppendQuery(nil, c.versions())
	if n := len(query) + 1 + len(c.cfg.QueryText); c.cfg.QueryText != "" && (c.cfg.MaxSize == 0 || n <= c.cfg.MaxSize) {
		query = append(append(query, ' '), c.cfg.QueryText...)
	}
	return [][]byte{query}
}

// Start returns the lines that ask the peer for a session. It returns none while a key
// exchange is under way, a new key exchange if there is a session, an offer to Config.Peer if
// that is set and has not failed to answer, and otherwise a query. After a version 3 session
// it makes an offer to any instance, because after a query some clients send the next texts
// unencrypted until the new session has begun.
func (c *Conversation) Start() ([][]byte, error) {
	known := c.cfg.Peer
	if known.Version == 0 && c.met {
		known.Version = v3.Version3 // any instance may answer
	}
	switch {
	case c.UnderWay():
		return nil, nil
	case c.state == StateEncrypted:
		return c.Refresh()
	case known.Version != 0 && !c.peerSilent && c.protocols[known.Version] != nil:
		msg, err := c.begin(known.Version, known.Instance)
		if msg == nil {
			return nil, err
		}
		c.pending.known = true
		return c.exchangeLines(msg, known.Version, known.Instance)
	}
	return c.Query(), nil
}

// UnderWay reports whether a key exchange is under way: begun, and neither complete nor given
// up.
func (c *Conversation) UnderWay() bool {
	return c.AuthState() != AuthNone || !c.held.at.IsZero()
}

// Refresh begins a new key exchange: in a session with its instance and version, otherwise
// with any instance in the best version. If an exchange is under way already, there is
// nothing to send, because that one serves the same purpose.
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
	return c.exchangeLines(msg, version, receiver)
}

// exchangeLines is like lines, for a message of a key exchange.
func (c *Conversation) exchangeLines(msg []byte, version int, receiver uint32) ([][]byte, error) {
	c.delays.sent(c.cfg.Now())
	return c.lines(msg, version, receiver)
}

// best returns the highest version that is both offered and among ours, or 0.
func best(offered wire.Versions, ours map[int]protocol) int {
	highest := 0
	for version := range ours {
		if offered.Has(version) {
			highest = max(highest, version)
		}
	}
	return highest
}

// begin returns the message that begins a key exchange; receiver 0 means any instance that
// answers. It returns nil if an exchange has gone further or an offer is still fresh, and
// lets that one finish. If the offer is no longer fresh, the same offer is sent again. A
// different one would not do: a D-H Key Message does not say which commitment it answers, so
// two exchanges of one end would take each other's messages, and both ends could wait
// forever.
func (c *Conversation) begin(version int, receiver uint32) ([]byte, error) {
	if c.answered() != nil || c.offers(version, receiver) {
		return nil, nil
	}
	return c.offer(version, receiver)
}

// offers reports whether there is a fresh offer in this version that this receiver has been
// sent; receiver 0 accepts an offer to any instance.
func (c *Conversation) offers(version int, receiver uint32) bool {
	o := c.pending
	return o != nil && o.version == version && !o.revealed() && c.passed(o.since) < c.patience(o.sends) &&
		(o.open || receiver == 0 || o.receiver == receiver)
}

// offer makes an offer, or repeats the pending one.
func (c *Conversation) offer(version int, receiver uint32) ([]byte, error) {
	open := receiver == 0
	if !open {
		c.instance(peerID{version: version, tag: receiver})
	}
	now := c.cfg.Now()
	var replaced *pendingOffer
	if c.pending == nil || c.pending.version != version || c.pending.revealed() {
		o, err := c.protocols[version].newOffer()
		if err != nil {
			return nil, err
		}
		replaced, c.pending = c.pending, &pendingOffer{offer: o, version: version, first: now}
	}
	o := c.pending
	o.since, o.receiver, o.open = now, receiver, o.open || open
	o.sends++
	for id, p := range c.peers {
		switch {
		case id.version == version && (open || id.tag == receiver):
			if p.second {
				p.second = false // it may get the next session
				p.engine.forget()
			}
			p.refused = false
			c.unsure = c.unsure || p == c.active && p.engine.exchanging()
			p.engine.begin(o.offer)
			p.stepped = now
		case replaced != nil && p == c.active:
			// The offer before was in the session's version, and the peer may have new keys by it.
			c.unsure = p.engine.relinquish() || c.unsure
		case replaced != nil && !p.second:
			p.engine.forget()
		}
	}
	if replaced != nil {
		replaced.wipe() // only now, because begin may keep a copy for a late Signature
	}
	return o.message(receiver), nil
}

// answered returns an instance with which a key exchange has passed its first message, unless
// its last progress was some time ago. A peer that asks for a session after that has lost the
// exchange, because lines arrive in the order in which they were sent. Of several instances it is the
// one in the highest version.
func (c *Conversation) answered() *peer {
	var found *peer
	for _, p := range c.peers {
		if p.refused || found != nil && !p.id.above(found.id) {
			continue
		}
		switch p.engine.authState() {
		case AuthAwaitingRevealSig, AuthAwaitingSig, AuthWaitingAuthI:
			if c.passed(p.stepped) < c.retryAfter(p.retries+1) {
				found = p
			}
		}
	}
	return found
}

// withdraw forgets the pending offer, in all engines that hold it.
func (c *Conversation) withdraw() {
	if c.pending == nil {
		return
	}
	for _, p := range c.peers {
		if !p.second {
			p.engine.forget()
		}
	}
	c.pending.wipe()
	c.pending = nil
}

// answerQuery begins a key exchange in the best common version: section "Receiving a Query
// Message". A query does not name its sender, so the answer is for any instance. In a session
// the sender may be the session's peer, which has lost it, or another instance.
func (c *Conversation) answerQuery(offered wire.Versions, got *Received) {
	version := best(offered, c.protocols)
	queried := Queried{Offered: offered, Common: version}
	switch {
	case version == 0 || c.downgrades(version):
	case c.straggles():
		queried.Answer = c.active.id.version
	case c.answered() != nil:
		queried.Answer = c.answered().id.version
	case c.offers(version, 0) || !c.held.at.IsZero():
		queried.Answer = version
	case !c.answers.allow(c.cfg.Now()):
	case c.asked():
		moment, err := c.moment()
		if err != nil {
			got.event(Malformed{Reason: err})
			return
		}
		c.held = heldAnswer{version: version, at: c.cfg.Now().Add(moment)}
		queried.Answer = version
	default:
		queried.Answer = version
		got.event(queried)
		c.answerNow(version, got)
		return
	}
	got.event(queried)
}

// answerNow begins the key exchange that a query asks for.
func (c *Conversation) answerNow(version int, got *Received) {
	msg, err := c.begin(version, 0)
	if err != nil {
		got.event(Malformed{Reason: err})
		return
	}
	if msg == nil {
		return
	}
	c.pending.asked = true
	if c.state == StateEncrypted {
		got.event(Restarted{})
	}
	c.reply(got, msg, version, 0)
}

// straggles reports whether a query that arrives now was most likely sent before the session
// began.
func (c *Conversation) straggles() bool {
	return c.state == StateEncrypted && c.active.id.version == v4.Version &&
		c.passed(c.secureSince) < leastPatience
}

// asked reports whether the peer may be about to answer a query of ours.
func (c *Conversation) asked() bool {
	return c.state != StateEncrypted && !c.queried.IsZero() && c.pending == nil && c.passed(c.queried) < c.patience(1)
}

// moment draws a random time for the answer to a query to wait.
func (c *Conversation) moment() (time.Duration, error) {
	var b [4]byte
	if _, err := io.ReadFull(c.cfg.Rand, b[:]); err != nil {
		return 0, fmt.Errorf("otr: random wait: %w", err)
	}
	return time.Duration(binary.BigEndian.Uint32(b[:])) * ownQueryMoment >> 32, nil
}

// answerHeld sends the answer that was held back, unless a key exchange has begun in the
// meantime.
func (c *Conversation) answerHeld(now time.Time, got *Received) {
	if c.held.at.IsZero() || now.Before(c.held.at) {
		return
	}
	version := c.held.version
	c.held = heldAnswer{}
	if c.state != StateEncrypted && c.AuthState() == AuthNone {
		c.answerNow(version, got)
	}
}

// downgrades reports whether a session in this version would replace a better one that is
// alive. A version 4 session is never replaced by an older version, however long the peer is
// silent.
func (c *Conversation) downgrades(version int) bool {
	return c.state == StateEncrypted && version < c.active.id.version &&
		(c.active.id.version == v4.Version || !c.silent())
}

// silent reports whether the session's instance has been silent for takeOverAfter.
func (c *Conversation) silent() bool { return c.cfg.Now().Sub(c.active.seen) >= takeOverAfter }

// restart begins a key exchange with an instance that writes under keys that we do not have.
// It does nothing in a version 4 session: anyone can send an unreadable message, and a peer
// that has lost the session sends an Identity message.
func (c *Conversation) restart(id peerID, got *Received) {
	switch {
	case !c.cfg.Policy.Has(RestartAKE) || c.closed || c.state == StateFinished,
		c.state == StateEncrypted && c.active.id.version == v4.Version,
		c.answered() != nil || c.offers(id.version, id.tag),
		!c.restarts.allow(c.cfg.Now()):
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

// instance returns the peer with this id, and creates it if necessary. A new engine gets the
// pending offer if that is for any instance.
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

// mayExchange reports whether a key exchange with this instance may go on. During a version 4
// session, messages of older versions are ignored (section "Protocol Events"); otherwise an
// attacker who cuts the line for a while could choose the version of the next session. In
// StateFinished we may have asked for an older version. A session of version 2 or 3 stays
// with its instance, unless we asked any instance to answer, or that instance has fallen
// silent.
func (c *Conversation) mayExchange(p *peer) bool {
	if c.state != StatePlaintext && c.active.id.version == v4.Version && p.id.version < v4.Version {
		return c.state == StateFinished && c.pending != nil && c.pending.version == p.id.version
	}
	return c.state != StateEncrypted || p == c.active || c.upgrades(p) ||
		c.active.id.version == v4.Version ||
		c.pending != nil && c.pending.open && c.pending.version == p.id.version ||
		c.silent()
}

// succeeded handles the success of a key exchange with p. Only the same key may replace a
// session that is alive: its peer has new session keys, or has come back with another
// instance tag. An instance with another key is refused and reported. So is an instance with
// the same key if the session's own instance has answered the same offer.
func (c *Conversation) succeeded(p *peer, got *Received) {
	same := c.active != nil && p.engine.peerFingerprint() == c.active.engine.peerFingerprint()
	second := p.second || p.refused && c.state == StateEncrypted || p != c.active && c.state == StateEncrypted && c.pending != nil && c.pending.open &&
		c.active.engine.authState() == AuthAwaitingSig
	switch {
	case !second && (same || c.state != StateEncrypted || p == c.active || c.silent() || c.upgrades(p)):
		c.becomeSecure(p, got)
		return
	case same || c.state != StateEncrypted:
		c.tellSecond(p.id, got)
	default:
		c.noteSecond(p.id)
		got.event(OtherKey{Fingerprint: p.engine.peerFingerprint(), Version: p.id.version, Instance: p.id.tag})
	}
	c.refuse(p, got)
}

// refuse ends the new session with p, and tells only p, by sending Disconnected in it.
func (c *Conversation) refuse(p *peer, got *Received) {
	last, err := p.engine.sealLast(nil, wire.FlagIgnoreUnreadable, wire.Plaintext{TLVs: []wire.TLV{{Type: wire.TLVDisconnected}}})
	if err != nil {
		got.event(Malformed{Reason: err})
	} else {
		c.reply(got, last, p.id.version, p.id.tag)
	}
	p.engine.wipe()
	delete(c.peers, p.id)
}

// tellSecond reports, once per instance, that an instance other than the session's has taken
// part in a key exchange and gets no session. It reports nothing if one of the two has no
// instance tag, as in version 2, because they may be the same client.
func (c *Conversation) tellSecond(id peerID, got *Received) {
	if c.state != StateEncrypted || id.tag == 0 || c.active.id.tag == 0 || id.tag == c.active.id.tag ||
		slices.Contains(c.toldOf, id.tag) || !c.seconds.allow(c.cfg.Now()) {
		return
	}
	c.noteSecond(id)
	got.event(SecondClient{Version: id.version, Instance: id.tag})
}

// noteSecond records that another instance has been reported to the user.
func (c *Conversation) noteSecond(id peerID) {
	if slices.Contains(c.toldOf, id.tag) {
		return
	}
	if len(c.toldOf) == maxInstances {
		c.toldOf = slices.Delete(c.toldOf, 0, 1)
	}
	c.toldOf = append(c.toldOf, id.tag)
}

// becomeSecure makes the new session with p the session of the conversation.
func (c *Conversation) becomeSecure(p *peer, got *Received) {
	refreshed := c.state == StateEncrypted
	if !refreshed {
		c.toldOf = c.toldOf[:0]
	}
	switch {
	case c.SMPOutcomeShown():
		c.smpEnds(got)
	case c.SMPState() != smp.StateExpect1:
		got.event(SMPAborted{})
	}
	c.replace(p, got)
	c.closeSession()
	p.retries = 0
	for _, other := range c.peers {
		if other != p && !other.second {
			other.second = other.engine.relinquish()
		}
	}
	if p.engine.authState() == AuthNone {
		c.settle(p)
		c.withdraw()
	}
	c.active, c.state, c.closed, c.upgradable = p, StateEncrypted, false, false
	c.left, c.deferred = peerID{}, deferredAnswer{}
	c.held, c.queried = heldAnswer{}, time.Time{}
	c.peerSilent, c.unsure, c.claimed = false, false, false
	c.met = p.id.version == v3.Version3
	now := c.cfg.Now()
	c.secureSince, c.keysSince, c.lastSent = now, now, now
	c.rotations = p.engine.keyRotations()
	session, _ := c.Session()
	got.event(Secure{Session: session, Refreshed: refreshed})
	c.sendStored(got)
}

// replace ends the session before the one with p, if it was with another instance or in another
// version. The MAC keys that have verified its messages are revealed: by the next message to p
// or, if versions 3 and 4 meet, by a last message of the old session. That goes out before our
// last message of the key exchange, so that a peer that has no new session yet can read it.
func (c *Conversation) replace(p *peer, got *Received) {
	c.replaced = peerID{}
	old := c.active
	if old == nil || old == p {
		return
	}
	if !p.engine.inherit(old.engine) && c.state == StateEncrypted {
		lines, err := c.lastWords(old)
		if err != nil {
			got.event(Malformed{Reason: err})
		}
		got.Send = slices.Insert(got.Send, 0, lines...)
		c.replaced = old.id
	}
	old.engine.wipe()
	delete(c.peers, old.id)
}

// lastWords drops the session with p, and returns an empty message of it that reveals all MAC
// keys that have verified a message.
func (c *Conversation) lastWords(p *peer) ([][]byte, error) {
	text, flags, err := c.plaintext(Message{IgnoreUnreadable: true, RevealAll: true})
	if err != nil {
		return nil, err
	}
	sealed, err := p.engine.sealLast(nil, flags, text)
	if err != nil {
		return nil, err
	}
	return c.lines(sealed, p.id.version, p.id.tag)
}

// A settling is an offer that was sent more than once and whose session has begun. A peer
// that answers every copy with new keys drops the earlier ones, so we wait for its later
// answers, and send nothing until then.
type settling struct {
	offer  offer
	engine engine
	until  time.Time
}

// settle keeps the pending offer, which p has answered, until the answer to its last copy
// must have come.
func (c *Conversation) settle(p *peer) {
	if !p.engine.settling() {
		c.settled() // that was the last answer
		return
	}
	o := c.pending
	if o == nil || o.version != p.id.version {
		return
	}
	const margin = 300 * time.Millisecond
	until := o.since.Add(c.delays.trip + c.delays.trip/4 + margin)
	if !c.cfg.Now().Before(until) {
		p.engine.settled()
		return
	}
	c.settled()
	c.settling = settling{offer: o.offer, engine: p.engine, until: until}
	c.pending = nil
}

// settled stops waiting for further answers.
func (c *Conversation) settled() {
	if c.settling.offer != nil {
		c.settling.engine.settled()
		c.settling.offer.wipe()
		c.settling = settling{}
	}
}

// retryAt returns when to act on a stalled key exchange with p; zero: never.
func (c *Conversation) retryAt(p *peer) time.Time {
	if p.refused {
		return time.Time{} // it gets no session
	}
	switch state := p.engine.authState(); {
	case state == AuthAwaitingRevealSig && p.engine.crossed() && c.pending != nil:
		// Some peers whose commitment has won wait for a message that never comes, until they
		// see our commitment again.
		wait := max(leastPatience, c.delays.trip+c.delays.trip/4+ownQueryMoment)
		return c.afterPieces(c.dueAt(p.moved(), wait<<p.retries))
	case state == AuthAwaitingRevealSig, state == AuthAwaitingSig:
		return c.afterPieces(c.dueAt(p.moved(), c.retryAfter(p.retries+1)))
	case state == AuthWaitingAuthI:
		due := c.dueAt(p.moved(), c.retryAfter(p.retries+1))
		if most := c.dueAt(p.awaitsAuthI, exchangeTimeout); most.Before(due) {
			due = most // anyone can repeat the peer's Identity message for ever
		}
		return c.afterPieces(due)
	}
	return time.Time{}
}

// moved returns when either side last sent something in the key exchange with p.
func (p *peer) moved() time.Time {
	if p.retried.After(p.stepped) {
		return p.retried
	}
	return p.stepped
}

// retry acts on a stalled key exchange with p.
func (c *Conversation) retry(p *peer, got *Received) {
	p.retried = c.cfg.Now()
	p.retries++
	var msg []byte
	var err error
	switch state := p.engine.authState(); {
	case state == AuthAwaitingRevealSig && p.engine.crossed() && c.pending != nil:
		msg = c.pending.message(p.id.tag)
	case state == AuthAwaitingRevealSig && (p.retries < maxRetries || c.state == StateEncrypted && p == c.active):
		// The peer has begun the exchange. It may still be making its key, or sending its
		// answer slowly, and an exchange of our own would abandon the one that it continues.
		// So starting our own is the last resort, for a peer that has forgotten that it
		// began. In a session there is no need for it: the old keys still serve, and our
		// answer may be in a queue behind texts.
		msg = p.engine.unanswered()
	default:
		if missed := p.engine.unanswered(); missed != nil {
			c.reply(got, missed, p.id.version, p.id.tag)
		}
		msg, err = c.offer(p.id.version, p.id.tag)
	}
	if err != nil {
		got.event(Malformed{Reason: err})
		return
	}
	c.reply(got, msg, p.id.version, p.id.tag)
}

// maxRetries bounds how often we retry an exchange with one instance without an answer; after
// that it waits until it is given up.
const maxRetries = 4

// retryAll retries all stalled key exchanges that are due.
func (c *Conversation) retryAll(now time.Time, got *Received) {
	under := false
	for _, p := range c.peers {
		at := c.retryAt(p)
		if at.IsZero() {
			continue
		}
		under = true
		if p.retries < maxRetries && !now.Before(at) {
			c.retry(p, got)
		}
	}
	o := c.pending
	if at := c.offerAt(); under || at.IsZero() || now.Before(at) {
		return
	}
	if c.unwanted(o) {
		c.withdraw()
		return
	}
	msg, err := c.offer(o.version, o.receiver)
	if err != nil {
		got.event(Malformed{Reason: err})
		return
	}
	c.reply(got, msg, o.version, o.receiver)
}

// offerAt returns when to repeat the pending offer, or, in a session, to give it up; zero:
// never.
func (c *Conversation) offerAt() time.Time {
	o := c.pending
	if o == nil || o.sends > maxRetries && !c.unwanted(o) {
		return time.Time{}
	}
	due := c.afterPieces(c.dueAt(o.since, c.retryAfter(o.sends)))
	if due.IsZero() || !c.unwanted(o) {
		return due
	}
	if late := c.lateUntil(); late.After(due) {
		return late
	}
	return due
}

// afterPieces postpones a due time while the fragments of a message are still arriving.
func (c *Conversation) afterPieces(due time.Time) time.Time {
	if due.IsZero() || c.piece.IsZero() {
		return due
	}
	if whole := c.piece.Add(pieceGap); whole.After(due) {
		return whole
	}
	return due
}

// unwanted reports whether the session should keep its old keys because the peer does not
// answer an offer of new ones. If the peer may have new keys already, its last message in the
// earlier exchange may still be on its way, and giving up would lose that too.
func (c *Conversation) unwanted(o *pendingOffer) bool {
	sends := refreshSends
	if c.unsure {
		sends = maxRetries + 1
	}
	return c.state == StateEncrypted && o.version == v4.Version && o.sends >= sends
}

// lateUntil returns until when the session's peer may still send the last message of the
// exchange before our offer; zero: it cannot. Our answer in that exchange may have been in a
// queue for minutes. As long as the peer writes, or repeats what we have answered, it has not
// given up.
func (c *Conversation) lateUntil() time.Time {
	if !c.active.engine.late() {
		return time.Time{}
	}
	until := c.heard(c.active).Add(exchangeTimeout)
	if most := c.delays.departure(c.active.replied).Add(maxQueue); most.Before(until) {
		return most
	}
	return until
}

// dueAt returns the time d after something sent at since has left; zero: it has not left yet.
func (c *Conversation) dueAt(since time.Time, d time.Duration) time.Time {
	if c.delays.waiting {
		return time.Time{}
	}
	return c.delays.departure(since).Add(d)
}

// waits returns how long to wait for a key exchange with p; false: there is none. While the
// session's peer goes on to write, its answer may be in a queue behind what it writes.
func (c *Conversation) waits(p *peer) (until time.Time, ok bool) {
	if p.second {
		return c.dueAt(p.moved(), exchangeTimeout), true
	}
	if p.engine.authState() == AuthNone && (p != c.active || !p.engine.late()) {
		return time.Time{}, false
	}
	until = p.moved()
	if c.pending != nil && c.pending.since.After(until) {
		until = c.pending.since
	}
	if heard := c.heard(p); p == c.active && heard.After(until) && heard.Sub(p.stepped) < maxQueue {
		until = heard
	}
	return c.dueAt(until, exchangeTimeout), true
}

// abandon gives up the key exchanges and offers that have waited too long for the peer.
func (c *Conversation) abandon(now time.Time) {
	if c.delays.waiting {
		return
	}
	if o := c.pending; o != nil && o.known && c.passed(o.first) >= maxPatience {
		c.peerSilent = true
		c.withdraw()
	}
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
	if c.pending != nil && !waiting && c.passed(c.pending.since) >= exchangeTimeout {
		c.withdraw()
	}
	c.unsure = c.unsure && c.UnderWay()
}

// reply adds the lines of a key exchange message to got.Send.
func (c *Conversation) reply(got *Received, msg []byte, version int, receiver uint32) {
	lines, err := c.exchangeLines(msg, version, receiver)
	if err != nil {
		got.event(Malformed{Reason: fmt.Errorf("otr: reply: %w", err)})
		return
	}
	got.Send = append(got.Send, lines...)
}
