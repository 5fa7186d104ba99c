package otr

import (
	"time"

	"otrpipe/otr/wire"
)

const (
	// maxErrorsAMinute bounds the error messages that we send per minute: one is enough for a
	// person, and two programs must not answer each other forever.
	maxErrorsAMinute = 4
	// maxRestartsAMinute bounds the key exchanges per minute that we begin because of
	// unreadable messages, so that an attacker who damages messages cannot keep us busy.
	maxRestartsAMinute = 3
	// maxAnswersAMinute bounds the key exchanges per minute that we begin because the peer
	// asked. A person who tries repeatedly stays far below it.
	maxAnswersAMinute = 30
	// maxSecondClientsAMinute bounds how many other instances of the peer are reported per
	// minute: a person has few devices, and anyone can make up instance tags.
	maxSecondClientsAMinute = 3
	// maxInstances bounds the instances of the peer that are tracked: a person is logged in
	// only a few times, and each instance takes a kilobyte or two.
	maxInstances = 16
	// exchangeTimeout is how long a key exchange may wait for the peer's next
	// message before it is given up.
	exchangeTimeout = time.Minute
	// maxQueue is how long a key exchange may wait in all for a peer that writes in the
	// meantime: some IRC clients send one line every five to six seconds, and what a person
	// has pasted goes out before the answer.
	maxQueue = 10 * time.Minute
	// leastPatience is how long an offer or an answer counts as fresh on a fast network. A
	// fresh one is never sent again, because some peers answer every copy of an Identity
	// message with new keys, and then neither side can tell which answer counts.
	leastPatience = 2 * time.Second
	// leastRetry is how long a key exchange may stall on a fast network before this end
	// retries.
	leastRetry = 4 * time.Second
	// claimAfter is the earliest time after the beginning of a session at which claim acts,
	// because libotr counts whole seconds. After claimWithin it no longer acts: if the peer
	// then talks to another instance of ours, it does so because a person is active there.
	claimAfter  = time.Second
	claimWithin = 10 * time.Second
	// pieceGap is how long to wait for the next fragment of a message before the message
	// counts as lost. IRC clients send one long line every five to six seconds, and one or
	// two other lines may come first.
	pieceGap = 15 * time.Second
	// patienceTrips is the minimum of both waits in round trips: a line may take twice as
	// long as the slowest before it.
	patienceTrips = 2
	// maxPatience bounds both waits, however often they have doubled.
	maxPatience = 40 * time.Second
	// maxRoundTrip is the upper limit for the estimate of the round trip, because a peer that
	// started late looks like a slow network.
	maxRoundTrip = 20 * time.Second
	// refreshSends is how often new keys are offered in a version 4 session before it
	// continues with the old ones. Data waits in the meantime, and a peer whose clock differs
	// by more than a week never answers.
	refreshSends = 2
	// ownQueryMoment bounds the random delay of the answer to the peer's query if this end
	// has sent a query too, so that most key exchanges do not cross.
	ownQueryMoment = 300 * time.Millisecond
	// maxEarly and maxEarlyBytes bound the data messages that are kept because they came
	// before their key exchange was complete: enough for a burst that was reordered on its
	// way. earlyTime is how long they are kept.
	maxEarly      = 16
	maxEarlyBytes = wire.MaxMessage
	earlyTime     = time.Minute
	// takeOverAfter is how long the session's instance must have been silent before another
	// instance may replace it: two heartbeats.
	takeOverAfter = 2 * time.Minute
	// resendWithin is how long a text may wait for a session and still be sent automatically:
	// the person who typed it should still remember it.
	resendWithin = time.Minute
)

// A limiter allows limit events per minute.
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
