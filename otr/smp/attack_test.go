package smp

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math/big"
	"strings"
	"sync"
	"testing"

	"otrpipe/otr/group"
	"otrpipe/otr/wire"
	"otrpipe/testscripts/slowtest"
)

// numbers is a message of versions 2 and 3 as an attacker sees it: any numbers.
type numbers []*big.Int

func parseNumbers(t testing.TB, body []byte) numbers {
	t.Helper()
	r := wire.NewReader(body)
	n := make(numbers, r.Int())
	for i := range n {
		n[i] = new(big.Int).SetBytes(r.MPI())
	}
	if err := r.End(); err != nil {
		t.Fatal(err)
	}
	return n
}

func (n numbers) bytes() []byte {
	b := wire.AppendInt(nil, uint32(len(n)))
	for _, v := range n {
		b = wire.AppendMPI(b, v.Bytes())
	}
	return b
}

// with returns the message with another value in one place.
func (n numbers) with(i int, v *big.Int) numbers {
	m := append(numbers{}, n...)
	m[i] = v
	return m
}

// layouts has the kinds of values of messages 1 to 4: elements, challenges and
// responses, in their order.
var layouts = [4]string{"ecrecr", "ecrecreecrr", "eecrrecr", "ecr"}

// expecting is a machine about to receive message 1, 2, 3 or 4, which is given.
type expecting struct {
	number  int
	receive func(body []byte) error
	body    []byte
}

// receivers returns one for each message. They can be asked again and again: a
// refused message leaves a run as it was.
func receivers(t testing.TB) []expecting {
	s1, s2, s3, s4 := inState(t, StateExpect1), inState(t, StateExpect2), inState(t, StateExpect3), inState(t, StateExpect4)
	fresh := s1.machine.binding.newRun(testRand('f'))
	return []expecting{
		{1, fresh.receive1, one(t, s1.next).Value},
		{2, func(b []byte) error { _, err := s2.machine.run.receive2(b); return err }, one(t, s2.next).Value},
		{3, func(b []byte) error { _, _, err := s3.machine.run.receive3(b); return err }, one(t, s3.next).Value},
		{4, func(b []byte) error { _, err := s4.machine.run.receive4(b); return err }, one(t, s4.next).Value},
	}
}

func TestEveryValueOfEveryMessageIsChecked(t *testing.T) {
	one := big.NewInt(1)
	p := modulus3()
	q := new(big.Int).Rsh(p, 1)
	plus := func(a, b *big.Int) *big.Int { return new(big.Int).Add(a, b) }
	minus := func(a, b *big.Int) *big.Int { return new(big.Int).Sub(a, b) }
	huge := new(big.Int).Lsh(one, 8*4000)
	for _, m := range receivers(t) {
		honest := parseNumbers(t, m.body)
		if len(honest) != len(layouts[m.number-1]) {
			t.Fatalf("message %d has %d values", m.number, len(honest))
		}
		for i, kind := range layouts[m.number-1] {
			v := honest[i]
			type forgery struct {
				name  string
				value *big.Int
				want  error
			}
			var forgeries []forgery
			switch kind {
			case 'e':
				forgeries = []forgery{
					{"0", new(big.Int), ErrElement},
					{"1, the identity", one, ErrElement},
					{"p−1, of order 2", minus(p, one), ErrElement},
					{"p", p, ErrElement},
					{"p+1", plus(p, one), ErrElement},
					{"above p, the same modulo p", plus(p, v), ErrElement},
					{"the negative, outside the group of order q", minus(p, v), ErrElement},
					{"as many bits as p, all set", minus(new(big.Int).Lsh(one, 1536), one), ErrElement},
					{"thousands of bytes", huge, ErrElement},
					{"the generator", big.NewInt(2), ErrProof},
					{"another element", new(big.Int).Mod(new(big.Int).Mul(v, big.NewInt(4)), p), ErrProof},
				}
			case 'c':
				forgeries = []forgery{
					{"0", new(big.Int), ErrProof},
					{"one more", plus(v, one), ErrProof},
					{"longer than a hash", new(big.Int).Lsh(one, 256), ErrMalformed},
					{"the same modulo q", plus(v, q), ErrMalformed},
					{"thousands of bytes", huge, ErrMalformed},
				}
			case 'r':
				forgeries = []forgery{
					{"0", new(big.Int), ErrMalformed},
					{"1", one, ErrProof},
					{"one more", plus(v, one), ErrProof},
					{"q−1", minus(q, one), ErrProof},
					{"q", q, ErrMalformed},
					{"not reduced, the proof holds", plus(v, q), ErrMalformed},
					{"thousands of bytes", huge, ErrMalformed},
				}
			}
			for n, f := range forgeries {
				if testing.Short() && (i+n)%3 != 0 {
					continue
				}
				if f.value.Cmp(v) == 0 {
					t.Fatalf("message %d, value %d: %s is the honest value", m.number, i, f.name)
				}
				if err := m.receive(honest.with(i, f.value).bytes()); !errors.Is(err, f.want) {
					t.Errorf("message %d, value %d is %s: %v", m.number, i, f.name, err)
				}
			}
		}
		if err := m.receive(m.body); err != nil {
			t.Errorf("message %d itself: %v", m.number, err)
		}
	}
}

