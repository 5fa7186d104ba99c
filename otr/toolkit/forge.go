package toolkit

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"otrpipe/otr/group"
	"otrpipe/otr/keys"
	"otrpipe/otr/v3"
	"otrpipe/otr/v4"
	"otrpipe/otr/wire"
)

const (
	// maxLines is the maximum number of texts in a forged conversation.
	maxLines = 100_000
	// maxText is the maximum length of a text, in bytes: it must fit into one message.
	maxText = wire.MaxMessage / 2
)

var (
	// ErrScript reports an invalid script.
	ErrScript = errors.New("toolkit: not a script of a conversation")
	// ErrForgery reports a conversation that cannot be forged.
	ErrForgery = errors.New("toolkit: cannot be forged")
)

// A Line of a script is a text that one of two people says.
type Line struct {
	Ours bool // we say it
	Text string
}

// A Script is a conversation to forge.
type Script struct {
	Us, Them string // the names of the two in the script; Them is "" if only we speak
	Lines    []Line
}

// ParseScript parses a script: lines of the form "NAME: TEXT" by two people, one of whom is
// us. It ignores empty lines and lines that begin with "#". The error wraps ErrScript and
// names the line.
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
	if len(s.Lines) == 0 {
		return nil, fmt.Errorf("%w: nobody says anything", ErrScript)
	}
	return s, nil
}

// checkTwo returns an error if only we speak in the script: a conversation needs two people.
func (s *Script) checkTwo() error {
	if s.Them == "" {
		return fmt.Errorf("%w: nobody but %q says anything", ErrScript, s.Us)
	}
	return nil
}

// A Forger forges conversations.
type Forger struct {
	InstanceTag uint32                // ours
	Identity    *keys.Ed448PrivateKey // ours, for version 4
	Forging     *keys.ForgingKey      // ours, for version 4
	DSA         *keys.DSAPrivateKey   // ours; for version 4 it may be nil
	Profile     []byte                // our client profile, as the peer has seen it; nil: make one
	Rand        io.Reader             // the only source of randomness
	Now         func() time.Time      // the only clock
	Begin       bool                  // we begin the key exchange, not the peer
}

// A SentMessage is one message of a forged conversation.
type SentMessage struct {
	Ours bool
	Line []byte // armored
}

