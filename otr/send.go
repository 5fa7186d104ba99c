package otr

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"otrpipe/otr/keys"
	"otrpipe/otr/v4"
	"otrpipe/otr/wire"
)

// A Message is the content of one data message.
type Message struct {
	Text             []byte     // must not contain NUL; may be empty
	TLVs             []wire.TLV // of unknown or private types, values at most 65535 bytes
	IgnoreUnreadable bool       // the peer should not complain if it cannot read the message

	// RevealAll makes the message reveal every MAC key that has verified a message of the
	// peer. These keys verify no further message, so messages of the peer that have not
	// arrived yet may be lost. Use it only if the peer is waiting for this message.
	RevealAll bool
}

// Send implements section "User types a message to be sent": it returns the lines to send,
// which may be none. In StatePlaintext with RequireEncryption it keeps the text until a
// session begins, and returns the lines of Start instead. In StateFinished it keeps the text
// too, and the error is ErrFinished.
func (c *Conversation) Send(text []byte) ([][]byte, error) {
	now := c.cfg.Now()
	if bytes.IndexByte(text, 0) >= 0 && (c.state != StatePlaintext || c.cfg.Policy.Has(RequireEncryption)) {
		return nil, ErrNUL
	}
	switch c.state {
	case StateEncrypted:
		b, err := c.AppendMessage(nil, Message{Text: text})
		if err != nil {
			return nil, err
		}
		c.stored.keep(text, c.active.engine.peerFingerprint(), now, true)
		return split(b), nil
	case StateFinished:
		c.stored.keep(text, c.endedWith, now, false)
		return nil, ErrFinished
	}
	if c.cfg.Policy.Has(RequireEncryption) {
		c.stored.keep(text, c.endedWith, now, false)
		return c.Start()
	}
	line := bytes.Clone(text)
	if c.cfg.Policy.Has(SendWhitespaceTag) && !c.heardPlaintext {
		line = wire.AppendTag(line, c.versions())
	}
	return [][]byte{line}, nil
}

// AppendMessage encrypts a message in the session and appends it to dst, as one line or as
// fragments, each ended by LF. If dst has enough capacity, it allocates only the state of the
// cipher. After ErrNotEncrypted, ErrFinished, ErrNUL or ErrTooLong, nothing has changed.
func (c *Conversation) AppendMessage(dst []byte, m Message) ([]byte, error) {
	switch {
	case c.state == StateFinished:
		return dst, ErrFinished
	case c.state != StateEncrypted:
		return dst, ErrNotEncrypted
	}
	if err := checkText(m.Text); err != nil {
		return dst, err
	}
	p, flags, err := c.plaintext(m)
	if err != nil {
		return dst, err
	}
	seal := c.active.engine.seal
	if m.RevealAll {
		seal = c.active.engine.sealRevealing
	}
	sealed, err := seal(c.sealed[:0], flags, p)
	if err != nil {
		return dst, err
	}
	return c.appendSealed(dst, sealed)
}

// checkText returns ErrNUL for a text that a data message cannot carry.
func checkText(text []byte) error {
	if bytes.IndexByte(text, 0) >= 0 {
		return ErrNUL
	}
	return nil
}

// appendSealed appends a data message for the active instance.
func (c *Conversation) appendSealed(dst, sealed []byte) ([]byte, error) {
	c.sealed = sealed
	c.lastSent = c.cfg.Now()
	c.noteRotation(c.lastSent)
	return c.appendLines(dst, sealed, c.active.id.version, c.active.id.tag)
}

// noteRotation records when our keys last changed. In versions 2 and 3 they change when we
// receive, in version 4 when we send.
func (c *Conversation) noteRotation(now time.Time) {
	if n := c.active.engine.keyRotations(); n != c.rotations {
		c.rotations, c.keysSince = n, now
	}
}

// plaintext builds the padded plaintext of a data message.
func (c *Conversation) plaintext(m Message) (p wire.Plaintext, flags byte, err error) {
	if m.IgnoreUnreadable {
		flags = wire.FlagIgnoreUnreadable
	}
	p = wire.Plaintext{Text: m.Text, TLVs: m.TLVs}
	size := len(m.Text)
	for i, t := range m.TLVs {
		if len(t.Value) > wire.MaxTLVValue {
			return p, 0, ErrTooLong
		}
		if i == 0 {
			size++ // NUL
		}
		size += tlvHeaderLen + len(t.Value)
	}
	if c.cfg.Pad > 0 && (size == 0 || size%c.cfg.Pad != 0) {
		if len(m.TLVs) == 0 {
			size++
		}
		fill := c.cfg.Pad - (size+tlvHeaderLen)%c.cfg.Pad
		if fill == c.cfg.Pad {
			fill = 0
		}
		c.own = append(append(c.own[:0], m.TLVs...), wire.TLV{Type: wire.TLVPadding, Value: zeros[:fill]})
		p.TLVs = c.own
		size += tlvHeaderLen + fill
	}
	most := maxPlaintext
	if m.RevealAll {
		most = maxRevealing
	}
	if size > most || len(p.TLVs) > wire.MaxTLVs {
		return p, 0, ErrTooLong
	}
	return p, flags, nil
}

const (
	tlvHeaderLen = 4
	// maxPlaintext is the largest plaintext, in bytes. After base64 it leaves room within
	// wire.MaxMessage for the other fields of a data message and a thousand revealed MAC
	// keys.
	maxPlaintext = wire.MaxMessage*3/4 - 24*1024
	// maxRevealing is the largest plaintext of a message that reveals every MAC key. Version 4
	// keeps up to 256 KiB of them.
	maxRevealing = maxPlaintext - 256*1024
)

