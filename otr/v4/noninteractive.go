package v4

import (
	"crypto/subtle"
	"errors"
	"time"

	"otrpipe/internal/refine"
	"otrpipe/otr/group"
	"otrpipe/otr/wire"
)

const (
	// longestEnsemble bounds how long a peer's prekey profile can make our own client profile
	// valid: nobody should be able to get a signature from us that is valid for years.
	longestEnsemble = 30 * 24 * time.Hour
	// mailSkippedLifetime is how long the key of a missing message is kept in a session that
	// began offline: mail may take weeks. A longer time would only help an attacker who holds
	// a message back until they get the key.
	mailSkippedLifetime = 31 * 24 * time.Hour
)

var (
	// ErrOtherInstance means that a message is for another instance of its receiver.
	ErrOtherInstance = errors.New("v4: the message is for another instance")
	// ErrNoPrekey means that a Non-Interactive-Auth message names no prekey of ours.
	ErrNoPrekey = errors.New("v4: no such prekey")
	// ErrPrekeyUsed is an ErrNoPrekey: an earlier message has used it.
	ErrPrekeyUsed = refine.Error(&ErrNoPrekey, ": it has been used")
	// ErrPrekeyExpired is an ErrNoPrekey: it has expired, and its secret is gone.
	ErrPrekeyExpired = refine.Error(&ErrNoPrekey, ": it has expired")
	// ErrAuthMAC is an ErrAuthentication: the Auth MAC is wrong.
	ErrAuthMAC = refine.Error(&ErrAuthentication, ": the Auth MAC is wrong")
)

// NonInteractiveAuth is the body of a Non-Interactive-Auth message (section
// "Non-Interactive-Auth Message"). POINTs and DH values are not validated.
type NonInteractiveAuth struct {
	Profile   *Profile
	X         []byte // POINT
	A         []byte // DH
	Sigma     []byte // RING-SIG
	PrekeyID  uint32
	AuthMAC   []byte // 64 bytes
	FirstECDH []byte // POINT
	FirstDH   []byte // DH
}

// ParseNonInteractiveAuth parses the body of a Non-Interactive-Auth message. Nothing may
// follow the first DH key: texts are data messages of their own. The result does not borrow
// from body. The error wraps ErrMalformed.
func ParseNonInteractiveAuth(body []byte) (*NonInteractiveAuth, error) {
	r, err := exchangeReader(body)
	if err != nil {
		return nil, malformed("Non-Interactive-Auth", err)
	}
	m := new(NonInteractiveAuth)
	if m.Profile, err = ReadProfile(&r); err != nil {
		return nil, malformed("Non-Interactive-Auth", err)
	}
	m.X, m.A = r.Take(group.PointLen), r.MPI()
	m.Sigma = r.Take(RingSignatureLen)
	m.PrekeyID, m.AuthMAC = r.Int(), r.Take(macLen)
	m.FirstECDH, m.FirstDH = r.Take(group.PointLen), r.MPI()
	if err := r.End(); err != nil {
		return nil, malformed("Non-Interactive-Auth", err)
	}
	return m, nil
}

// Append appends the body.
func (m *NonInteractiveAuth) Append(b []byte) []byte {
	b = m.Profile.Append(b)
	b = wire.AppendMPI(append(b, m.X...), m.A)
	b = append(b, m.Sigma...)
	b = append(wire.AppendInt(b, m.PrekeyID), m.AuthMAC...)
	return wire.AppendMPI(append(b, m.FirstECDH...), m.FirstDH)
}

// WriteTo begins a session with a recipient who is away (section "Non-Interactive DAKE
// Overview"; we are Alice). It returns the Non-Interactive-Auth message, and an engine with
// the session. The messages that the engine seals follow the first one in separate lines. The
// caller has to make sure that no ensemble is used twice.
//
// Our client profile is valid for as long as the recipient can read the message, so that a
// message is not refused because it is read late.
func (c *Client) WriteTo(to *Recipient) ([]byte, *Engine, error) {
	profile, err := c.profileUntil(to.Expires())
	if err != nil {
		return nil, nil, err
	}
	ours, err := c.newEphemeralWith(profile)
	if err != nil {
		return nil, nil, err
	}
	defer ours.wipe() // the ratchet has its own copy of the first keys
	alice := ours.public(c)
	e := to.Ensemble
	x := nonInteractive{
		bob: e.Client, alice: alice.profile,
		y: e.Message.Y, b: e.Message.B, d: e.Prekey.SharedPrekey,
		x: alice.ecdh, a: alice.dh,
		phi: c.nonInteractivePhi(alice, to.InstanceTag(), true),
	}
	t := x.transcript()
	ring := Ring{to.Peer.Forging.Point(), c.public.Point(), to.y}
	sigma, err := c.signer.SignRing(c.Rand, ring, alicePosition, t)
	if err != nil {
		return nil, nil, err
	}
	brace, err := thirdBraceKey(&ours.dh, e.Message.B)
	if err != nil {
		return nil, nil, err
	}
	defer clear(brace[:])
	tmp, err := tmpKey(&brace,
		secretPoint{to.y, ours.ecdh.secret}, secretPoint{to.d, ours.ecdh.secret}, secretPoint{to.Peer.Public.Point(), ours.ecdh.secret})
	if err != nil {
		return nil, nil, err
	}
	defer clear(tmp[:])

	engine := c.NewEngine(to.InstanceTag())
	m := NonInteractiveAuth{
		Profile: profile,
		X:       alice.ecdh, A: alice.dh,
		Sigma:     sigma,
		PrekeyID:  e.Message.ID,
		AuthMAC:   authMAC(&tmp, t),
		FirstECDH: alice.firstECDH, FirstDH: alice.firstDH,
	}
	msg := m.Append(engine.header(wire.TypeNonInteractiveAuth).Append(nil))
	s := &session{peer: to.Peer, role: roleAlice, ourProfile: profile, peerProfile: e.Client}
	s.ratchet = ratchet{ecdh: ours.firstECDH, dh: ours.firstDH, theirECDH: to.y, theirDH: e.Message.B}
	engine.beginOffline(s, &tmp, &brace)
	return msg, engine, nil
}

