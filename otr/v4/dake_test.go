package v4

import (
	"bytes"
	"errors"
	"fmt"
	"reflect"
	"testing"
	"time"

	"otrpipe/otr/group"
	"otrpipe/otr/wire"
	"otrpipe/testscripts/slowtest"
)

func TestTheKeyExchangeGivesBothTheSameSession(t *testing.T) {
	alice, bob := newSession(t)
	a, aliceBold := alice.SSID()
	b, bobBold := bob.SSID()
	if a != b || a == [8]byte{} {
		t.Errorf("SSID %x and %x", a, b)
	}
	if !aliceBold || bobBold {
		t.Error("who sent Auth-R shows the first half in bold, the other the second")
	}
	if alice.PeerKey().Fingerprint() != bob.client.Fingerprint() || bob.PeerKey().Fingerprint() != alice.client.Fingerprint() {
		t.Error("the peer has another fingerprint")
	}
	for _, e := range []*end{alice, bob} {
		if e.AuthState() != AuthNone || !e.Encrypted() || e.Sessions() != 1 {
			t.Errorf("%s: %v, encrypted %v, %d sessions", e.name, e.AuthState(), e.Encrypted(), e.Sessions())
		}
	}
	if got := bob.read(alice.say("from alice")); got != "from alice" {
		t.Errorf("bob read %q", got)
	}
	if got := alice.read(bob.say("from bob")); got != "from bob" {
		t.Errorf("alice read %q", got)
	}
}

func TestEitherCanSpeakFirst(t *testing.T) {
	alice, bob := newSession(t)
	if got := alice.read(bob.say("bob first")); got != "bob first" {
		t.Errorf("alice read %q", got)
	}
	alice, bob = newSession(t)
	crossing := bob.say("from bob")
	if got := bob.read(alice.say("from alice")); got != "from alice" {
		t.Errorf("bob read %q", got)
	}
	if got := alice.read(crossing); got != "from bob" {
		t.Errorf("alice read %q", got)
	}
}

func TestAccountsAreBoundToTheSession(t *testing.T) {
	for _, c := range []struct {
		name     string
		accounts *Accounts
		works    bool
	}{
		{"crosswise", &Accounts{Ours: "bob@localhost", Theirs: "alice@localhost"}, true},
		{"none", nil, false},
		{"the same way round", &Accounts{Ours: "alice@localhost", Theirs: "bob@localhost"}, false},
		{"another peer", &Accounts{Ours: "bob@localhost", Theirs: "mallory@localhost"}, false},
		{"empty", &Accounts{}, false},
	} {
		alice, bob := newEnds(t)
		bob.client.Accounts = c.accounts
		_, _, err := bob.take(alice.answer(bob.start()))
		if (err == nil) != c.works || err != nil && !errors.Is(err, ErrRingSignature) {
			t.Errorf("%s: %v", c.name, err)
		}
	}
	alice, bob := newEnds(t)
	alice.client.Accounts, bob.client.Accounts = nil, nil
	bob.answer(alice.answer(bob.start()))
}

// The states of the section "Protocol States", each with a way to bring alice into it. Before
// and after a session an engine is in the same state.
var states = []struct {
	name  string
	enter func(alice, bob *end)
}{
	{"START", func(alice, bob *end) {}},
	{"WAITING_AUTH_R", func(alice, bob *end) { alice.start() }},
	{"WAITING_AUTH_I", func(alice, bob *end) { alice.answer(bob.start()) }},
	{"ENCRYPTED_MESSAGES", func(alice, bob *end) { alice.answer(bob.answer(alice.answer(bob.start()))) }},
	{"FINISHED", func(alice, bob *end) {
		alice.answer(bob.answer(alice.answer(bob.start())))
		alice.Drop()
	}},
}

// The messages of the section "Protocol Events" that an engine handles, each with a way for
// bob to make the best possible one for alice's state.
var messages = []struct {
	name string
	make func(t *testing.T, alice, bob *end) []byte
}{
	{"Identity", func(t *testing.T, alice, bob *end) []byte { return bob.start() }},
	{"Auth-R", func(t *testing.T, alice, bob *end) []byte {
		if o := alice.exchange.offer; o != nil {
			return bob.answer(o.Message(0))
		}
		other, _ := newEnds(t)
		return bob.answer(other.start())
	}},
	{"Auth-I", func(t *testing.T, alice, bob *end) []byte {
		if a := alice.exchange.answer; a != nil {
			return bob.answer(a.message)
		}
		other, _ := newEnds(t)
		return bob.answer(other.answer(bob.start()))
	}},
	{"Data", func(t *testing.T, alice, bob *end) []byte {
		if !bob.Encrypted() {
			other, _ := newEnds(t)
			bob.answer(other.answer(bob.start()))
		}
		return bob.say("hello")
	}},
	{"Non-Interactive-Auth", func(t *testing.T, alice, bob *end) []byte {
		h := wire.Header{Version: Version, Type: wire.TypeNonInteractiveAuth, Sender: bob.client.InstanceTag, Receiver: alice.client.InstanceTag}
		return append(h.Append(nil), make([]byte, 1000)...)
	}},
}

