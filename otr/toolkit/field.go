package toolkit

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"strconv"
	"time"
)

// Fields holds the fields of a message, in its order. In JSON it is an object whose members
// have the same order.
type Fields []Field

// A Field is one field of a message, or a value derived from it.
type Field struct {
	// Name is the specification's name in lower case with underscores, such as
	// "sender_key_id".
	Name string
	// Value is one of uint64, bool, string, Hex, Tag, time.Time, Fields, []Hex and
	// []Fields.
	Value any
}

// Hex is bytes that are shown as lower-case hexadecimal digits.
type Hex []byte

// String returns the digits.
func (h Hex) String() string { return hex.EncodeToString(h) }

// MarshalText returns the digits.
func (h Hex) MarshalText() ([]byte, error) { return hex.AppendEncode(nil, h), nil }

// A Tag is an instance tag, shown as eight hexadecimal digits.
type Tag uint32

// String returns the digits.
func (t Tag) String() string {
	const digits = "00000000"
	s := strconv.FormatUint(uint64(t), 16)
	return digits[len(s):] + s
}

// MarshalText returns the digits.
func (t Tag) MarshalText() ([]byte, error) { return []byte(t.String()), nil }

// Get returns the value of the first field with the name, or nil.
func (f Fields) Get(name string) any {
	for _, field := range f {
		if field.Name == name {
			return field.Value
		}
	}
	return nil
}

// MarshalJSON writes the fields as one object.
func (f Fields) MarshalJSON() ([]byte, error) {
	var b bytes.Buffer
	b.WriteByte('{')
	for i, field := range f {
		if i > 0 {
			b.WriteByte(',')
		}
		value := field.Value
		if t, ok := value.(time.Time); ok {
			value = t.UTC().Format(time.RFC3339)
		}
		name, err := json.Marshal(field.Name)
		if err != nil {
			return nil, err
		}
		v, err := json.Marshal(value)
		if err != nil {
			return nil, err
		}
		b.Write(name)
		b.WriteByte(':')
		b.Write(v)
	}
	b.WriteByte('}')
	return b.Bytes(), nil
}

func (f *Fields) add(name string, value any)   { *f = append(*f, Field{name, value}) }
func (f *Fields) number(name string, v uint64) { f.add(name, v) }
func (f *Fields) bytes(name string, v []byte)  { f.add(name, Hex(bytes.Clone(v))) }
