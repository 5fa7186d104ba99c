package otr_test

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"otrpipe/otr"
	"otrpipe/otr/v4"
	"otrpipe/otr/wire"
)

// v4States are the states of the section "Protocol States", each a way to bring alice
// into it.
var v4States = []struct {
	name  string
	enter func(alice, bob *v4End)
	state otr.MessageState
	auth  otr.AuthState
}{
	{"START", func(alice, bob *v4End) {}, otr.StatePlaintext, otr.AuthNone},
	{"WAITING_AUTH_R", func(alice, bob *v4End) { alice.must(alice.Refresh()) }, otr.StatePlaintext, otr.AuthWaitingAuthR},
	{"WAITING_AUTH_I", func(alice, bob *v4End) { alice.take(bob.must(bob.Refresh())) }, otr.StatePlaintext, otr.AuthWaitingAuthI},
	{"ENCRYPTED_MESSAGES", func(alice, bob *v4End) { carry(alice.Query(), bob, alice) }, otr.StateEncrypted, otr.AuthNone},
	{"FINISHED", func(alice, bob *v4End) {
		carry(alice.Query(), bob, alice)
		alice.take(bob.must(bob.End()))
	}, otr.StateFinished, otr.AuthNone},
}

// v4Events are the events of the section "Protocol Events" that are not an engine's alone,
// and what the messages of version 3 do among them. Each is what alice sends and what
// state she is in then, state by state: "=" is the state that she was in, "?" that of two
// exchanges, one in each version.
var v4Events = []struct {
	name string
	do   func(alice, bob *v4End) [][]byte
	sent [5]string
	next [5]string
}{
	{"plaintext",
		func(alice, bob *v4End) [][]byte { return alice.take([][]byte{[]byte("hello")}) },
		[5]string{}, [5]string{"=", "=", "=", "=", "="}},
	{"plaintext with the whitespace tag",
		func(alice, bob *v4End) [][]byte { return alice.take([][]byte{tagged("hello", 3, 4)}) },
		// While we wait for an Auth-I the tag is of the exchange that is under way. In a session
		// a heartbeat goes out, which a peer complains about that has lost the session.
		[5]string{"Identity", "Identity", "", "Data", ""},
		[5]string{"WAITING_AUTH_R", "=", "=", "=", "="}},
	{"a query",
		func(alice, bob *v4End) [][]byte { return alice.take([][]byte{[]byte("?OTRv34?")}) },
		[5]string{"Identity", "Identity", "", "Data", "Identity"},
		[5]string{"WAITING_AUTH_R", "=", "=", "=", "WAITING_AUTH_R"}},
	{"a query for version 3",
		func(alice, bob *v4End) [][]byte { return alice.take([][]byte{[]byte("?OTRv3?")}) },
		[5]string{"D-H Commit", "D-H Commit", "", "Data", "D-H Commit"},
		[5]string{"AWAITING_DHKEY", "AWAITING_DHKEY", "=", "=", "AWAITING_DHKEY"}},
	{"a D-H Commit of version 3",
		func(alice, bob *v4End) [][]byte {
			old := speaking(alice.t.(*testing.T), "old", 2, otr.AllowV3)
			return alice.take(old.must(old.Refresh()))
		},
		[5]string{"D-H Key", "D-H Key", "D-H Key", "", ""},
		[5]string{"AWAITING_REVEALSIG", "?", "?", "=", "="}},
	{"an error",
		func(alice, bob *v4End) [][]byte {
			return alice.take([][]byte{[]byte("?OTR Error: ERROR_2: Not in private state message")})
		},
		[5]string{"query", "query", "query", "Identity", "query"},
		[5]string{"=", "=", "=", "REFRESHING", "="}},
	{"a data message that cannot be read",
		func(alice, bob *v4End) [][]byte {
			one, other := v4Pair(alice.t, func(c *otr.Config) { c.InstanceTag = alice.InstanceTag() })
			_ = other
			b, err := one.AppendMessage(nil, otr.Message{Text: []byte("?")})
			if err != nil {
				alice.t.Fatal(err)
			}
			return alice.take([][]byte{readdressed(alice.t, b, bob.InstanceTag(), alice.InstanceTag())})
		},
		[5]string{"error, Identity", "error, Identity", "", "error, Identity", "error"},
		[5]string{"WAITING_AUTH_R", "=", "=", "REFRESHING", "="}},
	{"the user asks for a session",
		func(alice, bob *v4End) [][]byte { return alice.Query() },
		[5]string{"query", "query", "query", "query", "query"}, [5]string{"=", "=", "=", "=", "="}},
	{"the user starts interactively",
		func(alice, bob *v4End) [][]byte { return alice.must(alice.Refresh()) },
		[5]string{"Identity", "Identity", "", "Identity", "Identity"},
		[5]string{"WAITING_AUTH_R", "=", "=", "REFRESHING", "WAITING_AUTH_R"}},
	{"the user types",
		func(alice, bob *v4End) [][]byte {
			lines, err := alice.Send([]byte("text"))
			if err != nil && !errors.Is(err, otr.ErrFinished) {
				alice.t.Fatal(err)
			}
			return lines
		},
		[5]string{"query", "query", "query", "Data", ""}, [5]string{"=", "=", "=", "=", "="}},
	{"the user ends the conversation",
		func(alice, bob *v4End) [][]byte { return alice.must(alice.End()) },
		[5]string{"", "", "", "Data", ""}, [5]string{"START", "START", "START", "START", "START"}},
}