// The specification's result for each state and message: the answer, the state of the key
// exchange, whether there is a session, and the error if the message is not expected.
type outcome struct {
	answer  wire.MessageType
	state   AuthState
	session bool
	err     error
}

// none is no answer; no message has this type.
const none wire.MessageType = 0

var cells = map[string]outcome{
	"START receives Identity":             {wire.TypeAuthR, AuthWaitingAuthI, false, nil},
	"START receives Auth-R":               {none, AuthNone, false, ErrIgnored},
	"START receives Auth-I":               {none, AuthNone, false, ErrIgnored},
	"START receives Data":                 {none, AuthNone, false, ErrNoSession},
	"START receives Non-Interactive-Auth": {none, AuthNone, false, ErrIgnored},

	// Identity: see TestOfTwoIdentityMessagesTheHigherHashWins.
	"WAITING_AUTH_R receives Auth-R":               {wire.TypeAuthI, AuthNone, true, nil},
	"WAITING_AUTH_R receives Auth-I":               {none, AuthWaitingAuthR, false, ErrIgnored},
	"WAITING_AUTH_R receives Data":                 {none, AuthWaitingAuthR, false, ErrNoSession},
	"WAITING_AUTH_R receives Non-Interactive-Auth": {none, AuthWaitingAuthR, false, ErrIgnored},

	"WAITING_AUTH_I receives Identity":             {wire.TypeAuthR, AuthWaitingAuthI, false, nil},
	"WAITING_AUTH_I receives Auth-R":               {none, AuthWaitingAuthI, false, ErrIgnored},
	"WAITING_AUTH_I receives Auth-I":               {none, AuthNone, true, nil},
	"WAITING_AUTH_I receives Data":                 {none, AuthWaitingAuthI, false, ErrNoSession},
	"WAITING_AUTH_I receives Non-Interactive-Auth": {none, AuthWaitingAuthI, false, ErrIgnored},

	"ENCRYPTED_MESSAGES receives Identity":             {wire.TypeAuthR, AuthWaitingAuthI, true, nil},
	"ENCRYPTED_MESSAGES receives Auth-R":               {none, AuthNone, true, ErrIgnored},
	"ENCRYPTED_MESSAGES receives Auth-I":               {none, AuthNone, true, ErrIgnored},
	"ENCRYPTED_MESSAGES receives Data":                 {none, AuthNone, true, nil},
	"ENCRYPTED_MESSAGES receives Non-Interactive-Auth": {none, AuthNone, true, ErrIgnored},

	"FINISHED receives Identity":             {wire.TypeAuthR, AuthWaitingAuthI, false, nil},
	"FINISHED receives Auth-R":               {none, AuthNone, false, ErrIgnored},
	"FINISHED receives Auth-I":               {none, AuthNone, false, ErrIgnored},
	"FINISHED receives Data":                 {none, AuthNone, false, ErrNoSession},
	"FINISHED receives Non-Interactive-Auth": {none, AuthNone, false, ErrIgnored},
}

func TestTheStateMachine(t *testing.T) {
	for i, state := range states {
		for j, message := range messages {
			name := state.name + " receives " + message.name
			want, ok := cells[name]
			if !ok || testing.Short() && (i+j)%5 != 0 {
				continue
			}
			t.Run(name, func(t *testing.T) {
				alice, bob := newEnds(t)
				state.enter(alice, bob)
				msg := message.make(t, alice, bob)
				before := snapshot(alice.Engine)
				reply, _, err := alice.take(msg)
				if !errors.Is(err, want.err) || err != nil && want.err == nil {
					t.Errorf("error %v, want %v", err, want.err)
				}
				got := none
				if reply != nil {
					h, _, err := wire.ParseHeader(reply)
					if err != nil || h.Sender != alice.client.InstanceTag || h.Receiver != bob.client.InstanceTag {
						t.Fatalf("answer with %+v, %v", h, err)
					}
					got = h.Type
				}
				if got != want.answer {
					t.Errorf("answer %v, want %v", got, want.answer)
				}
				if alice.AuthState() != want.state || alice.Encrypted() != want.session {
					t.Errorf("state %v, session %v", alice.AuthState(), alice.Encrypted())
				}
				if err != nil && !reflect.DeepEqual(before, snapshot(alice.Engine)) {
					t.Error("a message that was not accepted changed the state")
				}
			})
		}
	}
	if want := len(states)*len(messages) - 1; len(cells) != want {
		t.Errorf("%d cells, want %d", len(cells), want)
	}
}

