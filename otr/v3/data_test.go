package v3

import (
	"bytes"
	"errors"
	"fmt"
	"iter"
	"math"
	"slices"
	"testing"

	"otrpipe/otr/wire"
)

// keyRing is the key state of an engine: the ids of the latest keys, and whether the peer's
// previous one is known.
type keyRing struct {
	ours, theirs uint32
	previous     bool
}

func ringOf(e *Engine) keyRing {
	return keyRing{e.session.ourID, e.session.theirID, e.session.theirs[previous] != nil}
}

// TestKeyIDsOfAConversation checks the ids, counters and revealed keys of a conversation,
// message by message, according to section "Key Management".
func TestKeyIDsOfAConversation(t *testing.T) {
	alice, bob := newSessions(t, Version3)
	for i, m := range []struct {
		from, to          *Engine
		sender, recipient uint32
		counter           uint64
		revealed          int     // MAC keys
		after             keyRing // of the receiver
	}{
		{alice, bob, 1, 1, 1, 0, keyRing{2, 2, true}},
		{alice, bob, 1, 1, 2, 0, keyRing{2, 2, true}}, // sender's key is the previous one now
		{bob, alice, 1, 2, 1, 0, keyRing{3, 2, true}}, // alice's second key is acknowledged
		{bob, alice, 1, 2, 2, 0, keyRing{3, 2, true}},
		{alice, bob, 2, 2, 1, 0, keyRing{3, 3, true}},
		{bob, alice, 2, 3, 1, 1, keyRing{4, 3, true}}, // of alice's first two messages
		{alice, bob, 3, 3, 1, 1, keyRing{4, 4, true}}, // of bob's
		{alice, bob, 3, 3, 2, 0, keyRing{4, 4, true}}, // once only
		{bob, alice, 3, 4, 1, 1, keyRing{5, 4, true}},
	} {
		msg := seal(t, m.from, "text")
		d := parse(t, msg)
		if d.SenderKeyID != m.sender || d.RecipientKeyID != m.recipient || d.Counter != m.counter {
			t.Fatalf("message %d has key ids %d and %d, counter %d", i, d.SenderKeyID, d.RecipientKeyID, d.Counter)
		}
		if len(d.OldMACKeys) != 20*m.revealed {
			t.Fatalf("message %d reveals %d bytes", i, len(d.OldMACKeys))
		}
		if !bytes.Equal(d.DHY, m.from.session.ours[latest].public) {
			t.Fatalf("message %d does not announce the next key", i)
		}
		wantText(t, m.to, msg, "text")
		if got := ringOf(m.to); got != m.after {
			t.Fatalf("after message %d the receiver has %+v", i, got)
		}
	}
}

// TestRatchetSteps tries a message under each pair of keys that the receiver may know, and
// checks which keys it then drops and learns.
func TestRatchetSteps(t *testing.T) {
	for _, step := range []struct {
		name          string
		our, their    int
		ours, theirs  uint32 // how far the ids move
		keptOur, kept bool   // our previous key, the peer's previous key
	}{
		{"to our previous key, from the peer's previous", previous, previous, 0, 0, true, true},
		{"to our previous key, from the peer's latest", previous, latest, 0, 1, true, false},
		{"to our latest key, from the peer's previous", latest, previous, 1, 0, false, true},
		{"to our latest key, from the peer's latest", latest, latest, 1, 1, false, false},
	} {
		t.Run(step.name, func(t *testing.T) {
			alice, bob := newSessions(t, Version3)
			for range 2 {
				tell(t, alice, bob, "a")
				tell(t, bob, alice, "b")
			}
			s := bob.session
			before, ours, theirs := ringOf(bob), *s.ours[previous], s.theirs[previous]
			msg := craft(t, alice, bob, step.our, step.their, 100)
			wantText(t, bob, msg, "crafted")
			after := ringOf(bob)
			if after.ours-before.ours != step.ours || after.theirs-before.theirs != step.theirs {
				t.Fatalf("%+v became %+v", before, after)
			}
			if bytes.Equal(s.ours[previous].public, ours.public) != step.keptOur || bytes.Equal(s.theirs[previous], theirs) != step.kept {
				t.Fatal("the wrong keys were forgotten")
			}
			wantRefused(t, bob, msg, ErrUnreadable)
		})
	}
}

