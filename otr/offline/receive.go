package offline

import (
	"bytes"
	"crypto/sha3"
	"errors"
	"fmt"
	"slices"

	"otrpipe/otr/v4"
	"otrpipe/otr/wire"
)

const (
	// maxEarly and maxEarlyBytes bound the number and total size of data messages that came
	// before the message that begins their session.
	maxEarly      = 1000
	maxEarlyBytes = 16 << 20
	// maxVain bounds the checks of data messages that are not authentic: half a minute of work at
	// most. There is no limit per second, because a message does not say which session it belongs
	// to, and may have to be checked once for each.
	maxVain = 16 * MaxSessions
)

// Accept opens the Non-Interactive-Auth message msg: it deletes the prekey that the message
// uses, and adds the session. Store the store before anything from the session is shown. For
// a message whose session has not been read to its end it returns the same session again, in
// its initial state; for one that has been read the error is ErrRead. Every error wraps
// ErrRefused, and then nothing has changed.
func (s *Store) Accept(msg []byte) (*Session, error) {
	s.Expire()
	h, body, err := wire.ParseHeader(msg)
	if err == nil && (h.Version != v4.Version || h.Type != wire.TypeNonInteractiveAuth) {
		err = errors.New("no Non-Interactive-Auth message")
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrRefused, err)
	}
	digest := authDigest(msg)
	if at := slices.IndexFunc(s.sessions, func(t *Session) bool { return t.auth == digest }); at >= 0 {
		if t := s.sessions[at]; t.unread {
			return t, nil
		}
		return nil, ErrRead
	}
	opened, err := s.client.Open(h, body, s.find)
	if err != nil {
		// The sender's profile expires together with our prekey. An error about the prekey is
		// more helpful.
		if m, malformed := v4.ParseNonInteractiveAuth(body); malformed == nil && h.Receiver == s.config.InstanceTag {
			if _, _, gone := s.find(m.PrekeyID); gone != nil {
				err = gone
			}
		}
		return nil, fmt.Errorf("%w: %w", ErrRefused, err)
	}
	at := slices.IndexFunc(s.prekeys, func(k *prekey) bool { return k.key == opened.Prekey })
	k := s.prekeys[at]
	if len(k.only) > 0 && !slices.Contains(k.only, opened.Engine.PeerKey().Fingerprint()) {
		opened.Engine.Wipe()
		return nil, ErrSender
	}
	t := newSession(opened.Engine, s.config.Now())
	t.auth, t.unread, t.Contact = digest, true, k.contact
	t.readBy = k.publication.Expires().Add(v4.PrekeyGrace)
	s.forget(k, whyUsed)
	s.prekeys = slices.Delete(s.prekeys, at, at+1)
	s.add(t)
	return t, nil
}

func authDigest(msg []byte) (d [32]byte) {
	copy(d[:], sha3.SumSHAKE256(msg, len(d)))
	return d
}

// find finds the prekey for v4.Client.Open.
func (s *Store) find(id uint32) (*v4.Prekey, []*v4.Publication, error) {
	for _, k := range s.prekeys {
		if k.key.ID != id {
			continue
		}
		all := []*v4.Publication{k.publication}
		for _, p := range slices.Backward(s.publications) {
			if p != k.publication {
				all = append(all, p)
			}
		}
		return k.key, all, nil
	}
	for _, g := range slices.Backward(s.gone) {
		if g.id == id {
			return nil, nil, g.why.err()
		}
	}
	return nil, nil, v4.ErrNoPrekey
}

// A Kind is the kind of content of a session's message.
type Kind int

// The kinds. KindAny accepts whichever comes first.
const (
	KindAny Kind = iota
	KindStream
	KindTexts
)

func (k Kind) String() string {
	switch k {
	case KindAny:
		return "any"
	case KindStream:
		return "stream"
	case KindTexts:
		return "texts"
	}
	return fmt.Sprintf("Kind(%d)", int(k))
}

