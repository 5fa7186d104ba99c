package wire

import (
	"bytes"
	"errors"
	"testing"
)

func TestHeadersAreWrittenAndReadBack(t *testing.T) {
	for _, test := range []struct {
		h    Header
		want string
	}{
		{Header{Version: 2, Type: TypeData}, "\x00\x02\x03"},
		{Header{2, TypeDHCommit, 0, 0}, "\x00\x02\x02"},
		{Header{3, TypeDHCommit, 0x100, 0}, "\x00\x03\x02\x00\x00\x01\x00\x00\x00\x00\x00"},
		{Header{3, TypeDHKey, 0x100, 0x101}, "\x00\x03\x0a\x00\x00\x01\x00\x00\x00\x01\x01"},
		{Header{3, TypeRevealSignature, 0x100, 0x100}, "\x00\x03\x11\x00\x00\x01\x00\x00\x00\x01\x00"},
		{Header{3, TypeSignature, 0xffffffff, 0x12345678}, "\x00\x03\x12\xff\xff\xff\xff\x12\x34\x56\x78"},
		{Header{3, TypeData, 0x27e31599, 0x27e31597}, "\x00\x03\x03\x27\xe3\x15\x99\x27\xe3\x15\x97"},
		{Header{4, TypeIdentity, 0x100, 0}, "\x00\x04\x35\x00\x00\x01\x00\x00\x00\x00\x00"},
		{Header{4, TypeAuthR, 0x100, 0x101}, "\x00\x04\x36\x00\x00\x01\x00\x00\x00\x01\x01"},
		{Header{4, TypeAuthI, 0x100, 0x101}, "\x00\x04\x37\x00\x00\x01\x00\x00\x00\x01\x01"},
		{Header{4, TypeNonInteractiveAuth, 0x100, 0x101}, "\x00\x04\x0d\x00\x00\x01\x00\x00\x00\x01\x01"},
		{Header{4, TypeData, 0x100, 0x101}, "\x00\x04\x03\x00\x00\x01\x00\x00\x00\x01\x01"},
	} {
		if got := test.h.Append(nil); string(got) != test.want {
			t.Errorf("%+v: %x, want %x", test.h, got, test.want)
		}
		h, body, err := ParseHeader([]byte(test.want + "body"))
		if err != nil || h != test.h || string(body) != "body" {
			t.Errorf("%x: %+v, %q, %v, want %+v", test.want, h, body, err, test.h)
		}
		for n := range test.want {
			if _, _, err := ParseHeader([]byte(test.want[:n])); !errors.Is(err, ErrShort) {
				t.Errorf("%x: %v", test.want[:n], err)
			}
		}
	}
}

func TestHeadersThatNoVersionHasAreRefused(t *testing.T) {
	for _, test := range []struct {
		name string
		h    Header
		want error
	}{
		{"version 0", Header{0, TypeData, 0x100, 0x100}, ErrVersion},
		{"version 1", Header{1, TypeData, 0x100, 0x100}, ErrVersion},
		{"version 5", Header{5, TypeData, 0x100, 0x100}, ErrVersion},
		{"version 0x0303", Header{0x0303, TypeData, 0x100, 0x100}, ErrVersion},
		{"an unknown type", Header{3, 0x55, 0x100, 0x100}, ErrMessageType},
		{"a type of version 4 in version 3", Header{3, TypeIdentity, 0x100, 0x100}, ErrMessageType},
		{"a type of version 3 in version 4", Header{4, TypeDHCommit, 0x100, 0x100}, ErrMessageType},
		{"a type of version 4 in version 2", Header{2, TypeAuthR, 0, 0}, ErrMessageType},
		{"no sender", Header{3, TypeDHCommit, 0, 0x100}, ErrInstanceTag},
		{"a sender below the smallest tag", Header{3, TypeDHCommit, 0xff, 0x100}, ErrInstanceTag},
		{"receiver 1", Header{3, TypeDHCommit, 0x100, 1}, ErrInstanceTag},
		{"a receiver below the smallest tag", Header{3, TypeDHCommit, 0x100, 0xff}, ErrInstanceTag},
		{"a data message without receiver", Header{3, TypeData, 0x100, 0}, ErrInstanceTag},
		{"a D-H Key without receiver", Header{3, TypeDHKey, 0x100, 0}, ErrInstanceTag},
		{"a Reveal Signature without receiver", Header{3, TypeRevealSignature, 0x100, 0}, ErrInstanceTag},
		{"a Signature without receiver", Header{3, TypeSignature, 0x100, 0}, ErrInstanceTag},
		{"a version 4 data message without receiver", Header{4, TypeData, 0x100, 0}, ErrInstanceTag},
		{"an Auth-R without receiver", Header{4, TypeAuthR, 0x100, 0}, ErrInstanceTag},
		{"an Auth-I without receiver", Header{4, TypeAuthI, 0x100, 0}, ErrInstanceTag},
		{"a version 4 sender below the smallest tag", Header{4, TypeIdentity, 0xff, 0}, ErrInstanceTag},
	} {
		h, body, err := ParseHeader(test.h.Append(nil))
		if !errors.Is(err, test.want) || h != (Header{}) || body != nil {
			t.Errorf("%s: %+v, %v", test.name, h, err)
		}
	}
}

func TestMessageTypesHaveTheirNames(t *testing.T) {
	for want, typ := range map[string]MessageType{
		"Data": TypeData, "D-H Commit": TypeDHCommit, "D-H Key": TypeDHKey, "Reveal Signature": TypeRevealSignature, "Signature": TypeSignature,
		"Identity": TypeIdentity, "Auth-R": TypeAuthR, "Auth-I": TypeAuthI, "Non-Interactive-Auth": TypeNonInteractiveAuth, "type 0x55": 0x55,
	} {
		if typ.String() != want {
			t.Errorf("%v, want %s", typ, want)
		}
	}
}

func FuzzHeader(f *testing.F) {
	f.Add([]byte("\x00\x02\x03body"))
	f.Add([]byte("\x00\x03\x02\x00\x00\x01\x00\x00\x00\x00\x00body"))
	f.Add([]byte("\x00\x04\x35\x00\x00\x01\x00\x00\x00\x00\x00"))
	f.Fuzz(func(t *testing.T, msg []byte) {
		h, body, err := ParseHeader(msg)
		if err != nil {
			return
		}
		if got := append(h.Append(nil), body...); !bytes.Equal(got, msg) {
			t.Errorf("read %x, wrote %x", msg, got)
		}
	})
}