func TestMessagesAreParsedWholeOrRefused(t *testing.T) {
	for _, m := range receivers(t) {
		honest := parseNumbers(t, m.body)
		count := len(honest)
		withCount := func(n uint32) []byte {
			return append(binary.BigEndian.AppendUint32(nil, n), m.body[4:]...)
		}
		leadingZero := func(i int) []byte {
			b := wire.AppendInt(nil, uint32(count))
			for j, v := range honest {
				if j == i {
					b = wire.AppendData(b, append([]byte{0}, v.Bytes()...))
				} else {
					b = wire.AppendMPI(b, v.Bytes())
				}
			}
			return b
		}
		broken := map[string][]byte{
			"nothing":                         nil,
			"a count only":                    m.body[:4],
			"a count of none":                 withCount(0),
			"a count of one less":             withCount(uint32(count - 1)),
			"a count of one more":             withCount(uint32(count + 1)),
			"the greatest count":              withCount(1<<32 - 1),
			"one value less":                  honest[:count-1].bytes(),
			"one value more":                  append(honest[:count:count], big.NewInt(1)).bytes(),
			"a byte behind it":                append(m.body[:len(m.body):len(m.body)], 0),
			"another message's values":        (numbers{big.NewInt(3)}).bytes(),
			"a first value with leading zero": leadingZero(0),
			"a last value with leading zero":  leadingZero(count - 1),
		}
		step := 13
		if testing.Short() {
			step = 113
		}
		for n := 0; n < len(m.body); n += step {
			broken[fmt.Sprintf("the first %d bytes", n)] = m.body[:n]
		}
		for name, body := range broken {
			if err := m.receive(body); !errors.Is(err, ErrMalformed) {
				t.Errorf("message %d, %s: %v", m.number, name, err)
			}
		}
	}
}

func TestMalformedMessageAbortsTheRun(t *testing.T) {
	slowtest.SkipShort(t)
	for _, state := range []State{StateExpect1, StateExpect2, StateExpect3, StateExpect4} {
		s := inState(t, state)
		next := one(t, s.next)
		send, event := s.machine.Receive(wire.TLV{Type: next.Type, Value: append(bytes.Clone(next.Value), 0)})
		if event.Kind != Aborted || !errors.Is(event.Reason, ErrMalformed) || s.machine.State() != StateExpect1 {
			t.Errorf("%v: %+v, %v", state, event, s.machine.State())
		}
		if one(t, send).Type != wire.TLVSMPAbort {
			t.Errorf("%v: sent a record of type %d", state, send[0].Type)
		}
	}
}

func TestCheatingAbortsTheRun(t *testing.T) {
	for _, state := range []State{StateExpect1, StateExpect2, StateExpect3, StateExpect4} {
		for _, cheat := range []struct {
			value *big.Int
			want  error
		}{{big.NewInt(1), ErrElement}, {big.NewInt(2), ErrProof}} {
			s := inState(t, state)
			next := one(t, s.next)
			forged := parseNumbers(t, next.Value).with(0, cheat.value).bytes()
			send, event := s.machine.Receive(wire.TLV{Type: next.Type, Value: forged})
			if event.Kind != Cheated || !errors.Is(event.Reason, cheat.want) || s.machine.State() != StateExpect1 {
				t.Errorf("%v: %+v, %v", state, event, s.machine.State())
			}
			if one(t, send).Type != wire.TLVSMPAbort {
				t.Errorf("%v: sent a record of type %d", state, send[0].Type)
			}
		}
	}
}

