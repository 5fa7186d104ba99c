package stream

import (
	"bytes"
	"strings"
	"testing"
	"unicode/utf8"

	"otrpipe/otr/wire"
)

func TestRecordsSurviveTheWire(t *testing.T) {
	id := streamID{1, 2, 3, 15: 16}
	for _, test := range []struct {
		value []byte
		want  record
	}{
		{appendHello(nil, id, 1<<40, 0x1C), record{kind: typeHello, id: id, window: 1 << 40, offer: 0x1C}},
		{append(appendOffset(nil, 77), "bytes"...), record{kind: typeData, offset: 77, data: []byte("bytes")}},
		{appendOffset(nil, 77), record{kind: typeData, offset: 77}},
		{appendOffset(nil, 1<<63-1), record{kind: typeAck, offset: 1<<63 - 1}},
		{appendOffset(nil, 0), record{kind: typeEnd}},
		{reasonValue("grüße"), record{kind: typeAbort, reason: "grüße"}},
		{reasonValue(""), record{kind: typeStop}},
	} {
		r, known, err := parseRecord(wire.TLV{Type: test.want.kind, Value: test.value})
		if err != nil || !known || r.kind != test.want.kind || r.offset != test.want.offset || !bytes.Equal(r.data, test.want.data) ||
			r.id != test.want.id || r.window != test.want.window || r.offer != test.want.offer || r.reason != test.want.reason {
			t.Errorf("%x: %+v, %v, %v", test.value, r, known, err)
		}
	}
}

func TestARecordThatIsNotOfItsFormIsRefused(t *testing.T) {
	hello := appendHello(nil, streamID{}, 1, 8)
	other := bytes.Clone(hello)
	other[0] = 1
	negative := bytes.Clone(hello)
	negative[17] = 0x80
	for _, test := range []wire.TLV{
		{Type: typeHello},
		{Type: typeHello, Value: hello[:25]},
		{Type: typeHello, Value: append(hello[:26:26], 0)},
		{Type: typeHello, Value: other},
		{Type: typeHello, Value: negative},
		{Type: typeData, Value: make([]byte, 7)},
		{Type: typeData, Value: []byte{0x80, 0, 0, 0, 0, 0, 0, 0, 'x'}},
		{Type: typeAck, Value: make([]byte, 7)},
		{Type: typeAck, Value: make([]byte, 9)},
		{Type: typeAck, Value: []byte{0xff, 0, 0, 0, 0, 0, 0, 0}},
		{Type: typeEnd},
		{Type: typeEnd, Value: make([]byte, 9)},
		{Type: typeAbort, Value: []byte{0xff}},
		{Type: typeStop, Value: []byte("ok\xc3")},
	} {
		if r, known, err := parseRecord(test); err == nil || !known {
			t.Errorf("%04x %x was taken for %+v", test.Type, test.Value, r)
		}
	}
}

func TestOtherTLVsAreNoRecords(t *testing.T) {
	for _, kind := range []uint16{0, 1, 8, 9, 0x6F00, 0x6F07, 0xffff} {
		if _, known, err := parseRecord(wire.TLV{Type: kind, Value: []byte("x")}); known || err != nil {
			t.Errorf("%04x: %v, %v", kind, known, err)
		}
	}
}

func TestALongReasonIsCutBetweenCharacters(t *testing.T) {
	long := strings.Repeat("ä", 2000) + "\xff"
	v := reasonValue("x" + long)
	if len(v) != maxReason-1 || !utf8.Valid(v) {
		t.Errorf("%d bytes", len(v))
	}
	r, _, err := parseRecord(wire.TLV{Type: typeAbort, Value: []byte("x" + strings.Repeat("ä", 2000))})
	if err != nil || r.reason != string(v) {
		t.Errorf("%q, %v", r.reason, err)
	}
}

func FuzzRecord(f *testing.F) {
	f.Add(uint16(typeHello), appendHello(nil, streamID{1}, 99, 0x18))
	f.Add(uint16(typeData), append(appendOffset(nil, 5), "data"...))
	f.Add(uint16(typeAck), appendOffset(nil, 5))
	f.Add(uint16(typeEnd), appendOffset(nil, 5))
	f.Add(uint16(typeAbort), []byte("reason"))
	f.Add(uint16(typeStop), []byte("\xff"))
	f.Fuzz(func(t *testing.T, kind uint16, value []byte) {
		r, known, err := parseRecord(wire.TLV{Type: kind, Value: value})
		if !known || err != nil {
			return
		}
		var back []byte
		switch kind {
		case typeHello:
			back = appendHello(nil, r.id, r.window, byte(r.offer))
		case typeData:
			back = append(appendOffset(nil, r.offset), r.data...)
		case typeAck, typeEnd:
			back = appendOffset(nil, r.offset)
		case typeAbort, typeStop:
			if len(value) > maxReason {
				return
			}
			back = reasonValue(r.reason)
		}
		if !bytes.Equal(back, value) {
			t.Errorf("%x became %x", value, back)
		}
	})
}
