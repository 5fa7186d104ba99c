package v3

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"
	"io"
	"slices"

	"otrpipe/internal/keystream"
	"otrpipe/otr/group"
	"otrpipe/otr/keys"
	"otrpipe/otr/wire"
)

// An AuthState is the state of the authenticated key exchange, with the names of the
// specification's section "Authentication state".
type AuthState int

// The authentication states, without version 1's.
const (
	AuthNone AuthState = iota
	AuthAwaitingDHKey
	AuthAwaitingRevealSig
	AuthAwaitingSig
)

func (s AuthState) String() string {
	switch s {
	case AuthNone:
		return "AUTHSTATE_NONE"
	case AuthAwaitingDHKey:
		return "AUTHSTATE_AWAITING_DHKEY"
	case AuthAwaitingRevealSig:
		return "AUTHSTATE_AWAITING_REVEALSIG"
	case AuthAwaitingSig:
		return "AUTHSTATE_AWAITING_SIG"
	}
	return fmt.Sprintf("AuthState(%d)", int(s))
}

var (
	// ErrIgnored means that the message is not expected in this authentication state; nothing
	// has changed.
	ErrIgnored = errors.New("v3: message ignored in this authentication state")
	// ErrEcho means that the message is one of our own.
	ErrEcho = errors.New("v3: our own message came back")
	// ErrBeaten means that the peer's commitment has lost against ours, which the peer has
	// received or will receive; nothing has changed. Sending ours again does no harm.
	ErrBeaten = errors.New("v3: the peer's commitment has lost against ours")
	// ErrAuthentication means that a message of the key exchange failed a check; nothing has
	// changed.
	ErrAuthentication = errors.New("v3: key exchange refused")
)

// An Offer is our half of a key exchange that begins with a D-H Commit Message. It may be
// sent to one instance of the peer or to any instance that answers, so several engines may
// hold it. The caller of NewOffer has to wipe it when no engine holds it any more.
type Offer struct {
	r      [revealedKeyLen]byte
	key    *dhKey
	commit DHCommit

	revealed bool
}

// NewOffer draws r and x.
func NewOffer(rand io.Reader) (*Offer, error) {
	o := new(Offer)
	if _, err := io.ReadFull(rand, o.r[:]); err != nil {
		return nil, fmt.Errorf("v3: revealed key: %w", err)
	}
	var err error
	if o.key, err = newDHKey(rand); err != nil {
		return nil, err
	}
	gx := wire.AppendMPI(nil, o.key.public)
	hashed := sha256.Sum256(gx)
	o.commit.HashedGX = hashed[:]
	aesCTR(o.r[:], gx)
	o.commit.EncryptedGX = gx
	return o, nil
}

// Message returns the D-H Commit Message of this offer for a version, a sender and a
// receiver; receiver 0 means any instance.
func (o *Offer) Message(version uint16, sender, receiver uint32) []byte {
	h := wire.Header{Version: version, Type: wire.TypeDHCommit, Sender: sender, Receiver: receiver}
	return o.commit.Append(h.Append(nil))
}

// Revealed reports whether a Reveal Signature Message has opened the commitment. After that,
// a peer could choose g^y knowing g^x, which the commitment is meant to prevent.
func (o *Offer) Revealed() bool { return o.revealed }

// Wipe overwrites the secrets.
func (o *Offer) Wipe() {
	clear(o.r[:])
	o.key.wipe()
}

// exchange is the state of one authenticated key exchange, or of two that cross.
type exchange struct {
	state AuthState

	// offer is our offer, from AuthAwaitingDHKey on. It is kept even after it has lost
	// against the peer's D-H Commit: some peers yield too, and unless their D-H Key is
	// answered, both ends would wait forever.
	offer *Offer

	// From AuthAwaitingRevealSig on: our answer to the peer's D-H Commit.
	key    *dhKey
	commit DHCommit // a copy of the peer's

	// beaten is the hash in the peer's commitment that has lost against ours.
	beaten []byte

	// In AuthAwaitingSig: the D-H Key that we answered, and our answer.
	gy     []byte
	keys   *akeKeys
	reveal []byte // the body of our Reveal Signature
}