func TestWhatTheUserCanBeginInEveryState(t *testing.T) {
	slowtest.SkipShort(t)
	for i, state := range states {
		if testing.Short() && i%3 != 0 {
			continue
		}
		t.Run(state.name+" begins a key exchange", func(t *testing.T) {
			alice, bob := newEnds(t)
			state.enter(alice, bob)
			had := alice.Encrypted()
			identity := alice.start()
			if alice.AuthState() != AuthWaitingAuthR || alice.Encrypted() != had {
				t.Errorf("state %v, session %v", alice.AuthState(), alice.Encrypted())
			}
			bob.Forget()
			alice.answer(bob.answer(identity))
			if alice.AuthState() != AuthNone || !alice.Encrypted() {
				t.Errorf("in the end: state %v, session %v", alice.AuthState(), alice.Encrypted())
			}
		})
		t.Run(state.name+" seals a text", func(t *testing.T) {
			alice, bob := newEnds(t)
			state.enter(alice, bob)
			_, err := alice.Seal(nil, 0, wire.Plaintext{Text: []byte("x")})
			if (err == nil) != alice.Encrypted() || err != nil && !errors.Is(err, ErrNoSession) {
				t.Error(err)
			}
			_, err = alice.SealLast(nil, 0, wire.Plaintext{})
			if (err == nil) != (state.name == "ENCRYPTED_MESSAGES") || alice.Encrypted() {
				t.Errorf("ending: %v, session %v", err, alice.Encrypted())
			}
		})
		t.Run(state.name+" forgets the key exchange", func(t *testing.T) {
			alice, bob := newEnds(t)
			state.enter(alice, bob)
			had := alice.Encrypted()
			alice.Forget()
			if alice.AuthState() != AuthNone || alice.Encrypted() != had {
				t.Errorf("state %v, session %v", alice.AuthState(), alice.Encrypted())
			}
		})
	}
}

// crossingStart makes both ends send an Identity message, and returns the winner and the
// loser.
func crossingStart(t *testing.T) (winner, loser *end, winners, losers []byte) {
	t.Helper()
	alice, bob := newEnds(t)
	a, b := alice.start(), bob.start()
	if hashedDH(alice.exchange.offer.ours.dh.public) > hashedDH(bob.exchange.offer.ours.dh.public) {
		return alice, bob, a, b
	}
	return bob, alice, b, a
}

func TestOfTwoIdentityMessagesTheHigherHashWins(t *testing.T) {
	winner, loser, winners, losers := crossingStart(t)
	if _, _, err := winner.take(losers); !errors.Is(err, ErrBeaten) || winner.AuthState() != AuthWaitingAuthR {
		t.Errorf("the winner: %v, in state %v", err, winner.AuthState())
	}
	authR := loser.answer(winners)
	if loser.AuthState() != AuthWaitingAuthI {
		t.Errorf("the loser is in %v", loser.AuthState())
	}
	// The winner's second copy is answered with the same Auth-R.
	if again := loser.answer(winners); !bytes.Equal(again, authR) {
		t.Error("the loser answers the same message in another way")
	}
	authI := winner.answer(authR)
	if _, _, err := winner.take(authR); !errors.Is(err, ErrIgnored) {
		t.Errorf("the second Auth-R: %v", err)
	}
	loser.answer(authI)
	if got := loser.read(winner.say("hello")); got != "hello" {
		t.Errorf("read %q", got)
	}
}

func TestACopyOfTheIdentityMessageThatASessionBeganWithIsIgnored(t *testing.T) {
	slowtest.SkipShort(t)
	alice, bob := newEnds(t)
	identity := bob.start()
	alice.answer(bob.answer(alice.answer(identity)))
	if _, _, err := alice.take(identity); !errors.Is(err, ErrIgnored) || alice.AuthState() != AuthNone {
		t.Errorf("%v, state %v", err, alice.AuthState())
	}
	if bob.answer(alice.answer(bob.start())) == nil {
		t.Error("another one must be answered")
	}
}

