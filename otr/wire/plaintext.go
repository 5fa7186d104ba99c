package wire

import (
	"bytes"
	"errors"
)

// The types of version 3's TLV records. Version 2 has the same types up to TLVSMPAbort, and
// its clients use TLVSMP1Q too. Version 4 has no TLVSMP1Q and uses that number for its extra
// key.
const (
	TLVPadding      = 0
	TLVDisconnected = 1
	TLVSMP1         = 2
	TLVSMP2         = 3
	TLVSMP3         = 4
	TLVSMP4         = 5
	TLVSMPAbort     = 6
	TLVSMP1Q        = 7
	TLVExtraKey     = 8
)

const (
	// MaxTLVValue is the maximum length of a record's value in bytes: the length field is a
	// SHORT.
	MaxTLVValue = 1<<16 - 1
	// MaxTLVs is the maximum number of records in one data message. A dozen records can fill
	// a message of MaxMessage bytes; without a limit it could contain a quarter of a million
	// empty ones.
	MaxTLVs = 256
)

// ErrTLV reports a data message with a truncated record, or with too many records.
var ErrTLV = errors.New("wire: damaged TLV records")

// TLV is one record after the text of a data message: a type, and a value of at most
// MaxTLVValue bytes.
type TLV struct {
	Type  uint16
	Value []byte
}

// AppendTLV appends the record t: type (SHORT), length (SHORT), value. It panics if the value
// is longer than MaxTLVValue, which is a mistake of the caller.
func AppendTLV(b []byte, t TLV) []byte {
	if len(t.Value) > MaxTLVValue {
		panic("wire: TLV value is longer than 65535 bytes")
	}
	b = AppendShort(b, t.Type)
	b = AppendShort(b, uint16(len(t.Value)))
	return append(b, t.Value...)
}

// Plaintext is the decrypted content of a data message: a text, and the TLV records after it.
// TLVs is nil if nothing follows the text, not even the NUL byte that separates the two. An
// empty slice stands for a NUL without a record after it, which means the same and is sent by
// some clients.
type Plaintext struct {
	Text []byte
	TLVs []TLV
}

// AppendPlaintext appends the text and, unless TLVs is nil, a NUL byte and the records. The
// text must not contain a NUL byte.
func AppendPlaintext(b []byte, p Plaintext) []byte {
	b = append(b, p.Text...)
	if p.TLVs == nil {
		return b
	}
	b = append(b, 0)
	for _, t := range p.TLVs {
		b = AppendTLV(b, t)
	}
	return b
}

// tlvHeaderLen is the length in bytes of a record's type and length fields.
const tlvHeaderLen = 4

// PlaintextLen returns the number of bytes that AppendPlaintext appends.
func PlaintextLen(p Plaintext) int {
	n := len(p.Text)
	if p.TLVs != nil {
		n++
	}
	for _, t := range p.TLVs {
		n += tlvHeaderLen + len(t.Value)
	}
	return n
}

// ParsePlaintext parses a decrypted data message. Text and values borrow from b. The records
// are appended to tlvs[:0], so a caller that reuses the slice avoids allocations. If a record
// is truncated, or there are more than MaxTLVs, the whole message is rejected with ErrTLV.
func ParsePlaintext(tlvs []TLV, b []byte) (Plaintext, error) {
	nul := bytes.IndexByte(b, 0)
	if nul < 0 {
		return Plaintext{Text: b}, nil
	}
	if tlvs = tlvs[:0]; tlvs == nil {
		tlvs = []TLV{}
	}
	r := NewReader(b[nul+1:])
	for r.Pos() < len(b)-nul-1 {
		t := TLV{Type: r.Short()}
		t.Value = r.Take(int(r.Short()))
		if r.Err() != nil || len(tlvs) == MaxTLVs {
			return Plaintext{}, ErrTLV
		}
		tlvs = append(tlvs, t)
	}
	return Plaintext{Text: b[:nul:nul], TLVs: tlvs}, nil
}
