package otr

import (
	"errors"
	"fmt"

	"otrpipe/otr/v3"
	"otrpipe/otr/v4"
)

// ErrNoUpgrade means that no version 4 session can replace the current one: it is not of
// version 3, or Config has no version 4 keys, or AllowUpgrade was not called.
var ErrNoUpgrade = errors.New("otr: there is no session of version 3 to go on from in version 4")

// AllowUpgrade allows a version 4 session with the same instance of the peer to replace the
// version 3 session, whichever end begins it. From then on version 4 is offered, even if
// Policy did not allow it. Once the two ends have told each other their version 4 keys inside
// the session, both call AllowUpgrade, and then one of them calls Upgrade.
func (c *Conversation) AllowUpgrade() error {
	if c.state != StateEncrypted {
		return ErrNotEncrypted
	}
	if c.active.id.version != v3.Version3 || c.cfg.Ed448 == nil || c.cfg.Forging == nil {
		return ErrNoUpgrade
	}
	if c.protocols[v4.Version] == nil {
		if (c.cfg.Account == "") != (c.cfg.PeerAccount == "") {
			return fmt.Errorf("%w: only one of the two account names", ErrConfig)
		}
		c.cfg.Policy |= AllowV4
		c.protocols[v4.Version] = newProtocolV4(c.cfg, c.log)
	}
	c.upgradable = true
	return nil
}

// Upgrade begins the key exchange that AllowUpgrade allows. The version 3 session goes on
// until it succeeds.
func (c *Conversation) Upgrade() ([][]byte, error) {
	if c.state != StateEncrypted || !c.upgradable {
		return nil, ErrNoUpgrade
	}
	tag := c.active.id.tag
	msg, err := c.begin(v4.Version, tag)
	if msg == nil {
		return nil, err
	}
	return c.exchangeLines(msg, v4.Version, tag)
}

// upgrades reports whether a session with p would be the one that AllowUpgrade allows.
func (c *Conversation) upgrades(p *peer) bool {
	return c.upgradable && p.id == peerID{version: v4.Version, tag: c.active.id.tag}
}
