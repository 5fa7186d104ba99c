package v4

import (
	"errors"
	"testing"

	"otrpipe/otr/group"
	"otrpipe/otr/wire"
)

// withHead changes the head of the data message that the receiver expects next and
// authenticates it again, as only the peer can.
func withHead(t *testing.T, receiver *end, msg []byte, change func(*Data)) []byte {
	t.Helper()
	h, _, err := wire.ParseHeader(msg)
	if err != nil {
		t.Fatal(err)
	}
	d := parseData(t, msg)
	r := receiver.session.ratchet
	keys, _, err := r.receive(&d, receiver.client.Now(), nil)
	if err != nil {
		t.Fatal(err)
	}
	change(&d)
	d.Revealed = nil
	changed := d.Append(h.Append(nil))
	end := len(changed) - macLen - 4
	mac := keys.enc.derive(group.UsageMACKey)
	authenticate(changed[end:end+macLen], &mac, changed[:end])
	return changed
}

func TestAHeadThatDoesNotFitItsRatchetIsRefusedThoughItIsAuthentic(t *testing.T) {
	alice, bob := newSession(t)
	bob.read(alice.say("0"))
	dh := group.MODP3072().ExpBase([]byte{9})
	refuses := func(receiver *end, msg []byte, name string, change func(*Data)) {
		t.Helper()
		changed := withHead(t, receiver, msg, change)
		if _, _, err := receiver.take(changed); !errors.Is(err, ErrUnreadable) || errors.Is(err, ErrMAC) {
			t.Errorf("%s: %v", name, err)
		}
	}
	inRatchet := func(msg []byte, withDH bool) {
		t.Helper()
		if d := parseData(t, msg); (len(d.DH) > 0) != withDH {
			t.Fatalf("ratchet %d has a DH key of %d bytes", d.RatchetID, len(d.DH))
		}
	}

	msg := alice.say("0b")
	inRatchet(msg, true)
	refuses(bob, msg, "another DH key", func(d *Data) { d.DH = dh })
	refuses(bob, msg, "no DH key where one is due", func(d *Data) { d.DH = nil })
	refuses(bob, msg, "another ratchet's id", func(d *Data) { d.RatchetID += braceInterval })
	bob.read(msg)

	alice.read(bob.say("1"))
	msg = alice.say("2")
	inRatchet(msg, false)
	refuses(bob, msg, "a DH key in a new ratchet that is due for none", func(d *Data) { d.DH = dh })
	bob.read(msg)
	msg = alice.say("2b")
	refuses(bob, msg, "a DH key in a ratchet that is due for none", func(d *Data) { d.DH = dh })
	bob.read(msg)
}