// lostCrossing reports whether, in AuthAwaitingSig, the peer may continue its own exchange
// instead of ours: its exchange crossed ours and won, we sent our D-H Key for it, and only
// then the peer's D-H Key for ours came. The peer may then complete either of the two. The
// winner of a crossing has no such choice, so the two ends cannot complete different
// exchanges.
func (x *exchange) lostCrossing() bool {
	return x.state == AuthAwaitingSig && x.key != nil &&
		bytes.Compare(x.offer.commit.HashedGX, x.commit.HashedGX) < 0
}

// Crossed reports whether, in AuthAwaitingRevealSig, the peer's commitment has won against
// ours.
func (e *Engine) Crossed() bool {
	return e.exchange.state == AuthAwaitingRevealSig && e.exchange.offer != nil
}

// Answer returns our D-H Key Message in AuthAwaitingRevealSig, to be sent again, and
// otherwise nil. A peer that has answered it sends its Reveal Signature again. A peer that
// had no key yet when it came, and so could not answer, answers now.
func (e *Engine) Answer() []byte {
	if e.exchange.state != AuthAwaitingRevealSig {
		return nil
	}
	return e.message(wire.TypeDHKey, DHKey{GY: e.exchange.key.public})
}

// A lateSignature holds the values for checking the Signature of an exchange that was in
// AuthAwaitingSig when this end began another one. The peer may have that session already,
// and may have sent messages in it.
type lateSignature struct {
	ours dhKey // a copy
	gy   []byte
	keys *akeKeys
}

func (l *lateSignature) wipe() {
	l.ours.wipe()
	l.keys.wipe()
}

// maxLate bounds the exchanges whose Signature may still come. A peer with a slow queue may
// send several copies of one D-H Key before its Signature, and each copy looks like the
// answer to our latest commitment. There are at most as many as there are retries.
const maxLate = 5

// keepLate keeps the values for checking a Signature that may be on its way.
func (e *Engine) keepLate() {
	x := &e.exchange
	if x.state != AuthAwaitingSig {
		return
	}
	if len(e.late) == maxLate {
		e.forgetLateUntil(1)
	}
	e.late = append(e.late, &lateSignature{ours: *x.offer.key, gy: x.gy, keys: x.keys})
	x.keys = nil
}

func (e *Engine) forgetLate() { e.forgetLateUntil(len(e.late)) }

// forgetLateUntil forgets the first n exchanges whose Signature may still come.
func (e *Engine) forgetLateUntil(n int) {
	for _, l := range e.late[:n] {
		l.wipe()
	}
	e.late = slices.Delete(e.late, 0, n)
}

// clear forgets everything and returns to AuthNone. It does not wipe the offer, which other
// engines may hold.
func (x *exchange) clear() {
	x.keys.wipe()
	x.key.wipe()
	*x = exchange{}
}

// receiveDHCommit implements section "Receiving a D-H Commit Message".
func (e *Engine) receiveDHCommit(body []byte) (reply []byte, err error) {
	m, err := ParseDHCommit(body)
	if err != nil {
		return nil, err
	}
	x := &e.exchange
	if x.offer != nil && bytes.Equal(m.HashedGX, x.offer.commit.HashedGX) {
		return nil, ErrEcho
	}
	switch x.state {
	case AuthAwaitingDHKey:
		if bytes.Compare(x.offer.commit.HashedGX, m.HashedGX) > 0 {
			x.beaten = bytes.Clone(m.HashedGX)
			return nil, ErrBeaten
		}
		x.key.wipe()
		x.key = nil
	case AuthAwaitingSig:
		switch {
		case x.lostCrossing() && bytes.Equal(m.HashedGX, x.commit.HashedGX):
			// The winner of a crossing repeats its offer: it may still complete either
			// exchange.
			return e.message(wire.TypeDHKey, DHKey{GY: x.key.public}), nil
		case bytes.Equal(m.HashedGX, x.beaten), x.key != nil && bytes.Equal(m.HashedGX, x.commit.HashedGX):
			// The loser of a crossing repeats its offer because our Reveal Signature is slow.
			return e.rawMessage(wire.TypeRevealSignature, x.reveal), nil
		}
		// Give up our own exchange, so that the revealed values are not used again.
		x.clear()
	case AuthNone:
		x.clear()
	}
	if x.key == nil {
		if x.key, err = newDHKey(e.rand); err != nil {
			return nil, err
		}
	}
	x.commit = DHCommit{EncryptedGX: bytes.Clone(m.EncryptedGX), HashedGX: bytes.Clone(m.HashedGX)}
	x.state = AuthAwaitingRevealSig
	return e.message(wire.TypeDHKey, DHKey{GY: x.key.public}), nil
}

