package toolkit

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"otrpipe/otr/keys"
	"otrpipe/otr/v3"
	"otrpipe/otr/v4"
	"otrpipe/otr/wire"
)

const (
	// maxLines is how many texts a conversation can have that is made up.
	maxLines = 100_000
	// maxText is the longest text of it in bytes: one message.
	maxText = wire.MaxMessage / 2
)

var (
	// ErrScript reports a script that is not one.
	ErrScript = errors.New("toolkit: not a script of a conversation")
	// ErrForgery reports a conversation that cannot be made up.
	ErrForgery = errors.New("toolkit: cannot be forged")
)

// A Line of a script is what one of two people says.
type Line struct {
	Ours bool // we say it
	Text string
}

// A Script is a conversation to be made up.
type Script struct {
	Us, Them string // the names by which the script calls the two
	Lines    []Line
}

// ParseScript reads a script: lines of the form "NAME: TEXT", of two people, of whom us is
// one. Empty lines and lines that begin with "#" are passed over. The error wraps
// ErrScript and names the line.
func ParseScript(text, us string) (*Script, error) {
	s := &Script{Us: us}
	number := 0
	for line := range strings.Lines(text) {
		number++
		line = strings.TrimRight(line, "\r\n")
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		name, said, ok := strings.Cut(line, ":")
		name = strings.TrimSpace(name)
		said = strings.TrimPrefix(said, " ")
		switch {
		case !ok || name == "":
			return nil, fmt.Errorf("%w: line %d is not of the form NAME: TEXT", ErrScript, number)
		case strings.IndexByte(said, 0) >= 0:
			return nil, fmt.Errorf("%w: line %d: %w", ErrScript, number, ErrText)
		case len(said) > maxText:
			return nil, fmt.Errorf("%w: line %d has more than %d bytes", ErrScript, number, maxText)
		case len(s.Lines) == maxLines:
			return nil, fmt.Errorf("%w: it has more than %d texts", ErrScript, maxLines)
		case name == us:
		case s.Them == "":
			s.Them = name
		case name != s.Them:
			return nil, fmt.Errorf("%w: line %d: %q is a third person, beside %q and %q", ErrScript, number, name, us, s.Them)
		}
		s.Lines = append(s.Lines, Line{Ours: name == us, Text: said})
	}
	if s.Them == "" {
		return nil, fmt.Errorf("%w: nobody but %q says anything", ErrScript, us)
	}
	return s, nil
}

// A Forger makes up conversations.
type Forger struct {
	InstanceTag uint32                // ours
	Identity    *keys.Ed448PrivateKey // ours, for version 4
	Forging     *keys.ForgingKey      // ours, for version 4
	DSA         *keys.DSAPrivateKey   // ours; for version 4 it may be nil
	Rand        io.Reader             // the only source of randomness
	Now         func() time.Time      // the only clock
	Begin       bool                  // we begin the key exchange, not the peer
}

// A SentMessage is one message of a forged conversation.
type SentMessage struct {
	Ours bool
	Line []byte // armored
}

// Forge4 makes up a conversation over version 4 with the owner of a client profile, which
// anybody has who has ever got a message of the key exchange from him ("Forge Entire
// Transcript"). The key exchange, the data
// messages, the MAC keys that they reveal, and the end are those that honest engines
// make; only the peer's ring signature is made with our own ephemeral key, which the ring
// holds for that purpose. So nobody can tell which of the two has made it, or whether it
// is a forgery. The error wraps ErrForgery or is that of a step.
func (f *Forger) Forge4(s *Script, peers *Profile) ([]SentMessage, error) {
	own := v4.NewClient(v4.Config{
		InstanceTag: f.InstanceTag, Identity: f.Identity, Forging: f.Forging, DSA: f.DSA,
		Rand: f.Rand, Now: f.Now,
	})
	ours, err := own.Profile()
	if err != nil {
		return nil, err
	}
	if peers.InstanceTag == ours.InstanceTag {
		return nil, fmt.Errorf("%w: both profiles have the instance tag %v", ErrForgery, Tag(ours.InstanceTag))
	}
	// A conversation is of a time at which both profiles were valid.
	now := f.Now()
	for _, p := range []*v4.Profile{ours, peers} {
		if until := time.Unix(p.Expires-1, 0); until.Before(now) {
			now = until
		}
	}
	c := v4.Config{KeepExchange: true, Rand: f.Rand, Now: func() time.Time { return now }}
	us, err := v4.NewProfileClient(ours, v4.SignWith(f.Identity), c)
	if err != nil {
		return nil, err
	}
	pretend := &pretender{}
	them, err := v4.NewProfileClient(peers, pretend, c)
	if err != nil {
		return nil, err
	}
	a, b := us.NewEngine(peers.InstanceTag), them.NewEngine(ours.InstanceTag)
	pretend.of = a
	defer a.Wipe()
	defer b.Wipe()
	begin, client := v4Engine{a}, us
	if !f.Begin {
		begin, client = v4Engine{b}, them
	}
	offer, err := client.NewOffer()
	if err != nil {
		return nil, err
	}
	defer offer.Wipe()
	begin.Begin(offer)
	return converse(s, v4Engine{a}, v4Engine{b}, f.Begin, offer.Message(0))
}

