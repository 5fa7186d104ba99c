package keys

import (
	"crypto/sha3"
	"fmt"
	"io"

	"github.com/cloudflare/circl/sign/ed448"

	"otrpipe/otr/group"
)

// Ed448SymmetricLen is the length in bytes of the symmetric key from which a private key is
// derived, and as which it is stored.
const Ed448SymmetricLen = ed448.SeedSize

// Ed448PrivateKey is the long-term private key of version 4, or the private half of a forging
// key. It prints as a placeholder. Several goroutines may use it at the same time, until
// Wipe.
type Ed448PrivateKey struct {
	symmetric [Ed448SymmetricLen]byte // sym_key
	secret    group.Scalar            // sk
	public    *Ed448PublicKey
	wiped     bool
}

// GenerateEd448 makes a key from 57 bytes of rand.
func GenerateEd448(rand io.Reader) (*Ed448PrivateKey, error) {
	var symmetric [Ed448SymmetricLen]byte
	defer clear(symmetric[:])
	if _, err := io.ReadFull(rand, symmetric[:]); err != nil {
		return nil, fmt.Errorf("keys: generating an Ed448 key: %w", err)
	}
	return NewEd448PrivateKey(symmetric[:])
}

// NewEd448PrivateKey derives the key from a symmetric key of 57 bytes. For any other length
// the error is ErrEd448Key.
func NewEd448PrivateKey(symmetric []byte) (*Ed448PrivateKey, error) {
	if len(symmetric) != Ed448SymmetricLen {
		return nil, fmt.Errorf("%w: the symmetric key has %d bytes, not %d", ErrEd448Key, len(symmetric), Ed448SymmetricLen)
	}
	k := &Ed448PrivateKey{secret: group.ScalarFromSeed(symmetric)}
	copy(k.symmetric[:], symmetric)
	k.public = newEd448PublicKey(group.MulBase(k.secret))
	return k, nil
}

// Public returns the public half.
func (k *Ed448PrivateKey) Public() *Ed448PublicKey { return k.public }

// ForgingKey returns the public half of a key that was made to be a forging key.
func (k *Ed448PrivateKey) ForgingKey() *ForgingKey { return &ForgingKey{*k.public} }

// Secret returns the secret scalar sk, modulo q, for ring signatures; 0 after Wipe.
func (k *Ed448PrivateKey) Secret() group.Scalar { return k.secret }

// Symmetric returns a copy of the symmetric key, 57 bytes, for key files. The caller has to
// wipe it.
func (k *Ed448PrivateKey) Symmetric() []byte { return append([]byte(nil), k.symmetric[:]...) }

// Sign signs m: Ed448 of RFC 8032 with an empty context, which needs no randomness.
// The signature has EdDSASignatureLen bytes. After Wipe the error is ErrWiped.
func (k *Ed448PrivateKey) Sign(m []byte) ([]byte, error) {
	if k.wiped {
		return nil, ErrWiped
	}
	private := make(ed448.PrivateKey, 0, ed448.PrivateKeySize)
	private = append(append(private, k.symmetric[:]...), k.public.encoded[:]...)
	defer clear(private)
	return ed448.Sign(private, m, ""), nil
}

// Wipe overwrites the private half.
func (k *Ed448PrivateKey) Wipe() {
	clear(k.symmetric[:])
	k.secret.Wipe()
	k.wiped = true
}

// Format prints a placeholder for every verb.
func (k Ed448PrivateKey) Format(f fmt.State, _ rune) { io.WriteString(f, "keys.Ed448PrivateKey(…)") }

// forgingPointTries is how many hashes may fail to be a point of prime order before we blame
// the source of randomness: one in eight is such a point.
const forgingPointTries = 1024

// GenerateForgingKey makes a forging key whose private half nobody knows: a random point,
// hashed from 57 bytes of rand.
func GenerateForgingKey(rand io.Reader) (*ForgingKey, error) {
	var seed, point [group.PointLen]byte
	if _, err := io.ReadFull(rand, seed[:]); err != nil {
		return nil, fmt.Errorf("keys: generating a forging key: %w", err)
	}
	var h sha3.SHAKE
	h.Write(seed[:])
	for range forgingPointTries {
		h.Read(point[:])
		point[group.PointLen-1] &= 0x80
		if k, err := ParseForgingKey(point[:]); err == nil {
			return k, nil
		}
	}
	return nil, fmt.Errorf("%w: no point came of the randomness", ErrEd448Key)
}
