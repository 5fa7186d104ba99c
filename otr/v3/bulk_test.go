package v3

import (
	"bytes"
	"errors"
	"testing"

	"otrpipe/otr/wire"
)

// A message is opened with the keys of one session, and reaches the engine in the next
// session, which has the same key ids.
func TestWhatWasForeseenInOneSessionIsNotAuthenticInTheNext(t *testing.T) {
	alice, bob := newSessions(t, Version3)
	tell(t, alice, bob, "first")
	msg := seal(t, alice, "second")
	var foresight Foresight
	ahead := make([]Ahead, 1)
	foresee := func() {
		t.Helper()
		if !bob.Foresee(&foresight) {
			t.Fatal("nothing is foreseen")
		}
		foresight.Open([][]byte{msg}, ahead)
	}
	foresee()
	if !ahead[0].Verified() {
		t.Fatal("the message is not under the keys that were foreseen")
	}
	exchangeKeys(t, alice, bob)
	h, body, err := wire.ParseHeader(msg)
	if err != nil {
		t.Fatal(err)
	}
	if p, err := bob.ReceiveAhead(h, body, msg, nil, &ahead[0]); !errors.Is(err, ErrMAC) || p.Text != nil {
		t.Errorf("%q, %v", p.Text, err)
	}
	tell(t, alice, bob, "first of the next session")
	msg = seal(t, alice, "second of the next session")
	changed := bytes.Clone(msg)
	msg[len(msg)-30]++ // in the authenticator
	if foresee(); ahead[0].Verified() {
		t.Error("a message with another authenticator was opened")
	}
	msg = changed
	if foresee(); !ahead[0].Verified() {
		t.Error("the message itself was not")
	}
}
