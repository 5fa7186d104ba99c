package v4

import (
	"errors"
	"time"
)

// ErrBusy says that a message was dropped unseen: too many have come that could not be
// authenticated, and looking at each costs us far more than it costs their sender.
var ErrBusy = errors.New("v4: too many messages that cannot be authenticated")

const (
	// checksASecond bounds how many messages of a key exchange, and how many data messages
	// under new keys or far ahead of those that have come, are looked at in a second of those that turn out to be nobody's. One
	// costs up to 12 milliseconds (an Identity message: its profile's signature, two
	// memberships of the 3072-bit group, two key pairs and a ring signature), a data message
	// 7, so that whoever floods us gets a quarter of the time of one processor, and honest
	// peers, who need a few in a minute, notice nothing.
	checksASecond = 12
	// checksAtOnce is how many may come at once after a quiet time.
	checksAtOnce = 24
)

// A budget is what may be spent on messages before they are authenticated: checksAtOnce
// checks, and checksASecond more each second. A message that proves authentic gets its
// check back, so that those cost nothing.
type budget struct {
	spent time.Time // when everything that was spent will have been earned
}

const checkTime = time.Second / checksASecond

// spend takes one check; false: there is none left.
func (b *budget) spend(now time.Time) bool {
	if b.spent.Before(now) || b.spent.Sub(now) > checksAtOnce*checkTime { // or the clock was set back
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
