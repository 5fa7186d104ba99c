package v4

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"otrpipe/otr/keys"
	"otrpipe/otr/smp"
	"otrpipe/otr/wire"
	"otrpipe/testscripts/slowtest"
)

// recording is a file of recorded sessions; testdata/README.md says what the fields are.
type recording struct {
	Sessions []recordedSession
}

type recordedSession struct {
	Name       string
	Now        int64
	Ours       *recordedParty // with another program
	Theirs     *recordedParty
	Alice, Bob *recordedParty // with ourselves
	Steps      []recordedStep
}

type recordedParty struct {
	Account   string
	Contact   string
	Tag       uint32
	Fragments int

	IdentitySymmetric hexBytes `json:"identity_symmetric"`
	ForgingSymmetric  hexBytes `json:"forging_symmetric"`
	Profile           hexBytes
	Fingerprint       string
}

type recordedStep struct {
	Side, Op    string
	Args        map[string]string
	Kind        string
	Reassembled string
	Random      [][2]string
	Values      [][2]string
	Sent        []string
	Events      []map[string]any
	State       string
}

// recordedRandom gives out the random draws of a step, in an order that may be ours, and
// only in the sizes that they were drawn in.
type recordedRandom struct {
	t     *testing.T
	draws [][2]string
}

// load takes a step's draws. The zero-knowledge proofs of SMP draw a secret and its
// blinding value together, the recorded program all secrets first.
func (r *recordedRandom) load(draws [][2]string) {
	r.draws = append([][2]string(nil), draws...)
	position := map[string]int{"a2": 0, "b2": 0, "r2": 1, "a3": 2, "b3": 2, "r3": 3}
	for _, draw := range draws {
		run, label, _ := strings.Cut(draw[0], ".")
		if n, ok := position[label]; ok && (run == "smp1" || run == "smp2") {
			r.draws[n] = draw
		}
	}
}

func (r *recordedRandom) Read(p []byte) (int, error) {
	if len(r.draws) == 0 {
		return 0, errors.New("nothing more was drawn in this step")
	}
	b, err := hex.DecodeString(r.draws[0][1])
	if err != nil || len(b) != len(p) {
		return 0, fmt.Errorf("%d bytes drawn, but %s has %d", len(p), r.draws[0][0], len(b))
	}
	r.draws = r.draws[1:]
	return copy(p, b), nil
}

// replayed is our side of a recorded session.
type replayed struct {
	t      *testing.T
	name   string
	party  *recordedParty
	theirs uint32
	now    int64
	random *recordedRandom
	client *Client
	engine *Engine
	offer  *Offer
	ended  string // the state after a session: START if we ended it, FINISHED if the peer did
	smp    *smp.Machine
	pieces wire.Assembler
	tlvs   []wire.TLV
	step   *recordedStep

	// What the key exchange has made public, and the last keys of the ratchet.
	bob, alice          *public
	lastBrace, lastRoot []byte

	messages [][]byte // the messages of the step, received and sent, before they were decrypted
	sent     [][]byte
	plain    []byte // the plaintext of the step, sent or received
	events   []map[string]any
}

func newReplayed(t *testing.T, s *recordedSession, name string, party *recordedParty, theirs uint32) *replayed {
	identity, err := keys.NewEd448PrivateKey(party.IdentitySymmetric)
	if err != nil {
		t.Fatal(err)
	}
	forging, err := keys.NewEd448PrivateKey(party.ForgingSymmetric)
	if err != nil {
		t.Fatal(err)
	}
	r := &replayed{t: t, name: name, party: party, theirs: theirs, now: s.Now, ended: "START", random: &recordedRandom{t: t}}
	r.client = NewClient(Config{
		InstanceTag: party.Tag,
		Identity:    identity,
		Forging:     forging.ForgingKey(),
		Accounts:    &Accounts{Ours: party.Account, Theirs: party.Contact},
		Rand:        r.random,
		Now:         func() time.Time { return time.Unix(s.Now, 0) },
	})
	r.engine = r.client.NewEngine(theirs)
	profile, err := newProfile(party.Tag, identity, r.client.Forging, nil, r.client.Now().Add(ProfileLifetime), nil)
	if err != nil {
		t.Fatal(err)
	}
	r.client.profile = profile // ours would end at midnight
	if !bytes.Equal(profile.Append(nil), party.Profile) {
		t.Errorf("%s: our profile is %x, want %x", name, profile.Append(nil), []byte(party.Profile))
	}
	if got := r.client.Fingerprint().Hex(); got != party.Fingerprint {
		t.Errorf("%s: our fingerprint is %s, want %s", name, got, party.Fingerprint)
	}
	return r
}

