package otr_test

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"otrpipe/otr"
	"otrpipe/otr/keys"
	"otrpipe/otr/smp"
	"otrpipe/otr/v4"
	"otrpipe/otr/wire"
	"otrpipe/testscripts/slowtest"
)

// v4End is one end of a version 4 conversation, with its own clock and everything that has
// happened to it.
type v4End struct {
	*otr.Conversation
	t      testing.TB
	name   string
	now    time.Time
	texts  []string
	events []otr.Event
}

// v4Keys are somebody's keys, and the randomness that comes after them.
type v4Keys struct {
	identity *keys.Ed448PrivateKey
	forging  *keys.ForgingKey
	random   rand.ChaCha8
}

// allV4Keys has the v4Keys of everybody by name: they are made once, since that takes a while.
var allV4Keys sync.Map

func v4KeysOf(t testing.TB, name string) *v4Keys {
	t.Helper()
	if made, ok := allV4Keys.Load(name); ok {
		return made.(*v4Keys)
	}
	seed := [32]byte{}
	copy(seed[:], name)
	random := rand.NewChaCha8(seed)
	identity, err := keys.GenerateEd448(random)
	if err != nil {
		t.Fatal(err)
	}
	forging, err := keys.GenerateForgingKey(random)
	if err != nil {
		t.Fatal(err)
	}
	made, _ := allV4Keys.LoadOrStore(name, &v4Keys{identity, forging, *random})
	return made.(*v4Keys)
}

// newV4End returns an end; edit may change its Config.
func newV4End(t testing.TB, name string, edit func(*otr.Config)) *v4End {
	t.Helper()
	kept := v4KeysOf(t, name)
	random := kept.random
	e := &v4End{t: t, name: name, now: time.Unix(1700000000, 0)}
	cfg := otr.Config{
		Ed448: kept.identity, Forging: kept.forging, Policy: otr.AllowV4 | otr.RequireEncryption | otr.WhitespaceStartAKE,
		Rand: &random, Now: func() time.Time { return e.now },
	}
	if edit != nil {
		edit(&cfg)
	}
	var err error
	if e.Conversation, err = otr.New(cfg); err != nil {
		t.Fatal(err)
	}
	return e
}

// take passes lines to the end and returns its answers.
func (e *v4End) take(lines [][]byte) (answer [][]byte) {
	e.t.Helper()
	for _, line := range lines {
		got, err := e.Receive(bytes.Clone(line))
		if err != nil {
			e.t.Fatalf("%s: %v", e.name, err)
		}
		if got.HasText {
			e.texts = append(e.texts, string(got.Text))
		}
		e.events = append(e.events, got.Events...)
		for _, line := range got.Send {
			answer = append(answer, bytes.Clone(line))
		}
	}
	return answer
}

// happened returns the events of one type, and forgets all.
func happened[E otr.Event](e *v4End) (found []E) {
	for _, event := range e.events {
		if event, ok := event.(E); ok {
			found = append(found, event)
		}
	}
	e.events = nil
	return found
}

// must is for calls that return lines.
func (e *v4End) must(lines [][]byte, err error) [][]byte {
	e.t.Helper()
	if err != nil {
		e.t.Fatalf("%s: %v", e.name, err)
	}
	return lines
}

// carry delivers lines to an end, and answers back and forth until there are none.
func carry(lines [][]byte, to, from *v4End) {
	to.t.Helper()
	for rounds := 0; len(lines) > 0; rounds++ {
		mayGoOn(to.t, rounds)
		lines = to.take(lines)
		to, from = from, to
	}
}

// pass lets time pass for both ends, and delivers the resulting lines.
func pass(alice, bob *v4End, d time.Duration) {
	alice.now, bob.now = alice.now.Add(d), bob.now.Add(d)
	carry(alice.tick(), bob, alice)
	carry(bob.tick(), alice, bob)
}

// tick does what is due.
func (e *v4End) tick() (lines [][]byte) {
	e.t.Helper()
	for next := e.NextTick(); !next.IsZero() && !next.After(e.now); next = e.NextTick() {
		got, err := e.Tick()
		if err != nil {
			e.t.Fatalf("%s: %v", e.name, err)
		}
		if got.HasText {
			e.texts = append(e.texts, string(got.Text))
		}
		e.events = append(e.events, got.Events...)
		for _, line := range got.Send {
			lines = append(lines, bytes.Clone(line))
		}
	}
	return lines
}

// v4Pair returns two ends in an encrypted session.
func v4Pair(t testing.TB, edit func(*otr.Config)) (alice, bob *v4End) {
	t.Helper()
	alice, bob = newV4End(t, "alice", edit), newV4End(t, "bob", edit)
	carry(alice.Query(), bob, alice)
	wantV4Session(t, alice, bob)
	alice.events, bob.events = nil, nil
	return alice, bob
}

