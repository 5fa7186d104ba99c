package secret

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"reflect"
	"testing"
	"unsafe"

	"golang.org/x/crypto/chacha20"
	"golang.org/x/crypto/chacha20poly1305"
)

// If a library keeps its state in another way, this fails, and Wipe needs to learn it.
func TestTheStateOfEveryCipherInUseIsWiped(t *testing.T) {
	key := []byte("a key of 32 bytes, like no other")
	block, err := aes.NewCipher(key[:16])
	if err != nil {
		t.Fatal(err)
	}
	stream, err := chacha20.NewUnauthenticatedCipher(key, make([]byte, chacha20.NonceSize))
	if err != nil {
		t.Fatal(err)
	}
	aead, err := chacha20poly1305.New(key)
	if err != nil {
		t.Fatal(err)
	}
	for name, x := range map[string]any{
		"AES":              block,
		"AES-CTR":          cipher.NewCTR(block, make([]byte, aes.BlockSize)),
		"ChaCha20":         stream,
		"ChaCha20Poly1305": aead,
	} {
		state := stateOf(t, x)
		if !bytes.Contains(state, key[:16]) {
			t.Errorf("%s: the key is not where it was expected", name)
		}
		if Wipe(x); !bytes.Equal(state, make([]byte, len(state))) {
			t.Errorf("%s: the state is not wiped", name)
		}
	}
}

// stateOf returns the memory that x points to, or the first field of x.
func stateOf(t *testing.T, x any) []byte {
	v := reflect.ValueOf(x)
	if v.Kind() == reflect.Struct {
		v = v.Field(0)
	}
	if v.Kind() != reflect.Pointer {
		t.Fatalf("%T holds no pointer", x)
	}
	return unsafe.Slice((*byte)(v.UnsafePointer()), v.Type().Elem().Size())
}

func TestStateThatHasPointersIsLeftAlone(t *testing.T) {
	x := &struct {
		n      int
		shared []byte
	}{7, []byte("shared")}
	Wipe(x)
	if x.n != 7 || string(x.shared) != "shared" {
		t.Errorf("%v", x)
	}
	Wipe(nil)
	Wipe((*[16]byte)(nil))
}
