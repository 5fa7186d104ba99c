package otr

import (
	"errors"
	"fmt"

	"otrpipe/otr/v3"
	"otrpipe/otr/v4"
)

// ErrNoUpgrade says that the session cannot be replaced by one of version 4: it is not
// one of version 3, or Config has no keys of version 4.
var ErrNoUpgrade = errors.New("otr: there is no session of version 3 to go on from in version 4")

// AllowUpgrade lets a session of version 4 with the same instance of the peer replace
// the session of version 3, whoever of the two begins it. From then on version 4 is
// offered, whatever Policy said. Both ends call it, and then one of them Upgrade, once
// they have told each other, inside the session, the keys that they have in version 4.
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

// Upgrade begins the key exchange that AllowUpgrade allows. The session of version 3
// goes on until it has succeeded.
func (c *Conversation) Upgrade() ([][]byte, error) {
	if c.state != StateEncrypted || !c.upgradable {
		return nil, ErrNoUpgrade
	}
	tag := c.active.id.tag
	msg, err := c.begin(v4.Version, tag)
	if msg == nil {
		return nil, err
	}
	return c.lines(msg, v4.Version, tag)
}

// upgrades says whether a session with p would be the one that AllowUpgrade allows.
func (c *Conversation) upgrades(p *peer) bool {
	return c.upgradable && p.id == peerID{version: v4.Version, tag: c.active.id.tag}
}