// wantV4Session fails unless both ends are in the same session and understand each other.
func wantV4Session(t testing.TB, alice, bob *v4End) {
	t.Helper()
	a, okA := alice.Session()
	b, okB := bob.Session()
	if !okA || !okB || a.SSID != b.SSID || a.Version != 4 || a.FirstHalfBold == b.FirstHalfBold {
		t.Fatalf("sessions %+v and %+v", a, b)
	}
	if alice.AuthState() != otr.AuthNone || bob.AuthState() != otr.AuthNone || alice.Exchanging() || bob.Exchanging() {
		t.Fatalf("states %v and %v", alice.AuthState(), bob.AuthState())
	}
	alice.texts, bob.texts = nil, nil
	carry(alice.must(alice.Send([]byte("from alice"))), bob, alice)
	carry(bob.must(bob.Send([]byte("from bob"))), alice, bob)
	if !slices.Equal(alice.texts, []string{"from bob"}) || !slices.Equal(bob.texts, []string{"from alice"}) {
		t.Fatalf("alice read %q, bob %q", alice.texts, bob.texts)
	}
}

func TestVersion4FromQueryToEnd(t *testing.T) {
	alice, bob := newV4End(t, "alice", nil), newV4End(t, "bob", nil)
	identity := bob.take(alice.Query())
	if bob.AuthState() != otr.AuthWaitingAuthR || bob.AuthState().String() != "WAITING_AUTH_R" {
		t.Errorf("bob is in %v", bob.AuthState())
	}
	authR := alice.take(identity)
	if alice.AuthState() != otr.AuthWaitingAuthI || alice.AuthState().String() != "WAITING_AUTH_I" {
		t.Errorf("alice is in %v", alice.AuthState())
	}
	alice.take(bob.take(authR))
	wantV4Session(t, alice, bob)
	secure := happened[otr.Secure](alice)
	if len(secure) != 1 || secure[0].Fingerprint.OTR() != 4 || secure[0].Refreshed || secure[0].PeerInstance != bob.InstanceTag() {
		t.Errorf("%+v", secure)
	}
	alice.take(bob.must(bob.End()))
	if alice.State() != otr.StateFinished || bob.State() != otr.StatePlaintext || len(happened[otr.PeerEnded](alice)) != 1 {
		t.Errorf("states %v and %v", alice.State(), bob.State())
	}
	if _, err := alice.Send([]byte("x")); !errors.Is(err, otr.ErrFinished) {
		t.Error(err)
	}
	carry(alice.Query(), bob, alice)
	wantV4Session(t, alice, bob)
}

func TestATextThatWaitsForVersion4IsSentWhenThereIsASession(t *testing.T) {
	alice, bob := newV4End(t, "alice", nil), newV4End(t, "bob", nil)
	carry(alice.must(alice.Send([]byte("it can wait"))), bob, alice)
	if !slices.Equal(bob.texts, []string{"it can wait"}) {
		t.Errorf("bob read %q", bob.texts)
	}
	// And on the side of the Identity message.
	alice, bob = newV4End(t, "alice", nil), newV4End(t, "bob", nil)
	bob.must(bob.Send([]byte("it can wait"))) // its query gets lost
	carry(alice.Query(), bob, alice)
	pass(alice, bob, time.Second)
	if !slices.Equal(alice.texts, []string{"it can wait"}) {
		t.Errorf("alice read %q", alice.texts)
	}
}

func TestBothEndsMayHaveTheSameIdentity(t *testing.T) {
	slowtest.SkipShort(t)
	// As in a pipe from a user to themselves: one key, one instance tag.
	var first otr.Config
	alice := newV4End(t, "alice", func(c *otr.Config) { c.InstanceTag = 0x1234; first = *c })
	bob := newV4End(t, "bob", func(c *otr.Config) {
		c.Ed448, c.Forging, c.InstanceTag = first.Ed448, first.Forging, first.InstanceTag
	})
	carry(alice.Query(), bob, alice)
	wantV4Session(t, alice, bob)
	carry(bob.must(bob.Refresh()), alice, bob)
	wantV4Session(t, alice, bob)
}

