package otr_test

import (
	"bytes"
	"errors"
	"strings"
	"testing"
	"time"

	"otrpipe/otr"
	"otrpipe/otr/v4"
	"otrpipe/otr/wire"
	"otrpipe/testscripts/slowtest"
)

// v4States lists the states of the section "Protocol States", each with a way to bring alice
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
		// An exchange that is under way is not begun again. In a session a tag is only text.
		[5]string{"Identity", "", "", "", ""},
		[5]string{"WAITING_AUTH_R", "=", "=", "=", "="}},
	{"a query",
		func(alice, bob *v4End) [][]byte { return alice.take([][]byte{[]byte("?OTRv34?")}) },
		// A fresh offer is not repeated. In a session the query counts as sent before it.
		[5]string{"Identity", "", "", "", "Identity"},
		[5]string{"WAITING_AUTH_R", "=", "=", "=", "WAITING_AUTH_R"}},
	{"a query, some time later",
		func(alice, bob *v4End) [][]byte {
			alice.now = alice.now.Add(5 * time.Second)
			return alice.take([][]byte{[]byte("?OTRv34?")})
		},
		[5]string{"Identity", "Identity", "Identity", "Identity", "Identity"},
		[5]string{"WAITING_AUTH_R", "=", "WAITING_AUTH_R", "REFRESHING", "WAITING_AUTH_R"}},
	{"a query for version 3",
		func(alice, bob *v4End) [][]byte { return alice.take([][]byte{[]byte("?OTRv3?")}) },
		[5]string{"D-H Commit", "D-H Commit", "", "", "D-H Commit"},
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
		// Only version 3's policy starts an exchange.
		[5]string{"query", "", "", "", "query"},
		[5]string{"=", "=", "=", "=", "="}},
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
		// Without a session an offer goes to who wrote it; a session is not given up for it.
		[5]string{"error, Identity", "error", "", "error", "error"},
		[5]string{"WAITING_AUTH_R", "=", "=", "=", "="}},
	{"the user asks for a session",
		func(alice, bob *v4End) [][]byte { return alice.Query() },
		[5]string{"query", "query", "query", "query", "query"}, [5]string{"=", "=", "=", "=", "="}},
	{"the user starts interactively",
		func(alice, bob *v4End) [][]byte { return alice.must(alice.Refresh()) },
		[5]string{"Identity", "", "", "Identity", "Identity"},
		[5]string{"WAITING_AUTH_R", "=", "=", "REFRESHING", "WAITING_AUTH_R"}},
	{"the user types",
		func(alice, bob *v4End) [][]byte {
			lines, err := alice.Send([]byte("text"))
			if err != nil && !errors.Is(err, otr.ErrFinished) {
				alice.t.Fatal(err)
			}
			return lines
		},
		[5]string{"query", "", "", "Data", ""}, [5]string{"=", "=", "=", "=", "="}},
	{"the user ends the conversation",
		func(alice, bob *v4End) [][]byte { return alice.must(alice.End()) },
		[5]string{"", "", "", "Data", ""}, [5]string{"START", "START", "START", "START", "START"}},
}

// readdressed returns a data message as if another instance had sent it.
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

// Every event in every state. The messages of a key exchange are tested in package v4.
func TestTheStateMachineOfVersion4(t *testing.T) {
	for e, event := range v4Events {
		for i, state := range v4States {
			if testing.Short() && i != e%len(v4States) {
				continue // every event and every state remain
			}
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
				alice.texts, alice.events = nil, nil
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
				if n := len(happened[otr.Unencrypted](alice)); (n == 1) != strings.HasPrefix(event.name, "plaintext") {
					t.Errorf("%d warnings that it was not encrypted", n)
				}
			})
		}
	}
}

// An attacker who cuts the line of a version 4 session cannot replace it by a version 3
// session, however long they wait.
func TestVersion3DoesNotReplaceASessionOfVersion4(t *testing.T) {
	both := func(c *otr.Config) { c.DSA, c.Policy = testKeys()[0], otr.AllowV3|otr.AllowV4 }
	alice, bob := v4Pair(t, both)
	old := speaking(t, "old", 1, otr.AllowV3)
	old.now = alice.now
	for range 3 {
		alice.now = alice.now.Add(time.Hour)
		old.now = alice.now
		for _, lines := range [][][]byte{old.must(old.Refresh()), {[]byte("?OTRv3?")}, {tagged("hello", 3)}} {
			if sent := kinds(alice.take(lines)); sent != "" && sent != "Data" {
				t.Fatalf("answered with %s", sent)
			}
		}
	}
	wantV4Session(t, alice, bob)
	// After the end of the session it is possible.
	alice.must(alice.End())
	old.now = alice.now.Add(time.Minute)
	carry(old.must(old.Refresh()), alice, old)
	if s, ok := alice.Session(); !ok || s.Version != 3 {
		t.Errorf("session %+v", s)
	}
}

