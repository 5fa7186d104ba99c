package v4

import (
	"bytes"
	"errors"
	"fmt"
	"io"

	"otrpipe/internal/keystream"
	"otrpipe/otr/group"
)

const (
	ssidLen     = 8
	dhSecretLen = 80 // the length of generateDH's secret, in bytes
	cipherLen   = 32 // the part of MKenc that ChaCha20 uses, in bytes
)

// ErrSharedSecret reports a shared secret that is the identity, which is impossible with
// valid keys.
var ErrSharedSecret = errors.New("v4: the shared secret is the identity")

// A key is a secret of 64 bytes: a root key, a chain key, MKenc, MKmac, an extra
// symmetric key, or a mixed shared secret K. It prints as a placeholder.
type key [64]byte

func (key) Format(f fmt.State, _ rune) { io.WriteString(f, "v4.key(…)") }

// A braceKey is a secret of 32 bytes, derived from the DH keys. It prints as a placeholder.
type braceKey [32]byte

func (braceKey) Format(f fmt.State, _ rune) { io.WriteString(f, "v4.braceKey(…)") }

// An ecdhKey is an ephemeral key pair of Ed448: generateECDH of the section "Generating
// ECDH and DH keys".
type ecdhKey struct {
	secret group.Scalar
	point  *group.Point
	public [group.PointLen]byte // the point as POINT
}

// newECDHKey reads 57 bytes from rand.
func newECDHKey(rand io.Reader) (k ecdhKey, err error) {
	secret, err := group.DrawScalar(rand)
	if err != nil {
		return ecdhKey{}, fmt.Errorf("v4: ECDH key: %w", err)
	}
	return ecdhKeyOf(secret), nil
}

func ecdhKeyOf(secret group.Scalar) (k ecdhKey) {
	k.secret = secret
	k.point = group.MulBase(k.secret)
	k.point.Append(k.public[:0])
	return k
}

// Format prints a placeholder.
func (ecdhKey) Format(f fmt.State, _ rune) { io.WriteString(f, "v4.ecdhKey(…)") }

// A dhKey is an ephemeral key pair of the 3072-bit group: generateDH.
type dhKey struct {
	secret [dhSecretLen]byte
	public []byte // big-endian without leading zeros; never changed
}

// newDHKey reads 80 bytes from rand.
func newDHKey(rand io.Reader) (k dhKey, err error) {
	var secret [dhSecretLen]byte
	defer clear(secret[:])
	if _, err = io.ReadFull(rand, secret[:]); err != nil {
		return dhKey{}, fmt.Errorf("v4: DH key: %w", err)
	}
	return dhKeyOf(&secret), nil
}

func dhKeyOf(secret *[dhSecretLen]byte) (k dhKey) {
	k.secret = *secret
	k.public = trimZeros(group.MODP3072().ExpBase(k.secret[:]))
	return k
}

// Format prints a placeholder.
func (dhKey) Format(f fmt.State, _ rune) { io.WriteString(f, "v4.dhKey(…)") }

// thirdBraceKey returns the brace key of every third ratchet, and of the key exchange:
// KDF(usage_third_brace_key || k_dh, 32). k_dh is hashed without leading zeros.
func thirdBraceKey(ours *dhKey, theirs []byte) (brace braceKey, err error) {
	shared, err := group.MODP3072().Exp(theirs, ours.secret[:])
	if err != nil {
		return brace, fmt.Errorf("v4: DH: %w", err)
	}
	defer clear(shared)
	group.KDF(brace[:], group.UsageThirdBraceKey, trimZeros(shared))
	return brace, nil
}

// next returns the brace key of the other ratchets: KDF(usage_brace_key || brace_key, 32).
func (b braceKey) next() (next braceKey) {
	group.KDF(next[:], group.UsageBraceKey, b[:])
	return next
}

// mixedSecret returns K = KDF(usage_shared_secret || K_ecdh || brace_key, 64).
func mixedSecret(ours *ecdhKey, theirs *group.Point, brace braceKey) (k key, err error) {
	var shared [group.PointLen]byte
	defer clear(shared[:])
	if err := sharedPoint(&shared, ours, theirs); err != nil {
		return k, err
	}
	return mix(&shared, &brace), nil
}

// sharedPoint sets dst to K_ecdh as POINT.
func sharedPoint(dst *[group.PointLen]byte, ours *ecdhKey, theirs *group.Point) error {
	shared := theirs.Mul(ours.secret)
	defer shared.Wipe()
	if shared.IsIdentity() {
		return ErrSharedSecret
	}
	shared.Append(dst[:0])
	return nil
}

func mix(shared *[group.PointLen]byte, brace *braceKey) (k key) {
	group.KDF(k[:], group.UsageSharedSecret, shared[:], brace[:])
	return k
}

// derive returns KDF(usage || k, 64), the step from one key to another.
func (k *key) derive(usage group.Usage) (derived key) {
	group.KDF(derived[:], usage, k[:])
	return derived
}

// ratchetKeys is derive_ratchet_keys: it returns the next root key and the new chain key.
func ratchetKeys(root, mixed *key) (next, chain key) {
	group.KDF(next[:], group.UsageRootKey, root[:], mixed[:])
	group.KDF(chain[:], group.UsageChainKey, root[:], mixed[:])
	return next, chain
}

// extraKeyByte is hashed before a chain key to derive its extra symmetric key.
const extraKeyByte = 0xff

// trimZeros returns b without leading zero bytes.
func trimZeros(b []byte) []byte { return bytes.TrimLeft(b, "\x00") }

// crypt encrypts or decrypts b in place with MKenc.
func crypt(enc *key, b []byte) { keystream.ChaCha20((*[cipherLen]byte)(enc[:]), b) }
