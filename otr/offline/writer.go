package offline

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"otrpipe/otr/v4"
	"otrpipe/otr/wire"
)

// A Writer sends firstAhead messages after its first call of Save, and after each further call
// twice as many as before, up to maxAhead. If it is killed, the session has lost these messages. So
// a receiver can bridge the gap (MaxGap at most) after many short messages that were
// interrupted, and the cost of storing does not matter to a long one.
const (
	firstAhead = 16
	maxAhead   = 256
)

// MaxGap is how many messages of a session may be missing before one that the receiver can read.
const MaxGap = v4.MaxGap

// A WriterConfig configures a Writer.
type WriterConfig struct {
	// Save stores the session as it will be after ahead more messages; see Store.Put. It is
	// called before the first message, and whenever the next message might not be covered by
	// the stored session. Its error ends the Writer.
	Save func(t *Session, ahead int) error
	// MaxLine, if not 0, is the maximum length of a line in bytes: longer messages are sent
	// in fragments.
	MaxLine int
	// Rand is for the identifiers of fragments.
	Rand io.Reader
}

// A Writer encrypts one stream of bytes, or one series of texts, in a session. It appends
// finished lines, each with its line end. Only one goroutine may use it. Its first error
// sticks.
type Writer struct {
	config   WriterConfig
	t        *Session
	ahead    int // the messages of the last call of Save
	stored   int // messages that may be sent before the next call of Save
	messages int
	head     Head
	begun    bool
	ended    bool
	offset   int64
	texts    int64
	err      error

	tlvs   []wire.TLV
	sealed []byte
	line   []byte
	bulk   v4.Sealings
	pieces [v4.Lanes]piece  // the pieces of a batch
	msgs   [v4.Lanes][]byte // their messages
}

// A piece is a message with a part of the stream, together with its parts, which must not
// change until it is encrypted.
type piece struct {
	tlvs  []wire.TLV
	value []byte // DATA: its offset and bytes
}

// BulkLen is the best number of bytes for one call of Write: several messages, which are
// encrypted together.
const BulkLen = v4.Lanes * PieceLen

// NewWriter returns a Writer for the session t. Nothing else may be sent in t until the
// Writer has ended. head describes the stream; it is not used for texts.
func NewWriter(t *Session, head Head, c WriterConfig) (*Writer, error) {
	if err := head.check(); err != nil {
		return nil, err
	}
	if t.Ended() {
		return nil, fmt.Errorf("%w: it has ended", ErrNoSession)
	}
	if t.unread {
		return nil, fmt.Errorf("%w: the message that began it has not been read", ErrCannotSend)
	}
	if t.closed {
		return nil, ErrClosed
	}
	if t.Gap() > MaxGap {
		return nil, ErrGap
	}
	return &Writer{config: c, t: t, head: head}, nil
}

// Write appends the lines for p, the next bytes of the stream. Each message contains at most
// PieceLen bytes.
func (w *Writer) Write(b, p []byte) ([]byte, error) {
	for len(p) > 0 && w.err == nil {
		n := min(len(p), BulkLen)
		b = w.writePieces(b, p[:n])
		p = p[n:]
	}
	return b, w.err
}

// writePieces appends the lines for up to BulkLen bytes. The messages get their keys from the
// session one after another, and are then encrypted together.
func (w *Writer) writePieces(b, p []byte) []byte {
	n := 0
	defer func() {
		w.bulk.Reset()
		for i := range w.pieces[:n] {
			clear(w.pieces[i].value)
		}
	}()
	for ; len(p) > 0 && w.ready(); n++ {
		part := p[:min(len(p), PieceLen)]
		p = p[len(part):]
		m := &w.pieces[n]
		m.value = binary.BigEndian.AppendUint64(m.value[:0], uint64(w.offset))
		m.value = append(m.value, part...)
		m.tlvs = append(w.begin(m.tlvs), wire.TLV{Type: typeData, Value: m.value})
		_, w.err = w.t.engine.Settle(&w.bulk, wire.FlagIgnoreUnreadable, wire.Plaintext{TLVs: m.tlvs})
		w.offset += int64(len(part))
	}
	if w.err != nil {
		return b
	}
	for i := range n {
		w.msgs[i] = w.msgs[i][:0]
	}
	w.bulk.Finish(0, w.msgs[:n])
	for _, msg := range w.msgs[:n] {
		if b = w.append(b, msg); w.err != nil {
			break
		}
	}
	return b
}

// begin starts the records of a message in tlvs, with HEAD if it is the first one.
func (w *Writer) begin(tlvs []wire.TLV) []wire.TLV {
	tlvs = tlvs[:0]
	if !w.begun {
		tlvs = append(tlvs, wire.TLV{Type: typeHead, Value: w.head.append(nil)})
	}
	w.begun = true
	return tlvs
}