// A Result is the result of one line.
type Result struct {
	// Begun is set when a session has been found or begun, which Reader.Session returns.
	// Before using anything else in this Result, the caller has to check the peer's identity
	// and, if Auth is not nil, call Accept with it on the stored store, and store that.
	Begun bool
	Auth  []byte // the Non-Interactive-Auth message that has begun the session

	Head  *Head    // the stream begins
	Data  []byte   // bytes of the stream, in order; valid until the next line
	Texts [][]byte // texts, in the order of their arrival
	Ended bool     // the authenticated end has come

	Early bool  // a message was kept until the one that begins its session comes
	Plain int   // the number of bytes of the line that were not OTR
	Warn  error // why the line was ignored
}

// A Reader reads the lines of one message: those that a Writer wrote, and anything that a
// mail program has added around them. It reads the session to which the first OTR line
// belongs. It works on its own copy of the store. Only one goroutine may use it.
type Reader struct {
	store *Store
	kind  Kind
	t     *Session

	pieces     wire.Assembler
	early      [][]byte
	earlyBytes int

	refused error // why a message could not be opened, if no other one could
	others  int   // messages of other sessions
	vain    int   // checks that failed
	err     error // the error that broke the stream; it sticks

	started bool // the first message has come
	headed  bool // the stream's HEAD has come
	ended   bool
	ecdh    []byte // the ECDH key of the first message's ratchet
	ratchet uint32 // the id of that ratchet
	next    uint32 // the id of the stream's next message; for texts, the last one plus 1
	offset  int64
	texts   int64
	missing func() int // the number of missing texts before END; nil: END has not come

	msg    []byte
	tlvs   []wire.TLV
	data   []byte // several pieces of one line, joined
	joined bool   // Data of the result is data

	foresight v4.Foresight
	prepared  []preparedLine // the next lines, as Prepare has left them
	bufs      [v4.Lanes][]byte
}

// NewReader returns a Reader with the sessions and prekeys of store. It changes store, which
// must not be stored afterwards.
func NewReader(store *Store, kind Kind) *Reader {
	store.Expire()
	return &Reader{store: store, kind: kind}
}

// Session returns the session that is being read; nil before Begun.
func (r *Reader) Session() *Session { return r.t }

// Line handles one line, without its line end. An error (ErrBroken, ErrNoText, ErrNoStream)
// means that the stream is broken and nothing more of it will come. A line that is merely
// ignored causes no error; Result.Warn is set instead.
func (r *Reader) Line(line []byte) (Result, error) {
	var got Result
	r.joined = false
	p := r.takePrepared()
	if r.err != nil {
		return got, r.err
	}
	if p != nil {
		defer p.ahead.Wipe()
		h, body, err := wire.ParseHeader(p.msg)
		if err == nil && h.Receiver == r.store.config.InstanceTag {
			r.err = r.dataMessage(&got, h, body, p.msg, &p.ahead)
			return got, r.err
		}
	}
	switch wire.Classify(line) {
	case wire.KindFragment:
		f, err := wire.ParseFragment(line)
		if err != nil {
			got.Warn = err
			return got, nil
		}
		if f.Receiver != 0 && f.Receiver != r.store.config.InstanceTag {
			r.others++
			got.Warn = v4.ErrOtherInstance
			return got, nil
		}
		whole, err := r.pieces.Add(f, r.store.config.Now())
		if err != nil || whole == nil {
			got.Warn = err
			return got, nil
		}
		line = whole
	case wire.KindEncoded:
	default:
		got.Plain = len(line)
		return got, nil
	}
	var err error
	if r.msg, err = wire.AppendDearmored(r.msg[:0], line); err != nil {
		got.Warn = err
		return got, nil
	}
	r.err = r.message(&got, r.msg)
	return got, r.err
}

// A preparedLine is a line that Prepare has decoded and, if possible, opened.
type preparedLine struct {
	msg   []byte // nil: handle the line as if it had not been prepared
	ahead v4.Ahead
}

// Batch is the maximum number of lines for Prepare.
const Batch = v4.Lanes

