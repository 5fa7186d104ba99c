package offline

import (
	"errors"

	"otrpipe/internal/refine"
	"otrpipe/otr/v4"
)

var (
	// ErrState reports bytes that are not a valid Store.
	ErrState = errors.New("offline: malformed store")
	// ErrNewer reports a Store in a newer format.
	ErrNewer = errors.New("offline: the store was written by a newer version")
	// ErrFull means that a store has no room for more prekeys.
	ErrFull = errors.New("offline: too many unused prekeys")
	// ErrNoEnsemble means that there is no ensemble that is valid, matches the request, and
	// is unused.
	ErrNoEnsemble = errors.New("offline: no ensemble to use")
	// ErrSeveral means that several keys or instances match, and the caller has to choose
	// one.
	ErrSeveral = errors.New("offline: ensembles of several keys or instances")
	// ErrNoSession means that there is no such session.
	ErrNoSession = errors.New("offline: no such session")
	// ErrCannotSend means that a session cannot send before the peer has answered.
	ErrCannotSend = errors.New("offline: the session cannot send")
	// ErrClosed means that the peer has ended the session. It is kept for missing messages only.
	ErrClosed = errors.New("offline: the peer has ended the session")
	// ErrGap means that so many messages of a session are lost that the peer cannot read the
	// next one.
	ErrGap = errors.New("offline: too many messages of the session are lost")
	// ErrRefused means that a message cannot be opened; the errors that wrap it contain the
	// reason.
	ErrRefused = errors.New("offline: the message is refused")
	// ErrRead is an ErrRefused: the message has been read before.
	ErrRead = refine.Error(&ErrRefused, ": it has been read before")
	// ErrSender is an ErrRefused: the prekey was published for someone else.
	ErrSender = refine.Error(&ErrRefused, ": its prekey was published for somebody else")
	// ErrNothing means that the input contained no message to open.
	ErrNothing = errors.New("offline: no message in the input")
	// ErrBroken means that the messages of a stream are not consecutive.
	ErrBroken = errors.New("offline: the stream is broken")
	// ErrCut means that the input ended before the message's authenticated end.
	ErrCut = errors.New("offline: the message is cut off: its authenticated end is missing")
	// ErrOther means that the input contains a message of another session.
	ErrOther = errors.New("offline: a message of another session")
	// ErrNoText means that a text came where a stream of bytes was expected.
	ErrNoText = errors.New("offline: the message is a text, not a stream")
	// ErrNoStream means that a stream of bytes came where texts were expected.
	ErrNoStream = errors.New("offline: the message is a stream, not a text")
	// ErrTooLong means that a text or a file name is too long.
	ErrTooLong = errors.New("offline: too long")
)

// Reason returns the cause of an error that wraps ErrRefused.
func Reason(err error) error {
	if wrapped, ok := err.(interface{ Unwrap() []error }); ok {
		if all := wrapped.Unwrap(); len(all) == 2 && all[0] == ErrRefused {
			return all[1]
		}
	}
	return err
}

// Used reports whether err means that a prekey is gone because a message has used it before.
func Used(err error) bool { return errors.Is(err, v4.ErrPrekeyUsed) }

// Expired reports whether err means that a prekey has expired.
func Expired(err error) bool { return errors.Is(err, v4.ErrPrekeyExpired) }

// NoPrekey reports whether err means that a message names none of our remaining prekeys.
func NoPrekey(err error) bool { return errors.Is(err, v4.ErrNoPrekey) }

// TooFar reports whether err means that more than MaxGap messages before this one are missing.
func TooFar(err error) bool { return errors.Is(err, v4.ErrTooManySkipped) }

// OtherInstance reports whether err means that a message is for another instance.
func OtherInstance(err error) bool { return errors.Is(err, v4.ErrOtherInstance) }
