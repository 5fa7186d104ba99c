package otr

import "fmt"

// A MessageState controls what becomes of outgoing texts; see the
// specification's "Message state".
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

// An AuthState says where a key exchange stands; see the specification's
// "Authentication state".
type AuthState int

// The authentication states: of versions 2 and 3, then of version 4.
const (
	AuthNone AuthState = iota
	AuthAwaitingDHKey
	AuthAwaitingRevealSig
	AuthAwaitingSig
	AuthWaitingAuthR
	AuthWaitingAuthI
)

func (s AuthState) String() string {
	switch s {
	case AuthNone:
		return "AUTHSTATE_NONE"
	case AuthAwaitingDHKey:
		return "AUTHSTATE_AWAITING_DHKEY"
	case AuthAwaitingRevealSig:
		return "AUTHSTATE_AWAITING_REVEALSIG"
	case AuthAwaitingSig:
		return "AUTHSTATE_AWAITING_SIG"
	case AuthWaitingAuthR:
		return "WAITING_AUTH_R"
	case AuthWaitingAuthI:
		return "WAITING_AUTH_I"
	}
	return fmt.Sprintf("AuthState(%d)", int(s))
}
