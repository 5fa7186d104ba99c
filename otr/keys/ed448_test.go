package keys

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"testing"

	"otrpipe/otr/group"
	"otrpipe/otr/wire"
)

// ed448Vectors is testdata/ed448.json; byte strings are hexadecimal.
type ed448Vectors struct {
	Keys []struct{ Symmetric, Secret, Prefix, Public string } `json:"ed448_keys"`

	Fingerprint []struct{ H, F, Fingerprint string }

	EdDSA []struct {
		Comment                               string
		Symmetric, Public, Message, Signature string
		Valid                                 bool
	}
}

func loadEd448(t testing.TB) (v ed448Vectors) {
	t.Helper()
	b, err := os.ReadFile("testdata/ed448.json")
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(b, &v); err != nil {
		t.Fatal(err)
	}
	return v
}

// steady is a source of bytes that is the same in every run.
func steady(seed byte) *rand.ChaCha8 { return rand.NewChaCha8([32]byte{seed}) }

func generateEd448(t testing.TB, seed byte) *Ed448PrivateKey {
	t.Helper()
	k, err := GenerateEd448(steady(seed))
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func TestEd448KeysFromTheirSymmetricKeys(t *testing.T) {
	for _, v := range loadEd448(t).Keys {
		k, err := NewEd448PrivateKey(unhex(v.Symmetric))
		if err != nil {
			t.Fatal(err)
		}
		if want := group.ReduceScalar(unhex(v.Secret)); !k.Secret().Equal(want) {
			t.Errorf("%s: another secret scalar", v.Symmetric)
		}
		if got := k.Public().Append(nil); hex.EncodeToString(got) != "1000"+v.Public {
			t.Errorf("public key %x, want 1000%s", got, v.Public)
		}
		if got := k.ForgingKey().Append(nil); hex.EncodeToString(got) != "1200"+v.Public {
			t.Errorf("forging key %x, want 1200%s", got, v.Public)
		}
		if !bytes.Equal(k.Symmetric(), unhex(v.Symmetric)) {
			t.Error("the symmetric key came back changed")
		}
	}
}

func TestEd448FingerprintVectors(t *testing.T) {
	for _, v := range loadEd448(t).Fingerprint {
		h, err := ParseEd448PublicKey(unhex(v.H))
		if err != nil {
			t.Fatal(err)
		}
		f, err := ParseForgingKey(unhex(v.F))
		if err != nil {
			t.Fatal(err)
		}
		fp := Ed448Fingerprint(h, f)
		if fp.Hex() != v.Fingerprint || fp.OTR() != 4 {
			t.Errorf("fingerprint %s (version %d), want %s", fp.Hex(), fp.OTR(), v.Fingerprint)
		}
		if read, err := ParseFingerprint(fp.String()); err != nil || read != fp {
			t.Errorf("%s reads as %v, %v", fp, read, err)
		}
	}
}

func TestEdDSAVectors(t *testing.T) {
	for _, v := range loadEd448(t).EdDSA {
		public, err := ParseEd448PublicKey(unhex(v.Public))
		if err != nil {
			t.Fatal(err)
		}
		message, signature := unhex(v.Message), unhex(v.Signature)
		err = public.Verify(message, signature)
		if (err == nil) != v.Valid || err != nil && !errors.Is(err, ErrSignature) {
			t.Errorf("%s: %v, want valid %v", v.Comment, err, v.Valid)
		}
		if !v.Valid {
			continue
		}
		k, err := NewEd448PrivateKey(unhex(v.Symmetric))
		if err != nil {
			t.Fatal(err)
		}
		if got, err := k.Sign(message); err != nil || !bytes.Equal(got, signature) {
			t.Errorf("%s: signed %x (%v), want %x", v.Comment, got, err, signature)
		}
	}
}

func TestVerifyRefusesSignaturesOfAnotherLength(t *testing.T) {
	k := generateEd448(t, 1)
	sig, err := k.Sign([]byte("message"))
	if err != nil {
		t.Fatal(err)
	}
	for _, bad := range [][]byte{nil, sig[:113], append(bytes.Clone(sig), 0)} {
		if err := k.Public().Verify([]byte("message"), bad); !errors.Is(err, ErrSignature) {
			t.Errorf("%d bytes: %v", len(bad), err)
		}
	}
	if err := VerifyEdDSA(make([]byte, 56), []byte("message"), sig); !errors.Is(err, ErrSignature) {
		t.Errorf("a key of 56 bytes: %v", err)
	}
}

func TestPublicKeysOfSmallOrderAreRefused(t *testing.T) {
	for name, point := range map[string][]byte{
		"identity":  append([]byte{1}, make([]byte, 56)...),
		"order 4":   make([]byte, 57),
		"too short": make([]byte, 56),
	} {
		if _, err := ParseEd448PublicKey(point); !errors.Is(err, ErrEd448Key) || !errors.Is(err, group.ErrPoint) {
			t.Errorf("%s as public key: %v", name, err)
		}
		if _, err := ParseForgingKey(point); !errors.Is(err, ErrEd448Key) {
			t.Errorf("%s as forging key: %v", name, err)
		}
	}
}

func TestKeyTypesAreLittleEndianAndNotInterchangeable(t *testing.T) {
	k := generateEd448(t, 2)
	for _, c := range []struct {
		name  string
		b     []byte
		read  func(*wire.Reader) ([]byte, error)
		fails error
	}{
		{"public key", k.Public().Append(nil), ReadEd448Point, nil},
		{"forging key", k.ForgingKey().Append(nil), ReadForgingPoint, nil},
		{"forging key as public key", k.ForgingKey().Append(nil), ReadEd448Point, ErrKeyType},
		{"public key as forging key", k.Public().Append(nil), ReadForgingPoint, ErrKeyType},
		{"big-endian type", append([]byte{0, 0x10}, k.Public().Append(nil)[2:]...), ReadEd448Point, ErrKeyType},
		{"one byte short", k.Public().Append(nil)[:58], ReadEd448Point, wire.ErrShort},
	} {
		r := wire.NewReader(c.b)
		point, err := c.read(&r)
		if !errors.Is(err, c.fails) {
			t.Errorf("%s: %v, want %v", c.name, err, c.fails)
		}
		if err == nil && !bytes.Equal(point, c.b[2:]) {
			t.Errorf("%s: %x", c.name, point)
		}
	}
}

func TestAGeneratedForgingKeyIsAValidPoint(t *testing.T) {
	a, err := GenerateForgingKey(steady(3))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := ParseForgingKey(a.Append(nil)[2:]); err != nil {
		t.Error(err)
	}
	b, err := GenerateForgingKey(steady(4))
	if err != nil {
		t.Fatal(err)
	}
	if a.Equal(&b.Ed448PublicKey) {
		t.Error("two sources gave the same key")
	}
	if _, err := GenerateForgingKey(bytes.NewReader(make([]byte, 56))); err == nil {
		t.Error("56 bytes were enough")
	}
}

func TestAnEd448PrivateKeyNeverPrintsAndEndsWithWipe(t *testing.T) {
	k := generateEd448(t, 5)
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%x"} {
		for _, v := range []any{k, *k} {
			if got := fmt.Sprintf(verb, v); got != "keys.Ed448PrivateKey(…)" {
				t.Errorf("%s prints %q", verb, got)
			}
		}
	}
	k.Wipe()
	if !k.Secret().Equal(group.Scalar{}) || !bytes.Equal(k.Symmetric(), make([]byte, 57)) {
		t.Error("a secret is left")
	}
	if _, err := k.Sign([]byte("m")); !errors.Is(err, ErrWiped) {
		t.Errorf("signing with a wiped key: %v", err)
	}
}

func TestMakingAnEd448KeyFails(t *testing.T) {
	if _, err := GenerateEd448(bytes.NewReader(make([]byte, 56))); err == nil {
		t.Error("56 random bytes were enough")
	}
	if _, err := NewEd448PrivateKey(make([]byte, 58)); !errors.Is(err, ErrEd448Key) {
		t.Error("58 bytes made a key")
	}
}

func FuzzReadEd448Keys(f *testing.F) {
	k := generateEd448(f, 6)
	f.Add(k.Public().Append(nil))
	f.Add(k.ForgingKey().Append(nil))
	f.Fuzz(func(t *testing.T, b []byte) {
		r := wire.NewReader(b)
		if point, err := ReadEd448Point(&r); err == nil {
			if k, err := ParseEd448PublicKey(point); err == nil && !bytes.HasPrefix(b, k.Append(nil)) {
				t.Errorf("%x came back as %x", b, k.Append(nil))
			}
		}
		r = wire.NewReader(b)
		if point, err := ReadForgingPoint(&r); err == nil {
			if k, err := ParseForgingKey(point); err == nil && !bytes.HasPrefix(b, k.Append(nil)) {
				t.Errorf("%x came back as %x", b, k.Append(nil))
			}
		}
	})
}
