package v3

import (
	"bytes"
	"errors"
	"testing"

	"otrpipe/otr/wire"
)

// bodies returns an honest body of every type.
func bodies(t testing.TB) map[wire.MessageType][]byte {
	t.Helper()
	alice, bob := newTestEngine(Version3, 0), newTestEngine(Version3, 1)
	commit := begin(t, alice)
	key := must(t, bob, commit)
	reveal := must(t, alice, key)
	sig := must(t, bob, reveal)
	must(t, alice, sig)
	found := map[wire.MessageType][]byte{}
	for _, msg := range [][]byte{commit, key, reveal, sig, seal(t, alice, "text")} {
		h, body, err := wire.ParseHeader(msg)
		if err != nil {
			t.Fatal(err)
		}
		found[h.Type] = body
	}
	return found
}

// parsers parse a body of each type and write it again.
var parsers = map[wire.MessageType]func(body []byte) ([]byte, error){
	wire.TypeDHCommit: func(b []byte) ([]byte, error) { m, err := ParseDHCommit(b); return m.Append(nil), err },
	wire.TypeDHKey:    func(b []byte) ([]byte, error) { m, err := ParseDHKey(b); return m.Append(nil), err },
	wire.TypeRevealSignature: func(b []byte) ([]byte, error) {
		m, err := ParseRevealSignature(b)
		return m.Append(nil), err
	},
	wire.TypeSignature: func(b []byte) ([]byte, error) { m, err := ParseSignature(b); return m.Append(nil), err },
	wire.TypeData:      func(b []byte) ([]byte, error) { m, err := ParseData(b); return m.Append(nil), err },
}

func TestBodiesAreWrittenAsTheyWereRead(t *testing.T) {
	for mt, body := range bodies(t) {
		t.Run(mt.String(), func(t *testing.T) {
			parse := parsers[mt]
			if again, err := parse(body); err != nil || !bytes.Equal(again, body) {
				t.Fatalf("%x became %x: %v", body, again, err)
			}
			for n := range body {
				if _, err := parse(body[:n]); !errors.Is(err, ErrMalformed) {
					t.Fatalf("the first %d bytes: %v", n, err)
				}
			}
			if _, err := parse(append(bytes.Clone(body), 0)); !errors.Is(err, ErrMalformed) {
				t.Fatalf("a byte behind: %v", err)
			}
		})
	}
}

func TestBodiesOutsideTheirFormAreRefused(t *testing.T) {
	ok := Data{SenderKeyID: 1, RecipientKeyID: 1, DHY: []byte{2}, Counter: 1, MAC: make([]byte, 20)}
	data := func(change func(m *Data)) []byte { m := ok; change(&m); return m.Append(nil) }
	if _, err := ParseData(data(func(*Data) {})); err != nil {
		t.Fatal(err)
	}
	commit := func(encrypted, hashed int) []byte {
		return DHCommit{EncryptedGX: make([]byte, encrypted), HashedGX: make([]byte, hashed)}.Append(nil)
	}
	for _, c := range []struct {
		name string
		mt   wire.MessageType
		body []byte
	}{
		{"D-H Commit: g^x is too short", wire.TypeDHCommit, commit(4, 32)},
		{"D-H Commit: g^x is too long", wire.TypeDHCommit, commit(197, 32)},
		{"D-H Commit: the hash is too short", wire.TypeDHCommit, commit(196, 31)},
		{"D-H Commit: the hash is too long", wire.TypeDHCommit, commit(196, 33)},
		{"D-H Key: too long", wire.TypeDHKey, wire.AppendData(nil, bytes.Repeat([]byte{1}, 193))},
		{"D-H Key: leading zero", wire.TypeDHKey, wire.AppendData(nil, []byte{0, 2})},
		{"Reveal Signature: the revealed key is too short", wire.TypeRevealSignature,
			RevealSignature{RevealedKey: make([]byte, 15), Signature: Signature{MAC: make([]byte, 20)}}.Append(nil)},
		{"Data: sender key id 0", wire.TypeData, data(func(m *Data) { m.SenderKeyID = 0 })},
		{"Data: recipient key id 0", wire.TypeData, data(func(m *Data) { m.RecipientKeyID = 0 })},
		{"Data: counter 0", wire.TypeData, data(func(m *Data) { m.Counter = 0 })},
		{"Data: next key too long", wire.TypeData, data(func(m *Data) { m.DHY = bytes.Repeat([]byte{1}, 193) })},
		{"Data: a part of a MAC key", wire.TypeData, data(func(m *Data) { m.OldMACKeys = make([]byte, 21) })},
	} {
		t.Run(c.name, func(t *testing.T) {
			if _, err := parsers[c.mt](c.body); !errors.Is(err, ErrMalformed) {
				t.Fatal(err)
			}
		})
	}
}