// An Opened is the result of opening a Non-Interactive-Auth message.
type Opened struct {
	Engine *Engine
	// Prekey is the prekey that the message has used. Delete it and store the session before
	// anything from the session is shown, so that no second message can use it.
	Prekey *Prekey
	// Publication is the pair of profiles that the message was written to.
	Publication *Publication
}

// Open opens a Non-Interactive-Auth message with header h (section "Receiving a
// Non-Interactive-Auth Message"; we are Bob). find returns the prekey with an identifier, and
// the publications that are still usable, first the one with which the prekey was published:
// the message does not say to which of them it was written. An error of find is returned
// unchanged.
//
// Open changes nothing: a refused message does not use up a prekey, because everyone knows
// the prekeys' identifiers. The error wraps ErrOtherInstance, ErrMalformed or
// ErrAuthentication, or comes from find.
func (c *Client) Open(h wire.Header, body []byte, find func(id uint32) (*Prekey, []*Publication, error)) (*Opened, error) {
	if h.Receiver != c.InstanceTag {
		return nil, ErrOtherInstance
	}
	m, err := ParseNonInteractiveAuth(body)
	if err != nil {
		return nil, err
	}
	theirs, err := public{
		tag: h.Sender, profile: m.Profile,
		ecdh: m.X, dh: m.A, firstECDH: m.FirstECDH, firstDH: m.FirstDH,
	}.validate(c.Now())
	if err != nil {
		return nil, err
	}
	prekey, publications, err := find(m.PrekeyID)
	if err != nil {
		return nil, err
	}
	y, b := prekey.ecdh(), prekey.dh()
	defer y.secret.Wipe()
	defer clear(b.secret[:])
	publication, t, err := c.writtenTo(publications, theirs, &y, &b, m.Sigma)
	if err != nil {
		return nil, err
	}
	brace, err := thirdBraceKey(&b, m.A)
	if err != nil {
		return nil, err
	}
	defer clear(brace[:])
	tmp, err := tmpKey(&brace,
		secretPoint{theirs.ecdhPoint, y.secret}, secretPoint{theirs.ecdhPoint, publication.shared.Secret()}, secretPoint{theirs.ecdhPoint, c.Identity.Secret()})
	if err != nil {
		return nil, err
	}
	defer clear(tmp[:])
	if subtle.ConstantTimeCompare(authMAC(&tmp, t), m.AuthMAC) != 1 {
		return nil, ErrAuthMAC
	}
	engine := c.NewEngine(h.Sender)
	s := &session{peer: theirs.peer, role: roleBob, ourProfile: publication.Client, peerProfile: m.Profile}
	s.ratchet = ratchet{theirECDH: theirs.firstPoint, theirDH: m.FirstDH}
	engine.beginOffline(s, &tmp, &brace)
	return &Opened{Engine: engine, Prekey: prekey, Publication: publication}, nil
}

// writtenTo finds the publication for which sigma verifies, and returns t.
func (c *Client) writtenTo(publications []*Publication, theirs *contribution, y *ecdhKey, b *dhKey, sigma []byte) (*Publication, []byte, error) {
	ring := Ring{c.Forging.Point(), theirs.peer.Public.Point(), y.point}
	err := ErrRingSignature
	for _, p := range publications {
		x := nonInteractive{
			bob: p.Client, alice: theirs.profile,
			y: y.public[:], b: b.public, d: p.Prekey.SharedPrekey,
			x: theirs.ecdh, a: theirs.dh,
			phi: c.nonInteractivePhi(&theirs.public, c.InstanceTag, false),
		}
		t := x.transcript()
		if err = ring.Verify(sigma, t); err == nil {
			return p, t, nil
		}
	}
	return nil, nil, unauthenticated(err)
}

