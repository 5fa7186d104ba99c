package otr

import (
	"bytes"
	"errors"
	"fmt"
	"time"

	"otrpipe/otr/smp"
	"otrpipe/otr/v4"
	"otrpipe/otr/wire"
)

// Authenticated is text from the peer, verified with a session's keys.
type Authenticated []byte

// Unauthenticated is text that came unencrypted: anyone may have written it.
type Unauthenticated []byte

// Received is the result of one line from the network. Its slices are valid until the next
// call of a method of the Conversation.
type Received struct {
	Text    Authenticated // the human-readable part of a data message
	HasText bool          // false for heartbeats and messages of TLVs alone
	// TLVs are the records of the data message that the Conversation does not handle itself,
	// in order: those of unknown and private types.
	TLVs []wire.TLV
	// DataMessage is set for every authentic data message, even an empty one.
	DataMessage bool

	Unencrypted Unauthenticated // nil if there is none

	Send   [][]byte // lines for the network, in order, without line ends
	Events []Event  // in the order in which things happened
}

func (r *Received) event(e Event) { r.Events = append(r.Events, e) }

// Receive handles one line, or message, from the network, without its line end; a CR at its
// end is tolerated. Anything wrong with the peer's message is reported as an event. The error
// is ErrTooLong or comes from our own side (randomness).
func (c *Conversation) Receive(line []byte) (Received, error) {
	var got Received
	if len(line) > wire.MaxMessage {
		return got, ErrTooLong
	}
	line, err := c.assembler.Join(bytes.TrimSuffix(line, []byte("\r")), c.cfg.Now())
	if err != nil {
		got.event(Malformed{Reason: err})
	}
	if line == nil {
		return got, nil
	}
	err = c.receiveLine(line, wire.Classify(line), &got)
	return got, err
}

func (c *Conversation) receiveLine(line []byte, kind wire.Kind, got *Received) error {
	switch kind {
	case wire.KindFragment:
		return c.receiveFragment(line, got)
	case wire.KindEncoded:
		return c.receiveEncoded(line, got)
	case wire.KindError:
		c.receiveError(line, got)
	case wire.KindQuery:
		versions, _ := wire.ParseQuery(line)
		c.answerQuery(versions, got)
	case wire.KindTagged:
		versions, text, _ := wire.ParseTag(line)
		c.receivePlaintext(text, got)
		// During and after a session, version 4 treats a tagged message as plain text.
		over := c.state != StatePlaintext && best(versions, c.protocols) == v4.Version
		if c.cfg.Policy.Has(WhitespaceStartAKE) && !over {
			c.answerQuery(versions, got)
		}
	default:
		c.receivePlaintext(line, got)
	}
	return nil
}

// receivePlaintext implements section "Receiving plaintext without the whitespace tag".
func (c *Conversation) receivePlaintext(text []byte, got *Received) {
	c.heardPlaintext = true
	got.Unencrypted = Unauthenticated(text)
	if got.Unencrypted == nil {
		got.Unencrypted = Unauthenticated{}
	}
	got.event(Unencrypted{Bytes: len(text)})
}

// receiveError implements section "Receiving an Error Message". An error message is never
// answered with another. In version 4 it is only recognized at the very beginning of a
// message, is shown, and starts nothing. In a session it is answered with an offer and never
// with a query, which makes some clients continue without encryption.
func (c *Conversation) receiveError(line []byte, got *Received) {
	onlyV4 := c.onlyV4()
	if onlyV4 && !wire.StartsWithError(line) {
		c.receivePlaintext(line, got)
		return
	}
	text, _ := wire.ParseError(line)
	got.event(PeerError{Text: string(text), Code: errorCode(text), Expired: bytes.HasPrefix(text, []byte(expiredError))})
	c.stored.unread()
	if c.closed && c.queried.IsZero() {
		return // about a message of the session that this end has ended
	}
	if onlyV4 || !c.cfg.Policy.Has(ErrorStartAKE) || c.UnderWay() || !c.restarts.allow(c.cfg.Now()) {
		return
	}
	lines, err := c.Start()
	if err != nil {
		got.event(Malformed{Reason: err})
		return
	}
	got.Send = append(got.Send, lines...)
}

