package v3

import (
	"bytes"
	"testing"

	"otrpipe/otr/wire"
	"otrpipe/testscripts/timing"
)

func TestTimingOfMACsDoesNotDependOnTheWrongByte(t *testing.T) {
	alice, bob := newSessions(t, Version3)
	msg := seal(t, alice, "a text")
	_, body, err := wire.ParseHeader(msg)
	if err != nil {
		t.Fatal(err)
	}
	data, err := ParseData(body)
	if err != nil {
		t.Fatal(err)
	}
	mac := bytes.LastIndex(msg, data.MAC)
	at := make([]uint64, 1)
	timing.Check(t, timing.Function{Name: "MAC of a data message, which byte is wrong", Input: at, Draw: timing.Below(uint64(len(data.MAC))), Run: func() {
		forged := bytes.Clone(msg)
		forged[mac+int(at[0])] ^= 1
		if _, _, err := hand(t, bob, forged); err == nil {
			t.Fatal("a forged message was taken")
		}
	}})
}
