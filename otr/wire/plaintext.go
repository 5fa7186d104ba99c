package wire

import (
	"bytes"
	"errors"
)

// Types of the TLV records of version 3. Version 2 has the same ones up to
// TLVSMPAbort, and its clients use TLVSMP1Q too. Version 4 has no TLVSMP1Q; its
// extra key has that number.
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
	// MaxTLVValue is the most bytes the value of one record can have: its length
	// is a SHORT.
	MaxTLVValue = 1<<16 - 1
	// MaxTLVs is the most records one data message may carry. A message of
	// MaxMessage bytes needs no more than a dozen to be filled; without a bound
	// it could name a quarter of a million empty ones.
	MaxTLVs = 256
)

// ErrTLV reports a data message whose records are cut short, or too many.
var ErrTLV = errors.New("wire: damaged TLV records")

// TLV is one record behind the text of a data message: a type and its value of
// at most MaxTLVValue bytes.
type TLV struct {
	Type  uint16
	Value []byte
}

// AppendTLV appends the record t: type (SHORT), length (SHORT), value. It
// panics if the value is longer than MaxTLVValue, which only a caller can cause.
func AppendTLV(b []byte, t TLV) []byte {
	if len(t.Value) > MaxTLVValue {
		panic("wire: TLV value is longer than 65535 bytes")
	}
	b = AppendShort(b, t.Type)
	b = AppendShort(b, uint16(len(t.Value)))
	return append(b, t.Value...)
}

// Plaintext is what a data message carries encrypted: a text, and the TLV
// records behind it. TLVs is nil where nothing follows the text, not even the
// NUL byte that separates the two; an empty slice stands for a NUL with no
// record behind it, which means the same and is what some clients send.
type Plaintext struct {
	Text []byte
	TLVs []TLV
}

// AppendPlaintext appends the text and, unless TLVs is nil, a NUL byte and the
// records. The text must hold no NUL byte.
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

// tlvHeaderLen is how many bytes precede a record's value: its type and length.
const tlvHeaderLen = 4

// PlaintextLen returns how many bytes AppendPlaintext appends.
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

// ParsePlaintext parses a decrypted data message. Text and values borrow from
// b; the records are appended to tlvs[:0], so a caller that keeps the slice
// lets nothing be allocated. Records that are cut short, or more than MaxTLVs,
// refuse the whole with ErrTLV.
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