// fuzzBody fuzzes a parser: writing an accepted body gives the same bytes.
func fuzzBody(f *testing.F, mt wire.MessageType) {
	f.Add(bodies(f)[mt])
	f.Fuzz(func(t *testing.T, body []byte) {
		again, err := parsers[mt](body)
		switch {
		case err == nil && !bytes.Equal(again, body):
			t.Fatalf("%x became %x", body, again)
		case err != nil && !errors.Is(err, ErrMalformed):
			t.Fatal(err)
		}
	})
}

func FuzzParseDHCommit(f *testing.F)        { fuzzBody(f, wire.TypeDHCommit) }
func FuzzParseDHKey(f *testing.F)           { fuzzBody(f, wire.TypeDHKey) }
func FuzzParseRevealSignature(f *testing.F) { fuzzBody(f, wire.TypeRevealSignature) }
func FuzzParseSignature(f *testing.F)       { fuzzBody(f, wire.TypeSignature) }
func FuzzParseData(f *testing.F)            { fuzzBody(f, wire.TypeData) }

// FuzzSignedPart encrypts and authenticates any bytes as the signed part of a Reveal Signature
// or Signature message, as a hostile peer can. Only what the honest peer signs is accepted.
func FuzzSignedPart(f *testing.F) {
	bob := newTestEngine(Version3, 1)
	k := sigKeys{c: [16]byte{1}, m1: [32]byte{2}, m2: [32]byte{3}}
	theirs, ours := []byte{4}, []byte{5}
	sig, err := bob.sign(&k, theirs, ours)
	if err != nil {
		f.Fatal(err)
	}
	honest := bytes.Clone(sig.Encrypted)
	aesCTR(k.c[:], honest)
	f.Add(honest)
	f.Add(append(bytes.Clone(honest), 0))
	f.Add(honest[:len(honest)-1])
	f.Fuzz(func(t *testing.T, x []byte) {
		m := Signature{Encrypted: bytes.Clone(x)}
		aesCTR(k.c[:], m.Encrypted)
		m.MAC = k.sum(m.Encrypted)
		peer, keyID, err := k.verify(m, theirs, ours)
		switch honestly := bytes.Equal(x, honest); {
		case honestly && (err != nil || keyID != exchangeKeyID || peer.Fingerprint() != bob.identity.Public().Fingerprint()):
			t.Fatalf("the honest peer is refused, or taken for another: %d, %v", keyID, err)
		case !honestly && err == nil:
			t.Fatalf("%x is accepted", x)
		case err != nil && (peer != nil || keyID != 0):
			t.Fatalf("%v, and yet a key and a key id of %d", err, keyID)
		case err != nil && !errors.Is(err, ErrMalformed) && !errors.Is(err, ErrAuthentication):
			t.Fatal(err)
		}
	})
}

// FuzzEngineReceive passes any message to an engine in each authentication state, with a
// session. No forgery changes the session.
func FuzzEngineReceive(f *testing.F) {
	for mt, body := range bodies(f) {
		for state := range settings {
			f.Add(byte(state), byte(mt), body)
		}
	}
	f.Fuzz(func(t *testing.T, state, mt byte, body []byte) {
		in := settings[int(state)%len(settings)]
		s := &scene{alice: newTestEngine(Version3, 0), bob: newTestEngine(Version3, 1)}
		exchangeKeys(t, s.alice, s.bob)
		in.enter(t, s)
		msg := append(s.bob.header(wire.MessageType(mt)).Append(nil), body...)
		h := s.bob.header(wire.MessageType(mt))
		reply, got, err := s.alice.Receive(h, msg[len(msg)-len(body):], msg, nil)
		if got.Text != nil || got.TLVs != nil || s.alice.Sessions() != 1 {
			t.Fatalf("%q %v", got.Text, err)
		}
		if err != nil && (reply != nil || s.alice.AuthState() != in.state) {
			t.Fatalf("an error, and yet %v with reply %x: %v", s.alice.AuthState(), reply, err)
		}
		if s.bob.Sessions() == 2 { // bob is a message ahead
			if err == nil {
				return
			}
			must(t, s.alice, s.next)
		}
		tell(t, s.bob, s.alice, "the session is still there")
		tell(t, s.alice, s.bob, "the session is still there")
	})
}
