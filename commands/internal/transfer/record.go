package transfer

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"time"
	"unicode/utf8"

	"golang.org/x/crypto/cryptobyte"
)

const (
	// version is the version of the records.
	version = 1
	// headerLen is the length of a record's type and length.
	headerLen = 5
	// maxRecord bounds a record's value, in bytes. An offer of maxItems long names fits.
	maxRecord = 1 << 19
	// dataLen is the maximum number of bytes in one DATA: as many as the session moves at once.
	dataLen = 256 << 10
	// maxItems bounds an offer. More files than fit on a command line are better sent in a
	// folder.
	maxItems = 1000
	// maxReason bounds a reason, in bytes, because it is shown to a person.
	maxReason = 1000
	// unknownSize is the size of an item that is read to its end.
	unknownSize = math.MaxUint64
)

// ErrRecord says that the other end sent an invalid record, or one that is not allowed at that
// point.
var ErrRecord = errors.New("transfer: not understood")

// A recordType is the type of a record.
type recordType uint8

const (
	recordHello recordType = iota + 1
	recordOffer
	recordAccept
	recordHave
	recordStart
	recordData
	recordSum
	recordStored
	recordFail
)

var recordNames = [...]string{"", "HELLO", "OFFER", "ACCEPT", "HAVE", "START", "DATA", "SUM", "STORED", "FAIL"}

func (t recordType) String() string {
	if t == 0 || int(t) >= len(recordNames) {
		return fmt.Sprintf("type %d", uint8(t))
	}
	return recordNames[t]
}

// A role is an end's role in a transfer.
type role uint8

const (
	roleSender role = iota + 1
	roleReceiver
)

func (r role) String() string {
	if r == roleSender {
		return "sender"
	}
	return "receiver"
}

func (r role) valid() bool { return r == roleSender || r == roleReceiver }

// A kind is the kind of an item.
type kind uint8

const (
	kindFile   kind = iota + 1
	kindStream      // a file whose size is not known in advance
	kindFolder      // a folder, sent as a tar archive
)

func (k kind) String() string {
	return [...]string{"", "file", "stream", "folder"}[k]
}

// A described item is the description of an item in an offer.
type described struct {
	kind       kind
	executable bool // of a file
	name       string
	size       int64     // in bytes; for a folder, the size of its archive; -1: unknown
	modified   time.Time // of a file, to the second
}

// A sum is a SHA-256 checksum.
type sum [sha256.Size]byte

// A record is a parsed record: its type and the fields of that type.
type record struct {
	kind   recordType
	role   role        // HELLO
	items  []described // OFFER
	offset int64       // HAVE, START
	sum    sum         // HAVE, SUM
	data   []byte      // DATA: valid until the next record is read
	reason string      // FAIL
}

// appendRecord appends the wire form of r.
func appendRecord(b []byte, r *record) []byte {
	start := len(b)
	b = append(b, byte(r.kind), 0, 0, 0, 0)
	switch r.kind {
	case recordHello:
		b = append(b, version, byte(r.role))
	case recordOffer:
		b = binary.BigEndian.AppendUint16(b, uint16(len(r.items)))
		for _, item := range r.items {
			b = appendItem(b, item)
		}
	case recordHave:
		b = binary.BigEndian.AppendUint64(b, uint64(r.offset))
		b = append(b, r.sum[:]...)
	case recordStart:
		b = binary.BigEndian.AppendUint64(b, uint64(r.offset))
	case recordData:
		b = append(b, r.data...)
	case recordSum:
		b = append(b, r.sum[:]...)
	case recordFail:
		b = append(b, r.reason...)
	}
	binary.BigEndian.PutUint32(b[start+1:], uint32(len(b)-start-headerLen))
	return b
}

func appendItem(b []byte, item described) []byte {
	executable := byte(0)
	if item.executable {
		executable = 1
	}
	size := uint64(item.size)
	if item.size < 0 {
		size = unknownSize
	}
	b = append(b, byte(item.kind), executable)
	b = binary.BigEndian.AppendUint64(b, size)
	b = binary.BigEndian.AppendUint64(b, uint64(item.modified.Unix()))
	b = binary.BigEndian.AppendUint16(b, uint16(len(item.name)))
	return append(b, item.name...)
}

