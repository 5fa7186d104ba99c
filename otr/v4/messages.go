package v4

import (
	"bytes"
	"errors"
	"fmt"

	"otrpipe/otr/group"
	"otrpipe/otr/wire"
)

const (
	// macLen is the length of a MAC, and of a MAC key.
	macLen = 64
	// maxExchangeMessage bounds the length of a key exchange message, in bytes: the longest
	// has a profile with a DSA key of 3072 bits, two POINTs, two DH values and a RING-SIG,
	// which is less than 3 KiB.
	maxExchangeMessage = 4 << 10
)

// ErrMalformed reports a malformed message.
var ErrMalformed = errors.New("v4: malformed message")

func malformed(what string, err error) error {
	return fmt.Errorf("%w: %s: %w", ErrMalformed, what, err)
}

// Identity is the body of an Identity message (section "Identity Message"). POINTs and DH
// values are not validated; DH values are big-endian without leading zeros.
type Identity struct {
	Profile   *Profile
	Y         []byte // POINT
	B         []byte // DH
	FirstECDH []byte // POINT
	FirstDH   []byte // DH
}

// ParseIdentity parses the body of an Identity message. The result does not borrow from
// it. The error wraps ErrMalformed.
func ParseIdentity(body []byte) (*Identity, error) {
	r, err := exchangeReader(body)
	if err != nil {
		return nil, malformed("Identity", err)
	}
	m := new(Identity)
	if m.Profile, err = ReadProfile(&r); err != nil {
		return nil, malformed("Identity", err)
	}
	m.Y, m.B = r.Take(group.PointLen), r.MPI()
	m.FirstECDH, m.FirstDH = r.Take(group.PointLen), r.MPI()
	if err := r.End(); err != nil {
		return nil, malformed("Identity", err)
	}
	return m, nil
}

// Append appends the body.
func (m *Identity) Append(b []byte) []byte {
	b = m.Profile.Append(b)
	b = wire.AppendMPI(append(b, m.Y...), m.B)
	return wire.AppendMPI(append(b, m.FirstECDH...), m.FirstDH)
}

// AuthR is the body of an Auth-R message (section "Auth-R Message"), like Identity.
type AuthR struct {
	Profile   *Profile
	X         []byte // POINT
	A         []byte // DH
	Sigma     []byte // RING-SIG
	FirstECDH []byte // POINT
	FirstDH   []byte // DH
}

// ParseAuthR parses the body of an Auth-R message. The result does not borrow from it.
// The error wraps ErrMalformed.
func ParseAuthR(body []byte) (*AuthR, error) {
	r, err := exchangeReader(body)
	if err != nil {
		return nil, malformed("Auth-R", err)
	}
	m := new(AuthR)
	if m.Profile, err = ReadProfile(&r); err != nil {
		return nil, malformed("Auth-R", err)
	}
	m.X, m.A = r.Take(group.PointLen), r.MPI()
	m.Sigma = r.Take(RingSignatureLen)
	m.FirstECDH, m.FirstDH = r.Take(group.PointLen), r.MPI()
	if err := r.End(); err != nil {
		return nil, malformed("Auth-R", err)
	}
	return m, nil
}

// Append appends the body.
func (m *AuthR) Append(b []byte) []byte {
	b = m.Profile.Append(b)
	b = wire.AppendMPI(append(b, m.X...), m.A)
	b = append(b, m.Sigma...)
	return wire.AppendMPI(append(b, m.FirstECDH...), m.FirstDH)
}

// AuthI is the body of an Auth-I message (section "Auth-I Message").
type AuthI struct {
	Sigma []byte // RING-SIG
}

// ParseAuthI parses the body of an Auth-I message, which the result borrows from. The
// error wraps ErrMalformed.
func ParseAuthI(body []byte) (*AuthI, error) {
	r := wire.NewReader(body)
	m := &AuthI{Sigma: r.Take(RingSignatureLen)}
	if err := r.End(); err != nil {
		return nil, malformed("Auth-I", err)
	}
	return m, nil
}

// Append appends the body.
func (m *AuthI) Append(b []byte) []byte { return append(b, m.Sigma...) }

// Data is the body of a data message (section "Data Message Format").
type Data struct {
	Flags         byte
	PreviousCount uint32 // pn: messages in the sender's previous ratchet
	RatchetID     uint32 // i
	MessageID     uint32 // j
	ECDH          []byte // POINT, not validated
	DH            []byte // big-endian, without leading zeros; empty if there is none
	Encrypted     []byte
	MAC           []byte // macLen bytes
	Revealed      []byte // old MAC keys, macLen bytes each

	// Authenticated is how many bytes of the body the MAC covers.
	Authenticated int
}

// ParseData parses the body of a data message, which the result borrows from. The error
// wraps ErrMalformed.
func ParseData(body []byte) (Data, error) {
	r := wire.NewReader(body)
	m := Data{Flags: r.Byte(), PreviousCount: r.Int(), RatchetID: r.Int(), MessageID: r.Int()}
	m.ECDH, m.DH = r.Take(group.PointLen), r.MPI()
	m.Encrypted = r.Data()
	m.Authenticated = r.Pos()
	m.MAC = r.Take(macLen)
	m.Revealed = r.Data()
	if err := r.End(); err != nil {
		return Data{}, malformed("data", err)
	}
	if len(m.Revealed)%macLen != 0 {
		return Data{}, malformed("data", errors.New("revealed MAC keys of another length"))
	}
	return m, nil
}

// Append appends the body.
func (m *Data) Append(b []byte) []byte {
	b = m.appendHead(b)
	b = wire.AppendData(b, m.Encrypted)
	b = append(b, m.MAC...)
	return wire.AppendData(b, m.Revealed)
}

// appendHead appends the fields before the encrypted message.
func (m *Data) appendHead(b []byte) []byte {
	b = append(b, m.Flags)
	b = wire.AppendInt(b, m.PreviousCount)
	b = wire.AppendInt(b, m.RatchetID)
	b = wire.AppendInt(b, m.MessageID)
	return wire.AppendMPI(append(b, m.ECDH...), m.DH)
}

// exchangeReader returns a Reader of a copy of the body, for messages that are kept.
func exchangeReader(body []byte) (wire.Reader, error) {
	if len(body) > maxExchangeMessage {
		return wire.Reader{}, fmt.Errorf("it has %d bytes", len(body))
	}
	return wire.NewReader(bytes.Clone(body)), nil
}