// craft makes a message from alice under any pair of keys that bob knows.
func craft(t testing.TB, alice, bob *Engine, our, their int, counter uint64) []byte {
	t.Helper()
	keys, err := bob.session.pair(our, their)
	if err != nil {
		t.Fatal(err)
	}
	next, err := newDHKey(testRand(50))
	if err != nil {
		t.Fatal(err)
	}
	s := bob.session
	m := Data{
		SenderKeyID:    s.theirID - uint32(latest-their),
		RecipientKeyID: s.ourID - uint32(latest-our),
		DHY:            next.public,
		Counter:        counter,
		Encrypted:      []byte("crafted"),
	}
	return authenticate(alice, keys, m)
}

// authenticate encrypts and authenticates a message from alice with the keys that the
// receiver has for her.
func authenticate(alice *Engine, keys *pairKeys, m Data) []byte {
	m.Encrypted = bytes.Clone(m.Encrypted)
	keys.receive.crypt(m.Encrypted, m.Counter)
	m.MAC = make([]byte, 20)
	msg := m.Append(alice.header(wire.TypeData).Append(nil))
	covered := len(msg) - 20 - 4 - len(m.OldMACKeys)
	copy(msg[covered:], keys.receive.appendMAC(nil, msg[:covered]))
	return msg
}

func TestUnknownKeyIDsAreRefused(t *testing.T) {
	for _, c := range []struct {
		name       string
		rounds     int
		our, their uint32 // what is added to the latest ids
	}{
		{"our next key", 2, 1, 0},
		{"our key before the previous", 2, math.MaxUint32 - 1, 0},
		{"the peer's next key", 2, 0, 1},
		{"the peer's key before the previous", 2, 0, math.MaxUint32 - 1},
		{"the peer's previous key before there is one", 0, 0, math.MaxUint32},
	} {
		t.Run(c.name, func(t *testing.T) {
			alice, bob := newSessions(t, Version3)
			for range c.rounds {
				tell(t, alice, bob, "a")
				tell(t, bob, alice, "b")
			}
			// Key ids of 0 are not of the form; move away from them.
			bob.session.ourID += 10
			bob.session.theirID += 10
			before := ringOf(bob)
			keys, err := bob.session.pair(latest, latest)
			if err != nil {
				t.Fatal(err)
			}
			m := Data{
				SenderKeyID: bob.session.theirID + c.their, RecipientKeyID: bob.session.ourID + c.our,
				DHY: []byte{2}, Counter: 100, Encrypted: []byte("text"),
			}
			wantRefused(t, bob, authenticate(alice, keys, m), ErrUnknownKey)
			if ringOf(bob) != before {
				t.Fatal("something has changed")
			}
		})
	}
}

func TestReplaysAndOldCountersAreRefused(t *testing.T) {
	for _, version := range []uint16{Version2, Version3} {
		t.Run(fmt.Sprint("version ", version), func(t *testing.T) {
			alice, bob := newSessions(t, version)
			first, second, third := seal(t, alice, "1"), seal(t, alice, "2"), seal(t, alice, "3")
			wantText(t, bob, first, "1")
			wantRefused(t, bob, first, ErrReplay)
			wantText(t, bob, third, "3")
			wantRefused(t, bob, second, ErrReplay)
			wantRefused(t, bob, third, ErrReplay)
			tell(t, bob, alice, "under the next keys the counter begins again")
			fourth := seal(t, alice, "4")
			if n := parse(t, fourth).Counter; n != 1 {
				t.Fatalf("counter %d", n)
			}
			wantText(t, bob, fourth, "4")
			wantRefused(t, bob, fourth, ErrReplay)
			wantRefused(t, bob, first, ErrUnreadable)
		})
	}
}

func TestChangedMessagesAreRefused(t *testing.T) {
	alice, bob := newSessions(t, Version3)
	tell(t, alice, bob, "a")
	tell(t, bob, alice, "b")
	msg := seal(t, alice, "text")
	end := len(msg) - 4 // the empty list of revealed keys is not covered
	ring := ringOf(bob)
	for i := range end {
		bad := bytes.Clone(msg)
		bad[i] ^= 0x10
		h, body, err := wire.ParseHeader(bad)
		if err != nil {
			continue
		}
		if _, got, err := bob.Receive(h, body, bad, nil); h.Type == wire.TypeData && err == nil || got.Text != nil {
			t.Fatalf("a change of byte %d is not noticed", i)
		}
		if ringOf(bob) != ring {
			t.Fatalf("a change of byte %d has changed the keys", i)
		}
	}
	wantText(t, bob, msg, "text")
}

