package keyfile

import (
	"strings"
	"testing"
	"time"

	"otrpipe/otr/keys"
)

func TestAContactsLastClientIsKept(t *testing.T) {
	h := newHome(t)
	dsa, err := keys.ParseFingerprint(strings.Repeat("0a", 20))
	must(t, err)
	now := time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC)
	key := ContactKey{Fingerprint: dsa, FirstSeen: now, LastSeen: now}
	must(t, h.MeetKey("bob", key, true))
	key.Client = Client{OTR: 3, Instance: 0x12345678}
	must(t, h.MeetKey("bob", key, false))
	key.Client = Client{} // a meeting that says nothing of it, as by hand
	must(t, h.MeetKey("bob", key, false))
	bob, _, err := h.Contact("bob")
	must(t, err)
	if got := bob.Keys[0].Client; got != (Client{OTR: 3, Instance: 0x12345678}) {
		t.Errorf("%+v", got)
	}
	for _, wrong := range []Client{{OTR: 3, Instance: 0xff}, {OTR: 4, Instance: 0x1234}, {OTR: 2, Instance: 0x1234}, {OTR: 1}, {Instance: 0x1234}} {
		key.Client = wrong
		wantError(t, h.MeetKey("bob", key, false), ErrFormat)
	}
}