// receiveDHKey implements section "Receiving a D-H Key Message".
func (e *Engine) receiveDHKey(body []byte) (reply []byte, err error) {
	m, err := ParseDHKey(body)
	if err != nil {
		return nil, err
	}
	x := &e.exchange
	switch {
	case x.key != nil && comparePublic(m.GY, x.key.public) == 0:
		return nil, ErrEcho
	case x.state == AuthAwaitingDHKey:
	case x.state == AuthAwaitingRevealSig && x.offer != nil:
		// The peer yielded as well; see exchange.offer.
	case x.state == AuthAwaitingSig && comparePublic(m.GY, x.gy) == 0:
		return e.rawMessage(wire.TypeRevealSignature, x.reveal), nil
	default:
		return nil, ErrIgnored
	}
	secbytes, err := x.offer.key.shared(m.GY)
	if err != nil {
		return nil, fmt.Errorf("%w: g^y: %w", ErrAuthentication, err)
	}
	derived := deriveAKE(secbytes)
	clear(secbytes)
	sig, err := e.sign(&derived.revealSide, x.offer.key.public, m.GY)
	if err != nil {
		derived.wipe()
		return nil, err
	}
	x.offer.revealed = true
	x.gy = bytes.Clone(m.GY)
	x.keys = derived
	x.reveal = RevealSignature{RevealedKey: x.offer.r[:], Signature: sig}.Append(nil)
	x.state = AuthAwaitingSig
	return e.rawMessage(wire.TypeRevealSignature, x.reveal), nil
}

// receiveRevealSignature implements section "Receiving a Reveal Signature Message".
func (e *Engine) receiveRevealSignature(body []byte) (reply []byte, err error) {
	m, err := ParseRevealSignature(body)
	if err != nil {
		return nil, err
	}
	x := &e.exchange
	if x.state != AuthAwaitingRevealSig && !x.lostCrossing() {
		return nil, ErrIgnored
	}
	gx, err := x.commit.open(m.RevealedKey)
	if err != nil {
		return nil, err
	}
	secbytes, err := x.key.shared(gx)
	if err != nil {
		return nil, fmt.Errorf("%w: g^x: %w", ErrAuthentication, err)
	}
	derived := deriveAKE(secbytes)
	clear(secbytes)
	defer derived.wipe()
	peer, keyID, err := derived.revealSide.verify(m.Signature, gx, x.key.public)
	if err != nil {
		return nil, err
	}
	sig, err := e.sign(&derived.signSide, x.key.public, gx)
	if err != nil {
		return nil, err
	}
	if err := e.establish(established{
		peer: peer, ssid: derived.ssid, ours: *x.key, theirs: gx, theirID: keyID,
	}); err != nil {
		return nil, err
	}
	x.clear()
	e.forgetLate()
	return e.message(wire.TypeSignature, sig), nil
}

// receiveSignature implements section "Receiving a Signature Message".
func (e *Engine) receiveSignature(body []byte) error {
	m, err := ParseSignature(body)
	if err != nil {
		return err
	}
	for i, l := range e.late {
		if err := e.signedBy(m, l.keys, &l.ours, l.gy); err == nil {
			e.forgetLateUntil(i + 1) // the peer's Signatures come in the order of the exchanges
			return nil
		}
	}
	x := &e.exchange
	if x.state != AuthAwaitingSig {
		return ErrIgnored
	}
	if err := e.signedBy(m, x.keys, x.offer.key, x.gy); err != nil {
		return err
	}
	x.clear()
	e.forgetLate()
	return nil
}

