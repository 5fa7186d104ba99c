package toolkit

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"otrpipe/otr/v3"
	"otrpipe/otr/v4"
	"otrpipe/otr/wire"
)

// maxIncomplete is how many messages with missing fragments are reported at the end of the
// input.
const maxIncomplete = 100

// ErrIncomplete reports a message with missing fragments.
var ErrIncomplete = errors.New("toolkit: fragments are missing")

// A Message is one OTR message of a transcript, with every field.
type Message struct {
	Position
	// Number counts the whole messages from 1. It is 0 in a fragment; the message gets a
	// number when it is whole.
	Number int
	// Name is the specification's name of the message in lower case with underscores: query,
	// whitespace_tag, error, fragment, d_h_commit, d_h_key, reveal_signature, signature,
	// data, identity, auth_r, auth_i, non_interactive_auth, prekey_ensemble; "" if it is
	// unknown.
	Name string
	// Pieces is the number of fragments in which the message came; 0: it was not fragmented.
	Pieces int
	Fields Fields
	// Err, unless nil, is the reason why the message cannot be read. Fields then holds the
	// fields that could be read.
	Err error
	// ErrAt is the position of the fault.
	ErrAt Position

	// Header, Body and Raw are the header, the rest, and the whole of a binary message; they
	// are empty in other messages. They are valid until the next message is read.
	Header    wire.Header
	Body, Raw []byte

	ensemble *v4.Ensemble // of a prekey_ensemble
}

// MarshalJSON writes the message as one object: its position, "number", "message", "pieces",
// the fields, and "error".
func (m *Message) MarshalJSON() ([]byte, error) {
	f := Fields{
		{"line", uint64(m.Line)},
		{"column", uint64(m.Column)},
		{"offset", uint64(m.Offset)},
	}
	if m.Number > 0 {
		f.number("number", uint64(m.Number))
	}
	if m.Name != "" {
		f.add("message", m.Name)
	}
	if m.Pieces > 0 {
		f.number("pieces", uint64(m.Pieces))
	}
	f = append(f, m.Fields...)
	if m.Err != nil {
		f.add("error", m.Err.Error())
		f.add("error_line", uint64(m.ErrAt.Line))
		f.add("error_column", uint64(m.ErrAt.Column))
	}
	return json.Marshal(f)
}

// A Parser reads a transcript message by message. It reassembles fragments, and makes all
// checks that are possible without keys: the signatures of client profiles, the ring
// signatures of key exchanges, and which messages a revealed MAC key authenticates. Its
// memory is bounded. Only one goroutine may use it.
type Parser struct {
	scanner   *Scanner
	assembler wire.Assembler
	open      map[fragmentKey]*incomplete // messages with missing fragments
	order     []fragmentKey
	lost      []*incomplete // to be reported at the end
	pending   *Message      // the whole message, to be returned after its last fragment
	number    int
	binary    []byte
	judge     judge
}

type fragmentKey struct {
	format     int
	id, sender uint32
}

type incomplete struct {
	at   Position
	came int
	n    uint16
}

// NewParser returns a Parser of the text that r reads.
func NewParser(r io.Reader) *Parser {
	return &Parser{
		scanner: NewScanner(r),
		open:    map[fragmentKey]*incomplete{},
		judge:   judge{accounts: []*v4.Accounts{nil}},
	}
}

// TryAccounts sets the two account names that a version 4 key exchange may be bound to, in
// either order. Call it before the first Next.
func (p *Parser) TryAccounts(one, other string) {
	p.judge.accounts = append(p.judge.accounts, &v4.Accounts{Ours: one, Theirs: other}, &v4.Accounts{Ours: other, Theirs: one})
}

// Next returns the next message: a fragment, or a whole message, which follows its last
// fragment if it was fragmented. After the last message it returns each message with missing
// fragments, with ErrIncomplete, and then io.EOF. A damaged message is not an error of Next;
// see Message.Err. The result is valid until the next call.
func (p *Parser) Next() (*Message, error) {
	if m := p.pending; m != nil {
		p.pending = nil
		return m, nil
	}
	t, err := p.scanner.Next()
	if err == io.EOF {
		return p.nextLost()
	}
	if err != nil {
		return nil, err
	}
	m := &Message{Position: t.Position, Err: t.Err, ErrAt: t.ErrAt}
	if t.Kind == wire.KindFragment {
		p.fragment(m, t)
		return m, nil
	}
	p.number++
	m.Number = p.number
	switch t.Kind {
	case wire.KindQuery:
		m.Name = "query"
		v, _ := wire.ParseQuery(t.Text)
		m.Fields.add("versions", versionList(v))
	case wire.KindTagged:
		m.Name = "whitespace_tag"
		v, _, _ := wire.ParseTag(t.Text)
		m.Fields.add("versions", versionList(v))
	case wire.KindError:
		m.Name = "error"
		m.Fields.add("text", string(bytes.ToValidUTF8(t.Text, []byte("\ufffd"))))
	default:
		switch {
		case m.Err != nil:
		case t.Ensemble:
			p.ensemble(m, t.Text)
		default:
			p.encoded(m, t.Text)
		}
	}
	return m, nil
}