// onlyV4 reports whether the rules of version 4 apply: there is a version 4 session, or there
// is no session and only version 4 is allowed.
func (c *Conversation) onlyV4() bool {
	if c.state == StateEncrypted {
		return c.active.id.version == v4.Version
	}
	return c.protocols[v4.Version] != nil && len(c.protocols) == 1
}

// receiveFragment implements section "Receiving Fragments".
func (c *Conversation) receiveFragment(line []byte, got *Received) error {
	f, err := wire.ParseFragment(line)
	if err != nil {
		got.event(Malformed{Reason: err})
		return nil
	}
	if f.Version != 2 && f.Receiver != 0 && f.Receiver != c.cfg.InstanceTag {
		if f.Sender == c.cfg.InstanceTag {
			got.event(Echo{})
			return nil
		}
		got.event(OtherInstance{Tag: f.Receiver})
		return c.claim(peerID{version: f.Version, tag: f.Sender}, got)
	}
	whole, err := c.assembler.Add(f, c.cfg.Now())
	if err != nil {
		got.event(Malformed{Reason: err})
		return nil
	}
	if whole == nil {
		c.piece = c.cfg.Now()
		return nil
	}
	c.piece = time.Time{}
	kind := wire.Classify(whole)
	if kind == wire.KindFragment {
		got.event(Malformed{Reason: errNested})
		return nil
	}
	return c.receiveLine(whole, kind, got)
}

// ErrAuthentication means that a message of a version 4 key exchange failed a check. A
// well-formed message from an honest peer fails only if the two ends do not name the same
// accounts.
var ErrAuthentication = v4.ErrAuthentication

// ErrOffline means that a Non-Interactive-Auth message came. It was written to a recipient
// who is away, and begins no live session; package offline reads it.
var ErrOffline = errors.New("otr: a message to somebody who is away")

var errNested = errors.New("otr: a fragment inside fragments")

// receiveEncoded decodes a message.
func (c *Conversation) receiveEncoded(line []byte, got *Received) error {
	msg, err := wire.AppendDearmored(c.decoded[:0], line)
	if err != nil {
		got.event(Malformed{Reason: err})
		return nil
	}
	c.decoded = msg
	return c.receiveBinary(line, msg, nil, got)
}

// receiveBinary passes the message of a line to its engine. many, unless nil, is the buffer
// of this message in a batch.
func (c *Conversation) receiveBinary(line, msg []byte, many *bulkMessage, got *Received) error {
	h, body, err := wire.ParseHeader(msg)
	if err != nil {
		got.event(Malformed{Reason: err})
		if errors.Is(err, wire.ErrInstanceTag) && c.mayBeForUs(msg) {
			c.complain(errorMalformed, got)
		}
		return nil
	}
	if h.Receiver != 0 && h.Receiver != c.cfg.InstanceTag {
		if h.Sender == c.cfg.InstanceTag {
			got.event(Echo{})
			return nil
		}
		got.event(OtherInstance{Tag: h.Receiver})
		if h.Type != wire.TypeData {
			return nil
		}
		return c.claim(peerID{version: int(h.Version), tag: h.Sender}, got)
	}
	id := peerID{version: int(h.Version), tag: h.Sender}
	if c.protocols[id.version] == nil {
		if h.Type == wire.TypeDHCommit || h.Type == wire.TypeIdentity {
			got.event(Queried{Offered: wire.MakeVersions(id.version)})
			return nil
		}
		got.event(Malformed{Reason: fmt.Errorf("otr: version %d is not allowed", id.version)})
		return nil
	}
	switch h.Type {
	case wire.TypeData:
		return c.receiveData(id, h, body, msg, many, got)
	case wire.TypeNonInteractiveAuth:
		got.event(Malformed{Reason: ErrOffline})
		return nil
	}
	if c.defers(id, h.Type) {
		c.deferAnswer(line)
		return nil
	}
	if c.waitsForFirst(id, h.Type, body) {
		c.holdBeside(id, h.Type, line, got)
		return nil
	}
	return c.receiveExchange(id, h, body, msg, got)
}

