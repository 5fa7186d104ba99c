package otr

import (
	"time"

	"otrpipe/otr/v4"
	"otrpipe/otr/wire"
)

// NextTick returns when Tick is next due, or the zero time.
func (c *Conversation) NextTick() time.Time {
	var next time.Time
	at := func(t time.Time) {
		if next.IsZero() || t.Before(next) {
			next = t
		}
	}
	if c.state == StateEncrypted {
		if c.cfg.Heartbeat > 0 && !c.Exchanging() {
			at(c.lastSent.Add(c.cfg.Heartbeat))
		}
		if c.cfg.Expire > 0 {
			at(c.keysSince.Add(c.cfg.Expire))
		}
	}
	maybe := func(t time.Time) {
		if !t.IsZero() {
			at(t)
		}
	}
	waiting, under := false, false
	for _, p := range c.peers {
		if until, ok := c.waits(p); ok {
			maybe(until)
			waiting = true
		}
		retry := c.retryAt(p)
		under = under || !retry.IsZero()
		if p.retries < maxRetries {
			maybe(retry)
		}
	}
	if o := c.pending; o != nil {
		if !waiting {
			maybe(c.dueAt(o.since, exchangeTimeout))
		}
		if o.known {
			maybe(c.dueAt(o.first, maxPatience))
		}
		if !under {
			maybe(c.offerAt())
		}
	}
	maybe(c.held.at)
	maybe(c.settling.until)
	maybe(c.earlyAt())
	if c.state == StateEncrypted {
		if t := c.active.engine.nextExpiry(); !t.IsZero() {
			at(t)
		}
	}
	if t := c.assembler.NextExpiry(); !t.IsZero() {
		at(t)
	}
	if c.deferred.line != nil {
		at(c.deferred.until)
	}
	if c.beside.line != nil {
		at(c.beside.until)
	}
	return next
}

// Expires returns when the session will end because its keys have not changed, and the limit
// for that (Config.Expire); the zero time if it does not expire.
func (c *Conversation) Expires() (time.Time, time.Duration) {
	if c.state != StateEncrypted || c.cfg.Expire <= 0 {
		return time.Time{}, 0
	}
	return c.keysSince.Add(c.cfg.Expire), c.cfg.Expire
}

// Tick does what is due by the clock: it sends a heartbeat, ends an expired session, retries
// a stalled key exchange, and forgets what has waited too long. It also handles data messages
// that came before their session began, one per call. To get texts in order, call Tick after
// Receive until NextTick is in the future.
func (c *Conversation) Tick() (Received, error) { return c.TickWith() }

// TickWith is like Tick, with further records in the last message of an expired session.
func (c *Conversation) TickWith(last ...wire.TLV) (Received, error) {
	var got Received
	now := c.cfg.Now()
	c.assembler.Expire(now)
	if c.assembler.ExpireCut(now) {
		got.event(Malformed{Reason: wire.ErrCut})
	}
	c.abandon(now)
	if c.settling.offer != nil && !now.Before(c.settling.until) {
		c.settled()
	}
	c.answerHeld(now, &got)
	c.retryAll(now, &got)
	if err := c.takeDeferred(&got); err != nil {
		return got, err
	}
	if err := c.takeBeside(&got); err != nil {
		return got, err
	}
	if at := c.earlyAt(); !at.IsZero() && !now.Before(at) {
		err := c.receiveEarly(now, &got)
		return got, err
	}
	if c.state != StateEncrypted {
		return got, nil
	}
	c.active.engine.expire(now)
	if c.cfg.Expire > 0 && now.Sub(c.keysSince) >= c.cfg.Expire {
		c.smpEnds(&got)
		id, with := c.active.id, c.active.engine.peerFingerprint()
		lines, err := c.EndWith(last...)
		c.endedWith = with
		if id.version == v4.Version {
			// As version 4 specifies; versions 2 and 3 have no expiry.
			c.active, c.state = c.instance(id), StateFinished
		}
		got.Send = append(got.Send, lines...)
		got.event(Ended{Expired: true})
		return got, err
	}
	if c.cfg.Heartbeat > 0 && now.Sub(c.lastSent) >= c.cfg.Heartbeat && !c.Exchanging() {
		lines, err := c.internal()
		got.Send = append(got.Send, lines...)
		return got, err
	}
	return got, nil
}