// Prepare opens the next lines, at most Batch of them, together, which is faster than one
// after another. Line then has to be called with each of them, in the same order, and returns
// the results.
func (r *Reader) Prepare(lines [][]byte) {
	r.prepared = r.prepared[:0]
	if r.t == nil || r.kind != KindStream || r.err != nil || r.ended || len(lines) > v4.Lanes ||
		!r.t.engine.Foresee(&r.foresight, len(lines)) {
		return
	}
	defer r.foresight.Wipe()
	var msgs [v4.Lanes][]byte
	var aheads [v4.Lanes]v4.Ahead
	for i, line := range lines {
		if wire.Classify(line) != wire.KindEncoded {
			continue
		}
		msg, err := wire.AppendDearmored(r.bufs[i][:0], line)
		if err != nil {
			continue
		}
		r.bufs[i], msgs[i] = msg, msg
	}
	r.foresight.Open(0, msgs[:len(lines)], aheads[:len(lines)])
	for i := range lines {
		p := preparedLine{msg: msgs[i], ahead: aheads[i]}
		if !p.ahead.Verified() {
			p.msg = nil // as it was
		}
		r.prepared = append(r.prepared, p)
	}
}

// takePrepared returns the result of Prepare for the next line; nil: there is none.
func (r *Reader) takePrepared() *preparedLine {
	if len(r.prepared) == 0 {
		return nil
	}
	p := &r.prepared[0]
	r.prepared = r.prepared[1:]
	if p.msg == nil {
		return nil
	}
	return p
}

// message handles one message, which it decrypts in place.
func (r *Reader) message(got *Result, msg []byte) error {
	h, body, err := wire.ParseHeader(msg)
	switch {
	case err != nil:
		got.Warn = err
	case h.Version != v4.Version || h.Type != wire.TypeNonInteractiveAuth && h.Type != wire.TypeData:
		got.Warn = fmt.Errorf("offline: a message of version %d, %v, cannot be read offline", h.Version, h.Type)
	case h.Receiver != r.store.config.InstanceTag:
		got.Warn = v4.ErrOtherInstance
		if r.refused == nil {
			r.refused = fmt.Errorf("%w: %w", ErrRefused, v4.ErrOtherInstance)
		}
	case h.Type == wire.TypeNonInteractiveAuth:
		return r.auth(got, msg)
	default:
		return r.dataMessage(got, h, body, msg, nil)
	}
	return nil
}

func (r *Reader) auth(got *Result, msg []byte) error {
	if r.t != nil {
		if authDigest(msg) != r.t.auth { // else the same line twice
			r.others++
			got.Warn = ErrOther
		}
		return nil
	}
	t, err := r.store.Accept(msg)
	if err != nil {
		got.Warn = err
		r.refused = err
		return nil
	}
	r.t = t
	got.Begun, got.Auth = true, bytes.Clone(msg)

	// In the order of their ids, so that no end comes before the messages that it ends.
	early := r.early
	r.early, r.earlyBytes = nil, 0
	const id = 11 + 1 + 4 + 4 // behind header, flags, previous count and ratchet id
	slices.SortStableFunc(early, func(a, b []byte) int { return bytes.Compare(a[id:id+4], b[id:id+4]) })
	for _, msg := range early {
		h, body, err := wire.ParseHeader(msg)
		if err != nil {
			continue
		}
		if err := r.dataMessage(got, h, body, msg, nil); err != nil {
			return err
		}
	}
	return nil
}

