package smp

import "fmt"

// State is smpstate, section "Expected Message": which message may come next.
type State int

// The states. The specification knows four; it takes for granted that a secret
// is at hand when message 1 comes. StateAwaitingSecret is the time in between,
// while a person is asked: no message but an abort may come then.
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

// Event is what a received record did, for the user. The zero Event is nothing
// to tell.
type Event struct {
	Kind Kind
	// Question is the peer's, with Asked: at most MaxQuestion bytes, empty if
	// there is none, and as untrusted as any text; it may not even be UTF-8.
	Question string
	// Reason says why, with Cheated, and with Aborted where it was we who aborted:
	// one of this package's errors, or that of the randomness.
	Reason error
	// Shown says that the run ended before it succeeded or failed, but after its
	// outcome had been shown to the peer: it was in StateExpect4. The peer has had
	// its guess, and only an honest one has a reason to tell us the outcome too.
	Shown bool
}

// Kind is what happened.
type Kind int

// The kinds of events. Asked apart, each ends a run.
const (
	None      Kind = iota
	Asked          // the peer has begun: give the secret with Answer, or Abort
	Succeeded      // the secrets are equal
	Failed         // the secrets differ
	Aborted        // the peer aborted, or sent what made us abort
	Cheated        // a received value or proof failed its check; we aborted
	// Crossed: both sides began at once, so both abort. The peer's abort is still
	// to come and then gives Aborted. Whoever wants to try again does so then: a
	// run begun before would be ended by that abort.
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
