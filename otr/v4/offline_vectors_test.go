package v4

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"reflect"
	"sort"
	"strings"
	"sync"
	"testing"
	"time"

	"otrpipe/otr/group"
	"otrpipe/otr/keys"
	"otrpipe/otr/smp"
	"otrpipe/otr/wire"
)

// offlineVectors is testdata/offline.json.gz; testdata/README.md says what the fields are.
type offlineVectors struct {
	PrekeyProfiles []struct {
		Comment         string
		Bytes, Owner    hexBytes
		SenderTag       uint32 `json:"sender_tag"`
		Now             int64
		Valid           bool
		Why             string
		OwnerSymmetric  hexBytes `json:"owner_symmetric"`
		SharedSymmetric hexBytes `json:"shared_symmetric"`
		Parsed          *struct {
			Tag               uint32
			Expires           int64
			D                 hexBytes
			Signed, Signature hexBytes
		}
	} `json:"prekey_profiles"`
	PrekeyMessages []struct {
		Comment string
		Bytes   hexBytes
		Valid   bool
		Why     string
		YRandom hexBytes `json:"y_random"`
		YSecret hexBytes `json:"y_secret"`
		BSecret hexBytes `json:"b_secret"`
		Parsed  *struct {
			ID, Tag uint32
			Y, B    hexBytes
		}
	} `json:"prekey_messages"`
	Ensembles []struct {
		Comment, Line string
		Now           int64
		Valid         bool
		Why           string
		Parsed        *struct {
			ClientProfile hexBytes `json:"client_profile"`
			PrekeyProfile hexBytes `json:"prekey_profile"`
			PrekeyMessage hexBytes `json:"prekey_message"`
			Tag, ID       uint32
			Fingerprint   string
		}
	}
	EnsembleFiles []struct {
		Comment, Text string
		Now           int64
		Valid         [][4]any
		Refused       [][2]any
	} `json:"ensemble_files"`
	Transcripts []struct {
		Comment          string
		SenderTag        uint32   `json:"sender_tag"`
		PublisherTag     uint32   `json:"publisher_tag"`
		SenderAccount    *string  `json:"sender_account"`
		PublisherAccount *string  `json:"publisher_account"`
		PublisherProfile hexBytes `json:"publisher_profile"`
		SenderProfile    hexBytes `json:"sender_profile"`
		Y, X, B, A, D    hexBytes
		FirstECDH        hexBytes `json:"ecdh_first"`
		FirstDH          hexBytes `json:"dh_first"`
		Phi, T           hexBytes
	}
	Keys []map[string]hexBytes
	Auth struct {
		Publisher struct {
			Tag      uint32
			Identity hexBytes `json:"identity_symmetric"`
			Forging  hexBytes `json:"forging_symmetric"`
			Pairs    []struct {
				Expires int64
				Client  hexBytes `json:"client_profile"`
				Prekey  hexBytes `json:"prekey_profile"`
				Shared  hexBytes `json:"shared_symmetric"`
			}
			Prekeys []struct {
				ID   uint32
				Pair int
				Y    hexBytes `json:"y_secret"`
				B    hexBytes `json:"b_secret"`
			}
			Used []uint32
		}
		Messages []struct {
			Comment, Line    string
			Now              int64
			Account, Contact *string
			Valid            bool
			Why              string
			Left             []uint32
			Secure           map[string]any
			Values           [][2]string
		}
	}
	Sessions []struct {
		Name    string
		Now     int64
		Parties map[string]*offlineParty
		Steps   []struct {
			Side, Op string
			Now      int64
			Args     map[string]any
			Random   [][2]string
			Events   []map[string]any
			Sent     []string
			State    string
		}
	}
}

type offlineParty struct {
	Account, Contact *string
	Tag              uint32
	Fragments        int
	Identity         hexBytes `json:"identity_symmetric"`
	Forging          hexBytes `json:"forging_symmetric"`
	Profile          hexBytes
	ProfileExpires   int64 `json:"profile_expires"`
	Fingerprint      string
}

// readOffline reads them once; no test changes them.
var readOffline = sync.OnceValues(func() (*offlineVectors, error) {
	v := new(offlineVectors)
	return v, parseVectors("offline.json.gz", v)
})

