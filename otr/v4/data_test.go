package v4

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"otrpipe/otr/group"
	"otrpipe/otr/wire"
	"otrpipe/testscripts/slowtest"
)

// parseData parses a data message.
func parseData(t testing.TB, msg []byte) Data {
	t.Helper()
	_, body, err := wire.ParseHeader(msg)
	if err != nil {
		t.Fatal(err)
	}
	d, err := ParseData(body)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// refuses passes a data message to the end, and fails unless it is refused with this error
// and nothing changes.
func (e *end) refuses(msg []byte, want error) {
	e.t.Helper()
	before := snapshot(e.Engine)
	if _, _, err := e.take(msg); !errors.Is(err, want) {
		e.t.Errorf("%s: %v, want %v", e.name, err, want)
	}
	if !reflect.DeepEqual(before, snapshot(e.Engine)) {
		e.t.Errorf("%s: a refused message has changed the state", e.name)
	}
}

func TestPingPongThroughManyRatchets(t *testing.T) {
	slowtest.SkipShort(t)
	alice, bob := newSession(t)
	for i := range 14 {
		if got := bob.read(alice.say(fmt.Sprint("ping ", i))); got != fmt.Sprint("ping ", i) {
			t.Fatalf("read %q", got)
		}
		if got := alice.read(bob.say(fmt.Sprint("pong ", i))); got != fmt.Sprint("pong ", i) {
			t.Fatalf("read %q", got)
		}
	}
	if alice.session.ratchet.i != 27 || alice.KeyRotations() != 13 || bob.KeyRotations() != 14 {
		t.Errorf("ratchet %d, rotations %d and %d", alice.session.ratchet.i, alice.KeyRotations(), bob.KeyRotations())
	}
}

func TestEveryThirdRatchetHasANewDHKey(t *testing.T) {
	alice, bob := newSession(t)
	ends := [2]*end{alice, bob}
	seen := map[string]uint32{}
	for i := range uint32(9) {
		from, to := ends[i%2], ends[1-i%2]
		for j := range uint32(3) {
			msg := from.say("x")
			d := parseData(t, msg)
			// The first two ratchets, of either side, have both the id 0.
			wantID := max(i, 1) - 1
			if d.RatchetID != wantID || d.MessageID != j {
				t.Errorf("ratchet %d, message %d: %d, %d", wantID, j, d.RatchetID, d.MessageID)
			}
			if (len(d.DH) != 0) != (wantID%3 == 0) {
				t.Errorf("ratchet %d has a DH key of %d bytes", wantID, len(d.DH))
			}
			if id, ok := seen[string(d.DH)]; ok && len(d.DH) != 0 && id != i {
				t.Errorf("the DH key of ratchet %d comes again", id)
			}
			seen[string(d.DH)] = i
			to.read(msg)
		}
	}
}

func TestTextAndRecordsOfEverySizeArrive(t *testing.T) {
	slowtest.SkipShort(t)
	alice, bob := newSession(t)
	for _, c := range []wire.Plaintext{
		{},
		{Text: []byte("é")},
		{Text: bytes.Repeat([]byte("x"), 100000)},
		{TLVs: []wire.TLV{}},
		{Text: []byte("text"), TLVs: []wire.TLV{{Type: 0x6f01, Value: bytes.Repeat([]byte{0}, 65535)}, {Type: wire.TLVPadding}}},
	} {
		msg, err := alice.Seal([]byte("prefix"), wire.FlagIgnoreUnreadable, c)
		if err != nil || !bytes.HasPrefix(msg, []byte("prefix")) {
			t.Fatal(err)
		}
		msg = msg[len("prefix"):]
		if d := parseData(t, msg); d.Flags != wire.FlagIgnoreUnreadable {
			t.Errorf("flags %x", d.Flags)
		}
		_, got, err := bob.take(msg)
		if err != nil || !bytes.Equal(got.Text, c.Text) || len(got.TLVs) != len(c.TLVs) {
			t.Fatalf("%d bytes and %d records, %v", len(got.Text), len(got.TLVs), err)
		}
		for i := range got.TLVs {
			if got.TLVs[i].Type != c.TLVs[i].Type || !bytes.Equal(got.TLVs[i].Value, c.TLVs[i].Value) {
				t.Errorf("record %d differs", i)
			}
		}
	}
}

func TestARecordThatIsCutShortLeavesTheTextAndThoseBeforeIt(t *testing.T) {
	for _, c := range []struct {
		plain, text string
		records     int
		nul         bool
	}{
		{"text", "text", 0, false},
		{"text\x00", "text", 0, true},
		{"text\x00\x00", "text", 0, true},
		{"text\x00\x00\x01\x00\x00\x00\x02\x00\x05cut", "text", 1, true},
		{"\x00\x00\x01\x00\x02ab\x6f\x01\x00\x00", "", 2, true},
		{"\x00" + strings.Repeat("\x00\x00\x00\x00", wire.MaxTLVs+9), "", wire.MaxTLVs, true},
	} {
		p := parsePlaintext(nil, []byte(c.plain))
		if string(p.Text) != c.text || len(p.TLVs) != c.records || (p.TLVs != nil) != c.nul {
			t.Errorf("%q: %q and %d records", c.plain, p.Text, len(p.TLVs))
		}
	}
}

func TestMessagesOfOneRatchetCanComeInAnyOrder(t *testing.T) {
	alice, bob := newSession(t)
	var sent [][]byte
	for i := range 6 {
		sent = append(sent, alice.say(fmt.Sprint(i)))
	}
	for _, i := range []int{3, 0, 5, 1, 4, 2} {
		if got := bob.read(sent[i]); got != fmt.Sprint(i) {
			t.Errorf("read %q, want %d", got, i)
		}
		bob.refuses(sent[i], ErrReplay)
	}
	if n := len(bob.session.skipped); n != 0 {
		t.Errorf("%d keys are left", n)
	}
}

func TestMessagesOfEarlierRatchetsCanComeLate(t *testing.T) {
	slowtest.SkipShort(t)
	alice, bob := newSession(t)
	late := map[string][]byte{"a0": alice.say("a0")}
	bob.read(alice.say("a1"))
	late["a2"] = alice.say("a2")
	alice.read(bob.say("b0"))
	late["b1"] = bob.say("b1")
	bob.read(alice.say("a3")) // a new ratchet: a2 is missing from the last one
	alice.read(bob.say("b2"))
	bob.read(alice.say("a4"))
	for _, text := range []string{"a2", "a0"} {
		if got := bob.read(late[text]); got != text {
			t.Errorf("read %q, want %q", got, text)
		}
		bob.refuses(late[text], ErrReplay)
	}
	if got := alice.read(late["b1"]); got != "b1" {
		t.Errorf("read %q", got)
	}
}

func TestAPeerMayGoOnInItsRatchetAfterWeHaveRotated(t *testing.T) {
	slowtest.SkipShort(t)
	alice, bob := newSession(t)
	bob.read(alice.say("0"))
	lost := bob.say("not received yet") // bob has rotated
	for i := range 3 {
		if got := bob.read(alice.say(fmt.Sprint("more ", i))); got != fmt.Sprint("more ", i) {
			t.Errorf("read %q", got)
		}
	}
	bob.say("bob's second in the same ratchet")
	if got := alice.read(lost); got != "not received yet" {
		t.Errorf("read %q", got)
	}
}

func TestLostMessagesAreLostAlone(t *testing.T) {
	slowtest.SkipShort(t)
	alice, bob := newSession(t)
	random := steady(3)
	ends := [2]*end{alice, bob}
	for i := range 60 {
		from, to := ends[random.Uint64()%2], 0
		if from == alice {
			to = 1
		}
		msg := from.say(fmt.Sprint(i))
		if random.Uint64()%3 == 0 {
			continue
		}
		if got := ends[to].read(msg); got != fmt.Sprint(i) {
			t.Fatalf("read %q, want %d", got, i)
		}
	}
}

// TestAnyOrderOfDeliveryIsReadOnce runs a conversation over a network that loses, delays,
// reorders and repeats messages; every delivered message is read exactly once.
func TestAnyOrderOfDeliveryIsReadOnce(t *testing.T) {
	type letter struct {
		msg  []byte
		text string
		read bool
	}
	for seed := byte(10); seed < 13; seed++ {
		if testing.Short() && seed > 10 {
			break
		}
		alice, bob := newSession(t)
		random := steady(seed)
		ends := [2]*end{alice, bob}
		var post [2][]*letter // to ends[i], in no order
		for i := range 150 {
			to := int(random.Uint64() % 2)
			if random.Uint64()%2 == 0 {
				text := fmt.Sprintf("%d to %s", i, ends[to].name)
				post[to] = append(post[to], &letter{msg: ends[1-to].say(text), text: text})
				continue
			}
			if len(post[to]) == 0 {
				continue
			}
			l := post[to][random.Uint64()%uint64(len(post[to]))]
			if l.read {
				ends[to].refuses(l.msg, ErrReplay)
				continue
			}
			if got := ends[to].read(l.msg); got != l.text {
				t.Fatalf("seed %d: read %q, want %q", seed, got, l.text)
			}
			l.read = true
		}
	}
}

func TestOneMessageCanSkipAThousandAndNoMore(t *testing.T) {
	slowtest.SkipShort(t)
	alice, bob := newSession(t)
	skip := func(n int) (last []byte) {
		for range n + 1 {
			last = alice.say("x")
		}
		return last
	}
	tooFar := skip(maxSkip + 1)
	bob.refuses(tooFar, ErrTooManySkipped)

	alice, bob = newSession(t)
	bob.read(skip(maxSkip))
	if n := len(bob.session.skipped); n != maxSkip {
		t.Errorf("%d keys stored", n)
	}

	// The same bound holds for those that a new ratchet leaves behind.
	alice, bob = newSession(t)
	bob.read(alice.say("0"))
	skip(maxSkip)
	alice.read(bob.say("b"))
	bob.refuses(alice.say("next ratchet"), ErrTooManySkipped)
}

// A line of 300 bytes that claims that hundreds of messages before it are missing costs
// milliseconds of hashing. There is a budget for forged ones; honest ones do not use it.
func TestForgedMessagesThatSkipManyHaveABudget(t *testing.T) {
	alice, bob := newSession(t)
	bob.read(alice.say("0"))
	var honest [][]byte
	for range 4 * checksAtOnce {
		var last []byte
		for range freeSkip + 2 {
			last = alice.say("x")
		}
		honest = append(honest, last)
	}
	forged := bytes.Clone(honest[20])
	forged[len(forged)-5] ^= 1
	for range checksAtOnce {
		bob.refuses(forged, ErrMAC)
	}
	bob.refuses(forged, ErrBusy)
	clock := bob.client.Now()
	bob.client.Now = func() time.Time { return clock.Add(checkTime) }
	for _, msg := range honest {
		bob.read(msg)
	}
	bob.refuses(forged, ErrReplay)
}

func TestOfMoreThanAThousandStoredKeysTheOldestGoAndTheirMACKeysAreRevealed(t *testing.T) {
	slowtest.SkipShort(t)
	alice, bob := newSession(t)
	var sent [][]byte
	for range 2 {
		for range maxSkip/2 + 3 {
			sent = append(sent, alice.say("x"))
		}
		bob.read(alice.say("delivered"))
	}
	if n := len(bob.session.skipped); n != maxSkipped {
		t.Errorf("%d keys stored", n)
	}
	bob.refuses(sent[5], ErrReplay)
	bob.read(sent[6])
	revealed := parseData(t, bob.say("b")).Revealed
	if len(revealed) != (2+6+1)*macLen {
		t.Errorf("%d MAC keys revealed", len(revealed)/macLen)
	}
	if !verifies(t, sent[0], revealed) || !verifies(t, sent[5], revealed) || verifies(t, sent[7], revealed) {
		t.Error("other MAC keys are revealed than those of the keys let go")
	}
}

func TestStoredKeysAreLetGoAfterAnHour(t *testing.T) {
	alice, bob := newSession(t)
	late, later := alice.say("late"), alice.say("later")
	bob.read(alice.say("x"))
	bob.clock.now = bob.clock.now.Add(skippedLifetime - time.Second)
	if got := bob.read(late); got != "late" {
		t.Errorf("read %q", got)
	}
	bob.clock.now = bob.clock.now.Add(time.Second)
	if _, _, err := bob.take(later); !errors.Is(err, ErrReplay) {
		t.Errorf("%v", err)
	}
	if !verifies(t, later, parseData(t, bob.say("b")).Revealed) {
		t.Error("the MAC key is not revealed")
	}
}

func TestMACKeysAreRevealedWithTheFirstMessageOfTheNextRatchet(t *testing.T) {
	alice, bob := newSession(t)
	var sent [][]byte
	for range 3 {
		sent = append(sent, alice.say("x"))
		bob.read(sent[len(sent)-1])
	}
	first, second := parseData(t, bob.say("b0")), parseData(t, bob.say("b1"))
	if len(first.Revealed) != 3*macLen || len(second.Revealed) != 0 {
		t.Errorf("%d and %d MAC keys", len(first.Revealed)/macLen, len(second.Revealed)/macLen)
	}
	for i, msg := range sent {
		if !verifies(t, msg, first.Revealed) {
			t.Errorf("the key of message %d is not among them", i)
		}
	}
	// What comes in the peer's old ratchet waits for our next one.
	bob.read(alice.say("late in the ratchet"))
	if d := parseData(t, bob.say("b2")); len(d.Revealed) != 0 {
		t.Errorf("%d MAC keys", len(d.Revealed)/macLen)
	}
}

func TestAPeerThatNeverRotatesDoesNotFillOurMemoryWithMACKeys(t *testing.T) {
	slowtest.SkipShort(t)
	const keys = maxRevealed / macLen
	alice, bob := newSession(t)
	bob.read(alice.say("0"))
	bob.say("bob's ratchet, which alice does not see")
	receive := func(n int) {
		for range n {
			bob.read(alice.say("x"))
		}
	}
	revealed := func() int { return len(parseData(t, bob.say("b")).Revealed) / macLen }
	receive(keys)
	if n := revealed(); n != 0 {
		t.Errorf("%d MAC keys before there are too many", n)
	}
	receive(keys + 3)
	for _, want := range []int{keys, keys, 0} { // three are left for the next ratchet
		if n := revealed(); n != want {
			t.Errorf("%d MAC keys, want %d", n, want)
		}
	}
	for len(bob.session.reveal) < maxHeld {
		receive(1)
	}
	// More than that make room for some at a time.
	for range keys {
		receive(1)
		if held := len(bob.session.reveal); held > maxHeld || held <= maxHeld-maxRevealed {
			t.Fatalf("%d bytes are held", held)
		}
	}
	last, err := bob.SealLast(nil, 0, wire.Plaintext{})
	if err != nil || len(parseData(t, last).Revealed) != maxHeld {
		t.Errorf("the last message reveals %d bytes, %v", len(parseData(t, last).Revealed), err)
	}
}

func TestTheLastMessageRevealsEverything(t *testing.T) {
	alice, bob := newSession(t)
	undelivered, delivered := alice.say("undelivered"), alice.say("delivered")
	bob.read(delivered)
	msg, err := bob.SealLast(nil, wire.FlagIgnoreUnreadable, wire.Plaintext{TLVs: []wire.TLV{{Type: wire.TLVDisconnected}}})
	if err != nil {
		t.Fatal(err)
	}
	d := parseData(t, msg)
	if len(d.Revealed) != 2*macLen || !verifies(t, undelivered, d.Revealed) || !verifies(t, delivered, d.Revealed) {
		t.Errorf("%d MAC keys", len(d.Revealed)/macLen)
	}
	if bob.Encrypted() {
		t.Error("the session goes on")
	}
	if _, got, err := alice.take(msg); err != nil || len(got.TLVs) != 1 || got.TLVs[0].Type != wire.TLVDisconnected {
		t.Errorf("%+v, %v", got, err)
	}
	alice.Drop()
	alice.answer(bob.answer(alice.answer(bob.start())))
	if d := parseData(t, bob.say("new session")); len(d.Revealed) != 0 {
		t.Error("MAC keys are revealed twice")
	}
}

func TestARevealingMessageRevealsEverythingAndTheSessionGoesOn(t *testing.T) {
	alice, bob := newSession(t)
	undelivered, delivered := alice.say("undelivered"), alice.say("delivered")
	bob.read(delivered)
	msg, err := bob.SealRevealing(nil, 0, wire.Plaintext{})
	if err != nil {
		t.Fatal(err)
	}
	d := parseData(t, msg)
	if len(d.Revealed) != 2*macLen || !verifies(t, undelivered, d.Revealed) || !verifies(t, delivered, d.Revealed) {
		t.Errorf("%d MAC keys", len(d.Revealed)/macLen)
	}
	bob.refuses(undelivered, ErrReplay)
	alice.read(msg)
	bob.read(alice.say("it goes on"))
	if last, err := bob.SealLast(nil, 0, wire.Plaintext{}); err != nil || len(parseData(t, last).Revealed) != macLen {
		t.Errorf("the last message reveals %d bytes, %v", len(parseData(t, last).Revealed), err)
	}
}

func TestTheLastMessageInAnOngoingRatchetRevealsEverythingToo(t *testing.T) {
	alice, bob := newSession(t)
	bob.read(alice.say("0"))
	bob.say("bob's ratchet has begun")
	msg := alice.say("1")
	bob.read(msg)
	last, err := bob.SealLast(nil, 0, wire.Plaintext{})
	if err != nil {
		t.Fatal(err)
	}
	if d := parseData(t, last); d.MessageID == 0 || !verifies(t, msg, d.Revealed) {
		t.Errorf("message %d reveals %d MAC keys", d.MessageID, len(d.Revealed)/macLen)
	}
}

func TestEveryByteOfADataMessageIsAuthenticated(t *testing.T) {
	alice, bob := newSession(t)
	bob.read(alice.say("0"))
	for name, msg := range map[string][]byte{
		"in the current ratchet":         alice.say("hello"),
		"in a new ratchet, with DH key":  bob.say("hello"),
		"of a stored key, and out of it": nil,
	} {
		receiver := bob
		if strings.Contains(name, "DH") {
			receiver = alice
		}
		if msg == nil {
			msg = alice.say("late")
			bob.read(alice.say("x"))
		}
		covered := len(msg) - 4 // no MAC keys are revealed; their length is not covered
		if d := parseData(t, msg); len(d.Revealed) > 0 {
			covered -= len(d.Revealed)
		}
		const header = 11
		step := 1
		if receiver == alice {
			step = 7 // each costs a ratchet
		}
		if testing.Short() {
			step *= 3
		}
		for i := header; i < covered; i += step {
			forged := bytes.Clone(msg)
			forged[i] ^= 1 << (i % 8)
			before := snapshot(receiver.Engine)
			receiver.client.data = budget{}
			if _, _, err := receiver.take(forged); err == nil {
				t.Fatalf("%s: byte %d is not authenticated", name, i)
			}
			if !reflect.DeepEqual(before, snapshot(receiver.Engine)) {
				t.Fatalf("%s: with byte %d changed it changes the state", name, i)
			}
		}
		if _, _, err := receiver.take(msg); err != nil {
			t.Errorf("%s itself: %v", name, err)
		}
	}
}

// sealed returns a data message with the given head and a MAC with keys that the receiver
// does not have. Nobody except the peer can do better.
func sealed(h wire.Header, d Data) []byte {
	d.Encrypted, d.MAC = []byte("encrypted"), make([]byte, macLen)
	return d.Append(h.Append(nil))
}

func TestHostileHeadsOfDataMessagesAreRefused(t *testing.T) {
	alice, bob := newSession(t)
	bob.read(alice.say("0"))
	alice.read(bob.say("1"))
	bob.read(alice.say("2")) // ratchet 1, without a DH key; bob rotates next
	current := parseData(t, alice.say("3"))
	h := wire.Header{Version: Version, Type: wire.TypeData, Sender: alice.client.InstanceTag, Receiver: bob.client.InstanceTag}
	point := group.Generator().Append(nil)
	dh := group.MODP3072().ExpBase([]byte{9})
	small := make([]byte, group.PointLen)
	for name, c := range map[string]struct {
		d    Data
		want error
	}{
		"the current ratchet under another id":  {Data{RatchetID: 4, MessageID: 9, ECDH: current.ECDH}, ErrUnreadable},
		"the current ratchet with a DH key":     {Data{RatchetID: 1, MessageID: 9, ECDH: current.ECDH, DH: dh}, ErrUnreadable},
		"the current ratchet, far ahead":        {Data{RatchetID: 1, MessageID: math.MaxUint32, ECDH: current.ECDH}, ErrTooManySkipped},
		"a new ratchet before our turn":         {Data{RatchetID: 2, ECDH: point}, ErrUnknownKey},
		"an old ratchet":                        {Data{RatchetID: 0, ECDH: point, DH: dh}, ErrReplay},
		"a ratchet of the future":               {Data{RatchetID: 7, ECDH: point}, ErrUnknownKey},
		"the last ratchet there can be":         {Data{RatchetID: math.MaxUint32, ECDH: point, DH: dh}, ErrUnknownKey},
		"a point of small order as a new key":   {Data{RatchetID: 2, ECDH: small}, ErrUnreadable},
		"our own key":                           {Data{RatchetID: 2, ECDH: bob.session.ratchet.ecdh.public[:]}, ErrEcho},
		"the current ratchet, wrong MAC":        {Data{RatchetID: 1, MessageID: 1, ECDH: current.ECDH}, ErrMAC},
		"the current ratchet, wrong MAC, ahead": {Data{RatchetID: 1, MessageID: 300, ECDH: current.ECDH}, ErrMAC},
	} {
		t.Run(name, func(t *testing.T) { bob.refuses(sealed(h, c.d), c.want) })
	}

	alice.read(bob.say("4")) // ratchet 2
	bob.read(alice.say("5")) // ratchet 3
	bob.say("6")             // ratchet 4: alice's turn for 5
	for name, c := range map[string]struct {
		d    Data
		want error
	}{
		"a new ratchet of small order":               {Data{RatchetID: 5, ECDH: small}, group.ErrPoint},
		"a new ratchet off the curve":                {Data{RatchetID: 5, ECDH: append([]byte{2}, small[1:]...)}, group.ErrPoint},
		"a new ratchet with a DH key that isn't due": {Data{RatchetID: 5, ECDH: point, DH: dh}, ErrUnreadable},
		"a new ratchet with the wrong MAC":           {Data{RatchetID: 5, ECDH: point}, ErrMAC},
		"a new ratchet that leaves too many behind":  {Data{RatchetID: 5, PreviousCount: 5000, ECDH: point}, ErrTooManySkipped},
		"a new ratchet that begins too far ahead":    {Data{RatchetID: 5, MessageID: 1001, ECDH: point}, ErrTooManySkipped},
	} {
		t.Run(name, func(t *testing.T) { bob.refuses(sealed(h, c.d), c.want) })
	}

	alice.read(bob.say("7"))
	bob.read(alice.say("8"))
	bob.read(alice.say("8b"))
	alice.read(bob.say("9")) // ratchet 6 has a DH key, and 7, 8 have none
	bob.read(alice.say("10"))
	alice.read(bob.say("11"))
	if bob.session.ratchet.i%braceInterval != 0 {
		t.Fatalf("ratchet %d is next", bob.session.ratchet.i)
	}
	for name, number := range map[string][]byte{
		"no": nil, "1 as": {1}, "p − 1 as": dhMinus(1), "p − 2 as": dhMinus(2), "p as": dhMinus(0), "too long a": bytes.Repeat([]byte{1}, 385),
	} {
		t.Run("a new ratchet with "+name+" DH key", func(t *testing.T) {
			bob.refuses(sealed(h, Data{RatchetID: bob.session.ratchet.i, ECDH: point, DH: number}), group.ErrElement)
		})
	}
	bob.read(alice.say("the session goes on"))
}

func TestDataMessagesOfAnotherFormAreMalformed(t *testing.T) {
	alice, bob := newSession(t)
	msg := alice.say("hello")
	for name, forged := range map[string][]byte{
		"without a body":                 msg[:11],
		"one byte short":                 msg[:len(msg)-1],
		"a byte behind it":               append(bytes.Clone(msg), 0),
		"revealed MAC keys of one byte":  append(append(bytes.Clone(msg[:len(msg)-4]), 0, 0, 0, 1), 0),
		"a DH key with a leading zero":   nil,
		"an endless encrypted message":   nil,
		"a DH key longer than all of it": nil,
	} {
		d := parseData(t, msg)
		head := bytes.Clone(msg[:11+1+12+group.PointLen])
		switch name {
		case "a DH key with a leading zero":
			forged = wire.AppendData(head, append([]byte{0}, d.DH...))
			forged = append(forged, msg[len(head)+4+len(d.DH):]...)
		case "an endless encrypted message":
			forged = append(wire.AppendMPI(head, d.DH), 0xff, 0xff, 0xff, 0xff, 1)
		case "a DH key longer than all of it":
			forged = append(head, 0xff, 0xff, 0xff, 0xff, 1)
		}
		t.Run(name, func(t *testing.T) { bob.refuses(forged, ErrMalformed) })
	}
	bob.read(msg)
}

func TestOurOwnDataMessageIsAnEcho(t *testing.T) {
	alice, bob := newSession(t)
	alice.refuses(alice.say("x"), ErrEcho)
	bob.refuses(bob.say("x"), ErrEcho)
}

func TestCountersDoNotWrapAround(t *testing.T) {
	alice, bob := newSession(t)
	alice.session.ratchet.j = math.MaxUint32
	if _, err := alice.Seal(nil, 0, wire.Plaintext{}); !errors.Is(err, ErrExhausted) {
		t.Errorf("message ids: %v", err)
	}
	bob.session.ratchet.i = math.MaxUint32
	before := snapshot(bob.Engine)
	if _, err := bob.Seal(nil, 0, wire.Plaintext{}); !errors.Is(err, ErrExhausted) {
		t.Errorf("ratchet ids: %v", err)
	}
	if !reflect.DeepEqual(before, snapshot(bob.Engine)) {
		t.Error("the state has changed")
	}
	var r ratchet
	r.i = math.MaxUint32
	if err := r.rotateReceiving(group.Generator(), nil); !errors.Is(err, ErrExhausted) {
		t.Errorf("their ratchet ids: %v", err)
	}
	r.k = math.MaxUint32
	if _, err := r.nextReceiving(nil); !errors.Is(err, ErrExhausted) {
		t.Errorf("their message ids: %v", err)
	}
}

func TestWithoutRandomnessNothingIsSealedAndNothingChanges(t *testing.T) {
	_, bob := newSession(t)
	source := bob.client.Rand
	for _, left := range []int{0, 57, 57 + 79} {
		bob.client.Rand = &failingRand{left: left, src: source}
		before := snapshot(bob.Engine)
		b, err := bob.Seal([]byte("prefix"), 0, wire.Plaintext{Text: []byte("x")})
		if !errors.Is(err, errNoRandomness) || string(b) != "prefix" {
			t.Errorf("with %d bytes: %q, %v", left, b, err)
		}
		if !reflect.DeepEqual(before, snapshot(bob.Engine)) {
			t.Errorf("with %d bytes the state has changed", left)
		}
	}
}

func TestExtraSymmetricKeysAgree(t *testing.T) {
	alice, bob := newSession(t)
	use := func(context string, data string) wire.TLV {
		return wire.TLV{Type: TLVExtraKey, Value: []byte(context + data)}
	}
	tlvs := []wire.TLV{{Type: wire.TLVPadding}, use("file", "name"), {Type: wire.TLVPadding}, use("call", "")}
	bob.read(alice.say("", tlvs...))
	sent, received := slices.Clone(alice.ExtraKeys(false)), slices.Clone(bob.ExtraKeys(true))
	if len(sent) != 2 || !slices.Equal(sent, received) || sent[0].TLV != 1 || sent[1].TLV != 3 || sent[0].Key == sent[1].Key {
		t.Errorf("%d and %d keys", len(sent), len(received))
	}
	// A record that does not say what its key is for has a context of zeros.
	chain := alice.session.ratchet.sendChain
	var base key
	group.KDF(base[:], group.UsageExtraSymmKey, []byte{0xff}, chain[:])
	bob.read(alice.say("", use("abc", "")))
	short := slices.Clone(bob.ExtraKeys(true))
	var zeros key
	group.KDF(zeros[:], 0, make([]byte, contextLen), base[:])
	if len(short) != 1 || short[0].Key != zeros || !slices.Equal(short, alice.ExtraKeys(false)) {
		t.Errorf("a short record: %d keys", len(short))
	}
	// A message that comes late has its own.
	late := alice.say("late", use("late", ""))
	want := slices.Clone(alice.ExtraKeys(false))
	bob.read(alice.say("none"))
	if bob.ExtraKeys(true) != nil && len(bob.ExtraKeys(true)) != 0 || len(alice.ExtraKeys(false)) != 0 {
		t.Error("keys of the message before are still there")
	}
	bob.read(late)
	if !slices.Equal(bob.ExtraKeys(true), want) || want[0].Key == sent[0].Key {
		t.Error("the late message has another key")
	}
	// Ten keys at most come of one message.
	many := slices.Repeat([]wire.TLV{use("many", "")}, MaxExtraKeys+1)
	bob.read(alice.say("", many...))
	if len(bob.ExtraKeys(true)) != MaxExtraKeys || len(alice.ExtraKeys(false)) != MaxExtraKeys {
		t.Errorf("%d keys", len(bob.ExtraKeys(true)))
	}
}

func TestSecretsOfOldRatchetsAreGone(t *testing.T) {
	alice, bob := newSession(t)
	bob.read(alice.say("0"))
	alice.read(bob.say("1"))
	r := &alice.session.ratchet
	if !r.ecdh.secret.Equal(group.Scalar{}) {
		t.Error("the ECDH key that has been used is still there")
	}
	if r.dh.secret != [dhSecretLen]byte{} {
		t.Error("the DH key that has been used is still there")
	}
	s := bob.session
	bob.Drop()
	if !reflect.DeepEqual(*s, session{}) {
		t.Error("the session is still there")
	}
}

// The secrets of the key exchange are wiped as soon as they are no longer needed: x and a
// before the Auth-R is sent, Bob's first ratchet secrets when he has the Auth-R, and y and b
// with the offer.
func TestSecretsOfTheKeyExchangeAreGoneAtOnce(t *testing.T) {
	gone := func(what string, k ecdhKey, d dhKey, want bool) {
		t.Helper()
		if is := k.secret.Equal(group.Scalar{}) && d.secret == [dhSecretLen]byte{}; is != want {
			t.Errorf("%s are gone: %v, want %v", what, is, want)
		}
	}
	alice, bob := newEnds(t)
	identity := bob.start()
	offer := bob.Offer()
	gone("y and b before there is an answer", offer.ours.ecdh, offer.ours.dh, false)
	authR := alice.answer(identity)
	answer := alice.exchange.answer
	gone("x and a", answer.ours.ecdh, answer.ours.dh, true)
	gone("alice's first secrets, which the Auth-I has still to come for", answer.ours.firstECDH, answer.ours.firstDH, false)
	authI := bob.answer(authR)
	gone("bob's first secrets", bob.session.ratchet.ecdh, bob.session.ratchet.dh, true)
	if bob.Settling() {
		t.Error("an offer that was sent once may be answered again")
	}
	offer.Wipe()
	gone("y and b", offer.ours.ecdh, offer.ours.dh, true)
	gone("bob's first secrets in the offer", offer.ours.firstECDH, offer.ours.firstDH, true)
	alice.answer(authI)
	gone("alice's first secrets in the answer", answer.ours.firstECDH, answer.ours.firstDH, true)
	bob.read(alice.say("0"))
	alice.read(bob.say("1"))
}

func TestSmallMessagesInOneRatchetAllocateNothingMoreThanTheyReturn(t *testing.T) {
	alice, bob := newSession(t)
	bob.read(alice.say("0"))
	p := wire.Plaintext{Text: []byte("hello")}
	buf := make([]byte, 0, 4096)
	if n := testing.AllocsPerRun(100, func() {
		if _, err := alice.Seal(buf[:0], 0, p); err != nil {
			t.Fatal(err)
		}
	}); n > 0 {
		t.Errorf("sealing allocates %v times", n)
	}
}
