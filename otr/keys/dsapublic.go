package keys

import (
	"bytes"
	"crypto/sha1"
	"errors"
	"fmt"
	"math/big"

	"otrpipe/otr/group"
	"otrpipe/otr/wire"
)

const (
	// DSASignatureLen is the length of a signature in bytes: r and s of 20 each.
	DSASignatureLen = 2 * dsaScalarLen

	// dsaScalarLen is the length of q in bytes. The specification fixes it.
	dsaScalarLen = 20
	// The limits for the length of p, in bits. Every known client makes keys of 1024 bits.
	// Shorter keys can be broken; keys longer than 3072 bits would only let a peer waste our
	// time.
	dsaMinBits = 1024
	dsaMaxBits = 3072

	// dsaKeyType is the type of a DSA public key.
	dsaKeyType = 0x0000
)

var (
	// ErrKey reports a public or private key that is not valid.
	ErrKey = errors.New("keys: invalid DSA key")
	// ErrKeyType reports a public key that is of another type.
	ErrKeyType = errors.New("keys: unknown type of public key")
	// ErrSignature reports a signature that does not verify.
	ErrSignature = errors.New("keys: invalid signature")
)

// DSAPublicKey is the long-term public key of versions 2 and 3. A value of this
// type has passed the checks of ParseDSAPublicKey.
type DSAPublicKey struct {
	p, q, g, y *big.Int
	field      *group.Modulus // modulo p
	encoded    []byte         // PUBKEY
}

// ParseDSAPublicKey parses b, which must be one PUBKEY and nothing else: the
// type 0x0000 (SHORT) and the MPIs p, q, g, y.
//
// It checks what a meaningful signature requires: p is odd and of 1024 to 3072 bits, q is odd
// and of exactly 160 bits, q divides p−1, and g and y are elements other than 1 whose order
// divides q. It does not check that p and q are prime. The fingerprint covers all four
// numbers, so deliberately weak parameters reveal only the key they belong to, whose owner
// could as well publish the private part.
//
// The errors are those of package wire, ErrKeyType and ErrKey.
func ParseDSAPublicKey(b []byte) (*DSAPublicKey, error) {
	r := wire.NewReader(b)
	k, err := ReadDSAPublicKey(&r)
	if err != nil {
		return nil, err
	}
	if err := r.End(); err != nil {
		return nil, err
	}
	return k, nil
}

// ReadDSAPublicKey is like ParseDSAPublicKey, for a PUBKEY that is followed by other fields.
func ReadDSAPublicKey(r *wire.Reader) (*DSAPublicKey, error) {
	if t := r.Short(); r.Err() == nil && t != dsaKeyType {
		return nil, fmt.Errorf("%w: 0x%04x", ErrKeyType, t)
	}
	p, q, g, y := r.MPI(), r.MPI(), r.MPI(), r.MPI()
	if err := r.Err(); err != nil {
		return nil, err
	}
	return newDSAPublicKey(p, q, g, y)
}

// newDSAPublicKey returns the key of the given big-endian numbers, if it is
// valid.
func newDSAPublicKey(p, q, g, y []byte) (*DSAPublicKey, error) {
	for _, n := range [][]byte{p, q, g, y} {
		if len(n) > dsaMaxBits/8 {
			return nil, fmt.Errorf("%w: a number of %d bytes", ErrKey, len(n))
		}
	}
	k := &DSAPublicKey{
		p: new(big.Int).SetBytes(p),
		q: new(big.Int).SetBytes(q),
		g: new(big.Int).SetBytes(g),
		y: new(big.Int).SetBytes(y),
	}
	if err := k.validate(); err != nil {
		return nil, err
	}
	b := wire.AppendShort(nil, dsaKeyType)
	for _, n := range []*big.Int{k.p, k.q, k.g, k.y} {
		b = wire.AppendMPI(b, n.Bytes())
	}
	k.encoded = b
	return k, nil
}

func (k *DSAPublicKey) validate() error {
	one := big.NewInt(1)
	switch bits := k.p.BitLen(); {
	case bits < dsaMinBits || bits > dsaMaxBits:
		return fmt.Errorf("%w: p has %d bits, not %d to %d", ErrKey, bits, dsaMinBits, dsaMaxBits)
	case k.p.Bit(0) == 0:
		return fmt.Errorf("%w: p is even", ErrKey)
	case k.q.BitLen() != 8*dsaScalarLen:
		return fmt.Errorf("%w: q has %d bits, not %d", ErrKey, k.q.BitLen(), 8*dsaScalarLen)
	case k.q.Bit(0) == 0:
		return fmt.Errorf("%w: q is even", ErrKey)
	}
	if rem := new(big.Int); rem.Mod(rem.Sub(k.p, one), k.q).Sign() != 0 {
		return fmt.Errorf("%w: q does not divide p−1", ErrKey)
	}
	k.field = group.NewModulus(k.p)
	for _, element := range []struct {
		name  string
		value *big.Int
	}{{"g", k.g}, {"y", k.y}} {
		v := element.value
		if v.Cmp(one) <= 0 || v.Cmp(k.p) >= 0 {
			return fmt.Errorf("%w: %s is out of range", ErrKey, element.name)
		}
		if k.field.Powers([]*big.Int{v}, []*big.Int{k.q}).Cmp(one) != 0 {
			return fmt.Errorf("%w: %s is not of order q", ErrKey, element.name)
		}
	}
	return nil
}

// Append appends the key as a PUBKEY, including its type.
func (k *DSAPublicKey) Append(b []byte) []byte {
	return append(b, k.encoded...)
}

// Fingerprint returns the SHA-1 hash of the encoded key without the two bytes
// of its type.
func (k *DSAPublicKey) Fingerprint() Fingerprint {
	var f Fingerprint
	sum := sha1.Sum(k.encoded[2:])
	f.n = copy(f.b[:], sum[:])
	return f
}

// Equal reports whether o is the same key.
func (k *DSAPublicKey) Equal(o *DSAPublicKey) bool {
	return bytes.Equal(k.encoded, o.encoded)
}

// Verify returns nil if sig (r and s of 20 bytes each) is the key's signature of m, and
// otherwise ErrSignature. m is treated as a big-endian number modulo q, without hashing or
// truncating it.
func (k *DSAPublicKey) Verify(m, sig []byte) error {
	if len(sig) != DSASignatureLen {
		return ErrSignature
	}
	r := new(big.Int).SetBytes(sig[:dsaScalarLen])
	s := new(big.Int).SetBytes(sig[dsaScalarLen:])
	if r.Sign() == 0 || r.Cmp(k.q) >= 0 || s.Sign() == 0 || s.Cmp(k.q) >= 0 {
		return ErrSignature
	}
	w := new(big.Int).ModInverse(s, k.q)
	if w == nil {
		return ErrSignature
	}
	// v = (g^(m/s) · y^(r/s) mod p) mod q
	u := new(big.Int).SetBytes(m)
	u.Mod(u.Mul(u, w), k.q)
	w.Mod(w.Mul(r, w), k.q)
	v := k.field.Powers([]*big.Int{k.g, k.y}, []*big.Int{u, w})
	v.Mod(v, k.q)
	if v.Cmp(r) != 0 {
		return ErrSignature
	}
	return nil
}
