package wire

import (
	"bytes"
	"errors"
	"testing"
)

func TestFieldsAreWrittenAndReadAsTheSpecificationSays(t *testing.T) {
	b := AppendShort(nil, 0x0102)
	b = AppendInt(b, 0x03040506)
	b = AppendMPI(b, []byte{0, 0, 0x80, 0})
	b = AppendMPI(b, []byte{0, 0})
	b = AppendData(b, []byte("\x00data"))
	b = append(b, 0x2a, 1, 2, 3, 4, 5, 6, 7, 8, 'm', 'a', 'c', 'x')
	want := "\x01\x02" + "\x03\x04\x05\x06" + "\x00\x00\x00\x02\x80\x00" + "\x00\x00\x00\x00" + "\x00\x00\x00\x05\x00data" + "\x2a\x01\x02\x03\x04\x05\x06\x07\x08macx"
	if string(b) != want {
		t.Fatalf("%q, want %q", b, want)
	}
	r := NewReader(b)
	if v := r.Short(); v != 0x0102 {
		t.Errorf("SHORT %#x", v)
	}
	if v := r.Int(); v != 0x03040506 {
		t.Errorf("INT %#x", v)
	}
	if v := r.MPI(); string(v) != "\x80\x00" {
		t.Errorf("MPI %x", v)
	}
	if v := r.MPI(); v == nil || len(v) != 0 {
		t.Errorf("MPI of zero %#v", v)
	}
	if v := r.Data(); string(v) != "\x00data" {
		t.Errorf("DATA %q", v)
	}
	if v := r.Byte(); v != 0x2a {
		t.Errorf("BYTE %#x", v)
	}
	if v := r.Long(); v != 0x0102030405060708 {
		t.Errorf("8 bytes %#x", v)
	}
	if v := r.Take(3); string(v) != "mac" || r.Pos() != len(b)-1 {
		t.Errorf("%q up to %d", v, r.Pos())
	}
	if err := r.Err(); err != nil {
		t.Error(err)
	}
	if v := r.Rest(); string(v) != "x" {
		t.Errorf("the rest is %q", v)
	}
	if err := r.End(); err != nil {
		t.Error(err)
	}
}

func TestEveryCutOfAMessageIsRefused(t *testing.T) {
	b := AppendShort(nil, 1)
	b = AppendInt(b, 2)
	b = AppendData(b, []byte("data"))
	b = AppendMPI(b, []byte{3})
	b = append(b, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11)
	for n := range b {
		r := NewReader(b[:n:n])
		r.Short()
		r.Int()
		r.Data()
		r.MPI()
		r.Long()
		r.Byte()
		r.Take(2)
		if err := r.End(); !errors.Is(err, ErrShort) {
			t.Errorf("%d of %d bytes: %v", n, len(b), err)
		}
	}
}

func TestANumberWithLeadingZerosIsRefused(t *testing.T) {
	for _, b := range []string{"\x00\x00\x00\x01\x00", "\x00\x00\x00\x02\x00\x01"} {
		r := NewReader([]byte(b))
		if v := r.MPI(); v != nil || !errors.Is(r.End(), ErrMPI) {
			t.Errorf("%x: %x, %v", b, v, r.Err())
		}
	}
}

func TestBytesBehindTheLastFieldAreRefused(t *testing.T) {
	r := NewReader([]byte{1, 2})
	r.Byte()
	if err := r.End(); !errors.Is(err, ErrTrailing) {
		t.Error(err)
	}
}

func TestTheFirstErrorSticks(t *testing.T) {
	r := NewReader([]byte{0, 0, 0, 1, 0, 5, 5, 5, 5, 5, 5, 5, 5})
	r.MPI()
	if r.Byte() != 0 || r.Short() != 0 || r.Int() != 0 || r.Long() != 0 || r.Take(0) != nil || r.Data() != nil || r.Rest() != nil {
		t.Error("something was read after an error")
	}
	if err := r.End(); !errors.Is(err, ErrMPI) {
		t.Error(err)
	}
	r = NewReader([]byte{1})
	if r.Take(-1) != nil || !errors.Is(r.End(), ErrShort) {
		t.Errorf("a negative length: %v", r.Err())
	}
}

func TestALengthNearTheEndOfTheNumbersIsRefused(t *testing.T) {
	for _, b := range []string{"\xff\xff\xff\xff", "\xff\xff\xff\xffabc", "\x7f\xff\xff\xffabc", "\x80\x00\x00\x00abc"} {
		r := NewReader([]byte(b))
		if v := r.Data(); v != nil || !errors.Is(r.End(), ErrShort) {
			t.Errorf("%x: %x, %v", b, v, r.Err())
		}
	}
}

func TestWhatIsReadCannotBeGrownIntoWhatFollows(t *testing.T) {
	b := AppendData(nil, []byte("one"))
	b = AppendData(b, []byte("two"))
	want := bytes.Clone(b)
	r := NewReader(b)
	_ = append(r.Data(), "overwritten"...)
	if !bytes.Equal(b, want) {
		t.Errorf("%q", b)
	}
}

// FuzzReader reads the input as the fields that ops names and writes them
// again: it must give the bytes that were read.
func FuzzReader(f *testing.F) {
	f.Add([]byte("dmbsil3"), []byte("\x00\x00\x00\x01d\x00\x00\x00\x01mb\x00\x01\x00\x00\x00\x02\x00\x00\x00\x00\x00\x00\x00\x03xyz"))
	f.Fuzz(func(t *testing.T, ops, b []byte) {
		r := NewReader(b)
		var out []byte
		for _, op := range ops {
			if r.Err() != nil {
				break
			}
			before := len(out)
			switch op {
			case 'd':
				out = AppendData(out, r.Data())
			case 'm':
				out = AppendMPI(out, r.MPI())
			case 'b':
				out = append(out, r.Byte())
			case 's':
				out = AppendShort(out, r.Short())
			case 'i':
				out = AppendInt(out, r.Int())
			case 'l':
				v := r.Long()
				out = AppendInt(out, uint32(v>>32))
				out = AppendInt(out, uint32(v))
			default:
				out = append(out, r.Take(int(op)%32)...)
			}
			if r.Err() != nil {
				out = out[:before]
			}
		}
		if r.Err() == nil && (r.Pos() != len(out) || !bytes.Equal(out, b[:r.Pos()])) {
			t.Errorf("read %x, wrote %x", b[:r.Pos()], out)
		}
		if r.Err() == nil && (r.End() == nil) != (len(out) == len(b)) {
			t.Errorf("%d of %d bytes read: %v", len(out), len(b), r.End())
		}
	})
}
