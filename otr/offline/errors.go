package offline

import (
	"errors"
	"fmt"

	"otrpipe/otr/v4"
)

var (
	// ErrState reports bytes that are no Store.
	ErrState = errors.New("offline: malformed store")
	// ErrNewer reports a Store of a newer form.
	ErrNewer = errors.New("offline: the store was written by a newer version")
	// ErrFull says that a store has no room for more prekeys.
	ErrFull = errors.New("offline: too many unused prekeys")
	// ErrNoEnsemble says that no ensemble is valid, fits what was asked for, and has not
	// been used.
	ErrNoEnsemble = errors.New("offline: no ensemble to use")
	// ErrSeveral says that ensembles are of several keys or instances, and that it was not
	// said which one is meant.
	ErrSeveral = errors.New("offline: ensembles of several keys or instances")
	// ErrNoSession says that there is no such session.
	ErrNoSession = errors.New("offline: no such session")
	// ErrCannotSend says that a session cannot send before the peer has answered.
	ErrCannotSend = errors.New("offline: the session cannot send")
	// ErrRefused says that a message cannot be opened; what it wraps says why.
	ErrRefused = errors.New("offline: the message is refused")
	// ErrRead is an ErrRefused: the message has been read before.
	ErrRead = fmt.Errorf("%w: it has been read before", ErrRefused)
	// ErrSender is an ErrRefused: the prekey was published for somebody else.
	ErrSender = fmt.Errorf("%w: its prekey was published for somebody else", ErrRefused)
	// ErrNothing says that the input had no message to open.
	ErrNothing = errors.New("offline: no message in the input")
	// ErrBroken says that the messages of a stream do not follow on each other.
	ErrBroken = errors.New("offline: the stream is broken")
	// ErrCut says that the input ended before the message's authenticated end.
	ErrCut = errors.New("offline: the message is cut off: its authenticated end is missing")
	// ErrOther says that a message of the input belongs to another session than the one
	// that is read.
	ErrOther = errors.New("offline: a message of another session")
	// ErrNoText says that a stream of bytes was expected and a text came.
	ErrNoText = errors.New("offline: the message is a text, not a stream")
	// ErrNoStream says that texts were expected and a stream of bytes came.
	ErrNoStream = errors.New("offline: the message is a stream, not a text")
	// ErrTooLong says that a text or a file name is too long.
	ErrTooLong = errors.New("offline: too long")
)

// Reason returns what an error that wraps ErrRefused says beyond that.
func Reason(err error) error {
	if wrapped, ok := err.(interface{ Unwrap() []error }); ok {
		if all := wrapped.Unwrap(); len(all) == 2 && all[0] == ErrRefused {
			return all[1]
		}
	}
	return err
}

// Used tells whether err says that a prekey is gone because a message has used it before.
func Used(err error) bool { return errors.Is(err, v4.ErrPrekeyUsed) }

// Expired tells whether err says that a prekey has expired.
func Expired(err error) bool { return errors.Is(err, v4.ErrPrekeyExpired) }

// NoPrekey tells whether err says that a message names no prekey of ours that is left.
func NoPrekey(err error) bool { return errors.Is(err, v4.ErrNoPrekey) }

// OtherInstance tells whether err says that a message is for another instance.
func OtherInstance(err error) bool { return errors.Is(err, v4.ErrOtherInstance) }