func TestMessage1QNeedsAnEndOfItsQuestion(t *testing.T) {
	for _, value := range []string{"", "?", strings.Repeat("?", 65535)} {
		_, event := newBob().Receive(wire.TLV{Type: wire.TLVSMP1Q, Value: []byte(value)})
		if event.Kind != Aborted || !errors.Is(event.Reason, ErrMalformed) {
			t.Errorf("%d bytes: %+v", len(value), event)
		}
	}
}

// mallory is a party that does not know the secret, with its insides open.
func mallory(ours, theirs byte) *party[[]byte, []byte] {
	b := V3(testFingerprint(ours), testFingerprint(theirs), testSSID)
	return b.newRun(testRand('m')).(*party[[]byte, []byte])
}

func TestPeerCannotSendBackOurHalves(t *testing.T) {
	alice := newAlice()
	start := one(t, mustStart(t, alice, "secret", ""))
	m := mallory('b', 'a')
	if err := m.receive1(start.Value); err != nil {
		t.Fatal(err)
	}
	body, err := m.message2([]byte("guess"))
	if err != nil {
		t.Fatal(err)
	}
	echo := append(parseNumbers(t, start.Value), parseNumbers(t, body)[6:]...)
	_, event := alice.Receive(wire.TLV{Type: wire.TLVSMP2, Value: echo.bytes()})
	if event.Kind != Cheated || !errors.Is(event.Reason, ErrProof) {
		t.Errorf("%+v", event)
	}
}

func TestPeerCannotSendBackOurCommitment(t *testing.T) {
	s := inState(t, StateAwaitingSecret)
	message2 := one(t, mustAnswer(t, s.machine, "secret"))
	message3 := one(t, mustReceive(t, s.peer, []wire.TLV{message2}, None))
	commitment := parseNumbers(t, message2.Value)[6:]
	echo := append(commitment[:5:5], parseNumbers(t, message3.Value)[5:]...)
	_, event := s.machine.Receive(wire.TLV{Type: wire.TLVSMP3, Value: echo.bytes()})
	if event.Kind != Cheated || !errors.Is(event.Reason, ErrProof) {
		t.Errorf("%+v", event)
	}
}

func TestPeerCannotSendBackOurResult(t *testing.T) {
	alice, bob := newAlice(), newBob()
	mustReceive(t, bob, mustStart(t, alice, "secret", ""), Asked)
	message3 := one(t, mustReceive(t, alice, mustAnswer(t, bob, "secret"), None))
	echo := parseNumbers(t, message3.Value)[5:]
	_, event := alice.Receive(wire.TLV{Type: wire.TLVSMP4, Value: echo.bytes()})
	if event.Kind != Cheated || !errors.Is(event.Reason, ErrProof) {
		t.Errorf("%+v", event)
	}
}

func TestPeerCannotReplayAnEarlierRun(t *testing.T) {
	alice, bob := newAlice(), newBob()
	earlier := runBetween(t, alice, bob, "secret", "secret", Succeeded)
	mustStart(t, alice, "secret", "")
	mustReceive(t, alice, []wire.TLV{earlier[1]}, Cheated)

	// Message 1 proves nothing about this run, and may come again. What follows may not.
	mustReceive(t, bob, []wire.TLV{earlier[0]}, Asked)
	mustAnswer(t, bob, "secret")
	mustReceive(t, bob, []wire.TLV{earlier[2]}, Cheated)
}

func TestRunPassedOnBetweenTwoSessionsFails(t *testing.T) {
	// Alice and Bob each have a session with Mallory, who passes every message on.
	alice := New(V3(aliceFingerprint, testFingerprint('m'), testSSID), testRand('a'))
	bob := New(V3(bobFingerprint, testFingerprint('m'), [8]byte{8}), testRand('b'))
	runBetween(t, alice, bob, "secret", "secret", Failed)
}