// readdressed returns a data message as if it were another instance's.
func readdressed(t testing.TB, line []byte, sender, receiver uint32) []byte {
	t.Helper()
	msg, err := wire.AppendDearmored(nil, line[:len(line)-1])
	if err != nil {
		t.Fatal(err)
	}
	h, body, err := wire.ParseHeader(msg)
	if err != nil {
		t.Fatal(err)
	}
	h.Sender, h.Receiver = sender, receiver
	return wire.AppendArmor(nil, append(h.Append(nil), body...))
}

// Every event in every state. The messages of a key exchange are in package v4's tests.
func TestTheStateMachineOfVersion4(t *testing.T) {
	for _, event := range v4Events {
		for i, state := range v4States {
			t.Run(state.name+" and "+event.name, func(t *testing.T) {
				configure := func(c *otr.Config) {
					c.DSA = testKeys()[0]
					c.Policy = otr.AllowV3 | otr.AllowV4 | otr.RequireEncryption | otr.WhitespaceStartAKE | otr.ErrorStartAKE | otr.RestartAKE
				}
				alice, bob := newV4End(t, "alice", configure), newV4End(t, "bob", configure)
				state.enter(alice, bob)
				if alice.State() != state.state || alice.AuthState() != state.auth {
					t.Fatalf("alice is in %v, %v", alice.State(), alice.AuthState())
				}
				alice.texts = nil
				if got := kinds(event.do(alice, bob)); got != event.sent[i] {
					t.Errorf("sent %q, want %q", got, event.sent[i])
				}
				wantState, wantAuth := state.state, state.auth
				switch event.next[i] {
				case "START":
					wantState, wantAuth = otr.StatePlaintext, otr.AuthNone
				case "WAITING_AUTH_R", "REFRESHING":
					wantAuth = otr.AuthWaitingAuthR
				case "AWAITING_DHKEY":
					wantAuth = otr.AuthAwaitingDHKey
				case "AWAITING_REVEALSIG":
					wantAuth = otr.AuthAwaitingRevealSig
				}
				if both := event.next[i] == "?"; alice.State() != wantState || alice.AuthState() != wantAuth && !both {
					t.Errorf("in %v, %v, want %v, %v", alice.State(), alice.AuthState(), wantState, wantAuth)
				}
				if len(alice.texts) != 0 {
					t.Errorf("shown as authenticated: %q", alice.texts)
				}
			})
		}
	}
}

