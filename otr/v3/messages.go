package v3

import (
	"errors"
	"fmt"

	"otrpipe/otr/wire"
)

// Sizes that the specification fixes, in bytes.
const (
	revealedKeyLen = 16 // r, an AES-128 key
	hashedGXLen    = 32 // SHA-256
	sigMACLen      = 20 // SHA256-HMAC-160
	dataMACLen     = 20 // SHA1-HMAC
	maxDHLen       = 192
)

// ErrMalformed means that a message does not have the fields of its type.
var ErrMalformed = errors.New("v3: malformed message")

// A DHCommit is the body of a D-H Commit Message.
type DHCommit struct {
	EncryptedGX []byte // g^x as MPI, encrypted under r: 4 to 196 bytes
	HashedGX    []byte // SHA-256 of the same MPI: 32 bytes
}

// ParseDHCommit reads the body of a D-H Commit Message; the result borrows body.
func ParseDHCommit(body []byte) (DHCommit, error) {
	r := wire.NewReader(body)
	m := DHCommit{EncryptedGX: r.Data(), HashedGX: r.Data()}
	if err := r.End(); err != nil {
		return DHCommit{}, malformed("D-H Commit", err)
	}
	if len(m.EncryptedGX) < 5 || len(m.EncryptedGX) > 4+maxDHLen {
		return DHCommit{}, malformed("D-H Commit", fmt.Errorf("encrypted g^x has %d bytes", len(m.EncryptedGX)))
	}
	if len(m.HashedGX) != hashedGXLen {
		return DHCommit{}, malformed("D-H Commit", fmt.Errorf("hashed g^x has %d bytes", len(m.HashedGX)))
	}
	return m, nil
}

// Append appends the body to b.
func (m DHCommit) Append(b []byte) []byte {
	return wire.AppendData(wire.AppendData(b, m.EncryptedGX), m.HashedGX)
}

// A DHKey is the body of a D-H Key Message.
type DHKey struct {
	GY []byte // g^y, big-endian, at most 192 bytes
}

// ParseDHKey reads the body of a D-H Key Message; the result borrows body.
func ParseDHKey(body []byte) (DHKey, error) {
	r := wire.NewReader(body)
	m := DHKey{GY: r.MPI()}
	if err := r.End(); err != nil {
		return DHKey{}, malformed("D-H Key", err)
	}
	if len(m.GY) > maxDHLen {
		return DHKey{}, malformed("D-H Key", fmt.Errorf("g^y has %d bytes", len(m.GY)))
	}
	return m, nil
}

// Append appends the body to b.
func (m DHKey) Append(b []byte) []byte { return wire.AppendMPI(b, m.GY) }

// A RevealSignature is the body of a Reveal Signature Message.
type RevealSignature struct {
	RevealedKey []byte // r: 16 bytes
	Signature
}

// ParseRevealSignature reads the body of a Reveal Signature Message; the result
// borrows body.
func ParseRevealSignature(body []byte) (RevealSignature, error) {
	r := wire.NewReader(body)
	m := RevealSignature{RevealedKey: r.Data()}
	m.Signature = readSignature(&r)
	if err := r.End(); err != nil {
		return RevealSignature{}, malformed("Reveal Signature", err)
	}
	if len(m.RevealedKey) != revealedKeyLen {
		return RevealSignature{}, malformed("Reveal Signature", fmt.Errorf("revealed key has %d bytes", len(m.RevealedKey)))
	}
	return m, nil
}

// Append appends the body to b.
func (m RevealSignature) Append(b []byte) []byte {
	return m.Signature.Append(wire.AppendData(b, m.RevealedKey))
}

// A Signature is the body of a Signature Message.
type Signature struct {
	Encrypted []byte // X, encrypted under c or c'
	MAC       []byte // MAC MAC of Encrypted with its length, under m2 or m2': 20 bytes
}

// ParseSignature reads the body of a Signature Message; the result borrows body.
func ParseSignature(body []byte) (Signature, error) {
	r := wire.NewReader(body)
	m := readSignature(&r)
	if err := r.End(); err != nil {
		return Signature{}, malformed("Signature", err)
	}
	return m, nil
}

func readSignature(r *wire.Reader) Signature {
	return Signature{Encrypted: r.Data(), MAC: r.Take(sigMACLen)}
}

// Append appends the body to b.
func (m Signature) Append(b []byte) []byte {
	return append(wire.AppendData(b, m.Encrypted), m.MAC...)
}

// A Data is the body of a Data Message.
type Data struct {
	Flags          byte
	SenderKeyID    uint32
	RecipientKeyID uint32
	DHY            []byte // the sender's next public key, big-endian, at most 192 bytes
	Counter        uint64 // top half of the initial counter, never 0
	Encrypted      []byte // the plaintext under AES-128-CTR
	MAC            []byte // SHA1-HMAC: 20 bytes
	OldMACKeys     []byte // a multiple of 20 bytes

	// Authenticated is how many bytes of the body, from its start, the MAC covers. The MAC
	// also covers the message's header before them.
	Authenticated int
}

// ParseData reads the body of a Data Message; the result borrows body.
func ParseData(body []byte) (Data, error) {
	r := wire.NewReader(body)
	var m Data
	m.Flags = r.Byte()
	m.SenderKeyID = r.Int()
	m.RecipientKeyID = r.Int()
	m.DHY = r.MPI()
	m.Counter = r.Long()
	m.Encrypted = r.Data()
	m.Authenticated = r.Pos()
	m.MAC = r.Take(dataMACLen)
	m.OldMACKeys = r.Data()
	if err := r.End(); err != nil {
		return Data{}, malformed("Data", err)
	}
	switch {
	case m.SenderKeyID == 0 || m.RecipientKeyID == 0:
		return Data{}, malformed("Data", errors.New("a key id is 0"))
	case len(m.DHY) > maxDHLen:
		return Data{}, malformed("Data", fmt.Errorf("next D-H key has %d bytes", len(m.DHY)))
	case m.Counter == 0:
		return Data{}, malformed("Data", errors.New("the counter is 0"))
	case len(m.OldMACKeys)%dataMACLen != 0:
		return Data{}, malformed("Data", fmt.Errorf("revealed MAC keys have %d bytes", len(m.OldMACKeys)))
	}
	return m, nil
}

// Append appends the body to b.
func (m Data) Append(b []byte) []byte {
	b = m.appendHead(b, len(m.Encrypted))
	b = append(b, m.Encrypted...)
	b = append(b, m.MAC...)
	return wire.AppendData(b, m.OldMACKeys)
}

// appendHead appends all fields before the n bytes of encrypted message.
func (m *Data) appendHead(b []byte, n int) []byte {
	b = append(b, m.Flags)
	b = wire.AppendInt(b, m.SenderKeyID)
	b = wire.AppendInt(b, m.RecipientKeyID)
	b = wire.AppendMPI(b, m.DHY)
	b = wire.AppendInt(b, uint32(m.Counter>>32))
	b = wire.AppendInt(b, uint32(m.Counter))
	return wire.AppendInt(b, uint32(n))
}

func malformed(message string, err error) error {
	return fmt.Errorf("%w: %s: %w", ErrMalformed, message, err)
}
