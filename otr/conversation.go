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
	// ErrConfig means that a Config is unusable.
	ErrConfig = errors.New("otr: unusable configuration")
	// ErrNotEncrypted means that there is no encrypted session.
	ErrNotEncrypted = errors.New("otr: the conversation is not encrypted")
	// ErrFinished means that the peer has ended the session. Nothing is sent until this end
	// has ended it too, or a new session has begun.
	ErrFinished = errors.New("otr: the peer has ended the session")
	// ErrNUL means that a text contains a NUL byte, which would end the text in a data
	// message.
	ErrNUL = errors.New("otr: a text cannot contain a NUL byte")
	// ErrTooLong means that a message, or a line received, is longer than wire.MaxMessage, or
	// that a message would have more than wire.MaxTLVs records, which no peer would read.
	ErrTooLong = errors.New("otr: message is too long")
	// ErrNoExtraKey means that the session's version has no extra symmetric key.
	ErrNoExtraKey = errors.New("otr: this version has no extra symmetric key")
)

// maxPad is the largest Config.Pad, in bytes: one padding record fills the largest gap, which is
// a byte shorter.
const maxPad = wire.MaxTLVValue + 1

// A Config configures a Conversation. New copies it.
type Config struct {
	DSA         *keys.DSAPrivateKey   // our long-term key in versions 2 and 3
	Ed448       *keys.Ed448PrivateKey // our long-term key in version 4
	Forging     *keys.ForgingKey      // the forging key that belongs to it
	InstanceTag uint32                // ours, at least wire.MinInstanceTag; 0: New draws one
	Policy      Policy

	// ClientProfile is our encoded version 4 client profile, as returned by the function
	// ClientProfile for the same keys, tag and policy. If it is nil or no longer usable, a
	// new one is made.
	ClientProfile []byte

	Rand io.Reader        // the only source of randomness; required
	Now  func() time.Time // the clock, which, like time.Now, never goes back; required

	// Account and PeerAccount are the names of both sides on the network. Version 4 binds a
	// session to them: either both ends give the same two names, each its own as Account, or
	// both give none.
	Account, PeerAccount string

	// Peer is the instance of the peer that was met last, if known. Start then offers a key
	// exchange to that instance instead of sending a query.
	Peer Peer

	// QueryText, unless empty, follows the query in the same line, for a person whose program
	// does not support OTR and shows the query. It is left out where it does not fit into
	// MaxSize.
	QueryText string

	MaxSize   int           // longest line sent, except unencrypted texts, in bytes, from wire.MinFragmentSize on; 0: no limit
	Pad       int           // plaintexts are padded to a multiple of this, in bytes, at most 65536; 0: no padding
	Heartbeat time.Duration // send an empty message after so long without another; 0: never
	Expire    time.Duration // end a session whose keys have not changed for so long; 0: never

	// LogKeys collects the keys of data messages for TakeKeys, for users who want to analyse
	// their own session. Without it no key leaves the Conversation.
	LogKeys bool
}

// A Peer is an instance of the peer and the version that it speaks, as in the fields Version
// and PeerInstance of a Session.
type Peer struct {
	Version  int    // 0: not known
	Instance uint32 // 0: any that answers, as in version 2
}

