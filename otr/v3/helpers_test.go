package v3

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"sync"
	"testing"

	"otrpipe/otr/keys"
	"otrpipe/otr/wire"
)

// testRand is a stream of bytes that follows from the seed.
func testRand(seed byte) *rand.ChaCha8 { return rand.NewChaCha8([32]byte{seed}) }

var testKeys = sync.OnceValue(func() (k [2]*keys.DSAPrivateKey) {
	for i := range k {
		var err error
		if k[i], err = keys.GenerateDSA(testRand(byte(100 + i))); err != nil {
			panic(err)
		}
	}
	return k
})

const (
	aliceTag = 0x100
	bobTag   = 0xffffffff
)

func newTestEngine(version uint16, which int) *Engine {
	tags := [2]uint32{aliceTag, bobTag}
	c := Config{Version: version, InstanceTag: tags[which], Identity: testKeys()[which], Rand: testRand(byte(1 + which))}
	if version == Version2 {
		return NewEngine(c, 0)
	}
	return NewEngine(c, tags[1-which])
}

// begin makes an offer, enters AuthAwaitingDHKey and returns the D-H Commit.
func begin(t testing.TB, e *Engine) []byte {
	t.Helper()
	o, err := NewOffer(e.rand)
	if err != nil {
		t.Fatal(err)
	}
	e.Begin(o)
	return o.Message(e.version, e.tag, e.peer)
}

// hand passes a copy of a message to an engine.
func hand(t testing.TB, e *Engine, msg []byte) (reply []byte, got wire.Plaintext, err error) {
	t.Helper()
	msg = bytes.Clone(msg)
	h, body, err := wire.ParseHeader(msg)
	if err != nil {
		t.Fatal(err)
	}
	return e.Receive(h, body, msg, nil)
}

// must is like hand, and fails the test on an error.
func must(t testing.TB, e *Engine, msg []byte) []byte {
	t.Helper()
	reply, _, err := hand(t, e, msg)
	if err != nil {
		t.Fatal(err)
	}
	return reply
}

func typeOf(t testing.TB, msg []byte) wire.MessageType {
	t.Helper()
	if msg == nil {
		return 0
	}
	h, _, err := wire.ParseHeader(msg)
	if err != nil {
		t.Fatal(err)
	}
	return h.Type
}

// newSessions returns two engines with a session.
func newSessions(t testing.TB, version uint16) (alice, bob *Engine) {
	t.Helper()
	alice, bob = newTestEngine(version, 0), newTestEngine(version, 1)
	exchangeKeys(t, alice, bob)
	return alice, bob
}

// exchangeKeys runs a whole key exchange that alice begins.
func exchangeKeys(t testing.TB, alice, bob *Engine) {
	t.Helper()
	if r := must(t, alice, must(t, bob, must(t, alice, must(t, bob, begin(t, alice))))); r != nil {
		t.Fatal("the exchange does not end")
	}
	a, bold := alice.SSID()
	b, other := bob.SSID()
	if a != b || !bold || other || alice.AuthState() != AuthNone || bob.AuthState() != AuthNone {
		t.Fatal("no session in common")
	}
	if !alice.PeerKey().Equal(testKeys()[1].Public()) || !bob.PeerKey().Equal(testKeys()[0].Public()) {
		t.Fatal("wrong keys")
	}
}

func seal(t testing.TB, e *Engine, text string) []byte {
	t.Helper()
	msg, err := e.Seal(nil, 0, wire.Plaintext{Text: []byte(text)})
	if err != nil {
		t.Fatal(err)
	}
	return msg
}

// parse parses a data message.
func parse(t testing.TB, msg []byte) Data {
	t.Helper()
	_, body, err := wire.ParseHeader(msg)
	if err != nil {
		t.Fatal(err)
	}
	m, err := ParseData(body)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// wantText fails unless e reads text in the message.
func wantText(t testing.TB, e *Engine, msg []byte, text string) {
	t.Helper()
	reply, got, err := hand(t, e, msg)
	if err != nil || string(got.Text) != text || reply != nil {
		t.Fatalf("%q, reply %x, %v instead of %q", got.Text, reply, err, text)
	}
}

// wantRefused fails unless e refuses the message for this reason.
func wantRefused(t testing.TB, e *Engine, msg []byte, reason error) {
	t.Helper()
	if reply, got, err := hand(t, e, msg); !errors.Is(err, reason) || reply != nil || got.Text != nil {
		t.Fatalf("%q, reply %x, %v instead of %v", got.Text, reply, err, reason)
	}
}

// tell sends a text from one end to the other, which must read it.
func tell(t testing.TB, from, to *Engine, text string) {
	t.Helper()
	wantText(t, to, seal(t, from, text), text)
}
