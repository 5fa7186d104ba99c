package otr_test

import (
	"bytes"
	"errors"
	"strings"
	"testing"
	"time"

	"otrpipe/otr"
	"otrpipe/otr/wire"
)

// stage returns alice in a message state, and bob, who was in a session with her.
type stage struct{ alice, bob *end }

var messageStates = []otr.MessageState{otr.StatePlaintext, otr.StateEncrypted, otr.StateFinished}

func newStage(t testing.TB, state otr.MessageState, configure ...func(*otr.Config)) stage {
	t.Helper()
	var s stage
	if state == otr.StatePlaintext {
		s.alice, s.bob = newPair(t, configure...)
	} else {
		s.alice, s.bob = newSession(t, configure...)
	}
	if state == otr.StateFinished {
		lines, err := s.bob.End()
		if err != nil {
			t.Fatal(err)
		}
		s.alice.all(lines)
	}
	if s.alice.State() != state {
		t.Fatalf("%v instead of %v", s.alice.State(), state)
	}
	s.alice.take()
	s.bob.take()
	return s
}

// foreignData returns a data message to an instance under keys that nobody has.
func foreignData(to uint32, from uint32, flags byte) []byte {
	h := wire.Header{Version: 3, Type: wire.TypeData, Sender: from, Receiver: to}
	b := append(h.Append(nil), flags)
	b = wire.AppendInt(wire.AppendInt(b, 1), 1)
	b = wire.AppendMPI(b, []byte{2})
	b = wire.AppendInt(wire.AppendInt(b, 0), 1)
	b = wire.AppendData(b, []byte("text"))
	b = wire.AppendData(append(b, make([]byte, 20)...), nil)
	return wire.AppendArmor(nil, b)
}

// kinds describes lines, for comparisons.
func kinds(lines [][]byte) string {
	var k []string
	for _, line := range lines {
		kind := wire.Classify(line)
		name := kind.String()
		if kind == wire.KindEncoded {
			if msg, err := wire.AppendDearmored(nil, line); err == nil {
				h, _, _ := wire.ParseHeader(msg)
				name = h.Type.String()
			}
		}
		k = append(k, name)
	}
	return strings.Join(k, ", ")
}

func tagged(text string, versions ...int) []byte {
	return wire.AppendTag([]byte(text), wire.MakeVersions(versions...))
}

