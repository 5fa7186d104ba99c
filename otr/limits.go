package otr

import "time"

const (
	// maxErrorsAMinute bounds the error messages we send: a person needs one,
	// and two programs that answer each other need none.
	maxErrorsAMinute = 4
	// maxRestartsAMinute bounds the key exchanges begun because the peer could
	// not be read: whoever damages messages on the way does not get to keep us
	// busy with exchanges.
	maxRestartsAMinute = 3
	// maxAnswersAMinute bounds the key exchanges begun because the peer asked;
	// a person who tries again and again stays far below it.
	maxAnswersAMinute = 30
	// maxInstances bounds the instances of the peer that are kept apart: a
	// person is logged in a few times, and each costs a kilobyte or two.
	maxInstances = 16
	// exchangeTimeout is how long a key exchange may wait for the peer's next
	// message before it is given up.
	exchangeTimeout = time.Minute
	// overdueAfter is how long the next message of a key exchange is waited for
	// before the user or the peer, asking for one, gets a new one: many times
	// the delay of any usable network.
	overdueAfter = 5 * time.Second
	// takeOverAfter is how long the instance that our session is with must have
	// been silent before another instance may replace it: two heartbeats.
	takeOverAfter = 2 * time.Minute
	// resendWithin is how long a text waits for encryption before it is no
	// longer sent by itself: the person who typed it should still remember.
	resendWithin = time.Minute
)

// A limiter allows limit things a minute.
type limiter struct {
	limit int
	used  int
	since time.Time
}

func (l *limiter) allow(now time.Time) bool {
	if l.since.IsZero() || now.Sub(l.since) >= time.Minute || now.Before(l.since) {
		l.since, l.used = now, 0
	}
	if l.used == l.limit {
		return false
	}
	l.used++
	return true
}
