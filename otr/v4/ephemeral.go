package v4

import (
	"fmt"
	"io"
	"time"

	"otrpipe/otr/group"
	"otrpipe/otr/wire"
)

// ephemeral is our contribution to one key exchange.
type ephemeral struct {
	profile   *Profile
	ecdh      ecdhKey // x or y
	dh        dhKey   // a or b
	firstECDH ecdhKey // the first keys of the ratchet
	firstDH   dhKey
}

// newEphemeral draws all keys, for an exchange with the profile that Profile returns.
func (c *Client) newEphemeral() (*ephemeral, error) {
	profile, err := c.Profile()
	if err != nil {
		return nil, err
	}
	return c.newEphemeralWith(profile)
}

// newEphemeralWith draws all keys, in this order: ECDH, DH, first ECDH, first DH.
func (c *Client) newEphemeralWith(profile *Profile) (*ephemeral, error) {
	e := &ephemeral{profile: profile}
	var err error
	for _, pair := range []struct {
		ecdh *ecdhKey
		dh   *dhKey
	}{{&e.ecdh, &e.dh}, {&e.firstECDH, &e.firstDH}} {
		if *pair.ecdh, err = newECDHKey(c.Rand); err == nil {
			*pair.dh, err = newDHKey(c.Rand)
		}
		if err != nil {
			e.wipe()
			return nil, err
		}
	}
	return e, nil
}

func (e *ephemeral) wipe() {
	e.wipeExchange()
	e.firstECDH.secret.Wipe()
	clear(e.firstDH.secret[:])
}

// wipeExchange wipes the secrets from which K was computed, and keeps those of the ratchet.
func (e *ephemeral) wipeExchange() {
	e.ecdh.secret.Wipe()
	clear(e.dh.secret[:])
}

// Format prints a placeholder.
func (ephemeral) Format(f fmt.State, _ rune) { io.WriteString(f, "v4.ephemeral(…)") }

// public returns the public part.
func (e *ephemeral) public(c *Client) *public {
	p := &public{
		tag:     c.InstanceTag,
		profile: e.profile,
		ecdh:    e.ecdh.public[:], dh: e.dh.public,
		firstECDH: e.firstECDH.public[:], firstDH: e.firstDH.public,
	}
	if c.Accounts != nil {
		p.account = &c.Accounts.Ours
	}
	return p
}

// contribution is the peer's validated contribution to one key exchange.
type contribution struct {
	public
	peer       *PeerKey
	ecdhPoint  *group.Point
	firstPoint *group.Point
}

// validate checks the contribution in a message from the instance p.tag, in the order of the
// sections "Identity Message" and "Auth-R Message". The error wraps ErrAuthentication.
func (p public) validate(now time.Time) (*contribution, error) {
	c := &contribution{public: p}
	var err error
	if c.peer, err = p.profile.Validate(p.tag, now); err != nil {
		return nil, unauthenticated(err)
	}
	if c.ecdhPoint, err = group.ParsePoint(p.ecdh); err != nil {
		return nil, unauthenticated(err)
	}
	if err := group.MODP3072().CheckMember(p.dh); err != nil {
		return nil, unauthenticated(err)
	}
	if c.firstPoint, err = group.ParsePoint(p.firstECDH); err != nil {
		return nil, unauthenticated(err)
	}
	if err := group.MODP3072().CheckMember(p.firstDH); err != nil {
		return nil, unauthenticated(err)
	}
	return c, nil
}

// An Offer is our half of a key exchange that begins with an Identity message. It may be sent
// to one instance of the peer or to any instance that answers, so several engines may hold
// it. The caller of NewOffer has to wipe it when no engine holds it any more.
type Offer struct {
	client *Client
	ours   *ephemeral
	sends  int
}

// NewOffer draws the keys of an Identity message.
func (c *Client) NewOffer() (*Offer, error) {
	e, err := c.newEphemeral()
	if err != nil {
		return nil, err
	}
	return &Offer{client: c, ours: e}, nil
}

// Message returns the Identity message of this offer; receiver 0 means any instance. If it is
// sent twice, it may be answered twice, with different keys.
func (o *Offer) Message(receiver uint32) []byte {
	o.sends++
	h := wire.Header{Version: Version, Type: wire.TypeIdentity, Sender: o.client.InstanceTag, Receiver: receiver}
	m := Identity{
		Profile: o.ours.profile,
		Y:       o.ours.ecdh.public[:], B: o.ours.dh.public,
		FirstECDH: o.ours.firstECDH.public[:], FirstDH: o.ours.firstDH.public,
	}
	return m.Append(h.Append(nil))
}

// Wipe overwrites the secrets.
func (o *Offer) Wipe() { o.ours.wipe() }

// Format prints a placeholder for every verb.
func (Offer) Format(f fmt.State, _ rune) { io.WriteString(f, "v4.Offer(…)") }