// Forge4 forges a version 4 conversation with the owner of a client profile ("Forge Entire
// Transcript"). Anyone who ever received a key exchange message from the owner has that
// profile. Honest engines make the key exchange, the data messages, the MAC keys that they
// reveal, and the end. Only the peer's ring signature is made with our own ephemeral key,
// which the ring contains for that purpose. So nobody can tell which of the two people made
// the conversation. The texts are plain data messages, as a chat program sends them. In a
// session of two otrpipes they also have private TLVs. The lengths of the messages therefore
// show that a forgery is not a log of such a session, but not which of the two people made
// it. The error wraps ErrForgery or is that of a step.
func (f *Forger) Forge4(s *Script, peers *Profile) ([]SentMessage, error) {
	if err := s.checkTwo(); err != nil {
		return nil, err
	}
	ours, err := f.profileBeside(peers)
	if err != nil {
		return nil, err
	}
	if peers.InstanceTag == ours.InstanceTag {
		return nil, fmt.Errorf("%w: both profiles have the instance tag %v", ErrForgery, Tag(ours.InstanceTag))
	}
	now := f.beforeExpiry(ours.Expires, peers.Expires)
	ourRand := &memory{rand: f.Rand}
	defer ourRand.wipe()
	c := v4.Config{Rand: ourRand, Now: func() time.Time { return now }}
	us, err := v4.NewProfileClient(ours, v4.SignWith(f.Identity), c)
	if err != nil {
		return nil, err
	}
	c.Rand = f.Rand
	them, err := v4.NewProfileClient(peers, &pretender{ourRand}, c)
	if err != nil {
		return nil, err
	}
	a, b := us.NewEngine(peers.InstanceTag), them.NewEngine(ours.InstanceTag)
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

// profileBeside returns our client profile for a conversation with the owner of peers: Profile
// if we had it before peers expired, and otherwise one as we would have made it before that.
// Profiles that were never valid together would show that this conversation is forged, and that
// the owner of the newer one did it.
func (f *Forger) profileBeside(peers *Profile) (*Profile, error) {
	r := wire.NewReader(f.Profile)
	if p, err := v4.ReadProfile(&r); err == nil && r.End() == nil && f.owns(p) &&
		time.Unix(p.Expires, 0).Add(-v4.ProfileLifetime).Before(time.Unix(peers.Expires, 0)) {
		return p, nil
	}
	return f.client(f.beforeExpiry(peers.Expires), f.Rand).Profile()
}

// owns reports whether p is a valid profile of ours, expired or not.
func (f *Forger) owns(p *Profile) bool {
	k, err := p.Validate(p.InstanceTag, time.Unix(p.Expires-1, 0))
	return err == nil && k.Fingerprint() == keys.Ed448Fingerprint(f.Identity.Public(), f.Forging)
}

// maxDraws is how many of our scalars are remembered: a key exchange draws two before its
// last signature, a prekey one, and a ring signature five.
const maxDraws = 16

// memory is our own source of randomness. It remembers the scalars that were drawn from it.
type memory struct {
	rand  io.Reader
	draws [maxDraws][group.ScalarLen]byte // an array, which never moves and leaves no copy behind
	n     int                             // how many there are
}

func (m *memory) Read(p []byte) (int, error) {
	n, err := io.ReadFull(m.rand, p)
	if err == nil && n == group.ScalarLen && m.n < maxDraws {
		copy(m.draws[m.n][:], p)
		m.n++
	}
	return n, err
}

// secretOf returns the secret of a public key, if it was drawn from m.
func (m *memory) secretOf(key *group.Point) (group.Scalar, bool) {
	want := key.Append(nil)
	for i := range m.n {
		secret, err := group.DrawScalar(bytes.NewReader(m.draws[i][:]))
		if err == nil && bytes.Equal(group.MulBase(secret).Append(nil), want) {
			return secret, true
		}
		secret.Wipe()
	}
	return group.Scalar{}, false
}

func (m *memory) wipe() { clear(m.draws[:]) }

// pretender makes the ring signatures of a peer whose long-term key we do not have, with the
// secret of our own ephemeral key, which the ring contains.
type pretender struct{ ours *memory }

func (p *pretender) SignRing(rand io.Reader, ring v4.Ring, _ int, m []byte) ([]byte, error) {
	secret, ok := p.ours.secretOf(ring[v4.EphemeralPosition])
	if !ok {
		return nil, fmt.Errorf("%w: the ring has no key of ours", ErrForgery)
	}
	defer secret.Wipe()
	return ring.Sign(rand, secret, v4.EphemeralPosition, m)
}

// Forge3 forges a version 3 conversation. The peer's signature in the key exchange cannot be
// forged; it is replaced by a signature with a throwaway key. This signature is encrypted, so
// that only someone who gets one of the secret D-H values of the exchange can tell the
// difference. Honest engines make everything else. peer is the peer's instance tag.
func (f *Forger) Forge3(s *Script, peer uint32) ([]SentMessage, error) {
	if err := s.checkTwo(); err != nil {
		return nil, err
	}
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

// An engine is one end of a forged conversation.
type engine interface {
	Receive(h wire.Header, body, msg []byte, tlvs []wire.TLV) ([]byte, wire.Plaintext, error)
	Seal(b []byte, flags byte, p wire.Plaintext) ([]byte, error)
	SealLast(b []byte, flags byte, p wire.Plaintext) ([]byte, error)
	Encrypted() bool
}

type v4Engine struct{ *v4.Engine }

// converse runs the key exchange that begins with the message first, then the script, and
// then the end.
func converse(s *Script, ours, theirs engine, weBegin bool, first []byte) ([]SentMessage, error) {
	t := &talk{ends: map[bool]engine{true: ours, false: theirs}}
	for us, msg := weBegin, first; msg != nil; us = !us {
		var err error
		if msg, err = t.send(us, msg); err != nil {
			return nil, err
		}
	}
	if !ours.Encrypted() || !theirs.Encrypted() {
		return nil, fmt.Errorf("%w: the key exchange came to no session", ErrForgery)
	}
	if err := t.say(s.Lines); err != nil {
		return nil, err
	}
	if err := t.end(s.Lines[0].Ours, !s.Lines[0].Ours); err != nil {
		return nil, err
	}
	return t.sent, nil
}

// A talk is a conversation that is being forged.
type talk struct {
	ends map[bool]engine // ours: true; nil: an end that we cannot impersonate
	sent []SentMessage
}

// send records a message and passes it to the other end.
func (t *talk) send(us bool, msg []byte) (reply []byte, err error) {
	t.sent = append(t.sent, SentMessage{us, wire.AppendArmor(nil, msg)})
	if t.ends[!us] == nil {
		return nil, nil
	}
	h, body, err := wire.ParseHeader(msg)
	if err != nil {
		return nil, err
	}
	reply, _, err = t.ends[!us].Receive(h, body, msg, nil)
	return reply, err
}

// say sends the texts.
func (t *talk) say(lines []Line) error {
	for _, line := range lines {
		if t.ends[line.Ours] == nil {
			return fmt.Errorf("%w: an answer of somebody who is away", ErrForgery)
		}
		msg, err := t.ends[line.Ours].Seal(nil, 0, wire.Plaintext{Text: []byte(line.Text)})
		if err != nil {
			return err
		}
		if _, err := t.send(line.Ours, msg); err != nil {
			return err
		}
	}
	return nil
}

// end sends the last message of each end, in the given order.
func (t *talk) end(order ...bool) error {
	last := wire.Plaintext{TLVs: []wire.TLV{{Type: wire.TLVDisconnected}}}
	for _, us := range order {
		msg, err := t.ends[us].SealLast(nil, wire.FlagIgnoreUnreadable, last)
		if err != nil {
			return err
		}
		t.sent = append(t.sent, SentMessage{us, wire.AppendArmor(nil, msg)})
	}
	return nil
}

// ForgeToEnsemble forges version 4 messages that we wrote to a peer who was away. It makes a
// false prekey ensemble, which has the two profiles of the peer's ensemble and a prekey
// message of our own ("False Prekey Ensemble"), and the messages to it. The script has only
// our texts, because the peer's answers cannot be forged. The error wraps ErrForgery or is
// that of a step.
func (f *Forger) ForgeToEnsemble(s *Script, peers *Ensemble) ([]SentMessage, error) {
	now := f.beforeExpiry(peers.Client.Expires, peers.Prekey.Expires)
	us := f.client(now, f.Rand)
	prekey, err := us.NewPrekey(func(uint32) bool { return false })
	if err != nil {
		return nil, err
	}
	defer prekey.Wipe()
	forged := &Ensemble{Client: peers.Client, Prekey: peers.Prekey, Message: prekey.Message(peers.Client.InstanceTag)}
	to, err := forged.Validate(now)
	if err != nil {
		return nil, err
	}
	msg, e, err := us.WriteTo(to)
	if err != nil {
		return nil, err
	}
	defer e.Wipe()
	t := &talk{ends: map[bool]engine{true: v4Engine{e}}}
	t.sent = []SentMessage{{false, forged.AppendArmor(nil)}, {true, wire.AppendArmor(nil, msg)}}
	if err := t.say(s.Lines); err != nil {
		return nil, err
	}
	if err := t.end(true); err != nil {
		return nil, err
	}
	return t.sent, nil
}

// ForgeFromProfile forges version 4 messages that the owner of a client profile wrote to us
// while we were away, and our answers. It makes a prekey ensemble of ours, and the messages
// to it, whose ring signature is made with the secret of our own prekey. In the script the
// peer speaks first. The error wraps ErrForgery or is that of a step.
func (f *Forger) ForgeFromProfile(s *Script, peers *Profile) ([]SentMessage, error) {
	if s.Lines[0].Ours {
		return nil, fmt.Errorf("%w: the peer has to write first", ErrForgery)
	}
	now := f.beforeExpiry(peers.Expires)
	ourRand := &memory{rand: f.Rand}
	defer ourRand.wipe()
	us := f.client(now, ourRand)
	publication, err := us.NewPublication(time.Unix(peers.Expires, 0))
	if err != nil {
		return nil, err
	}
	defer publication.Wipe()
	prekey, err := us.NewPrekey(func(uint32) bool { return false })
	if err != nil {
		return nil, err
	}
	defer prekey.Wipe()
	ensemble := publication.Ensemble(prekey)
	to, err := ensemble.Validate(now)
	if err != nil {
		return nil, err
	}
	them, err := v4.NewProfileClient(peers, &pretender{ourRand}, v4.Config{Rand: f.Rand, Now: us.Now})
	if err != nil {
		return nil, err
	}
	msg, theirs, err := them.WriteTo(to)
	if err != nil {
		return nil, err
	}
	defer theirs.Wipe()
	h, body, err := wire.ParseHeader(msg)
	if err != nil {
		return nil, err
	}
	opened, err := us.Open(h, body, func(uint32) (*v4.Prekey, []*v4.Publication, error) {
		return prekey, []*v4.Publication{publication}, nil
	})
	if err != nil {
		return nil, err
	}
	defer opened.Engine.Wipe()
	t := &talk{ends: map[bool]engine{true: v4Engine{opened.Engine}, false: v4Engine{theirs}}}
	t.sent = []SentMessage{{true, ensemble.AppendArmor(nil)}, {false, wire.AppendArmor(nil, msg)}}
	if err := t.say(s.Lines); err != nil {
		return nil, err
	}
	if err := t.end(false); err != nil {
		return nil, err
	}
	return t.sent, nil
}

// client returns a client with our keys, the time now and a source of randomness.
func (f *Forger) client(now time.Time, rand io.Reader) *v4.Client {
	return v4.NewClient(v4.Config{
		InstanceTag: f.InstanceTag, Identity: f.Identity, Forging: f.Forging, DSA: f.DSA,
		KeptProfile: f.Profile, Rand: rand, Now: func() time.Time { return now },
	})
}

// beforeExpiry returns the current time, or, if that is after one of the given times (in
// seconds since 1970 UTC), a time just before those. So all profiles are valid at the time of
// the conversation.
func (f *Forger) beforeExpiry(expires ...int64) time.Time {
	now := f.Now()
	for _, e := range expires {
		if until := time.Unix(e-1, 0); until.Before(now) {
			now = until
		}
	}
	return now
}
