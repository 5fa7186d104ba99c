package v3

import (
	"crypto/sha1"
	"errors"
	"fmt"
	"io"

	"otrpipe/otr/group"
	"otrpipe/otr/wire"
)

// The steps of the protocol for callers that have single keys rather than a session, such as
// package toolkit. An Engine takes the same steps.

// An AESKey encrypts the data messages of one direction under one pair of D-H keys. It
// prints as a placeholder.
type AESKey [16]byte

// Format prints a placeholder for every verb.
func (AESKey) Format(f fmt.State, _ rune) { io.WriteString(f, "v3.AESKey(…)") }

// A MACKey authenticates the data messages of one direction under one pair of D-H keys. It
// prints as a placeholder.
type MACKey [20]byte

// Format prints a placeholder for every verb.
func (MACKey) Format(f fmt.State, _ rune) { io.WriteString(f, "v3.MACKey(…)") }

// MACKey derives the MAC key from the AES key.
func (k *AESKey) MACKey() MACKey {
	return sha1.Sum(k[:])
}

// Crypt encrypts or decrypts the text of a data message in place. counter is the top half
// of the initial counter value.
func (k *AESKey) Crypt(text []byte, counter uint64) {
	var d dataKeys
	d.set(*k)
	d.crypt(text, counter)
	d = dataKeys{}
}

// AppendAuthenticator appends the authenticator of a data message, 20 bytes. covered is the
// message from its version to the end of the encrypted text.
func AppendAuthenticator(b []byte, k *MACKey, covered []byte) []byte {
	mac := authenticator(k, covered)
	return append(b, mac[:]...)
}

// maxSecretLen bounds the length of a private D-H value that a user enters. Values of an
// honest end have dhSecretLen bytes.
const maxSecretLen = maxDHLen

// ErrSecret reports a private D-H value that is empty or longer than 192 bytes.
var ErrSecret = errors.New("v3: invalid private D-H value")

// SessionKeys holds the keys that two ends derive from one pair of D-H keys: section
// "Computing AES keys, MAC keys, and the secure session id". It prints as a placeholder.
type SessionKeys struct {
	Public    []byte // our public value, big-endian without leading zeros
	High      bool   // our end is the "high" one
	SSID      [8]byte
	Sending   AESKey
	Receiving AESKey
	Extra     [32]byte // the extra symmetric key
}

// Format prints a placeholder for every verb.
func (SessionKeys) Format(f fmt.State, _ rune) { io.WriteString(f, "v3.SessionKeys(…)") }

// DeriveSessionKeys derives the keys from our private D-H value, of 1 to 192 bytes,
// big-endian, and the peer's public value, of any length, leading zeros allowed. The error
// wraps ErrSecret or group.ErrElement.
func DeriveSessionKeys(secret, theirs []byte) (*SessionKeys, error) {
	if len(secret) == 0 || len(secret) > maxSecretLen {
		return nil, fmt.Errorf("%w: it has %d bytes", ErrSecret, len(secret))
	}
	g := group.MODP1536()
	public := g.ExpBase(secret)
	secbytes, err := sharedSecret(secret, theirs)
	if err != nil {
		return nil, err
	}
	defer clear(secbytes)
	k := &SessionKeys{High: comparePublic(public, theirs) > 0}
	k.Public = wire.AppendMPI(nil, public)[4:]
	h := h2(0x00, secbytes)
	copy(k.SSID[:], h[:])
	k.Sending, k.Receiving = directionKeys(secbytes, k.High)
	k.Extra = h2(0xff, secbytes)
	return k, nil
}
