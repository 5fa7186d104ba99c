package v4

import (
	"io"
	"time"

	"otrpipe/otr/keys"
)

// A Config says on whose behalf a Client speaks.
type Config struct {
	InstanceTag uint32                // ours
	Identity    *keys.Ed448PrivateKey // signs key exchanges
	Forging     *keys.ForgingKey
	DSA         *keys.DSAPrivateKey // announced and used for the transitional signature; nil where version 3 is not spoken
	Accounts    *Accounts           // nil: the network has no account names
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
}

// NewClient returns the Client of a Config.
func NewClient(c Config) *Client {
	return &Client{Config: c, public: c.Identity.Public(), signer: identitySigner{c.Identity}}
}

// Profile returns our client profile. It makes one where there is none yet, or where
// the last one has less than a day to live (section "Client Profile Expiration and
// Renewal").
func (c *Client) Profile() (*Profile, error) {
	now := c.Now()
	if c.finished || c.profile != nil && now.Add(profileRenewal).Unix() < c.profile.Expires {
		return c.profile, nil
	}
	p, err := newProfile(c.InstanceTag, c.Identity, c.Forging, c.DSA, now.Add(ProfileLifetime), c.Rand)
	if err != nil {
		return nil, err
	}
	c.profile = p
	return p, nil
}

// Fingerprint returns our fingerprint of version 4.
func (c *Client) Fingerprint() keys.Fingerprint {
	return keys.Ed448Fingerprint(c.public, c.Forging)
}
