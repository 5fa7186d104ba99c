package smp

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"os"
	"slices"
	"strings"
	"testing"

	"otrpipe/otr/group"
	"otrpipe/otr/keys"
	"otrpipe/otr/wire"
)

var (
	aliceFingerprint4 = testFingerprint4('a')
	bobFingerprint4   = testFingerprint4('b')
)

func testFingerprint4(fill byte) keys.Fingerprint {
	f, err := keys.FingerprintFromBytes(bytes.Repeat([]byte{fill}, keys.FingerprintLen4))
	if err != nil {
		panic(err)
	}
	return f
}

func newAlice4() *Machine {
	return New(V4(aliceFingerprint4, bobFingerprint4, testSSID), testRand('a'))
}

func newBob4() *Machine {
	return New(V4(bobFingerprint4, aliceFingerprint4, testSSID), testRand('b'))
}

// vectors4 is testdata/v4.json: hashed secrets, and whole runs between two programs with
// all that they drew and computed. Byte strings are hexadecimal.
type vectors4 struct {
	Secrets []struct {
		Initiator string `json:"initiator_fingerprint"`
		Responder string `json:"responder_fingerprint"`
		SSID      string
		User      string `json:"user_secret"`
		Scalar    string
	}
	Runs []run4
}

type run4 struct {
	Initiator       string // the side of the session that began
	Question        string
	InitiatorSecret string `json:"initiator_secret"`
	ResponderSecret string `json:"responder_secret"`
	InitiatorKey    string `json:"initiator_fingerprint"`
	ResponderKey    string `json:"responder_fingerprint"`
	SSID            string
	Equal           bool
	Messages        [4]struct {
		Value  string
		Random [][2]string
		Points map[string]string
		Secret map[string]string
	}
	Rab string `json:"rab_of_initiator"`
}

func loadVectors4(t testing.TB) (v vectors4) {
	t.Helper()
	b, err := os.ReadFile("testdata/v4.json")
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(b, &v); err != nil {
		t.Fatal(err)
	}
	return v
}

func TestTheSecretOfVersion4IsHashedAndPruned(t *testing.T) {
	for _, v := range loadVectors4(t).Secrets {
		initiator, responder := parseFingerprint(t, v.Initiator), parseFingerprint(t, v.Responder)
		ssid := [8]byte(unhex(t, v.SSID))
		for _, c := range []struct {
			initiator bool
			suite     suite4
		}{{true, suite4{initiator, responder, ssid}}, {false, suite4{responder, initiator, ssid}}} {
			x := c.suite.secret(c.initiator, []byte(v.User))
			if got := hex.EncodeToString(x.Append(nil)); got != v.Scalar {
				t.Errorf("%q, initiator %v: %s, want %s", v.User, c.initiator, got, v.Scalar)
			}
		}
	}
}

// drawsOf is what was drawn for a message, in our order: an exponent and the blinding
// value of its proof together, where the recorded program drew all exponents first.
func drawsOf(t *testing.T, random [][2]string) *bytes.Reader {
	t.Helper()
	random = slices.Clone(random)
	if len(random) >= 4 && strings.HasSuffix(random[1][0], "3") { // a2 a3 r2 r3 …
		random[1], random[2] = random[2], random[1]
	}
	var b []byte
	for _, draw := range random {
		b = append(b, unhex(t, draw[1])...)
	}
	return bytes.NewReader(b)
}

func TestRunsOfVersion4Replay(t *testing.T) {
	for _, r := range loadVectors4(t).Runs {
		t.Run(fmt.Sprintf("%s begins, equal %v", r.Initiator, r.Equal), func(t *testing.T) { r.replay(t) })
	}
}

