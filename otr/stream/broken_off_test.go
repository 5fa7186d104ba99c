package stream

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"otrpipe/otr"
	"otrpipe/otr/wire"
)

// A comparison is started by a person or required before payload. The peer sees the outcome,
// holds back message 4, and ends the session in every possible way. The comparison must be
// counted as failed, at once and exactly once.
func TestAComparisonHasFailedHoweverThePeerEndsTheSession(t *testing.T) {
	namesItsVersions(t)
	t.Parallel()
	record := func(tlvs ...wire.TLV) func(*testing.T, *guesser) [][]byte {
		return func(t *testing.T, g *guesser) [][]byte {
			b, err := g.c.AppendMessage(nil, otr.Message{TLVs: tlvs, IgnoreUnreadable: true})
			if err != nil {
				t.Error(err)
			}
			return [][]byte{bytes.TrimSuffix(b, []byte("\n"))}
		}
	}
	ways := map[string]func(*testing.T, *guesser) [][]byte{
		"Disconnected":             record(wire.TLV{Type: wire.TLVDisconnected}),
		"CLOSE":                    record(wire.TLV{Type: typeClose}),
		"CLOSE and CLOSED":         record(wire.TLV{Type: typeClose}, wire.TLV{Type: typeClosed}),
		"LAPSED and Disconnected":  record(wire.TLV{Type: typeLapsed}, wire.TLV{Type: wire.TLVDisconnected}),
		"a record of mode stream":  record(wire.TLV{Type: typeStop}),
		"a malformed record":       record(wire.TLV{Type: typeNumber}),
		"an unreadable SMP record": record(wire.TLV{Type: wire.TLVSMP4, Value: []byte{0}}),
	}
	for way, move := range ways {
		for _, stay := range []bool{false, true} {
			for _, gate := range []bool{false, true} {
				for _, version := range []otr.Policy{otr.AllowV3, otr.AllowV4} {
					if quick() && ((stay == gate) == (version == otr.AllowV4) || stay != (len(way)%2 == 0) || way == "CLOSE" || way == "CLOSE and CLOSED" || way == "a record of mode stream") {
						continue
					}
					what := fmt.Sprintf("%s, stay %v, gate %v, %v", way, stay, gate, version)
					t.Run(what, func(t *testing.T) {
						synctest.Test(t, func(t *testing.T) { breakOff(t, stay, gate, version, move) })
					})
				}
			}
		}
	}
}

// breakOff compares secrets with a guesser, and lets the guesser make its move when it has
// been shown the outcome.
func breakOff(t *testing.T, stay, gate bool, version otr.Policy, move func(*testing.T, *guesser) [][]byte) {
	a, b := cable(t, relay{delay: time.Millisecond}, relay{delay: time.Millisecond})
	e := open(t, a, setting{lines: true, otr: speaks(0, version), config: func(c *Config) {
		c.Stay, c.Timeout = stay, 0
		if gate {
			secret("the secret")(c)
		}
	}})
	g := &guesser{c: newConversation(t, setting{key: 1, otr: speaks(1, version)}, seeded(99)), in: bufio.NewReader(b), out: b}
	g.move = func(g *guesser) [][]byte { return move(t, g) }
	done := make(chan struct{})
	go func() { g.run(); close(done) }()
	if !gate {
		handshakeLines(t, e.lines)
		err := e.lines.Do(func(c *otr.Conversation) ([][]byte, error) { return c.StartSMP([]byte("the secret"), "") })
		if err != nil {
			t.Fatal(err)
		}
	}
	time.Sleep(time.Minute)
	synctest.Wait()
	if g.guesses != 1 {
		t.Fatalf("the peer was shown %d outcomes", g.guesses)
	}
	if told[otr.SMPFailed](e) != 1 || e.stats().FailedComparisons != 1 {
		t.Errorf("%d failures told, %d counted: %v", told[otr.SMPFailed](e), e.stats().FailedComparisons, e.events())
	}
	if gate {
		if err := e.lines.Wait(); !errors.Is(err, ErrSMP) {
			t.Errorf("the gate ends with %v", err)
		}
	}
	b.Close()
	<-done
}
