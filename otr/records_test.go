package otr_test

import (
	"bytes"
	"errors"
	"testing"

	"otrpipe/otr"
	"otrpipe/otr/wire"
)

// A peer refuses a message with more than wire.MaxTLVs records, so such a message is not
// sent. The record of padding counts.
func TestAMessageWithTooManyRecordsIsNotSent(t *testing.T) {
	for _, pad := range []int{0, 256} {
		alice, bob := newSession(t, func(c *otr.Config) { c.Pad = pad })
		most := wire.MaxTLVs
		if pad > 0 {
			most--
		}
		records := make([]wire.TLV, most+1)
		for i := range records {
			records[i].Type = 0x0200
		}
		for _, ms := range [][]otr.Message{{{TLVs: records}}, {{TLVs: records}, {TLVs: records}}} {
			if b, err := alice.AppendMessages([]byte("x"), ms); !errors.Is(err, otr.ErrTooLong) || string(b) != "x" {
				t.Errorf("padding %d: %d bytes, %v", pad, len(b), err)
			}
		}
		b, err := alice.AppendMessage(nil, otr.Message{TLVs: records[:most]})
		if err != nil {
			t.Fatal(err)
		}
		if got := bob.receive(b[:len(b)-1]); len(got.TLVs) != most {
			t.Errorf("padding %d: %d records came, %v", pad, len(got.TLVs), got.Events)
		}
	}
}

// The last message of a session has records of the caller and one of the Conversation. The
// caller's slice may have room for more, which belongs to the caller.
func TestEndWithLeavesTheCallersSliceAlone(t *testing.T) {
	alice, bob := newSession(t)
	records := []wire.TLV{{Type: 0x0200}, {Type: 0x0201}}
	lines, err := alice.EndWith(records[:1]...)
	if err != nil {
		t.Fatal(err)
	}
	if records[1].Type != 0x0201 {
		t.Errorf("a record after those passed has become one of type %#x", records[1].Type)
	}
	if got := bob.receive(lines[0]); len(got.TLVs) != 1 || got.TLVs[0].Type != 0x0200 || bob.State() != otr.StateFinished {
		t.Errorf("%v, %v", got.TLVs, bob.State())
	}
}

// The end of a session is told to the peer even if the caller's records have no room.
func TestAnEndWhoseRecordsDoNotFitIsStillToldToThePeer(t *testing.T) {
	for name, records := range map[string][]wire.TLV{
		"a long record": {{Type: 0x0200, Value: make([]byte, wire.MaxTLVValue+1)}},
		"many records":  make([]wire.TLV, wire.MaxTLVs),
	} {
		alice, bob := newSession(t)
		lines, err := alice.EndWith(records...)
		if !errors.Is(err, otr.ErrTooLong) || alice.State() != otr.StatePlaintext {
			t.Errorf("%s: %v in %v", name, err, alice.State())
		}
		if bob.all(lines); bob.State() != otr.StateFinished {
			t.Errorf("%s: the peer is in %v", name, bob.State())
		}
	}
}

// A message that reveals every MAC key has less room for a text. The longest one still fits
// into a line that the peer accepts, however many keys have been kept.
func TestTheLongestMessageThatRevealsAllKeysIsRead(t *testing.T) {
	clock := newClock()
	speaks := func(key int) func(*otr.Config) {
		k := v4TestKeys()[key]
		return func(c *otr.Config) { c.Policy, c.Ed448, c.Forging = otr.AllowV4, k.private, k.forging }
	}
	alice, bob := newEnd(t, "alice", 0, 1, clock, speaks(0)), newEnd(t, "bob", 1, 2, clock, speaks(1))
	converse(alice, bob, alice.Query())
	for range 4100 {
		bob.all(alice.say("x"))
	}
	text := bytes.Repeat([]byte("y"), 760000)
	for {
		b, err := bob.AppendMessage(nil, otr.Message{Text: text, RevealAll: true})
		if errors.Is(err, otr.ErrTooLong) {
			text = text[:len(text)-1000]
			continue
		}
		if err != nil || len(b)-1 > wire.MaxMessage {
			t.Fatalf("a text of %d bytes makes a line of %d, %v", len(text), len(b)-1, err)
		}
		if got := alice.receive(b[:len(b)-1]); !bytes.Equal(got.Text, text) || len(text) < 400000 {
			t.Errorf("%d of %d bytes came", len(got.Text), len(text))
		}
		return
	}
}