// Who cuts the line of a session of version 4 does not get one of version 3 for it,
// however long he waits.
func TestVersion3DoesNotReplaceASessionOfVersion4(t *testing.T) {
	both := func(c *otr.Config) { c.DSA, c.Policy = testKeys()[0], otr.AllowV3|otr.AllowV4 }
	alice, bob := v4Pair(t, both)
	old := speaking(t, "old", 1, otr.AllowV3)
	old.now = alice.now
	for range 3 {
		alice.now = alice.now.Add(time.Hour)
		for _, lines := range [][][]byte{old.must(old.Refresh()), {[]byte("?OTRv3?")}, {tagged("hello", 3)}} {
			if sent := kinds(alice.take(lines)); sent != "" && sent != "Data" {
				t.Fatalf("answered with %s", sent)
			}
		}
	}
	wantV4Session(t, alice, bob)
	// At its end it is another matter.
	alice.must(alice.End())
	carry(old.must(old.Refresh()), alice, old)
	if s, ok := alice.Session(); !ok || s.Version != 3 {
		t.Errorf("session %+v", s)
	}
}

// A key that is kept for a message that has not come goes after an hour, although
// nothing comes any more.
func TestKeysOfLostMessagesOfVersion4GoByTheClock(t *testing.T) {
	alice, bob := v4Pair(t, nil)
	late := alice.must(alice.Send([]byte("late")))
	bob.take(alice.must(alice.Send([]byte("in time"))))
	if next := bob.NextTick(); !next.Equal(bob.now.Add(time.Hour)) {
		t.Errorf("next tick in %v", next.Sub(bob.now))
	}
	bob.now = bob.now.Add(time.Hour)
	if _, err := bob.Tick(); err != nil || !bob.NextTick().IsZero() {
		t.Errorf("%v, another tick in %v", err, bob.NextTick().Sub(bob.now))
	}
	bob.now = bob.now.Add(-30 * time.Minute) // were it kept, it would be good now
	bob.texts = nil
	bob.take(late)
	unreadable := happened[otr.Unreadable](bob)
	if len(bob.texts) != 0 || len(unreadable) != 1 || !errors.Is(unreadable[0].Reason, v4.ErrReplay) {
		t.Errorf("read %q, %+v", bob.texts, unreadable)
	}
}

// A peer that complains, because it has lost the session, gets another one, and what it
// could not read again.
func TestAPeerOfVersion4ThatComplainsGetsANewSession(t *testing.T) {
	configure := func(c *otr.Config) { c.Policy |= otr.ErrorStartAKE }
	alice, bob := v4Pair(t, configure)
	again := newV4End(t, "bob", func(c *otr.Config) { // the same keys
		configure(c)
		c.InstanceTag, c.Rand = bob.InstanceTag(), testRand(77)
	})
	carry(alice.must(alice.Send([]byte("are you there?"))), again, alice)
	if !slices.Equal(again.texts, []string{"are you there?"}) {
		t.Errorf("it reads %q", strings.Join(again.texts, ", "))
	}
	wantV4Session(t, alice, again)
}

// An Auth-I that is lost leaves one end with a session and the other without. The first message
// of it that comes when the Auth-I is overdue begins another exchange.
func TestALostAuthIIsMadeGood(t *testing.T) {
	configure := func(c *otr.Config) { c.Policy |= otr.RestartAKE }
	alice, bob := newV4End(t, "alice", configure), newV4End(t, "bob", configure)
	bob.take(alice.take(bob.take(alice.Query()))) // and his Auth-I is lost
	if alice.AuthState() != otr.AuthWaitingAuthI || bob.State() != otr.StateEncrypted {
		t.Fatalf("alice is in %v, bob in %v", alice.AuthState(), bob.State())
	}
	for _, patience := range []time.Duration{0, 4 * time.Second} {
		alice.now = alice.now.Add(patience)
		if answer := alice.take(bob.take(alice.Query())); len(answer) != 0 {
			t.Fatalf("after %v alice answers %s", patience, kinds(answer))
		}
	}
	alice.now = alice.now.Add(time.Second)
	carry(bob.take(alice.Query()), alice, bob)
	wantV4Session(t, alice, bob)
}