// claim handles a message from an instance of the peer to another instance of ours. libotr
// sends to the instance that it heard from last, in whole seconds. At the beginning of a
// session it may therefore choose an instance of ours that has just crashed, if it heard from
// that one within the same second. One empty message from us corrects this.
func (c *Conversation) claim(id peerID, got *Received) error {
	if c.state != StateEncrypted || id != c.active.id || c.claimed || c.Exchanging() {
		return nil
	}
	if age := c.cfg.Now().Sub(c.secureSince); age < claimAfter || age > claimWithin {
		return nil
	}
	c.claimed = true
	lines, err := c.internal()
	got.Send = append(got.Send, lines...)
	return err
}

// mayBeForUs reports whether a version 4 message with an invalid instance tag may be for this
// instance, and its sender wants to be told of errors.
func (c *Conversation) mayBeForUs(msg []byte) bool {
	r := wire.NewReader(msg)
	version, kind, _, receiver := r.Short(), wire.MessageType(r.Byte()), r.Int(), r.Int()
	quiet := kind == wire.TypeData && r.Byte()&wire.FlagIgnoreUnreadable != 0
	return r.Err() == nil && version == v4.Version && !quiet && c.protocols[v4.Version] != nil &&
		(receiver == c.cfg.InstanceTag || receiver < wire.MinInstanceTag)
}

// complain sends an error message, unless too many have been sent already.
func (c *Conversation) complain(text string, got *Received) {
	if c.errorReply.allow(c.cfg.Now()) {
		got.Send = append(got.Send, wire.AppendError(nil, text))
	}
}

// receiveExchange handles a message of a key exchange.
func (c *Conversation) receiveExchange(id peerID, h wire.Header, body, msg []byte, got *Received) error {
	p := c.instance(id)
	last := p.second && h.Type == wire.TypeSignature // of what another instance has taken
	if !last && !c.mayExchange(p) {
		got.event(OtherInstance{Tag: id.tag})
		c.tellSecond(id, got)
		return nil
	}
	before, lost, state := p.engine.sessions(), p.engine.crossed(), p.engine.authState()
	reply, _, v, err := p.engine.receive(h, body, msg, nil)
	if !p.told && (v == accepted || v == beaten || errors.Is(err, ErrAuthentication)) {
		p.told = true
		got.event(ExchangeBegun{Version: id.version, Instance: id.tag})
	}
	switch v {
	case accepted:
		switch {
		case last: // this exchange is over for us
		case lost && p.engine.crossed():
			p.hear(c.cfg.Now()) // the winner has only repeated its commitment
		default:
			p.second = false
			c.stepped(p, h.Type, state, reply != nil && p.engine.authState() == state)
		}
	case beaten:
		p.hear(c.cfg.Now())
		if o := c.pending; o != nil && c.passed(o.since) >= c.patience(o.sends) {
			if reply, err = c.offer(id.version, id.tag); err != nil {
				return err
			}
		}
	case ignored:
		if h.Type == wire.TypeIdentity && p.engine.late() {
			p.hear(c.cfg.Now()) // the peer repeats it because our answer has not arrived yet
		}
		if c.state == StateEncrypted && p != c.active {
			c.tellSecond(id, got) // an answer to an offer that has led to our session already
		}
		return nil
	case busy:
		return nil
	case expired:
		c.tellExpired(id, err, got)
		return nil
	case mistagged:
		got.event(Malformed{Reason: err})
		c.complain(errorMalformed, got)
		return nil
	case echoed:
		got.event(Echo{})
		return nil
	case failed:
		return err
	default:
		got.event(Malformed{Reason: err})
		return nil
	}
	if reply != nil {
		c.reply(got, reply, id.version, id.tag)
	}
	if p.engine.sessions() != before {
		c.succeeded(p, got)
	}
	return nil
}