func TestANewIdentityMessageReplacesTheOneThatWasAnswered(t *testing.T) {
	slowtest.SkipShort(t)
	alice, bob := newEnds(t)
	first := alice.answer(bob.start())
	second := alice.answer(bob.start())
	if _, _, err := bob.take(first); !errors.Is(err, ErrAuthentication) {
		t.Errorf("Auth-R to the first: %v", err)
	}
	alice.answer(bob.answer(second))
	if !alice.Encrypted() || !bob.Encrypted() {
		t.Error("no session")
	}
}

func TestOurOwnIdentityMessageIsAnEcho(t *testing.T) {
	alice, bob := newEnds(t)
	identity := alice.start()
	if _, _, err := alice.take(identity); !errors.Is(err, ErrEcho) || alice.AuthState() != AuthWaitingAuthR {
		t.Errorf("%v, state %v", err, alice.AuthState())
	}
	alice.Forget()
	alice.answer(bob.start())
	if _, _, err := alice.take(identity); !errors.Is(err, ErrEcho) {
		t.Errorf("after it was given up: %v", err)
	}
}

// network runs a key exchange between two ends whose messages stay in order. A path chooses
// each time which of the possible steps comes next.
type network struct {
	ends   [2]*end
	queues [2][][]byte // to ends[i]
	starts [2]int      // key exchanges that ends[i] has still to begin
}

// options are the steps that are possible.
func (n *network) options() (options []func()) {
	for i := range n.ends {
		if n.starts[i] > 0 {
			options = append(options, func() {
				n.starts[i]--
				n.queues[1-i] = append(n.queues[1-i], n.ends[i].startAgain())
			})
		}
		if len(n.queues[i]) > 0 {
			options = append(options, func() {
				msg := n.queues[i][0]
				n.queues[i] = n.queues[i][1:]
				if reply, _, _ := n.ends[i].take(msg); reply != nil {
					n.queues[1-i] = append(n.queues[1-i], reply)
				}
			})
		}
	}
	return options
}

// run follows the path, takes the first step where it has ended, and returns how many steps
// were possible each time.
func (n *network) run(path []int) (width []int) {
	for {
		options := n.options()
		if len(options) == 0 {
			return width
		}
		choice := 0
		if len(width) < len(path) {
			choice = path[len(width)]
		}
		width = append(width, len(options))
		options[choice]()
	}
}

// nextPath is the path after the one that has been taken, depth first; nil after the last.
func nextPath(path, width []int) []int {
	path = append(path, make([]int, len(width)-len(path))...)
	for i := len(path) - 1; i >= 0; i-- {
		if path[i]+1 < width[i] {
			return append(path[:i], path[i]+1)
		}
	}
	return nil
}

// wantOneSession wants both ends to be in the same session.
func wantOneSession(t *testing.T, alice, bob *end, when string) {
	t.Helper()
	a, _ := alice.SSID()
	b, _ := bob.SSID()
	if !alice.Encrypted() || !bob.Encrypted() || a != b {
		t.Fatalf("%s: SSID %x and %x", when, a, b)
	}
	if alice.AuthState() != AuthNone || bob.AuthState() != AuthNone {
		t.Fatalf("%s: states %v and %v", when, alice.AuthState(), bob.AuthState())
	}
	if got := alice.read(bob.say("b")) + bob.read(alice.say("a")); got != "ba" {
		t.Fatalf("%s: read %q", when, got)
	}
}

func TestKeyExchangesThatCrossInAnyWayEndInOneSession(t *testing.T) {
	slowtest.SkipShort(t)
	paths := 0
	for path := []int{}; path != nil; paths++ {
		if testing.Short() && paths == 4 {
			return
		}
		alice, bob := newEnds(t)
		n := network{ends: [2]*end{alice, bob}, starts: [2]int{1, 1}}
		width := n.run(path)
		wantOneSession(t, alice, bob, fmt.Sprint(path))
		path = nextPath(path, width)
	}
	if paths < 10 {
		t.Errorf("only %d ways", paths)
	}
}

