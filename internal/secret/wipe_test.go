package secret

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"reflect"
	"slices"
	"testing"
	"unsafe"

	"golang.org/x/crypto/chacha20"
	"golang.org/x/crypto/chacha20poly1305"
)

// If a library keeps its state in another way, this fails, and Wipe needs to learn it.
func TestTheStateOfEveryCipherInUseIsWiped(t *testing.T) {
	key := []byte("a key of 32 bytes, like no other")
	newAES := func() cipher.Block {
		block, err := aes.NewCipher(key[:16])
		if err != nil {
			t.Fatal(err)
		}
		return block
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
		"AES":              newAES(),
		"AES-CTR":          cipher.NewCTR(newAES(), make([]byte, aes.BlockSize)),
		"ChaCha20":         stream,
		"ChaCha20Poly1305": aead,
	} {
		state := statesOf(reflect.ValueOf(x))
		hasKey := func(b []byte) bool { return bytes.Contains(b, key[:16]) || bytes.Contains(b, swapped(key[:16])) }
		if !slices.ContainsFunc(state, hasKey) {
			t.Errorf("%s: the key is not where it was expected", name)
		}
		if Wipe(x); slices.ContainsFunc(state, hasKey) {
			t.Errorf("%s: the key is not wiped", name)
		}
		for _, b := range state[1:] { // no pointers are expected in these
			if !bytes.Equal(b, make([]byte, len(b))) {
				t.Errorf("%s: the state is not wiped", name)
			}
		}
	}
}

// swapped returns words of 32 bits with their bytes in the opposite order. Where a library has no code for the
// processor, it keeps a key as such words.
func swapped(words []byte) []byte {
	words = bytes.Clone(words)
	for word := range slices.Chunk(words, 4) {
		slices.Reverse(word)
	}
	return words
}

// statesOf returns the memory that x or its first field points to, and then that memory, if it has no
// pointers, or else what each pointer in it points to.
func statesOf(x reflect.Value) [][]byte {
	if x.Kind() == reflect.Struct {
		x = x.Field(0)
	}
	memory := func(pointer reflect.Value) []byte {
		return unsafe.Slice((*byte)(pointer.UnsafePointer()), pointer.Type().Elem().Size())
	}
	states := [][]byte{memory(x)}
	if isFlat(x.Type().Elem()) {
		return append(states, memory(x))
	}
	var follow func(reflect.Value)
	follow = func(v reflect.Value) {
		for i := range v.NumField() {
			switch field := v.Field(i); {
			case field.Kind() == reflect.Struct:
				follow(field)
			case field.Kind() == reflect.Pointer && !field.IsNil():
				states = append(states, memory(field))
			}
		}
	}
	follow(x.Elem())
	return states
}

func TestStateThatMayBeSharedIsLeftAlone(t *testing.T) {
	type state struct {
		n      int
		key    [4]byte
		shared []byte
		flat   *[4]byte
		next   *state
	}
	other := &state{key: [4]byte{5}}
	x := &state{7, [4]byte{1, 2, 3, 4}, []byte("shared"), &[4]byte{5, 6, 7, 8}, other}
	Wipe(x)
	if x.n != 7 || string(x.shared) != "shared" || x.next != other || other.key[0] != 5 {
		t.Errorf("%v", x)
	}
	if *x.flat != [4]byte{} || x.key != [4]byte{} {
		t.Errorf("not wiped: %v, %v", x.key, *x.flat)
	}
	Wipe(nil)
	Wipe((*[16]byte)(nil))
}
