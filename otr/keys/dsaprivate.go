package keys

import (
	"crypto/hmac"
	"crypto/sha512"
	"crypto/subtle"
	"errors"
	"fmt"
	"io"
	"math/big"

	"filippo.io/bigmod"

	"otrpipe/otr/group"
	"otrpipe/otr/wire"
)

// ErrWiped reports the use of a private key after Wipe.
var ErrWiped = errors.New("keys: private key was wiped")

// DSAPrivateKey is the long-term private key of versions 2 and 3. It prints as a placeholder.
// Several goroutines may use it at the same time, until Wipe.
type DSAPrivateKey struct {
	public *DSAPublicKey
	p, q   *bigmod.Modulus
	g      *bigmod.Nat
	// x is nil once wiped. It is a pointer because package fmt does not call Format for an
	// unexported field of another struct, but does not follow pointers there either.
	x *[dsaScalarLen]byte
}

const placeholder = "[DSA private key]"

// NewDSAPrivateKey returns the key of the given numbers, big-endian and of any length. It
// makes the checks of ParseDSAPublicKey on the public part, and checks that q is prime
// (otherwise no signature would be correct), that x is in 1…q−1, and that y = g^x. The error
// wraps ErrKey.
func NewDSAPrivateKey(p, q, g, y, x []byte) (*DSAPrivateKey, error) {
	public, err := newDSAPublicKey(trim(p), trim(q), trim(g), trim(y))
	if err != nil {
		return nil, err
	}
	if !public.q.ProbablyPrime(roundsQ) {
		return nil, fmt.Errorf("%w: q is not prime", ErrKey)
	}
	k, err := newDSADomain(public.p.Bytes(), public.q.Bytes(), public.g.Bytes())
	if err != nil {
		return nil, err
	}
	k.public = public
	for len(x) > dsaScalarLen && x[0] == 0 {
		x = x[1:]
	}
	n, err := bigmod.NewNat().SetBytes(x, k.q)
	if err != nil || n.IsZero() == 1 {
		return nil, fmt.Errorf("%w: x is out of range", ErrKey)
	}
	k.x = (*[dsaScalarLen]byte)(n.Bytes(k.q))
	clear(n.Bits())
	if subtle.ConstantTimeCompare(k.power(k.x[:]).Bytes(k.p), public.y.FillBytes(make([]byte, k.p.Size()))) != 1 {
		k.Wipe()
		return nil, fmt.Errorf("%w: the private part does not belong to the public part", ErrKey)
	}
	return k, nil
}

// Public returns the public part.
func (k *DSAPrivateKey) Public() *DSAPublicKey {
	return k.public
}

// Sign signs m, which it treats as a big-endian number modulo q, without hashing or
// truncating it, and returns r and s, 20 bytes each. Its time does not depend on the key or
// the nonce.
//
// The nonce is derived from the key, m and 32 bytes of rand, so that a source that repeats
// itself or is predictable does not reveal the key. An error of rand is returned; after Wipe
// the error is ErrWiped.
func (k *DSAPrivateKey) Sign(rand io.Reader, m []byte) ([]byte, error) {
	if k.x == nil {
		return nil, ErrWiped
	}
	var fresh [32]byte
	defer clear(fresh[:])
	if _, err := io.ReadFull(rand, fresh[:]); err != nil {
		return nil, fmt.Errorf("keys: signing: %w", err)
	}
	x, err := bigmod.NewNat().SetBytes(k.x[:], k.q)
	if err != nil {
		return nil, ErrKey
	}
	defer clear(x.Bits())
	h := group.Reduce(m, k.q)
	for try := byte(0); try < dsaSignTries; try++ {
		if sig := k.signWith(k.nonce(m, fresh[:], try), x, h); sig != nil {
			return sig, nil
		}
	}
	return nil, fmt.Errorf("%w: no signature can be made with it", ErrKey)
}

// dsaSignTries is how many nonces may be useless, because r or s is 0. With a valid key this
// happens once in 2^159 times, so more than a few mean that the key is invalid.
const dsaSignTries = 8

