package v4

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"time"

	"otrpipe/internal/refine"
	"otrpipe/otr/group"
	"otrpipe/otr/keys"
	"otrpipe/otr/wire"
)

// The fields of a client profile (section "Client Profile Data Type").
const (
	fieldInstanceTag  = 1
	fieldPublicKey    = 2
	fieldForgingKey   = 3
	fieldVersions     = 4
	fieldExpiration   = 5
	fieldDSAKey       = 6
	fieldTransitional = 7

	fieldCount = 7
)

const (
	// ProfileLifetime is how long our profiles are valid: the time that the specification
	// recommends.
	ProfileLifetime = 7 * 24 * time.Hour
	// profileRenewal is how long before its expiry a profile is replaced, so that a peer
	// whose clock is ahead does not consider it expired.
	profileRenewal = 24 * time.Hour
	// maxVersions bounds the list of versions in a peer's profile. Only four versions exist.
	maxVersions = 32
)

// ErrProfile reports an invalid client profile.
var ErrProfile = errors.New("v4: invalid client profile")

// ErrProfileOwner is an ErrProfile: the profile belongs to an instance other than its sender.
var ErrProfileOwner = refine.Error(&ErrProfile, ": it belongs to another instance")

// An ExpiredError is an ErrProfile: the profile has expired, which in a key exchange means
// that the clock of one end is wrong.
type ExpiredError struct{ Expires, Now time.Time }

func (e *ExpiredError) Error() string {
	const layout = "2006-01-02 15:04 UTC"
	return fmt.Sprintf("v4: the client profile expired on %s, and our clock says %s", e.Expires.UTC().Format(layout), e.Now.UTC().Format(layout))
}

// Unwrap returns ErrProfile.
func (e *ExpiredError) Unwrap() error { return ErrProfile }

// A Profile is a parsed client profile, not validated. The slices must not be changed.
type Profile struct {
	InstanceTag  uint32
	PublicKey    []byte             // H, a bare POINT
	ForgingKey   []byte             // F, a bare POINT
	Versions     []byte             // one character per version
	Expires      int64              // seconds since 1970 UTC
	DSA          *keys.DSAPublicKey // the version 3 key; may be nil
	Transitional []byte             // the signature by the DSA key; nil if there is none
	Signature    []byte

	encoded []byte
	fields  [fieldCount + 1][]byte // the fields with their types, indexed by type; nil: missing
}

// ReadProfile reads a CLIENT-PROF; the result borrows from r. It refuses unknown fields,
// which cannot be skipped because they have no length, and repeated, malformed or missing
// fields. The error wraps ErrProfile or comes from package wire.
func ReadProfile(r *wire.Reader) (*Profile, error) {
	start := *r
	p := new(Profile)
	count := r.Int()
	if r.Err() == nil && count > fieldCount {
		return nil, fmt.Errorf("%w: it has %d fields", ErrProfile, count)
	}
	for range count {
		if err := p.readField(r); err != nil {
			return nil, err
		}
	}
	p.Signature = r.Take(keys.EdDSASignatureLen)
	if err := r.Err(); err != nil {
		return nil, err
	}
	for field := fieldInstanceTag; field <= fieldExpiration; field++ {
		if p.fields[field] == nil {
			return nil, fmt.Errorf("%w: field %d is missing", ErrProfile, field)
		}
	}
	p.encoded = start.Take(r.Pos() - start.Pos())
	return p, nil
}

func (p *Profile) readField(r *wire.Reader) error {
	start := *r
	field := r.Short()
	if r.Err() != nil {
		return r.Err()
	}
	if field == 0 || field > fieldCount {
		return fmt.Errorf("%w: unknown field %d", ErrProfile, field)
	}
	if p.fields[field] != nil {
		return fmt.Errorf("%w: field %d comes twice", ErrProfile, field)
	}
	var err error
	switch field {
	case fieldInstanceTag:
		p.InstanceTag = r.Int()
	case fieldPublicKey:
		p.PublicKey, err = keys.ReadEd448Point(r)
	case fieldForgingKey:
		p.ForgingKey, err = keys.ReadForgingPoint(r)
	case fieldVersions:
		p.Versions = r.Data()
		if len(p.Versions) > maxVersions {
			err = fmt.Errorf("%w: %d versions", ErrProfile, len(p.Versions))
		}
	case fieldExpiration:
		p.Expires = int64(r.Long())
	case fieldDSAKey:
		p.DSA, err = keys.ReadDSAPublicKey(r)
	case fieldTransitional:
		p.Transitional = r.Take(keys.DSASignatureLen)
	}
	if r.Err() != nil {
		return r.Err()
	}
	if err != nil {
		return fmt.Errorf("%w: %w", ErrProfile, err)
	}
	p.fields[field] = start.Take(r.Pos() - start.Pos())
	return nil
}

// Append appends the profile as CLIENT-PROF.
func (p *Profile) Append(b []byte) []byte { return append(b, p.encoded...) }

// A PeerKey is the identity of a peer: the long-term keys of a validated profile.
type PeerKey struct {
	Public  *keys.Ed448PublicKey
	Forging *keys.ForgingKey
	// DSA is the version 3 key in the profile, if the profile has a transitional signature by
	// it; else nil. This does not prove that both keys belong to the same person: the signed
	// fields are not hashed, so with a suitable forging key anyone can make such a signature
	// for any DSA key whose public half they know.
	DSA *keys.DSAPublicKey
	// Versions holds those of versions 3 and 4 that the profile lists.
	Versions wire.Versions
	Expires  time.Time
}