// beginOffline starts the session s from tmp_k and the brace key of the exchange. In the
// first ratchet, root and chain key are derived from K alone.
func (e *Engine) beginOffline(s *session, tmp *key, brace *braceKey) {
	mixed := tmp.derive(group.UsageSharedSecret)
	defer clear(mixed[:])
	group.KDF(s.ssid[:], group.UsageSSID, mixed[:])
	r := &s.ratchet
	r.root = mixed.derive(group.UsageRootKey)
	chain := mixed.derive(group.UsageChainKey)
	defer clear(chain[:])
	// The next ratchet would hash the brace key. Doing it now means that the exchange's brace
	// key need not be kept.
	r.brace, r.braceAhead = brace.next(), true
	r.i = 1
	r.theirECDH.Append(r.theirPublic[:0])
	if s.role == roleAlice {
		r.sendChain = chain
	} else {
		r.receiveChain, r.receiving, r.ourTurn = chain, true, true
	}
	s.skippedLife = mailSkippedLifetime
	e.session = s
	e.sessions++
}

// profileUntil returns a client profile of ours that is still valid PrekeyGrace after a
// prekey profile that expires at expires. It expires at the first midnight UTC that is late
// enough, so that it does not reveal when the message was written.
func (c *Client) profileUntil(expires time.Time) (*Profile, error) {
	if c.finished {
		return c.profile, nil
	}
	now := c.Now()
	if latest := now.Add(longestEnsemble); expires.After(latest) {
		expires = latest
	}
	expires = expires.Add(PrekeyGrace)
	if c.profile != nil && c.profile.Expires >= expires.Unix() {
		return c.profile, nil
	}
	if least := now.Add(ProfileLifetime); expires.Before(least) {
		expires = least
	}
	const day = 24 * time.Hour
	expires = expires.Add(day - 1).UTC().Truncate(day)
	p, err := newProfile(c.InstanceTag, c.Identity, c.Forging, c.DSA, expires, c.Rand)
	if err != nil {
		return nil, err
	}
	c.profile = p
	return p, nil
}

// nonInteractive holds the values that the ring signature of a Non-Interactive-Auth message
// signs.
type nonInteractive struct {
	bob, alice *Profile // of the publisher and of the sender
	y, x       []byte   // POINT
	b, a       []byte   // DH
	d          []byte   // POINT
	phi        []byte
}

// transcript returns t of a Non-Interactive-Auth message: without a first byte, unlike in the
// interactive exchange, and with D as a bare POINT.
func (n *nonInteractive) transcript() []byte {
	t := n.bob.hash(group.UsageNonIntAuthBobClientProfile)
	t = append(t, n.alice.hash(group.UsageNonIntAuthAliceClientProfile)...)
	t = append(append(t, n.y...), n.x...)
	t = wire.AppendMPI(wire.AppendMPI(t, n.b), n.a)
	t = append(t, n.d...)
	hashed := make([]byte, 64)
	group.KDF(hashed, group.UsageNonIntAuthPhi, n.phi)
	return append(t, hashed...)
}

// nonInteractivePhi returns the shared session state: both tags, Alice's first keys, and the
// accounts if both sides name them, with the sender first in each pair. Bob has no first
// keys.
func (c *Client) nonInteractivePhi(alice *public, bobTag uint32, weWrite bool) []byte {
	accounts := c.Accounts
	if accounts != nil && !weWrite {
		accounts = &Accounts{Ours: accounts.Theirs, Theirs: accounts.Ours}
	}
	return nonInteractivePhi(alice, bobTag, accounts)
}

// nonInteractivePhi is like the method of that name; accounts is from Alice's point of view.
func nonInteractivePhi(alice *public, bobTag uint32, accounts *Accounts) []byte {
	phi := wire.AppendInt(wire.AppendInt(nil, alice.tag), bobTag)
	phi = wire.AppendMPI(append(phi, alice.firstECDH...), alice.firstDH)
	if accounts == nil {
		return phi
	}
	return wire.AppendData(wire.AppendData(phi, []byte(accounts.Ours)), []byte(accounts.Theirs))
}

// A secretPoint is a public key of the peer and a secret of ours, to be multiplied.
type secretPoint struct {
	point  *group.Point
	secret group.Scalar
}

// tmpKey returns tmp_k = KDF(usage_tmp_key || K_ecdh || ECDH with D || ECDH with H ||
// brace_key, 64), where the three are POINTs.
func tmpKey(brace *braceKey, ecdh, shared, identity secretPoint) (tmp key, err error) {
	b := make([]byte, 0, 3*group.PointLen)
	defer func() { clear(b[:cap(b)]) }()
	for _, pair := range []secretPoint{ecdh, shared, identity} {
		product := pair.point.Mul(pair.secret)
		if product.IsIdentity() {
			return tmp, ErrSharedSecret
		}
		b = product.Append(b)
		product.Wipe()
	}
	group.KDF(tmp[:], group.UsageTmpKey, b, brace[:])
	return tmp, nil
}

// authMAC returns Auth MAC = HCMAC(usage_auth_mac || auth_mac_k || t, 64), where auth_mac_k =
// KDF(usage_auth_mac_key || tmp_k, 64).
func authMAC(tmp *key, t []byte) []byte {
	k := tmp.derive(group.UsageAuthMACKey)
	defer clear(k[:])
	mac := make([]byte, macLen)
	group.KDF(mac, group.UsageAuthMAC, k[:], t)
	return mac
}
