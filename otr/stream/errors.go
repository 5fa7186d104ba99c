package stream

import (
	"errors"
	"fmt"

	"otrpipe/internal/refine"
)

// The results of a Stream or Lines. The first failure sticks: every method returns it from
// then on. Bytes that arrived before it can still be read.
var (
	// ErrRefused means that the peer's key was rejected, for example by Config.Verify, whose
	// error it wraps. The next two errors wrap ErrRefused.
	ErrRefused = errors.New("stream: the peer's key was refused")
	// ErrOtherKey: a key exchange brought a key other than the one that the Stream or Lines
	// belongs to.
	ErrOtherKey = refine.Error(&ErrRefused, ": another key came in mid-session")
	// ErrDowngraded: both ends offered a better version of OTR than the session has. Someone
	// in the middle may have caused this.
	ErrDowngraded = refine.Error(&ErrRefused, ": the session is of an older version than both ends offered")

	// ErrSMP means that the secrets differ, or that the peer broke off the comparison.
	ErrSMP = errors.New("stream: the comparison of secrets failed")
	// ErrBrokenOff is an ErrSMP: the peer was shown whether the secrets are equal, but the
	// comparison ended before we were. Someone may be guessing.
	ErrBrokenOff = refine.Error(&ErrSMP, ": it was broken off after the peer had seen the outcome")

	// ErrTimeout means that Config.Timeout passed before payload could move.
	ErrTimeout = errors.New("stream: time is up")
	// ErrSilent is an ErrTimeout: nothing has come from the transport.
	ErrSilent = refine.Error(&ErrTimeout, ": nothing has come")
	// ErrNoStream is an ErrTimeout: there is a session, but the peer sends no HELLO, so it is
	// not a Stream. Lines would work.
	ErrNoStream = refine.Error(&ErrTimeout, ": the peer sends no byte stream")
	// ErrPeerLines is an ErrNoStream: the peer has shown that it runs Lines.
	ErrPeerLines = refine.Error(&ErrNoStream, ": it runs mode lines")

	// ErrBroken means that the stream stopped before its authenticated end, or was tampered
	// with, reordered or cut. The following errors wrap it.
	ErrBroken = errors.New("stream: broken")
	// ErrAborted: the peer says that nothing more will come.
	ErrAborted = refine.Error(&ErrBroken, ": the peer aborted")
	// ErrOurKeyRefused: the peer says that it refuses our key.
	ErrOurKeyRefused = refine.Error(&ErrAborted, ": it refuses our key")
	// ErrStopped: the peer stopped reading before it had all that was written.
	ErrStopped = refine.Error(&ErrBroken, ": the peer stopped reading")
	// ErrPeerEnded: the peer ended the session too early.
	ErrPeerEnded = refine.Error(&ErrBroken, ": the peer ended the session")
	// ErrTransport: the transport closed or failed too early.
	ErrTransport = refine.Error(&ErrBroken, ": the transport ended")
	// ErrClosedBeforeSession is an ErrTransport before there was any session.
	ErrClosedBeforeSession = refine.Error(&ErrTransport, " before there was a session")
	// ErrDead: nothing authentic came from the peer for Config.Dead.
	ErrDead = refine.Error(&ErrBroken, ": the peer is silent")
	// ErrExpired: the session's keys had not changed for too long.
	ErrExpired = refine.Error(&ErrBroken, ": the session expired")

	// ErrLost: texts from the peer have not arrived.
	ErrLost = refine.Error(&ErrBroken, ": texts of the peer's were lost")
	// ErrUndelivered: the peer acknowledges texts, but has not acknowledged all of them.
	ErrUndelivered = refine.Error(&ErrBroken, ": not everything has reached the peer")
	// ErrUnwritten is an ErrUndelivered: the peer could not write all texts that it had
	// received, and may have acknowledged those that are lost.
	ErrUnwritten = refine.Error(&ErrUndelivered, ": the peer could not write all that it had received")
	// ErrUnconfirmed: texts were sent in a session, but the peer has given no sign that it
	// has that session. The last message of the key exchange may have been lost.
	ErrUnconfirmed = refine.Error(&ErrBroken, ": the peer has given no sign that it has the session")

	// ErrUntaken: at the end the transport accepted nothing for the time Config.Drain, and
	// the remaining output contained texts.
	ErrUntaken = refine.Error(&ErrBroken, ": the transport did not take everything")

	// ErrPeerStream is for Lines: the peer runs a Stream.
	ErrPeerStream = errors.New("stream: the peer runs mode stream")

	// ErrClosed means that this end closed or aborted before the proper end.
	ErrClosed = errors.New("stream: closed at this end")

	// ErrNoSession means that a text was not accepted, because Config.OneSession is set and
	// there is no session with a trusted peer. It does not stick.
	ErrNoSession = errors.New("stream: there is no session")

	// ErrSessionOver means that a text or operation was for a session that is over. It does
	// not stick.
	ErrSessionOver = errors.New("stream: that session is over")

	// ErrNUL means that a text contains a NUL byte, which OTR cannot carry.
	ErrNUL = errors.New("stream: a NUL byte cannot be sent as text")
	// ErrTooLong means that a text is longer than MaxText bytes.
	ErrTooLong = errors.New("stream: the text is too long for one message")
)

// broken returns an ErrBroken that wraps its cause.
func broken(format string, args ...any) error {
	return fmt.Errorf("%w: %w", ErrBroken, fmt.Errorf(format, args...))
}
