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
	// longestEnsemble bounds how far ahead the expiry of a peer's prekey profile may make
	// our own client profile live: a signature of ours is not to be good for years because
	// somebody asks for it.
	longestEnsemble = 30 * 24 * time.Hour
	// mailSkippedLifetime is how long the key of a message that has not come is kept in a
	// session that began offline: mail may take weeks, and a longer wait only helps somebody
	// who holds a message back until they get hold of the key.
	mailSkippedLifetime = 31 * 24 * time.Hour
)

var (
	// ErrOtherInstance says that a message is for another instance of its receiver.
	ErrOtherInstance = errors.New("v4: the message is for another instance")
	// ErrNoPrekey says that a Non-Interactive-Auth message names no prekey of ours.
	ErrNoPrekey = errors.New("v4: no such prekey")
	// ErrPrekeyUsed is an ErrNoPrekey: a message that has come before has used it.
	ErrPrekeyUsed = refine.Error(&ErrNoPrekey, ": it has been used")
	// ErrPrekeyExpired is an ErrNoPrekey: it has expired, and its secret is gone.
	ErrPrekeyExpired = refine.Error(&ErrNoPrekey, ": it has expired")
	// ErrAuthMAC is an ErrAuthentication: the Auth MAC is wrong.
	ErrAuthMAC = refine.Error(&ErrAuthentication, ": the Auth MAC is wrong")
)

// NonInteractiveAuth is the body of a Non-Interactive-Auth message (section
// "Non-Interactive-Auth Message"). POINTs and DH values are as they came, not validated.
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

// WriteTo begins a session with somebody who is away (section "Non-Interactive DAKE
// Overview"; we are Alice). It returns the Non-Interactive-Auth message and an engine in
// which the session has begun: what it seals follows the message, in lines of its own. The
// caller sees to it that no ensemble is used twice.
//
// Our client profile is one that is valid until the recipient cannot read the message any
// more, so that a message which is read late is not refused for it.
func (c *Client) WriteTo(to *Recipient) ([]byte, *Engine, error) {
	profile, err := c.profileUntil(to.Expires())
	if err != nil {
		return nil, nil, err
	}
	ours, err := c.newEphemeralWith(profile)
	if err != nil {
		return nil, nil, err
	}
	defer ours.wipe() // the ratchet has its copy of the first keys
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
	tmp, err := tmpKey(brace,
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
	engine.beginOffline(s, &tmp, brace)
	return msg, engine, nil
}

// An Opened is what a Non-Interactive-Auth message has begun.
type Opened struct {
	Engine *Engine
	// Prekey is the one that the message has used. It must be deleted, and the session
	// stored, before anything of the session is shown: no second message may use it.
	Prekey *Prekey
	// Publication is the pair of profiles that the message was written to.
	Publication *Publication
}

// Open reads a Non-Interactive-Auth message with header h (section "Receiving a
// Non-Interactive-Auth Message"; we are Bob). find returns the prekey of an identifier and
// the publications that are still usable, first the one that the prekey was published with:
// the message does not say which of them it was written to. An error of find ends the
// search, and is returned as it is.
//
// Nothing changes: a message that is refused costs no prekey, whose identifier everybody
// knows. The error wraps ErrOtherInstance, ErrMalformed, ErrAuthentication or is find's.
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
	tmp, err := tmpKey(brace,
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
	engine.beginOffline(s, &tmp, brace)
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

// beginOffline starts the session s from tmp_k and the brace key of the exchange. The first
// ratchet mixes nothing in: root and chain key come from K alone.
func (e *Engine) beginOffline(s *session, tmp *key, brace braceKey) {
	mixed := tmp.derive(group.UsageSharedSecret)
	defer clear(mixed[:])
	group.KDF(s.ssid[:], group.UsageSSID, mixed[:])
	r := &s.ratchet
	r.root = mixed.derive(group.UsageRootKey)
	chain := mixed.derive(group.UsageChainKey)
	defer clear(chain[:])
	// The next ratchet hashes the brace key on. Done now, the exchange's own can go.
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
// prekey profile that expires at expires. It ends at the first midnight of UTC that is late
// enough, so that it does not show when the message was written.
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

// nonInteractive is what the ring signature of a Non-Interactive-Auth message signs.
type nonInteractive struct {
	bob, alice *Profile // of the publisher and of the sender
	y, x       []byte   // POINT
	b, a       []byte   // DH
	d          []byte   // POINT
	phi        []byte
}

// transcript is t of a Non-Interactive-Auth message: no byte in front, unlike online, and D
// as a bare POINT.
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

// nonInteractivePhi is the shared session state: both tags, Alice's first keys, and the
// accounts where both sides have named them, the sender first each time. Bob has no first
// keys.
func (c *Client) nonInteractivePhi(alice *public, bobTag uint32, weWrite bool) []byte {
	accounts := c.Accounts
	if accounts != nil && !weWrite {
		accounts = &Accounts{Ours: accounts.Theirs, Theirs: accounts.Ours}
	}
	return nonInteractivePhi(alice, bobTag, accounts)
}

// nonInteractivePhi is the method of that name with Alice's view of the accounts.
func nonInteractivePhi(alice *public, bobTag uint32, accounts *Accounts) []byte {
	phi := wire.AppendInt(wire.AppendInt(nil, alice.tag), bobTag)
	phi = wire.AppendMPI(append(phi, alice.firstECDH...), alice.firstDH)
	if accounts == nil {
		return phi
	}
	return wire.AppendData(wire.AppendData(phi, []byte(accounts.Ours)), []byte(accounts.Theirs))
}

// A secretPoint is a public key of the peer and the secret of ours that it is multiplied by.
type secretPoint struct {
	point  *group.Point
	secret group.Scalar
}

// tmpKey is tmp_k = KDF(usage_tmp_key || K_ecdh || ECDH with D || ECDH with H || brace_key,
// 64), where the three are POINTs.
func tmpKey(brace braceKey, ecdh, shared, identity secretPoint) (tmp key, err error) {
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

// authMAC is Auth MAC = HCMAC(usage_auth_mac || auth_mac_k || t, 64), where auth_mac_k =
// KDF(usage_auth_mac_key || tmp_k, 64).
func authMAC(tmp *key, t []byte) []byte {
	k := tmp.derive(group.UsageAuthMACKey)
	defer clear(k[:])
	mac := make([]byte, macLen)
	group.KDF(mac, group.UsageAuthMAC, k[:], t)
	return mac
}