func TestManyKeyExchangesThatCrossEndInOneSession(t *testing.T) {
	random := steady(9)
	rounds := 16
	if testing.Short() {
		rounds = 2
	}
	for round := range rounds {
		alice, bob := newEnds(t)
		if round%2 == 1 {
			alice, bob = newSession(t)
		}
		n := network{ends: [2]*end{alice, bob}, starts: [2]int{2, 1 + round%3}}
		for options := n.options(); len(options) > 0; options = n.options() {
			options[random.Uint64()%uint64(len(options))]()
		}
		wantOneSession(t, alice, bob, fmt.Sprintf("round %d", round))
	}
}

func TestACopyOfAnAnsweredIdentityMessageDoesNotEndAnExchangeOfOurs(t *testing.T) {
	slowtest.SkipShort(t)
	// The loser of a crossing begins another exchange before the winner's copy comes.
	winner, loser, winners, losers := crossingStart(t)
	authR := loser.answer(winners)
	again := loser.start()
	if _, _, err := winner.take(losers); !errors.Is(err, ErrBeaten) {
		t.Fatal(err)
	}
	copied := winner.exchange.offer.Message(0) // as when the offer is no longer fresh
	authI := winner.answer(authR)
	secondAuthR := winner.answer(again)
	if _, _, err := loser.take(copied); !errors.Is(err, ErrIgnored) {
		t.Fatal(err)
	}
	loser.answer(authI) // it ends the first exchange, and the second goes on
	winner.answer(loser.answer(secondAuthR))
	wantOneSession(t, winner, loser, "in the end")
}

func TestTheOldSessionGoesOnUntilTheNewOneIsThere(t *testing.T) {
	slowtest.SkipShort(t)
	alice, bob := newSession(t)
	identity := bob.start()
	if got := alice.read(bob.say("before")); got != "before" {
		t.Errorf("read %q", got)
	}
	authR := alice.answer(identity)
	if got := alice.read(bob.say("after the answer")); got != "after the answer" {
		t.Errorf("read %q", got)
	}
	if got := bob.read(alice.say("in the old session")); got != "in the old session" {
		t.Errorf("read %q", got)
	}
	authI := bob.answer(authR)
	if bob.Sessions() != 2 {
		t.Errorf("%d sessions", bob.Sessions())
	}
	alice.answer(authI)
	wantOneSession(t, alice, bob, "after the refresh")
}

func TestMACKeysOfTheOldSessionAreRevealedInTheNewOne(t *testing.T) {
	alice, bob := newSession(t)
	sent := alice.say("to be forgeable")
	bob.read(sent)
	alice.answer(bob.answer(alice.answer(bob.start())))
	_, body, err := wire.ParseHeader(bob.say("first of the new session"))
	if err != nil {
		t.Fatal(err)
	}
	d, err := ParseData(body)
	if err != nil {
		t.Fatal(err)
	}
	if len(d.Revealed) != macLen || !verifies(t, sent, d.Revealed) {
		t.Errorf("revealed %x", d.Revealed)
	}
}

func TestAProfileThatExpiresDuringTheExchangeEndsIt(t *testing.T) {
	alice, bob := newEnds(t)
	identity := bob.start()
	alice.clock.now = profileEnd(alice.clock.now)
	if _, _, err := alice.take(identity); !errors.Is(err, ErrProfile) || alice.AuthState() != AuthNone {
		t.Errorf("%v, state %v", err, alice.AuthState())
	}
	alice.clock.now = alice.clock.now.Add(-time.Second)
	alice.answer(identity)
}

// forge returns a copy of an Identity or Auth-R message with other values, as a cheater with
// bob's long-term keys could make it.
func forge(t *testing.T, msg []byte, change func(ecdh, dh, firstECDH, firstDH *[]byte)) []byte {
	t.Helper()
	h, body, err := wire.ParseHeader(msg)
	if err != nil {
		t.Fatal(err)
	}
	if h.Type == wire.TypeIdentity {
		m, err := ParseIdentity(body)
		if err != nil {
			t.Fatal(err)
		}
		change(&m.Y, &m.B, &m.FirstECDH, &m.FirstDH)
		return m.Append(h.Append(nil))
	}
	m, err := ParseAuthR(body)
	if err != nil {
		t.Fatal(err)
	}
	change(&m.X, &m.A, &m.FirstECDH, &m.FirstDH)
	return m.Append(h.Append(nil))
}

