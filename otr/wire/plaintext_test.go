package wire

import (
	"bytes"
	"errors"
	"reflect"
	"strings"
	"testing"
)

func TestPlaintextsAreWrittenAndReadBack(t *testing.T) {
	for _, test := range []struct {
		p    Plaintext
		want string
	}{
		{Plaintext{Text: []byte{}}, ""},
		{Plaintext{Text: []byte("hello")}, "hello"},
		{Plaintext{Text: []byte("hello"), TLVs: []TLV{}}, "hello\x00"},
		{Plaintext{Text: []byte{}, TLVs: []TLV{{TLVDisconnected, []byte{}}}}, "\x00\x00\x01\x00\x00"},
		{Plaintext{Text: []byte("a"), TLVs: []TLV{{TLVPadding, []byte("hello")}, {0x6f02, []byte{0}}}}, "a\x00\x00\x00\x00\x05hello\x6f\x02\x00\x01\x00"},
	} {
		if got := AppendPlaintext(nil, test.p); string(got) != test.want {
			t.Errorf("%v: %q, want %q", test.p, got, test.want)
		}
		got, err := ParsePlaintext(nil, []byte(test.want))
		if err != nil || !reflect.DeepEqual(got, test.p) {
			t.Errorf("%q: %#v, %v, want %#v", test.want, got, err, test.p)
		}
	}
}

func TestADamagedRecordRefusesTheWholeMessage(t *testing.T) {
	whole := "text\x00\x00\x01\x00\x00\x00\x02\x00\x03abc"
	for n := len("text\x00") + 1; n < len(whole); n++ {
		if n == len("text\x00")+4 { // the first record ends here
			continue
		}
		if p, err := ParsePlaintext(nil, []byte(whole[:n])); !errors.Is(err, ErrTLV) || p.Text != nil || p.TLVs != nil {
			t.Errorf("%q: %v, %v", whole[:n], p, err)
		}
	}
}

func TestTheNumberOfRecordsIsBounded(t *testing.T) {
	record := "\x00\x00\x00\x00"
	p, err := ParsePlaintext(nil, []byte("\x00"+strings.Repeat(record, MaxTLVs)))
	if err != nil || len(p.TLVs) != MaxTLVs {
		t.Errorf("%d records, %v", len(p.TLVs), err)
	}
	if _, err := ParsePlaintext(nil, []byte("\x00"+strings.Repeat(record, MaxTLVs+1))); !errors.Is(err, ErrTLV) {
		t.Errorf("one more: %v", err)
	}
}

func TestALongRecordIsWrittenOrPanicsButIsNeverCut(t *testing.T) {
	b := AppendTLV(nil, TLV{1, make([]byte, MaxTLVValue)})
	if len(b) != 4+MaxTLVValue || b[2] != 0xff || b[3] != 0xff {
		t.Errorf("%d bytes, %x", len(b), b[:4])
	}
	defer func() {
		if recover() == nil {
			t.Error("a record of 65536 bytes was written")
		}
	}()
	AppendTLV(nil, TLV{1, make([]byte, MaxTLVValue+1)})
}

func TestParsingAPlaintextAllocatesNothingWhereThereIsRoom(t *testing.T) {
	b := []byte("text\x00\x00\x01\x00\x00\x00\x02\x00\x03abc")
	tlvs := make([]TLV, 0, 4)
	if n := testing.AllocsPerRun(100, func() {
		if _, err := ParsePlaintext(tlvs, b); err != nil {
			t.Error(err)
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func FuzzPlaintext(f *testing.F) {
	f.Add([]byte("text\x00\x00\x01\x00\x00\x00\x02\x00\x03abc"))
	f.Add([]byte("text"))
	f.Add([]byte("\x00"))
	f.Fuzz(func(t *testing.T, b []byte) {
		p, err := ParsePlaintext(nil, b)
		if err != nil {
			return
		}
		if got := AppendPlaintext(nil, p); !bytes.Equal(got, b) {
			t.Errorf("read %q, wrote %q", b, got)
		}
	})
}

func TestPlaintextLenIsWhatIsAppended(t *testing.T) {
	for _, p := range []Plaintext{
		{},
		{Text: []byte("text")},
		{TLVs: []TLV{}},
		{Text: []byte("text"), TLVs: []TLV{{Type: 1}, {Type: 2, Value: []byte("value")}}},
		{TLVs: []TLV{{Type: 3, Value: make([]byte, MaxTLVValue)}}},
	} {
		if got, want := PlaintextLen(p), len(AppendPlaintext(nil, p)); got != want {
			t.Errorf("%q with %d records: %d bytes, want %d", p.Text, len(p.TLVs), got, want)
		}
	}
}
