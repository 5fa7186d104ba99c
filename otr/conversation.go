package otr

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"otrpipe/otr/keys"
	"otrpipe/otr/smp"
	"otrpipe/otr/v3"
	"otrpipe/otr/v4"
	"otrpipe/otr/wire"
)

var (
	// ErrConfig says that a Config cannot work.
	ErrConfig = errors.New("otr: unusable configuration")
	// ErrNotEncrypted says that there is no encrypted session to do this in.
	ErrNotEncrypted = errors.New("otr: the conversation is not encrypted")
	// ErrFinished says that the peer has ended the session: nothing is sent until
	// this end has ended it too, or a new one has begun.
	ErrFinished = errors.New("otr: the peer has ended the session")
	// ErrNUL says that a text contains a NUL byte, which ends the text in a data
	// message.
	ErrNUL = errors.New("otr: a text cannot contain a NUL byte")
	// ErrTooLong says that a message, or a line received, is longer than
	// wire.MaxMessage.
	ErrTooLong = errors.New("otr: message is too long")
	// ErrNoExtraKey says that the session's version has no extra symmetric key.
	ErrNoExtraKey = errors.New("otr: this version has no extra symmetric key")
)

// The largest Config.Pad: one padding record can fill any gap up to it.
const maxPad = wire.MaxTLVValue

// A Config says who we are and how we behave. It is not changed.
type Config struct {
	DSA         *keys.DSAPrivateKey   // our long-term key in versions 2 and 3
	Ed448       *keys.Ed448PrivateKey // our long-term key in version 4
	Forging     *keys.ForgingKey      // and the forging key that goes with it
	InstanceTag uint32                // ours, at least wire.MinInstanceTag; 0: one is drawn
	Policy      Policy

	// ClientProfile is our profile of version 4 as the function of that name returned it
	// for these keys, this tag and this policy. One that is nil or of no use is made anew.
	ClientProfile []byte

	Rand io.Reader        // the only source of randomness; required
	Now  func() time.Time // the clock, which never goes back, as time.Now does not; required

	// Account and PeerAccount are the names that the network knows both sides by.
	// Version 4 binds a session to them: both ends name the same two, crosswise, or
	// neither names any.
	Account, PeerAccount string

	// Peer is the instance of the peer that was met last, if it is known. Start
	// then offers it a key exchange, instead of a query to all.
	Peer Peer

	// QueryText, unless empty, stands behind a query, for a person whose program shows the
	// query because it does not speak OTR. It is one line; where it does not fit into
	// MaxSize it is left out.
	QueryText string

	MaxSize   int           // bytes of the longest line sent, texts in clear aside; at least wire.MinFragmentSize; 0: no limit
	Pad       int           // plaintexts, empty ones too, are padded to multiples of so many bytes, at most 65535; 0: not
	Heartbeat time.Duration // after so long without a message of ours one is sent; 0: none
	Expire    time.Duration // a session whose keys have not changed for so long is ended; 0: never

	// LogKeys collects the keys of data messages for TakeKeys, for users who want to take
	// a session of their own apart. Without it no key leaves the Conversation.
	LogKeys bool
}

// A Peer is an instance of the peer and the version that it speaks: what a
// Session says in Version and PeerInstance.
type Peer struct {
	Version  int    // 0: not known
	Instance uint32 // 0: whichever answers, as in version 2
}

// A Conversation is our side of the exchange of messages with one
// correspondent. It is for one goroutine.
type Conversation struct {
	cfg       Config
	log       *keyLog          // nil: keys are not logged
	protocols map[int]protocol // by version, those that Policy allows

	state  MessageState
	active *peer // whom the session is with; also while StateFinished
	// endedWith is whom the session was with that the peer has ended.
	endedWith keys.Fingerprint
	// left is the instance that has ended the last session, until there is another.
	left     peerID
	deferred deferredAnswer
	beside   besideMessage
	peers    map[peerID]*peer
	pending  *pendingOffer
	settling settling
	held     heldAnswer
	queried  time.Time // when a query was sent that has not been answered; zero: none
	delays   delays
	piece    time.Time // when a fragment came whose message is not whole yet; zero: none is arriving
	early    earlyData

	// unsure is set when an answer has not come with which the peer would have
	// changed keys, until a key exchange has succeeded or none is under way.
	unsure bool
	// peerSilent is set when the client that was met last has not answered.
	peerSilent bool
	// met says that the last session was of version 3.
	met bool

	// claimed is set when the peer has been shown that this instance is the one to talk to,
	// until the next session.
	claimed bool

	secureSince time.Time
	keysSince   time.Time
	rotations   uint32 // of active, when keysSince was set
	lastSent    time.Time

	// closed is set when this end has ended the session, until there is
	// another: what is still on its way from the peer starts none.
	closed bool
	// heardPlaintext is set when the peer has answered without OTR; then the
	// whitespace tag is no longer sent.
	heardPlaintext bool

	// upgradable is set by AllowUpgrade until the next session.
	upgradable bool

	stored     storedText
	smp        *smp.Machine
	smpRun     uint64 // of the latest question
	assembler  wire.Assembler
	errorReply limiter // error messages that we send
	restarts   limiter // key exchanges begun because the peer lost its session
	answers    limiter // key exchanges begun because the peer asked
	seconds    limiter // other instances that the user is told of

	// toldOf are the tags of those instances, in this session; at most maxInstances.
	toldOf []uint32

	// Buffers that messages are built and taken apart in.
	decoded, sealed []byte
	bulk            bulk
	tlvs, own       []wire.TLV
}