// Text appends the line for one text. The error is ErrTooLong for more than MaxText bytes; a
// text must not contain a NUL byte.
func (w *Writer) Text(b, text []byte) ([]byte, error) {
	switch {
	case w.err != nil:
		return b, w.err
	case len(text) > MaxText:
		return b, fmt.Errorf("%w: a text of %d bytes, and at most %d can be sent", ErrTooLong, len(text), MaxText)
	case bytes.IndexByte(text, 0) >= 0:
		return b, errors.New("offline: a text with a NUL cannot be sent")
	}
	b = w.seal(b, wire.Plaintext{Text: text}, false)
	w.texts++
	return b, w.err
}

// End appends the end of the stream. If last is set it also ends the session: its keys are
// wiped, and those of the peer when it reads this, and no reply is possible. Store the
// session afterwards, with Put and ahead 0.
func (w *Writer) End(b []byte, last bool) ([]byte, error) {
	w.tlvs = append(w.begin(w.tlvs), endRecord(w.offset))
	return w.end(b, last)
}

// EndTexts is like End, for a series of texts.
func (w *Writer) EndTexts(b []byte, last bool) ([]byte, error) {
	w.tlvs = append(w.tlvs[:0], endRecord(w.texts))
	return w.end(b, last)
}

func (w *Writer) end(b []byte, last bool) ([]byte, error) {
	if w.err != nil {
		return b, w.err
	}
	if last {
		w.tlvs = append(w.tlvs, wire.TLV{Type: wire.TLVDisconnected})
	}
	b = w.seal(b, wire.Plaintext{TLVs: w.tlvs}, last)
	if w.err == nil {
		w.ended = true
		w.err = errors.New("offline: the stream has been ended")
		return b, nil
	}
	return b, w.err
}

// seal appends the line or lines of one message. An error goes into w.err.
func (w *Writer) seal(b []byte, p wire.Plaintext, last bool) []byte {
	if !w.ready() {
		return b
	}
	flags := byte(0)
	if len(p.Text) == 0 {
		flags = wire.FlagIgnoreUnreadable
	}
	seal := w.t.engine.Seal
	if last {
		seal = w.t.engine.SealLast
	}
	if w.sealed, w.err = seal(w.sealed[:0], flags, p); w.err != nil {
		return b
	}
	return w.append(b, w.sealed)
}

// ready makes sure that the stored session covers the next message; false: it failed, and
// w.err is set.
func (w *Writer) ready() bool {
	if w.err == nil && w.stored == 0 {
		w.ahead = min(max(firstAhead, 2*w.ahead), maxAhead)
		if w.err = w.config.Save(w.t, w.ahead); w.err == nil {
			w.stored = w.ahead
		}
	}
	if w.err != nil {
		return false
	}
	w.stored--
	w.messages++
	return true
}

// Messages returns how many messages have been encrypted.
func (w *Writer) Messages() int { return w.messages }

// append appends the line or lines of a finished message. An error goes into w.err.
func (w *Writer) append(b, msg []byte) []byte {
	if w.config.MaxLine == 0 || wire.ArmoredLen(len(msg)) <= w.config.MaxLine {
		return append(wire.AppendArmor(b, msg), '\n')
	}
	b, w.err = w.fragments(b, msg)
	return b
}

func (w *Writer) fragments(b, msg []byte) ([]byte, error) {
	h, _, err := wire.ParseHeader(msg)
	if err != nil {
		return b, err
	}
	w.line = wire.AppendArmor(w.line[:0], msg)
	return appendFragments(b, w.config.Rand, h, w.line, w.config.MaxLine)
}

// FirstLine appends the line of a Non-Interactive-Auth message, as Store.Write returns it,
// with its line end. It uses fragments if the line is longer than c.MaxLine.
func FirstLine(b, line []byte, c WriterConfig) ([]byte, error) {
	msg, err := wire.AppendDearmored(nil, line)
	if err != nil {
		return b, err
	}
	h, _, err := wire.ParseHeader(msg)
	if err != nil {
		return b, err
	}
	return appendFragments(b, c.Rand, h, line, c.MaxLine)
}

func appendFragments(b []byte, rand io.Reader, h wire.Header, line []byte, longest int) ([]byte, error) {
	var id [4]byte
	if _, err := io.ReadFull(rand, id[:]); err != nil {
		return b, fmt.Errorf("offline: fragments: %w", err)
	}
	return wire.AppendFragments(b, v4.Version, binary.BigEndian.Uint32(id[:]), h.Sender, h.Receiver, line, longest)
}