// signedBy checks the Signature of an exchange and begins its session.
func (e *Engine) signedBy(m Signature, k *akeKeys, ours *dhKey, gy []byte) error {
	peer, keyID, err := k.signSide.verify(m, gy, ours.public)
	if err != nil {
		return err
	}
	return e.establish(established{
		peer: peer, ssid: k.ssid, revealed: true, ours: *ours, theirs: gy, theirID: keyID,
	})
}

// open decrypts g^x with the revealed key and checks it against its hash.
func (m *DHCommit) open(r []byte) ([]byte, error) {
	gxmpi := bytes.Clone(m.EncryptedGX)
	aesCTR(r, gxmpi)
	hashed := sha256.Sum256(gxmpi)
	if subtle.ConstantTimeCompare(hashed[:], m.HashedGX) != 1 {
		return nil, fmt.Errorf("%w: g^x does not match its hash", ErrAuthentication)
	}
	rd := wire.NewReader(gxmpi)
	gx := rd.MPI()
	if err := rd.End(); err != nil {
		return nil, malformed("g^x", err)
	}
	if err := group.MODP1536().Check(gx); err != nil {
		return nil, fmt.Errorf("%w: g^x: %w", ErrAuthentication, err)
	}
	return gx, nil
}

// exchangeKeyID is the serial number of the D-H key of an exchange: every exchange has a new
// key pair and starts the numbering again.
const exchangeKeyID = 1

// sign makes the encrypted signature over our public value and the peer's.
func (e *Engine) sign(k *sigKeys, ours, theirs []byte) (Signature, error) {
	x := wire.AppendInt(e.identity.Public().Append(nil), exchangeKeyID)
	sig, err := e.identity.Sign(e.rand, k.signed(ours, theirs, x))
	if err != nil {
		return Signature{}, err
	}
	x = append(x, sig...)
	aesCTR(k.c[:], x)
	return Signature{Encrypted: x, MAC: k.sum(x)}, nil
}

// verify checks the peer's encrypted signature. It returns the key that made the signature
// and the serial number of the peer's D-H key. The decrypted content must be exactly PUBKEY,
// INT, SIG.
func (k *sigKeys) verify(m Signature, theirs, ours []byte) (*keys.DSAPublicKey, uint32, error) {
	if subtle.ConstantTimeCompare(k.sum(m.Encrypted), m.MAC) != 1 {
		return nil, 0, fmt.Errorf("%w: the MAC of the signature is wrong", ErrAuthentication)
	}
	x := bytes.Clone(m.Encrypted)
	aesCTR(k.c[:], x)
	r := wire.NewReader(x)
	peer, err := keys.ReadDSAPublicKey(&r)
	if err != nil {
		return nil, 0, fmt.Errorf("%w: public key: %w", ErrAuthentication, err)
	}
	keyID := r.Int()
	signedLen := r.Pos()
	sig := r.Take(keys.DSASignatureLen)
	if err := r.End(); err != nil {
		return nil, 0, malformed("signature", err)
	}
	if keyID == 0 {
		return nil, 0, malformed("signature", errors.New("the key id is 0"))
	}
	if err := peer.Verify(k.signed(theirs, ours, x[:signedLen]), sig); err != nil {
		return nil, 0, fmt.Errorf("%w: %w", ErrAuthentication, err)
	}
	return peer, keyID, nil
}

// signed computes M, the value that is signed: the signer's public value, the other's, and
// the signer's PUBKEY and key id.
func (k *sigKeys) signed(signer, other, pubkeyAndID []byte) []byte {
	m := hmac.New(sha256.New, k.m1[:])
	m.Write(wire.AppendMPI(wire.AppendMPI(nil, signer), other))
	m.Write(pubkeyAndID)
	return m.Sum(nil)
}

// sum computes the SHA256-HMAC-160 over an encrypted signature and its length.
func (k *sigKeys) sum(encrypted []byte) []byte {
	m := hmac.New(sha256.New, k.m2[:])
	m.Write(wire.AppendInt(nil, uint32(len(encrypted))))
	m.Write(encrypted)
	return m.Sum(nil)[:sigMACLen]
}

// aesCTR encrypts or decrypts text in place, with initial counter value 0. The
// key has 16 bytes.
func aesCTR(key, text []byte) { keystream.AES128CTR((*[16]byte)(key), 0, text) }
