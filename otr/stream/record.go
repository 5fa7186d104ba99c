package stream

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"strings"
	"unicode/utf8"

	"otrpipe/otr/wire"
)

// The TLV types of the records. The specifications leave the high types to private use.
const (
	typeHello = 0x6F01
	typeData  = 0x6F02
	typeAck   = 0x6F03
	typeEnd   = 0x6F04
	typeAbort = 0x6F05
	typeStop  = 0x6F06
)

const (
	recordVersion = 2
	offsetLen     = 8
	helloLen      = 1 + len(streamID{}) + 8 + 1

	// maxData is how many bytes one DATA record holds: the longest TLV value, less the
	// offset.
	maxData = wire.MaxTLVValue - offsetLen

	// maxReason bounds the length of a reason that is sent to the peer or shown to a person,
	// in bytes.
	maxReason = 1024
)

// A streamID names one end's stream for its whole life.
type streamID [16]byte

// A record is one parsed TLV of a Stream.
type record struct {
	kind   uint16
	offset int64         // DATA, ACK, END
	data   []byte        // DATA; borrowed
	id     streamID      // HELLO
	window int64         // HELLO
	offer  wire.Versions // HELLO: what its sender offered
	reason string        // ABORT, STOP
}

// errRecord means that a record is malformed.
var errRecord = errors.New("malformed record")

// parseRecord parses the record in t; known is false if t is not a record. Offsets and
// windows of 2^63 or more are rejected: no stream is that long.
func parseRecord(t wire.TLV) (r record, known bool, err error) {
	r.kind = t.Type
	v := t.Value
	switch t.Type {
	case typeHello:
		if len(v) > 0 && v[0] != recordVersion {
			return r, true, fmt.Errorf("%w: HELLO of version %d", errRecord, v[0])
		}
		if len(v) != helloLen {
			return r, true, badLength("HELLO", v)
		}
		copy(r.id[:], v[1:])
		r.window, err = parseOffset(v[1+len(r.id) : helloLen-1])
		r.offer = wire.Versions(v[helloLen-1])
	case typeData:
		if len(v) < offsetLen {
			return r, true, badLength("DATA", v)
		}
		r.offset, err = parseOffset(v[:offsetLen])
		r.data = v[offsetLen:]
	case typeAck, typeEnd:
		if len(v) != offsetLen {
			return r, true, badLength("ACK or END", v)
		}
		r.offset, err = parseOffset(v)
	case typeAbort, typeStop:
		if !utf8.Valid(v) {
			return r, true, fmt.Errorf("%w: the reason is not UTF-8", errRecord)
		}
		r.reason = clip(string(v[:min(len(v), maxReason)]))
	default:
		return r, false, nil
	}
	return r, true, err
}

func badLength(name string, v []byte) error {
	return fmt.Errorf("%w: %s of %d bytes", errRecord, name, len(v))
}

// checkEmpty returns an error if a record without a value has one.
func checkEmpty(t wire.TLV) error {
	if len(t.Value) > 0 {
		return badLength(fmt.Sprintf("the record %#x, which has no value,", t.Type), t.Value)
	}
	return nil
}

func parseOffset(v []byte) (int64, error) {
	offset := binary.BigEndian.Uint64(v)
	if offset > math.MaxInt64 {
		return 0, fmt.Errorf("%w: offset %d", errRecord, offset)
	}
	return int64(offset), nil
}

// clip drops an incomplete character that cutting may have left at the end.
func clip(s string) string { return strings.ToValidUTF8(s, "") }

// appendHello appends a HELLO's value; bit v of offer stands for version v.
func appendHello(b []byte, id streamID, window int64, offer byte) []byte {
	b = append(b, recordVersion)
	b = append(b, id[:]...)
	b = binary.BigEndian.AppendUint64(b, uint64(window))
	return append(b, offer)
}

func appendOffset(b []byte, offset int64) []byte {
	return binary.BigEndian.AppendUint64(b, uint64(offset))
}

// reasonValue returns the value of an ABORT or STOP.
func reasonValue(reason string) []byte {
	reason = clip(reason)
	return []byte(clip(reason[:min(len(reason), maxReason)]))
}
