package keys

import (
	"errors"
	"fmt"

	"github.com/cloudflare/circl/sign/ed448"

	"otrpipe/otr/group"
	"otrpipe/otr/wire"
)

// EdDSASignatureLen is the length of an EDDSA-SIG in bytes: R and S of 57 each.
const EdDSASignatureLen = ed448.SignatureSize

// The types at the beginning of version 4's public keys, 2 bytes, little-endian.
const (
	ed448KeyType   = 0x0010
	forgingKeyType = 0x0012
)

// ErrEd448Key reports an Ed448 public or forging key that is not valid.
var ErrEd448Key = errors.New("keys: invalid Ed448 key")

// Ed448PublicKey is the long-term public key of version 4: H of the section "Public keys,
// Shared Prekeys, Forging keys and Fingerprints". A value from a Parse function or a private
// key has passed the checks of group.ParsePoint.
type Ed448PublicKey struct {
	point   *group.Point
	encoded [group.PointLen]byte
}

// ParseEd448PublicKey decodes H, a bare POINT of 57 bytes without a type. The error
// wraps ErrEd448Key.
func ParseEd448PublicKey(point []byte) (*Ed448PublicKey, error) {
	p, err := group.ParsePoint(point)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrEd448Key, err)
	}
	return newEd448PublicKey(p), nil
}

func newEd448PublicKey(p *group.Point) *Ed448PublicKey {
	k := &Ed448PublicKey{point: p}
	p.Append(k.encoded[:0])
	return k
}

// Point returns the point H.
func (k *Ed448PublicKey) Point() *group.Point { return k.point }

// Append appends the key as ED448-PUBKEY: its type, then the POINT.
func (k *Ed448PublicKey) Append(b []byte) []byte {
	return append(append(b, ed448KeyType&0xff, ed448KeyType>>8), k.encoded[:]...)
}

// Equal reports whether o is the same key.
func (k *Ed448PublicKey) Equal(o *Ed448PublicKey) bool { return k.encoded == o.encoded }

// Verify returns nil if sig is the key's signature of m, and otherwise ErrSignature: Ed448 of
// RFC 8032 with an empty context, without multiplying by the cofactor.
func (k *Ed448PublicKey) Verify(m, sig []byte) error {
	return VerifyEdDSA(k.encoded[:], m, sig)
}

// VerifyEdDSA is like Verify, for a key that has not been checked: it returns nil if sig is
// the signature of m by the bare POINT of 57 bytes. A signature by a point of small or mixed
// order proves nothing, so the caller has to check the key as well.
func VerifyEdDSA(point, m, sig []byte) error {
	if len(point) != group.PointLen || len(sig) != EdDSASignatureLen || !ed448.Verify(point, m, sig, "") {
		return ErrSignature
	}
	return nil
}

// ForgingKey is the public half of a long-term forging key: F of the same section. The
// protocol never needs its private half.
type ForgingKey struct{ Ed448PublicKey }

// ParseForgingKey decodes F, a bare POINT of 57 bytes without a type. The error wraps
// ErrEd448Key.
func ParseForgingKey(point []byte) (*ForgingKey, error) {
	k, err := ParseEd448PublicKey(point)
	if err != nil {
		return nil, err
	}
	return &ForgingKey{*k}, nil
}

// Append appends the key as ED448-FORGING-KEY: its type, then the POINT.
func (k *ForgingKey) Append(b []byte) []byte {
	return append(append(b, forgingKeyType&0xff, forgingKeyType>>8), k.encoded[:]...)
}

// Ed448Fingerprint returns version 4's fingerprint, 56 bytes: the hash of the bare
// POINTs H and F, without their types.
func Ed448Fingerprint(h *Ed448PublicKey, f *ForgingKey) Fingerprint {
	var fp Fingerprint
	fp.n = FingerprintLen4
	group.KDF(fp.b[:], group.UsageFingerprint, h.encoded[:], f.encoded[:])
	return fp
}

// ReadEd448Point reads an ED448-PUBKEY from r and returns its POINT, which is not checked and
// borrows from r's input. For a wrong type the error is ErrKeyType.
func ReadEd448Point(r *wire.Reader) ([]byte, error) { return readTypedPoint(r, ed448KeyType) }

// ReadForgingPoint is like ReadEd448Point, for an ED448-FORGING-KEY.
func ReadForgingPoint(r *wire.Reader) ([]byte, error) { return readTypedPoint(r, forgingKeyType) }

func readTypedPoint(r *wire.Reader, want uint16) ([]byte, error) {
	t, point := r.Take(2), r.Take(group.PointLen)
	if err := r.Err(); err != nil {
		return nil, err
	}
	if got := uint16(t[0]) | uint16(t[1])<<8; got != want {
		return nil, fmt.Errorf("%w: 0x%04x, not 0x%04x", ErrKeyType, got, want)
	}
	return point, nil
}
