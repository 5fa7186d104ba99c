package keyfile

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"io"
	"reflect"
	"strconv"
	"strings"
	"testing"
	"unsafe"

	"filippo.io/age"
	"filippo.io/age/armor"
	"golang.org/x/crypto/scrypt"
)

// The blocks and the last vectors are those of RFC 7914, sections 9 to 12, whose keys of 64
// bytes begin with ours.
func TestScryptGivesTheKeysOfItsSpecification(t *testing.T) {
	for _, c := range []struct {
		passphrase, salt string
		logN, r          int
		want             string
	}{
		{"", "", 4, 1, "77d6576238657b203b19ca42c18a0497f16b4844e3074ae8dfdffa3fede21442"},
		{"pleaseletmein", "SodiumChloride", 14, 8, "7023bdcb3afd7348461c06cd81fd38ebfda8fbba904f8e3ea9b543f6545da1f2"},
	} {
		key, err := scryptKey([]byte(c.passphrase), []byte(c.salt), c.logN, c.r)
		if err != nil || hex.EncodeToString(key[:]) != c.want {
			t.Errorf("%q: %x, %v", c.passphrase, key, err)
		}
	}
}

func TestScryptIsThatOfTheUsualLibrary(t *testing.T) {
	for _, length := range []int{1, 13, 63, 64, 65, 128, 200} {
		for logN := 1; logN < 6; logN++ {
			for _, r := range []int{1, 2, 8} {
				passphrase, salt := bytes.Repeat([]byte{0xc3, byte(length)}, length)[:length], []byte("some salt")
				want, err := scrypt.Key(passphrase, salt, 1<<logN, r, 1, 32)
				if err != nil {
					t.Fatal(err)
				}
				if key, err := scryptKey(passphrase, salt, logN, r); err != nil || !bytes.Equal(key[:], want) {
					t.Errorf("%d bytes, 2^%d, %d: %x, %v", length, logN, r, key, err)
				}
			}
		}
	}
	// 64 goes first: were there no bound, it would be taken at once, and what is just above the
	// bound would need 8 GiB. A processor of 32 bits cannot address the 2 GiB that 21 needs.
	refused := []int{64, -1, 0, maxWorkFactor + 1}
	if strconv.IntSize == 32 {
		refused = append(refused, 21, maxWorkFactor)
	}
	for _, logN := range refused {
		if _, err := scryptKey([]byte("right"), nil, logN, 8); err == nil {
			t.Fatalf("a work factor of %d is taken", logN)
		}
	}
}

func TestTheMACOfAPassphraseIsWiped(t *testing.T) {
	passphrase := bytes.Repeat([]byte("a passphrase like no other "), 4)
	for _, passphrase := range [][]byte{passphrase[:27], passphrase} {
		m := newPassphraseMAC(passphrase)
		m.derive(make([]byte, 40), []byte("salt"))
		m.wipe()
		state := reflect.ValueOf(m.hash)
		memory := unsafe.Slice((*byte)(state.UnsafePointer()), state.Type().Elem().Size())
		fresh := newPassphraseMAC(nil)
		fresh.wipe()
		state = reflect.ValueOf(fresh.hash)
		want := unsafe.Slice((*byte)(state.UnsafePointer()), state.Type().Elem().Size())
		if !bytes.Equal(memory, want) || m.inner != [64]byte{} || m.outer != [64]byte{} {
			t.Error("something of it is left")
		}
	}
}

// ageFile is what the age library makes of a text.
func ageFile(t *testing.T, text string, recipients ...age.Recipient) []byte {
	t.Helper()
	var file bytes.Buffer
	armored := armor.NewWriter(&file)
	sealed, err := age.Encrypt(armored, recipients...)
	must(t, err)
	_, err = io.WriteString(sealed, text)
	must(t, err)
	must(t, sealed.Close())
	must(t, armored.Close())
	return file.Bytes()
}

func right(string) ([]byte, error) { return []byte("right"), nil }

func TestTheAgeLibraryAndWeOpenEachOthersFiles(t *testing.T) {
	for _, passphrase := range []string{"right", strings.Repeat("a long one ", 20), "schlüssel \x00\xff"} {
		for _, length := range []int{0, 1, 300, maxPrivate} {
			text := strings.Repeat("t", length)
			recipient, err := age.NewScryptRecipient(passphrase)
			must(t, err)
			recipient.SetWorkFactor(testWorkFactor)
			got, err := unseal(ageFile(t, text, recipient), "a file", func(string) ([]byte, error) { return []byte(passphrase), nil })
			if err != nil || string(got) != text {
				t.Errorf("%q, %d bytes of age's: %d bytes, %v", passphrase, length, len(got), err)
			}
			file, err := seal([]byte(text), []byte(passphrase), testWorkFactor)
			must(t, err)
			identity, err := age.NewScryptIdentity(passphrase)
			must(t, err)
			opened, err := age.Decrypt(armor.NewReader(bytes.NewReader(file)), identity)
			must(t, err)
			if got, err := io.ReadAll(opened); err != nil || string(got) != text {
				t.Errorf("%q, %d bytes of ours: %d bytes, %v", passphrase, length, len(got), err)
			}
		}
	}
	if _, err := seal(make([]byte, ageChunk+1), []byte("right"), testWorkFactor); err == nil {
		t.Error("a text of more than one chunk is taken")
	}
}