// stepped records that a message of this type has advanced a key exchange with p, which was in
// the state before, or that we answer it as before, and how long the message took to come if it
// is an answer.
func (c *Conversation) stepped(p *peer, t wire.MessageType, before AuthState, asBefore bool) {
	switch t {
	case wire.TypeDHCommit, wire.TypeIdentity:
		c.answeredAfter(c.queried)
	case wire.TypeDHKey, wire.TypeAuthR:
		if c.pending != nil {
			c.answeredBetween(c.pending.first, c.pending.since)
		}
	default:
		last := p.replied
		if p.retried.After(last) {
			last = p.retried
		}
		c.answeredBetween(p.replied, last)
	}
	c.queried = time.Time{}
	if c.pending != nil {
		c.pending.known = false
	}
	p.hear(c.cfg.Now())
	p.stepped = p.seen
	if t == wire.TypeIdentity && before != AuthWaitingAuthI {
		p.awaitsAuthI = p.seen
	}
	if asBefore {
		p.retried = p.seen
		return
	}
	p.replied, p.retried = p.seen, time.Time{}
}

// tellExpired tells both ends that the peer's client profile has expired. During a key
// exchange this means that one of the clocks is wrong.
func (c *Conversation) tellExpired(id peerID, err error, got *Received) {
	var e *v4.ExpiredError
	if !errors.As(err, &e) {
		return
	}
	event := ProfileExpired{Instance: id.tag, Expires: e.Expires, Now: e.Now}
	got.event(event)
	c.complain(event.errorText(), got)
}

// receiveData implements section "Receiving a Data Message".
func (c *Conversation) receiveData(id peerID, h wire.Header, body, msg []byte, many *bulkMessage, got *Received) error {
	p := c.peers[id]
	if c.state == StateEncrypted && p != c.active {
		if id == c.replaced && len(body) > 0 && body[0]&wire.FlagIgnoreUnreadable != 0 {
			return nil // it only reveals the MAC keys of the replaced session
		}
		if now := c.cfg.Now(); c.beside.line == nil || c.beside.from != id || !c.early.keep(id, msg, now) {
			got.event(OtherInstance{Tag: id.tag})
		}
		return nil
	}
	if c.state != StateEncrypted {
		c.unreadable(id, body, msg, ErrNotEncrypted, got)
		return nil
	}
	var text wire.Plaintext
	var v verdict
	var err error
	tlvs := &c.tlvs
	if many != nil {
		tlvs = &many.tlvs
		text, v, err = p.engine.receiveAhead(h, body, msg, *tlvs, &many.ahead)
	} else {
		_, text, v, err = p.engine.receive(h, body, msg, *tlvs)
	}
	switch v {
	case accepted:
	case ignored:
		return nil
	case echoed:
		got.event(Echo{})
		return nil
	case replayed, busy:
		got.event(Unreadable{Reason: err})
		return nil
	case undecipherable:
		c.unreadable(id, body, msg, err, got)
		return nil
	case failed:
		return err
	default:
		got.event(Malformed{Reason: err})
		return nil
	}
	if cap(text.TLVs) > cap(*tlvs) {
		*tlvs = text.TLVs[:0]
	}
	p.hear(c.cfg.Now())
	c.settled() // a peer that has read our Auth-I has read every copy of the offer before it
	c.noteRotation(p.seen)
	got.DataMessage = true
	got.Text, got.HasText = Authenticated(text.Text), len(text.Text) > 0
	return c.receiveTLVs(text.TLVs, got)
}