func loadOffline(t testing.TB) *offlineVectors {
	t.Helper()
	v, err := readOffline()
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func privateKey(t testing.TB, symmetric []byte) *keys.Ed448PrivateKey {
	t.Helper()
	k, err := keys.NewEd448PrivateKey(symmetric)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func TestPrekeyProfileVectors(t *testing.T) {
	for _, v := range loadOffline(t).PrekeyProfiles {
		r := wire.NewReader(v.Bytes)
		p, err := ReadPrekeyProfile(&r)
		if err == nil {
			err = r.End()
		}
		if err == nil {
			owner, ownerErr := keys.ParseEd448PublicKey(v.Owner)
			if ownerErr != nil {
				t.Fatal(ownerErr)
			}
			_, err = p.Validate(owner, v.SenderTag, time.Unix(v.Now, 0))
		}
		if (err == nil) != v.Valid {
			t.Errorf("%s: %v, want %q", v.Comment, err, v.Why)
		}
		if p != nil && !bytes.Equal(p.Append(nil), v.Bytes[:len(p.encoded)]) {
			t.Errorf("%s: written as %x", v.Comment, p.Append(nil))
		}
		if v.Parsed == nil {
			continue
		}
		if p.InstanceTag != v.Parsed.Tag || p.Expires != v.Parsed.Expires || !bytes.Equal(p.SharedPrekey, v.Parsed.D) ||
			!bytes.Equal(p.signed(), v.Parsed.Signed) || !bytes.Equal(p.Signature, v.Parsed.Signature) {
			t.Errorf("%s: parsed as %+v", v.Comment, p)
		}
		if v.OwnerSymmetric != nil {
			made, err := newPrekeyProfile(v.Parsed.Tag, privateKey(t, v.OwnerSymmetric), privateKey(t, v.SharedSymmetric).Public(), time.Unix(v.Parsed.Expires, 0))
			if err != nil || !bytes.Equal(made.Append(nil), v.Bytes) {
				t.Errorf("%s: made %x, %v", v.Comment, made.Append(nil), err)
			}
		}
	}
}

func TestPrekeyMessageVectors(t *testing.T) {
	for _, v := range loadOffline(t).PrekeyMessages {
		r := wire.NewReader(v.Bytes)
		m, err := ReadPrekeyMessage(&r)
		if err == nil {
			err = r.End()
		}
		if err == nil {
			_, err = m.Validate()
		}
		if (err == nil) != v.Valid {
			t.Errorf("%s: %v, want %q", v.Comment, err, v.Why)
		}
		if err == nil && !bytes.Equal(m.Append(nil), v.Bytes) {
			t.Errorf("%s: written as %x", v.Comment, m.Append(nil))
		}
		if v.Parsed != nil && (m.ID != v.Parsed.ID || m.InstanceTag != v.Parsed.Tag || !bytes.Equal(m.Y, v.Parsed.Y) || !bytes.Equal(m.B, v.Parsed.B)) {
			t.Errorf("%s: parsed as %+v", v.Comment, m)
		}
		if v.YSecret != nil {
			k := storedPrekey(t, v.Parsed.ID, v.YSecret, v.BSecret)
			if !k.y.Equal(group.ScalarFromSeed(v.YRandom)) {
				t.Errorf("%s: y is not that of its draw", v.Comment)
			}
			y, b := k.ecdh(), k.dh()
			if !bytes.Equal(y.public[:], m.Y) || !bytes.Equal(b.public, m.B) {
				t.Errorf("%s: Y is %x, B %x", v.Comment, y.public, b.public)
			}
		}
	}
}

// storedPrekey is a prekey of secrets as the vectors have them: y pruned but not reduced.
func storedPrekey(t testing.TB, id uint32, y, b []byte) *Prekey {
	t.Helper()
	r := wire.NewReader(append(append(wire.AppendInt(nil, id), y...), b...))
	k, err := ReadPrekey(&r)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func TestEnsembleVectors(t *testing.T) {
	for _, v := range loadOffline(t).Ensembles {
		piece, ok := strings.CutPrefix(v.Line, ensembleStart)
		if !ok {
			if v.Valid {
				t.Errorf("%s: valid without its prefix", v.Comment)
			}
			valid, _ := ReadEnsembles([]byte(v.Line), time.Unix(v.Now, 0))
			if len(valid) > 0 {
				t.Errorf("%s: accepted", v.Comment)
			}
			continue
		}
		e, err := dearmorEnsemble([]byte(piece))
		var r *Recipient
		if err == nil {
			r, err = e.Validate(time.Unix(v.Now, 0))
		}
		if (err == nil) != v.Valid {
			t.Errorf("%s: %v, want %q", v.Comment, err, v.Why)
		}
		if v.Parsed == nil {
			continue
		}
		parts := [][]byte{e.Client.Append(nil), e.Prekey.Append(nil), e.Message.Append(nil)}
		for i, want := range [][]byte{v.Parsed.ClientProfile, v.Parsed.PrekeyProfile, v.Parsed.PrekeyMessage} {
			if !bytes.Equal(parts[i], want) {
				t.Errorf("%s: part %d is %x", v.Comment, i, parts[i])
			}
		}
		if r.InstanceTag() != v.Parsed.Tag || e.Message.ID != v.Parsed.ID || r.Peer.Fingerprint().Hex() != v.Parsed.Fingerprint {
			t.Errorf("%s: of %08x, prekey %d, %s", v.Comment, r.InstanceTag(), e.Message.ID, r.Peer.Fingerprint().Hex())
		}
		if got := string(e.AppendArmor(nil)); got != strings.Join(strings.Fields(v.Line), "") {
			t.Errorf("%s: armored as %s", v.Comment, got)
		}
	}
}

func TestEnsembleFileVectors(t *testing.T) {
	for _, v := range loadOffline(t).EnsembleFiles {
		valid, refused := ReadEnsembles([]byte(v.Text), time.Unix(v.Now, 0))
		if len(valid) != len(v.Valid) || len(refused) != len(v.Refused) {
			t.Errorf("%s: %d valid and %v refused, want %v and %v", v.Comment, len(valid), refused, v.Valid, v.Refused)
			continue
		}
		for i, want := range v.Valid {
			r := valid[i]
			got := [4]any{want[0], float64(r.Ensemble.Message.ID), r.Peer.Fingerprint().Hex(), float64(r.InstanceTag())}
			if got != want {
				t.Errorf("%s: valid %v, want %v", v.Comment, got, want)
			}
		}
		for i, want := range v.Refused {
			if float64(refused[i].Number) != want[0] {
				t.Errorf("%s: refused %v, want %v", v.Comment, refused[i], want)
			}
		}
	}
}

func TestNonInteractiveTranscriptVectors(t *testing.T) {
	profile := func(b []byte) *Profile { return &Profile{encoded: b} }
	for _, v := range loadOffline(t).Transcripts {
		c, other := newTestClient(t, 1), newTestClient(t, 2)
		c.InstanceTag, other.InstanceTag = v.SenderTag, v.PublisherTag
		c.Accounts, other.Accounts = nil, nil
		if v.SenderAccount != nil {
			c.Accounts = &Accounts{Ours: *v.SenderAccount, Theirs: *v.PublisherAccount}
			other.Accounts = &Accounts{Ours: *v.PublisherAccount, Theirs: *v.SenderAccount}
		}
		alice := &public{tag: v.SenderTag, firstECDH: v.FirstECDH, firstDH: v.FirstDH}
		phi := c.nonInteractivePhi(alice, v.PublisherTag, true)
		if !bytes.Equal(phi, v.Phi) || !bytes.Equal(other.nonInteractivePhi(alice, v.PublisherTag, false), v.Phi) {
			t.Errorf("%s: phi is %x, want %x", v.Comment, phi, []byte(v.Phi))
		}
		x := nonInteractive{bob: profile(v.PublisherProfile), alice: profile(v.SenderProfile), y: v.Y, x: v.X, b: v.B, a: v.A, d: v.D, phi: phi}
		if got := x.transcript(); !bytes.Equal(got, v.T) {
			t.Errorf("%s: t is %x, want %x", v.Comment, got, []byte(v.T))
		}
	}
}

func TestNonInteractiveKeyVectors(t *testing.T) {
	for _, v := range loadOffline(t).Keys {
		point := func(name string) *group.Point {
			p, err := group.ParsePoint(v[name])
			if err != nil {
				t.Fatal(err)
			}
			return p
		}
		secret := func(name string) group.Scalar { return group.ReduceScalar(v[name]) }
		same := func(name string, got []byte) {
			t.Helper()
			if !bytes.Equal(got, v[name]) {
				t.Errorf("%s is %x, want %x", name, got, []byte(v[name]))
			}
		}
		dh := func(name string) *dhKey {
			k := new(dhKey)
			copy(k.secret[:], v[name])
			return k
		}
		brace, err := thirdBraceKey(dh("a"), v["B"])
		if err != nil {
			t.Fatal(err)
		}
		same("brace_key", brace[:])
		x := secret("x")
		tmp, err := tmpKey(&brace, secretPoint{point("Y"), x}, secretPoint{point("D"), x}, secretPoint{point("H"), x})
		if err != nil {
			t.Fatal(err)
		}
		same("tmp_k", tmp[:])
		theirs, err := tmpKey(&brace, secretPoint{point("X"), secret("y")}, secretPoint{point("X"), secret("shared_prekey_secret")},
			secretPoint{point("X"), secret("identity_secret")})
		if err != nil || theirs != tmp {
			t.Errorf("the publisher's tmp_k is %x, %v", theirs[:], err)
		}
		same("auth_mac", authMAC(&tmp, v["t"]))

		// Bob's first ratchet hashes the brace key on.
		bob := newTestClient(t, 2).NewEngine(0x100)
		s := &session{role: roleBob, ratchet: ratchet{theirECDH: point("first_ecdh_public")}}
		bob.beginOffline(s, &tmp, &brace)
		same("ssid", s.ssid[:])
		same("root_key", s.ratchet.root[:])
		same("chain_key", s.ratchet.receiveChain[:])
		enc := s.ratchet.receiveChain.derive(group.UsageMessageKey)
		same("MKenc_0", enc[:])
		same("answer_brace_key", s.ratchet.brace[:])
		s.ratchet.ecdh.secret = secret("answer_ecdh_secret")
		chain, err := s.ratchet.advance()
		if err != nil {
			t.Fatal(err)
		}
		same("answer_brace_key", s.ratchet.brace[:])
		same("answer_root_key", s.ratchet.root[:])
		same("answer_chain_key", chain[:])
	}
}

// A mailbox is somebody who writes and reads offline, as the recorded program does.
type mailbox struct {
	t            testing.TB
	client       *Client
	clock        *testClock
	random       *recordedRandom
	publications []*Publication
	prekeys      map[uint32]*Prekey
	with         map[uint32]*Publication // what a prekey was published with
	gone         map[uint32]error
	sessions     []*mailSession
	current      *mailSession
	early        [][]byte
	pieces       wire.Assembler
	online       *mailSession

	sent   []string
	events []map[string]any
}

type mailSession struct {
	*Engine
	smp   *smp.Machine
	ended string
}

func newMailbox(t testing.TB, tag uint32, identity, forging []byte, account, contact *string) *mailbox {
	m := &mailbox{t: t, clock: new(testClock), random: new(recordedRandom),
		prekeys: map[uint32]*Prekey{}, with: map[uint32]*Publication{}, gone: map[uint32]error{}}
	config := Config{InstanceTag: tag, Identity: privateKey(t, identity), Forging: privateKey(t, forging).ForgingKey(), Rand: m.random, Now: m.clock.Now}
	if account != nil {
		config.Accounts = &Accounts{Ours: *account, Theirs: *contact}
	}
	m.client = NewClient(config)
	return m
}

func (m *mailbox) event(name string, fields ...any) {
	e := map[string]any{"event": name}
	for i := 0; i < len(fields); i += 2 {
		e[fields[i].(string)] = fields[i+1]
	}
	m.events = append(m.events, e)
}

func (m *mailbox) forget() {
	var kept []*Publication
	for _, p := range m.publications {
		if p.Usable(m.clock.now) {
			kept = append(kept, p)
			continue
		}
		for id := range m.prekeys {
			if m.with[id] == p {
				delete(m.prekeys, id)
				m.gone[id] = ErrPrekeyExpired
			}
		}
	}
	m.publications = kept
}

func (m *mailbox) find(id uint32) (*Prekey, []*Publication, error) {
	m.forget()
	if err := m.gone[id]; err != nil {
		return nil, nil, err
	}
	k := m.prekeys[id]
	if k == nil {
		return nil, nil, ErrNoPrekey
	}
	all := []*Publication{m.with[id]}
	for i := len(m.publications) - 1; i >= 0; i-- {
		if p := m.publications[i]; p != m.with[id] {
			all = append(all, p)
		}
	}
	return k, all, nil
}

// secure adds a session that has begun. It is stored and restored at once, and again after
// each message: nothing that matters is anywhere else.
func (m *mailbox) secure(e *Engine, prekey *uint32) {
	id, first := e.SSID()
	fields := []any{"version", 4.0, "fingerprint", e.PeerKey().Fingerprint().Hex(), "ssid", hex.EncodeToString(id[:]),
		"bold", map[bool]string{true: "first", false: "second"}[first]}
	if prekey != nil {
		fields = append(fields, "prekey", fmt.Sprintf("%08x", *prekey), "tag", fmt.Sprintf("%08x", m.client.InstanceTag), "their_tag", fmt.Sprintf("%08x", e.Peer()))
		m.current = &mailSession{Engine: e}
		m.sessions = append(m.sessions, m.current)
	}
	m.current.smp = smp.New(smp.V4(m.client.Fingerprint(), e.PeerKey().Fingerprint(), id), m.random)
	m.event("secure", fields...)
	m.store(m.current)
}

func (m *mailbox) store(s *mailSession) {
	if !s.Encrypted() || s.AuthState() != AuthNone || s == m.online {
		return
	}
	b, err := s.AppendSession(nil, 0)
	if err != nil {
		m.t.Fatal(err)
	}
	r := wire.NewReader(b)
	restored, err := m.client.ReadSession(&r)
	if err == nil {
		err = r.End()
	}
	if err != nil {
		m.t.Fatal(err)
	}
	again, err := restored.AppendSession(nil, 0)
	if err != nil || !bytes.Equal(again, b) {
		m.t.Fatalf("a stored session comes back as another, %v", err)
	}
	s.Engine = restored
}

func (m *mailbox) receive(line string) {
	if wire.Classify([]byte(line)) == wire.KindFragment {
		f, err := wire.ParseFragment([]byte(line))
		if err != nil {
			m.t.Fatal(err)
		}
		whole, err := m.pieces.Add(f, m.clock.now)
		if err != nil {
			m.t.Fatal(err)
		}
		if whole != nil {
			m.receive(string(whole))
		}
		return
	}
	msg, err := wire.AppendDearmored(nil, []byte(line))
	if err != nil {
		m.t.Fatal(err)
	}
	if err := m.receiveMessage(msg); err != nil {
		m.event("error", "err", err)
	}
}

func (m *mailbox) receiveMessage(msg []byte) error {
	h, body, err := wire.ParseHeader(msg)
	if err != nil {
		return err
	}
	if h.Version != Version {
		return wire.ErrVersion
	}
	switch h.Type {
	case wire.TypeNonInteractiveAuth:
		opened, err := m.client.Open(h, body, m.find)
		if err != nil {
			return err
		}
		id := opened.Prekey.ID
		delete(m.prekeys, id)
		m.gone[id] = ErrPrekeyUsed
		m.secure(opened.Engine, &id)
		waiting := m.early
		m.early = nil
		sort.SliceStable(waiting, func(i, j int) bool { return bytes.Compare(waiting[i][20:24], waiting[j][20:24]) < 0 })
		for _, msg := range waiting {
			before := len(m.events)
			if err := m.receiveMessage(msg); err != nil {
				m.event("error", "err", err)
			} else if n := len(m.events); n > before && m.events[n-1]["event"] == "early" {
				m.events = m.events[:n-1]
			}
		}
	case wire.TypeData:
		return m.receiveData(h, body, msg)
	default:
		m.onlineEngine(h.Sender)
		sessions := m.current.Sessions()
		reply, _, err := m.current.Receive(h, body, msg, nil)
		if err != nil {
			return err
		}
		if reply != nil {
			m.sent = append(m.sent, string(wire.AppendArmor(nil, reply)))
		}
		if m.current.Sessions() > sessions {
			m.secure(m.current.Engine, nil)
		}
	}
	return nil
}

func (m *mailbox) onlineEngine(peer uint32) {
	if m.online == nil {
		m.online = &mailSession{Engine: m.client.NewEngine(peer)}
		m.sessions = append(m.sessions, m.online)
	}
	m.current = m.online
}

func (m *mailbox) receiveData(h wire.Header, body, msg []byte) error {
	d, err := ParseData(body)
	if err != nil {
		return err
	}
	for _, want := range []Fit{FitKnown, FitNew} {
		for i := len(m.sessions) - 1; i >= 0; i-- {
			s := m.sessions[i]
			if s.Fit(h.Sender, &d) != want {
				continue
			}
			whole := bytes.Clone(msg)
			_, body, _ := wire.ParseHeader(whole)
			_, p, err := s.Receive(h, body, whole, nil)
			if err != nil {
				return err
			}
			m.current = s
			m.receivePlaintext(s, &d, p)
			m.store(s)
			return nil
		}
	}
	if d.RatchetID != 0 {
		return ErrUnknownKey
	}
	m.early = append(m.early, bytes.Clone(msg))
	m.event("early", "sender", fmt.Sprintf("%08x", h.Sender))
	return nil
}

func (m *mailbox) receivePlaintext(s *mailSession, d *Data, p wire.Plaintext) {
	if len(p.Text) > 0 {
		m.event("text", "text", string(p.Text), "ratchet", float64(d.RatchetID), "message", float64(d.MessageID), "revealed", float64(len(d.Revealed)/macLen))
	}
	extra := s.ExtraKeys(true)
	for _, tlv := range p.TLVs {
		switch tlv.Type {
		case wire.TLVDisconnected:
			missing := s.Skipped()
			s.Drop()
			s.ended = "FINISHED"
			m.event("ended", "by", "peer", "missing", float64(missing))
			return
		case wire.TLVSMP1, wire.TLVSMP2, wire.TLVSMP3, wire.TLVSMP4:
			send, event := s.smp.Receive(tlv)
			switch event.Kind {
			case smp.Asked:
				m.event("smp_asked", "question", event.Question)
			case smp.Succeeded:
				m.event("smp", "result", true)
			}
			m.machine(send, nil)
		case TLVExtraKey:
			m.event("extra_key", "context", hex.EncodeToString(tlv.Value[:4]), "data", hex.EncodeToString(tlv.Value[4:]), "key", hex.EncodeToString(extra[0].Key[:]))
		}
	}
}

func (m *mailbox) machine(send []wire.TLV, err error) {
	if err != nil {
		m.t.Fatal(err)
	}
	for _, tlv := range send {
		m.seal(wire.FlagIgnoreUnreadable, wire.Plaintext{TLVs: []wire.TLV{tlv}}, false)
	}
}

func (m *mailbox) seal(flags byte, p wire.Plaintext, last bool) {
	seal := m.current.Seal
	if last {
		seal = m.current.SealLast
	}
	msg, err := seal(nil, flags, p)
	if err != nil {
		m.t.Fatal(err)
	}
	m.sent = append(m.sent, string(wire.AppendArmor(nil, msg)))
}

func (m *mailbox) state() string {
	switch {
	case m.current == nil:
		return "START"
	case m.current.AuthState() != AuthNone:
		return m.current.AuthState().String()
	case m.current.Encrypted():
		return "ENCRYPTED_MESSAGES"
	}
	return m.current.ended
}

func TestNonInteractiveAuthVectors(t *testing.T) {
	v := loadOffline(t).Auth
	for _, c := range v.Messages {
		m := newMailbox(t, v.Publisher.Tag, v.Publisher.Identity, v.Publisher.Forging, c.Account, c.Contact)
		m.clock.now = time.Unix(c.Now, 0)
		for _, pair := range v.Publisher.Pairs {
			b := wire.AppendData(wire.AppendData(bytes.Clone(pair.Shared), pair.Client), pair.Prekey)
			r := wire.NewReader(b)
			p, err := ReadPublication(&r)
			if err != nil || r.End() != nil {
				t.Fatal(err)
			}
			if got := p.AppendSecret(nil); !bytes.Equal(got, b) {
				t.Errorf("a publication is stored as %x", got)
			}
			if p.Expires().Unix() != pair.Expires {
				t.Errorf("it expires at %v", p.Expires())
			}
			m.publications = append(m.publications, p)
		}
		for _, k := range v.Publisher.Prekeys {
			m.prekeys[k.ID] = storedPrekey(t, k.ID, k.Y, k.B)
			m.with[k.ID] = m.publications[k.Pair]
		}
		for _, id := range v.Publisher.Used {
			m.gone[id] = ErrPrekeyUsed
		}
		m.receive(c.Line)
		if len(m.events) != 1 || (m.events[0]["event"] == "secure") != c.Valid {
			t.Errorf("%s: %v, want %q", c.Comment, m.events, c.Why)
			continue
		}
		var left []uint32
		for id := range m.prekeys {
			left = append(left, id)
		}
		sort.Slice(left, func(i, j int) bool { return left[i] < left[j] })
		if !reflect.DeepEqual(left, c.Left) {
			t.Errorf("%s: prekeys left: %v, want %v", c.Comment, left, c.Left)
		}
		if c.Valid {
			for field, want := range c.Secure {
				if got, ok := m.events[0][field]; ok && got != want {
					t.Errorf("%s: %s is %v, want %v", c.Comment, field, got, want)
				}
			}
			continue
		}
		err, _ := m.events[0]["err"].(error)
		want := map[string]error{
			"prekey expired": ErrPrekeyExpired, "prekey used before": ErrPrekeyUsed, "no such prekey": ErrNoPrekey,
			"Non-Interactive-Auth: bad MAC": ErrAuthMAC, "Non-Interactive-Auth: bad ring signature": ErrRingSignature,
			"scalar out of range": ErrRingSignature, "for another instance": ErrOtherInstance,
			"bytes after the end of the message": ErrMalformed, "message too short": ErrMalformed, "profile: field 5 twice": ErrMalformed,
		}[c.Why]
		switch {
		case strings.HasPrefix(c.Why, "point:"), strings.HasPrefix(c.Why, "DH value"), strings.HasPrefix(c.Why, "profile:") && want == nil:
			want = ErrAuthentication
		}
		switch c.Comment {
		case "for instance 0":
			want = wire.ErrInstanceTag
		case "the header alone":
			want = ErrMalformed
		}
		if want != nil && !errors.Is(err, want) {
			t.Errorf("%s: %v, want %q", c.Comment, err, c.Why)
		}
	}
}

func TestReplayingOfflineSessions(t *testing.T) {
	v := loadOffline(t)
	if len(v.Sessions) != 6 {
		t.Fatalf("%d sessions", len(v.Sessions))
	}
	for n, s := range v.Sessions {
		if testing.Short() && n%3 != 0 {
			continue
		}
		t.Run(s.Name, func(t *testing.T) {
			people := map[string]*mailbox{}
			for name, p := range s.Parties {
				m := newMailbox(t, p.Tag, p.Identity, p.Forging, p.Account, p.Contact)
				profile, err := newProfile(p.Tag, m.client.Identity, m.client.Forging, nil, time.Unix(p.ProfileExpires, 0), nil)
				if err != nil || !bytes.Equal(profile.encoded, p.Profile) {
					t.Fatalf("%s: profile %x, %v", name, profile.encoded, err)
				}
				m.client.profile = profile
				people[name] = m
			}
			for n := range s.Steps {
				step := &s.Steps[n]
				m := people[step.Side]
				m.clock.now = time.Unix(step.Now, 0)
				m.random.load(step.Random)
				m.sent, m.events = nil, nil
				arg := func(name string) string { text, _ := step.Args[name].(string); return text }
				switch step.Op {
				case "publish":
					m.publish(int(step.Args["count"].(float64)), int64(step.Args["lifetime"].(float64)))
				case "write":
					valid, refused := ReadEnsembles([]byte(arg("ensemble")), m.clock.now)
					if len(valid) != 1 {
						t.Fatal(refused)
					}
					m.extendProfile(valid[0].Expires().Add(PrekeyGrace))
					msg, e, err := m.client.WriteTo(valid[0])
					if err != nil {
						t.Fatal(err)
					}
					m.sent = append(m.sent, string(wire.AppendArmor(nil, msg)))
					m.secure(e, &valid[0].Ensemble.Message.ID)
				case "receive":
					m.receive(arg("line"))
				case "say":
					m.seal(0, wire.Plaintext{Text: []byte(arg("text")), TLVs: parseTLVs(t, arg("tlvs"))}, false)
					m.store(m.current)
				case "use_extra_key":
					value := append(unhex(t, arg("context")), unhex(t, arg("data"))...)
					m.seal(wire.FlagIgnoreUnreadable, wire.Plaintext{TLVs: []wire.TLV{{Type: TLVExtraKey, Value: value}}}, false)
					m.event("extra_key_sent", "context", arg("context"), "key", hex.EncodeToString(m.current.ExtraKeys(false)[0].Key[:]))
				case "smp_start":
					m.machine(m.current.smp.Start([]byte(arg("secret")), arg("question")))
				case "smp_answer":
					m.machine(m.current.smp.Answer([]byte(arg("secret"))))
				case "end":
					m.seal(wire.FlagIgnoreUnreadable, wire.Plaintext{TLVs: []wire.TLV{{Type: wire.TLVDisconnected}}}, true)
					m.current.ended = "START"
					m.event("ended", "by", "us")
				case "start_identity":
					m.onlineEngine(m.current.Peer())
					offer, err := m.client.NewOffer()
					if err != nil {
						t.Fatal(err)
					}
					m.online.Begin(offer)
					m.sent = append(m.sent, string(wire.AppendArmor(nil, offer.Message(m.online.Peer()))))
				case "finish":
					for range m.early {
						m.event("error")
					}
					m.early = nil
				default:
					t.Fatalf("unknown operation %q", step.Op)
				}
				m.compareSent(step.Sent)
				m.compareEvents(step.Events)
				if got := m.state(); got != step.State {
					t.Errorf("state %s, want %s", got, step.State)
				}
				for _, d := range m.random.draws {
					if d[0] != "fragment.identifier" {
						t.Errorf("%s was drawn, and was not now", d[0])
					}
				}
				if t.Failed() {
					t.Fatalf("step %d (%s %s) differs", n, step.Side, step.Op)
				}
			}
		})
	}
}

// extendProfile makes the client profile that the recorded program makes for a message that
// may be read until then. Ours would end at midnight.
func (m *mailbox) extendProfile(until time.Time) {
	if m.client.profile.Expires >= until.Unix() {
		return
	}
	if week := m.clock.now.Add(ProfileLifetime); until.Before(week) {
		until = week
	}
	profile, err := newProfile(m.client.InstanceTag, m.client.Identity, m.client.Forging, m.client.DSA, until, nil)
	if err != nil {
		m.t.Fatal(err)
	}
	m.client.profile = profile
}

// publish is what the recorded program does; its profiles expire at no midnight.
func (m *mailbox) publish(count int, lifetime int64) {
	p, err := m.client.NewPublication(m.clock.now.Add(time.Duration(lifetime) * time.Second))
	if err != nil {
		m.t.Fatal(err)
	}
	m.publications = append(m.publications, p)
	for range count {
		k, err := m.client.NewPrekey(func(id uint32) bool { return m.prekeys[id] != nil })
		if err != nil {
			m.t.Fatal(err)
		}
		m.prekeys[k.ID], m.with[k.ID] = k, p
		m.sent = append(m.sent, string(p.Ensemble(k).AppendArmor(nil)))
	}
}

// compareSent compares the lines sent with the recorded ones, or their recorded pieces.
func (m *mailbox) compareSent(want []string) {
	var whole []string
	var pieces wire.Assembler
	for _, line := range want {
		if wire.Classify([]byte(line)) != wire.KindFragment {
			whole = append(whole, line)
			continue
		}
		f, err := wire.ParseFragment([]byte(line))
		if err != nil {
			m.t.Fatal(err)
		}
		if b, _ := pieces.Add(f, m.clock.now); b != nil {
			whole = append(whole, string(b))
		}
	}
	if !reflect.DeepEqual(m.sent, whole) {
		m.t.Errorf("sent %q, want %q", m.sent, whole)
	}
}

func (m *mailbox) compareEvents(want []map[string]any) {
	if len(m.events) != len(want) {
		m.t.Errorf("events %v, want %v", m.events, want)
		return
	}
	for i, got := range m.events {
		for field, value := range got {
			if field != "err" && !reflect.DeepEqual(value, want[i][field]) {
				m.t.Errorf("event %d: %s is %v, want %v", i, field, value, want[i])
			}
		}
	}
}