// dataMessage passes a data message to its session. ahead, unless nil, is the result of
// Prepare.
func (r *Reader) dataMessage(got *Result, h wire.Header, body, msg []byte, ahead *v4.Ahead) error {
	m, err := v4.ParseData(body)
	if err != nil {
		got.Warn = err
		return nil
	}
	candidates := []*Session{r.t}
	if r.t == nil {
		candidates = r.store.fitting(h.Sender, &m)
	} else if r.ended || r.t.engine.Fit(h.Sender, &m) == v4.FitNone {
		candidates = nil
	}
	for _, t := range candidates {
		if r.vain == maxVain {
			got.Warn = v4.ErrBusy
			break
		}
		p, err := t.engine.ReceiveAhead(h, body, msg, r.tlvs, ahead)
		if err != nil {
			if !errors.Is(err, v4.ErrReplay) {
				r.vain++
			}
			got.Warn = err
			continue
		}
		got.Warn = nil
		r.tlvs = p.TLVs
		if r.t == nil {
			r.t, got.Begun = t, true
		}
		return r.plaintext(got, &m, p)
	}
	switch {
	case len(candidates) > 0: // no session could read it: it is damaged, or a repetition
		if r.refused == nil {
			r.refused = fmt.Errorf("%w: %w", ErrRefused, got.Warn)
		}
	case r.t != nil:
		if !r.before(&m) {
			r.others++
			got.Warn = ErrOther
		}
	case m.RatchetID == 0 && len(r.early) < maxEarly && r.earlyBytes+len(msg) <= maxEarlyBytes:
		r.early = append(r.early, bytes.Clone(msg))
		r.earlyBytes += len(msg)
		got.Early = true
	default:
		got.Warn = fmt.Errorf("%w: a data message of no session", ErrRefused)
		if r.refused == nil {
			r.refused = got.Warn
		}
	}
	return nil
}

// before reports whether m is a copy of a message that has been read.
func (r *Reader) before(m *v4.Data) bool {
	return r.started && bytes.Equal(m.ECDH, r.ecdh) && m.MessageID < r.next
}

// fitting returns the sessions that a data message may belong to: first those that know its
// key, then those that wait for a new ratchet, the newest first. It leaves out sessions whose
// first message has not been read to its end, because they begin again with that.
func (s *Store) fitting(sender uint32, m *v4.Data) []*Session {
	var known, waiting []*Session
	for _, t := range slices.Backward(s.sessions) {
		if t.unread {
			continue
		}
		switch t.engine.Fit(sender, m) {
		case v4.FitKnown:
			known = append(known, t)
		case v4.FitNew:
			waiting = append(waiting, t)
		}
	}
	return append(known, waiting...)
}

// plaintext handles the content of an authentic message of the session.
func (r *Reader) plaintext(got *Result, m *v4.Data, p wire.Plaintext) error {
	r.t.used = r.store.config.Now()
	if !r.started {
		r.started = true
		stream := slices.ContainsFunc(p.TLVs, func(t wire.TLV) bool { return t.Type == typeHead })
		switch {
		case r.kind == KindAny && stream:
			r.kind = KindStream
		case r.kind == KindAny:
			r.kind = KindTexts
		case r.kind == KindStream && !stream && len(p.Text) > 0:
			return ErrNoText
		case r.kind == KindStream && !stream:
			return fmt.Errorf("%w: its beginning is missing", ErrBroken)
		case r.kind == KindTexts && stream:
			return ErrNoStream
		}
		r.ecdh, r.ratchet, r.next = bytes.Clone(m.ECDH), m.RatchetID, m.MessageID
	}
	if r.kind == KindTexts {
		return r.text(got, m, p)
	}
	if m.RatchetID != r.ratchet || m.MessageID != r.next {
		return fmt.Errorf("%w: message %d of ratchet %d came where message %d of ratchet %d was due",
			ErrBroken, m.MessageID, m.RatchetID, r.next, r.ratchet)
	}
	r.next++
	if len(p.Text) > 0 {
		return fmt.Errorf("%w: a text inside", ErrBroken)
	}
	for i, t := range p.TLVs {
		if err := r.record(got, i, t); err != nil {
			return err
		}
	}
	r.close()
	return nil
}