// A peerID names one instance of the peer in one version; versions without
// instance tags have tag 0.
type peerID struct {
	version int
	tag     uint32
}

type peer struct {
	id     peerID
	engine engine
	seen   time.Time // when something authentic, or a key exchange, came last
	heard  int       // how often that was
	// stepped is when its key exchange came further last.
	stepped time.Time
	// retried is when it was moved by us last because it stood still, and retries
	// how often since it came further.
	retried time.Time
	retries int
	told    bool // that a key exchange with it has begun

	// second is set when another instance has taken the offer that this one has answered:
	// the session that its Signature begins is refused.
	second bool
	// refused is set when the session's instance has shown that it is alive after this one
	// has asked for a session: what comes of the key exchange is refused.
	refused bool
}

// hear notes that something authentic, or a message of a key exchange, has come.
func (p *peer) hear(now time.Time) {
	p.seen = now
	p.heard++
}

// New returns a conversation in StatePlaintext.
func New(cfg Config) (*Conversation, error) {
	if err := cfg.check(); err != nil {
		return nil, err
	}
	if cfg.InstanceTag == 0 {
		tag, err := NewInstanceTag(cfg.Rand)
		if err != nil {
			return nil, err
		}
		cfg.InstanceTag = tag
	}
	c := &Conversation{
		cfg:        cfg,
		protocols:  make(map[int]protocol),
		peers:      make(map[peerID]*peer),
		errorReply: limiter{limit: maxErrorsAMinute},
		restarts:   limiter{limit: maxRestartsAMinute},
		answers:    limiter{limit: maxAnswersAMinute},
		seconds:    limiter{limit: maxSecondClientsAMinute},
	}
	if cfg.LogKeys {
		c.log = new(keyLog)
	}
	for _, version := range []int{v3.Version2, v3.Version3} {
		if cfg.Policy.Allows(version) {
			c.protocols[version] = protocolV3{config: v3.Config{
				Version: uint16(version), InstanceTag: cfg.InstanceTag, Identity: cfg.DSA, Rand: cfg.Rand,
			}, log: c.log}
		}
	}
	if cfg.Policy.Allows(v4.Version) {
		c.protocols[v4.Version] = newProtocolV4(c.cfg, c.log)
	}
	return c, nil
}

// check refuses with ErrConfig values that no conversation can have, and versions that are
// allowed but lack their keys.
func (cfg *Config) check() error {
	switch {
	case cfg.Rand == nil || cfg.Now == nil:
		return fmt.Errorf("%w: no randomness or no clock", ErrConfig)
	case cfg.InstanceTag != 0 && cfg.InstanceTag < wire.MinInstanceTag:
		return fmt.Errorf("%w: instance tag %#x is below %#x", ErrConfig, cfg.InstanceTag, wire.MinInstanceTag)
	case cfg.MaxSize != 0 && cfg.MaxSize < wire.MinFragmentSize:
		return fmt.Errorf("%w: lines of %d bytes cannot carry fragments", ErrConfig, cfg.MaxSize)
	case cfg.Peer.Instance != 0 && cfg.Peer.Instance < wire.MinInstanceTag:
		return fmt.Errorf("%w: the peer's instance tag %#x is below %#x", ErrConfig, cfg.Peer.Instance, wire.MinInstanceTag)
	case cfg.Peer.Version == v3.Version2 && cfg.Peer.Instance != 0:
		return fmt.Errorf("%w: version %d of the peer and instance tag %#x", ErrConfig, cfg.Peer.Version, cfg.Peer.Instance)
	case strings.ContainsAny(cfg.QueryText, "\r\n\x00"):
		return fmt.Errorf("%w: the text of a query has several lines", ErrConfig)
	case cfg.Pad < 0 || cfg.Pad > maxPad:
		return fmt.Errorf("%w: padding to %d bytes", ErrConfig, cfg.Pad)
	}
	return cfg.checkVersions()
}

func (cfg *Config) checkVersions() error {
	old := cfg.Policy.Allows(v3.Version2) || cfg.Policy.Allows(v3.Version3)
	four := cfg.Policy.Allows(v4.Version)
	switch {
	case !old && !four:
		return fmt.Errorf("%w: no version is allowed", ErrConfig)
	case old && cfg.DSA == nil:
		return fmt.Errorf("%w: versions 2 and 3 need a DSA key", ErrConfig)
	case four && (cfg.Ed448 == nil || cfg.Forging == nil):
		return fmt.Errorf("%w: version 4 needs an Ed448 key and a forging key", ErrConfig)
	case four && (cfg.Account == "") != (cfg.PeerAccount == ""):
		return fmt.Errorf("%w: only one of the two account names", ErrConfig)
	}
	return nil
}

