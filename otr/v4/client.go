package v4

import (
	"io"
	"time"

	"otrpipe/otr/keys"
	"otrpipe/otr/wire"
)

// A Config says on whose behalf a Client speaks.
type Config struct {
	InstanceTag uint32                // ours
	Identity    *keys.Ed448PrivateKey // signs key exchanges
	Forging     *keys.ForgingKey
	DSA         *keys.DSAPrivateKey // announced and used for the transitional signature; nil where version 3 is not spoken
	Accounts    *Accounts           // nil: the network has no account names
	KeptProfile []byte              // our client profile as Profile.Append has written it; nil, or of no use: one is made
	Rand        io.Reader           // the only source of randomness
	Now         func() time.Time    // the only clock
	OnKey       func(UsedKey)       // is told of the key of each data message; nil: nobody is
}

// A Client is our side of version 4, whoever the peer is: the long-term keys and the
// client profile made from them. It is for one goroutine, as are its offers and engines.
type Client struct {
	Config
	public   *keys.Ed448PublicKey // H
	signer   Signer
	profile  *Profile
	finished bool // profile is never made anew

	exchanges budget // for messages of key exchanges
	data      budget // for data messages under new keys
}

// NewClient returns the Client of a Config.
func NewClient(c Config) *Client {
	return &Client{Config: c, public: c.Identity.Public(), signer: identitySigner{c.Identity}}
}

// Profile returns our client profile: the last one, else the one of the Config. It makes
// one where there is none yet, or where that is not ours or has less than a day to live
// (section "Client Profile Expiration and Renewal").
//
// A profile is signed, for anybody to keep who has seen it. So it tells the day that it was
// made on and no more: it expires at a midnight of UTC, and is the same until then.
func (c *Client) Profile() (*Profile, error) {
	now := c.Now()
	if c.finished || c.profile != nil && fresh(c.profile, now) {
		return c.profile, nil
	}
	if p := c.kept(now); p != nil {
		c.profile = p
		return p, nil
	}
	p, err := newProfile(c.InstanceTag, c.Identity, c.Forging, c.DSA, profileEnd(now), c.Rand)
	if err != nil {
		return nil, err
	}
	c.profile = p
	return p, nil
}

// profileEnd is when a profile that is made at now expires: the last midnight of UTC in
// its lifetime.
func profileEnd(now time.Time) time.Time {
	return now.Add(ProfileLifetime).UTC().Truncate(24 * time.Hour)
}

// fresh reports whether a profile has more than a day to live.
func fresh(p *Profile, now time.Time) bool { return now.Add(profileRenewal).Unix() < p.Expires }

// kept returns the profile of the Config, if it is what we would make: of our keys, with
// our versions, and with a date that newProfile could have given it not long ago, which a
// clock that was wrong then could not.
func (c *Client) kept(now time.Time) *Profile {
	r := wire.NewReader(c.KeptProfile)
	p, err := ReadProfile(&r)
	if err != nil || r.End() != nil || !fresh(p, now) || p.Expires > profileEnd(now).Unix() {
		return nil
	}
	versions := "4"
	if c.DSA != nil {
		versions = "34"
	}
	if string(p.Versions) != versions || (p.DSA == nil) != (c.DSA == nil) ||
		p.DSA != nil && p.DSA.Fingerprint() != c.DSA.Public().Fingerprint() {
		return nil
	}
	if ours, err := p.Validate(c.InstanceTag, now); err != nil || ours.Fingerprint() != c.Fingerprint() {
		return nil
	}
	return p
}

// Fingerprint returns our fingerprint of version 4.
func (c *Client) Fingerprint() keys.Fingerprint {
	return keys.Ed448Fingerprint(c.public, c.Forging)
}