// pretender signs for a peer whose long-term key we do not have.
type pretender struct{ of *v4.Engine }

func (p *pretender) SignRing(rand io.Reader, ring v4.Ring, _ int, m []byte) ([]byte, error) {
	secret, ok := p.of.ExchangeSecret()
	if !ok {
		return nil, fmt.Errorf("%w: no key exchange is under way", ErrForgery)
	}
	defer secret.Wipe()
	return ring.Sign(rand, secret, v4.EphemeralPosition, m)
}

// Forge3 makes up a conversation over version 3. The peer's signature in the key exchange
// cannot be forged; in its place stands one by a key that is thrown away. It is encrypted,
// so that only those can tell who get one of the secret D-H values of the exchange. All
// else is what honest engines make. The peer is called by the instance tag peer.
func (f *Forger) Forge3(s *Script, peer uint32) ([]SentMessage, error) {
	ours := f.InstanceTag
	if ours == peer {
		return nil, fmt.Errorf("%w: both have the instance tag %v", ErrForgery, Tag(ours))
	}
	thrownAway, err := keys.GenerateDSA(f.Rand)
	if err != nil {
		return nil, err
	}
	defer thrownAway.Wipe()
	c := v3.Config{Version: v3.Version3, InstanceTag: ours, Identity: f.DSA, Rand: f.Rand}
	a := v3.NewEngine(c, peer)
	c.InstanceTag, c.Identity = peer, thrownAway
	b := v3.NewEngine(c, ours)
	defer a.Wipe()
	defer b.Wipe()
	offer, err := v3.NewOffer(f.Rand)
	if err != nil {
		return nil, err
	}
	defer offer.Wipe()
	begin, sender := a, ours
	if !f.Begin {
		begin, sender = b, peer
	}
	begin.Begin(offer)
	return converse(s, a, b, f.Begin, offer.Message(v3.Version3, sender, 0))
}

// An engine is one end of a conversation that is made up.
type engine interface {
	Receive(h wire.Header, body, msg []byte, tlvs []wire.TLV) ([]byte, wire.Plaintext, error)
	Seal(b []byte, flags byte, p wire.Plaintext) ([]byte, error)
	SealLast(b []byte, flags byte, p wire.Plaintext) ([]byte, error)
	Encrypted() bool
}

type v4Engine struct{ *v4.Engine }

// converse runs the key exchange that a message begins, the script, and the end, which
// whoever spoke first brings about, and both confirm.
func converse(s *Script, ours, theirs engine, weBegin bool, first []byte) ([]SentMessage, error) {
	ends := map[bool]engine{true: ours, false: theirs}
	var sent []SentMessage
	send := func(us bool, msg []byte) (reply []byte, err error) {
		sent = append(sent, SentMessage{us, wire.AppendArmor(nil, msg)})
		h, body, err := wire.ParseHeader(msg)
		if err != nil {
			return nil, err
		}
		reply, _, err = ends[!us].Receive(h, body, msg, nil)
		return reply, err
	}
	for us, msg := weBegin, first; msg != nil; us = !us {
		var err error
		if msg, err = send(us, msg); err != nil {
			return nil, err
		}
	}
	if !ours.Encrypted() || !theirs.Encrypted() {
		return nil, fmt.Errorf("%w: the key exchange came to no session", ErrForgery)
	}
	for _, line := range s.Lines {
		msg, err := ends[line.Ours].Seal(nil, 0, wire.Plaintext{Text: []byte(line.Text)})
		if err != nil {
			return nil, err
		}
		if _, err := send(line.Ours, msg); err != nil {
			return nil, err
		}
	}
	last := s.Lines[0].Ours
	end := wire.Plaintext{TLVs: []wire.TLV{{Type: wire.TLVDisconnected}}}
	for _, us := range []bool{last, !last} {
		msg, err := ends[us].SealLast(nil, wire.FlagIgnoreUnreadable, end)
		if err != nil {
			return nil, err
		}
		sent = append(sent, SentMessage{us, wire.AppendArmor(nil, msg)})
	}
	return sent, nil
}