func (r run4) replay(t *testing.T) {
	initiator, responder := parseFingerprint(t, r.InitiatorKey), parseFingerprint(t, r.ResponderKey)
	ssid := [8]byte(unhex(t, r.SSID))
	alice, bob := New(V4(initiator, responder, ssid), nil), New(V4(responder, initiator, ssid), nil)
	// The randomness of a message is given to whoever makes it, and all of it is used.
	making := func(m *Machine, n int, do func() []wire.TLV) wire.TLV {
		t.Helper()
		draws := drawsOf(t, r.Messages[n].Random)
		m.rand = draws
		if m.run != nil {
			m.run.(*party[*group.Point, *group.Scalar]).rand = draws
		}
		tlv := one(t, do())
		if tlv.Type != uint16(wire.TLVSMP1+n) || hex.EncodeToString(tlv.Value) != r.Messages[n].Value {
			t.Fatalf("message %d is %d %x, want %s", n+1, tlv.Type, tlv.Value, r.Messages[n].Value)
		}
		if draws.Len() != 0 {
			t.Fatalf("message %d: %d random bytes were not drawn", n+1, draws.Len())
		}
		return tlv
	}
	inside := func(m *Machine) *party[*group.Point, *group.Scalar] {
		return m.run.(*party[*group.Point, *group.Scalar])
	}
	compare := func(n int, points map[string]*group.Point) {
		t.Helper()
		for name, p := range points {
			if got := hex.EncodeToString(p.Append(nil)); got != r.Messages[n].Points[name] {
				t.Errorf("message %d: %s is %s, want %s", n+1, name, got, r.Messages[n].Points[name])
			}
		}
	}
	secret := func(name string, m *Machine, n int) {
		t.Helper()
		want := group.ReduceScalar(unhex(t, r.Messages[n].Secret[name]))
		if !inside(m).secret.Equal(want) {
			t.Errorf("%s is another", name)
		}
	}
	result := Failed
	if r.Equal {
		result = Succeeded
	}

	m1 := making(alice, 0, func() []wire.TLV { return mustStart(t, alice, r.InitiatorSecret, r.Question) })
	secret("x", alice, 0)
	if _, event := bob.Receive(m1); event != (Event{Kind: Asked, Question: r.Question}) {
		t.Fatalf("%+v", event)
	}
	compare(0, map[string]*group.Point{"G2a": inside(bob).peerHalf2, "G3a": inside(bob).peerHalf3})

	m2 := making(bob, 1, func() []wire.TLV { return mustAnswer(t, bob, r.ResponderSecret) })
	secret("y", bob, 1)
	compare(1, map[string]*group.Point{"G2": inside(bob).g2, "G3": inside(bob).g3, "Pb": inside(bob).pb, "Qb": inside(bob).qb})
	b3 := *inside(bob).exponent3

	m3 := making(alice, 2, func() []wire.TLV { return mustReceive(t, alice, []wire.TLV{m2}, None) })
	compare(1, map[string]*group.Point{"G2b": inside(alice).peerHalf2, "G3b": inside(alice).peerHalf3})
	ra := parsePoint(t, m3.Value[5*group.PointLen:])
	compare(2, map[string]*group.Point{
		"G2": inside(alice).g2, "G3": inside(alice).g3, "Pa": inside(alice).pa, "Ra": ra,
		"Qa": inside(alice).ratioQ.Add(inside(alice).qb),
	})
	a3 := *inside(alice).exponent3

	m4 := making(bob, 3, func() []wire.TLV { return mustReceive(t, bob, []wire.TLV{m3}, result) })
	rb := parsePoint(t, m4.Value)
	compare(3, map[string]*group.Point{"Rb": rb, "Rab": ra.Mul(b3)})
	mustReceive(t, alice, []wire.TLV{m4}, result)
	if got := hex.EncodeToString(rb.Mul(a3).Append(nil)); got != r.Rab {
		t.Errorf("Rab is %s, want %s", got, r.Rab)
	}
}

func parsePoint(t testing.TB, b []byte) *group.Point {
	t.Helper()
	p, err := group.ParsePoint(b[:group.PointLen])
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestSecretsOfVersion4AreComparedAndTheNextRunIsNew(t *testing.T) {
	alice, bob := newAlice4(), newBob4()
	runBetween(t, alice, bob, "our secret", "another", Failed)
	runBetween(t, bob, alice, "our secret", "our secret", Succeeded)
}

func TestSecretOfVersion4IsTiedToBothKeysAndTheSession(t *testing.T) {
	mallory := testFingerprint4('m')
	for _, c := range []struct {
		name string
		bob  Binding
	}{
		{"another session id", V4(bobFingerprint4, aliceFingerprint4, [8]byte{9})},
		{"the initiator has another key", V4(bobFingerprint4, mallory, testSSID)},
		{"the responder has another key", V4(mallory, aliceFingerprint4, testSSID)},
	} {
		t.Run(c.name, func(t *testing.T) {
			runBetween(t, newAlice4(), New(c.bob, testRand('b')), "our secret", "our secret", Failed)
		})
	}
}

func TestBindingOfVersion4IsRefusedWithoutItsFingerprints(t *testing.T) {
	for _, f := range []keys.Fingerprint{{}, aliceFingerprint} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("a fingerprint of %d bytes was accepted", len(f.Bytes()))
				}
			}()
			V4(aliceFingerprint4, f, testSSID)
		}()
	}
}

