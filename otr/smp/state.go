package smp

import "fmt"

// State is smpstate, section "Expected Message": which message may come next.
type State int

// The states. The specification has four, and assumes that the secret is known when message 1
// comes. StateAwaitingSecret is for the time in which a person is asked for it; the only
// message that may come then is an abort.
const (
	StateExpect1        State = iota // no run is under way
	StateAwaitingSecret              // message 1 has come; waiting for Answer
	StateExpect2                     // we sent message 1
	StateExpect3                     // we sent message 2
	StateExpect4                     // we sent message 3
)

// String returns the specification's name, as in SMPSTATE_EXPECT1.
func (s State) String() string {
	switch s {
	case StateExpect1:
		return "EXPECT1"
	case StateAwaitingSecret:
		return "AWAITING_SECRET"
	case StateExpect2:
		return "EXPECT2"
	case StateExpect3:
		return "EXPECT3"
	case StateExpect4:
		return "EXPECT4"
	}
	return fmt.Sprintf("State(%d)", int(s))
}

// Event is the result of a received record, for the user. The zero Event means that there is
// nothing to report.
type Event struct {
	Kind Kind
	// Question is set with Asked: the peer's question, at most MaxQuestion bytes, empty if
	// there is none. It is untrusted, and may not even be UTF-8.
	Question string
	// Reason is set with Cheated, and with Aborted if we aborted: one of this package's
	// errors, or that of the source of randomness.
	Reason error
	// Shown is set if the run ended in StateExpect4: its outcome had been shown to the peer,
	// but we have not learned whether it succeeded or failed. The peer has had its guess, and
	// only an honest peer has a reason to show us the outcome.
	Shown bool
}

// Kind is what happened.
type Kind int

// The kinds of events. Each except Asked ends a run.
const (
	None      Kind = iota
	Asked          // the peer has begun: give the secret with Answer, or Abort
	Succeeded      // the secrets are equal
	Failed         // the secrets differ
	Aborted        // the peer aborted, or sent what made us abort
	Cheated        // a received value or proof failed its check; we aborted
	// Crossed: both sides began at the same time, so both abort. The peer's abort is still to
	// come, and then causes Aborted. Try again only after that, because it would end a run
	// that was begun earlier.
	Crossed
)

// String returns the kind's name in lower case.
func (k Kind) String() string {
	switch k {
	case None:
		return "none"
	case Asked:
		return "asked"
	case Succeeded:
		return "succeeded"
	case Failed:
		return "failed"
	case Aborted:
		return "aborted"
	case Cheated:
		return "cheated"
	case Crossed:
		return "crossed"
	}
	return fmt.Sprintf("Kind(%d)", int(k))
}
