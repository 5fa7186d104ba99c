package v4

import (
	"fmt"
	"io"

	"otrpipe/otr/group"
	"otrpipe/otr/keys"
)

// The steps of the protocol for callers that have single keys or a transcript rather than a
// session, such as package toolkit. An Engine takes the same steps.

// A Key is a secret of 64 bytes: a chain key, MKenc, or MKmac. It prints as a placeholder.
type Key = key

// MACKey returns MKmac, which authenticates the message that MKenc k encrypts (section
// "Calculating Encryption and MAC Keys").
func MACKey(k *Key) Key { return k.derive(group.UsageMACKey) }

// NextMessageKey returns MKenc of the next message of a chain, and advances the chain.
func NextMessageKey(chain *Key) Key {
	k := nextKeys(chain)
	clear(k.extra[:])
	return k.enc
}

// Crypt encrypts or decrypts the text of a data message in place with MKenc k.
func Crypt(k *Key, text []byte) { crypt(k, text) }

// AppendAuthenticator appends the authenticator of a data message under MKmac k, 64 bytes.
// covered is the message from its version to the end of the encrypted text.
func AppendAuthenticator(b []byte, k *Key, covered []byte) []byte {
	var authenticator [macLen]byte
	authenticate(authenticator[:], k, covered)
	return append(b, authenticator[:]...)
}

// VerifyAuthR checks an Auth-R message as far as this is possible without secrets: its ring
// signature over both contributions must be by one of the keys {F_b, H_a, Y}. Alice sent the
// message with the tag alice, in answer to Bob's Identity message with the tag bob. accounts
// are Alice's and Bob's, or nil if none were bound. It ignores the profiles' dates. The error
// wraps ErrAuthentication.
func VerifyAuthR(identity *Identity, bob uint32, m *AuthR, alice uint32, accounts *Accounts) error {
	b, a := publicOf(identity, bob, m, alice, accounts)
	forging, err := keys.ParseForgingKey(b.profile.ForgingKey)
	if err != nil {
		return unauthenticated(err)
	}
	long, err := keys.ParseEd448PublicKey(a.profile.PublicKey)
	if err != nil {
		return unauthenticated(err)
	}
	return verifyRing(forging.Point(), long.Point(), b.ecdh, m.Sigma, authRTranscript(b, a))
}

// VerifyAuthI checks an Auth-I message as far as this is possible without secrets: its ring
// signature over both contributions must be by one of the keys {H_b, F_a, X}; see
// VerifyAuthR.
func VerifyAuthI(identity *Identity, bob uint32, answer *AuthR, alice uint32, accounts *Accounts, m *AuthI) error {
	b, a := publicOf(identity, bob, answer, alice, accounts)
	long, err := keys.ParseEd448PublicKey(b.profile.PublicKey)
	if err != nil {
		return unauthenticated(err)
	}
	forging, err := keys.ParseForgingKey(a.profile.ForgingKey)
	if err != nil {
		return unauthenticated(err)
	}
	return verifyRing(long.Point(), forging.Point(), a.ecdh, m.Sigma, authITranscript(b, a))
}

// VerifyNonInteractiveAuth checks a Non-Interactive-Auth message as far as this is possible
// without secrets: its ring signature over the contributions of the sender, with the tag
// alice, and of the ensemble must be by one of the keys {F_b, H_a, Y}; see VerifyAuthR. Only
// the receiver's secrets can verify the Auth MAC.
func VerifyNonInteractiveAuth(e *Ensemble, m *NonInteractiveAuth, alice uint32, accounts *Accounts) error {
	forging, err := keys.ParseForgingKey(e.Client.ForgingKey)
	if err != nil {
		return unauthenticated(err)
	}
	long, err := keys.ParseEd448PublicKey(m.Profile.PublicKey)
	if err != nil {
		return unauthenticated(err)
	}
	sender := &public{tag: alice, firstECDH: m.FirstECDH, firstDH: m.FirstDH}
	x := nonInteractive{
		bob: e.Client, alice: m.Profile,
		y: e.Message.Y, b: e.Message.B, d: e.Prekey.SharedPrekey,
		x: m.X, a: m.A,
		phi: nonInteractivePhi(sender, e.Client.InstanceTag, accounts),
	}
	return verifyRing(forging.Point(), long.Point(), e.Message.Y, m.Sigma, x.transcript())
}

