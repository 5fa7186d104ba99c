package main

import (
	"crypto/rand"
	"fmt"
	"time"

	"otrpipe/otr/keys"
	"otrpipe/otr/v3"
	"otrpipe/otr/v4"
	"otrpipe/otr/wire"
)

// A pretence is one version of OTR with keys of our own.
type pretence interface {
	fingerprint() keys.Fingerprint
	// commit returns the message that begins a key exchange with whoever answers. The
	// engines that are made after that know of it.
	commit() ([]byte, error)
	newEngine(peer uint32) engine
}

// An engine is a pretence before one instance of an end.
type engine interface {
	Receive(h wire.Header, body, msg []byte, tlvs []wire.TLV) (reply []byte, plain wire.Plaintext, err error)
	Seal(b []byte, flags byte, p wire.Plaintext) ([]byte, error)
	Sessions() int
	Encrypted() bool
	// idle says that no key exchange is under way.
	idle() bool
	// begin goes on with the exchange that commit has begun.
	begin()
	endFingerprint() keys.Fingerprint
}

func newPretence(version uint16, tag uint32) (pretence, error) {
	if version != v4.Version {
		key, err := keys.GenerateDSA(rand.Reader)
		if err != nil {
			return nil, err
		}
		return &pretence3{config: v3.Config{Version: version, InstanceTag: tag, Identity: key, Rand: rand.Reader}}, nil
	}
	identity, err := keys.GenerateEd448(rand.Reader)
	if err != nil {
		return nil, err
	}
	forging, err := keys.GenerateForgingKey(rand.Reader)
	if err != nil {
		return nil, err
	}
	return &pretence4{client: v4.NewClient(v4.Config{
		InstanceTag: tag, Identity: identity, Forging: forging, Rand: rand.Reader, Now: time.Now,
	})}, nil
}

// pretence3 is versions 2 and 3.
type pretence3 struct {
	config v3.Config
	offer  *v3.Offer
}

func (p *pretence3) fingerprint() keys.Fingerprint { return p.config.Identity.Public().Fingerprint() }

func (p *pretence3) commit() (msg []byte, err error) {
	if p.offer, err = v3.NewOffer(rand.Reader); err != nil {
		return nil, err
	}
	return p.offer.Message(p.config.Version, p.config.InstanceTag, 0), nil
}

func (p *pretence3) newEngine(peer uint32) engine {
	return engine3{v3.NewEngine(p.config, peer), p}
}

type engine3 struct {
	*v3.Engine
	*pretence3
}

func (e engine3) idle() bool                       { return e.AuthState() == v3.AuthNone }
func (e engine3) begin()                           { e.Begin(e.offer) }
func (e engine3) endFingerprint() keys.Fingerprint { return e.PeerKey().Fingerprint() }

type pretence4 struct {
	client *v4.Client
	offer  *v4.Offer
}

func (p *pretence4) fingerprint() keys.Fingerprint { return p.client.Fingerprint() }

func (p *pretence4) commit() (msg []byte, err error) {
	if p.offer, err = p.client.NewOffer(); err != nil {
		return nil, err
	}
	return p.offer.Message(0), nil
}

func (p *pretence4) newEngine(peer uint32) engine { return engine4{p.client.NewEngine(peer), p} }

type engine4 struct {
	*v4.Engine
	*pretence4
}

func (e engine4) idle() bool                       { return e.AuthState() == v4.AuthNone }
func (e engine4) begin()                           { e.Begin(e.offer) }
func (e engine4) endFingerprint() keys.Fingerprint { return e.PeerKey().Fingerprint() }

// flagsOf returns the flags of a data message.
func flagsOf(version uint16, body []byte) (flags byte, err error) {
	if version == v4.Version {
		m, err := v4.ParseData(body)
		return m.Flags, err
	}
	m, err := v3.ParseData(body)
	return m.Flags, err
}

// isSMP says whether a record belongs to the comparison of secrets.
func isSMP(version uint16, t uint16) bool {
	last := uint16(wire.TLVSMP1Q)
	if version == v4.Version {
		last = wire.TLVSMPAbort // there is no other after that
	}
	return wire.TLVSMP1 <= t && t <= last
}

// isSpoken refuses versions that nobody can be deceived in.
func isSpoken(version uint16) error {
	switch version {
	case v3.Version2, v3.Version3, v4.Version:
		return nil
	}
	return fmt.Errorf("no version %d", version)
}
