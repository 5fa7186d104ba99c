package v4

import (
	"errors"
	"time"
)

// ErrBusy means that a message was dropped without being checked: too many messages have
// failed authentication, and checking one costs us far more than it costs its sender.
var ErrBusy = errors.New("v4: too many messages that cannot be authenticated")

const (
	// checksASecond bounds how many forged messages are checked per second: separately for
	// messages of key exchanges, and for data messages under new keys or far ahead of the
	// last one. Checking a message of a key exchange takes up to 12 milliseconds (an Identity
	// message: its profile's signature, two memberships of the 3072-bit group, two key pairs
	// and a ring signature), a data message 7. So a flood uses at most about a quarter of one
	// processor's time, and honest peers, who need a few checks per minute, are not affected.
	checksASecond = 12
	// checksAtOnce is how many checks are possible in a burst after a quiet time.
	checksAtOnce = 24
)

// A budget limits the work on messages that are not authenticated yet: checksAtOnce checks,
// and checksASecond more each second. The check of an authentic message is given back, so
// only forged messages use up the budget.
type budget struct {
	spent time.Time // when all spent checks will have been earned back
}

const checkTime = time.Second / checksASecond

// spend takes one check; false: there is none left.
func (b *budget) spend(now time.Time) bool {
	if b.spent.Before(now) || b.spent.Sub(now) > checksAtOnce*checkTime { // idle, or the clock went back
		b.spent = now
	}
	if b.spent.Sub(now) > (checksAtOnce-1)*checkTime {
		return false
	}
	b.spent = b.spent.Add(checkTime)
	return true
}

// restore gives a check back.
func (b *budget) restore() { b.spent = b.spent.Add(-checkTime) }