// nonce derives a nonce in 1…q−1 from the key, the message and fresh randomness. It is
// reduced from 512 bits, which leaves a bias of 2^-352.
func (k *DSAPrivateKey) nonce(m, fresh []byte, try byte) []byte {
	mac := hmac.New(sha512.New, k.x[:])
	mac.Write([]byte("otrpipe DSA nonce\x00"))
	mac.Write([]byte{try})
	mac.Write(fresh)
	mac.Write(wire.AppendData(nil, k.public.encoded))
	mac.Write(m)
	wide := mac.Sum(nil)
	defer clear(wide)
	n := k.scalar(wide)
	defer clear(n.Bits())
	return n.Bytes(k.q)
}

// signWith returns the signature of h with the given nonce, which it clears, or
// nil if r or s would be 0.
func (k *DSAPrivateKey) signWith(nonce []byte, x, h *bigmod.Nat) []byte {
	defer clear(nonce)
	r := group.Reduce(k.power(nonce).Bytes(k.p), k.q)
	inverse, err := bigmod.NewNat().SetBytes(nonce, k.q)
	if err != nil {
		return nil
	}
	defer clear(inverse.Bits())
	// nonce^(q−2) is 1/nonce, by Fermat.
	inverse.Exp(inverse, k.qMinus2(), k.q)
	s := bigmod.NewNat().ExpandFor(k.q)
	s.Add(x, k.q).Mul(r, k.q).Add(h, k.q).Mul(inverse, k.q)
	if r.IsZero() == 1 || s.IsZero() == 1 {
		return nil
	}
	return append(r.Bytes(k.q), s.Bytes(k.q)...)
}

// Parameters returns the key's numbers for a key file: big-endian, without leading zeros.
// They are copies. x is secret, and the caller has to clear it. After Wipe it is empty.
func (k *DSAPrivateKey) Parameters() (p, q, g, y, x []byte) {
	public := k.public
	if k.x != nil {
		x = append(x, trim(k.x[:])...)
	}
	return public.p.Bytes(), public.q.Bytes(), public.g.Bytes(), public.y.Bytes(), x
}

// Wipe clears the private number. Copies that the Go runtime or the arithmetic library made
// while the key was in use may stay in memory until that is reused; they cannot be cleared in
// Go.
func (k *DSAPrivateKey) Wipe() {
	if k.x != nil {
		clear(k.x[:])
		k.x = nil
	}
}

// String returns a placeholder.
func (k DSAPrivateKey) String() string {
	return placeholder
}

// Format writes the placeholder for every verb.
func (k DSAPrivateKey) Format(f fmt.State, _ rune) {
	io.WriteString(f, placeholder)
}

func newDSADomain(p, q, g []byte) (*DSAPrivateKey, error) {
	k := new(DSAPrivateKey)
	var err error
	if k.p, err = bigmod.NewModulus(p); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrKey, err)
	}
	if k.q, err = bigmod.NewModulus(q); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrKey, err)
	}
	if k.g, err = bigmod.NewNat().SetBytes(g, k.p); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrKey, err)
	}
	return k, nil
}

// power returns g^e modulo p.
func (k *DSAPrivateKey) power(e []byte) *bigmod.Nat {
	return bigmod.NewNat().Exp(k.g, e, k.p)
}

// scalar maps wide, random bytes that are some bytes longer than q, to 1…q−1.
func (k *DSAPrivateKey) scalar(wide []byte) *bigmod.Nat {
	q1, err := bigmod.NewModulus(k.q.Nat().SubOne(k.q).Bytes(k.q))
	if err != nil {
		panic("keys: " + err.Error())
	}
	n := group.Reduce(wide, q1)
	one := bigmod.NewNat().SetUint(1).ExpandFor(k.q)
	return n.ExpandFor(k.q).Add(one, k.q)
}

func (k *DSAPrivateKey) qMinus2() []byte {
	return new(big.Int).Sub(k.public.q, big.NewInt(2)).Bytes()
}

// trim returns b without leading zeros.
func trim(b []byte) []byte {
	for len(b) > 0 && b[0] == 0 {
		b = b[1:]
	}
	return b
}
