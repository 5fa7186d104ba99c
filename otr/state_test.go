package otr_test

import (
	"testing"

	"otrpipe/otr"
)

func TestAuthenticationStatesHaveTheSpecificationsWords(t *testing.T) {
	for state, want := range map[otr.AuthState]string{
		otr.AuthNone:              "AUTHSTATE_NONE",
		otr.AuthAwaitingDHKey:     "AUTHSTATE_AWAITING_DHKEY",
		otr.AuthAwaitingRevealSig: "AUTHSTATE_AWAITING_REVEALSIG",
		otr.AuthAwaitingSig:       "AUTHSTATE_AWAITING_SIG",
		otr.AuthWaitingAuthR:      "WAITING_AUTH_R",
		otr.AuthWaitingAuthI:      "WAITING_AUTH_I",
	} {
		if got := state.String(); got != want {
			t.Errorf("state %d is called %s, not %s", int(state), got, want)
		}
	}
}