// A Conversation is our side of the exchange of messages with one correspondent. Only one
// goroutine may use it at a time.
type Conversation struct {
	cfg       Config
	log       *keyLog          // nil: keys are not logged
	protocols map[int]protocol // the versions that Policy allows

	state  MessageState
	active *peer // the instance that the session is with; also in StateFinished
	// replaced is the instance and version of the session that this session has replaced, if
	// the peer may still send that session's last message.
	replaced peerID
	// endedWith is the peer's key in the last session if the peer has ended it, or if it has
	// expired, and this end has not ended it since.
	endedWith keys.Fingerprint
	// left is the instance that ended the last session, until the next session.
	left     peerID
	deferred deferredAnswer
	beside   besideMessage
	peers    map[peerID]*peer
	pending  *pendingOffer
	settling settling
	held     heldAnswer
	queried  time.Time // when a query was sent that is still unanswered; zero: none
	delays   delays
	piece    time.Time // when the last fragment of an incomplete message came; zero: there is none
	early    earlyData

	// unsure is set when an answer is missing with which the peer would have changed keys,
	// until a key exchange succeeds or none is under way.
	unsure bool
	// peerSilent is set when the instance in Config.Peer, or met, has not answered.
	peerSilent bool
	// met is set if the last session was of version 3.
	met bool

	// claimed is set when claim has shown the peer which of our instances the session is
	// with, until the next session.
	claimed bool

	secureSince time.Time
	keysSince   time.Time
	rotations   uint32 // active's key rotations when keysSince was set
	lastSent    time.Time

	// closed is set when this end has ended the session, until the next session: messages
	// that are still on their way from the peer must not start one.
	closed bool
	// heardPlaintext is set when the peer has sent unencrypted text; then the whitespace tag
	// is no longer sent.
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
	seconds    limiter // other instances reported to the user

	// toldOf lists the tags of those instances in this session, at most maxInstances.
	toldOf []uint32

	// Buffers in which messages are built and parsed.
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

// above orders instances, so that nothing depends on the order of a map.
func (id peerID) above(other peerID) bool {
	return id.version > other.version || id.version == other.version && id.tag > other.tag
}

type peer struct {
	id     peerID
	engine engine
	seen   time.Time // when its last authentic or key exchange message came
	heard  int       // how many such messages came
	// stepped is when its key exchange last made progress.
	stepped time.Time
	// replied is when we first sent the message that the peer has to answer next. Unlike
	// stepped, it does not change when we repeat that message or make an offer.
	replied time.Time
	// awaitsAuthI is since when we have waited for an Auth-I, however often an Identity message
	// came in the meantime.
	awaitsAuthI time.Time
	// retried is when we last repeated something because the exchange had stalled, and
	// retries is how often we did since its last progress.
	retried time.Time
	retries int
	told    bool // ExchangeBegun was reported

	// second is set when another instance has got the session from the offer that this one
	// answered too. The session that this one's Signature begins is refused.
	second bool
	// refused is set when the session's own instance has given a sign of life after this one
	// had asked for a session. The result of this key exchange is refused.
	refused bool
}

// hear records that an authentic message, or a message of a key exchange, has come.
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

// check returns an ErrConfig for invalid values, and for versions that are allowed but whose
// keys are missing.
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
	for range 100 { // a draw fails with probability 2^-24, unless rand is broken
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

// AuthState returns the state of the key exchange with the session's instance or, if there is
// none, of the one in the highest version with another instance.
func (c *Conversation) AuthState() AuthState {
	if c.active != nil {
		if s := c.active.engine.authState(); s != AuthNone {
			return s
		}
	}
	if c.pending != nil && c.pending.open {
		return c.pending.state()
	}
	state, best := AuthNone, peerID{}
	for id, p := range c.peers {
		if s := p.engine.authState(); s != AuthNone && (state == AuthNone || id.above(best)) {
			state, best = s, id
		}
	}
	return state
}

// Exchanging reports whether a message sent now could get lost, because the peer may already
// have the keys of a new session that this end does not have yet. A caller that can wait
// should wait. It ends with the peer's answer, or when Tick gives up the exchange.
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

// Heard returns when the session's instance was last heard: when an acceptable message, or a
// fragment of a message that is not complete yet, last came. The zero time: there is no
// session.
func (c *Conversation) Heard() time.Time {
	if c.state != StateEncrypted {
		return time.Time{}
	}
	return c.heard(c.active)
}

// heard returns when p was last heard. A fragment does not name its sender in every version,
// so it counts for any instance.
func (c *Conversation) heard(p *peer) time.Time {
	if c.piece.After(p.seen) {
		return c.piece
	}
	return p.seen
}

// Prepare returns a function that speeds up the next messages by computing the session's next
// keys and shared secrets in advance, or nil. Prepare itself only draws random bytes. The
// function may run in any goroutine, while the Conversation is in use. If it has not finished
// when a message needs the keys, the Conversation computes what is missing.
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

// Fingerprint returns the fingerprint of our long-term key for a version, or zero if Config
// has none.
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

// Wipe overwrites all secrets of the conversation without telling the peer, and sets
// StatePlaintext. It does not touch the long-term keys in the Config.
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
	c.replaced = peerID{}
	c.deferred = deferredAnswer{}
	c.stored.forget()
	c.state, c.active, c.upgradable = StatePlaintext, nil, false
	c.endedWith = keys.Fingerprint{}
}

// closeSession wipes everything that belongs to the session except its engine.
func (c *Conversation) closeSession() {
	if c.smp != nil {
		c.smp.Wipe()
		c.smp = nil
	}
	clear(c.decoded[:cap(c.decoded)])
	clear(c.sealed[:cap(c.sealed)])
	c.bulk.wipe()
}

// versions returns the versions that we offer: those that Policy allows, and version 4 after
// AllowUpgrade.
func (c *Conversation) versions() wire.Versions {
	var v wire.Versions
	for version := range c.protocols {
		v |= wire.MakeVersions(version)
	}
	return v
}