// TestProtocolStateMachine implements the specification's section "State transitions": every
// received message and every user action in every message state. The messages of a key
// exchange are tested in package v3.
func TestProtocolStateMachine(t *testing.T) {
	const everything = otr.AllowV2 | otr.AllowV3 | otr.RequireEncryption | otr.SendWhitespaceTag |
		otr.WhitespaceStartAKE | otr.ErrorStartAKE | otr.RestartAKE
	const bare = otr.AllowV3
	P, E, F := otr.StatePlaintext, otr.StateEncrypted, otr.StateFinished
	receives := func(line []byte) func(s stage) [][]byte {
		return func(s stage) [][]byte { return s.alice.receive(line).Send }
	}
	type row struct {
		name   string
		policy otr.Policy
		do     func(s stage) [][]byte
		want   [3]string // what is sent, by state
		next   [3]otr.MessageState
		clear  string // the text that is shown as unencrypted
	}
	rows := []row{
		{"receiving plaintext", everything, receives([]byte("hello")), [3]string{}, [3]otr.MessageState{P, E, F}, "hello"},
		{"receiving plaintext with the whitespace tag", everything, receives(tagged("hello", 2, 3)),
			[3]string{"D-H Commit", "D-H Commit", "D-H Commit"}, [3]otr.MessageState{P, E, F}, "hello"},
		{"receiving plaintext with the whitespace tag, WHITESPACE_START_AKE not set", bare, receives(tagged("hello", 3)),
			[3]string{}, [3]otr.MessageState{P, E, F}, "hello"},
		{"receiving plaintext with the tag of another version", bare | otr.WhitespaceStartAKE, receives(tagged("hello", 2)),
			[3]string{}, [3]otr.MessageState{P, E, F}, "hello"},
		{"receiving a query", bare, receives([]byte("?OTRv3?")),
			[3]string{"D-H Commit", "D-H Commit", "D-H Commit"}, [3]otr.MessageState{P, E, F}, ""},
		{"receiving a query for another version", bare, receives([]byte("?OTRv2?")),
			[3]string{}, [3]otr.MessageState{P, E, F}, ""},
		{"receiving an error", bare, receives([]byte("?OTR Error: what?")), [3]string{}, [3]otr.MessageState{P, E, F}, ""},
		{"receiving an error, ERROR_START_AKE set", everything, receives([]byte("?OTR Error: what?")),
			// During a session and after it, a query would make some clients continue without
			// encryption.
			[3]string{"query", "D-H Commit", "D-H Commit"}, [3]otr.MessageState{P, E, F}, ""},
		{"receiving a D-H Commit", bare, func(s stage) [][]byte { return s.alice.all(s.bob.refresh()) },
			[3]string{"D-H Key", "D-H Key", "D-H Key"}, [3]otr.MessageState{P, E, F}, ""},
		{"receiving a Reveal Signature", bare, func(s stage) [][]byte {
			return s.alice.all(s.bob.all(s.alice.all(s.bob.refresh())))
		}, [3]string{"Signature", "Signature", "Signature"}, [3]otr.MessageState{E, E, E}, ""},
		{"receiving a Signature", bare, func(s stage) [][]byte {
			return s.alice.all(s.bob.all(s.alice.all(s.bob.all(s.alice.refresh()))))
		}, [3]string{}, [3]otr.MessageState{E, E, E}, ""},
		{"receiving a data message that cannot be read", bare, func(s stage) [][]byte {
			return s.alice.receive(foreignData(s.alice.InstanceTag(), s.bob.InstanceTag(), 0)).Send
		}, [3]string{"error", "error", "error"}, [3]otr.MessageState{P, E, F}, ""},
		{"receiving a data message that cannot be read, RestartAKE set", everything, func(s stage) [][]byte {
			return s.alice.receive(foreignData(s.alice.InstanceTag(), s.bob.InstanceTag(), 0)).Send
		}, [3]string{"error, D-H Commit", "error, D-H Commit", "error"}, [3]otr.MessageState{P, E, F}, ""},
		{"receiving an unreadable data message with IGNORE_UNREADABLE", everything, func(s stage) [][]byte {
			return s.alice.receive(foreignData(s.alice.InstanceTag(), s.bob.InstanceTag(), wire.FlagIgnoreUnreadable)).Send
		}, [3]string{}, [3]otr.MessageState{P, E, F}, ""},
		{"the user asks for a session", bare, func(s stage) [][]byte { return s.alice.Query() },
			[3]string{"query", "query", "query"}, [3]otr.MessageState{P, E, F}, ""},
		{"the user ends the session", bare, func(s stage) [][]byte {
			lines, err := s.alice.End()
			if err != nil {
				s.alice.t.Fatal(err)
			}
			return lines
		}, [3]string{"", "Data", ""}, [3]otr.MessageState{P, P, P}, ""},
		{"the user types", bare, userTypes, [3]string{"plain", "Data", "refused"}, [3]otr.MessageState{P, E, F}, ""},
		{"the user types, SEND_WHITESPACE_TAG set", bare | otr.SendWhitespaceTag, userTypes,
			[3]string{"tagged", "Data", "refused"}, [3]otr.MessageState{P, E, F}, ""},
		{"the user types, REQUIRE_ENCRYPTION set", bare | otr.RequireEncryption, userTypes,
			[3]string{"query", "Data", "refused"}, [3]otr.MessageState{P, E, F}, ""},
	}
	for _, r := range rows {
		for i, state := range messageStates {
			t.Run(state.String()+"/"+r.name, func(t *testing.T) {
				s := newStage(t, state, policy(r.policy))
				lines := r.do(s)
				got := kinds(lines)
				if lines == nil && strings.Contains(r.name, "types") {
					got = "refused"
				}
				if got != r.want[i] {
					t.Errorf("sent %q instead of %q", got, r.want[i])
				}
				if s.alice.State() != r.next[i] {
					t.Errorf("%v instead of %v", s.alice.State(), r.next[i])
				}
				if shown := strings.Join(s.alice.clear, ""); shown != r.clear {
					t.Errorf("shown as unencrypted: %q", shown)
				}
				if n := count[otr.Unencrypted](s.alice.events); (n == 1) != (r.clear != "") {
					t.Errorf("%d warnings that it was not encrypted", n)
				}
				if len(s.alice.texts) != 0 {
					t.Errorf("shown as authenticated: %q", s.alice.texts)
				}
			})
		}
	}
}

