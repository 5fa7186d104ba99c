package v4

import (
	"bytes"
	"reflect"
	"testing"

	"otrpipe/otr/wire"
)

// bodies are honest messages of each kind, without their headers.
func bodies(t testing.TB) (identity, authR, authI, data []byte) {
	alice, bob := newEnds(t)
	i := bob.start()
	r := alice.answer(i)
	a := bob.answer(r)
	const header = 11
	return i[header:], r[header:], a[header:], bob.say("hello")[header:]
}

func FuzzReadProfile(f *testing.F) {
	for _, v := range loadProfiles(f).Profiles {
		f.Add([]byte(v.Bytes))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		r := wire.NewReader(b)
		p, err := ReadProfile(&r)
		if err != nil {
			return
		}
		if got := p.Append(nil); !bytes.Equal(got, b[:r.Pos()]) {
			t.Errorf("%x came back as %x", b[:r.Pos()], got)
		}
	})
}

func FuzzParseIdentity(f *testing.F) {
	identity, authR, _, _ := bodies(f)
	f.Add(identity)
	f.Add(authR)
	f.Fuzz(func(t *testing.T, b []byte) {
		if m, err := ParseIdentity(b); err == nil && !bytes.Equal(m.Append(nil), b) {
			t.Errorf("%x came back as %x", b, m.Append(nil))
		}
	})
}

func FuzzParseAuthR(f *testing.F) {
	identity, authR, _, _ := bodies(f)
	f.Add(identity)
	f.Add(authR)
	f.Fuzz(func(t *testing.T, b []byte) {
		if m, err := ParseAuthR(b); err == nil && !bytes.Equal(m.Append(nil), b) {
			t.Errorf("%x came back as %x", b, m.Append(nil))
		}
	})
}

func FuzzParseAuthI(f *testing.F) {
	_, _, authI, data := bodies(f)
	f.Add(authI)
	f.Add(data)
	f.Fuzz(func(t *testing.T, b []byte) {
		if m, err := ParseAuthI(b); err == nil && !bytes.Equal(m.Append(nil), b) {
			t.Errorf("%x came back as %x", b, m.Append(nil))
		}
	})
}

func FuzzParseData(f *testing.F) {
	_, _, authI, data := bodies(f)
	f.Add(authI)
	f.Add(data)
	f.Fuzz(func(t *testing.T, b []byte) {
		if m, err := ParseData(b); err == nil && !bytes.Equal(m.Append(nil), b) {
			t.Errorf("%x came back as %x", b, m.Append(nil))
		}
	})
}

func FuzzParsePlaintext(f *testing.F) {
	f.Add([]byte("text\x00\x00\x01\x00\x02ab\x00\x02\x00\x05cut"))
	f.Add([]byte("\x00\x00\x00\x00\x00"))
	f.Fuzz(func(t *testing.T, b []byte) {
		p := parsePlaintext(nil, b)
		if got := wire.AppendPlaintext(nil, p); !bytes.HasPrefix(b, got) {
			t.Errorf("%x came back as %x", b, got)
		}
		if len(p.TLVs) > wire.MaxTLVs {
			t.Errorf("%d records", len(p.TLVs))
		}
		whole, err := wire.ParsePlaintext(nil, b)
		if err == nil && !reflect.DeepEqual(p, whole) {
			t.Errorf("%x is %+v, and strictly %+v", b, p, whole)
		}
	})
}

// FuzzReceive passes any message to an engine in every state. It may accept a Data, Auth-R or
// Auth-I message only if it equals the honest peer's, byte for byte; a refused message must
// change nothing.
func FuzzReceive(f *testing.F) {
	type place struct {
		engine *Engine
		honest []byte
	}
	var places []place
	for _, state := range states {
		alice, bob := newEnds(f)
		state.enter(alice, bob)
		var honest []byte
		switch {
		case alice.Offer() != nil:
			honest = bob.answer(alice.Offer().Message(0))
		case alice.AuthState() == AuthWaitingAuthI:
			honest = bob.answer(alice.exchange.answer.message)
		case alice.Encrypted():
			honest = bob.say("hello")
		}
		places = append(places, place{alice.Engine, honest})
		f.Add(byte(len(places)-1), bob.start()[2:])
		for i := range places {
			if honest != nil && (!testing.Short() || i == len(places)-1) {
				f.Add(byte(i), honest[2:])
				f.Add(byte(i), honest[2:len(honest)-1])
			}
		}
	}
	f.Fuzz(func(t *testing.T, at byte, rest []byte) {
		p := places[int(at)%len(places)]
		e := snapshot(p.engine)
		msg := append([]byte{0, Version}, rest...)
		given := bytes.Clone(msg)
		h, body, err := wire.ParseHeader(msg)
		if err != nil {
			return
		}
		before := snapshot(&e)
		_, _, err = e.Receive(h, body, msg, nil)
		if err != nil {
			if !reflect.DeepEqual(before, snapshot(&e)) {
				t.Fatalf("%x is refused (%v) and changes the state", given, err)
			}
			return
		}
		const header = 11 // of which the tags are the conversation's to check
		if h.Type != wire.TypeIdentity && (len(p.honest) == 0 || !bytes.Equal(given[header:], p.honest[header:]) || h.Type != wire.MessageType(p.honest[2])) {
			t.Fatalf("%x is accepted", given)
		}
	})
}