func TestMessage1OfVersion4AlwaysHasAQuestion(t *testing.T) {
	for _, question := range []string{"", "where did we meet?", "d'où?", strings.Repeat("q", MaxQuestion)} {
		alice, bob := newAlice4(), newBob4()
		message1 := one(t, mustStart(t, alice, "there", question))
		if message1.Type != wire.TLVSMP1 {
			t.Errorf("question of %d bytes in a record of type %d", len(question), message1.Type)
		}
		if _, event := bob.Receive(message1); event != (Event{Kind: Asked, Question: question}) {
			t.Errorf("question of %d bytes: %+v", len(question), event)
		}
	}
	bob := newBob4()
	if send, event := bob.Receive(wire.TLV{Type: wire.TLVSMP1Q, Value: []byte("why?\x00")}); send != nil || event != (Event{}) {
		t.Errorf("version 4 has no message 1Q, but %+v", event)
	}
}

// receivers4 returns a run about to receive message 1, 2, 3 or 4, with that message, for
// each of them; see receivers.
func receivers4(t testing.TB) []expecting {
	t.Helper()
	alice, bob := newAlice4(), newBob4()
	start := mustStart(t, alice, "secret", "")
	fresh := newBob4().binding.newRun(testRand('f'))
	mustReceive(t, bob, start, Asked)
	message2 := mustAnswer(t, bob, "secret")
	expecting2 := copyOf4(alice)
	message3 := mustReceive(t, alice, message2, None)
	expecting3 := copyOf4(bob)
	message4 := mustReceive(t, bob, message3, Succeeded)
	return []expecting{
		{1, fresh.receive1, one(t, start).Value[4:]}, // behind the question
		{2, func(b []byte) error { _, err := expecting2.run.receive2(b); return err }, one(t, message2).Value},
		{3, func(b []byte) error { _, _, err := expecting3.run.receive3(b); return err }, one(t, message3).Value},
		{4, func(b []byte) error { _, err := alice.run.receive4(b); return err }, one(t, message4).Value},
	}
}

// copyOf4 returns a machine in the same place of the same run.
func copyOf4(m *Machine) *Machine {
	c := *m
	if m.run == nil {
		return &c
	}
	p := *m.run.(*party[*group.Point, *group.Scalar])
	for _, v := range []**group.Scalar{&p.secret, &p.exponent2, &p.exponent3} {
		if *v != nil {
			x := **v
			*v = &x
		}
	}
	for _, v := range []**group.Point{&p.peerHalf2, &p.peerHalf3, &p.g2, &p.g3, &p.pa, &p.pb, &p.qb, &p.ratioQ} {
		if *v != nil {
			e := **v
			*v = &e
		}
	}
	c.run = &p
	return &c
}

// scalar4 is a number as 57 bytes, little-endian, not reduced.
func scalar4(n *big.Int) []byte {
	b := n.FillBytes(make([]byte, group.ScalarLen))
	slices.Reverse(b)
	return b
}

func number4(b []byte) *big.Int {
	b = bytes.Clone(b)
	slices.Reverse(b)
	return new(big.Int).SetBytes(b)
}

