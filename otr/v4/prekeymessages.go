package v4

import (
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"otrpipe/otr/group"
	"otrpipe/otr/keys"
	"otrpipe/otr/wire"
)

const (
	// sharedPrekeyType is the type of an ED448-SHARED-PREKEY. Like the types of the other
	// keys it is written little-endian.
	sharedPrekeyType = 0x0011
	// typePrekey is the type byte of a prekey message. A prekey message does not belong to a
	// conversation: its header has only one instance tag, after an identifier.
	typePrekey = 0x0f
)

var (
	// ErrPrekeyProfile reports an invalid prekey profile.
	ErrPrekeyProfile = errors.New("v4: invalid prekey profile")
	// ErrPrekeyMessage reports an invalid prekey message.
	ErrPrekeyMessage = errors.New("v4: invalid prekey message")
)

// A PrekeyProfile is a parsed prekey profile (section "Prekey Profile Data Type"), not
// validated. The slices must not be changed.
type PrekeyProfile struct {
	InstanceTag  uint32
	Expires      int64  // seconds since 1970 UTC
	SharedPrekey []byte // D, a bare POINT
	Signature    []byte // EDDSA-SIG by the long-term key of the client profile

	encoded []byte
}

// ReadPrekeyProfile reads a PREKEY-PROF; the result borrows from r. The error wraps
// ErrPrekeyProfile or comes from package wire.
func ReadPrekeyProfile(r *wire.Reader) (*PrekeyProfile, error) {
	start := *r
	p := &PrekeyProfile{InstanceTag: r.Int(), Expires: int64(r.Long())}
	kind := r.Take(2)
	p.SharedPrekey = r.Take(group.PointLen)
	p.Signature = r.Take(keys.EdDSASignatureLen)
	if err := r.Err(); err != nil {
		return nil, err
	}
	if got := binary.LittleEndian.Uint16(kind); got != sharedPrekeyType {
		return nil, fmt.Errorf("%w: a key of type 0x%04x instead of a shared prekey", ErrPrekeyProfile, got)
	}
	p.encoded = start.Take(r.Pos() - start.Pos())
	return p, nil
}

// Append appends the profile as PREKEY-PROF.
func (p *PrekeyProfile) Append(b []byte) []byte { return append(b, p.encoded...) }

// Validate checks the profile of the instance sender at now, in the order of the section
// "Validating a Prekey Profile", and returns the shared prekey D. owner is the long-term key
// in the client profile of the same ensemble: a prekey profile itself contains none. The
// error wraps ErrPrekeyProfile.
func (p *PrekeyProfile) Validate(owner *keys.Ed448PublicKey, sender uint32, now time.Time) (*group.Point, error) {
	if err := owner.Verify(p.signed(), p.Signature); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrPrekeyProfile, err)
	}
	if p.InstanceTag != sender {
		return nil, fmt.Errorf("%w: it belongs to another instance", ErrPrekeyProfile)
	}
	if p.Expires <= now.Unix() {
		return nil, fmt.Errorf("%w: it has expired", ErrPrekeyProfile)
	}
	d, err := group.ParsePoint(p.SharedPrekey)
	if err != nil {
		return nil, fmt.Errorf("%w: shared prekey: %w", ErrPrekeyProfile, err)
	}
	return d, nil
}

// signed returns the bytes that the signature covers: instance tag, expiry, and D with its
// type.
func (p *PrekeyProfile) signed() []byte {
	return p.encoded[:len(p.encoded)-keys.EdDSASignatureLen]
}

// newPrekeyProfile makes and signs a prekey profile for the shared prekey d.
func newPrekeyProfile(tag uint32, identity *keys.Ed448PrivateKey, d *keys.Ed448PublicKey, expires time.Time) (*PrekeyProfile, error) {
	b := binary.BigEndian.AppendUint64(wire.AppendInt(nil, tag), uint64(expires.Unix()))
	b = binary.LittleEndian.AppendUint16(b, sharedPrekeyType)
	b = d.Point().Append(b)
	signature, err := identity.Sign(b)
	if err != nil {
		return nil, fmt.Errorf("v4: prekey profile: %w", err)
	}
	r := wire.NewReader(append(b, signature...))
	return ReadPrekeyProfile(&r)
}

// A PrekeyMessage is a parsed prekey message (section "Prekey Message"). Neither the message
// nor its POINT and DH value are validated.
type PrekeyMessage struct {
	Version     uint16
	Type        byte
	ID          uint32 // the prekey message identifier
	InstanceTag uint32
	Y           []byte // POINT
	B           []byte // DH, big-endian without leading zeros
}

// ReadPrekeyMessage reads a prekey message; the result borrows from r. A message with another
// type or version is read in this format too; Validate refuses it, after the checks that come
// first in the specification. The error comes from package wire.
func ReadPrekeyMessage(r *wire.Reader) (*PrekeyMessage, error) {
	m := &PrekeyMessage{Version: r.Short(), Type: r.Byte(), ID: r.Int(), InstanceTag: r.Int()}
	m.Y, m.B = r.Take(group.PointLen), r.MPI()
	if err := r.Err(); err != nil {
		return nil, err
	}
	return m, nil
}

// Append appends the message.
func (m *PrekeyMessage) Append(b []byte) []byte {
	b = append(wire.AppendShort(b, m.Version), m.Type)
	b = wire.AppendInt(wire.AppendInt(b, m.ID), m.InstanceTag)
	return wire.AppendMPI(append(b, m.Y...), m.B)
}

// Validate checks the message in the order of the section "Validating Prekey Ensembles",
// apart from its instance tag, and returns Y. The error wraps ErrPrekeyMessage.
func (m *PrekeyMessage) Validate() (*group.Point, error) {
	if m.Type != typePrekey {
		return nil, fmt.Errorf("%w: it has type 0x%02x", ErrPrekeyMessage, m.Type)
	}
	if m.Version != Version {
		return nil, fmt.Errorf("%w: it has version %d", ErrPrekeyMessage, m.Version)
	}
	y, err := group.ParsePoint(m.Y)
	if err != nil {
		return nil, fmt.Errorf("%w: Y: %w", ErrPrekeyMessage, err)
	}
	if err := group.MODP3072().CheckMember(m.B); err != nil {
		return nil, fmt.Errorf("%w: B: %w", ErrPrekeyMessage, err)
	}
	return y, nil
}