func TestNextKeyOutOfRangeChangesNothing(t *testing.T) {
	for name, y := range outOfRange() {
		t.Run("next key = "+name, func(t *testing.T) {
			alice, bob := newSessions(t, Version3)
			keys, err := bob.session.pair(previous, latest)
			if err != nil {
				t.Fatal(err)
			}
			before := ringOf(bob)
			m := Data{SenderKeyID: 1, RecipientKeyID: 1, DHY: y, Counter: 1, Encrypted: []byte("text")}
			wantRefused(t, bob, authenticate(alice, keys, m), ErrUnreadable)
			if ringOf(bob) != before {
				t.Fatal("the keys have changed")
			}
			tell(t, alice, bob, "the counter has not been used")
		})
	}
}

func TestOurOwnDataMessageIsAnEcho(t *testing.T) {
	for _, version := range []uint16{Version2, Version3} {
		alice, bob := newSessions(t, version)
		tell(t, bob, alice, "b")
		msg := seal(t, alice, "a")
		wantRefused(t, alice, msg, ErrEcho)
		wantText(t, bob, msg, "a")
	}
}

// TestRevealedKeysVerifyNothingMore collects every MAC key that is revealed in
// a long conversation. Each has verified a message, is revealed once, and a
// message forged with it is refused from the moment it can be known.
func TestRevealedKeysVerifyNothingMore(t *testing.T) {
	alice, bob := newSessions(t, Version3)
	ends := [2]*Engine{alice, bob}
	verified := [2]map[[20]byte][]byte{{}, {}} // receiver's keys, with a message each verified
	revealed := map[[20]byte]bool{}
	random := testRand(60)
	for range 200 {
		from := int(random.Uint64() & 1)
		to := 1 - from
		msg := seal(t, ends[from], "text")
		d := parse(t, msg)
		for key := range chunks(d.OldMACKeys) {
			forged, ok := verified[from][key]
			if !ok {
				t.Fatal("a key was revealed that has verified nothing")
			}
			if revealed[key] {
				t.Fatal("a key was revealed twice")
			}
			revealed[key] = true
			wantForgeryRefused(t, ends[from], forged, key)
		}
		if key, ok := receivingKey(ends[to], &d); ok {
			verified[to][key] = msg
		}
		wantText(t, ends[to], msg, "text")
	}
	if len(revealed) < 20 {
		t.Fatalf("only %d keys were revealed", len(revealed))
	}
	// The last message reveals all remaining keys.
	for i, e := range ends {
		last, err := e.SealLast(nil, 0, wire.Plaintext{})
		if err != nil {
			t.Fatal(err)
		}
		for key := range chunks(parse(t, last).OldMACKeys) {
			if _, ok := verified[i][key]; !ok || revealed[key] {
				t.Fatal("the wrong key was revealed at the end")
			}
			revealed[key] = true
		}
		if e.Encrypted() {
			t.Fatal("the session is still there")
		}
	}
	if n := len(verified[0]) + len(verified[1]); len(revealed) != n {
		t.Fatalf("%d of %d keys were revealed", len(revealed), n)
	}
}

func TestARevealingMessageEndsWhatItsKeysVerifyAndNotTheSession(t *testing.T) {
	alice, bob := newSessions(t, Version3)
	wantText(t, bob, seal(t, alice, "one"), "one")
	wantText(t, alice, seal(t, bob, "two"), "two")
	heard := seal(t, alice, "heard")
	wantText(t, bob, heard, "heard")
	late := seal(t, alice, "under the same key, and too late")
	revealing, err := bob.SealRevealing(nil, 0, wire.Plaintext{})
	if err != nil {
		t.Fatal(err)
	}
	d := parse(t, heard)
	key, ok := receivingKey(bob, &d)
	if old := parse(t, revealing).OldMACKeys; !ok || !bytes.Contains(old, key[:]) {
		t.Error("the key of the newest message was not revealed")
	}
	wantRefused(t, bob, late, ErrRevealed)
	// A peer that has read the revealing message uses other keys.
	wantText(t, alice, revealing, "")
	wantText(t, bob, seal(t, alice, "afterwards"), "afterwards")
	wantText(t, alice, seal(t, bob, "so it goes on"), "so it goes on")
	for old := range chunks(parse(t, seal(t, bob, "")).OldMACKeys) {
		if old == key {
			t.Error("a key was revealed twice")
		}
	}
}

