package stream

import (
	"errors"
	"io"
	"math"
	"time"

	"otrpipe/otr"
	"otrpipe/otr/keys"
)

// Forever is a Config.Wait without an end.
const Forever = time.Duration(math.MaxInt64)

// DefaultWindow is the receive window of a Stream whose Config names none, in
// bytes. Each acknowledged quarter lets the keys rotate, which costs both ends
// about a millisecond: at a gigabyte a second that should stay far below a
// tenth of the time. And an end must not need more than 64 MiB when its
// reader sleeps.
const DefaultWindow = 16 << 20

// A Config says how a Stream or Lines behaves. Conversation and Clock are
// required, and Rand for a Stream.
type Config struct {
	// Conversation is the one to run. It belongs to the Stream or Lines from
	// then on: use Do to reach it. Heartbeats are sent here; leave its own off.
	Conversation *otr.Conversation

	// Clock tells the time and wakes the owner.
	Clock Clock

	// Rand is where a Stream draws its id from.
	Rand io.Reader

	// Verify, unless nil, judges the peer's key when a session becomes secure,
	// and again after every key exchange. Before it has returned nil nothing of
	// ours is sent and nothing of the peer's is delivered. An error refuses the
	// peer: it is told, the session is ended, and everything returns an
	// ErrRefused that wraps the error. It runs in the owner's goroutine and must
	// not call methods of the Stream or Lines.
	//
	// A run belongs to the first key that has passed Verify and SMP. Another key is
	// refused without asking Verify, and ends everything but Lines with Stay, which
	// tells it as Refused and waits for the old one. The exception is a key of
	// version 4 that the first one has Told in the same session.
	Verify func(otr.Session) error

	// Admit, unless nil, has the last word when every check of a key has passed, before
	// the peer is trusted and anything moves: it may put the key on file. An error
	// refuses the peer as one of Verify does. It runs in the owner's goroutine and
	// must not call methods of the Stream or Lines.
	Admit func(otr.Session) error

	// Told, unless nil, is asked when the peer of a session of version 3, after all checks,
	// has told its key of version 4. With an error the key is not taken: the session stays
	// in version 3, and nothing is told. It runs in the owner's goroutine and must not
	// call methods of the Stream or Lines.
	Told func(otr.Session, keys.Fingerprint) error

	// MoreKeys lets another key take the place of the first in mid-session if Verify
	// accepts it: it is for a Verify that knows all keys of one contact. With SMP
	// there is one key all the same.
	MoreKeys bool

	// RefuseDowngrade refuses a peer, with ErrDowngraded, that offered a better version
	// of OTR than the session has, if we did so too. Otherwise Downgraded tells it.
	// With SMP it is always refused.
	RefuseDowngrade bool

	// SMP, unless nil, runs the socialist millionaires' protocol after Verify
	// and before any payload.
	SMP *SMPConfig

	// Event, unless nil, is told what happens, in the owner's goroutine. It
	// must not call methods of the Stream or Lines.
	Event func(Event)

	// Keys, unless nil, is given the keys of data messages, where the Conversation logs
	// them; it wipes them. It runs in the owner's goroutine and must not call methods of
	// the Stream or Lines.
	Keys func([]otr.SessionKey)

	// Initiate sends a query at the start, and again after one second, two,
	// four and so on while nothing of OTR comes back.
	Initiate bool

	// Queries bounds how often the query is sent while the peer says nothing: who has no
	// OTR reads each of them. 0: no bound.
	Queries int

	// Timeout is how long it may take until payload may move: the key exchange and
	// the peer's HELLO together, and then SMP, where each message of the peer's may
	// take so long. It counts from the transport's first line on. 0: for ever.
	Timeout time.Duration

	// Wait is how long the transport's first line may take before Timeout counts
	// without it; Forever: as long as it likes. A negative Wait takes away from Timeout
	// what has passed of it already.
	Wait time.Duration

	// Heartbeat is how long an end may be idle before it repeats where it
	// stands. 0: none.
	Heartbeat time.Duration

	// Dead is how long the peer may be silent, heartbeats included, before it
	// counts as gone. 0: for ever.
	Dead time.Duration

	// Window is a Stream's receive window in bytes: how much the peer may send
	// ahead of our reader. 0: DefaultWindow.
	Window int64

	// Linger is how long after the end of our input, and after the last text
	// either way, Lines ends the session.
	Linger time.Duration

	// Drain is how long Lines waits at the end for a transport that takes nothing of
	// what is still to be sent; while it takes some, Lines goes on waiting. Every ten
	// seconds a Draining event tells what is left. When all is over too early the
	// result is ErrUntaken. 0: as long as Timeout.
	Drain time.Duration

	// Stay makes Lines wait for another session when the peer has ended one.
	Stay bool

	// OneSession makes Lines send a text in the session that it was written for,
	// or not at all: WriteIn names it, WriteMessage takes the present one and returns
	// ErrNoSession while there is none with a trusted peer. What still waits when a
	// session ends is dropped, as an Unsent tells. Otherwise texts wait for a
	// session with the peer that the run belongs to.
	OneSession bool

	// Raw makes Lines deliver texts as they came. Otherwise CR and LF in them
	// become the two characters \r and \n, so that a message is always one line.
	Raw bool
}

// SMPConfig is a secret to compare with the peer's before payload moves.
//
// If both ends have one, they sort out between them who starts. If only this
// end has, a person answers at the other, and this end alone holds its payload
// back and does not deliver the peer's.
//
// A Stream or Lines compares once. From the moment that the peer has been shown the
// outcome, everything but success is an ErrSMP: a new key exchange, an abort, the end of
// the session or of the transport, a time limit. Each such connection is one guess.
type SMPConfig struct {
	Secret   []byte // not empty; must not be changed before Trusted is told, or the end
	Question string // for the peer's person; may be empty

	// Delay, unless nil, is asked once, when the comparison is due: it is put off by so
	// long, and Config.Timeout too. An error ends everything with an ErrSMP that wraps
	// it, before anything is compared. It runs in the owner's goroutine.
	Delay func() (time.Duration, error)
}

// A Clock tells the time and calls functions later, as package time does. The
// functions do not block.
type Clock interface {
	// Now may jump forward, but never goes back. That holds for time.Now, whose times are
	// compared by their monotonic readings.
	Now() time.Time
	// AfterFunc calls f in a goroutine of its own when d has passed.
	AfterFunc(d time.Duration, f func()) Timer
}

// A Timer is a call to come; *time.Timer is one.
type Timer interface {
	// Stop gives the call up. A call that comes nevertheless does no harm.
	Stop() bool
}

var errConfig = errors.New("stream: Config needs a Conversation and a Clock, and for a Stream Rand")