// userTypes returns nil where the text is refused.
func userTypes(s stage) [][]byte {
	lines, err := s.alice.Send([]byte("text"))
	if errors.Is(err, otr.ErrFinished) {
		return nil
	}
	if err != nil {
		s.alice.t.Fatal(err)
	}
	return lines
}

func TestReceivingADataMessage(t *testing.T) {
	for _, version := range []otr.Policy{otr.AllowV2, otr.AllowV3} {
		alice, bob := newSession(t, policy(version))
		wantTalk(t, alice, bob)
		old := bob.say("late")
		lines, err := bob.End()
		if err != nil {
			t.Fatal(err)
		}
		alice.take()
		alice.all(lines)
		find[otr.PeerEnded](t, alice.take())
		if alice.State() != otr.StateFinished || bob.State() != otr.StatePlaintext {
			t.Fatal(alice.State(), bob.State())
		}
		if send := alice.all(old); kinds(send) != "error" {
			t.Fatalf("answer %s", kinds(send))
		}
	}
}

func TestRequireEncryptionKeepsTheTextUntilThereIsASession(t *testing.T) {
	alice, bob := newPair(t, policy(otr.AllowV3|otr.RequireEncryption))
	query := alice.say("secret")
	for _, line := range query {
		if bytes.Contains(line, []byte("secret")) {
			t.Fatal("the text was sent in clear")
		}
	}
	converse(alice, bob, query)
	wantSameSession(t, alice, bob)
	if strings.Join(bob.texts, "|") != "secret" || len(bob.clear) != 0 {
		t.Fatalf("bob got %q, in clear %q", bob.texts, bob.clear)
	}
	find[otr.Resent](t, alice.take())
	converse(alice, bob, alice.refresh())
	if len(bob.texts) != 1 {
		t.Fatalf("sent again: %q", bob.texts)
	}
}

func TestKeptTextIsForgottenAfterAMinute(t *testing.T) {
	alice, bob := newPair(t, policy(otr.AllowV3|otr.RequireEncryption))
	query := alice.say("secret")
	alice.clock.advance(time.Minute + time.Second)
	converse(alice, bob, query)
	wantSameSession(t, alice, bob)
	if len(bob.texts) != 0 {
		t.Fatalf("sent: %q", bob.texts)
	}
}

func TestTextTypedAfterThePeersEndIsKept(t *testing.T) {
	s := newStage(t, otr.StateFinished)
	if _, err := s.alice.Send([]byte("kept")); !errors.Is(err, otr.ErrFinished) {
		t.Fatal(err)
	}
	converse(s.bob, s.alice, s.bob.refresh())
	wantSameSession(t, s.alice, s.bob)
	if strings.Join(s.bob.texts, "") != "kept" {
		t.Fatalf("%q", s.bob.texts)
	}
}

func TestUnreadTextIsSentAgainInTheNextSession(t *testing.T) {
	alice, bob := newSession(t)
	alice.say("lost")
	alice.receive([]byte("?OTR Error: cannot read"))
	converse(bob, alice, bob.refresh())
	if strings.Join(bob.texts, "") != "lost" {
		t.Fatalf("%q", bob.texts)
	}
}