func receivingKey(e *Engine, d *Data) (key [20]byte, ok bool) {
	our, their, ok := e.session.slots(d)
	if !ok {
		return key, false
	}
	p, err := e.session.pair(our, their)
	return p.receive.macKey, err == nil
}

// wantForgeryRefused puts a new MAC, made with a revealed key, on a message
// with a higher counter.
func wantForgeryRefused(t *testing.T, e *Engine, msg []byte, key [20]byte) {
	t.Helper()
	h, body, err := wire.ParseHeader(bytes.Clone(msg))
	if err != nil {
		t.Fatal(err)
	}
	m, err := ParseData(body)
	if err != nil {
		t.Fatal(err)
	}
	m.Counter = math.MaxUint64
	forged := authenticate(&Engine{version: h.Version, tag: h.Sender, peer: h.Receiver}, withMACKey(key), m)
	wantRefused(t, e, forged, ErrUnknownKey)
}

// withMACKey returns the keys of someone who knows only a revealed MAC key: the cipher's key
// is arbitrary.
func withMACKey(key [20]byte) *pairKeys {
	p := new(pairKeys)
	p.receive.set(AESKey{1})
	p.receive.macKey = key
	return p
}

// chunks splits revealed MAC keys.
func chunks(keys []byte) iter.Seq[[20]byte] {
	return func(yield func([20]byte) bool) {
		for c := range slices.Chunk(keys, 20) {
			if !yield([20]byte(c)) {
				return
			}
		}
	}
}

func TestNewSessionRevealsTheKeysOfTheOld(t *testing.T) {
	alice, bob := newSessions(t, Version3)
	tell(t, alice, bob, "a")
	d := parse(t, seal(t, alice, "not received"))
	key, ok := receivingKey(bob, &d)
	if !ok {
		t.Fatal("no key")
	}
	exchangeKeys(t, alice, bob)
	if got := parse(t, seal(t, bob, "first")).OldMACKeys; !bytes.Equal(got, key[:]) {
		t.Fatalf("revealed %x instead of %x", got, key)
	}
	if got := parse(t, seal(t, bob, "second")).OldMACKeys; len(got) != 0 {
		t.Fatalf("revealed %x again", got)
	}
	if got := parse(t, seal(t, alice, "first")).OldMACKeys; len(got) != 0 {
		t.Fatalf("revealed %x, which has verified nothing", got)
	}
}

func TestKeysThatWaitToBeRevealedAreBounded(t *testing.T) {
	alice, bob := newSessions(t, Version3)
	for range 2 * maxReveal / dataMACLen {
		keys, err := bob.session.pair(previous, latest)
		if err != nil {
			t.Fatal(err)
		}
		m := Data{SenderKeyID: bob.session.theirID, RecipientKeyID: 1, DHY: alice.session.ours[latest].public, Counter: 1}
		wantText(t, bob, authenticate(alice, keys, m), "")
	}
	if n := len(bob.session.reveal); n != maxReveal {
		t.Fatalf("%d bytes", n)
	}
	last, err := bob.SealLast(nil, 0, wire.Plaintext{})
	if err != nil || len(parse(t, last).OldMACKeys) != maxReveal {
		t.Fatal(err)
	}
}

