package toolkit

import (
	"bytes"
	"errors"
	"math"
	"strings"
	"testing"

	"otrpipe/otr/v3"
	"otrpipe/otr/wire"
)

// madeMessage returns a version 3 data message with a known key, and the key.
func madeMessage(t testing.TB, plaintext wire.Plaintext) (*Message, []byte) {
	t.Helper()
	key := v3.AESKey([]byte("0123456789abcdef"))
	text := wire.AppendPlaintext(nil, plaintext)
	key.Crypt(text, 7)
	mac := key.MACKey()
	line, err := Make3(Parts3{
		Sender: 0x100, Receiver: 0x101,
		Flags: 1, SenderKeyID: 3, RecipientKeyID: 4, NextDH: []byte{0, 9}, Counter: 7,
		Encrypted: text, OldMACKeys: bytes.Repeat([]byte{5}, 40),
	}, mac[:])
	if err != nil {
		t.Fatal(err)
	}
	all := parseText(t, string(line))
	if len(all) != 1 || all[0].Err != nil {
		t.Fatalf("%+v", all)
	}
	return &all[0], key[:]
}

func reparse(t testing.TB, line []byte) *Message {
	t.Helper()
	all := parseText(t, string(line))
	if len(all) != 1 {
		t.Fatalf("%d messages", len(all))
	}
	return &all[0]
}

func TestReadForgeModifyRemac(t *testing.T) {
	tlv := wire.TLV{Type: 0x6F00, Value: []byte("value")}
	m, key := madeMessage(t, wire.Plaintext{Text: []byte("attack at dawn"), TLVs: []wire.TLV{tlv}})
	p, err := Read(m, key)
	if err != nil || string(p.Text) != "attack at dawn" || len(p.TLVs) != 1 || string(p.TLVs[0].Value) != "value" {
		t.Fatalf("%q, %v", p.Text, err)
	}
	forged, err := Forge(m, key, []byte("never mind"))
	if err != nil {
		t.Fatal(err)
	}
	if p, err = Read(reparse(t, forged), key); err != nil || string(p.Text) != "never mind" {
		t.Errorf("forged: %q, %v", p.Text, err)
	}
	for _, name := range []string{"flags", "sender_key_id", "recipient_key_id", "counter", "next_dh", "sender_instance", "receiver_instance"} {
		if a, b := m.Fields.Get(name), reparse(t, forged).Fields.Get(name); !equal(a, b) {
			t.Errorf("%s: %v became %v", name, a, b)
		}
	}
	mac, err := MACKey(key)
	if err != nil {
		t.Fatal(err)
	}
	changed, err := Modify(m, mac, []byte("dawn"), []byte("noon"), 10)
	if err != nil {
		t.Fatal(err)
	}
	if p, err = Read(reparse(t, changed), key); err != nil || string(p.Text) != "attack at noon" {
		t.Errorf("modified: %q, %v", p.Text, err)
	}
	other := bytes.Repeat([]byte{1}, MACKey3Len)
	again, err := Remac(m, other)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Read(reparse(t, again), key); !errors.Is(err, ErrWrongKey) {
		t.Errorf("with another MAC: %v", err)
	}
	if back, err := Remac(reparse(t, again), mac); err != nil || string(back) != string(wire.AppendArmor(nil, m.Raw)) {
		t.Errorf("the message is not as it was: %v", err)
	}
}

func equal(a, b any) bool {
	if x, ok := a.(Hex); ok {
		y, _ := b.(Hex)
		return bytes.Equal(x, y)
	}
	return a == b
}

