package otr

import "time"

// A delays is what a Conversation knows of how long its lines take.
type delays struct {
	tracked bool      // the caller calls Departed
	waiting bool      // lines of a key exchange have not left yet
	first   time.Time // when the first of those was returned that left last
	left    time.Time // when they left
	trip    time.Duration
}

// TrackDepartures says that Departed will be called. Until then every line
// counts as gone when it is returned.
func (c *Conversation) TrackDepartures() { c.delays.tracked = true }

// Departed says that the transport has taken all lines so far. The waits of a key
// exchange count from then: a line that stands in a queue has not been ignored.
func (c *Conversation) Departed() {
	if c.delays.waiting {
		c.delays.waiting, c.delays.left = false, c.cfg.Now()
	}
}

// Undeparted reports whether lines have been returned that Departed is to be
// called for.
func (c *Conversation) Undeparted() bool { return c.delays.waiting }

// RoundTrip returns how long the peer's answers take to come, as far as that has
// been seen; 0: not yet.
func (c *Conversation) RoundTrip() time.Duration { return c.delays.trip }

// sent notes that lines of a key exchange, or a query, are returned now.
func (d *delays) sent(now time.Time) {
	if d.tracked && !d.waiting {
		d.waiting, d.first = true, now
	}
}

// departure returns when what was returned at a time has left.
func (d *delays) departure(returned time.Time) time.Time {
	if !returned.Before(d.first) && d.left.After(returned) {
		return d.left
	}
	return returned
}

// passed returns how long it is since a time when something was sent, or since
// that has left.
func (c *Conversation) passed(since time.Time) time.Duration {
	if c.delays.waiting {
		return 0
	}
	return c.cfg.Now().Sub(c.delays.departure(since))
}

// answeredAfter notes that what was sent at a time has been answered now.
func (c *Conversation) answeredAfter(since time.Time) { c.answeredBetween(since, since) }

// answeredBetween notes that what was sent first and last at these times has been
// answered now. It does not show which copy the answer is to, so what was seen of
// other messages is believed as far as it fits.
func (c *Conversation) answeredBetween(first, last time.Time) {
	if first.IsZero() {
		return
	}
	least, most := max(c.passed(last), 0), max(c.passed(first), 0)
	seen := most
	if c.delays.trip != 0 {
		seen = min(max(c.delays.trip, least), most)
	}
	seen = min(seen, maxRoundTrip)
	if seen < c.delays.trip {
		seen = (seen + c.delays.trip) / 2 // the next answer may be as slow as the last one
	}
	c.delays.trip = seen
}

// patience is how long something counts as fresh that was sent for the nth time,
// counted from 1.
func (c *Conversation) patience(n int) time.Duration { return c.wait(leastPatience, n) }

// retryAfter is how long a key exchange may stand still before the nth attempt,
// counted from 1, to move it.
func (c *Conversation) retryAfter(n int) time.Duration { return c.wait(leastRetry, n) }

// wait is at least as long as least, and patienceTrips round trips, doubled n-1
// times.
func (c *Conversation) wait(least time.Duration, n int) time.Duration {
	d := max(least, patienceTrips*c.delays.trip)
	for ; n > 1 && d < maxPatience; n-- {
		d *= 2
	}
	return min(d, max(maxPatience, patienceTrips*c.delays.trip))
}
