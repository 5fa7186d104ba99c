package offline

import (
	"encoding/binary"
	"fmt"
	"math"
	"unicode/utf8"

	"otrpipe/otr/wire"
)

// The types of the records' TLVs. DATA and END are those of package stream.
const (
	typeData = 0x6F02
	typeEnd  = 0x6F04
	typeHead = 0x6F10
)

const (
	headVersion = 1
	offsetLen   = 8
	maxName     = 1024
	unknownSize = math.MaxUint64

	// PieceLen is the maximum number of bytes of a stream in one message, and so of bytes
	// that one key opens: 48 KiB, which makes a line of slightly more than 64 KiB.
	PieceLen = 48 << 10
	// MaxText is the length of the longest text in bytes. Its line stays below the limit for
	// lines.
	MaxText = 512 << 10
)

// A Head describes a stream.
type Head struct {
	Name string // the file's name, UTF-8 of at most 1024 bytes; may be empty
	Size int64  // the length that its sender expected; -1: unknown
}

// check returns an error for a Head that cannot be sent.
func (h Head) check() error {
	if len(h.Name) > maxName || !utf8.ValidString(h.Name) {
		return fmt.Errorf("%w: the file name has more than %d bytes or is not UTF-8", ErrTooLong, maxName)
	}
	return nil
}

func (h Head) append(b []byte) []byte {
	size := uint64(unknownSize)
	if h.Size >= 0 {
		size = uint64(h.Size)
	}
	b = binary.BigEndian.AppendUint64(append(b, headVersion), size)
	return append(b, h.Name...)
}

func parseHead(v []byte) (Head, error) {
	if len(v) > 0 && v[0] != headVersion {
		return Head{}, fmt.Errorf("%w: HEAD of version %d", ErrBroken, v[0])
	}
	if len(v) < 1+8 || len(v) > 1+8+maxName || !utf8.Valid(v[9:]) {
		return Head{}, fmt.Errorf("%w: malformed HEAD", ErrBroken)
	}
	h := Head{Name: string(v[9:]), Size: -1}
	if size := binary.BigEndian.Uint64(v[1:9]); size <= math.MaxInt64 {
		h.Size = int64(size)
	} else if size != unknownSize {
		return Head{}, fmt.Errorf("%w: HEAD of %d bytes", ErrBroken, size)
	}
	return h, nil
}

func parseOffset(v []byte) (int64, error) {
	if len(v) < offsetLen {
		return 0, fmt.Errorf("%w: malformed record", ErrBroken)
	}
	offset := binary.BigEndian.Uint64(v)
	if offset > math.MaxInt64 {
		return 0, fmt.Errorf("%w: offset %d", ErrBroken, offset)
	}
	return int64(offset), nil
}

func endRecord(total int64) wire.TLV {
	return wire.TLV{Type: typeEnd, Value: binary.BigEndian.AppendUint64(nil, uint64(total))}
}