func TestKeysOutsideTheirGroupsAreRefusedInTheKeyExchange(t *testing.T) {
	points := map[string][]byte{
		"the identity": append([]byte{1}, make([]byte, 56)...),
		"order 4":      make([]byte, 57),
		"off curve":    append([]byte{2}, make([]byte, 56)...),
	}
	p := append(bytes.Repeat([]byte{0xff}, 8), group.MODP3072().ExpBase(nil)...)[:0]
	minusOne := dhMinus(1)
	numbers := map[string][]byte{
		"0": p, "1": {1}, "p−1": minusOne, "p−2": dhMinus(2), "p": dhMinus(0), "above p": append([]byte{1}, make([]byte, 384)...),
	}
	check := func(receiver *end, msg []byte, name string) {
		t.Helper()
		before := snapshot(receiver.Engine)
		if _, _, err := receiver.take(msg); !errors.Is(err, ErrAuthentication) {
			t.Errorf("%s: %v", name, err)
		}
		if !reflect.DeepEqual(before, snapshot(receiver.Engine)) {
			t.Errorf("%s changed the state", name)
		}
	}
	alice, bob := newEnds(t)
	identity := bob.start()
	authR := alice.answer(identity)
	fresh, _ := newEnds(t)
	for _, c := range []struct {
		receiver *end
		msg      []byte
	}{{fresh, identity}, {bob, authR}} {
		for name, point := range points {
			check(c.receiver, forge(t, c.msg, func(ecdh, _, _, _ *[]byte) { *ecdh = point }), "ECDH key "+name)
			check(c.receiver, forge(t, c.msg, func(_, _, first, _ *[]byte) { *first = point }), "first ECDH key "+name)
		}
		for name, number := range numbers {
			check(c.receiver, forge(t, c.msg, func(_, dh, _, _ *[]byte) { *dh = number }), "DH key "+name)
			check(c.receiver, forge(t, c.msg, func(_, _, _, first *[]byte) { *first = number }), "first DH key "+name)
		}
	}
	bob.answer(authR) // which is still expected
}

// dhMinus is p − n of the 3072-bit group.
func dhMinus(n byte) []byte {
	// −1 modulo q is q − 1, and p is 2q + 1.
	g := group.MODP3072()
	one := []byte{1}
	b := g.MulSub(nil, one, one) // q − 1
	carry := byte(3 - n)         // 2·(q − 1) + 3 = p
	out := make([]byte, len(b))
	for i := len(b) - 1; i >= 0; i-- {
		v := uint16(b[i])<<1 + uint16(carry)
		out[i], carry = byte(v), byte(v>>8)
	}
	return out
}

func TestValidKeysThatTheSignatureDoesNotCoverAreRefused(t *testing.T) {
	alice, bob := newEnds(t)
	authR := alice.answer(bob.start())
	other := alice.exchange.answer.ours.dh.public
	point := group.Generator().Append(nil)
	for name, change := range map[string]func(ecdh, dh, firstECDH, firstDH *[]byte){
		"X":         func(ecdh, _, _, _ *[]byte) { *ecdh = point },
		"A":         func(_, dh, _, _ *[]byte) { *dh = []byte{4} },
		"first X":   func(_, _, first, _ *[]byte) { *first = point },
		"first A":   func(_, _, _, first *[]byte) { *first = other },
		"swapped":   func(a, _, b, _ *[]byte) { *a, *b = *b, *a },
		"swapped A": func(_, a, _, b *[]byte) { *a, *b = *b, *a },
	} {
		if _, _, err := bob.take(forge(t, authR, change)); !errors.Is(err, ErrRingSignature) {
			t.Errorf("%s: %v", name, err)
		}
	}
	// Changed in the Identity message, alice's Auth-R is about other keys than bob's.
	alice, bob = newEnds(t)
	identity := forge(t, bob.start(), func(_, _, first, _ *[]byte) { *first = point })
	if _, _, err := bob.take(alice.answer(identity)); !errors.Is(err, ErrRingSignature) {
		t.Errorf("first Y: %v", err)
	}
}

