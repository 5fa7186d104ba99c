package otr

import "time"

// delays tracks how long the Conversation's lines take to leave and to be answered.
type delays struct {
	tracked bool      // the caller calls Departed
	waiting bool      // lines of a key exchange have not left yet
	oldest  time.Time // when the first of those lines was returned
	first   time.Time // when the first of the lines that left last was returned
	left    time.Time // when those lines left
	trip    time.Duration
	// slowest is how long answers took at most that came after a repetition. It falls with
	// each answer that came sooner.
	slowest time.Duration
}

// TrackDepartures announces that the caller will call Departed. Without it every line counts
// as gone when it is returned.
func (c *Conversation) TrackDepartures() { c.delays.tracked = true }

// Departed is to be called when the transport has accepted all lines so far. The waits of a
// key exchange count from then, because a line that is still in a queue cannot have been
// ignored.
func (c *Conversation) Departed() {
	if c.delays.waiting {
		c.delays.waiting, c.delays.first, c.delays.left = false, c.delays.oldest, c.cfg.Now()
	}
}

// Undeparted reports whether lines have been returned for which Departed has not been called.
func (c *Conversation) Undeparted() bool { return c.delays.waiting }

// RoundTrip returns how long the peer's answers take to arrive; 0: not known yet.
func (c *Conversation) RoundTrip() time.Duration { return c.delays.trip }

// sent records that lines of a key exchange, or a query, are returned now.
func (d *delays) sent(now time.Time) {
	if d.tracked && !d.waiting {
		d.waiting, d.oldest = true, now
	}
}

// departure returns when the lines that were returned at a given time left.
func (d *delays) departure(returned time.Time) time.Time {
	if !returned.Before(d.first) && d.left.After(returned) {
		return d.left
	}
	return returned
}

// passed returns the time since lines returned at since have left.
func (c *Conversation) passed(since time.Time) time.Duration {
	if c.delays.waiting {
		return 0
	}
	return c.cfg.Now().Sub(c.delays.departure(since))
}

// answeredAfter records that something sent at since has been answered now.
func (c *Conversation) answeredAfter(since time.Time) { c.answeredBetween(since, since) }

// answeredBetween records that something that was sent repeatedly, from first to last, has
// been answered now. The answer does not show which copy it is to, so the previous estimate
// is kept as far as it fits. But the next waits are as long as if the answer were to the first
// copy. Otherwise every answer that takes as long would come after a repetition, and the
// estimate would never grow.
func (c *Conversation) answeredBetween(first, last time.Time) {
	if first.IsZero() {
		return
	}
	d := &c.delays
	least, most := max(c.passed(last), 0), max(c.cfg.Now().Sub(d.departure(first)), 0)
	if d.waiting && !first.Before(d.oldest) {
		// The answer came before the call of Departed, so nobody knows when the line left.
		d.trip, d.slowest = lowered(d.trip, most), lowered(d.slowest, most)
		return
	}
	seen := most
	if d.trip != 0 {
		seen = min(max(d.trip, least), most)
	}
	d.trip = max(lowered(d.trip, seen), min(seen, maxRoundTrip))
	d.slowest = lowered(d.slowest, most)
	if least < most {
		d.slowest = max(d.slowest, min(most, maxRoundTrip))
	}
}

// lowered returns an estimate after an answer that took a shorter time, if it did. The next
// answer may be as slow as the ones before.
func lowered(estimate, seen time.Duration) time.Duration {
	if seen < estimate {
		return (seen + estimate) / 2
	}
	return estimate
}

// patience returns how long something counts as fresh after it was sent for the nth time,
// counted from 1.
func (c *Conversation) patience(n int) time.Duration { return c.wait(leastPatience, n) }

// retryAfter returns how long a key exchange may stall before the nth retry, counted from 1.
func (c *Conversation) retryAfter(n int) time.Duration { return c.wait(leastRetry, n) }

// wait returns the larger of least and patienceTrips round trips, or of what may have been
// one, doubled n-1 times within limits.
func (c *Conversation) wait(least time.Duration, n int) time.Duration {
	trips := patienceTrips * max(c.delays.trip, c.delays.slowest)
	d := max(least, trips)
	for ; n > 1 && d < maxPatience; n-- {
		d *= 2
	}
	return min(d, max(maxPatience, trips))
}