// versionList writes versions as a query does: one digit per version.
func versionList(v wire.Versions) string {
	var s []byte
	for i := range 10 {
		if v.Has(i) {
			s = append(s, '0'+byte(i))
		}
	}
	return string(s)
}

// fragment sets the fields of a fragment, and makes the whole message pending if it was the
// last one.
func (p *Parser) fragment(m *Message, t Token) {
	m.Name = "fragment"
	f, err := wire.ParseFragment(t.Text)
	if err != nil {
		if m.Err == nil {
			m.Err, m.ErrAt = err, t.Position
		}
		return
	}
	m.Fields.number("format", uint64(f.Version))
	if f.Version == 4 {
		m.Fields.add("identifier", Tag(f.ID))
	}
	if f.Version > 2 {
		m.Fields.add("sender_instance", Tag(f.Sender))
		m.Fields.add("receiver_instance", Tag(f.Receiver))
	}
	m.Fields.number("index", uint64(f.K))
	m.Fields.number("total", uint64(f.N))
	m.Fields.add("piece", string(f.Piece))

	key := fragmentKey{f.Version, f.ID, f.Sender}
	p.track(key, f, t.Position)
	whole, err := p.assembler.Add(f, time.Time{})
	if err != nil {
		m.Err, m.ErrAt = err, t.Position
		if f.Version != 4 || !errors.Is(err, wire.ErrFragmentOrder) {
			p.forget(key)
		}
		return
	}
	if whole == nil {
		return
	}
	first := p.close(key)
	p.number++
	p.pending = &Message{Position: first.at, Number: p.number, Pieces: int(f.N)}
	p.encoded(p.pending, whole)
}

// track records that a fragment has come.
func (p *Parser) track(key fragmentKey, f wire.Fragment, at Position) {
	if f.Version != 4 && f.K == 1 {
		p.forget(key)
	}
	if p.open[key] == nil {
		for len(p.open) >= wire.MaxOpenMessages { // as the assembler does
			p.forget(p.order[0])
		}
		p.open[key] = &incomplete{at: at, n: f.N}
		p.order = append(p.order, key)
	}
	p.open[key].came++
	// The assembler first drops the message that has waited longest for a piece.
	i := slices.Index(p.order, key)
	p.order = append(slices.Delete(p.order, i, i+1), key)
}

// forget gives up a message with missing fragments.
func (p *Parser) forget(key fragmentKey) {
	if lost := p.close(key); lost != nil && len(p.lost) < maxIncomplete {
		p.lost = append(p.lost, lost)
	}
}

// close removes a message from those with missing fragments, and returns it; nil: it is not
// among them.
func (p *Parser) close(key fragmentKey) *incomplete {
	m := p.open[key]
	delete(p.open, key)
	if i := slices.Index(p.order, key); i >= 0 {
		p.order = slices.Delete(p.order, i, i+1)
	}
	return m
}

// nextLost returns the next message that remained incomplete.
func (p *Parser) nextLost() (*Message, error) {
	for len(p.order) > 0 {
		p.forget(p.order[0])
	}
	if len(p.lost) == 0 {
		return nil, io.EOF
	}
	lost := p.lost[0]
	p.lost = p.lost[1:]
	return &Message{
		Position: lost.at,
		Name:     "fragment",
		Err:      fmt.Errorf("%w: %d of %d came", ErrIncomplete, lost.came, lost.n),
		ErrAt:    lost.at,
	}, nil
}

// encoded sets the fields of an encoded message.
func (p *Parser) encoded(m *Message, text []byte) {
	var err error
	if p.binary, err = wire.AppendDearmored(p.binary[:0], text); err == nil {
		err = p.parse(m, p.binary)
	}
	if err != nil {
		m.Err, m.ErrAt = err, m.Position
	}
}

