package toolkit

import (
	"bytes"
	"strings"
	"testing"

	"otrpipe/otr/wire"
)

// made4 is a data message of version 4 from an instance, with the MAC key of a number and
// what it reveals.
func made4(t testing.TB, template *Message, sender, receiver uint32, key byte, revealed []byte) string {
	t.Helper()
	d, err := parseData(template)
	if err != nil {
		t.Fatal(err)
	}
	d.header.Sender, d.header.Receiver = sender, receiver
	d.four.Revealed = revealed
	d.remac(bytes.Repeat([]byte{key}, Key4Len))
	return string(d.armored()) + "\n"
}

// A side may reveal the keys of a thousand messages at once. Each is found although
// looking among all messages for each would be too much work.
func TestAThousandRevealedKeysAreFound(t *testing.T) {
	const messages = 1000
	_, _, sent := forge4(t, true)
	template := &parseText(t, transcript(sent))[3]
	var log strings.Builder
	var keys []byte
	for i := range messages {
		d, err := parseData(template)
		if err != nil {
			t.Fatal(err)
		}
		key := bytes.Repeat([]byte{byte(i), byte(i >> 8)}, Key4Len/2)
		d.four.MessageID = uint32(i)
		d.remac(key)
		keys = append(keys, key...)
		log.Write(append(d.armored(), '\n'))
	}
	log.WriteString(made4(t, template, template.Header.Receiver, template.Header.Sender, 1, keys))
	p := NewParser(strings.NewReader(log.String()))
	var last *Message
	for range messages + 1 {
		var err error
		if last, err = p.Next(); err != nil {
			t.Fatal(err)
		}
	}
	all := last.Fields.Get("revealed_mac_keys").([]Fields)
	if len(all) != messages {
		t.Fatalf("%d keys", len(all))
	}
	for i, k := range all {
		if n, _ := k.Get("authenticates").([]uint64); len(n) != 1 || n[0] != uint64(i+1) {
			t.Fatalf("key %d authenticates %v", i, n)
		}
	}
}

// False MAC keys in every message make no more work than the length of the log allows.
func TestFalseMACKeysCostNoMoreThanTheLogIsLong(t *testing.T) {
	_, _, sent := forge4(t, true)
	template := &parseText(t, transcript(sent))[3]
	a, b := template.Header.Sender, template.Header.Receiver
	var log strings.Builder
	for range 200 {
		log.WriteString(made4(t, template, a, b, 1, nil))
	}
	for range 150 {
		log.WriteString(made4(t, template, b, a, 2, bytes.Repeat([]byte{3}, 64*Key4Len)))
	}
	p := NewParser(strings.NewReader(log.String()))
	for range 350 {
		m, err := p.Next()
		if err != nil {
			t.Fatal(err)
		}
		if m.Header.Sender == b {
			if hashed := p.judge.hashed; hashed > maxLookup+len(template.Raw) {
				t.Fatalf("%d bytes were hashed", hashed)
			}
		}
	}
	if p.judge.hashed < maxLookup/2 {
		t.Error("the log has not been enough work to show anything")
	}
	// Reading on earns the work back.
	p.judge.earn(maxLookup)
	if p.judge.hashed != 0 {
		t.Errorf("%d bytes are not earned back", p.judge.hashed)
	}
}

// A log full of Identity messages does not multiply the ring signatures to check.
func TestARingSignatureIsCheckedAgainstAFewMessages(t *testing.T) {
	_, _, sent := forge4(t, true)
	all := parseText(t, transcript(sent))
	other := func() string {
		alice := newParty(t, 1) // has the same instance tag, and other ephemeral keys
		alice.client.Rand = steady(77)
		o, err := alice.client.NewOffer()
		if err != nil {
			t.Fatal(err)
		}
		return string(wire.AppendArmor(nil, o.Message(0))) + "\n"
	}()
	armored := func(m *Message) string { return string(wire.AppendArmor(nil, m.Raw)) + "\n" }
	for between, want := range map[int]string{0: sigmaValid, maxTried - 1: sigmaValid, maxTried: sigmaTooMany} {
		text := armored(&all[0]) + strings.Repeat(other, between) + armored(&all[1])
		got := parseText(t, text)
		if check := got[len(got)-1].Fields.Get("sigma_check"); check != want {
			t.Errorf("%d messages between: sigma is %v", between, check)
		}
	}
}
