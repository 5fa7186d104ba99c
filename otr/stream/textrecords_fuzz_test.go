package stream

import (
	"bytes"
	"reflect"
	"testing"

	"otrpipe/otr/wire"
)

// FuzzTextRecords parses arbitrary records of texts. Writing an accepted record gives the
// same bytes, and parsing these gives the same record.
func FuzzTextRecords(f *testing.F) {
	id := sessionID{1, 2, 3, 7: 8}
	plain := func(tlvs ...wire.TLV) []byte { return wire.AppendPlaintext(nil, wire.Plaintext{TLVs: tlvs}) }
	f.Add(plain(wire.TLV{Type: typeNumber, Value: appendOffset(nil, 3)}, wire.TLV{Type: typeAsk}))
	f.Add(plain(wire.TLV{Type: typeAgain, Value: appendOffset(id[:], 3)}, wire.TLV{Type: typeLapsed}))
	f.Add(plain(wire.TLV{Type: typeTextAck, Value: appendAckValue(nil, id, 9, []span{{first: 1, n: 2}, {first: 4, n: 5}})}))
	f.Add(plain(wire.TLV{Type: typeRefused}, wire.TLV{Type: typeUnwritten}, wire.TLV{Type: typeClose}, wire.TLV{Type: typeClosed}))
	f.Add(plain(wire.TLV{Type: typeCount, Value: appendCount(nil, id, 9)}, wire.TLV{Type: typeHello, Value: appendHello(nil, streamID{1}, 9, 8)}))
	f.Fuzz(func(t *testing.T, b []byte) {
		p, err := wire.ParsePlaintext(nil, b)
		if err != nil {
			return
		}
		r, err := parseTextRecords(p.TLVs)
		if err != nil {
			return
		}
		// Each single record equals the output of the function that writes it.
		acks, counts := 0, 0
		for _, record := range p.TLVs {
			var want []byte
			switch record.Type {
			case typeNumber:
				want = appendOffset(nil, r.number)
			case typeTextAck:
				a := r.acks[acks]
				acks++
				want = appendAckValue(nil, a.id, a.next, a.gaps)
			case typeCount:
				c := r.counts[counts]
				counts++
				want = appendCount(nil, c.id, c.n)
			case typeAgain:
				for _, a := range r.again {
					want = appendCount(want, a.id, a.number)
				}
			case typeLapsed, typeRefused, typeUnwritten, typeAsk, typeClose, typeClosed: // no value
			default:
				continue
			}
			if !bytes.Equal(record.Value, want) {
				t.Fatalf("%x became %x", record.Value, want)
			}
		}
		if len(r.again) > maxAgain {
			t.Fatalf("%d sessions", len(r.again))
		}
		if again, err := parseTextRecords(p.TLVs); err != nil || !reflect.DeepEqual(r, again) {
			t.Fatalf("%+v, then %+v, %v", r, again, err)
		}
	})
}
