package otr

import (
	"fmt"

	"otrpipe/otr/v3"
	"otrpipe/otr/v4"
)

// A MessageState determines how outgoing texts are treated; see the specification's section
// "Message state".
type MessageState int

// The message states.
const (
	StatePlaintext MessageState = iota
	StateEncrypted
	StateFinished
)

func (s MessageState) String() string {
	switch s {
	case StatePlaintext:
		return "MSGSTATE_PLAINTEXT"
	case StateEncrypted:
		return "MSGSTATE_ENCRYPTED"
	case StateFinished:
		return "MSGSTATE_FINISHED"
	}
	return fmt.Sprintf("MessageState(%d)", int(s))
}

// An AuthState is the state of a key exchange; see the specification's section
// "Authentication state".
type AuthState int

// The first values for the states of packages v3 and v4.
const (
	authV3 AuthState = 0
	authV4 AuthState = 16
)

// The authentication states: of versions 2 and 3, then of version 4.
const (
	AuthNone              = authV3 + AuthState(v3.AuthNone)
	AuthAwaitingDHKey     = authV3 + AuthState(v3.AuthAwaitingDHKey)
	AuthAwaitingRevealSig = authV3 + AuthState(v3.AuthAwaitingRevealSig)
	AuthAwaitingSig       = authV3 + AuthState(v3.AuthAwaitingSig)
	AuthWaitingAuthR      = authV4 + AuthState(v4.AuthWaitingAuthR)
	AuthWaitingAuthI      = authV4 + AuthState(v4.AuthWaitingAuthI)
)

// String returns the specification's name of the state.
func (s AuthState) String() string {
	if s > authV4 {
		return v4.AuthState(s - authV4).String()
	}
	return v3.AuthState(s - authV3).String()
}
