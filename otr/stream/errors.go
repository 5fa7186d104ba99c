package stream

import (
	"errors"
	"fmt"
)

// What became of a Stream or Lines. The first failure sticks: every method
// returns it from then on, save that bytes which had arrived before can still be
// read.
var (
	// ErrRefused says that Config.Verify refused the peer's key, whose error it
	// wraps. The following two are kinds of it.
	ErrRefused = errors.New("stream: the peer's key was refused")
	// ErrOtherKey: a key exchange brought another key than the one that the run
	// belongs to.
	ErrOtherKey = fmt.Errorf("%w: another key came in mid-session", ErrRefused)
	// ErrDowngraded: both ends offered a better version of OTR than the session has.
	// Somebody in between may have seen to that.
	ErrDowngraded = fmt.Errorf("%w: the session is of an older version than both ends offered", ErrRefused)

	// ErrSMP says that the secrets differ, or that the peer gave up comparing.
	ErrSMP = errors.New("stream: the comparison of secrets failed")
	// ErrBrokenOff is an ErrSMP: the peer was shown whether the secrets are the same,
	// and the comparison ended without our being shown it. Somebody may be guessing.
	ErrBrokenOff = fmt.Errorf("%w: it was broken off after the peer had seen the outcome", ErrSMP)

	// ErrTimeout says that Config.Timeout passed before payload could move.
	ErrTimeout = errors.New("stream: time is up")
	// ErrSilent is an ErrTimeout: nothing has come from the transport.
	ErrSilent = fmt.Errorf("%w: nothing has come", ErrTimeout)
	// ErrNoStream is an ErrTimeout: there is a session, but the peer sends no
	// HELLO. It is no Stream; Lines would do.
	ErrNoStream = fmt.Errorf("%w: the peer sends no byte stream", ErrTimeout)
	// ErrPeerLines is an ErrNoStream: the peer says that it runs Lines.
	ErrPeerLines = fmt.Errorf("%w: it runs mode lines", ErrNoStream)

	// ErrBroken says that the stream stopped before its authenticated end, was
	// tampered with, reordered or cut. The following ones are kinds of it.
	ErrBroken = errors.New("stream: broken")
	// ErrAborted: the peer says that nothing more will come.
	ErrAborted = fmt.Errorf("%w: the peer aborted", ErrBroken)
	// ErrStopped: the peer stopped reading before it had all that was written.
	ErrStopped = fmt.Errorf("%w: the peer stopped reading", ErrBroken)
	// ErrPeerEnded: the peer ended the session too early.
	ErrPeerEnded = fmt.Errorf("%w: the peer ended the session", ErrBroken)
	// ErrTransport: the transport closed or failed too early.
	ErrTransport = fmt.Errorf("%w: the transport ended", ErrBroken)
	// ErrClosedBeforeSession is an ErrTransport before there was any session.
	ErrClosedBeforeSession = fmt.Errorf("%w before there was a session", ErrTransport)
	// ErrDead: nothing authentic came from the peer for Config.Dead.
	ErrDead = fmt.Errorf("%w: the peer is silent", ErrBroken)
	// ErrExpired: the session's keys had not changed for too long.
	ErrExpired = fmt.Errorf("%w: the session expired", ErrBroken)

	// ErrLost: texts of the peer's have not arrived.
	ErrLost = fmt.Errorf("%w: texts of the peer's were lost", ErrBroken)
	// ErrUndelivered: the peer acknowledges texts, and has not acknowledged all.
	ErrUndelivered = fmt.Errorf("%w: not everything has reached the peer", ErrBroken)
	// ErrUnconfirmed: texts were sent in a session of which the peer has given no
	// sign that it has it. The last message of the key exchange may be lost.
	ErrUnconfirmed = fmt.Errorf("%w: the peer has given no sign that it has the session", ErrBroken)

	// ErrUntaken: at the end the transport took nothing for Config.Drain, and texts were
	// among what was left.
	ErrUntaken = fmt.Errorf("%w: the transport did not take everything", ErrBroken)

	// ErrPeerStream says, for Lines, that the peer runs a Stream.
	ErrPeerStream = errors.New("stream: the peer runs mode stream")

	// ErrClosed says that this end closed or aborted before the proper end.
	ErrClosed = errors.New("stream: closed at this end")

	// ErrNoSession says that a text was not taken, because Config.OneSession is
	// set and there is no session with a trusted peer. It does not stick.
	ErrNoSession = errors.New("stream: there is no session")

	// ErrSessionOver says that something was for a session that is over. It does not
	// stick.
	ErrSessionOver = errors.New("stream: that session is over")

	// ErrNUL says that a text contains a NUL byte, which OTR cannot carry.
	ErrNUL = errors.New("stream: a NUL byte cannot be sent as text")
	// ErrTooLong says that a text is longer than MaxText bytes.
	ErrTooLong = errors.New("stream: the text is too long for one message")
)

// broken is an ErrBroken with its cause.
func broken(format string, args ...any) error {
	return fmt.Errorf("%w: %w", ErrBroken, fmt.Errorf(format, args...))
}
