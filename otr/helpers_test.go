package otr_test

import (
	"bytes"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"otrpipe/otr"
	"otrpipe/otr/keys"
)

// testRand returns a stream of bytes that depends only on the seed.
func testRand(seed uint64) *rand.ChaCha8 {
	var s [32]byte
	for i := range 8 {
		s[i] = byte(seed >> (8 * i))
	}
	return rand.NewChaCha8(s)
}

// testKeys holds the long-term keys of all tests: making one takes longer than most tests.
var testKeys = sync.OnceValue(func() (k [3]*keys.DSAPrivateKey) {
	for i := range k {
		var err error
		if k[i], err = keys.GenerateDSA(testRand(uint64(1000 + i))); err != nil {
			panic(err)
		}
	}
	return k
})

// A clock stands still until a test advances it.
type clock struct{ now time.Time }

func newClock() *clock { return &clock{now: time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC)} }

func (c *clock) Now() time.Time          { return c.now }
func (c *clock) advance(d time.Duration) { c.now = c.now.Add(d) }

// An end is a Conversation and everything that has happened to it.
type end struct {
	*otr.Conversation
	t      testing.TB
	clock  *clock
	name   string
	texts  []string // authenticated
	clear  []string // unencrypted
	events []otr.Event
	data   int // authentic data messages
}

// newEnd returns a Conversation with one of the test keys. Its randomness depends only on the
// seed; configure may change the Config.
func newEnd(t testing.TB, name string, key int, seed uint64, clock *clock, configure ...func(*otr.Config)) *end {
	t.Helper()
	cfg := otr.Config{DSA: testKeys()[key], Policy: otr.AllowV3, Rand: testRand(seed), Now: clock.Now}
	for _, f := range configure {
		f(&cfg)
	}
	c, err := otr.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return &end{Conversation: c, t: t, clock: clock, name: name}
}

// newPair returns two ends without a session.
func newPair(t testing.TB, configure ...func(*otr.Config)) (alice, bob *end) {
	t.Helper()
	clock := newClock()
	return newEnd(t, "alice", 0, 1, clock, configure...), newEnd(t, "bob", 1, 2, clock, configure...)
}

// newSession returns two ends with a session that alice has asked for.
func newSession(t testing.TB, configure ...func(*otr.Config)) (alice, bob *end) {
	t.Helper()
	alice, bob = newPair(t, configure...)
	converse(alice, bob, alice.Query())
	wantSameSession(t, alice, bob)
	return alice, bob
}

func policy(p otr.Policy) func(*otr.Config) { return func(c *otr.Config) { c.Policy = p } }

// receive passes one line to the end and keeps the result. The texts are copied.
func (e *end) receive(line []byte) otr.Received {
	e.t.Helper()
	if bytes.ContainsAny(line, "\n") {
		e.t.Fatalf("%s: a line with a line end inside: %q", e.name, line)
	}
	got, err := e.Receive(line)
	if err != nil {
		e.t.Fatalf("%s: %v", e.name, err)
	}
	e.note(got)
	return got
}

// note keeps the results in an answer.
func (e *end) note(got otr.Received) {
	if got.HasText {
		e.texts = append(e.texts, string(got.Text))
	}
	if got.Unencrypted != nil {
		e.clear = append(e.clear, string(got.Unencrypted))
	}
	if got.DataMessage {
		e.data++
	}
	e.events = append(e.events, got.Events...)
}

// all passes lines to the end and returns all lines to send.
func (e *end) all(lines [][]byte) (send [][]byte) {
	e.t.Helper()
	for _, line := range lines {
		send = append(send, e.receive(line).Send...)
	}
	return send
}

// say encrypts a text into one line or more.
func (e *end) say(text string) [][]byte {
	e.t.Helper()
	lines, err := e.Send([]byte(text))
	if err != nil {
		e.t.Fatalf("%s: %v", e.name, err)
	}
	return lines
}

// refresh begins a key exchange.
func (e *end) refresh() [][]byte {
	e.t.Helper()
	lines, err := e.Refresh()
	if err != nil {
		e.t.Fatalf("%s: %v", e.name, err)
	}
	return lines
}

// take returns the events so far and forgets them.
func (e *end) take() []otr.Event {
	events := e.events
	e.events = nil
	return events
}

// maxRounds bounds how often two ends answer each other: no honest exchange takes as many
// rounds.
const maxRounds = 100

// mayGoOn fails the test if two ends have answered each other too often.
func mayGoOn(t testing.TB, rounds int) {
	t.Helper()
	if rounds == maxRounds {
		t.Fatal("the two never stop")
	}
}

// converse delivers lines from one end to the other, the answers back, and so on until there
// are no more answers.
func converse(from, to *end, lines [][]byte) {
	from.t.Helper()
	for rounds := 0; len(lines) > 0; rounds++ {
		mayGoOn(from.t, rounds)
		lines = to.all(lines)
		from, to = to, from
	}
}

// find returns the only event of a type, or fails.
func find[E otr.Event](t testing.TB, events []otr.Event) E {
	t.Helper()
	var found []E
	for _, e := range events {
		if e, ok := e.(E); ok {
			found = append(found, e)
		}
	}
	if len(found) != 1 {
		var want E
		t.Fatalf("%d events %T in %v", len(found), want, events)
	}
	return found[0]
}

// count counts the events of a type.
func count[E otr.Event](events []otr.Event) (n int) {
	for _, e := range events {
		if _, ok := e.(E); ok {
			n++
		}
	}
	return n
}

// wantSameSession fails unless both are encrypted, with each other, and no key
// exchange is open.
func wantSameSession(t testing.TB, a, b *end) {
	t.Helper()
	sa, okA := a.Session()
	sb, okB := b.Session()
	if !okA || !okB {
		t.Fatalf("%s is %v (%v), %s is %v (%v)", a.name, a.State(), a.AuthState(), b.name, b.State(), b.AuthState())
	}
	if sa.SSID != sb.SSID || sa.Version != sb.Version {
		t.Fatalf("%s has session %x, %s has %x", a.name, sa.SSID, b.name, sb.SSID)
	}
	if sa.FirstHalfBold == sb.FirstHalfBold {
		t.Fatalf("both ends show the same half of the session id in bold")
	}
	if a.AuthState() != otr.AuthNone || b.AuthState() != otr.AuthNone {
		t.Fatalf("a key exchange is still open: %s %v, %s %v", a.name, a.AuthState(), b.name, b.AuthState())
	}
	if a.Exchanging() || b.Exchanging() {
		t.Fatal("an end still waits for the other")
	}
}

// wantTalk fails unless texts go through in both directions, over key
// rotations.
func wantTalk(t testing.TB, a, b *end) {
	t.Helper()
	for i := range 3 {
		for _, p := range [][2]*end{{a, b}, {b, a}} {
			from, to := p[0], p[1]
			text := from.name + " says " + string(rune('0'+i))
			before := len(to.texts)
			if send := to.all(from.say(text)); len(send) != 0 {
				t.Fatalf("%s answers %q", to.name, send)
			}
			if len(to.texts) != before+1 || to.texts[before] != text {
				t.Fatalf("%s cannot read %s: %v", to.name, from.name, to.take())
			}
		}
	}
}
