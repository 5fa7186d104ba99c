package smp

import (
	"bytes"
	"testing"

	"otrpipe/otr/wire"
)

// copyOf returns a machine in the same place of the same run.
func copyOf(m *Machine) *Machine {
	c := *m
	if m.run != nil {
		p := *m.run.(*party[[]byte, []byte])
		for _, v := range []*[]byte{
			&p.secret, &p.exponent2, &p.exponent3,
			&p.peerHalf2, &p.peerHalf3, &p.g2, &p.g3, &p.pa, &p.pb, &p.qb, &p.ratioQ,
		} {
			*v = bytes.Clone(*v)
		}
		c.run = &p
	}
	return &c
}

// FuzzReceive gives a machine in every state any record. Of the protocol's own
// records it may accept the honest peer's only, byte for byte but for the
// question: anything else must end the run with an abort.
func FuzzReceive(f *testing.F) {
	states := []State{StateExpect1, StateAwaitingSecret, StateExpect2, StateExpect3, StateExpect4}
	var scenes []scene
	for i, s := range states {
		scenes = append(scenes, inState(f, s))
		if len(scenes[i].next) > 0 {
			next := scenes[i].next[0]
			for j := range states {
				f.Add(byte(j), next.Type, next.Value)
			}
			f.Add(byte(i), next.Type, append(bytes.Clone(next.Value), 0))
			f.Add(byte(i), next.Type, next.Value[:len(next.Value)-1])
			f.Add(byte(i), uint16(wire.TLVSMP1Q), append([]byte("where?\x00"), next.Value...))
		}
		f.Add(byte(i), uint16(wire.TLVSMPAbort), []byte{0, 0, 0, 0})
		f.Add(byte(i), uint16(wire.TLVPadding), []byte{})
	}
	f.Fuzz(func(t *testing.T, place byte, tlvType uint16, value []byte) {
		s := scenes[int(place)%len(scenes)]
		before := s.machine.State()
		m := copyOf(s.machine)
		record := wire.TLV{Type: tlvType, Value: bytes.Clone(value)}
		send, event := m.Receive(record)
		if !bytes.Equal(record.Value, value) {
			t.Fatal("the record was changed")
		}
		switch {
		case tlvType == wire.TLVSMPAbort:
			if send != nil || m.State() != StateExpect1 {
				t.Fatalf("an abort: %d records to send, state %v", len(send), m.State())
			}
		case tlvType < wire.TLVSMP1 || tlvType > wire.TLVSMP1Q:
			if send != nil || event != (Event{}) || m.State() != before {
				t.Fatalf("a record of another protocol: %+v, state %v", event, m.State())
			}
		case event.Kind == Asked || len(send) > 0 && send[0].Type != wire.TLVSMPAbort || event.Kind == Succeeded:
			if !honest(s.next, tlvType, value, event.Question) {
				t.Fatalf("state %v accepts a record of type %d that the peer did not send", before, tlvType)
			}
		default:
			if m.State() != StateExpect1 || m.run != nil || len(send) != 1 || len(send[0].Value) != 0 {
				t.Fatalf("a refused record: %+v, state %v, %d records to send", event, m.State(), len(send))
			}
		}
	})
}

// honest reports whether a record is the peer's next one; its message 1 may
// stand behind any question.
func honest(next []wire.TLV, tlvType uint16, value []byte, question string) bool {
	if len(next) == 0 {
		return false
	}
	if tlvType == wire.TLVSMP1Q && next[0].Type == wire.TLVSMP1 {
		return bytes.Equal(value, append(append([]byte(question), 0), next[0].Value...))
	}
	return tlvType == next[0].Type && bytes.Equal(value, next[0].Value)
}