func TestReplayingSessionsWithOtr4j(t *testing.T) { replayFile(t, "session-otr4j.json", 2) }
func TestReplayingSessionsWithOtrr(t *testing.T)  { replayFile(t, "session-otrr.json", 2) }
func TestReplayingSessionsWithOurselves(t *testing.T) {
	slowtest.SkipShort(t)
	replayFile(t, "session-self.json", 3)
}

func replayFile(t *testing.T, file string, sessions int) {
	var all recording
	readVectors(t, file, &all)
	if len(all.Sessions) != sessions {
		t.Fatalf("%d sessions, want %d", len(all.Sessions), sessions)
	}
	for i := range all.Sessions {
		if testing.Short() && i > 0 {
			break
		}
		s := &all.Sessions[i]
		t.Run(s.Name, func(t *testing.T) {
			sides := map[string]*replayed{}
			if s.Ours != nil {
				sides[""] = newReplayed(t, s, s.Name, s.Ours, s.Theirs.Tag)
			} else {
				sides["alice"] = newReplayed(t, s, "alice", s.Alice, s.Bob.Tag)
				sides["bob"] = newReplayed(t, s, "bob", s.Bob, s.Alice.Tag)
			}
			for n := range s.Steps {
				step := &s.Steps[n]
				sides[step.Side].replay(n, step)
				if t.Failed() {
					t.Fatalf("step %d (%s %s %s) differs", n, step.Side, step.Op, step.Kind)
				}
			}
		})
	}
}

// replay does what a step did and compares everything that came of it.
func (r *replayed) replay(n int, step *recordedStep) {
	r.step, r.sent, r.plain, r.events, r.messages = step, nil, nil, nil, nil
	r.random.load(step.Random)
	switch step.Op {
	case "query":
		r.sent = [][]byte{[]byte(step.Sent[0])} // that is not for an engine to make
	case "start_identity":
		r.start()
	case "receive":
		r.receive([]byte(step.Args["line"]))
	case "say":
		r.seal(0, wire.Plaintext{Text: []byte(step.Args["text"]), TLVs: parseTLVs(r.t, step.Args["tlvs"])})
	case "use_extra_key":
		value := append(unhex(r.t, step.Args["context"]), unhex(r.t, step.Args["data"])...)
		r.seal(wire.FlagIgnoreUnreadable, wire.Plaintext{TLVs: []wire.TLV{{Type: TLVExtraKey, Value: value}}})
		extra := r.engine.ExtraKeys(false)
		r.event("extra_key_sent", "context", step.Args["context"], "key", hex.EncodeToString(extra[0].Key[:]))
	case "smp_start":
		r.machine(r.smp.Start([]byte(step.Args["secret"]), step.Args["question"]))
	case "smp_answer":
		r.machine(r.smp.Answer([]byte(step.Args["secret"])))
	case "smp_abort":
		r.machine(r.smp.Abort(), nil)
	case "end":
		r.sealLast()
		r.event("ended", "by", "us")
	default:
		r.t.Fatalf("step %d: unknown operation %q", n, step.Op)
	}
	r.compareSent()
	r.compareEvents()
	r.compareValues()
	if got := r.state(); got != step.State {
		r.t.Errorf("state %s, want %s", got, step.State)
	}
	for _, d := range r.random.draws {
		if d[0] != "fragment.identifier" {
			r.t.Errorf("%s was drawn, and was not now", d[0])
		}
	}
}

// start sends an Identity message.
func (r *replayed) start() {
	offer, err := r.client.NewOffer()
	if err != nil {
		r.t.Fatal(err)
	}
	r.offer = offer
	r.engine.Begin(offer)
	r.send(offer.Message(0))
}

