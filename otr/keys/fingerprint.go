// Package keys implements the long-term keys of OTR: their public encodings, fingerprints and
// signatures. It follows the section "Public keys, signatures, and fingerprints" of the
// specifications of versions 2 and 3, and "Public keys, Shared Prekeys, Forging keys and
// Fingerprints" of version 4's.
package keys

import (
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
)

const (
	// FingerprintLen3 is the length in bytes of a fingerprint in versions 2 and 3.
	FingerprintLen3 = 20
	// FingerprintLen4 is the length in bytes of a fingerprint in version 4.
	FingerprintLen4 = 56
)

// ErrFingerprint reports a text or bytes that are not a fingerprint.
var ErrFingerprint = errors.New("keys: not a fingerprint")

// Fingerprint identifies a long-term public key. It is comparable; the zero value means no
// fingerprint.
type Fingerprint struct {
	n int
	b [FingerprintLen4]byte
}

// FingerprintFromBytes returns the fingerprint of 20 bytes (versions 2 and 3)
// or 56 bytes (version 4), or ErrFingerprint.
func FingerprintFromBytes(b []byte) (Fingerprint, error) {
	var f Fingerprint
	if len(b) != FingerprintLen3 && len(b) != FingerprintLen4 {
		return f, fmt.Errorf("%w: it has %d bytes, not 20 or 56", ErrFingerprint, len(b))
	}
	f.n = copy(f.b[:], b)
	return f, nil
}

// ParseFingerprint reads a fingerprint of 40 or 112 hexadecimal digits of either case,
// grouped in any way by blanks, colons and dashes. The error wraps ErrFingerprint and names
// the wrong length or character.
func ParseFingerprint(s string) (Fingerprint, error) {
	const digits = "0123456789abcdefABCDEF"
	var b [FingerprintLen4]byte
	n := 0
	for _, c := range s {
		if c == ' ' || c == ':' || c == '-' {
			continue
		}
		d := strings.IndexRune(digits, c)
		if d < 0 {
			return Fingerprint{}, fmt.Errorf("%w: %q is no hexadecimal digit", ErrFingerprint, c)
		}
		if d >= 16 {
			d -= 6
		}
		if n < 2*len(b) {
			b[n/2] = b[n/2]<<4 | byte(d)
		}
		n++
	}
	if n != 2*FingerprintLen3 && n != 2*FingerprintLen4 {
		return Fingerprint{}, fmt.Errorf("%w: it has %d hexadecimal digits, not 40 or 112", ErrFingerprint, n)
	}
	return FingerprintFromBytes(b[:n/2])
}

// Bytes returns the fingerprint's 20 or 56 bytes; none for the zero value.
func (f Fingerprint) Bytes() []byte {
	return f.b[:f.n]
}

// Hex returns the lower-case hexadecimal digits without spaces.
func (f Fingerprint) Hex() string {
	return hex.EncodeToString(f.b[:f.n])
}

// String returns the fingerprint in its readable form: upper-case hexadecimal digits in
// groups of eight, five groups in versions 2 and 3, fourteen in version 4.
func (f Fingerprint) String() string {
	digits := strings.ToUpper(f.Hex())
	var groups []string
	for ; len(digits) > 0; digits = digits[8:] {
		groups = append(groups, digits[:8])
	}
	return strings.Join(groups, " ")
}

// OTR returns the newest protocol version that has fingerprints of this length:
// 3 (it stands for version 2 too), 4, or 0 for the zero value.
func (f Fingerprint) OTR() int {
	switch f.n {
	case FingerprintLen3:
		return 3
	case FingerprintLen4:
		return 4
	default:
		return 0
	}
}

// IsZero reports whether f is the zero value, no fingerprint.
func (f Fingerprint) IsZero() bool {
	return f.n == 0
}