func TestKeptTextIsNotSentToAnotherKey(t *testing.T) {
	for _, state := range []otr.MessageState{otr.StateEncrypted, otr.StateFinished} {
		t.Run(state.String(), func(t *testing.T) {
			s := newStage(t, state)
			_, err := s.alice.Send([]byte("secret"))
			if (err == nil) != (state == otr.StateEncrypted) {
				t.Fatal(err)
			}
			s.alice.receive([]byte("?OTR Error: cannot read"))
			s.alice.clock.advance(time.Nanosecond)
			mallory := newEnd(t, "mallory", 2, 3, s.alice.clock, func(c *otr.Config) { c.InstanceTag = s.bob.InstanceTag() })
			converse(mallory, s.alice, mallory.refresh())
			wantSameSession(t, s.alice, mallory)
			if len(mallory.texts) != 0 {
				t.Fatalf("mallory got %q", mallory.texts)
			}
		})
	}
}

func TestEveryErrorIsAnsweredWithNoError(t *testing.T) {
	for _, state := range messageStates {
		s := newStage(t, state, policy(otr.AllowV3|otr.ErrorStartAKE|otr.RestartAKE))
		for range 50 {
			if k := kinds(s.alice.receive([]byte("?OTR Error: x")).Send); strings.Contains(k, "error") {
				t.Fatal(k)
			}
		}
	}
}

func TestErrorsAndRestartsAreLimited(t *testing.T) {
	s := newStage(t, otr.StatePlaintext, policy(otr.AllowV3|otr.RestartAKE|otr.ErrorStartAKE))
	line := foreignData(s.alice.InstanceTag(), s.bob.InstanceTag(), 0)
	minute := func() (sent string) {
		for range 100 {
			sent += kinds(s.alice.receive(line).Send) + kinds(s.alice.receive([]byte("?OTR Error: x")).Send) + " "
		}
		return sent
	}
	for range 3 {
		sent := minute()
		if n := strings.Count(sent, "error"); n < 1 || n > 4 {
			t.Fatalf("%d errors a minute", n)
		}
		if n := strings.Count(sent, "D-H Commit") + strings.Count(sent, "query"); n < 1 || n > 3 {
			t.Fatalf("%d restarts a minute", n)
		}
		s.alice.clock.advance(time.Minute)
	}
}

func TestTwoProgramsDoNotAnswerEachOtherForEver(t *testing.T) {
	all := policy(otr.AllowV2 | otr.AllowV3 | otr.RequireEncryption | otr.WhitespaceStartAKE | otr.ErrorStartAKE | otr.RestartAKE)
	alice, bob := newPair(t, all)
	converse(alice, bob, [][]byte{foreignData(bob.InstanceTag(), alice.InstanceTag(), 0), []byte("?OTR Error: x"), []byte("?OTRv23?"), tagged("x", 2, 3)})
	wantSameSession(t, alice, bob)
}

func TestWhitespaceTagIsOfferedUntilPlaintextComes(t *testing.T) {
	alice, _ := newPair(t, policy(otr.AllowV2|otr.AllowV3|otr.SendWhitespaceTag))
	for range 2 {
		lines := alice.say("hello")
		v, text, ok := wire.ParseTag(lines[0])
		if !ok || string(text) != "hello" || v != wire.MakeVersions(2, 3) {
			t.Fatalf("%q offers %v", lines[0], v)
		}
	}
	alice.receive([]byte("no OTR here"))
	if lines := alice.say("hello"); string(lines[0]) != "hello" {
		t.Fatalf("%q", lines[0])
	}
	if _, err := alice.End(); err != nil {
		t.Fatal(err)
	}
	starter := newEnd(t, "starter", 1, 12, alice.clock, policy(otr.AllowV3|otr.WhitespaceStartAKE))
	converse(alice, starter, alice.say("hello"))
	wantSameSession(t, alice, starter)
	if strings.Join(starter.clear, "") != "hello" {
		t.Fatalf("%q", starter.clear)
	}
}