func (r *replayed) receive(line []byte) {
	switch wire.Classify(line) {
	case wire.KindFragment:
		f, err := wire.ParseFragment(line)
		if err != nil || f.Version != 4 || f.Receiver != 0 && f.Receiver != r.party.Tag {
			r.t.Fatalf("fragment %+v, %v", f, err)
		}
		whole, err := r.pieces.Add(f, time.Unix(r.now, 0))
		if err != nil {
			r.t.Fatal(err)
		}
		if string(whole) != r.step.Reassembled {
			r.t.Errorf("reassembled %q, want %q", whole, r.step.Reassembled)
		}
		if whole != nil {
			r.receive(bytes.Clone(whole))
		}
	case wire.KindEncoded:
		msg, err := wire.AppendDearmored(nil, line)
		if err != nil {
			r.t.Fatal(err)
		}
		r.receiveMessage(msg)
	case wire.KindQuery, wire.KindTagged:
		if text, ok := bytes.CutSuffix(line, []byte(" \t  \t\t\t\t \t \t \t    \t\t \t  ")); ok {
			r.event("plaintext", "text", string(text))
		}
		r.start()
	case wire.KindError:
		text, _ := bytes.CutPrefix(line, []byte("?OTR Error:"))
		r.event("otr_error", "text", strings.TrimSpace(string(text)))
	default:
		r.t.Fatalf("line %q", line)
	}
}

func (r *replayed) receiveMessage(msg []byte) {
	r.messages = append(r.messages, bytes.Clone(msg))
	h, body, err := wire.ParseHeader(msg)
	if err != nil || h.Version != Version || h.Sender != r.theirs {
		r.t.Fatalf("header %+v, %v", h, err)
	}
	if kinds := map[string]wire.MessageType{"identity": wire.TypeIdentity, "auth-r": wire.TypeAuthR, "auth-i": wire.TypeAuthI, "data": wire.TypeData}; kinds[r.step.Kind] != h.Type {
		r.t.Errorf("a message of type %v, want %s", h.Type, r.step.Kind)
	}
	before := snapshot(r.engine)
	sessions := r.engine.Sessions()
	reply, got, err := r.engine.Receive(h, body, msg, r.tlvs)
	if reply != nil {
		r.send(reply)
	}
	if errors.Is(err, ErrBeaten) {
		r.send(r.engine.exchange.offer.Message(0)) // the recorded ones send it again at once
		err = nil
	}
	if err != nil {
		if after := snapshot(r.engine); !reflect.DeepEqual(before, after) {
			r.t.Errorf("a refused message (%v) has changed the state", err)
		}
		if len(r.step.Events) > 0 {
			r.event("error")
		}
		if unreadable := errors.Is(err, ErrUnreadable) && body[0]&wire.FlagIgnoreUnreadable == 0; unreadable {
			r.sent = append(r.sent, []byte("?OTR Error: ERROR_1: Unreadable message"))
		}
		return
	}
	if r.engine.Sessions() > sessions {
		r.secure()
	}
	if h.Type == wire.TypeData {
		r.receivePlaintext(got)
	}
}

func (r *replayed) secure() {
	id, first := r.engine.SSID()
	r.smp = smp.New(smp.V4(r.client.Fingerprint(), r.engine.PeerKey().Fingerprint(), id), r.random)
	r.event("secure", "version", 4.0, "fingerprint", r.engine.PeerKey().Fingerprint().Hex(), "ssid", hex.EncodeToString(id[:]),
		"bold", map[bool]string{true: "first", false: "second"}[first])
}

func (r *replayed) receivePlaintext(got wire.Plaintext) {
	r.plain = wire.AppendPlaintext(nil, got)
	if len(got.Text) > 0 {
		d, err := ParseData(r.messages[0][len(wire.Header{Version: Version}.Append(nil)):])
		if err != nil {
			r.t.Fatal(err)
		}
		r.event("text", "text", string(got.Text), "ratchet", float64(d.RatchetID), "message", float64(d.MessageID), "revealed", float64(len(d.Revealed)/macLen))
	}
	extra := r.engine.ExtraKeys(true)
	for _, tlv := range got.TLVs {
		switch tlv.Type {
		case wire.TLVPadding:
		case wire.TLVDisconnected:
			r.engine.Drop()
			r.ended = "FINISHED"
			r.event("ended", "by", "peer")
			return
		case wire.TLVSMP1, wire.TLVSMP2, wire.TLVSMP3, wire.TLVSMP4, wire.TLVSMPAbort:
			send, event := r.smp.Receive(tlv)
			switch event.Kind {
			case smp.Asked:
				r.event("smp_asked", "question", event.Question)
			case smp.Succeeded, smp.Failed:
				r.event("smp", "result", event.Kind == smp.Succeeded)
			case smp.Aborted:
				r.event("smp", "result", "aborted")
			case smp.Cheated, smp.Crossed:
				r.t.Errorf("SMP: %+v", event)
			}
			r.machine(send, nil)
		case TLVExtraKey:
			r.event("extra_key", "context", hex.EncodeToString(tlv.Value[:4]), "data", hex.EncodeToString(tlv.Value[4:]), "key", hex.EncodeToString(extra[0].Key[:]))
			extra = extra[1:]
		default:
			r.event("tlv", "type", float64(tlv.Type), "value", hex.EncodeToString(tlv.Value))
		}
	}
}