// parseRecord parses the value of a record. It refuses anything that appendRecord would not have
// written.
func parseRecord(t recordType, value []byte) (*record, error) {
	r := &record{kind: t}
	s := cryptobyte.String(value)
	ok := true
	switch t {
	case recordHello:
		var v, who uint8
		ok = s.ReadUint8(&v) && s.ReadUint8(&who)
		if ok && v != version {
			return nil, fmt.Errorf("%w: version %d of the protocol", ErrRecord, v)
		}
		r.role = role(who)
		ok = ok && r.role.valid()
	case recordOffer:
		ok = readItems(&s, &r.items)
	case recordAccept, recordStored:
	case recordHave:
		ok = readOffset(&s, &r.offset) && s.CopyBytes(r.sum[:])
	case recordStart:
		ok = readOffset(&s, &r.offset)
	case recordData:
		ok = len(value) > 0 && len(value) <= dataLen
		r.data, s = value, nil
	case recordSum:
		ok = s.CopyBytes(r.sum[:])
	case recordFail:
		ok = len(value) > 0 && len(value) <= maxReason && utf8.Valid(value)
		r.reason, s = string(value), nil
	default:
		return nil, fmt.Errorf("%w: a record of %v", ErrRecord, t)
	}
	if !ok || !s.Empty() {
		return nil, fmt.Errorf("%w: a malformed %v", ErrRecord, t)
	}
	return r, nil
}

func readOffset(s *cryptobyte.String, to *int64) bool {
	var n uint64
	ok := s.ReadUint64(&n) && n <= math.MaxInt64
	*to = int64(n)
	return ok
}

// maxModified is the latest time of a file, in seconds since 1970, that an archive can hold
// without an extension.
const maxModified = 1<<33 - 1

func readItems(s *cryptobyte.String, items *[]described) bool {
	var n uint16
	if !s.ReadUint16(&n) || n < 1 || n > maxItems {
		return false
	}
	for range n {
		var item described
		if !readItem(s, &item) {
			return false
		}
		*items = append(*items, item)
	}
	return true
}

func readItem(s *cryptobyte.String, item *described) bool {
	var k, executable uint8
	var size, modified uint64
	var name cryptobyte.String
	if !s.ReadUint8(&k) || !s.ReadUint8(&executable) || !s.ReadUint64(&size) || !s.ReadUint64(&modified) ||
		!s.ReadUint16LengthPrefixed(&name) {
		return false
	}
	item.kind, item.executable, item.name = kind(k), executable == 1, string(name)
	item.size, item.modified = int64(size), time.Unix(int64(modified), 0)
	if size == unknownSize {
		item.size = -1
	}
	plain := item.kind == kindFile
	switch item.kind {
	case kindFile, kindFolder:
		if size > math.MaxInt64 {
			return false
		}
	case kindStream:
		if size != unknownSize {
			return false
		}
	default:
		return false
	}
	return executable <= 1 && modified <= maxModified && (plain || executable == 0 && modified == 0)
}

// Hello and the other records before the first DATA are small; no record is read in
// full before its length is known to be allowed for its type.
func maxLen(t recordType) int {
	switch t {
	case recordData:
		return dataLen
	case recordOffer:
		return maxRecord
	}
	return maxReason
}

// A reader reads records.
type reader struct {
	r   io.Reader
	buf []byte
}

// next reads a record. The error is io.EOF if the stream has ended between two records.
func (r *reader) next() (*record, error) {
	var header [headerLen]byte
	if _, err := io.ReadFull(r.r, header[:]); err != nil {
		return nil, err
	}
	t := recordType(header[0])
	n := binary.BigEndian.Uint32(header[1:])
	if n > uint32(maxLen(t)) {
		return nil, fmt.Errorf("%w: a %v of %d bytes", ErrRecord, t, n)
	}
	if r.buf == nil {
		r.buf = make([]byte, dataLen)
	}
	value := r.buf
	if int(n) > len(value) {
		value = make([]byte, n)
	}
	value = value[:n]
	if _, err := io.ReadFull(r.r, value); err != nil {
		if err == io.EOF {
			err = io.ErrUnexpectedEOF
		}
		return nil, err
	}
	return parseRecord(t, value)
}
