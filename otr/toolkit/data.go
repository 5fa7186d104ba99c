package toolkit

import (
	"bytes"
	"crypto/subtle"
	"errors"
	"fmt"

	"otrpipe/otr/v3"
	"otrpipe/otr/v4"
	"otrpipe/otr/wire"
)

// maxChainSteps is how many steps a chain key is advanced to find the key of a message: as
// many as an engine allows for missing messages.
const maxChainSteps = 1000

var (
	// ErrNotData reports a message that is not a data message.
	ErrNotData = errors.New("toolkit: not a data message")
	// ErrKeyLength reports a key whose length is wrong for the message's version.
	ErrKeyLength = errors.New("toolkit: wrong key length")
	// ErrWrongKey reports a key that does not authenticate the message.
	ErrWrongKey = errors.New("toolkit: the key does not authenticate the message")
	// ErrOldText reports a replacement that does not fit into the message.
	ErrOldText = errors.New("toolkit: the replacement does not fit")
	// ErrText reports a text that a data message cannot carry.
	ErrText = errors.New("toolkit: a text cannot hold a NUL byte")
)

// The lengths of keys, in bytes.
const (
	AESKeyLen  = 16 // versions 2 and 3: encryption
	MACKey3Len = 20 // versions 2 and 3: authentication
	Key4Len    = 64 // version 4: a message key (MKenc), a chain key, or a MAC key (MKmac)
)

// MACKey derives the MAC key from an encryption key: 20 bytes from the AES key of versions 2
// and 3, 64 bytes from the message key of version 4. The error wraps ErrKeyLength.
func MACKey(encryption []byte) ([]byte, error) {
	switch len(encryption) {
	case AESKeyLen:
		k := (*v3.AESKey)(encryption).MACKey()
		return k[:], nil
	case Key4Len:
		k := v4.MACKey((*v4.Key)(encryption))
		return k[:], nil
	}
	return nil, fmt.Errorf("%w: an encryption key has %d or %d bytes, not %d", ErrKeyLength, AESKeyLen, Key4Len, len(encryption))
}

// dataMessage is a parsed data message of any version. Its parts are copies.
type dataMessage struct {
	header wire.Header
	three  v3.Data
	four   v4.Data
}

func parseData(m *Message) (*dataMessage, error) {
	if m.Err != nil {
		return nil, m.Err
	}
	if m.Name != "data" {
		return nil, fmt.Errorf("%w: %s", ErrNotData, m.Name)
	}
	d := &dataMessage{header: m.Header}
	body := bytes.Clone(m.Body)
	var err error
	if d.isFour() {
		d.four, err = v4.ParseData(body)
	} else {
		d.three, err = v3.ParseData(body)
	}
	return d, err
}

func (d *dataMessage) isFour() bool { return d.header.Version == v4.Version }

// encrypted returns the encrypted part. The caller may change it in place.
func (d *dataMessage) encrypted() []byte {
	if d.isFour() {
		return d.four.Encrypted
	}
	return d.three.Encrypted
}

func (d *dataMessage) setEncrypted(b []byte) {
	d.three.Encrypted, d.four.Encrypted = b, b
}

// encoded returns the encoded message, and how many of its bytes are authenticated.
func (d *dataMessage) encoded() (msg []byte, covered int) {
	msg = d.header.Append(nil)
	if d.isFour() {
		msg = d.four.Append(msg)
		return msg, len(msg) - len(d.four.MAC) - 4 - len(d.four.Revealed)
	}
	msg = d.three.Append(msg)
	return msg, len(msg) - len(d.three.MAC) - 4 - len(d.three.OldMACKeys)
}

// macKeyLen returns the length of the message's MAC keys in bytes.
func (d *dataMessage) macKeyLen() int {
	if d.isFour() {
		return Key4Len
	}
	return MACKey3Len
}

// checkMACKey returns an error if a MAC key has the wrong length for the message.
func (d *dataMessage) checkMACKey(macKey []byte) error {
	if len(macKey) != d.macKeyLen() {
		return fmt.Errorf("%w: a MAC key of version %d has %d bytes, not %d", ErrKeyLength, d.header.Version, d.macKeyLen(), len(macKey))
	}
	return nil
}

// verify returns ErrWrongKey unless the message is authentic under a MAC key.
func (d *dataMessage) verify(macKey []byte) error {
	msg, covered := d.encoded()
	mac := d.three.MAC
	if d.isFour() {
		mac = d.four.MAC
	}
	if subtle.ConstantTimeCompare(authenticate(d.header.Version, macKey, msg[:covered]), mac) != 1 {
		return ErrWrongKey
	}
	return nil
}

