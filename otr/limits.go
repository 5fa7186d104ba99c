package otr

import (
	"time"

	"otrpipe/otr/wire"
)

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
	// maxSecondClientsAMinute bounds how many other instances of the peer the user is told
	// of: a person has a few devices, and anybody can make up instance tags.
	maxSecondClientsAMinute = 3
	// maxInstances bounds the instances of the peer that are kept apart: a
	// person is logged in a few times, and each costs a kilobyte or two.
	maxInstances = 16
	// exchangeTimeout is how long a key exchange may wait for the peer's next
	// message before it is given up.
	exchangeTimeout = time.Minute
	// leastPatience is how long an offer, or an answer, counts as fresh on a fast
	// network: while it does, it is not sent again for whatever comes. Some peers
	// answer every copy of an Identity message with new keys, and then neither
	// side can tell which answer counts.
	leastPatience = 2 * time.Second
	// leastRetry is how long a key exchange stands still on a fast network before
	// this end moves it of its own accord.
	leastRetry = 4 * time.Second
	// claimAfter is how long after the beginning of a session the peer may be shown which
	// instance of ours it is with: libotr counts seconds. claimWithin ends it: later, the
	// peer talks to another instance because a person does there.
	claimAfter  = time.Second
	claimWithin = 10 * time.Second
	// pieceGap is how long the next fragment of a message may take before the message
	// counts as lost: IRC clients send one long line in five to six seconds, and a line or
	// two of something else may come first.
	pieceGap = 15 * time.Second
	// patienceTrips is how many round trips both waits last at least: a line may
	// take twice as long as the slowest before it.
	patienceTrips = 2
	// maxPatience bounds both waits, however often they have doubled.
	maxPatience = 40 * time.Second
	// maxRoundTrip bounds what is believed of a network: a peer that came up late
	// looks like a slow one.
	maxRoundTrip = 20 * time.Second
	// refreshSends is how often new keys are offered in a session of version 4
	// before it goes on with the old ones: data waits meanwhile, and a peer whose
	// clock differs by more than a week never answers.
	refreshSends = 2
	// ownQueryMoment bounds the random time by which the peer's query is answered
	// later if this end has sent one too, so that most key exchanges do not cross.
	ownQueryMoment = 300 * time.Millisecond
	// maxEarly and maxEarlyBytes bound the data messages that are kept because
	// they came before the end of their key exchange, and earlyTime for how long:
	// a burst that was reordered on its way.
	maxEarly      = 16
	maxEarlyBytes = wire.MaxMessage
	earlyTime     = time.Minute
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