func TestEveryValueOfEveryMessageOfVersion4IsChecked(t *testing.T) {
	const size = group.PointLen // and of a scalar
	order := number4(group.AppendOrder(nil))
	minusOne := unhex(t, strings.Repeat("fe", 1)+strings.Repeat("ff", 27)+"fe"+strings.Repeat("ff", 27)+"00") // (0, −1)
	point := func(first byte) []byte { return append([]byte{first}, make([]byte, size-1)...) }
	for _, m := range receivers4(t) {
		layout := layouts[m.number-1]
		if len(m.body) != size*len(layout) {
			t.Fatalf("message %d has %d bytes", m.number, len(m.body))
		}
		for i, kind := range layout {
			honest := m.body[i*size:][:size]
			type forgery struct {
				name  string
				value []byte
				want  error
			}
			forgeries := []forgery{
				{"one more", scalar4(new(big.Int).Add(number4(honest), big.NewInt(1))), ErrProof},
				{"0", scalar4(new(big.Int)), ErrProof},
				{"q", scalar4(order), ErrMalformed},
				{"the same modulo q", scalar4(new(big.Int).Add(number4(honest), order)), ErrMalformed},
				{"all bits set", bytes.Repeat([]byte{0xff}, size), ErrMalformed},
			}
			if kind == 'e' {
				p := parsePoint(t, honest)
				negative := bytes.Clone(honest)
				negative[size-1] ^= 0x80
				forgeries = []forgery{
					{"the identity", point(1), ErrElement},
					{"of order 2", minusOne, ErrElement},
					{"of order 4", point(0), ErrElement},
					{"not on the curve", point(2), ErrElement},
					{"all bits set", bytes.Repeat([]byte{0xff}, size), ErrElement},
					{"the base point", group.Generator().Append(nil), ErrProof},
					{"its negative", negative, ErrProof},
					{"another element", p.Add(group.Generator()).Append(nil), ErrProof},
				}
			}
			for n, f := range forgeries {
				if testing.Short() && (i+n)%2 != 0 {
					continue
				}
				forged := slices.Concat(m.body[:i*size], f.value, m.body[(i+1)*size:])
				if err := m.receive(forged); !errors.Is(err, f.want) {
					t.Errorf("message %d, value %d is %s: %v", m.number, i, f.name, err)
				}
			}
		}
		for name, body := range map[string][]byte{
			"nothing":            nil,
			"one byte less":      m.body[:len(m.body)-1],
			"one value less":     m.body[:len(m.body)-size],
			"a byte behind it":   append(slices.Clip(m.body), 0),
			"a value behind it":  append(slices.Clip(m.body), m.body[:size]...),
			"half of a scalar 1": m.body[:size+size/2],
		} {
			if err := m.receive(body); !errors.Is(err, ErrMalformed) {
				t.Errorf("message %d, %s: %v", m.number, name, err)
			}
		}
		if err := m.receive(m.body); err != nil {
			t.Errorf("message %d itself: %v", m.number, err)
		}
	}
}

func TestMessage1OfVersion4NeedsAWholeQuestion(t *testing.T) {
	body := receivers4(t)[0].body
	for name, value := range map[string][]byte{
		"nothing":                     nil,
		"half a length":               {0, 0},
		"a question cut short":        {0, 0, 0, 5, 'w', 'h', 'y'},
		"a length beyond the message": append([]byte{0xff, 0xff, 0xff, 0xff}, body...),
		"a question and no values":    {0, 0, 0, 3, 'w', 'h', 'y'},
	} {
		bob := newBob4()
		send, event := bob.Receive(wire.TLV{Type: wire.TLVSMP1, Value: value})
		if event.Kind != Aborted || !errors.Is(event.Reason, ErrMalformed) || bob.State() != StateExpect1 {
			t.Errorf("%s: %+v", name, event)
		}
		if one(t, send).Type != wire.TLVSMPAbort {
			t.Errorf("%s: sent a record of type %d", name, send[0].Type)
		}
	}
	long := wire.AppendData(nil, make([]byte, MaxQuestion+1))
	if _, event := newBob4().Receive(wire.TLV{Type: wire.TLVSMP1, Value: append(long, body...)}); !errors.Is(event.Reason, ErrQuestion) {
		t.Errorf("a question that is too long: %+v", event)
	}
}