// unreadable tells both sides about an unreadable data message; the sender can ask not to be
// told. A message that may have overtaken the Auth-I message is kept until that comes.
func (c *Conversation) unreadable(id peerID, body, msg []byte, reason error, got *Received) {
	now := c.cfg.Now()
	if p := c.peers[id]; p != nil && p.engine.authState() == AuthWaitingAuthI && now.Sub(p.stepped) < earlyTime && c.early.keep(id, msg, now) {
		return
	}
	got.event(Unreadable{Reason: reason})
	if len(body) == 0 || body[0]&wire.FlagIgnoreUnreadable != 0 {
		return
	}
	c.complain(c.protocols[id.version].errorText(reason), got)
	c.restart(id, got)
}

// receiveTLVs handles the records that concern the Conversation itself and leaves the others
// in got.
func (c *Conversation) receiveTLVs(tlvs []wire.TLV, got *Received) error {
	ended := false
	extraKeys := 0
	others := tlvs[:0]
	for _, t := range tlvs {
		switch c.active.engine.tlvKind(t.Type) {
		case tlvPadding:
		case tlvDisconnected:
			ended = true
		case tlvSMP:
			if err := c.receiveSMP(t, got); err != nil {
				return err
			}
		case tlvExtraKey:
			extraKeys += c.receiveExtraKey(t, extraKeys, got)
		default:
			others = append(others, t)
		}
	}
	got.TLVs = others
	if ended {
		c.smpEnds(got)
		c.endedWith = c.active.engine.peerFingerprint()
		c.left = c.active.id
		c.active.engine.drop()
		if c.smp != nil {
			c.smp.Wipe()
			c.smp = nil
		}
		c.state = StateFinished
		got.event(PeerEnded{})
	}
	return nil
}

// receiveExtraKey handles the nth TLV of a message that announces a use of the extra
// symmetric key. Its value is a use of four bytes, followed by data. It returns the number of
// keys, one or none.
func (c *Conversation) receiveExtraKey(t wire.TLV, n int, got *Received) int {
	value := t.Value
	if len(value) < 4 {
		if c.active.id.version != v4.Version {
			got.event(Malformed{Reason: errExtraKeyTLV})
			return 0
		}
		value = make([]byte, 4) // in version 4 a record that is too short has a context of zeros
	}
	key, err := c.active.engine.extraKey(true, n)
	if err != nil {
		got.event(Malformed{Reason: err})
		return 0
	}
	r := wire.NewReader(value)
	got.event(ExtraKeyReceived{Use: r.Int(), Data: bytes.Clone(r.Rest()), Key: key})
	return 1
}

var (
	errExtraKeyTLV      = errors.New("otr: extra symmetric key record without its use")
	errTooManyExtraKeys = fmt.Errorf("otr: message with more than %d extra symmetric keys", v4.MaxExtraKeys)
)

// receiveSMP passes a record to the socialist millionaires' protocol.
func (c *Conversation) receiveSMP(t wire.TLV, got *Received) error {
	m := c.machine()
	answer, event := m.Receive(t)
	if m.OutcomeShown() {
		got.event(SMPShown{}) // every message ends this state, so it is new
	}
	switch event.Kind {
	case smp.Asked:
		c.smpRun++
		got.event(SMPAsked{Question: event.Question, Run: c.smpRun})
	case smp.Succeeded:
		got.event(SMPSucceeded{})
	case smp.Failed, smp.Cheated:
		got.event(SMPFailed{})
	case smp.Aborted:
		if event.Shown {
			got.event(SMPFailed{BrokenOff: true})
		} else {
			got.event(SMPAborted{})
		}
	case smp.Crossed:
		got.event(SMPCrossed{})
	}
	if answer == nil {
		return nil
	}
	lines, err := c.internal(answer...)
	got.Send = append(got.Send, lines...)
	return err
}
