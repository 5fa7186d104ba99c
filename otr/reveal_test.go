package otr_test

import (
	"crypto/hmac"
	"crypto/sha1"
	"testing"
	"time"

	"otrpipe/otr"
	"otrpipe/otr/v3"
	"otrpipe/otr/v4"
	"otrpipe/otr/wire"
	"otrpipe/testscripts/slowtest"
)

// messagesOf returns the data messages among lines: the part that each authenticator covers, the
// authenticators, and all MAC keys that the messages reveal.
func messagesOf(t *testing.T, lines [][]byte) (covered, authenticators, revealed [][]byte) {
	t.Helper()
	for _, line := range lines {
		msg, err := wire.AppendDearmored(nil, line)
		if err != nil {
			continue // a query
		}
		h, body, err := wire.ParseHeader(msg)
		if err != nil {
			t.Fatal(err)
		}
		if h.Type != wire.TypeData {
			continue
		}
		var mac, old []byte
		var end, size int
		if h.Version == v4.Version {
			m, err := v4.ParseData(body)
			if err != nil {
				t.Fatal(err)
			}
			mac, old, end, size = m.MAC, m.Revealed, m.Authenticated, 64
		} else {
			m, err := v3.ParseData(body)
			if err != nil {
				t.Fatal(err)
			}
			mac, old, end, size = m.MAC, m.OldMACKeys, m.Authenticated, sha1.Size
		}
		covered = append(covered, msg[:len(msg)-len(body)+end])
		authenticators = append(authenticators, mac)
		for ; len(old) > 0; old = old[size:] {
			revealed = append(revealed, old[:size])
		}
	}
	return covered, authenticators, revealed
}

// wantForgeable checks that anyone can forge each of the data messages that were sent with the
// keys in the answers.
func wantForgeable(t *testing.T, sent, answers [][]byte) {
	t.Helper()
	covered, authenticators, _ := messagesOf(t, sent)
	_, _, revealed := messagesOf(t, answers)
	if len(covered) == 0 {
		t.Fatal("nothing was sent")
	}
	for i := range covered {
		forgeable := false
		for _, key := range revealed {
			var mac []byte
			if len(key) == sha1.Size {
				h := hmac.New(sha1.New, key)
				h.Write(covered[i])
				mac = h.Sum(nil)
			} else {
				mac = v4.AppendAuthenticator(nil, (*v4.Key)(key), covered[i])
			}
			forgeable = forgeable || hmac.Equal(mac, authenticators[i])
		}
		if !forgeable {
			t.Errorf("message %d of %d cannot be forged: its MAC key was not revealed", i+1, len(covered))
		}
	}
}

// An upgrade ends the session of version 3, so each end reveals the MAC keys of that session,
// and neither is told of the other's message that does so.
func TestAnUpgradeRevealsTheMACKeysOfTheSessionBefore(t *testing.T) {
	for _, first := range []string{"alice", "bob"} {
		alice, bob := speaking(t, "alice", 0, otr.AllowV3), speaking(t, "bob", 1, otr.AllowV3|otr.AllowV4)
		carry(alice.Query(), bob, alice)
		sent := map[*v4End][][]byte{}
		send := func(from, to *v4End, lines [][]byte) [][]byte {
			sent[from] = append(sent[from], cloneLines(lines)...)
			return to.take(lines)
		}
		for i := range 3 {
			send(alice, bob, alice.must(alice.Send([]byte{'a' + byte(i)})))
			send(bob, alice, bob.must(bob.Send([]byte{'A' + byte(i)})))
		}
		if err := alice.AllowUpgrade(); err != nil {
			t.Fatal(err)
		}
		if err := bob.AllowUpgrade(); err != nil {
			t.Fatal(err)
		}
		before := map[*v4End][][]byte{alice: sent[alice], bob: sent[bob]}
		from, to := alice, bob
		if first == "bob" {
			from, to = bob, alice
		}
		alice.events, bob.events = nil, nil
		for lines := cloneLines(from.must(from.Upgrade())); len(lines) > 0; from, to = to, from {
			lines = cloneLines(send(from, to, lines))
		}
		wantForgeable(t, before[alice], sent[bob])
		wantForgeable(t, before[bob], sent[alice])
		for _, e := range []*v4End{alice, bob} {
			if told := happened[otr.OtherInstance](e); len(told) > 0 {
				t.Errorf("%s is told of %v", e.name, told)
			}
		}
		wantV4Session(t, alice, bob)
	}
}

// A client of the peer that takes a session over gets the MAC keys of the session before with
// the next message.
func TestTheSessionWithAnotherInstanceRevealsTheMACKeysOfTheOneBefore(t *testing.T) {
	slowtest.SkipShort(t)
	for version, p := range map[string]otr.Policy{"2 and 3": otr.AllowV2 | otr.AllowV3, "3": otr.AllowV3, "4": otr.AllowV4} {
		t.Run(version, func(t *testing.T) {
			clock := newClock()
			alice := newEndOf(t, "alice", 0, 1, clock, p)
			bob, beside := newEndOf(t, "bob", 1, 2, clock, p), newEndOf(t, "bob, started again", 1, 7, clock, p)
			if version == "2 and 3" {
				bob = newEndOf(t, "bob", 1, 2, clock, otr.AllowV2)
			}
			converse(alice, bob, alice.Query())
			var sent [][]byte
			for _, text := range []string{"one", "two", "three"} {
				lines := bob.say(text)
				sent = append(sent, cloneLines(lines)...)
				alice.all(lines)
			}
			clock.advance(3 * time.Minute)
			converse(beside, alice, beside.refresh())
			wantSameSession(t, alice, beside)
			wantForgeable(t, sent, alice.say("to the new one"))
			wantTalk(t, alice, beside)
		})
	}
}