func TestPeerOfVersion4CannotSendBackOurHalves(t *testing.T) {
	alice := newAlice4()
	start := one(t, mustStart(t, alice, "secret", ""))
	mallory := V4(bobFingerprint4, aliceFingerprint4, testSSID).newRun(testRand('m'))
	halves := start.Value[4:]
	if err := mallory.receive1(halves); err != nil {
		t.Fatal(err)
	}
	body, err := mallory.message2([]byte("guess"))
	if err != nil {
		t.Fatal(err)
	}
	echo := append(slices.Clone(halves), body[len(halves):]...)
	if _, event := alice.Receive(wire.TLV{Type: wire.TLVSMP2, Value: echo}); event.Kind != Cheated || !errors.Is(event.Reason, ErrProof) {
		t.Errorf("%+v", event)
	}
}

func TestPeerOfVersion4CannotRepeatOurCommitment(t *testing.T) {
	// Both draw the same numbers: with the same secret P and Q are the same.
	alice, bob := newAlice4(), newBob4()
	alice.rand, bob.rand = testRand('r'), testRand('r')
	mustReceive(t, bob, mustStart(t, alice, "secret", ""), Asked)
	_, event := alice.Receive(one(t, mustAnswer(t, bob, "secret")))
	if event.Kind != Cheated || !errors.Is(event.Reason, ErrRepeated) {
		t.Errorf("%+v", event)
	}
}

func TestWipingARunOfVersion4LeavesNoSecret(t *testing.T) {
	alice, bob := newAlice4(), newBob4()
	mustReceive(t, bob, mustStart(t, alice, "secret", ""), Asked)
	mustReceive(t, alice, mustAnswer(t, bob, "secret"), None)
	for _, m := range []*Machine{alice, bob} {
		p := m.run.(*party[*group.Point, *group.Scalar])
		m.Wipe()
		for _, x := range []*group.Scalar{p.secret, p.exponent2, p.exponent3} {
			if !x.Equal(group.Scalar{}) {
				t.Error("an exponent is left")
			}
		}
	}
}

// FuzzReceive4 is FuzzReceive over version 4: of the protocol's own records only the honest
// peer's may be accepted, byte for byte but for the question.
func FuzzReceive4(f *testing.F) {
	alice, bob := newAlice4(), newBob4()
	start := mustStart(f, alice, "secret", "")
	fresh, alice2 := newBob4(), copyOf4(alice)
	mustReceive(f, bob, start, Asked)
	asked := copyOf4(bob)
	message2 := mustAnswer(f, bob, "secret")
	bob3 := copyOf4(bob)
	message3 := mustReceive(f, alice, message2, None)
	message4 := mustReceive(f, bob, message3, Succeeded)
	places := []struct {
		machine *Machine
		next    []wire.TLV
	}{{fresh, start}, {asked, nil}, {alice2, message2}, {bob3, message3}, {alice, message4}}
	for i, p := range places {
		for _, next := range p.next {
			f.Add(byte(i), next.Type, next.Value)
			f.Add(byte(i), next.Type, next.Value[1:])
			f.Add(byte(i), next.Type, append(bytes.Clone(next.Value), 0))
		}
		f.Add(byte(i), uint16(wire.TLVSMPAbort), []byte{})
		f.Add(byte(i), uint16(wire.TLVSMP1Q), []byte("?\x00"))
	}
	f.Fuzz(func(t *testing.T, place byte, tlvType uint16, value []byte) {
		p := places[int(place)%len(places)]
		m := copyOf4(p.machine)
		send, event := m.Receive(wire.TLV{Type: tlvType, Value: value})
		accepted := event.Kind == Asked || event.Kind == Succeeded || len(send) > 0 && send[0].Type != wire.TLVSMPAbort
		if !accepted {
			return
		}
		if len(p.next) == 0 || tlvType != p.next[0].Type {
			t.Fatalf("a record of type %d is accepted", tlvType)
		}
		want := p.next[0].Value
		if tlvType == wire.TLVSMP1 {
			want = append(wire.AppendData(nil, []byte(event.Question)), want[4:]...)
		}
		if !bytes.Equal(value, want) {
			t.Fatal("a record is accepted that the peer did not send")
		}
	})
}

// BenchmarkRun4 is one whole run of version 4, both sides.
func BenchmarkRun4(b *testing.B) {
	alice, bob := newAlice4(), newBob4()
	for b.Loop() {
		runBetween(b, alice, bob, "our secret", "our secret", Succeeded)
	}
}