// A key that is kept for a missing message is dropped after an hour, even if no further
// message comes.
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
	bob.now = bob.now.Add(-30 * time.Minute) // if the key were still there, it would be usable now
	bob.texts = nil
	bob.take(late)
	unreadable := happened[otr.Unreadable](bob)
	if len(bob.texts) != 0 || len(unreadable) != 1 || !errors.Is(unreadable[0].Reason, v4.ErrReplay) {
		t.Errorf("read %q, %+v", bob.texts, unreadable)
	}
}

// A peer that has lost the session offers a new one when it gets a message, and then gets the
// unreadable text again. Its error message alone starts nothing, because anyone could have
// written that.
func TestAPeerOfVersion4ThatLostItsSessionGetsANewOne(t *testing.T) {
	configure := func(c *otr.Config) { c.Policy |= otr.ErrorStartAKE | otr.RestartAKE }
	alice, bob := v4Pair(t, configure)
	again := newV4End(t, "bob, started again", func(c *otr.Config) {
		configure(c)
		c.InstanceTag, c.Rand = bob.InstanceTag(), testRand(77)
	})
	_ = bob
	complaint := again.take(alice.must(alice.Send([]byte("are you there?"))))
	if kinds(complaint) != "error, Identity" {
		t.Fatalf("it answers %s", kinds(complaint))
	}
	if answer := alice.take(complaint[:1]); answer != nil {
		t.Fatalf("the error alone is answered with %s", kinds(answer))
	}
	carry(complaint[1:], alice, again)
	wantV4Session(t, alice, again)
}

// An attacker who can insert lines cannot make a version 4 session begin another key exchange
// with messages that anyone could write.
func TestForgedLinesStartNothingInASessionOfVersion4(t *testing.T) {
	alice, bob := v4Pair(t, func(c *otr.Config) { c.Policy |= otr.ErrorStartAKE | otr.RestartAKE })
	forged := append(forgedData(bob.InstanceTag(), alice.InstanceTag()), []byte("?OTR Error: ERROR_2: x"), []byte("so he said ?OTR Error: x"))
	for i, line := range forged {
		if sent := kinds(alice.take([][]byte{line})); sent != "" && sent != "error" {
			t.Errorf("line %d is answered with %s", i, sent)
		}
	}
	if n := len(happened[otr.PeerError](alice)); n != 1 {
		t.Errorf("%d errors are shown, and only one stands at the beginning", n)
	}
	if alice.Exchanging() {
		t.Error("the session waits")
	}
	wantV4Session(t, alice, bob)
}

// forgedData returns data messages that nobody can read.
func forgedData(from, to uint32) (lines [][]byte) {
	h := wire.Header{Version: 4, Type: wire.TypeData, Sender: from, Receiver: to}
	for i := range byte(3) {
		d := v4.Data{ECDH: bytes.Repeat([]byte{i}, 57), Encrypted: []byte("?"), MAC: make([]byte, 64)}
		lines = append(lines, wire.AppendArmor(nil, d.Append(h.Append(nil))))
	}
	return lines
}

// A lost Auth-I leaves one end with a session and the other without. The end that can notice
// this repairs it within seconds.
func TestALostAuthIIsMadeGood(t *testing.T) {
	slowtest.SkipShort(t)
	alice, bob := newV4End(t, "alice", nil), newV4End(t, "bob", nil)
	bob.take(alice.take(bob.take(alice.Query()))) // and his Auth-I is lost
	if alice.AuthState() != otr.AuthWaitingAuthI || bob.State() != otr.StateEncrypted {
		t.Fatalf("alice is in %v, bob in %v", alice.AuthState(), bob.State())
	}
	pass(alice, bob, 3*time.Second)
	if alice.State() == otr.StateEncrypted {
		t.Fatal("too early")
	}
	pass(alice, bob, 2*time.Second)
	wantV4Session(t, alice, bob)
}

func TestALostAuthRIsMadeGood(t *testing.T) {
	alice, bob := newV4End(t, "alice", nil), newV4End(t, "bob", nil)
	alice.take(bob.take(alice.Query())) // and her Auth-R is lost
	pass(alice, bob, 5*time.Second)
	wantV4Session(t, alice, bob)
}