func TestEveryByteOfTheKeyExchangeIsAuthenticated(t *testing.T) {
	alice, bob := newEnds(t)
	identity := bob.start()
	fresh, _ := newEnds(t)
	authR := alice.answer(identity)
	authI, err := func() ([]byte, error) { // from a copy of bob, who goes on waiting
		b := *bob.Engine
		h, body, err := wire.ParseHeader(authR)
		if err != nil {
			return nil, err
		}
		reply, _, err := b.Receive(h, body, authR, nil)
		return reply, err
	}()
	if err != nil {
		t.Fatal(err)
	}
	const header = 11
	for _, c := range []struct {
		name     string
		receiver *end
		msg      []byte
		step     int
	}{
		{"Auth-R", bob, authR, 13},
		{"Auth-I", alice, authI, 13},
	} {
		before := snapshot(c.receiver.Engine)
		for i := header; i < len(c.msg); i += c.step {
			forged := bytes.Clone(c.msg)
			forged[i] ^= 1 << (i % 8)
			if _, _, err := c.receiver.take(forged); err == nil {
				t.Fatalf("%s with byte %d changed is accepted", c.name, i)
			}
		}
		for _, n := range []int{header, header + 1, len(c.msg) - 1} {
			if _, _, err := c.receiver.take(c.msg[:n]); !errors.Is(err, ErrMalformed) {
				t.Errorf("%s of %d bytes: %v", c.name, n, err)
			}
		}
		if _, _, err := c.receiver.take(append(bytes.Clone(c.msg), 0)); !errors.Is(err, wire.ErrTrailing) {
			t.Errorf("%s with a byte behind it: %v", c.name, err)
		}
		if !reflect.DeepEqual(before, snapshot(c.receiver.Engine)) {
			t.Errorf("%s: the state has changed", c.name)
		}
	}
	// An Identity message is not authenticated until the Auth-R is; but its profile is.
	for i := header; i < len(identity); i += 41 {
		forged := bytes.Clone(identity)
		forged[i] ^= 1
		if reply, _, err := fresh.take(forged); err == nil {
			if _, _, err := bob.take(reply); err == nil {
				t.Fatalf("Identity with byte %d changed leads to a session", i)
			}
			fresh.Forget()
		}
	}
	if _, _, err := fresh.take(append(bytes.Clone(identity), make([]byte, maxExchangeMessage)...)); !errors.Is(err, ErrMalformed) {
		t.Errorf("an Identity message of more than %d bytes: %v", maxExchangeMessage, err)
	}
}

// failingRand gives some bytes and then fails.
type failingRand struct {
	left int
	src  interface{ Read([]byte) (int, error) }
}

var errNoRandomness = errors.New("no randomness")

func (r *failingRand) Read(p []byte) (int, error) {
	if len(p) > r.left {
		return 0, errNoRandomness
	}
	r.left -= len(p)
	return r.src.Read(p)
}

func TestWithoutRandomnessNothingIsAnsweredAndNothingChanges(t *testing.T) {
	const keys, signature = 2*57 + 2*80, 5 * 57
	alice, bob := newEnds(t)
	source := alice.client.Rand
	for _, left := range []int{0, 57, 57 + 80, 2*57 + 80, keys, keys + signature - 1} {
		alice.client.Rand = &failingRand{left: left, src: source}
		if _, err := alice.client.NewOffer(); (err == nil) != (left >= keys) {
			t.Errorf("an offer with %d bytes: %v", left, err)
		}
		before := snapshot(alice.Engine)
		alice.client.Rand = &failingRand{left: left, src: source}
		if _, _, err := alice.take(bob.start()); !errors.Is(err, errNoRandomness) {
			t.Errorf("with %d bytes: %v", left, err)
		}
		if !reflect.DeepEqual(before, snapshot(alice.Engine)) {
			t.Errorf("with %d bytes the state has changed", left)
		}
	}
	alice.client.Rand = source
	authR := alice.answer(bob.start())
	source = bob.client.Rand
	bob.client.Rand = &failingRand{left: signature - 1, src: source}
	if _, _, err := bob.take(authR); !errors.Is(err, errNoRandomness) || bob.AuthState() != AuthWaitingAuthR {
		t.Errorf("Auth-I: %v, state %v", err, bob.AuthState())
	}
	bob.client.Rand = source
	alice.answer(bob.answer(authR))
	wantOneSession(t, alice, bob, "in the end")
}

func TestAnOfferCanBeAnsweredBySeveralInstances(t *testing.T) {
	slowtest.SkipShort(t)
	alice, bob := newEnds(t)
	offer, err := bob.client.NewOffer()
	if err != nil {
		t.Fatal(err)
	}
	second := newTestClient(t, 7)
	second.Accounts = alice.client.Accounts
	phone := &end{t: t, name: "phone", clock: alice.clock, client: second, Engine: second.NewEngine(bob.client.InstanceTag)}
	toPhone := &end{t: t, name: "bob to phone", clock: bob.clock, client: bob.client, Engine: bob.client.NewEngine(second.InstanceTag)}
	bob.Begin(offer)
	toPhone.Begin(offer)
	identity := offer.Message(0)
	alice.answer(bob.answer(alice.answer(identity)))
	phone.answer(toPhone.answer(phone.answer(identity)))
	offer.Wipe()
	wantOneSession(t, alice, bob, "alice")
	wantOneSession(t, phone, toPhone, "phone")
}