func TestPeerCannotMakeGeneratorsOutsideTheGroup(t *testing.T) {
	// g2a = −g1^a. In the proof (−1)^c is 1 for an even c, so that half of all
	// tries give a proof that holds.
	m := mallory('a', 'b')
	negate := func(e []byte) []byte {
		return new(big.Int).Sub(modulus3(), new(big.Int).SetBytes(e)).FillBytes(make([]byte, 192))
	}
	forge := func(usage byte) half[[]byte, []byte] {
		for {
			_, h, err := m.newHalf(usage)
			if err != nil {
				t.Fatal(err)
			}
			if h.c[31]&1 == 0 {
				h.public = negate(h.public)
				return h
			}
		}
	}
	h2, h3 := forge(initiatorUsages.g2), forge(initiatorUsages.g3)
	if err := m.takeHalves(initiatorUsages, h2, h3); err != nil {
		t.Fatalf("the forged proofs do not hold: %v", err)
	}
	e := m.encode(2 * halfValues)
	e.half(h2)
	e.half(h3)
	_, event := newBob().Receive(wire.TLV{Type: wire.TLVSMP1, Value: e.b})
	if event.Kind != Cheated || !errors.Is(event.Reason, ErrElement) {
		t.Errorf("%+v", event)
	}
}

func TestPeerCannotRepeatOurP(t *testing.T) {
	// Mallory has somehow learned Bob's r4, and makes Pa = Pb with it. Her Qa
	// differs, because her secret does.
	s := inState(t, StateAwaitingSecret)
	bob := s.machine.run.(*party[[]byte, []byte])
	bob.rand = testRand('r')
	message2 := one(t, mustAnswer(t, s.machine, "secret"))

	m := s.peer.run.(*party[[]byte, []byte])
	m.secret = m.suite.secret(true, []byte("guess"))
	d := m.decode(message2.Value, 11)
	h2, h3, theirs := d.half(), d.half(), d.commitment()
	if err := errors.Join(d.end(), m.takeHalves(responderUsages, h2, h3)); err != nil {
		t.Fatal(err)
	}
	m.setGenerators()
	bobsDraws := testRand('r')
	bobsDraws.Read(make([]byte, 4*192)) // b2, r2, b3, r3
	m.rand = bobsDraws
	ours, err := m.newCommitment(initiatorUsages.commitment)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(ours.p, theirs.p) || bytes.Equal(ours.q, theirs.q) {
		t.Fatal("the forgery is not what the test is about")
	}
	r, err := m.newResult(initiatorUsages.result, m.suite.div(ours.q, theirs.q))
	if err != nil {
		t.Fatal(err)
	}
	e := m.encode(8)
	e.commitment(ours)
	e.result(r)
	_, event := s.machine.Receive(wire.TLV{Type: wire.TLVSMP3, Value: e.b})
	if event.Kind != Cheated || !errors.Is(event.Reason, ErrRepeated) {
		t.Errorf("%+v", event)
	}
}

func TestEitherRepeatedValueIsRefused(t *testing.T) {
	p := inState(t, StateAwaitingSecret).machine.run.(*party[[]byte, []byte])
	element := func(exponent byte) []byte { return p.suite.base([]byte{exponent}) }
	p.pb, p.qb = element(2), element(3)
	for _, test := range []struct {
		name   string
		pa, qa byte
		want   error
	}{
		{"other values", 4, 5, nil},
		{"Pa is Pb", 2, 5, ErrRepeated},
		{"Qa is Qb", 4, 3, ErrRepeated},
		{"both are", 2, 3, ErrRepeated},
	} {
		if err := p.setRatio(commitment[[]byte, []byte]{p: element(test.pa), q: element(test.qa)}); !errors.Is(err, test.want) {
			t.Errorf("%s: %v", test.name, err)
		}
	}
}

func TestRepeatedValuesAreNoticedByTheInitiatorToo(t *testing.T) {
	// Both draw the same numbers: with the same secret even Q is the same.
	alice, bob := newAlice(), newBob()
	alice.rand, bob.rand = testRand('r'), testRand('r')
	mustReceive(t, bob, mustStart(t, alice, "secret", ""), Asked)
	_, event := alice.Receive(one(t, mustAnswer(t, bob, "secret")))
	if event.Kind != Cheated || !errors.Is(event.Reason, ErrRepeated) {
		t.Errorf("%+v", event)
	}
}

// modulus3 is the prime p of the group of versions 2 and 3.
var modulus3 = sync.OnceValue(func() *big.Int {
	one := []byte{1}
	minusOne := group.MODP1536().MulSub(nil, one, one) // 0 − 1·1 modulo q
	p := new(big.Int).SetBytes(minusOne)
	return p.Lsh(p, 1).Add(p, big.NewInt(3)) // p = 2q + 1
})
