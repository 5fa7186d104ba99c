package otr_test

import (
	"bytes"
	"testing"

	"otrpipe/otr"
)

// FuzzConversationReceive gives any lines to both ends of a session: nothing
// forged is taken for authentic, the answers are lines, and the two can still
// talk.
func FuzzConversationReceive(f *testing.F) {
	// The same instances as below, with other keys.
	alice, bob := newPair(f)
	tag := func(tag uint32) func(*otr.Config) { return func(c *otr.Config) { c.InstanceTag = tag } }
	alice = newEnd(f, "alice", 0, 31, alice.clock, tag(alice.InstanceTag()))
	bob = newEnd(f, "bob", 1, 32, alice.clock, tag(bob.InstanceTag()))
	converse(alice, bob, alice.refresh())
	for _, lines := range [][][]byte{alice.Query(), alice.refresh(), bob.say("text"), {tagged("text", 2, 3)},
		{[]byte("?OTR Error: x")}, {[]byte("?OTR,1,2,?OTR:AA,\n?OTR,2,2,MD.,")},
		{[]byte("?OTR|00000100|00000000,00001,00001,?OTRv3?,")}, {foreignData(alice.InstanceTag(), bob.InstanceTag(), 0)}} {
		f.Add(bytes.Join(lines, []byte("\n")))
	}
	f.Fuzz(func(t *testing.T, input []byte) {
		alice, bob := newSession(t, policy(otr.AllowV2|otr.AllowV3|otr.WhitespaceStartAKE|otr.ErrorStartAKE|otr.RestartAKE))
		own := alice.say("said before")
		for line := range bytes.SplitSeq(input, []byte("\n")) {
			for _, e := range []*end{alice, bob} {
				got := e.receive(line)
				for _, answer := range got.Send {
					if bytes.ContainsAny(answer, "\n\r") {
						t.Fatalf("no line: %q", answer)
					}
				}
				if got.DataMessage || got.HasText || got.Text != nil {
					t.Fatalf("forged: %q", got.Text)
				}
			}
		}
		converse(alice, bob, own)
		if len(bob.texts) != 1 || bob.texts[0] != "said before" {
			t.Fatalf("%q", bob.texts)
		}
		wantTalk(t, alice, bob)
	})
}

// FuzzConversationReceiveV4 is the same in version 4.
func FuzzConversationReceiveV4(f *testing.F) {
	// Honest lines of the same instances with other keys: exchanges, texts, fragments.
	pair := func(t testing.TB, names ...string) (alice, bob *v4End) {
		configure := func(tag uint32) func(*otr.Config) {
			return func(c *otr.Config) {
				c.InstanceTag, c.DSA = tag, testKeys()[0]
				c.Policy |= otr.AllowV3 | otr.ErrorStartAKE | otr.RestartAKE
			}
		}
		return newV4End(t, names[0], configure(0x100)), newV4End(t, names[1], configure(0x101))
	}
	alice, bob := pair(f, "other alice", "other bob")
	identity := alice.must(alice.Refresh())
	authR := bob.take(identity)
	authI := alice.take(authR)
	bob.take(authI)
	for i, lines := range [][][]byte{alice.Query(), identity, authR, authI, alice.must(alice.Send([]byte("text"))),
		bob.must(bob.Send([]byte("text"))), {tagged("text", 3, 4)}, {[]byte("?OTR Error: ERROR_1: x")},
		{[]byte("?OTR|00000001|00000100|00000101,00002,00002,MD.,"), []byte("?OTR|00000001|00000100|00000101,00001,00002,?OTR:AAQ,")},
		{[]byte("?OTR|00000001|00000100|00000000,65535,65535,x,")}} {
		if testing.Short() && i%3 != 1 {
			continue
		}
		f.Add(bytes.Join(lines, []byte("\n")))
	}
	f.Fuzz(func(t *testing.T, input []byte) {
		alice, bob := pair(t, "alice", "bob")
		carry(alice.Query(), bob, alice)
		own := alice.must(alice.Send([]byte("said before")))
		alice.texts, bob.texts = nil, nil
		for line := range bytes.SplitSeq(input, []byte("\n")) {
			for _, e := range []*v4End{alice, bob} {
				for _, answer := range e.take([][]byte{line}) {
					if bytes.ContainsAny(answer, "\n\r") {
						t.Fatalf("no line: %q", answer)
					}
				}
			}
		}
		if len(alice.texts)+len(bob.texts) > 0 {
			t.Fatalf("forged: %q, %q", alice.texts, bob.texts)
		}
		carry(own, bob, alice)
		mustTalk(t, alice, bob)
	})
}