func TestAWrongPassphraseIsToldFromADamagedFile(t *testing.T) {
	file, err := seal([]byte("text"), []byte("right"), testWorkFactor)
	must(t, err)
	_, err = unseal(file, "a file", func(string) ([]byte, error) { return []byte("wrong"), nil })
	wantError(t, err, ErrPassphrase)
	sealed, err := dearmor(file, "a file")
	must(t, err)
	header, err := age.ExtractHeader(bytes.NewReader(sealed))
	must(t, err)
	for i := range sealed {
		if testing.Short() && i%5 != 0 {
			continue
		}
		damaged := bytes.Clone(sealed)
		damaged[i] ^= 1
		text, err := openAge(damaged, []byte("right"))
		if err == nil || text != nil {
			t.Errorf("with byte %d of %d changed: %q, %v", i, len(sealed), text, err)
		}
	}
	for n := len(header); n < len(sealed); n++ {
		if _, err := openAge(sealed[:n], []byte("right")); err == nil {
			t.Errorf("cut to %d bytes it opens", n)
		}
	}
	if _, err := openAge(append(bytes.Clone(sealed), 0), []byte("right")); err == nil {
		t.Error("with a byte behind it opens")
	}
}

func TestATextThatIsTooLongIsRefused(t *testing.T) {
	file, err := seal(make([]byte, maxPrivate+1), []byte("right"), testWorkFactor)
	must(t, err)
	_, err = unseal(file, "a file", right)
	wantError(t, err, ErrFormat)
}

// badStanza is a recipient whose stanzas are wrong.
type badStanza struct {
	spoil func(*age.Stanza) []*age.Stanza
}

func (b badStanza) Wrap(fileKey []byte) ([]*age.Stanza, error) {
	p := &passphraseStanza{passphrase: []byte("right"), workFactor: testWorkFactor}
	stanzas, err := p.Wrap(fileKey)
	if err != nil {
		return nil, err
	}
	return b.spoil(stanzas[0]), nil
}

func TestOnlyOneStanzaAsAgeWritesItIsTaken(t *testing.T) {
	one := func(change func(*age.Stanza)) func(*age.Stanza) []*age.Stanza {
		return func(s *age.Stanza) []*age.Stanza { change(s); return []*age.Stanza{s} }
	}
	for name, spoil := range map[string]func(*age.Stanza) []*age.Stanza{
		"two":                    func(s *age.Stanza) []*age.Stanza { return []*age.Stanza{s, s} },
		"another beside it":      func(s *age.Stanza) []*age.Stanza { return []*age.Stanza{{Type: "other"}, s} },
		"no work factor":         one(func(s *age.Stanza) { s.Args = s.Args[:1] }),
		"a third argument":       one(func(s *age.Stanza) { s.Args = append(s.Args, "x") }),
		"a zero in front":        one(func(s *age.Stanza) { s.Args[1] = "0" + s.Args[1] }),
		"a sign":                 one(func(s *age.Stanza) { s.Args[1] = "+" + s.Args[1] }),
		"no number":              one(func(s *age.Stanza) { s.Args[1] = "many" }),
		"too small a number":     one(func(s *age.Stanza) { s.Args[1] = "0" }),
		"too great a number":     one(func(s *age.Stanza) { s.Args[1] = fmt.Sprint(maxWorkFactor + 1) }),
		"a short salt":           one(func(s *age.Stanza) { s.Args[0] = ageBase64.EncodeToString(make([]byte, scryptSalt-1)) }),
		"a salt with padding":    one(func(s *age.Stanza) { s.Args[0] += "==" }),
		"a salt of another text": one(func(s *age.Stanza) { s.Args[0] = s.Args[0][:21] + string(s.Args[0][21]+1) }),
		"a long body":            one(func(s *age.Stanza) { s.Body = append(s.Body, 0) }),
		"a short body":           one(func(s *age.Stanza) { s.Body = s.Body[:len(s.Body)-1] }),
	} {
		asked := false
		pass := func(string) ([]byte, error) { asked = true; return []byte("right"), nil }
		if text, err := unseal(ageFile(t, "text", badStanza{spoil}), "a file", pass); err == nil || text != nil || asked {
			t.Errorf("%s: %q, %v; a passphrase was asked for: %v", name, text, err, asked)
		} else {
			wantError(t, err, ErrFormat)
		}
	}
	good := badStanza{one(func(*age.Stanza) {})}
	if text, err := unseal(ageFile(t, "text", good), "a file", right); err != nil || string(text) != "text" {
		t.Errorf("%q, %v", text, err)
	}
}