func verifyRing(first, second *group.Point, ephemeral, sigma, t []byte) error {
	third, err := group.ParsePoint(ephemeral)
	if err != nil {
		return unauthenticated(err)
	}
	if err := (Ring{first, second, third}).Verify(sigma, t); err != nil {
		return unauthenticated(err)
	}
	return nil
}

// publicOf returns the contributions of two messages to a key exchange.
func publicOf(identity *Identity, bob uint32, m *AuthR, alice uint32, accounts *Accounts) (b, a *public) {
	b = &public{
		tag: bob, profile: identity.Profile, ecdh: identity.Y, dh: identity.B,
		firstECDH: identity.FirstECDH, firstDH: identity.FirstDH,
	}
	a = &public{
		tag: alice, profile: m.Profile, ecdh: m.X, dh: m.A,
		firstECDH: m.FirstECDH, firstDH: m.FirstDH,
	}
	if accounts != nil {
		a.account, b.account = &accounts.Ours, &accounts.Theirs
	}
	return b, a
}

// A Signer makes the ring signatures of a Client's key exchanges: it signs m as the owner of
// the key at position in ring (0 to 2). A signature with the secret of another key of the
// ring is equally valid and cannot be distinguished.
type Signer interface {
	SignRing(rand io.Reader, ring Ring, position int, m []byte) ([]byte, error)
}

// identitySigner signs with the long-term key.
type identitySigner struct{ key *keys.Ed448PrivateKey }

func (s identitySigner) SignRing(rand io.Reader, ring Ring, position int, m []byte) ([]byte, error) {
	return ring.Sign(rand, s.key.Secret(), position, m)
}

// SignWith returns the Signer that signs with a long-term key, as honest ends do.
func SignWith(key *keys.Ed448PrivateKey) Signer { return identitySigner{key} }

// Format prints a placeholder for every verb.
func (identitySigner) Format(f fmt.State, _ rune) { io.WriteString(f, "v4.identitySigner(…)") }

// NewProfileClient returns a Client that uses the finished profile p, and s to sign its key
// exchanges. It uses only Accounts, Rand and Now of c, and ignores the profile's date. The
// error wraps ErrProfile.
func NewProfileClient(p *Profile, s Signer, c Config) (*Client, error) {
	public, err := keys.ParseEd448PublicKey(p.PublicKey)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrProfile, err)
	}
	if c.Forging, err = keys.ParseForgingKey(p.ForgingKey); err != nil {
		return nil, fmt.Errorf("%w: forging key: %w", ErrProfile, err)
	}
	c.InstanceTag, c.Identity, c.DSA = p.InstanceTag, nil, nil
	return &Client{Config: c, public: public, signer: s, profile: p, finished: true}, nil
}

// EphemeralPosition is the position of the verifier's ephemeral key in the ring of a key
// exchange.
const EphemeralPosition = 2

// A UsedKey is the key of one data message. It is for users who want to analyse their own
// session.
type UsedKey struct {
	Peer                 uint32 // the instance tag of the peer
	Sending              bool   // true: we have encrypted with it; false: the peer has
	RatchetID, MessageID uint32
	Message              Key // MKenc
}

// tellKey calls OnKey with the key of a data message.
func (e *Engine) tellKey(m *Data, enc *Key, sending bool) {
	if e.client.OnKey != nil {
		e.client.OnKey(UsedKey{Peer: e.peer, Sending: sending, RatchetID: m.RatchetID, MessageID: m.MessageID, Message: *enc})
	}
}