func TestWhatDoesNotFitIsRefused(t *testing.T) {
	m, key := madeMessage(t, wire.Plaintext{Text: []byte("attack at dawn")})
	mac, _ := MACKey(key)
	query := reparse(t, []byte("?OTRv34?"))
	damaged := reparse(t, wire.AppendArmor(nil, m.Raw[:len(m.Raw)-1]))
	wrong := bytes.Repeat([]byte{1}, AESKeyLen)
	for name, test := range map[string]struct {
		do   func() error
		want error
	}{
		"another key":                      {func() error { _, err := Read(m, wrong); return err }, ErrWrongKey},
		"another key to forge":             {func() error { _, err := Forge(m, wrong, []byte("x")); return err }, ErrWrongKey},
		"a NUL":                            {func() error { _, err := Forge(m, key, []byte("a\x00b")); return err }, ErrText},
		"a key of version 4":               {func() error { _, err := Read(m, make([]byte, Key4Len)); return err }, ErrKeyLength},
		"no key":                           {func() error { _, err := MACKey(nil); return err }, ErrKeyLength},
		"a key of another length to forge": {func() error { _, err := Forge(m, key[:15], []byte("x")); return err }, ErrKeyLength},
		"a query to forge":                 {func() error { _, err := Forge(query, key, []byte("x")); return err }, ErrNotData},
		"a query to modify":                {func() error { _, err := Modify(query, mac, []byte("a"), []byte("b"), 0); return err }, ErrNotData},
		"a query to remac":                 {func() error { _, err := Remac(query, mac); return err }, ErrNotData},
		"a long MAC key":                   {func() error { _, err := Remac(m, append(mac[:], 0)); return err }, ErrKeyLength},
		"a short MAC key":                  {func() error { _, err := Remac(m, mac[:19]); return err }, ErrKeyLength},
		"a short MAC key to make one":      {func() error { _, err := Make3(Parts3{}, mac[:19]); return err }, ErrKeyLength},
		"a damaged message":                {func() error { _, err := Remac(damaged, mac); return err }, v3.ErrMalformed},
		"a query":                          {func() error { _, err := Read(query, key); return err }, ErrNotData},
		"a MAC key of another":             {func() error { _, err := Modify(m, wrong[:], []byte("a"), []byte("b"), 0); return err }, ErrKeyLength},
		"a wrong MAC key":                  {func() error { _, err := Modify(m, make([]byte, 20), []byte("a"), []byte("b"), 0); return err }, ErrWrongKey},
		"past the end":                     {func() error { _, err := Modify(m, mac, []byte("dawn"), []byte("noon"), 11); return err }, ErrOldText},
		"far past the end":                 {func() error { _, err := Modify(m, mac, []byte("dawn"), []byte("noon"), math.MaxInt); return err }, ErrOldText},
		"before the start":                 {func() error { _, err := Modify(m, mac, []byte("a"), []byte("b"), -1); return err }, ErrOldText},
		"other lengths":                    {func() error { _, err := Modify(m, mac, []byte("dawn"), []byte("nine"[:3]), 10); return err }, ErrOldText},
		"nothing":                          {func() error { _, err := Modify(m, mac, nil, nil, 0); return err }, ErrOldText},
		"a counter of 0": {func() error {
			_, err := Make3(Parts3{Sender: 0x100, Receiver: 0x100, SenderKeyID: 1, RecipientKeyID: 1}, mac)
			return err
		}, v3.ErrMalformed},
		"a tag that nobody has": {func() error {
			_, err := Make3(Parts3{Sender: 5, Receiver: 0x100, SenderKeyID: 1, RecipientKeyID: 1, Counter: 1}, mac)
			return err
		}, wire.ErrInstanceTag},
	} {
		if err := test.do(); !errors.Is(err, test.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// A revealed MAC key alone is enough to change a message of version 4.
func TestARevealedMACKeyChangesAMessageOfVersion4(t *testing.T) {
	all := parseText(t, log4(t, true))
	var mac Hex
	for _, m := range all {
		keys, _ := m.Fields.Get("revealed_mac_keys").([]Fields)
		for _, k := range keys {
			if n, _ := k.Get("authenticates").([]uint64); len(n) == 1 && n[0] == 4 {
				mac = k.Get("key").(Hex)
			}
		}
	}
	if mac == nil {
		t.Fatal("the key of message 4 was not revealed")
	}
	line, err := Modify(&all[3], mac, []byte("the bridge?"), []byte("the church?"), len("Shall we meet at "))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Modify(reparse(t, line), mac, []byte("x"), []byte("y"), 0); err != nil {
		t.Errorf("the changed message is not authentic: %v", err)
	}
}

func TestSessionKeysAgree(t *testing.T) {
	a, b := []byte("private value of a, 40 bytes, all secret"), []byte("another private value, of b, as long as.")
	pa, err := v3.DeriveSessionKeys(a, []byte{4})
	if err != nil {
		t.Fatal(err)
	}
	ka, err := v3.DeriveSessionKeys(b, pa.Public)
	if err != nil {
		t.Fatal(err)
	}
	kb, err := v3.DeriveSessionKeys(a, append([]byte{0, 0}, ka.Public...))
	if err != nil {
		t.Fatal(err)
	}
	if ka.SSID != kb.SSID || ka.Sending != kb.Receiving || ka.Receiving != kb.Sending || ka.High == kb.High || ka.Extra != kb.Extra {
		t.Error("the two ends derive other keys")
	}
	for _, secret := range [][]byte{nil, make([]byte, 193)} {
		if _, err := v3.DeriveSessionKeys(secret, ka.Public); !errors.Is(err, v3.ErrSecret) {
			t.Errorf("%d bytes: %v", len(secret), err)
		}
	}
	for _, public := range []string{"", "\x01", strings.Repeat("\xff", 192)} {
		if _, err := v3.DeriveSessionKeys(a, []byte(public)); err == nil {
			t.Errorf("the public value %x was taken", public)
		}
	}
}

func TestAMessageOfVersion2IsMadeWithoutInstanceTags(t *testing.T) {
	mac := bytes.Repeat([]byte{1}, MACKey3Len)
	line, err := Make3(Parts3{SenderKeyID: 1, RecipientKeyID: 1, NextDH: []byte{9}, Counter: 1, Encrypted: []byte("text")}, mac)
	if err != nil {
		t.Fatal(err)
	}
	m := reparse(t, line)
	if m.Err != nil || m.Fields.Get("version") != uint64(2) || m.Fields.Get("sender_instance") != nil {
		t.Errorf("%v, %v", m.Fields, m.Err)
	}
}
