package v4

import (
	"bytes"
	"errors"
	"testing"

	"otrpipe/otr/wire"
)

// The result of a Foresight for one message does not count for another message under another
// key.
func TestAMessageIsVerifiedUnderItsOwnKeyWhateverWasForeseen(t *testing.T) {
	alice, bob := newSession(t)
	bob.read(alice.say("first"))
	second, third := alice.say("second"), alice.say("third")
	forged := bytes.Clone(third)
	revealed := 4 // the length of the MAC keys behind the authenticator
	forged[len(forged)-revealed-1]++
	var foresight Foresight
	open := func(third []byte) []Ahead {
		t.Helper()
		if !bob.Foresee(&foresight, 2) {
			t.Fatal("nothing is foreseen")
		}
		ahead := make([]Ahead, 2)
		foresight.Open(0, [][]byte{bytes.Clone(second), bytes.Clone(third)}, ahead)
		return ahead
	}
	if ahead := open(forged); !ahead[0].Verified() || ahead[1].Verified() {
		t.Errorf("verified %v and %v", ahead[0].Verified(), ahead[1].Verified())
	}
	ahead := open(third)
	if !ahead[0].Verified() || !ahead[1].Verified() {
		t.Fatal("the messages are not under the keys that were foreseen")
	}
	h, body, err := wire.ParseHeader(forged)
	if err != nil {
		t.Fatal(err)
	}
	if p, err := bob.ReceiveAhead(h, body, forged, nil, &ahead[0]); !errors.Is(err, ErrMAC) || p.Text != nil {
		t.Errorf("%q, %v", p.Text, err)
	}
	if got := bob.read(third); got != "third" {
		t.Errorf("then the message itself is %q", got)
	}
}