func TestQueryChoosesTheBestCommonVersion(t *testing.T) {
	for _, c := range []struct {
		query  string
		policy otr.Policy
		want   int
	}{
		{"?OTRv2?", otr.AllowV2 | otr.AllowV3, 2},
		{"?OTRv3?", otr.AllowV2 | otr.AllowV3, 3},
		{"?OTRv23?", otr.AllowV2 | otr.AllowV3, 3},
		{"?OTRv32?", otr.AllowV2 | otr.AllowV3, 3},
		{"?OTR?v2?", otr.AllowV2 | otr.AllowV3, 2},
		{"?OTRv234x?", otr.AllowV2, 2},
		{"<b>?OTRv23?</b> get OTR", otr.AllowV2 | otr.AllowV3, 3},
		{"?OTRv2?", otr.AllowV3, 0},
		{"?OTRv3?", otr.AllowV2, 0},
		{"?OTRv?", otr.AllowV2 | otr.AllowV3, 0},
		{"?OTR?", otr.AllowV2 | otr.AllowV3, 0},
	} {
		t.Run(c.query, func(t *testing.T) {
			alice, _ := newPair(t, policy(c.policy))
			got := alice.receive([]byte(c.query))
			if e := find[otr.Queried](t, got.Events); e.Answer != c.want {
				t.Fatalf("answered with version %d", e.Answer)
			}
			if c.want == 0 {
				if len(got.Send) != 0 {
					t.Fatalf("sent %q", got.Send)
				}
				return
			}
			msg, err := wire.AppendDearmored(nil, got.Send[0])
			if err != nil {
				t.Fatal(err)
			}
			if h, _, err := wire.ParseHeader(msg); err != nil || int(h.Version) != c.want {
				t.Fatalf("%+v %v", h, err)
			}
		})
	}
}

func TestQueryOffersWhatPolicyAllows(t *testing.T) {
	for p, want := range map[otr.Policy]string{
		otr.AllowV2: "?OTRv2?", otr.AllowV3: "?OTRv3?", otr.AllowV2 | otr.AllowV3: "?OTRv23?",
	} {
		alice, _ := newPair(t, policy(p))
		if q := alice.Query(); len(q) != 1 || string(q[0]) != want {
			t.Fatalf("%q instead of %q", q, want)
		}
	}
}

// A peer that begins a key exchange in a version that is not allowed here counts as asking
// for that version, as with a query, and gets no answer.
func TestMessagesOfAVersionThatIsNotAllowedAreIgnored(t *testing.T) {
	clock := newClock()
	alice := newEnd(t, "alice", 0, 1, clock, policy(otr.AllowV3))
	bob := newEnd(t, "bob", 1, 2, clock, policy(otr.AllowV2))
	got := alice.receive(bob.refresh()[0])
	if e := find[otr.Queried](t, got.Events); e.Offered != wire.MakeVersions(2) || e.Common != 0 {
		t.Errorf("%+v", e)
	}
	if len(got.Send) != 0 || alice.AuthState() != otr.AuthNone {
		t.Fatal("answered")
	}
	got = alice.receive([]byte("?OTR:AAIDAAAAAQ==.")) // a data message of version 2
	if find[otr.Malformed](t, got.Events); len(got.Send) != 0 {
		t.Fatal("answered")
	}
}

func TestVersion2DoesNotReplaceALiveVersion3Session(t *testing.T) {
	alice, bob := newSession(t, policy(otr.AllowV2|otr.AllowV3))
	old := newEnd(t, "old", 1, 9, alice.clock, policy(otr.AllowV2))
	for _, lines := range [][][]byte{old.refresh(), {[]byte("?OTRv2?")}} {
		if send := alice.all(lines); len(send) != 0 {
			t.Fatalf("answered %s with %s", kinds(lines), kinds(send))
		}
	}
	alice.all([][]byte{[]byte("?OTRv3?")}) // an exchange that anybody may answer is open now
	if send := alice.all(old.refresh()); len(send) != 0 {
		t.Fatalf("answered with %s", kinds(send))
	}
	wantVersion(t, alice, 3)
	alice.clock.advance(5 * time.Minute) // bob has fallen silent
	if _, err := alice.Tick(); err != nil {
		t.Fatal(err)
	}
	converse(old, alice, old.refresh())
	wantVersion(t, alice, 2)
	wantTalk(t, alice, old)
	if len(bob.texts) != 0 {
		t.Fatal("bob took part")
	}
}