// Fingerprint returns the version 4 fingerprint.
func (k *PeerKey) Fingerprint() keys.Fingerprint {
	return keys.Ed448Fingerprint(k.Public, k.Forging)
}

// Names reports whether a profile, valid or not, contains the same keys.
func (k *PeerKey) Names(p *Profile) bool {
	h, err := keys.ParseEd448PublicKey(p.PublicKey)
	if err != nil {
		return false
	}
	f, err := keys.ParseForgingKey(p.ForgingKey)
	return err == nil && keys.Ed448Fingerprint(h, f) == k.Fingerprint()
}

// Validate checks the profile in a message from the instance sender that came at now, in the
// order of the section "Validating a Client Profile". The error wraps ErrProfile.
func (p *Profile) Validate(sender uint32, now time.Time) (*PeerKey, error) {
	if err := keys.VerifyEdDSA(p.PublicKey, p.signed(), p.Signature); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrProfile, err)
	}
	if p.InstanceTag != sender {
		return nil, ErrProfileOwner
	}
	if p.Expires <= now.Unix() {
		return nil, &ExpiredError{Expires: time.Unix(p.Expires, 0), Now: now}
	}
	if bytes.IndexByte(p.Versions, '4') < 0 {
		return nil, fmt.Errorf("%w: version 4 is not among its versions", ErrProfile)
	}
	if bytes.ContainsAny(p.Versions, "12") {
		return nil, fmt.Errorf("%w: versions 1 and 2 cannot be in one", ErrProfile)
	}
	k := new(PeerKey)
	var err error
	if k.Public, err = keys.ParseEd448PublicKey(p.PublicKey); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrProfile, err)
	}
	if k.Forging, err = keys.ParseForgingKey(p.ForgingKey); err != nil {
		return nil, fmt.Errorf("%w: forging key: %w", ErrProfile, err)
	}
	if p.DSA != nil {
		if err := p.VerifyTransitional(p.DSA); err != nil {
			return nil, err
		}
		k.DSA = p.DSA
	}
	k.Versions, k.Expires = wire.MakeVersions(4), time.Unix(p.Expires, 0)
	if bytes.IndexByte(p.Versions, '3') >= 0 {
		k.Versions = wire.MakeVersions(3, 4)
	}
	return k, nil
}

// VerifyTransitional returns nil if the profile has a transitional signature by key; the
// profile need not contain key. The error wraps ErrProfile.
func (p *Profile) VerifyTransitional(key *keys.DSAPublicKey) error {
	if p.Transitional == nil {
		return fmt.Errorf("%w: the transitional signature is missing", ErrProfile)
	}
	if err := key.Verify(p.transitionalMessage(key), p.Transitional); err != nil {
		return fmt.Errorf("%w: transitional signature: %w", ErrProfile, err)
	}
	return nil
}

// signed returns the bytes that the profile's signature covers: all fields, without their
// count.
func (p *Profile) signed() []byte {
	const count = 4
	return p.encoded[count : len(p.encoded)-keys.EdDSASignatureLen]
}

// transitionalMessage returns the bytes that the DSA key signs: fields 1 to 6, each with its
// type.
func (p *Profile) transitionalMessage(key *keys.DSAPublicKey) []byte {
	var m []byte
	for field := fieldInstanceTag; field <= fieldExpiration; field++ {
		m = append(m, p.fields[field]...)
	}
	return key.Append(wire.AppendShort(m, fieldDSAKey))
}

// newProfile makes and signs a profile (section "Creating a Client Profile"). If dsa is not
// nil, it announces versions 3 and 4 and is also signed by the DSA key, which reads from
// rand.
func newProfile(tag uint32, identity *keys.Ed448PrivateKey, forging *keys.ForgingKey, dsa *keys.DSAPrivateKey, expires time.Time, rand io.Reader) (*Profile, error) {
	versions, count := "4", uint32(fieldExpiration)
	if dsa != nil {
		versions, count = "34", fieldTransitional
	}
	b := wire.AppendInt(nil, count)
	b = wire.AppendInt(wire.AppendShort(b, fieldInstanceTag), tag)
	b = identity.Public().Append(wire.AppendShort(b, fieldPublicKey))
	b = forging.Append(wire.AppendShort(b, fieldForgingKey))
	b = wire.AppendData(wire.AppendShort(b, fieldVersions), []byte(versions))
	b = binary.BigEndian.AppendUint64(wire.AppendShort(b, fieldExpiration), uint64(expires.Unix()))
	if dsa != nil {
		b = dsa.Public().Append(wire.AppendShort(b, fieldDSAKey))
		signature, err := dsa.Sign(rand, b[4:])
		if err != nil {
			return nil, fmt.Errorf("v4: transitional signature: %w", err)
		}
		b = append(wire.AppendShort(b, fieldTransitional), signature...)
	}
	signature, err := identity.Sign(b[4:])
	if err != nil {
		return nil, fmt.Errorf("v4: client profile: %w", err)
	}
	r := wire.NewReader(append(b, signature...))
	return ReadProfile(&r)
}

// hash returns HWC(usage || profile, 64).
func (p *Profile) hash(usage group.Usage) []byte {
	h := make([]byte, 64)
	group.KDF(h, usage, p.encoded)
	return h
}
