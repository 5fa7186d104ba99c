package toolkit

import (
	"bytes"
	"errors"
	"io"
	"testing"
	"time"

	"otrpipe/otr/group"
	"otrpipe/otr/v3"
	"otrpipe/otr/wire"
)

// A well is a source of randomness that fails after a number of bytes.
type well struct {
	source io.Reader
	left   int
}

var errDry = errors.New("no randomness is left")

func (w *well) Read(p []byte) (int, error) {
	if len(p) > w.left {
		return 0, errDry
	}
	w.left -= len(p)
	return w.source.Read(p)
}

// Wherever randomness runs out, nothing is forged, and that error is returned.
func TestWithoutRandomnessNothingIsForged(t *testing.T) {
	alice, bob := newParty(t, 1), newParty(t, 2)
	script, err := ParseScript(testScript, "alice")
	if err != nil {
		t.Fatal(err)
	}
	failed := 0
	for budget := 0; ; budget += 1 + budget/2 {
		f := &Forger{
			InstanceTag: alice.client.InstanceTag, Identity: alice.identity, Forging: alice.client.Forging,
			Rand: &well{steady(9), budget}, Now: func() time.Time { return testTime }, Begin: budget%2 == 0,
		}
		sent, err := f.Forge4(script, bob.profile)
		if err == nil {
			break
		}
		if failed++; !errors.Is(err, errDry) || len(sent) > 0 {
			t.Fatalf("budget %d: %d messages, %v", budget, len(sent), err)
		}
	}
	if failed < 5 {
		t.Errorf("randomness ran out only %d times", failed)
	}
}

// Both ends derive the same session keys, crosswise.
func TestSessionKeysOfBothEndsAreCrosswiseTheSame(t *testing.T) {
	one, other := bytes.Repeat([]byte{3}, 40), bytes.Repeat([]byte{5}, 40)
	public := func(private []byte) []byte {
		f, err := SessionKeys(private, []byte{2})
		if err != nil {
			t.Fatal(err)
		}
		return f.Get("our_public_key").(Hex)
	}
	a, err := SessionKeys(one, public(other))
	if err != nil {
		t.Fatal(err)
	}
	b, err := SessionKeys(other, public(one))
	if err != nil {
		t.Fatal(err)
	}
	hex := func(f Fields, name string) string { return f.Get(name).(Hex).String() }
	if a.Get("end") == b.Get("end") || hex(a, "session_id") != hex(b, "session_id") || hex(a, "extra_symmetric_key") != hex(b, "extra_symmetric_key") {
		t.Errorf("%v and %v", a, b)
	}
	for _, key := range []string{"aes_key", "mac_key"} {
		if hex(a, "sending_"+key) != hex(b, "receiving_"+key) || hex(a, "receiving_"+key) != hex(b, "sending_"+key) || hex(a, "sending_"+key) == hex(b, "sending_"+key) {
			t.Errorf("%s: %v and %v", key, a, b)
		}
	}
	if _, err := SessionKeys(make([]byte, 193), public(one)); !errors.Is(err, v3.ErrSecret) {
		t.Errorf("a private value of 193 bytes: %v", err)
	}
	if _, err := SessionKeys(one, []byte{1}); err == nil {
		t.Error("a public value of 1 is taken")
	}
}

// What is not UTF-8 in a text, as any peer can send it, is replaced; records are copied.
func TestAPlaintextIsShownAsText(t *testing.T) {
	value := []byte("value")
	f := PlaintextFields(&Message{Number: 7}, Plaintext{Text: []byte("a\xffb"), TLVs: []wire.TLV{{Type: 9, Value: value}}})
	clear(value)
	tlvs := f.Get("tlvs").([]Fields)
	if f.Get("number") != uint64(7) || f.Get("text") != "a\ufffdb" || len(tlvs) != 1 || tlvs[0].Get("type") != uint64(9) || tlvs[0].Get("value").(Hex).String() != "76616c7565" {
		t.Errorf("%v", f)
	}
}

// The secrets of a forged key exchange are wiped after it, wherever they were kept meanwhile.
func TestTheScalarsOfAForgeryAreWiped(t *testing.T) {
	m := &memory{rand: steady(1)}
	var draw [group.ScalarLen]byte
	if _, err := m.Read(draw[:]); err != nil {
		t.Fatal(err)
	}
	first := &m.draws[0]
	if *first != draw {
		t.Fatal("it is not remembered")
	}
	for range 5 {
		if _, err := m.Read(draw[:]); err != nil {
			t.Fatal(err)
		}
	}
	m.wipe()
	if *first != [group.ScalarLen]byte{} || m.draws[5] != [group.ScalarLen]byte{} {
		t.Error("a scalar is left in memory")
	}
}