func TestWipeForgetsEverything(t *testing.T) {
	alice, bob := newSession(t)
	bob.read(alice.say("x"))
	bob.start()
	bob.Wipe()
	if bob.Encrypted() || bob.AuthState() != AuthNone || bob.PeerKey() != nil || bob.KeyRotations() != 0 || bob.ExtraKeys(true) != nil {
		t.Error("something is left")
	}
	if id, _ := bob.SSID(); id != [8]byte{} {
		t.Error("the session id is left")
	}
	if bob.reveal != nil {
		t.Error("MAC keys are left")
	}
}

func TestAuthStatesHaveTheNamesOfTheSpecification(t *testing.T) {
	for state, name := range map[AuthState]string{
		AuthNone: "START", AuthWaitingAuthR: "WAITING_AUTH_R", AuthWaitingAuthI: "WAITING_AUTH_I", 7: "AuthState(7)",
	} {
		if state.String() != name {
			t.Errorf("%v, want %s", state, name)
		}
	}
}

// TestAnAuthIThatComesAfterAnotherExchangeHasBegunCounts: the peer may have sent messages in
// the session that it completes.
func TestAnAuthIThatComesAfterAnotherExchangeHasBegunCounts(t *testing.T) {
	slowtest.SkipShort(t)
	alice, bob := newEnds(t)
	authI := bob.answer(alice.answer(bob.start()))
	said := bob.say("hello")
	again := alice.start()
	alice.answer(authI)
	if got := alice.read(said); got != "hello" {
		t.Fatalf("read %q", got)
	}
	if got := alice.AuthState(); got != AuthWaitingAuthR {
		t.Fatalf("the second exchange is gone: %v", got)
	}
	bob.answer(alice.answer(bob.answer(again)))
	a, _ := alice.SSID()
	if b, _ := bob.SSID(); a != b {
		t.Fatal("the second exchange does not end in one session")
	}
	if alice.late != nil {
		t.Fatal("what was kept for the Auth-I is still there")
	}
}

// TestTheSameAuthRIsAnsweredOnceWhileAnOfferIsSettling: a second answer would begin the
// session again, with the keys that have encrypted messages already.
func TestTheSameAuthRIsAnsweredOnceWhileAnOfferIsSettling(t *testing.T) {
	slowtest.SkipShort(t)
	alice, bob := newEnds(t)
	identity := bob.start()
	bob.startAgain() // so that it may be answered twice
	authR := alice.answer(identity)
	alice.answer(bob.answer(authR))
	if got := alice.read(bob.say("first")); got != "first" || !bob.Settling() {
		t.Fatalf("read %q, settling: %v", got, bob.Settling())
	}
	before := snapshot(bob.Engine)
	if reply, _, err := bob.take(authR); !errors.Is(err, ErrIgnored) || reply != nil {
		t.Errorf("a copy of the Auth-R: %d bytes, %v", len(reply), err)
	}
	if !reflect.DeepEqual(before, snapshot(bob.Engine)) {
		t.Error("a copy of the Auth-R changed the state")
	}
	if got := alice.read(bob.say("second")); got != "second" {
		t.Errorf("read %q", got)
	}
}

// TestAnAnswerToAnOlderOfferEndsTheAnswerToThePeers: the peer has given up the offer that
// we have answered, because ours has won.
func TestAnAnswerToAnOlderOfferEndsTheAnswerToThePeers(t *testing.T) {
	slowtest.SkipShort(t)
	alice, bob := newEnds(t)
	ours := bob.start()
	bob.startAgain() // it may be answered twice
	bob.answer(alice.answer(ours))
	other := alice.client.NewEngine(0x1002)
	offer, err := alice.client.NewOffer()
	if err != nil {
		t.Fatal(err)
	}
	bob.answer(offer.Message(0x1002))
	if got := bob.AuthState(); got != AuthWaitingAuthI {
		t.Fatal(got)
	}
	alice.Engine = other
	alice.answer(bob.answer(alice.answer(ours)))
	a, _ := alice.SSID()
	if b, _ := bob.SSID(); a != b || bob.AuthState() != AuthNone {
		t.Fatalf("%x, %x, %v", a, b, bob.AuthState())
	}
}
