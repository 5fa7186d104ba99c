package wire

import (
	"bytes"
	"errors"
	"fmt"
)

const (
	// MinFragmentSize is the smallest line length, in bytes, for which fragments are made.
	// The longest overhead is 45 bytes, so shorter lines would carry little else.
	MinFragmentSize = 64
	// MaxPieces is the maximum number of pieces of a message: their numbers are unsigned
	// shorts.
	MaxPieces = 1<<16 - 1
)

var (
	// ErrFragment reports a line that begins like a fragment but is not a valid one.
	ErrFragment = errors.New("wire: damaged fragment")
	// ErrFragmentSize reports a line length below MinFragmentSize.
	ErrFragmentSize = errors.New("wire: line length is too small for fragments")
	// ErrTooManyPieces reports a message that would need more than MaxPieces.
	ErrTooManyPieces = errors.New("wire: message would need more than 65535 fragments")
)

// Fragment is one piece of a message: number K of N, counted from 1.
type Fragment struct {
	// Version is the format of the fragment: 2 has no tags, 3 has Sender and Receiver, and 4
	// also has ID, which identifies the message. It is not the version of the message: a
	// version 3 message may come in format 2.
	Version              int
	ID, Sender, Receiver uint32
	K, N                 uint16
	Piece                []byte
}

// ParseFragment parses the fragment in line, with or without text around it:
//
//	?OTR,k,n,piece,                          format 2
//	?OTR|sender|receiver,k,n,piece,          format 3
//	?OTR|id|sender|receiver,k,n,piece,       format 4
//
// Identifier and tags are hexadecimal with up to eight digits; k and n are decimal with up to
// five. Leading zeros are optional. It rejects an empty piece and inconsistent numbers
// (ErrFragment), and invalid tags (ErrInstanceTag): a sender below MinInstanceTag, and a
// receiver other than 0 below MinInstanceTag. Piece borrows from line.
func ParseFragment(line []byte) (Fragment, error) {
	kind, at := find(line)
	if kind != KindFragment {
		return Fragment{}, ErrFragment
	}
	s := scanner{rest: line[at+len(marker):]}
	f := Fragment{Version: 2}
	if s.rest[0] == '|' {
		f.Version = 3
		s.expect('|')
		f.Sender = s.number(16, tagDigitsMax)
		s.expect('|')
		f.Receiver = s.number(16, tagDigitsMax)
		if s.at('|') {
			f.Version = 4
			s.expect('|')
			f.ID, f.Sender, f.Receiver = f.Sender, f.Receiver, s.number(16, tagDigitsMax)
		}
	}
	s.expect(',')
	k := s.number(10, indexDigitsMax)
	s.expect(',')
	n := s.number(10, indexDigitsMax)
	s.expect(',')
	f.Piece = s.until(',')
	if s.bad || k == 0 || k > n || n > MaxPieces || len(f.Piece) == 0 {
		return Fragment{}, ErrFragment
	}
	f.K, f.N = uint16(k), uint16(n)
	if f.Version != 2 {
		if err := checkTags(f.Sender, f.Receiver); err != nil {
			return Fragment{}, err
		}
	}
	return f, nil
}

// FragmentOverhead returns the number of bytes of a fragment of the given format (2, 3 or 4)
// without its piece.
func FragmentOverhead(format int) int {
	switch format {
	case 2:
		return len("?OTR,00001,00001,,")
	case 3:
		return len("?OTR|00000100|00000100,00001,00001,,")
	default:
		return len("?OTR|00000000|00000100|00000100,00001,00001,,")
	}
}

// AppendFragments appends msg, an encoded message, as lines of at most max bytes, each
// followed by a LF that does not count. A message that fits is written as one line, and so is
// every message if max is 0. Otherwise it is split into fragments of the given format (2, 3
// or 4). Tags and identifier, where the format has them, are written with eight digits, and
// numbers with five. No piece is empty.
//
// It rejects a max below MinFragmentSize with ErrFragmentSize, and a message of more than
// MaxPieces pieces with ErrTooManyPieces. dst is then returned unchanged. msg and dst must
// not overlap.
func AppendFragments(dst []byte, format int, id, sender, receiver uint32, msg []byte, max int) ([]byte, error) {
	if max != 0 && max < MinFragmentSize {
		return dst, fmt.Errorf("%w: %d, and at least %d is needed", ErrFragmentSize, max, MinFragmentSize)
	}
	if max == 0 || len(msg) <= max {
		dst = append(dst, msg...)
		return append(dst, '\n'), nil
	}
	size := max - FragmentOverhead(format)
	n := (len(msg) + size - 1) / size
	if n > MaxPieces {
		return dst, ErrTooManyPieces
	}
	for k := 1; k <= n; k++ {
		piece := msg[:min(size, len(msg))]
		msg = msg[len(piece):]
		f := Fragment{Version: format, ID: id, Sender: sender, Receiver: receiver, K: uint16(k), N: uint16(n), Piece: piece}
		dst = append(f.Append(dst), '\n')
	}
	return dst, nil
}

// Append appends the fragment, without a line end.
func (f Fragment) Append(b []byte) []byte {
	b = append(b, marker...)
	switch f.Version {
	case 2:
	case 3:
		b = appendTag(append(b, '|'), f.Sender)
		b = appendTag(append(b, '|'), f.Receiver)
	default:
		b = appendTag(append(b, '|'), f.ID)
		b = appendTag(append(b, '|'), f.Sender)
		b = appendTag(append(b, '|'), f.Receiver)
	}
	b = appendIndex(append(b, ','), f.K)
	b = appendIndex(append(b, ','), f.N)
	b = append(b, ',')
	b = append(b, f.Piece...)
	return append(b, ',')
}

const (
	tagDigitsMax   = 8 // a 32-bit number in hexadecimal
	indexDigitsMax = 5 // 65535
)

// appendTag appends v in the format %08x.
func appendTag(b []byte, v uint32) []byte {
	for shift := 28; shift >= 0; shift -= 4 {
		b = append(b, "0123456789abcdef"[v>>shift&15])
	}
	return b
}

// appendIndex appends v in the format %05d.
func appendIndex(b []byte, v uint16) []byte {
	for div := uint16(10000); div > 0; div /= 10 {
		b = append(b, '0'+byte(v/div%10))
	}
	return b
}

// scanner reads the fields of a fragment. Once it meets unexpected input, it becomes bad and
// stays bad.
type scanner struct {
	rest []byte
	bad  bool
}

func (s *scanner) at(c byte) bool {
	return len(s.rest) > 0 && s.rest[0] == c
}

func (s *scanner) expect(c byte) {
	if !s.at(c) {
		s.bad = true
		return
	}
	s.rest = s.rest[1:]
}

// number reads a number of 1 to max digits.
func (s *scanner) number(base, max int) uint32 {
	var v uint32
	n := 0
	for ; n < len(s.rest); n++ {
		d := hexDigit(s.rest[n])
		if d < 0 || d >= base {
			break
		}
		if n == max {
			s.bad = true
			return 0
		}
		v = v*uint32(base) + uint32(d)
	}
	if n == 0 {
		s.bad = true
	}
	s.rest = s.rest[n:]
	return v
}

// until reads up to and including the next c, and returns the bytes before it.
func (s *scanner) until(c byte) []byte {
	n := bytes.IndexByte(s.rest, c)
	if n < 0 {
		s.bad = true
		return nil
	}
	v := s.rest[:n:n]
	s.rest = s.rest[n+1:]
	return v
}
