package v4

import (
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"otrpipe/otr/keys"
	"otrpipe/otr/wire"
)

func sprint(verb string, v any) string { return fmt.Sprintf(verb, v) }

// steady is a source of bytes that is the same in every run.
func steady(seed byte) *rand.ChaCha8 { return rand.NewChaCha8([32]byte{seed}) }

func newIdentity(t testing.TB, seed byte) *keys.Ed448PrivateKey {
	t.Helper()
	k, err := keys.GenerateEd448(steady(seed))
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// testClock is the clock of all clients in the tests.
type testClock struct{ now time.Time }

func (c *testClock) Now() time.Time { return c.now }

// forgingKeys holds the forging keys of the test clients by seed. Nothing changes a public key,
// and most tests make two clients.
var forgingKeys sync.Map

func forgingKey(t testing.TB, seed byte) *keys.ForgingKey {
	t.Helper()
	if k, ok := forgingKeys.Load(seed); ok {
		return k.(*keys.ForgingKey)
	}
	k, err := keys.GenerateForgingKey(steady(seed + 100))
	if err != nil {
		t.Fatal(err)
	}
	forgingKeys.Store(seed, k)
	return k
}

func newTestClient(t testing.TB, seed byte) *Client {
	t.Helper()
	forging := forgingKey(t, seed)
	clock := &testClock{now: time.Unix(1700000000, 0)}
	return NewClient(Config{
		InstanceTag: 0x1000 + uint32(seed),
		Identity:    newIdentity(t, seed),
		Forging:     forging,
		Accounts:    &Accounts{},
		Rand:        steady(seed + 200),
		Now:         clock.Now,
	})
}

// end is one end of a conversation: an engine and the one offer it may have made.
type end struct {
	t      testing.TB
	name   string
	clock  *testClock
	client *Client
	*Engine
}

// newEnds returns alice and bob, without any exchange yet.
func newEnds(t testing.TB) (alice, bob *end) {
	t.Helper()
	make := func(name string, seed byte, peer uint32) *end {
		c := newTestClient(t, seed)
		clock := &testClock{now: time.Unix(1700000000, 0)}
		c.Now = clock.Now
		return &end{t: t, name: name, clock: clock, client: c, Engine: c.NewEngine(peer)}
	}
	alice, bob = make("alice", 1, 0x1002), make("bob", 2, 0x1001)
	alice.client.Accounts = &Accounts{Ours: "alice@localhost", Theirs: "bob@localhost"}
	bob.client.Accounts = &Accounts{Ours: "bob@localhost", Theirs: "alice@localhost"}
	return alice, bob
}

// start begins a key exchange and returns the Identity message.
func (e *end) start() []byte {
	e.t.Helper()
	o, err := e.client.NewOffer()
	if err != nil {
		e.t.Fatal(err)
	}
	e.Begin(o)
	return o.Message(0)
}

// startAgain is start, or where an exchange has been begun already, its message again.
func (e *end) startAgain() []byte {
	e.t.Helper()
	if o := e.Offer(); o != nil {
		return o.Message(0)
	}
	return e.start()
}

// take passes a message to the end and returns the result. It does not change the message.
func (e *end) take(msg []byte) (reply []byte, got wire.Plaintext, err error) {
	e.t.Helper()
	msg = append([]byte(nil), msg...)
	h, body, err := wire.ParseHeader(msg)
	if err != nil {
		e.t.Fatalf("%s: %v", e.name, err)
	}
	return e.Receive(h, body, msg, nil)
}

// answer passes a message that must be accepted to the end, and returns its answer.
func (e *end) answer(msg []byte) []byte {
	e.t.Helper()
	reply, _, err := e.take(msg)
	if err != nil {
		e.t.Fatalf("%s: %v", e.name, err)
	}
	return reply
}

// read passes a data message that must be readable to the end, and returns its text.
func (e *end) read(msg []byte) string {
	e.t.Helper()
	_, got, err := e.take(msg)
	if err != nil {
		e.t.Fatalf("%s: %v", e.name, err)
	}
	return string(got.Text)
}

// say encrypts a text.
func (e *end) say(text string, tlvs ...wire.TLV) []byte {
	e.t.Helper()
	msg, err := e.Seal(nil, 0, wire.Plaintext{Text: []byte(text), TLVs: tlvs})
	if err != nil {
		e.t.Fatalf("%s: %v", e.name, err)
	}
	return msg
}

// newSession returns alice and bob after a key exchange.
func newSession(t testing.TB) (alice, bob *end) {
	t.Helper()
	alice, bob = newEnds(t)
	if reply := alice.answer(bob.answer(alice.answer(bob.start()))); reply != nil {
		t.Fatalf("an answer to Auth-I: %x", reply)
	}
	return alice, bob
}

// verifies reports whether one of the revealed MAC keys is that of a data message.
func verifies(t testing.TB, msg, revealed []byte) bool {
	t.Helper()
	h, body, err := wire.ParseHeader(msg)
	if err != nil {
		t.Fatal(err)
	}
	d, err := ParseData(body)
	if err != nil {
		t.Fatal(err)
	}
	covered := msg[:len(h.Append(nil))+d.Authenticated]
	for ; len(revealed) > 0; revealed = revealed[macLen:] {
		mac := keyOf(revealed[:macLen])
		if string(authenticatorOf(&mac, covered)) == string(d.MAC) {
			return true
		}
	}
	return false
}

func authenticatorOf(mac *key, sections []byte) []byte {
	b := make([]byte, macLen)
	authenticate(b, mac, sections)
	return b
}