func TestConfigsThatVersion4CannotWorkWith(t *testing.T) {
	for name, edit := range map[string]func(*otr.Config){
		"no key":               func(c *otr.Config) { c.Ed448 = nil },
		"no forging key":       func(c *otr.Config) { c.Forging = nil },
		"our account only":     func(c *otr.Config) { c.Account = "alice" },
		"their account only":   func(c *otr.Config) { c.PeerAccount = "bob" },
		"no version at all":    func(c *otr.Config) { c.Policy = 0 },
		"version 3 and no DSA": func(c *otr.Config) { c.Policy |= otr.AllowV3 },
	} {
		var cfg otr.Config
		newV4End(t, "x", func(c *otr.Config) { cfg = *c })
		edit(&cfg)
		if _, err := otr.New(cfg); !errors.Is(err, otr.ErrConfig) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestAccountNamesMustAgreeInVersion4(t *testing.T) {
	for _, c := range []struct {
		ours, theirs string
		works        bool
	}{{"bob@x", "alice@x", true}, {"alice@x", "bob@x", false}, {"", "", false}} {
		alice := newV4End(t, "alice", func(c *otr.Config) { c.Account, c.PeerAccount = "alice@x", "bob@x" })
		bob := newV4End(t, "bob", func(cfg *otr.Config) { cfg.Account, cfg.PeerAccount = c.ours, c.theirs })
		carry(alice.Query(), bob, alice)
		if (bob.State() == otr.StateEncrypted) != c.works {
			t.Errorf("bob with %q and %q is in %v", c.ours, c.theirs, bob.State())
		}
		events := bob.events
		if refused := happened[otr.Malformed](bob); !c.works && (len(refused) != 1 || !errors.Is(refused[0].Reason, v4.ErrRingSignature) || !errors.Is(refused[0].Reason, otr.ErrAuthentication)) {
			t.Errorf("%+v", refused)
		}
		// Both ends know that the other supports version 4, and report it once.
		bob.events = events
		for _, end := range []*v4End{alice, bob} {
			if begun := happened[otr.ExchangeBegun](end); len(begun) != 1 || begun[0].Version != 4 {
				t.Errorf("%s with %q and %q: %+v", end.name, c.ours, c.theirs, begun)
			}
		}
	}
}

// deliver delivers crossing lines one at a time; the bits of path determine to which end.
func deliver(alice, bob *v4End, toAlice, toBob [][]byte, path int) {
	for step := 0; len(toAlice)+len(toBob) > 0; step++ {
		if len(toBob) == 0 || len(toAlice) > 0 && path>>(step%4)&1 == 0 {
			toBob = append(toBob, alice.take(toAlice[:1])...)
			toAlice = toAlice[1:]
		} else {
			toAlice = append(toAlice, bob.take(toBob[:1])...)
			toBob = toBob[1:]
		}
	}
}

func TestQueriesThatCrossInVersion4EndInOneSession(t *testing.T) {
	for path := range 16 {
		if testing.Short() && path%10 != 0 {
			continue
		}
		alice, bob := newV4End(t, "alice", nil), newV4End(t, "bob", nil)
		deliver(alice, bob, bob.Query(), alice.Query(), path)
		for range 4 {
			pass(alice, bob, 100*time.Millisecond)
		}
		wantV4Session(t, alice, bob)
		if n := len(happened[otr.Secure](alice)); n != 1 {
			t.Errorf("path %b: %d sessions", path, n)
		}
	}
}

func TestRefreshesThatCrossInVersion4EndInOneSession(t *testing.T) {
	slowtest.SkipShort(t)
	alice, bob := v4Pair(t, nil)
	for path := range 16 {
		deliver(alice, bob, bob.must(bob.Refresh()), alice.must(alice.Refresh()), path)
		wantV4Session(t, alice, bob)
		if secure := happened[otr.Secure](alice); len(secure) == 0 || !secure[0].Refreshed {
			t.Errorf("path %b: %+v", path, secure)
		}
	}
}

func TestVersion4InFragmentsOfAnyOrder(t *testing.T) {
	alice, bob := newV4End(t, "alice", func(c *otr.Config) { c.MaxSize = 120 }), newV4End(t, "bob", func(c *otr.Config) { c.MaxSize = wire.MinFragmentSize })
	lines := alice.Query()
	rounds := 0
	for to, from := bob, alice; len(lines) > 0; to, from = from, to {
		mayGoOn(t, rounds)
		rounds++
		slices.Reverse(lines)
		lines = to.take(lines)
		for _, line := range lines {
			if len(line) > 120 {
				t.Fatalf("a line of %d bytes", len(line))
			}
		}
	}
	text := strings.Repeat("long ", 500)
	first, second := alice.must(alice.Send([]byte(text))), alice.must(alice.Send([]byte("second")))
	if len(first) < 20 {
		t.Fatalf("%d lines", len(first))
	}
	var mixed [][]byte // the fragments of two messages, mixed
	for i := range first {
		mixed = append(mixed, first[len(first)-1-i])
		if i < len(second) {
			mixed = append(mixed, second[i])
		}
	}
	bob.take(mixed)
	if !slices.Equal(bob.texts, []string{"second", text}) && !slices.Equal(bob.texts, []string{text, "second"}) {
		t.Errorf("bob read %d texts", len(bob.texts))
	}
}

func TestSMPInVersion4(t *testing.T) {
	alice, bob := v4Pair(t, nil)
	run := func(question, secret, answer string) {
		t.Helper()
		carry(alice.must(alice.StartSMP([]byte(secret), question)), bob, alice)
		if asked := happened[otr.SMPAsked](bob); len(asked) != 1 || asked[0].Question != question {
			t.Fatalf("asked %+v", asked)
		}
		carry(bob.must(bob.AnswerSMP([]byte(answer))), alice, bob)
	}
	run("where?", "there", "there")
	if len(happened[otr.SMPSucceeded](alice)) != 1 || len(happened[otr.SMPSucceeded](bob)) != 1 {
		t.Error("equal secrets do not succeed")
	}
	run("", "there", "here")
	if len(happened[otr.SMPFailed](alice)) != 1 || len(happened[otr.SMPFailed](bob)) != 1 {
		t.Error("different secrets do not fail")
	}
	carry(alice.must(alice.StartSMP([]byte("x"), "")), bob, alice)
	carry(bob.must(bob.AbortSMP()), alice, bob)
	if len(happened[otr.SMPAborted](alice)) != 1 {
		t.Error("it is not aborted")
	}
	bob.events = nil
	run("again?", "there", "there")
	if len(happened[otr.SMPSucceeded](alice)) != 1 {
		t.Error("after that it does not succeed")
	}
}

func TestSMPOfAnotherVersionIsRefused(t *testing.T) {
	// A message 1 of version 3: five MPIs and no question.
	old, other := newSession(t)
	lines, err := old.StartSMP([]byte("secret"), "")
	if err != nil {
		t.Fatal(err)
	}
	var message1 wire.TLV
	machine := smp.New(smp.V3(testKeys()[0].Public().Fingerprint(), testKeys()[1].Public().Fingerprint(), [8]byte{}), testRand(5))
	if tlvs, err := machine.Start([]byte("secret"), ""); err != nil {
		t.Fatal(err)
	} else {
		message1 = tlvs[0]
	}
	find[otr.SMPAsked](t, other.receive(lines[0]).Events) // it is good there

	alice, bob := v4Pair(t, nil)
	b, err := alice.AppendMessage(nil, otr.Message{TLVs: []wire.TLV{message1}})
	if err != nil {
		t.Fatal(err)
	}
	answer := bob.take([][]byte{bytes.TrimSpace(b)})
	if len(happened[otr.SMPAsked](bob)) != 0 || bob.SMPState() != smp.StateExpect1 || len(answer) != 1 {
		t.Errorf("bob answers %q in %v", answer, bob.SMPState())
	}
	alice.take(answer)
	// The next one can succeed.
	carry(alice.must(alice.StartSMP([]byte("secret"), "")), bob, alice)
	carry(bob.must(bob.AnswerSMP([]byte("secret"))), alice, bob)
	if len(happened[otr.SMPSucceeded](alice)) != 1 || len(happened[otr.SMPSucceeded](bob)) != 1 {
		t.Error("the next run did not succeed")
	}
}

func TestExtraSymmetricKeysInVersion4(t *testing.T) {
	alice, bob := v4Pair(t, func(c *otr.Config) { c.Pad = 256 })
	key, lines, err := alice.ExtraKey(0x42, []byte("file"))
	if err != nil {
		t.Fatal(err)
	}
	bob.take(lines)
	got := happened[otr.ExtraKeyReceived](bob)
	if len(got) != 1 || got[0].Use != 0x42 || string(got[0].Data) != "file" || !bytes.Equal(got[0].Key, key) || len(key) != 64 {
		t.Errorf("%+v, want key %x", got, key)
	}
	use := func(value string) wire.TLV { return wire.TLV{Type: v4.TLVExtraKey, Value: []byte(value)} }
	b, err := alice.AppendMessage(nil, otr.Message{TLVs: []wire.TLV{use("aaaa1"), use("cut"), use("bbbb2")}})
	if err != nil {
		t.Fatal(err)
	}
	bob.take([][]byte{bytes.TrimSuffix(b, []byte("\n"))})
	events := bob.events
	got = happened[otr.ExtraKeyReceived](bob)
	if len(got) != 3 || string(got[0].Data) != "1" || string(got[2].Data) != "2" || bytes.Equal(got[0].Key, got[2].Key) {
		t.Fatalf("%+v", events)
	}
	// A record that is too short for a context has one of zeros.
	if got[1].Use != 0 || len(got[1].Key) != 64 {
		t.Errorf("the short record gives %+v", got[1])
	}
}

func TestARefreshInVersion4LosesNothing(t *testing.T) {
	alice, bob := v4Pair(t, nil)
	identity := bob.must(bob.Refresh())
	if !bob.Exchanging() {
		t.Error("bob could send what gets lost")
	}
	authR := alice.take(identity)
	if !alice.Exchanging() {
		t.Error("alice could send what gets lost")
	}
	// What was under way before still arrives.
	alice.take(bob.take(authR))
	if secure := happened[otr.Secure](alice); len(secure) != 1 || !secure[0].Refreshed {
		t.Errorf("%+v", secure)
	}
	wantV4Session(t, alice, bob)
}

func TestAKeyExchangeOfVersion4ThatIsNotAnsweredIsGivenUp(t *testing.T) {
	slowtest.SkipShort(t)
	alice, bob := v4Pair(t, nil)
	bob.must(bob.Refresh()) // and it gets lost
	for rounds := 0; !bob.NextTick().IsZero() && bob.Exchanging(); rounds++ {
		mayGoOn(t, rounds)
		bob.now = bob.NextTick()
		if _, err := bob.Tick(); err != nil {
			t.Fatal(err)
		}
	}
	if bob.Exchanging() {
		t.Error("bob waits for ever")
	}
	wantV4Session(t, alice, bob)
}

// TestNothingWaitsForAnotherAnswerOnceThePeerHasSpoken: bob has sent his offer twice, so alice may
// answer it twice with other keys, and what bob sends meanwhile may get lost. Once a message of
// hers has come, she has the session and will not answer again.
func TestNothingWaitsForAnotherAnswerOnceThePeerHasSpoken(t *testing.T) {
	alice, bob := newV4End(t, "alice", nil), newV4End(t, "bob", nil)
	bob.take(alice.Query())
	bob.now = bob.NextTick()
	identity := bob.tick()
	alice.take(bob.take(alice.take(identity)))
	if !bob.Exchanging() {
		t.Fatal("bob does not wait for another answer")
	}
	bob.take(alice.must(alice.Send([]byte("hello"))))
	if bob.Exchanging() {
		t.Error("bob still waits")
	}
	wantV4Session(t, alice, bob)
}

// A query in a session comes from an end without a session, unless it was sent before the
// session began. If it came from the peer, the peer accepts the offer, and both ends have new
// keys.
func TestAQueryInASessionOfVersion4IsAnsweredWithAnOffer(t *testing.T) {
	slowtest.SkipShort(t)
	alice, bob := v4Pair(t, nil)
	query := [][]byte{[]byte("?OTRv4?")}
	if answer := bob.take(query); answer != nil || bob.AuthState() != otr.AuthNone {
		t.Errorf("bob answers a query that comes late with %q", answer)
	}
	pass(alice, bob, 3*time.Second)
	carry(bob.take(query), alice, bob)
	wantV4Session(t, alice, bob)
	if s := happened[otr.Secure](bob); len(s) != 1 || !s[0].Refreshed {
		t.Errorf("%+v", s)
	}
	// However many come.
	alice.now, bob.now = alice.now.Add(3*time.Second), bob.now.Add(3*time.Second)
	offers := append(bob.take(query), bob.take(query)...)
	if kinds(offers) != "Identity" {
		t.Errorf("bob answers two queries with %s", kinds(offers))
	}
	carry(offers, alice, bob)
	wantV4Session(t, alice, bob)
}

func TestErrorMessagesOfVersion4HaveCodes(t *testing.T) {
	alice, bob := v4Pair(t, nil)
	line := alice.must(alice.Send([]byte("x")))
	damaged := bytes.Clone(line[0])
	damaged[len(damaged)/2] ^= 1
	if answer := bob.take([][]byte{damaged}); len(answer) != 1 || !bytes.Contains(answer[0], []byte("ERROR_1")) {
		t.Errorf("a damaged message is answered with %q", answer)
	}
	bob.Wipe()
	answer := bob.take(line)
	if len(answer) != 1 || string(answer[0]) != "?OTR Error: ERROR_2: Not in private state message" {
		t.Errorf("a message outside of a session is answered with %q", answer)
	}
	alice.take(answer)
	if e := happened[otr.PeerError](alice); len(e) != 1 {
		t.Errorf("%+v", e)
	}
	quiet, err := alice.AppendMessage(nil, otr.Message{IgnoreUnreadable: true})
	if err != nil {
		t.Fatal(err)
	}
	if answer := bob.take(bytes.Split(bytes.TrimSpace(quiet), []byte("\n"))); answer != nil {
		t.Errorf("a heartbeat is answered with %q", answer)
	}
}

// The sender of a message with invalid instance tags is told, unless the message was for
// another instance or asked for no answer.
func TestInstanceTagsThatDoNotFitAreToldInVersion4(t *testing.T) {
	const malformed = "?OTR Error: ERROR_3: Malformed message"
	for _, test := range []struct {
		name             string
		sender, receiver func(alice, bob uint32) uint32
		identity         bool // the message is an Identity message; else a data message
		flags            byte
		want             string
	}{
		{"the profile of another instance", func(a, _ uint32) uint32 { return a + 1 }, nil, true, 0, malformed},
		{"a sender below 0x100 in a key exchange", func(a, _ uint32) uint32 { return 0xff }, nil, true, 0, malformed},
		{"a sender below 0x100", func(a, _ uint32) uint32 { return 0xff }, nil, false, 0, malformed},
		{"a receiver below 0x100", nil, func(_, b uint32) uint32 { return 1 }, false, 0, malformed},
		{"no receiver", nil, func(_, b uint32) uint32 { return 0 }, false, 0, malformed},
		{"no receiver, and the sender does not ask", nil, func(_, b uint32) uint32 { return 0 }, false, wire.FlagIgnoreUnreadable, ""},
		{"a sender below 0x100, for another instance", func(a, _ uint32) uint32 { return 0xff }, func(_, b uint32) uint32 { return b + 1 }, false, 0, ""},
		{"for another instance", nil, func(_, b uint32) uint32 { return b + 1 }, false, 0, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			alice, bob := v4Pair(t, nil)
			bob.texts = nil
			var line []byte
			if test.identity {
				again := newV4End(t, "alice", nil)
				line = again.must(again.Refresh())[0]
			} else {
				b, err := alice.AppendMessage(nil, otr.Message{Text: []byte("x"), IgnoreUnreadable: test.flags != 0})
				if err != nil {
					t.Fatal(err)
				}
				line = bytes.TrimSpace(b)
			}
			sender, receiver := alice.InstanceTag(), bob.InstanceTag()
			if test.sender != nil {
				sender = test.sender(sender, receiver)
			}
			if test.receiver != nil {
				receiver = test.receiver(sender, receiver)
			}
			answer := bytes.Join(bob.take([][]byte{readdressed(t, append(line, '\n'), sender, receiver)}), []byte("\n"))
			if string(answer) != test.want {
				t.Errorf("answered with %q", answer)
			}
			if len(bob.texts) > 0 {
				t.Errorf("read %q", bob.texts)
			}
			wantV4Session(t, alice, bob)
		})
	}
}

func TestErrorCodesOfVersion4AreUnderstood(t *testing.T) {
	alice, _ := v4Pair(t, nil)
	for text, want := range map[string]string{
		"ERROR_1: Unreadable message":           "it could not read a message",
		"ERROR_2: Not in private state message": "it got an encrypted message while it had no session",
		"ERROR_3: Malformed message":            "it got a malformed message, or one whose instance tags do not fit",
		"ERROR_3: Encryption error":             "it could not encrypt a message",
		"ERROR_4: Malformed message":            "it got a malformed message, or one whose instance tags do not fit",
		"ERROR_4":                               "it got a malformed message, or one whose instance tags do not fit",
		"ERROR_0: x":                            "",
		"ERROR_5: x":                            "",
		"ERROR_12: x":                           "",
		"ERROR_":                                "",
		"an ERROR_1: x":                         "",
	} {
		alice.events = nil
		alice.take([][]byte{[]byte("?OTR Error: " + text)})
		events := happened[otr.PeerError](alice)
		if len(events) != 1 || events[0].Text != text || events[0].Meaning() != want {
			t.Errorf("%q: %+v", text, events)
		}
		if len(events) == 1 && !strings.Contains(events[0].String(), want) {
			t.Errorf("%q is shown as %v", text, events[0])
		}
	}
}

func TestDataMessagesThatOvertakeAuthIAreKept(t *testing.T) {
	slowtest.SkipShort(t)
	alice, bob := newV4End(t, "alice", func(c *otr.Config) { c.Policy |= otr.RestartAKE }), newV4End(t, "bob", nil)
	authI := bob.take(alice.take(bob.take(alice.Query())))
	var want []string
	for i := range 3 {
		want = append(want, fmt.Sprint("too early ", i))
		if answer := alice.take(bob.must(bob.Send([]byte(want[i])))); answer != nil {
			t.Errorf("alice answers %q", answer)
		}
	}
	if alice.tick() != nil || len(alice.texts) != 0 {
		t.Errorf("alice reads %q", alice.texts)
	}
	alice.take(authI)
	alice.tick()
	if !slices.Equal(alice.texts, want) {
		t.Errorf("alice reads %q", alice.texts)
	}
	wantV4Session(t, alice, bob)
}

func TestDataMessagesAreKeptInBoundsAndNotForEver(t *testing.T) {
	alice, bob := newV4End(t, "alice", nil), newV4End(t, "bob", nil)
	authI := bob.take(alice.take(bob.take(alice.Query())))
	for range 20 {
		alice.take(bob.must(bob.Send([]byte("too early"))))
	}
	if lost := len(happened[otr.Unreadable](alice)); lost != 4 {
		t.Errorf("%d of 20 are lost at once", lost)
	}
	alice.now = alice.now.Add(time.Minute)
	alice.tick()
	if lost := len(happened[otr.Unreadable](alice)); lost != 16 || len(alice.texts) != 0 {
		t.Errorf("%d are lost after a minute, read %q", lost, alice.texts)
	}
	_ = authI
}

func TestTheBytesOfDataMessagesThatAreKeptAreBounded(t *testing.T) {
	slowtest.SkipShort(t)
	alice, bob := newV4End(t, "alice", nil), newV4End(t, "bob", nil)
	authI := bob.take(alice.take(bob.take(alice.Query())))
	long := strings.Repeat("x", wire.MaxMessage/2) // two of which are more than are kept
	for i, text := range []string{long, long, "short"} {
		alice.take(bob.must(bob.Send([]byte(text))))
		if lost := len(happened[otr.Unreadable](alice)); (lost == 1) != (i == 1) {
			t.Errorf("message %d: %d are lost", i, lost)
		}
	}
	alice.take(authI)
	alice.tick()
	if !slices.Equal(alice.texts, []string{long, "short"}) {
		t.Errorf("alice reads %d texts", len(alice.texts))
	}
}

func TestAReplayedMessageOfVersion4IsReadOnce(t *testing.T) {
	alice, bob := v4Pair(t, nil)
	bob.texts = nil
	line := alice.must(alice.Send([]byte("once")))
	bob.take(line)
	if answer := bob.take(line); answer != nil || !slices.Equal(bob.texts, []string{"once"}) {
		t.Errorf("read %q, answered %q", bob.texts, answer)
	}
	if e := happened[otr.Unreadable](bob); len(e) != 1 || !errors.Is(e[0].Reason, v4.ErrReplay) {
		t.Errorf("%+v", e)
	}
}

func TestOurOwnMessagesOfVersion4AreEchoes(t *testing.T) {
	alice, _ := v4Pair(t, nil)
	for name, lines := range map[string][][]byte{
		"data":     alice.must(alice.Send([]byte("x"))),
		"Identity": alice.must(alice.Refresh()),
	} {
		if answer := alice.take(lines); answer != nil {
			t.Errorf("%s is answered with %q", name, answer)
		}
	}
}

func TestASessionOfVersion4ExpiresUnlessBothSpeak(t *testing.T) {
	alice, bob := v4Pair(t, func(c *otr.Config) { c.Expire = time.Hour })
	for range 3 { // each turn of ours makes new keys
		alice.now = alice.now.Add(50 * time.Minute)
		carry(alice.must(alice.Send([]byte("x"))), bob, alice)
		carry(bob.must(bob.Send([]byte("y"))), alice, bob)
		if got, err := alice.Tick(); err != nil || len(got.Events) != 0 {
			t.Fatalf("%+v, %v", got, err)
		}
	}
	alice.must(alice.Send([]byte("new keys")))
	since := alice.now
	alice.now = since.Add(time.Hour)
	if !alice.NextTick().Equal(since.Add(time.Hour)) {
		t.Errorf("next tick in %v", alice.NextTick().Sub(since))
	}
	got, err := alice.Tick()
	if err != nil || len(got.Events) != 1 || alice.State() != otr.StateFinished {
		t.Fatalf("%+v, %v, %v", got, err, alice.State())
	}
	if e, ok := got.Events[0].(otr.Ended); !ok || !e.Expired {
		t.Errorf("%+v", got.Events)
	}
	bob.take(got.Send)
	if bob.State() != otr.StateFinished {
		t.Errorf("bob is in %v", bob.State())
	}
	if _, err := alice.Send([]byte("x")); !errors.Is(err, otr.ErrFinished) {
		t.Errorf("alice sends: %v", err)
	}
}

func TestLongTextsAndManyMACKeysFitInAMessageOfVersion4(t *testing.T) {
	slowtest.SkipShort(t)
	alice, bob := v4Pair(t, nil)
	for i := range 600 {
		bob.take(alice.must(alice.Send([]byte(fmt.Sprint(i)))))
	}
	text := bytes.Repeat([]byte("x"), wire.MaxMessage*3/4-24*1024)
	for range 3 {
		lines := bob.must(bob.Send(text))
		if len(lines) != 1 || len(lines[0]) > wire.MaxMessage {
			t.Fatalf("%d lines, the first of %d bytes", len(lines), len(lines[0]))
		}
		alice.texts = nil
		if alice.take(lines); len(alice.texts) != 1 || len(alice.texts[0]) != len(text) {
			t.Error("it did not arrive")
		}
	}
}

func TestAPeerThatLostItsVersion4SessionGetsAnotherByAsking(t *testing.T) {
	slowtest.SkipShort(t)
	alice, bob := v4Pair(t, nil)
	again := newV4End(t, "alice, started again", func(c *otr.Config) { c.InstanceTag = alice.InstanceTag() })
	again.now, bob.now = again.now.Add(3*time.Second), bob.now.Add(3*time.Second)
	carry(again.Query(), bob, again)
	// It has another key, but it is the same instance as in the session.
	wantV4Session(t, again, bob)
	if len(happened[otr.Restarted](bob)) != 1 {
		t.Error("nobody is told of the restart")
	}
}

// An Identity message from another instance is answered during a session too. If the instance
// has another key, it is refused and reported. If it has the peer's key, and the session's
// own instance gives no sign of life, it is the peer, restarted.
func TestAnotherInstanceTakesASessionOfVersion4OverWithItsKeyOnly(t *testing.T) {
	var first otr.Config
	alice, bob := newV4End(t, "alice", func(c *otr.Config) { first = *c }), newV4End(t, "bob", nil)
	carry(alice.Query(), bob, alice)
	stranger := newV4End(t, "stranger", nil)
	carry(stranger.must(stranger.Refresh()), bob, stranger)
	told := happened[otr.OtherKey](bob)
	s, _ := bob.Session()
	if len(told) != 1 || told[0].Instance != stranger.InstanceTag() || told[0].Fingerprint == s.Fingerprint {
		t.Errorf("bob is told %+v", told)
	}
	if stranger.State() != otr.StateFinished {
		t.Errorf("the stranger is in %v", stranger.State())
	}
	wantV4Session(t, alice, bob)
	again := newV4End(t, "alice, started again", func(c *otr.Config) { c.Ed448, c.Forging = first.Ed448, first.Forging })
	asks := again.must(again.Refresh())
	carry(bob.take(asks), again, bob) // bob asks alice, who is gone
	if _, secure := again.Session(); secure {
		t.Error("the session is taken over at once")
	}
	pass(again, bob, 2*time.Second)
	wantV4Session(t, again, bob)
}

// A second client with the peer's key that begins a key exchange does not end the session as
// long as the first client answers. The second client and the user are told.
func TestASecondClientWithThePeersKeyDoesNotTakeASessionOfVersion4Over(t *testing.T) {
	for _, begins := range []string{"Identity", "a query"} {
		t.Run(begins, func(t *testing.T) {
			var first otr.Config
			alice, bob := newV4End(t, "alice", func(c *otr.Config) { first = *c }), newV4End(t, "bob", nil)
			carry(alice.Query(), bob, alice)
			second := newV4End(t, "second", func(c *otr.Config) { c.Ed448, c.Forging = first.Ed448, first.Forging })
			for _, e := range []*v4End{alice, bob, second} {
				e.now = e.now.Add(3 * time.Second)
			}
			bob.events = nil
			asks := second.Query()
			if begins == "Identity" {
				asks = second.must(second.Refresh())
			}
			offer := bob.take(asks)
			if answer := bob.take(second.take(offer)); len(answer) != 0 { // it is quicker than alice
				t.Errorf("bob answers %q", answer)
			}
			carry(alice.take(offer), bob, alice)
			second.now = second.now.Add(2 * time.Second)
			alice.now, bob.now = alice.now.Add(2*time.Second), bob.now.Add(2*time.Second)
			carry(bob.tick(), second, bob)
			if told := happened[otr.SecondClient](bob); len(told) != 1 || told[0].Instance != second.InstanceTag() {
				t.Errorf("bob is told %+v", told)
			}
			if _, secure := second.Session(); secure {
				t.Error("the second client believes in a session")
			}
			if begins == "Identity" && second.State() != otr.StateFinished {
				t.Error("the second client is not told that there is no session for it")
			}
			wantV4Session(t, alice, bob)
		})
	}
}

// Anyone can write Identity messages that name the peer's key. They cause at most a bounded
// number of new keys per minute.
func TestIdentityMessagesThatNameThePeersKeyAreBounded(t *testing.T) {
	slowtest.SkipShort(t)
	var first otr.Config
	alice, bob := newV4End(t, "alice", func(c *otr.Config) { first = *c }), newV4End(t, "bob", nil)
	carry(alice.Query(), bob, alice)
	sent := 0
	for i := range uint32(40) {
		second := newV4End(t, "second", func(c *otr.Config) {
			c.Ed448, c.Forging, c.InstanceTag = first.Ed448, first.Forging, 0x1000+i
		})
		second.now = bob.now
		probe := bob.take(second.must(second.Refresh()))
		sent += len(probe)
		carry(alice.take(probe), bob, alice)
		alice.now, bob.now = alice.now.Add(500*time.Millisecond), bob.now.Add(500*time.Millisecond)
		answers := bob.tick() // to none of them that goes on
		sent += len(answers)
		carry(answers, alice, bob)
	}
	if sent == 0 || sent > 30 {
		t.Errorf("%d messages", sent)
	}
	carry(alice.must(alice.Send([]byte("still here"))), bob, alice)
	if !slices.Contains(bob.texts, "still here") {
		t.Error("bob has lost the session")
	}
}

func TestAnExtraKeyRecordThatIsTooShortHasAContextOfZeros(t *testing.T) {
	alice, bob := v4Pair(t, nil)
	b, err := alice.AppendMessage(nil, otr.Message{TLVs: []wire.TLV{{Type: v4.TLVExtraKey, Value: []byte{1, 2}}}})
	if err != nil {
		t.Fatal(err)
	}
	bob.take([][]byte{bytes.TrimSuffix(b, []byte("\n"))})
	got := happened[otr.ExtraKeyReceived](bob)
	if len(got) != 1 || got[0].Use != 0 || len(got[0].Data) != 0 || len(got[0].Key) != 64 {
		t.Errorf("%+v", got)
	}
}

// A second client's query is answered with an offer to all instances. The session's peer
// accepts it first; then the user is told, once, that the second client gets no session.
func TestASecondClientThatAsksInASessionOfVersion4IsToldOf(t *testing.T) {
	alice, bob := v4Pair(t, nil)
	second := newV4End(t, "second", nil)
	for _, e := range []*v4End{alice, bob, second} {
		e.now = e.now.Add(3 * time.Second)
	}
	offer := bob.take(second.Query())
	late := second.take(offer)
	if carry(alice.take(offer), bob, alice); len(late) == 0 {
		t.Fatal("the second client does not answer")
	}
	bob.events = nil
	for range 2 {
		if answer := bob.take(late); len(answer) != 0 {
			t.Errorf("bob answers %q", answer)
		}
	}
	if told := happened[otr.SecondClient](bob); len(told) != 1 || told[0].Instance != second.InstanceTag() || told[0].Version != 4 {
		t.Errorf("bob is told %+v", told)
	}
	if _, secure := second.Session(); secure {
		t.Error("the second client believes in a session")
	}
	wantV4Session(t, alice, bob)
}

// Anyone can repeat an Identity message that the peer sent long ago. However often it comes, the
// wait for an Auth-I, in which no text is sent, does not last.
func TestARepeatedIdentityMessageDoesNotHoldUpTextsForEver(t *testing.T) {
	alice, bob := v4Pair(t, nil)
	carry(alice.Query(), bob, alice)
	old := cloneLines(alice.must(alice.Refresh()))
	carry(old, bob, alice)
	carry(alice.must(alice.Refresh()), bob, alice)
	longest, waiting := 0, 0
	for range 300 { // seconds
		pass(alice, bob, time.Second)
		carry(old, bob, alice)
		if waiting++; !bob.Exchanging() {
			waiting = 0
		}
		longest = max(longest, waiting)
	}
	if longest < 2 || longest > 90 {
		t.Errorf("texts were held up for %d seconds", longest)
	}
	wantV4Session(t, alice, bob)
}
