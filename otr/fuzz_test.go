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