func wantVersion(t *testing.T, e *end, version int) {
	t.Helper()
	if s, ok := e.Session(); !ok || s.Version != version {
		t.Fatalf("version %d", s.Version)
	}
}

func TestTypedQueryInASessionIsEncrypted(t *testing.T) {
	alice, bob := newSession(t)
	for _, text := range []string{"?OTRv3?", "?OTR Error: x", "?OTR:AAM=.", string(tagged("x", 3))} {
		lines := alice.say(text)
		if kinds(lines) != "Data" {
			t.Fatal(kinds(lines))
		}
		if bob.all(lines); bob.texts[len(bob.texts)-1] != text {
			t.Fatalf("%q became %q", text, bob.texts)
		}
	}
}

func TestTextsWithNULAreRefused(t *testing.T) {
	s := newStage(t, otr.StateEncrypted)
	if _, err := s.alice.Send([]byte("a\x00b")); !errors.Is(err, otr.ErrNUL) {
		t.Fatal(err)
	}
	if b, err := s.alice.AppendMessage([]byte("kept"), otr.Message{Text: []byte("\x00")}); !errors.Is(err, otr.ErrNUL) || string(b) != "kept" {
		t.Fatal(err)
	}
	wantTalk(t, s.alice, s.bob)
}

func TestAppendMessageNeedsASession(t *testing.T) {
	for state, want := range map[otr.MessageState]error{otr.StatePlaintext: otr.ErrNotEncrypted, otr.StateFinished: otr.ErrFinished} {
		s := newStage(t, state)
		if b, err := s.alice.AppendMessage([]byte("kept"), otr.Message{Text: []byte("x")}); !errors.Is(err, want) || string(b) != "kept" {
			t.Fatalf("%v: %v", state, err)
		}
		if _, err := s.alice.StartSMP([]byte("x"), ""); !errors.Is(err, otr.ErrNotEncrypted) {
			t.Fatal(err)
		}
		if _, _, err := s.alice.ExtraKey(1, nil); !errors.Is(err, otr.ErrNotEncrypted) {
			t.Fatal(err)
		}
	}
}

func TestEchoesAreIgnored(t *testing.T) {
	alice, bob := newSession(t)
	alice.take()
	for _, lines := range [][][]byte{alice.refresh(), alice.say("x")} {
		got := alice.receive(lines[0])
		find[otr.Echo](t, got.Events)
		if len(got.Send) != 0 {
			t.Fatal(kinds(got.Send))
		}
		converse(alice, bob, lines)
	}
	wantSameSession(t, alice, bob)
}

func TestOverlongLinesAreRefused(t *testing.T) {
	alice, bob := newSession(t)
	if _, err := alice.Receive(make([]byte, wire.MaxMessage+1)); !errors.Is(err, otr.ErrTooLong) {
		t.Fatal(err)
	}
	if _, err := alice.AppendMessage(nil, otr.Message{Text: bytes.Repeat([]byte("x"), wire.MaxMessage)}); !errors.Is(err, otr.ErrTooLong) {
		t.Fatal(err)
	}
	wantTalk(t, alice, bob)
}

func TestLineEndsAndTextAroundAreTolerated(t *testing.T) {
	alice, bob := newSession(t)
	line := alice.say("hello")[0]
	bob.receive([]byte("before " + string(line) + " behind\r"))
	if strings.Join(bob.texts, "") != "hello" {
		t.Fatalf("%q: %v", bob.texts, bob.take())
	}
}