func (r *replayed) machine(send []wire.TLV, err error) {
	if err != nil {
		r.t.Fatal(err)
	}
	for _, tlv := range send {
		r.seal(wire.FlagIgnoreUnreadable, wire.Plaintext{TLVs: []wire.TLV{tlv}})
	}
}

func (r *replayed) seal(flags byte, p wire.Plaintext) {
	msg, err := r.engine.Seal(nil, flags, p)
	if err != nil {
		r.t.Fatal(err)
	}
	r.plain = wire.AppendPlaintext(nil, p)
	r.send(msg)
}

func (r *replayed) sealLast() {
	p := wire.Plaintext{TLVs: []wire.TLV{{Type: wire.TLVDisconnected}}}
	msg, err := r.engine.SealLast(nil, wire.FlagIgnoreUnreadable, p)
	if err != nil {
		r.t.Fatal(err)
	}
	r.ended, r.plain = "START", wire.AppendPlaintext(nil, p)
	r.send(msg)
}

func (r *replayed) send(msg []byte) {
	r.sent = append(r.sent, wire.AppendArmor(nil, msg))
	r.messages = append(r.messages, msg)
}

func (r *replayed) event(name string, fields ...any) {
	e := map[string]any{"event": name}
	for i := 0; i < len(fields); i += 2 {
		e[fields[i].(string)] = fields[i+1]
	}
	r.events = append(r.events, e)
}

func (r *replayed) state() string {
	switch {
	case r.engine.AuthState() != AuthNone:
		return r.engine.AuthState().String()
	case r.engine.Encrypted():
		return "ENCRYPTED_MESSAGES"
	}
	return r.ended
}

// compareSent compares the lines sent, byte for byte, fragments included.
func (r *replayed) compareSent() {
	var got []string
	for _, line := range r.sent {
		if r.party.Fragments < 2 || !bytes.HasPrefix(line, []byte("?OTR:")) {
			got = append(got, string(line))
			continue
		}
		first, err := wire.ParseFragment([]byte(r.step.Sent[len(got)]))
		if err != nil {
			r.t.Fatal(err)
		}
		n := r.party.Fragments
		size := (len(line) + n - 1) / n
		for k := 1; k <= n; k++ {
			first.K, first.Piece = uint16(k), line[:min(size, len(line))]
			line = line[len(first.Piece):]
			got = append(got, string(first.Append(nil)))
		}
	}
	if len(got) != len(r.step.Sent) {
		r.t.Errorf("%d lines sent, want %d", len(got), len(r.step.Sent))
		return
	}
	for i := range got {
		if got[i] != r.step.Sent[i] {
			r.t.Errorf("sent %q, want %q", describe(got[i]), describe(r.step.Sent[i]))
		}
	}
}

// describe makes the bytes of an armored message readable.
func describe(line string) string {
	if b, err := base64.StdEncoding.DecodeString(strings.TrimSuffix(strings.TrimPrefix(line, "?OTR:"), ".")); err == nil {
		return hex.EncodeToString(b)
	}
	return line
}

// compareEvents compares the events in all fields that we have.
func (r *replayed) compareEvents() {
	if len(r.events) != len(r.step.Events) {
		r.t.Errorf("events %v, want %v", r.events, r.step.Events)
		return
	}
	for i, got := range r.events {
		for field, value := range got {
			if want := r.step.Events[i][field]; !reflect.DeepEqual(value, want) {
				r.t.Errorf("event %d: %s is %v, want %v (%v)", i, field, value, want, r.step.Events[i])
			}
		}
	}
}

// snapshot is a copy of everything that an engine knows.
func snapshot(e *Engine) Engine {
	s := *e
	if e.session != nil {
		session := *e.session
		session.skipped = append(skippedKeys(nil), session.skipped...)
		session.reveal = bytes.Clone(session.reveal)
		session.extraReceived = append([]ExtraKey(nil), session.extraReceived...)
		s.session = &session
	}
	if e.exchange.answer != nil {
		answer, ours := *e.exchange.answer, *e.exchange.answer.ours
		answer.ours = &ours
		s.exchange.answer = &answer
	}
	return s
}

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func parseTLVs(t testing.TB, s string) []wire.TLV {
	if s == "" {
		return nil
	}
	return parsePlaintext(nil, append([]byte{0}, unhex(t, s)...)).TLVs
}