func TestPlaintextAndFlagsGoThrough(t *testing.T) {
	for _, version := range []uint16{Version2, Version3} {
		alice, bob := newSessions(t, version)
		p := wire.Plaintext{Text: []byte("täxt"), TLVs: []wire.TLV{{Type: 0, Value: []byte("pad")}, {Type: 0x6f01, Value: []byte{0, 1}}}}
		msg, err := alice.Seal([]byte("before"), wire.FlagIgnoreUnreadable, p)
		if err != nil || !bytes.HasPrefix(msg, []byte("before")) {
			t.Fatal(err)
		}
		msg = msg[len("before"):]
		if f := parse(t, msg).Flags; f != wire.FlagIgnoreUnreadable {
			t.Fatalf("flags %x", f)
		}
		_, got, err := hand(t, bob, msg)
		if err != nil || string(got.Text) != "täxt" || len(got.TLVs) != 2 ||
			got.TLVs[1].Type != 0x6f01 || !bytes.Equal(got.TLVs[1].Value, []byte{0, 1}) {
			t.Fatalf("%+v %v", got, err)
		}
	}
}

func TestAuthenticMessageWithDamagedTLVsCountsAsReceived(t *testing.T) {
	alice, bob := newSessions(t, Version3)
	damaged := seal(t, alice, "text\x00\x00\x01\x00\x05abc")
	wantRefused(t, bob, damaged, ErrMalformed)
	wantRefused(t, bob, damaged, ErrReplay)
	tell(t, bob, alice, "both go on")
	tell(t, alice, bob, "both go on")
}

func TestExtraKeyIsTheSameAtBothEndsOfEachMessage(t *testing.T) {
	alice, bob := newSessions(t, Version3)
	seen := map[[32]byte]bool{{}: true}
	for range 3 {
		for _, p := range [][2]*Engine{{alice, bob}, {bob, alice}} {
			tell(t, p[0], p[1], "text")
			sent, err := p[0].ExtraKey(false)
			received, err2 := p[1].ExtraKey(true)
			if err != nil || err2 != nil || sent != received || seen[sent] {
				t.Fatal(err, err2, sent, received)
			}
			seen[sent] = true
		}
	}
}

func TestUsedUpCountersEndTheSending(t *testing.T) {
	alice, bob := newSessions(t, Version3)
	tell(t, alice, bob, "text")
	keys, err := alice.session.pair(previous, latest)
	if err != nil {
		t.Fatal(err)
	}
	keys.sent = math.MaxUint64 - 1
	tell(t, alice, bob, "the last one")
	if msg, err := alice.Seal([]byte("kept"), 0, wire.Plaintext{}); !errors.Is(err, ErrExhausted) || string(msg) != "kept" {
		t.Fatalf("%q %v", msg, err)
	}
}

func TestWithoutSessionNothingIsSealedOrRead(t *testing.T) {
	alice, bob := newSessions(t, Version3)
	msg := seal(t, alice, "text")
	bob.Drop()
	wantRefused(t, bob, msg, ErrNoSession)
	for _, f := range []func([]byte, byte, wire.Plaintext) ([]byte, error){bob.Seal, bob.SealLast} {
		if b, err := f([]byte("kept"), 0, wire.Plaintext{}); !errors.Is(err, ErrNoSession) || string(b) != "kept" {
			t.Fatalf("%q %v", b, err)
		}
	}
	if bob.PeerKey() != nil || bob.KeyRotations() != 0 {
		t.Fatal("something is left")
	}
	if _, err := bob.ExtraKey(true); !errors.Is(err, ErrNoSession) {
		t.Fatal(err)
	}
}

func TestMessagesUnderOneKeyDoNotShareTheirStream(t *testing.T) {
	alice, _ := newSessions(t, Version3)
	zeros := string(bytes.Repeat([]byte("x"), 64))
	a, b := parse(t, seal(t, alice, zeros)), parse(t, seal(t, alice, zeros))
	if a.SenderKeyID != b.SenderKeyID || bytes.Equal(a.Encrypted, b.Encrypted) || bytes.Contains(a.Encrypted, b.Encrypted[:16]) {
		t.Fatal("the same stream twice")
	}
	if b.Counter != a.Counter+1 {
		t.Fatal("the counter does not grow by 1")
	}
}

// One D-H key in 256 has fewer bytes than the others. A message that announces such a key is
// recognized as our own too when it comes back.
func TestAnEchoWithAShortKeyIsRecognized(t *testing.T) {
	alice, _ := newSessions(t, Version2)
	for alice.session.ours[latest].public[0] != 0 {
		k, err := newDHKey(alice.rand)
		if err != nil {
			t.Fatal(err)
		}
		alice.session.ours[latest] = k
	}
	wantRefused(t, alice, seal(t, alice, "text"), ErrEcho)
}