// NewInstanceTag draws an instance tag, at least wire.MinInstanceTag.
func NewInstanceTag(rand io.Reader) (uint32, error) {
	for range 100 { // each draw fails once in 2^24 times, unless rand is broken
		var b [4]byte
		if _, err := io.ReadFull(rand, b[:]); err != nil {
			return 0, fmt.Errorf("otr: instance tag: %w", err)
		}
		r := wire.NewReader(b[:])
		if tag := r.Int(); tag >= wire.MinInstanceTag {
			return tag, nil
		}
	}
	return 0, errors.New("otr: instance tag: the source of randomness is broken")
}

// State returns the message state.
func (c *Conversation) State() MessageState { return c.state }

// AuthState returns how far a key exchange has come: with the instance that
// the session is with or, where there is no exchange with it, with any other.
func (c *Conversation) AuthState() AuthState {
	if c.active != nil {
		if s := c.active.engine.authState(); s != AuthNone {
			return s
		}
	}
	if c.pending != nil && c.pending.open {
		return c.pending.state()
	}
	for _, p := range c.peers {
		if s := p.engine.authState(); s != AuthNone {
			return s
		}
	}
	return AuthNone
}

// Exchanging says that a message sent now could get lost, because the peer may
// already have the keys of a new session that this end does not have yet: a
// caller that can wait, waits. It ends with the peer's answer, or when Tick
// gives the exchange up.
func (c *Conversation) Exchanging() bool {
	if c.state != StateEncrypted {
		return false
	}
	if c.upgradable {
		if p := c.peers[peerID{version: v4.Version, tag: c.active.id.tag}]; p != nil && p.engine.exchanging() {
			return true
		}
	}
	return c.active.engine.exchanging() || c.settling.offer != nil || c.unsure && c.UnderWay()
}

// Prepare returns work that makes the next messages quicker, or nil: the keys that the
// session will need, and the secrets shared with those of the peer. Prepare itself only
// draws what is random; the work can be done in any goroutine, while the Conversation is
// used. What is not done when a message needs it is done then.
func (c *Conversation) Prepare() (work func()) {
	if c.state != StateEncrypted {
		return nil
	}
	return c.active.engine.prepare()
}

// Session describes the encrypted session, if there is one.
func (c *Conversation) Session() (Session, bool) {
	if c.state != StateEncrypted {
		return Session{}, false
	}
	id, bold := c.active.engine.ssid()
	versions, until := c.active.engine.peerVersions()
	return Session{
		Version:       c.active.id.version,
		Fingerprint:   c.active.engine.peerFingerprint(),
		Vouching:      c.active.engine.vouchingFingerprint(),
		PeerVersions:  versions,
		VersionsUntil: until,
		SSID:          id,
		FirstHalfBold: bold,
		PeerInstance:  c.active.id.tag,
		Since:         c.secureSince,
		KeysSince:     c.keysSince,
	}, true
}

// InstanceTag returns our instance tag.
func (c *Conversation) InstanceTag() uint32 { return c.cfg.InstanceTag }

// Fingerprint returns the fingerprint of our long-term key of a version; zero if
// Config has none.
func (c *Conversation) Fingerprint(version int) keys.Fingerprint {
	switch {
	case version == v4.Version && c.cfg.Ed448 != nil && c.cfg.Forging != nil:
		return keys.Ed448Fingerprint(c.cfg.Ed448.Public(), c.cfg.Forging)
	case version < v4.Version && c.cfg.DSA != nil:
		return c.cfg.DSA.Public().Fingerprint()
	}
	return keys.Fingerprint{}
}

// Versions returns the versions that we offer now.
func (c *Conversation) Versions() wire.Versions { return c.versions() }

// SMPState returns the state of the socialist millionaires' protocol.
func (c *Conversation) SMPState() smp.State {
	if c.smp == nil {
		return smp.StateExpect1
	}
	return c.smp.State()
}

// Wipe overwrites all secrets of the conversation without telling the peer;
// the long-term keys of the Config are not touched. It is StatePlaintext then.
func (c *Conversation) Wipe() {
	c.closeSession()
	for id, p := range c.peers {
		p.engine.wipe()
		delete(c.peers, id)
	}
	c.withdraw()
	c.log.wipe()
	c.settled()
	c.early.forget()
	c.held, c.queried = heldAnswer{}, time.Time{}
	c.beside = besideMessage{}
	c.stored.forget()
	c.state, c.active, c.upgradable = StatePlaintext, nil, false
}

// closeSession ends what belongs to the session but its engine.
func (c *Conversation) closeSession() {
	if c.smp != nil {
		c.smp.Wipe()
		c.smp = nil
	}
	clear(c.decoded[:cap(c.decoded)])
	clear(c.sealed[:cap(c.sealed)])
	c.bulk.wipe()
}

// versions returns what Policy allows us to offer.
func (c *Conversation) versions() wire.Versions {
	var v wire.Versions
	for version := range c.protocols {
		v |= wire.MakeVersions(version)
	}
	return v
}
