package stream

import (
	"errors"
	"io"
	"math/rand/v2"
	"strings"
	"testing"
	"testing/synctest"

	"otrpipe/otr/wire"
)

// A model computes the expected result of a peer's records, from the rules alone.
type model struct {
	greeted, ended, broken bool
	got                    strings.Builder
}

func (m *model) follow(r wire.TLV) {
	rec, known, err := parseRecord(r)
	switch {
	case m.broken || !known:
	case err != nil:
		m.broken = true
	case rec.kind == typeHello:
		m.broken = rec.id != strangeID
		m.greeted = true
	case rec.kind == typeAck:
		m.broken = rec.offset != 0
	case rec.kind == typeAbort:
		m.broken = true
	case rec.kind == typeStop:
	case !m.greeted || rec.offset != int64(m.got.Len()):
		m.broken = true
	case rec.kind == typeData:
		m.broken = m.ended && len(rec.data) > 0
		if !m.broken {
			m.got.Write(rec.data)
		}
	case rec.kind == typeEnd:
		m.ended = true
	}
}

// malformed reports whether a record is not of its form.
func malformed(r wire.TLV) bool {
	switch r.Type {
	case typeClose, typeClosed:
		return len(r.Value) > 0
	}
	_, known, err := parseRecord(r)
	return known && err != nil
}

// TestAnyRecordsComeToWhatTheRulesSay sends all kinds of records to an end, most of them
// valid.
func TestAnyRecordsComeToWhatTheRulesSay(t *testing.T) {
	for seed := range rounds(60) {
		synctest.Test(t, func(t *testing.T) {
			random := rand.New(rand.NewPCG(seed, 6))
			e, x := meet(t, setting{seed: seed})
			var m model
			for range 1 + random.IntN(12) {
				var message []wire.TLV
				for range 1 + random.IntN(3) {
					r := anyRecord(random, int64(m.got.Len()))
					message = append(message, r)
				}
				// A message with a malformed record is refused whole.
				for _, r := range message {
					m.broken = m.broken || malformed(r)
				}
				for _, r := range message {
					m.follow(r)
				}
				x.say(message...)
			}
			x.out.Close()
			got, err := io.ReadAll(e)
			if string(got) != m.got.String() {
				t.Errorf("seed %d: got %q, not %q", seed, got, m.got.String())
			}
			if (err == nil) != m.ended || err != nil && !errors.Is(err, ErrBroken) {
				t.Errorf("seed %d: %v, ended %v, broken %v", seed, err, m.ended, m.broken)
			}
		})
	}
}

// anyRecord returns a record that usually fits a stream of which n bytes have come.
func anyRecord(random *rand.Rand, n int64) wire.TLV {
	at := n
	if random.IntN(20) == 0 {
		at += random.Int64N(5) - 2
	}
	at = max(at, 0)
	switch random.IntN(24) {
	case 0:
		return ended(at)
	case 1:
		return ack(random.Int64N(2))
	case 2:
		return wire.TLV{Type: typeStop, Value: []byte("stop")}
	case 3:
		return wire.TLV{Type: typeAbort + uint16(random.IntN(2)), Value: []byte("why")}
	case 4:
		return wire.TLV{Type: 0x6F00 + uint16(random.IntN(9)), Value: make([]byte, random.IntN(30))}
	case 5, 6, 7, 8, 9, 10:
		return hello()
	case 11:
		return data(at, "")
	}
	return data(at, strings.Repeat("x", 1+random.IntN(4)))
}