// names holds the names of the binary messages.
var names = map[wire.MessageType]string{
	wire.TypeData:               "data",
	wire.TypeDHCommit:           "d_h_commit",
	wire.TypeDHKey:              "d_h_key",
	wire.TypeRevealSignature:    "reveal_signature",
	wire.TypeSignature:          "signature",
	wire.TypeIdentity:           "identity",
	wire.TypeAuthR:              "auth_r",
	wire.TypeAuthI:              "auth_i",
	wire.TypeNonInteractiveAuth: "non_interactive_auth",
}

// parse sets the fields of a binary message.
func (p *Parser) parse(m *Message, msg []byte) error {
	h, body, err := wire.ParseHeader(msg)
	if err != nil {
		return err
	}
	m.Header, m.Body, m.Raw = h, body, msg
	p.judge.earn(len(msg))
	m.Name = names[h.Type]
	m.Fields.number("version", uint64(h.Version))
	if h.Version > 2 {
		m.Fields.add("sender_instance", Tag(h.Sender))
		m.Fields.add("receiver_instance", Tag(h.Receiver))
	}
	if h.Version == v4.Version {
		return p.parse4(m)
	}
	return p.parse3(m)
}

// parse3 sets the fields of versions 2 and 3.
func (p *Parser) parse3(m *Message) error {
	f := &m.Fields
	switch m.Header.Type {
	case wire.TypeDHCommit:
		b, err := v3.ParseDHCommit(m.Body)
		if err != nil {
			return err
		}
		f.bytes("encrypted_gx", b.EncryptedGX)
		f.bytes("hashed_gx", b.HashedGX)
	case wire.TypeDHKey:
		b, err := v3.ParseDHKey(m.Body)
		if err != nil {
			return err
		}
		f.bytes("gy", b.GY)
	case wire.TypeRevealSignature:
		b, err := v3.ParseRevealSignature(m.Body)
		if err != nil {
			return err
		}
		f.bytes("revealed_key", b.RevealedKey)
		f.bytes("encrypted_signature", b.Encrypted)
		f.bytes("mac", b.MAC)
	case wire.TypeSignature:
		b, err := v3.ParseSignature(m.Body)
		if err != nil {
			return err
		}
		f.bytes("encrypted_signature", b.Encrypted)
		f.bytes("mac", b.MAC)
	default:
		return p.data3(m)
	}
	return nil
}

// data3 sets the fields of a data message of versions 2 and 3.
func (p *Parser) data3(m *Message) error {
	f := &m.Fields
	b, err := v3.ParseData(m.Body)
	if err != nil {
		return err
	}
	f.number("flags", uint64(b.Flags))
	f.number("sender_key_id", uint64(b.SenderKeyID))
	f.number("recipient_key_id", uint64(b.RecipientKeyID))
	f.bytes("next_dh", b.DHY)
	f.bytes("counter", counterBytes(b.Counter))
	f.bytes("encrypted_message", b.Encrypted)
	f.bytes("authenticator", b.MAC)
	f.add("revealed_mac_keys", p.judge.revealed(b.OldMACKeys, len(b.MAC), m.Header))
	p.judge.keep(m, b.Authenticated, b.MAC)
	return nil
}

// counterBytes returns the top half of the initial counter as it is encoded in the message.
func counterBytes(v uint64) []byte {
	return wire.AppendInt(wire.AppendInt(nil, uint32(v>>32)), uint32(v))
}

// parse4 sets the fields of version 4.
func (p *Parser) parse4(m *Message) error {
	f := &m.Fields
	switch m.Header.Type {
	case wire.TypeIdentity:
		b, err := v4.ParseIdentity(m.Body)
		if err != nil {
			return err
		}
		f.add("client_profile", profileFields(b.Profile, m.Header.Sender))
		f.bytes("y", b.Y)
		f.bytes("b", b.B)
		f.bytes("first_ecdh", b.FirstECDH)
		f.bytes("first_dh", b.FirstDH)
		p.judge.identity(m.Header, b)
	case wire.TypeAuthR:
		b, err := v4.ParseAuthR(m.Body)
		if err != nil {
			return err
		}
		f.add("client_profile", profileFields(b.Profile, m.Header.Sender))
		f.bytes("x", b.X)
		f.bytes("a", b.A)
		f.bytes("sigma", b.Sigma)
		f.bytes("first_ecdh", b.FirstECDH)
		f.bytes("first_dh", b.FirstDH)
		f.add("sigma_check", p.judge.authR(m.Header, b))
	case wire.TypeAuthI:
		b, err := v4.ParseAuthI(m.Body)
		if err != nil {
			return err
		}
		f.bytes("sigma", b.Sigma)
		f.add("sigma_check", p.judge.authI(m.Header, b))
	case wire.TypeNonInteractiveAuth:
		b, err := v4.ParseNonInteractiveAuth(m.Body)
		if err != nil {
			return err
		}
		f.add("client_profile", profileFields(b.Profile, m.Header.Sender))
		f.bytes("x", b.X)
		f.bytes("a", b.A)
		f.bytes("sigma", b.Sigma)
		f.bytes("prekey_id", wire.AppendInt(nil, b.PrekeyID))
		f.bytes("auth_mac", b.AuthMAC)
		f.bytes("first_ecdh", b.FirstECDH)
		f.bytes("first_dh", b.FirstDH)
		f.add("sigma_check", p.judge.nonInteractiveAuth(m.Header, b))
	default:
		return p.data4(m)
	}
	return nil
}