// remac authenticates the message with a MAC key.
func (d *dataMessage) remac(macKey []byte) {
	msg, covered := d.encoded()
	mac := authenticate(d.header.Version, macKey, msg[:covered])
	d.three.MAC, d.four.MAC = mac, mac
}

// armored returns the message as it is sent.
func (d *dataMessage) armored() []byte {
	msg, _ := d.encoded()
	return wire.AppendArmor(nil, msg)
}

// findKey returns the encryption key of the message: key itself, or in version 4 the key
// derived from it as a chain key. sure is false if the authenticator matches neither; then
// enc is key itself.
func (d *dataMessage) findKey(key []byte) (enc []byte, sure bool, err error) {
	want := AESKeyLen
	if d.isFour() {
		want = Key4Len
	}
	if len(key) != want {
		return nil, false, fmt.Errorf("%w: the encryption key of a version %d message has %d bytes, not %d", ErrKeyLength, d.header.Version, want, len(key))
	}
	macKey, err := MACKey(key)
	if err != nil {
		return nil, false, err
	}
	if d.verify(macKey) == nil {
		return key, true, nil
	}
	if d.isFour() {
		chain := *(*v4.Key)(key)
		for range maxChainSteps {
			k := v4.NextMessageKey(&chain)
			mac := v4.MACKey(&k)
			if d.verify(mac[:]) == nil {
				return k[:], true, nil
			}
		}
	}
	return key, false, nil
}

func (d *dataMessage) crypt(key, text []byte) {
	if d.isFour() {
		v4.Crypt((*v4.Key)(key), text)
	} else {
		(*v3.AESKey)(key).Crypt(text, d.three.Counter)
	}
}

// A Plaintext is the content of a data message: its text and the TLV records after it.
type Plaintext = wire.Plaintext

// PlaintextFields returns the fields of the decrypted message m: "number", "text" (with
// invalid UTF-8 replaced), and "tlvs", each with "type" and "value".
func PlaintextFields(m *Message, p Plaintext) Fields {
	tlvs := []Fields{}
	for _, t := range p.TLVs {
		tlvs = append(tlvs, Fields{{"type", uint64(t.Type)}, {"value", Hex(bytes.Clone(t.Value))}})
	}
	return Fields{
		{"number", uint64(m.Number)},
		{"text", string(bytes.ToValidUTF8(p.Text, []byte("\ufffd")))},
		{"tlvs", tlvs},
	}
}

// Read decrypts a data message with its encryption key: the AES key of versions 2 and 3 (16
// bytes), or in version 4 (64 bytes) the message key or a chain key at most 1,000 messages
// before it. It returns the text and the TLV records. If the key does not authenticate the
// message the error is ErrWrongKey; other errors wrap ErrNotData, ErrKeyLength or
// wire.ErrTLV.
func Read(m *Message, key []byte) (wire.Plaintext, error) {
	d, err := parseData(m)
	if err != nil {
		return wire.Plaintext{}, err
	}
	enc, sure, err := d.findKey(key)
	if err != nil {
		return wire.Plaintext{}, err
	}
	if !sure {
		return wire.Plaintext{}, ErrWrongKey
	}
	text := d.encrypted()
	d.crypt(enc, text)
	return wire.ParsePlaintext(nil, text)
}

// Forge returns a copy of m, armored, with another text, encrypted and authenticated with the
// encryption key of m; see Read. The other fields stay the same, but the TLV records of m are
// left out. The text must not contain a NUL byte (ErrText).
func Forge(m *Message, key, text []byte) ([]byte, error) {
	d, err := parseData(m)
	if err != nil {
		return nil, err
	}
	enc, sure, err := d.findKey(key)
	if err != nil {
		return nil, err
	}
	if !sure {
		return nil, ErrWrongKey
	}
	if bytes.IndexByte(text, 0) >= 0 {
		return nil, ErrText
	}
	text = bytes.Clone(text)
	d.crypt(enc, text)
	d.setEncrypted(text)
	macKey, err := MACKey(enc)
	if err != nil {
		return nil, err
	}
	d.remac(macKey)
	return d.armored(), nil
}