// zeros is the content of padding; it is never written to.
var zeros [maxPad]byte

// appendLines appends a binary message as one line or as fragments, each ended by LF.
func (c *Conversation) appendLines(dst, msg []byte, version int, receiver uint32) ([]byte, error) {
	size := wire.ArmoredLen(len(msg))
	if c.cfg.MaxSize == 0 || size <= c.cfg.MaxSize {
		dst = slices.Grow(dst, size+1)
		return append(wire.AppendArmor(dst, msg), '\n'), nil
	}
	armored := wire.AppendArmor(nil, msg)
	format := c.protocols[version].fragmentFormat()
	var id [4]byte // identifies the fragments of one message in version 4
	if format == v4.Version {
		if _, err := io.ReadFull(c.cfg.Rand, id[:]); err != nil {
			return dst, fmt.Errorf("otr: fragment identifier: %w", err)
		}
	}
	return wire.AppendFragments(dst, format, binary.BigEndian.Uint32(id[:]), c.cfg.InstanceTag, receiver, armored, c.cfg.MaxSize)
}

// lines is like appendLines, but returns separate lines.
func (c *Conversation) lines(msg []byte, version int, receiver uint32) ([][]byte, error) {
	b, err := c.appendLines(nil, msg, version, receiver)
	if err != nil {
		return nil, err
	}
	return split(b), nil
}

// split splits a buffer of lines that are ended by LF.
func split(b []byte) [][]byte {
	var lines [][]byte
	for line := range bytes.Lines(b) {
		lines = append(lines, line[:len(line)-1:len(line)-1])
	}
	return lines
}

// internal sends the Conversation's own records in a message without text.
func (c *Conversation) internal(tlvs ...wire.TLV) ([][]byte, error) {
	b, err := c.AppendMessage(nil, Message{TLVs: tlvs, IgnoreUnreadable: true})
	if err != nil {
		return nil, err
	}
	return split(b), nil
}

// End implements section "User requests to end an OTR conversation": it tells the peer,
// reveals the remaining MAC keys, and forgets the session and any text kept for later. The
// state is StatePlaintext afterwards.
func (c *Conversation) End() ([][]byte, error) { return c.EndWith() }

// EndWith is like End, with further records in the session's last message. If they do not fit,
// the error is ErrTooLong, and the lines that it returns tell the peer the end without them.
func (c *Conversation) EndWith(tlvs ...wire.TLV) ([][]byte, error) {
	var lines [][]byte
	var err error
	if c.state == StateEncrypted {
		lines, err = c.sealEnd(tlvs)
		if errors.Is(err, ErrTooLong) {
			var other error
			if lines, other = c.sealEnd(nil); other != nil {
				err = other
			}
		}
	}
	c.Wipe()
	c.closed = true
	c.heardPlaintext = false
	return lines, err
}

// sealEnd returns the last message of the session. After ErrTooLong nothing has changed.
func (c *Conversation) sealEnd(tlvs []wire.TLV) ([][]byte, error) {
	all := append(slices.Clone(tlvs), wire.TLV{Type: wire.TLVDisconnected}) // tlvs is the caller's
	p, flags, err := c.plaintext(Message{TLVs: all, IgnoreUnreadable: true, RevealAll: true})
	if err != nil {
		return nil, err
	}
	sealed, err := c.active.engine.sealLast(nil, flags, p)
	if err != nil {
		return nil, err
	}
	b, err := c.appendSealed(nil, sealed)
	return split(b), err
}

// ExtraKey tells the peer that the extra symmetric key is going to be used. The meaning of
// use and data is up to the two ends. It returns the key: 32 bytes in version 3, 64 in
// version 4.
func (c *Conversation) ExtraKey(use uint32, data []byte) (key []byte, lines [][]byte, err error) {
	if c.state != StateEncrypted {
		return nil, nil, ErrNotEncrypted
	}
	t, err := c.active.engine.extraKeyTLV()
	if err != nil {
		return nil, nil, err
	}
	value := append(wire.AppendInt(nil, use), data...)
	if lines, err = c.internal(wire.TLV{Type: t, Value: value}); err != nil {
		return nil, nil, err
	}
	key, err = c.active.engine.extraKey(false, 0)
	return key, lines, err
}

// A storedText is a text that waits for a session.
type storedText struct {
	text  []byte
	to    keys.Fingerprint // the key it was typed for; zero: there was no session to go on from
	since time.Time
	sent  bool // it was sent; it is sent again only if the peer could not read it
}

func (s *storedText) keep(text []byte, to keys.Fingerprint, now time.Time, sent bool) {
	clear(s.text)
	s.text = append(s.text[:0], text...)
	s.to, s.since, s.sent = to, now, sent
}

// unread records that the peer has reported an error, so it may not have read the last text.
func (s *storedText) unread() { s.sent = false }

func (s *storedText) forget() {
	clear(s.text)
	s.text, s.since = s.text[:0], time.Time{}
}

// sendStored sends the text that has waited for this session, if it is recent. A text typed
// for one key is not sent to another, because anyone can send an error message and then offer
// a key exchange.
func (c *Conversation) sendStored(got *Received) {
	s := &c.stored
	stranger := s.to != keys.Fingerprint{} && s.to != c.active.engine.peerFingerprint()
	if s.since.IsZero() || s.sent || stranger || c.cfg.Now().Sub(s.since) > resendWithin {
		s.forget()
		return
	}
	b, err := c.AppendMessage(nil, Message{Text: s.text})
	s.sent = true
	if err != nil {
		got.event(Malformed{Reason: err})
		return
	}
	got.Send = append(got.Send, split(b)...)
	got.event(Resent{})
}