// data4 sets the fields of a data message of version 4.
func (p *Parser) data4(m *Message) error {
	f := &m.Fields
	b, err := v4.ParseData(m.Body)
	if err != nil {
		return err
	}
	f.number("flags", uint64(b.Flags))
	f.number("previous_chain_messages", uint64(b.PreviousCount))
	f.number("ratchet_id", uint64(b.RatchetID))
	f.number("message_id", uint64(b.MessageID))
	f.bytes("ecdh", b.ECDH)
	f.bytes("dh", b.DH)
	f.bytes("encrypted_message", b.Encrypted)
	f.bytes("authenticator", b.MAC)
	f.add("revealed_mac_keys", p.judge.revealed(b.Revealed, len(b.MAC), m.Header))
	p.judge.keep(m, b.Authenticated, b.MAC)
	return nil
}

// ensemble sets the fields of a prekey ensemble.
func (p *Parser) ensemble(m *Message, text []byte) {
	m.Name = "prekey_ensemble"
	e, err := v4.ParseArmoredEnsemble(text)
	if err != nil {
		m.Err, m.ErrAt = err, m.Position
		return
	}
	m.ensemble = e
	f := &m.Fields
	f.number("version", uint64(e.Message.Version))
	f.add("client_profile", profileFields(e.Client, e.Client.InstanceTag))
	var prekey Fields
	prekey.add("instance", Tag(e.Prekey.InstanceTag))
	addExpiry(&prekey, e.Prekey.Expires)
	prekey.bytes("shared_prekey", e.Prekey.SharedPrekey)
	prekey.bytes("signature", e.Prekey.Signature)
	f.add("prekey_profile", prekey)
	f.bytes("prekey_id", wire.AppendInt(nil, e.Message.ID)) // as `prekeys list` shows it
	f.add("prekey_instance", Tag(e.Message.InstanceTag))
	f.bytes("y", e.Message.Y)
	f.bytes("b", e.Message.B)
	// The reader has to judge whether it has expired.
	if _, err := e.Validate(time.Unix(min(e.Client.Expires, e.Prekey.Expires)-1, 0)); err != nil {
		f.add("valid", false)
		f.add("fault", err.Error())
		return
	}
	f.add("valid", true)
	p.judge.ensemble(e)
}

// addExpiry adds the field expires, or expires_seconds if RFC 3339 cannot express the time.
func addExpiry(f *Fields, seconds int64) {
	expires := time.Unix(seconds, 0).UTC()
	if year := expires.Year(); year < 0 || year > 9999 {
		f.number("expires_seconds", uint64(seconds))
		return
	}
	f.add("expires", expires)
}

// profileFields returns the fields of a client profile from the instance sender, its
// fingerprint, and whether its signature is valid.
func profileFields(p *v4.Profile, sender uint32) Fields {
	var f Fields
	f.add("instance", Tag(p.InstanceTag))
	f.bytes("public_key", p.PublicKey)
	f.bytes("forging_key", p.ForgingKey)
	f.add("versions", string(p.Versions))
	addExpiry(&f, p.Expires)
	if p.DSA != nil {
		f.bytes("dsa_key", p.DSA.Append(nil))
	}
	if p.Transitional != nil {
		f.bytes("transitional_signature", p.Transitional)
	}
	f.bytes("signature", p.Signature)
	// Whether it had expired depends on when it was received, which the reader has to judge.
	peer, err := p.Validate(sender, time.Unix(p.Expires-1, 0))
	if err != nil {
		f.add("valid", false)
		f.add("fault", err.Error())
		return f
	}
	f.add("valid", true)
	f.bytes("fingerprint", peer.Fingerprint().Bytes())
	return f
}
