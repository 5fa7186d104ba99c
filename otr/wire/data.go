// Package wire encodes and decodes the bytes of OTR: its data types, the header of every
// message, the records inside a data message, the base64 armor, query messages and whitespace
// tags, and fragments. It handles no keys, and no state except the pieces of messages that
// are still arriving.
//
// It follows the sections "Unencoded messages", "Data types", "Encoded
// messages" and "Fragmentation" of the specification of OTR version 3 (and 2,
// whose messages have no instance tags), and "Data Types", "Encoded Messages",
// "Fragmentation" and "Tagged plaintext messages" of version 4.
//
// The parsers accept only canonical encodings: a binary message has one encoding, and writing
// a parsed message gives the same bytes. A message is either parsed as a whole or rejected as
// a whole. Parsers borrow from their input; they neither copy nor allocate unless their
// comment says so.
package wire

import (
	"encoding/binary"
	"errors"
)

// MaxMessage is the maximum length in bytes of one line, and of one message reassembled from
// fragments. It bounds the memory that a peer can make us use.
const MaxMessage = 1 << 20

var (
	// ErrShort reports a field that is longer than the rest of its message.
	ErrShort = errors.New("wire: message ends in mid-field")
	// ErrMPI reports a multi-precision integer with leading zero bytes.
	ErrMPI = errors.New("wire: integer is not minimally encoded")
	// ErrTrailing reports bytes after the last field of a message.
	ErrTrailing = errors.New("wire: message has bytes behind its last field")
)

// AppendShort appends a SHORT: 2 bytes, big-endian.
func AppendShort(b []byte, v uint16) []byte {
	return binary.BigEndian.AppendUint16(b, v)
}

// AppendInt appends an INT: 4 bytes, big-endian.
func AppendInt(b []byte, v uint32) []byte {
	return binary.BigEndian.AppendUint32(b, v)
}

// AppendMPI appends v, an unsigned big-endian number of any length, as an MPI:
// an INT with the length, then the number without leading zero bytes. Zero is
// an MPI of length 0.
func AppendMPI(b, v []byte) []byte {
	for len(v) > 0 && v[0] == 0 {
		v = v[1:]
	}
	return AppendData(b, v)
}

// AppendData appends a DATA: an INT with the length of v, then v.
func AppendData(b, v []byte) []byte {
	b = AppendInt(b, uint32(len(v)))
	return append(b, v...)
}

// Reader reads the fields of a binary message one after another. After the first field that
// cannot be read, its error sticks and all further reads return zero values. So a parser
// reads all of its fields and checks once, with End.
//
// A Reader borrows its input: the slices it returns are parts of it.
type Reader struct {
	b   []byte
	pos int
	err error
}

// NewReader returns a Reader of b.
func NewReader(b []byte) Reader {
	return Reader{b: b}
}

// Byte reads a BYTE.
func (r *Reader) Byte() byte {
	b := r.Take(1)
	if b == nil {
		return 0
	}
	return b[0]
}

// Short reads a SHORT: 2 bytes, big-endian.
func (r *Reader) Short() uint16 {
	b := r.Take(2)
	if b == nil {
		return 0
	}
	return binary.BigEndian.Uint16(b)
}

// Int reads an INT: 4 bytes, big-endian.
func (r *Reader) Int() uint32 {
	b := r.Take(4)
	if b == nil {
		return 0
	}
	return binary.BigEndian.Uint32(b)
}

// Long reads 8 bytes, big-endian.
func (r *Reader) Long() uint64 {
	b := r.Take(8)
	if b == nil {
		return 0
	}
	return binary.BigEndian.Uint64(b)
}

// MPI reads an MPI and returns its number, big-endian, without leading zeros; zero is empty.
// A number with leading zero bytes is rejected with ErrMPI.
func (r *Reader) MPI() []byte {
	v := r.Data()
	if len(v) > 0 && v[0] == 0 {
		r.fail(ErrMPI)
		return nil
	}
	return v
}

// Data reads a DATA.
func (r *Reader) Data() []byte {
	n := r.Int()
	if r.err != nil {
		return nil
	}
	if uint64(n) > uint64(len(r.b)-r.pos) {
		r.fail(ErrShort)
		return nil
	}
	return r.Take(int(n))
}

// Take reads n bytes. It returns nil only after an error.
func (r *Reader) Take(n int) []byte {
	if r.err != nil {
		return nil
	}
	if n < 0 || n > len(r.b)-r.pos {
		r.fail(ErrShort)
		return nil
	}
	v := r.b[r.pos : r.pos+n : r.pos+n]
	r.pos += n
	if v == nil { // nothing taken from a nil input
		v = []byte{}
	}
	return v
}

// Rest reads all remaining bytes.
func (r *Reader) Rest() []byte {
	return r.Take(len(r.b) - r.pos)
}

// Pos returns the number of bytes read so far.
func (r *Reader) Pos() int {
	return r.pos
}

// Err returns the first error, or nil.
func (r *Reader) Err() error {
	return r.err
}

// End returns the first error, ErrTrailing if bytes are left unread, or nil.
func (r *Reader) End() error {
	if r.err == nil && r.pos < len(r.b) {
		r.fail(ErrTrailing)
	}
	return r.err
}

func (r *Reader) fail(err error) {
	if r.err == nil {
		r.err = err
	}
}
