package v4

import (
	"io"
	"time"

	"otrpipe/otr/keys"
	"otrpipe/otr/wire"
)

// A Config holds the identity and the environment of a Client.
type Config struct {
	InstanceTag uint32                // ours
	Identity    *keys.Ed448PrivateKey // signs key exchanges
	Forging     *keys.ForgingKey
	DSA         *keys.DSAPrivateKey // for the transitional signature; nil: version 3 is not allowed
	Accounts    *Accounts           // nil: there are no account names
	KeptProfile []byte              // our encoded client profile; if nil or unusable, a new one is made
	Rand        io.Reader           // the only source of randomness
	Now         func() time.Time    // the only clock
	OnKey       func(UsedKey)       // is called with the key of each data message; may be nil
	OwnBudget   bool                // the caller bounds the checks of data messages that are not authentic
}

// A Client is the part of our side of version 4 that does not depend on the peer: the
// long-term keys and the client profile made from them. Only one goroutine may use it, its
// offers and its engines.
type Client struct {
	Config
	public   *keys.Ed448PublicKey // H
	signer   Signer
	profile  *Profile
	finished bool // profile is never replaced

	exchanges budget // for messages of key exchanges
	data      budget // for data messages under new keys
}

// NewClient returns a Client for a Config.
func NewClient(c Config) *Client {
	return &Client{Config: c, public: c.Identity.Public(), signer: identitySigner{c.Identity}}
}

// Profile returns our client profile: the last one, or that of the Config. If there is none,
// or it is not ours, or it expires in less than a day, it makes a new one (section "Client
// Profile Expiration and Renewal").
//
// Anyone who has seen a profile can keep it, with its signature. So it reveals only the day
// on which it was made: it expires at midnight UTC, and does not change until then.
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

// profileEnd returns when a profile made at now expires: the last midnight UTC in its
// lifetime.
func profileEnd(now time.Time) time.Time {
	return now.Add(ProfileLifetime).UTC().Truncate(24 * time.Hour)
}

// fresh reports whether a profile is valid for more than another day.
func fresh(p *Profile, now time.Time) bool { return now.Add(profileRenewal).Unix() < p.Expires }

// kept returns the profile of the Config if it is one that we could have made recently: with
// our keys, our versions, and an expiry date that is not later than that of a new profile, as
// it would be if the clock was wrong when it was made.
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

// Fingerprint returns our version 4 fingerprint.
func (c *Client) Fingerprint() keys.Fingerprint {
	return keys.Ed448Fingerprint(c.public, c.Forging)
}
