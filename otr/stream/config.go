package stream

import (
	"errors"
	"io"
	"math"
	"time"

	"otrpipe/otr"
	"otrpipe/otr/keys"
)

// Forever is a Config.Wait without a limit.
const Forever = time.Duration(math.MaxInt64)

// DefaultWindow is the default receive window of a Stream, in bytes. Each acknowledged
// quarter of it lets the keys rotate, which costs both ends about a millisecond; at a
// gigabyte per second that should stay far below a tenth of the time. On the other hand, an
// end must not need more than 64 MiB while its reader is not reading.
const DefaultWindow = 16 << 20

// A Config configures a Stream or Lines. Conversation and Clock are required, and Rand for a
// Stream.
type Config struct {
	// Conversation is the conversation to run. From then on it belongs to the Stream or
	// Lines; use Do to reach it. This package sends heartbeats itself, so leave the
	// Conversation's own switched off.
	Conversation *otr.Conversation

	// Clock tells the time and wakes the owner.
	Clock Clock

	// Rand is the source of randomness for a Stream's id.
	Rand io.Reader

	// Verify, unless nil, checks the peer's key when a session becomes secure, and again
	// after every key exchange. Until it has returned nil, nothing of ours is sent and
	// nothing from the peer is delivered. An error rejects the peer: the peer is told, the
	// session is ended, and every method returns an ErrRefused that wraps the error. It runs
	// in the owner's goroutine and must not call methods of the Stream or Lines.
	//
	// A Stream or Lines belongs to the first key that has passed Verify and SMP. Any other
	// key is rejected without calling Verify. That ends everything, except for Lines with
	// Stay, which reports Refused and waits for the first key to come back. The exception is
	// a version 4 key that the peer has Told in the same session.
	Verify func(otr.Session) error

	// Admit, unless nil, is called when a key has passed every check, before the peer is
	// trusted and before any payload moves. It may store the key. An error rejects the peer,
	// as an error of Verify does. It runs in the owner's goroutine and must not call methods
	// of the Stream or Lines.
	Admit func(otr.Session) error

	// Told, unless nil, is called when the peer of a version 3 session has passed all checks
	// and has told us its version 4 key. If it returns an error, the key is not accepted: the
	// session stays in version 3, and no event is reported. It runs in the owner's goroutine
	// and must not call methods of the Stream or Lines.
	Told func(otr.Session, keys.Fingerprint) error

	// MoreKeys allows another key to replace the first one in mid-session if Verify accepts
	// it. It is meant for a Verify that knows all keys of one contact. With SMP there is
	// still only one key.
	MoreKeys bool

	// RefuseDowngrade rejects the peer with ErrDowngraded if both ends offered a better
	// version of OTR than the session has. Otherwise a Downgraded event reports this. With
	// SMP the peer is always rejected.
	RefuseDowngrade bool

	// SMP, unless nil, runs the socialist millionaires' protocol after Verify
	// and before any payload.
	SMP *SMPConfig

	// Event, unless nil, is called for every event, in the owner's goroutine. It must not
	// call methods of the Stream or Lines.
	Event func(Event)

	// Keys, unless nil, is called with the keys of data messages, if the Conversation logs
	// them. The callee has to wipe them. It runs in the owner's goroutine and must not call
	// methods of the Stream or Lines.
	Keys func([]otr.SessionKey)

	// Initiate sends a query at the start, and again after one second, two, four and so on
	// until an OTR message comes back.
	Initiate bool

	// Queries limits how often the query is sent while the peer says nothing, because a peer
	// without OTR sees each query as text. 0: no limit.
	Queries int

	// Timeout limits the time until payload may move. It covers the key exchange together
	// with the peer's HELLO; during SMP it starts anew with each message from the peer. It
	// starts when the transport's first line arrives. 0: no limit.
	Timeout time.Duration

	// Wait is how long to wait for the transport's first line before Timeout starts without
	// it. Forever: no limit. A negative Wait shortens Timeout by the time that has already
	// passed.
	Wait time.Duration

	// Heartbeat is how long an end may be idle before it repeats its state. 0: no heartbeats.
	Heartbeat time.Duration

	// Dead is how long the peer may be silent, without even a heartbeat, before it is
	// considered gone. 0: no limit.
	Dead time.Duration

	// Window is a Stream's receive window in bytes: how much the peer may send
	// ahead of our reader. 0: DefaultWindow.
	Window int64

	// Linger is how long Lines waits after the end of our input, and after the last text in
	// either direction, before it ends the session.
	Linger time.Duration

	// Drain is how long Lines waits at the end while the transport accepts none of the
	// remaining output; as long as it accepts some, Lines goes on waiting. Every ten seconds
	// a Draining event reports how much is left. When the time is up the result is
	// ErrUntaken. 0: the same as Timeout.
	Drain time.Duration

	// Stay makes Lines wait for another session when the peer has ended one.
	Stay bool

	// OneSession makes Lines send each text in the session that it was written for, or not at
	// all. WriteTextIn names the session. WriteMessage and WriteText use the current one, and
	// return ErrNoSession while there is none with a trusted peer. Texts that are still
	// unsent when a session ends are dropped, and an Unsent event reports it. Without
	// OneSession, texts wait for the next session with the same peer.
	OneSession bool

	// Raw makes Lines deliver texts unchanged. Otherwise CR and LF in them become the two
	// characters \r and \n, so that a message is always one line.
	Raw bool
}

// SMPConfig holds a secret to compare with the peer's secret before payload moves.
//
// If both ends are configured with a secret, they agree on which one starts. If only this end
// is, a person answers at the other end, and only this end holds back its payload and the
// peer's.
//
// A Stream or Lines makes one comparison. Once the peer has been shown the outcome, anything
// but success is an ErrSMP: a new key exchange, an abort, the end of the session or of the
// transport, a timeout. So an attacker gets one guess per connection.
type SMPConfig struct {
	Secret   []byte // not empty; must not be changed before Trusted is reported, or before the end
	Question string // shown to the person at the other end; may be empty

	// Delay, unless nil, is called once, when the comparison is due. It returns how long to
	// postpone the comparison, and with it Config.Timeout. An error ends everything with an
	// ErrSMP that wraps it, before anything is compared. It runs in the owner's goroutine.
	Delay func() (time.Duration, error)
}

// A Clock tells the time and calls functions later, as package time does. The
// functions do not block.
type Clock interface {
	// Now may jump forward, but never goes back. This is true of time.Now, because times are
	// compared by their monotonic clock readings.
	Now() time.Time
	// AfterFunc calls f in its own goroutine after d has passed.
	AfterFunc(d time.Duration, f func()) Timer
}

// A Timer is a scheduled call; *time.Timer implements it.
type Timer interface {
	// Stop cancels the call. A call that happens nevertheless does no harm.
	Stop() bool
}

var errConfig = errors.New("stream: Config needs a Conversation and a Clock, and for a Stream Rand")
