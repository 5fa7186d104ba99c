package wire

import (
	"errors"
	"fmt"
)

var (
	// ErrVersion reports a message of a protocol version other than 2, 3 or 4.
	ErrVersion = errors.New("wire: unknown protocol version")
	// ErrMessageType reports a message type that does not exist in its version.
	ErrMessageType = errors.New("wire: unknown message type")
	// ErrInstanceTag reports an invalid sender tag, or a receiver tag that is invalid, or is
	// missing in a message that must name its receiver.
	ErrInstanceTag = errors.New("wire: invalid instance tag")
)

// MinInstanceTag is the smallest valid instance tag (version 3, "Instance
// Tags"). A receiver tag may also be 0 where the receiver is not yet known.
const MinInstanceTag = 0x100

// FlagIgnoreUnreadable is the flag of a data message that asks a receiver that cannot read it
// to ignore it silently.
const FlagIgnoreUnreadable = 0x01

// MessageType is the type byte in the header of a message.
type MessageType byte

// The message types. TypeData is common to all versions; the four before
// TypeIdentity belong to versions 2 and 3, the rest to version 4.
const (
	TypeData               MessageType = 0x03
	TypeDHCommit           MessageType = 0x02
	TypeDHKey              MessageType = 0x0a
	TypeRevealSignature    MessageType = 0x11
	TypeSignature          MessageType = 0x12
	TypeIdentity           MessageType = 0x35
	TypeAuthR              MessageType = 0x36
	TypeAuthI              MessageType = 0x37
	TypeNonInteractiveAuth MessageType = 0x0d
)

// String names the type as the specification does.
func (t MessageType) String() string {
	switch t {
	case TypeData:
		return "Data"
	case TypeDHCommit:
		return "D-H Commit"
	case TypeDHKey:
		return "D-H Key"
	case TypeRevealSignature:
		return "Reveal Signature"
	case TypeSignature:
		return "Signature"
	case TypeIdentity:
		return "Identity"
	case TypeAuthR:
		return "Auth-R"
	case TypeAuthI:
		return "Auth-I"
	case TypeNonInteractiveAuth:
		return "Non-Interactive-Auth"
	default:
		return fmt.Sprintf("type 0x%02x", byte(t))
	}
}

// Header is the beginning of every binary message: version (SHORT), type (BYTE) and, except
// in version 2, the instance tags of sender and receiver (INT each).
type Header struct {
	Version          uint16
	Type             MessageType
	Sender, Receiver uint32
}

// Append appends the header. The tags of a version 2 header are not written.
func (h Header) Append(b []byte) []byte {
	b = AppendShort(b, h.Version)
	b = append(b, byte(h.Type))
	if h.Version == 2 {
		return b
	}
	b = AppendInt(b, h.Sender)
	return AppendInt(b, h.Receiver)
}

// ParseHeader parses the header of msg and returns what follows it. It rejects versions other
// than 2, 3 and 4 (ErrVersion), types that do not exist in that version (ErrMessageType), and
// invalid instance tags (ErrInstanceTag): a sender below MinInstanceTag, a receiver other
// than 0 below MinInstanceTag, and a receiver of 0 in a message that must name one. Those are
// all messages except D-H Commit in version 3 and Identity in version 4.
func ParseHeader(msg []byte) (h Header, body []byte, err error) {
	r := NewReader(msg)
	h.Version = r.Short()
	if r.Err() == nil && (h.Version < 2 || h.Version > 4) {
		return Header{}, nil, fmt.Errorf("%w: %d", ErrVersion, h.Version)
	}
	h.Type = MessageType(r.Byte())
	if r.Err() == nil && !h.Type.belongsTo(h.Version) {
		return Header{}, nil, fmt.Errorf("%w: version %d, %v", ErrMessageType, h.Version, h.Type)
	}
	if h.Version != 2 {
		h.Sender = r.Int()
		h.Receiver = r.Int()
	}
	if r.Err() != nil {
		return Header{}, nil, r.Err()
	}
	if h.Version != 2 {
		if err := checkTags(h.Sender, h.Receiver); err != nil {
			return Header{}, nil, err
		}
		if h.Receiver == 0 && h.needsReceiver() {
			return Header{}, nil, fmt.Errorf("%w: %v message without a receiver", ErrInstanceTag, h.Type)
		}
	}
	return h, r.Rest(), nil
}

func (t MessageType) belongsTo(version uint16) bool {
	switch t {
	case TypeData:
		return true
	case TypeDHCommit, TypeDHKey, TypeRevealSignature, TypeSignature:
		return version < 4
	case TypeIdentity, TypeAuthR, TypeAuthI, TypeNonInteractiveAuth:
		return version == 4
	default:
		return false
	}
}

func (h Header) needsReceiver() bool {
	if h.Version == 4 {
		return h.Type != TypeIdentity
	}
	return h.Type != TypeDHCommit
}

func checkTags(sender, receiver uint32) error {
	if sender < MinInstanceTag {
		return fmt.Errorf("%w: sender 0x%x", ErrInstanceTag, sender)
	}
	if receiver != 0 && receiver < MinInstanceTag {
		return fmt.Errorf("%w: receiver 0x%x", ErrInstanceTag, receiver)
	}
	return nil
}