// record handles one TLV of a stream.
func (r *Reader) record(got *Result, i int, t wire.TLV) error {
	switch t.Type {
	case typeHead:
		head, err := parseHead(t.Value)
		if err != nil {
			return err
		}
		if r.headed || i != 0 {
			return fmt.Errorf("%w: a second HEAD", ErrBroken)
		}
		got.Head, r.headed = &head, true
	case typeData:
		offset, err := parseOffset(t.Value)
		if err != nil {
			return err
		}
		if offset != r.offset || r.ended {
			return fmt.Errorf("%w: DATA at offset %d, not %d", ErrBroken, offset, r.offset)
		}
		p := t.Value[offsetLen:]
		r.offset += int64(len(p))
		if got.Data == nil {
			got.Data = p // borrowed from the message
			return nil
		}
		if !r.joined {
			r.data, r.joined = append(r.data[:0], got.Data...), true
		}
		r.data = append(r.data, p...)
		got.Data = r.data
	case typeEnd:
		offset, err := parseOffset(t.Value)
		if err != nil || len(t.Value) != offsetLen {
			return fmt.Errorf("%w: malformed END", ErrBroken)
		}
		if offset != r.offset || r.ended {
			return fmt.Errorf("%w: it ends after %d bytes, and %d have come", ErrBroken, offset, r.offset)
		}
		r.end(got)
	case wire.TLVDisconnected:
		if !r.ended {
			return fmt.Errorf("%w: the session was ended inside", ErrBroken)
		}
		r.t.closed = true
	}
	return nil
}

// text handles a message of a series of texts, which may come in any order.
func (r *Reader) text(got *Result, m *v4.Data, p wire.Plaintext) error {
	r.next = max(r.next, m.MessageID+1)
	if len(p.Text) > 0 {
		r.texts++
		got.Texts = append(got.Texts, bytes.Clone(p.Text))
	}
	for _, t := range p.TLVs {
		switch t.Type {
		case typeEnd:
			count, err := parseOffset(t.Value)
			if err != nil || len(t.Value) != offsetLen || count > int64(m.MessageID) {
				return fmt.Errorf("%w: malformed END", ErrBroken)
			}
			ecdh, last := bytes.Clone(m.ECDH), m.MessageID
			r.missing = func() int { return r.t.engine.SkippedIn(ecdh, last-uint32(count), last) }
		case wire.TLVDisconnected:
			r.t.closed = true
		}
	}
	// An end that came before some of its texts waits for them. END waits for the texts that
	// it counts, Disconnected for all missing messages.
	if !r.ended && (r.missing != nil && r.missing() == 0 || r.t.closed && r.t.engine.Skipped() == 0) {
		r.next = max(r.next, r.t.engine.Due(r.ecdh)) // others may have been read in an earlier run
		r.end(got)
	}
	r.close()
	return nil
}

func (r *Reader) end(got *Result) {
	r.ended, got.Ended = true, true
	r.t.unread = false
}

// close ends the session if the peer has ended it and nothing from before that is missing.
func (r *Reader) close() {
	if r.ended && r.t.closed && r.t.engine.Skipped() == 0 {
		r.t.engine.Drop()
	}
}

// Kind returns the kind of content of the session's message; KindAny before its first
// message.
func (r *Reader) Kind() Kind { return r.kind }

// Ended reports whether the authenticated end has come.
func (r *Reader) Ended() bool { return r.ended }

// Keep reports whether the session has to be put into the stored store when the input has
// ended. This is so if the message has been read to its end, so that it cannot be read again,
// and always for texts, because each of them is complete, or for their Disconnected. Otherwise the
// stored session stays unchanged, and the message can be read again.
func (r *Reader) Keep() bool {
	if r.t != nil && r.kind == KindTexts && (r.texts > 0 || r.t.closed) {
		r.t.unread = false
		return true
	}
	return r.ended
}

// Finish returns the result at the end of the input: nil if one message has been read to its
// authenticated end and there were no other messages. Otherwise the error is ErrRefused,
// ErrNothing, ErrBroken, ErrCut or ErrOther.
func (r *Reader) Finish() error {
	switch {
	case r.err != nil:
		return r.err
	case r.t == nil && r.refused != nil:
		return r.refused
	case r.t == nil && len(r.early) > 0:
		return fmt.Errorf("%w: the line that begins it is missing", ErrRefused)
	case r.t == nil:
		return ErrNothing
	case !r.ended:
		return ErrCut
	case r.others > 0:
		return ErrOther
	}
	return nil
}