// Modify returns m, armored, with old replaced by text at an offset of its plaintext, in
// bytes, and authenticated with its MAC key ("Modify Data Message"). It need not be able to
// decrypt m. old and text must have the same length, at least 1, and lie within the message;
// otherwise the error wraps ErrOldText. If the MAC key does not authenticate m the error is
// ErrWrongKey.
func Modify(m *Message, macKey, old, text []byte, offset int) ([]byte, error) {
	d, err := parseData(m)
	if err != nil {
		return nil, err
	}
	if err := d.checkMACKey(macKey); err != nil {
		return nil, err
	}
	if err := d.verify(macKey); err != nil {
		return nil, err
	}
	encrypted := d.encrypted()
	switch {
	case len(old) == 0:
		return nil, fmt.Errorf("%w: the old text is empty", ErrOldText)
	case len(old) != len(text):
		return nil, fmt.Errorf("%w: the old text has %d bytes, the new one %d", ErrOldText, len(old), len(text))
	case offset < 0 || offset > len(encrypted)-len(old):
		return nil, fmt.Errorf("%w: bytes %d to %d, of a message of %d", ErrOldText, offset, offset+len(old), len(encrypted))
	}
	subtle.XORBytes(encrypted[offset:], encrypted[offset:offset+len(old)], old)
	subtle.XORBytes(encrypted[offset:], encrypted[offset:offset+len(text)], text)
	d.remac(macKey)
	return d.armored(), nil
}

// Remac returns m, armored and authenticated with a MAC key, whether or not it was authentic
// before ("ReMAC Message"). The error wraps ErrNotData or ErrKeyLength.
func Remac(m *Message, macKey []byte) ([]byte, error) {
	d, err := parseData(m)
	if err != nil {
		return nil, err
	}
	if err := d.checkMACKey(macKey); err != nil {
		return nil, err
	}
	d.remac(macKey)
	return d.armored(), nil
}

// Parts3 holds the fields from which Make3 makes a data message of version 3, or of version 2
// if both instance tags are 0.
type Parts3 struct {
	Sender, Receiver            uint32 // instance tags
	Flags                       byte
	SenderKeyID, RecipientKeyID uint32
	NextDH                      []byte // big-endian, leading zeros allowed
	Counter                     uint64 // the top half of the initial counter
	Encrypted                   []byte
	OldMACKeys                  []byte // 20 bytes each
}

// Make3 returns a data message of version 2 or 3, armored, made from its parts, with a text
// that is already encrypted, and authenticated with a MAC key of 20 bytes. Parts that no
// parser would accept are an error of package v3 or wire.
func Make3(p Parts3, macKey []byte) ([]byte, error) {
	d := &dataMessage{
		header: wire.Header{Version: v3.Version3, Type: wire.TypeData, Sender: p.Sender, Receiver: p.Receiver},
		three: v3.Data{
			Flags: p.Flags, SenderKeyID: p.SenderKeyID, RecipientKeyID: p.RecipientKeyID,
			DHY: bytes.TrimLeft(p.NextDH, "\x00"), Counter: p.Counter,
			Encrypted: p.Encrypted, OldMACKeys: p.OldMACKeys,
		},
	}
	if p.Sender == 0 && p.Receiver == 0 {
		d.header.Version = v3.Version2
	}
	if err := d.checkMACKey(macKey); err != nil {
		return nil, err
	}
	d.remac(macKey)
	msg, _ := d.encoded()
	_, body, err := wire.ParseHeader(msg)
	if err == nil {
		_, err = v3.ParseData(body)
	}
	if err != nil {
		return nil, err
	}
	return d.armored(), nil
}

// SessionKeys derives the values that an end of versions 2 and 3 derives from its own private
// D-H value, of 1 to 192 bytes, and the peer's public one: "end" (high or low),
// "our_public_key", "session_id" (as clients show it), "sending_aes_key", "sending_mac_key",
// "receiving_aes_key", "receiving_mac_key" and "extra_symmetric_key". The error wraps
// v3.ErrSecret or group.ErrElement.
func SessionKeys(private, public []byte) (Fields, error) {
	k, err := v3.DeriveSessionKeys(private, public)
	if err != nil {
		return nil, err
	}
	end := "low"
	if k.High {
		end = "high"
	}
	sendMAC, receiveMAC := k.Sending.MACKey(), k.Receiving.MACKey()
	return Fields{
		{"end", end},
		{"our_public_key", Hex(k.Public)},
		{"session_id", Hex(k.SSID[:])},
		{"sending_aes_key", Hex(k.Sending[:])},
		{"sending_mac_key", Hex(sendMAC[:])},
		{"receiving_aes_key", Hex(k.Receiving[:])},
		{"receiving_mac_key", Hex(receiveMAC[:])},
		{"extra_symmetric_key", Hex(k.Extra[:])},
	}, nil
}
