package offline

import (
	"encoding/binary"
	"errors"
	"math"
	"testing"

	"otrpipe/otr/wire"
	"otrpipe/testscripts/slowtest"
)

// If a sender with the right keys sends records that do not make a valid stream, the stream
// is broken, and nothing from the invalid record is delivered.
func TestRecordsThatNoStreamHasBreakIt(t *testing.T) {
	slowtest.SkipShort(t)
	number := func(n uint64, rest ...byte) []byte { return append(binary.BigEndian.AppendUint64(nil, n), rest...) }
	head := wire.TLV{Type: typeHead, Value: Head{Name: "file", Size: 6}.append(nil)}
	data := func(offset uint64, b string) wire.TLV {
		return wire.TLV{Type: typeData, Value: number(offset, []byte(b)...)}
	}
	end := func(n uint64) wire.TLV { return wire.TLV{Type: typeEnd, Value: number(n)} }
	one := func(tlvs ...wire.TLV) wire.Plaintext { return wire.Plaintext{TLVs: tlvs} }
	for name, messages := range map[string][]wire.Plaintext{
		"a text inside":            {one(head, data(0, "abc")), {Text: []byte("text")}},
		"a text with records":      {one(head), {Text: []byte("text"), TLVs: []wire.TLV{data(0, "abc")}}},
		"a second HEAD":            {one(head, data(0, "abc")), one(head)},
		"a second HEAD at once":    {one(head, head)},
		"a second HEAD before any": {one(head), one(head, data(0, "abc"))},
		"a HEAD behind DATA":       {one(head), one(data(0, ""), head)},
		"DATA further on":          {one(head, data(5, "abc"))},
		"DATA again":               {one(head, data(0, "abc"), data(0, "abc"))},
		"DATA behind the END":      {one(head, data(0, "abc"), end(3), data(3, "d"))},
		"an END too far":           {one(head, data(0, "abc"), end(6))},
		"an END too soon":          {one(head, data(0, "abc"), end(2))},
		"two ENDs":                 {one(head, data(0, "abc"), end(3), end(3))},
		"an END with more":         {one(head, wire.TLV{Type: typeEnd, Value: number(0, 1)})},
		"a short END":              {one(head, wire.TLV{Type: typeEnd, Value: []byte{0}})},
		"a short DATA":             {one(head, wire.TLV{Type: typeData, Value: []byte{0}})},
		"DATA beyond all numbers":  {one(head, data(math.MaxUint64, "abc"))},
		"a HEAD of version 9":      {one(wire.TLV{Type: typeHead, Value: append([]byte{9}, head.Value[1:]...)})},
		"a short HEAD":             {one(wire.TLV{Type: typeHead, Value: head.Value[:5]})},
		"a HEAD of no length":      {one(wire.TLV{Type: typeHead, Value: append([]byte{headVersion}, number(1<<63)...)})},
		"a HEAD with a bad name":   {one(wire.TLV{Type: typeHead, Value: append(head.Value[:9:9], 0xff)})},
		"the session's end inside": {one(head, data(0, "abc"), wire.TLV{Type: wire.TLVDisconnected})},
	} {
		if testing.Short() && len(name)%5 != 0 {
			continue
		}
		t.Run(name, func(t *testing.T) {
			alice, bob := newPeople(t)
			session, lines := alice.begin(bob.publish(1, For{}))
			for _, p := range messages {
				msg, err := session.engine.Seal(nil, 0, p)
				if err != nil {
					t.Fatal(err)
				}
				lines = append(wire.AppendArmor(lines, msg), '\n')
			}
			got, err := bob.read(lines)
			if !errors.Is(err, ErrBroken) {
				t.Errorf("%q, %v", got.data, err)
			}
			if s := string(got.data); s != "" && s != "abc" {
				t.Errorf("%q was handed out", s)
			}
		})
	}
}
