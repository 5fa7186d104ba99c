package otr_test

import (
	"testing"

	"otrpipe/otr"
)

// The peer may report an error about a message of a session that this end has ended in the
// meantime. That begins no new session, unless this end has asked for one again.
func TestALateErrorBeginsNoSessionAfterTheEnd(t *testing.T) {
	alice, bob := newSession(t, policy(otr.AllowV3|otr.ErrorStartAKE))
	if _, err := alice.End(); err != nil {
		t.Fatal(err)
	}
	late := []byte("?OTR Error: Your message cannot be read")
	if got := alice.receive(late); len(got.Send) != 0 {
		t.Errorf("alice, who has ended the session, answers with %q", got.Send)
	}
	alice.Query()
	if got := alice.receive(late); len(got.Send) == 0 {
		t.Error("alice, who has asked for a session, does not answer")
	}
	if got := bob.receive(late); kinds(got.Send) != "D-H Commit" {
		t.Errorf("bob, who has not ended the session, answers with %s", kinds(got.Send))
	}
}
