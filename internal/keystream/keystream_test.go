package keystream

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"testing"
)

// withEachCode runs a test with all code that this processor can run.
func withEachCode(t *testing.T, test func(t *testing.T)) {
	for _, c := range codes() {
		t.Run(c.name, func(t *testing.T) {
			defer c.choose()()
			test(t)
		})
	}
}

// A code is one of the ways to compute a key stream.
type code struct {
	name   string
	choose func() (restore func())
}

// around is how many bytes before and after a text are checked to stay as they are.
const around = 40

// check encrypts a text in the middle of other bytes, and compares the result with what a
// library makes of it.
func check(t *testing.T, text []byte, ours, library func(b []byte)) {
	t.Helper()
	buf := bytes.Repeat([]byte{0xee}, around+len(text)+around)
	want := bytes.Clone(buf)
	for _, b := range [][]byte{buf, want} {
		copy(b[around:], text)
	}
	ours(buf[around : around+len(text)])
	library(want[around : around+len(text)])
	if !bytes.Equal(buf, want) {
		t.Fatalf("%d bytes are encrypted otherwise than by the library", len(text))
	}
}

func checkChaCha20(t *testing.T, key *[32]byte, text []byte) {
	t.Helper()
	check(t, text, func(b []byte) { ChaCha20(key, b) }, func(b []byte) { chacha20Library(key, b) })
}

// sampleText returns n bytes, no two blocks of which are the same.
func sampleText(n int) []byte {
	text := make([]byte, n)
	for i := range text {
		text[i] = byte(i * i >> 3)
	}
	return text
}

func TestTextsOfEveryLengthAreEncryptedAsByTheLibrary(t *testing.T) {
	withEachCode(t, func(t *testing.T) {
		key := [32]byte{1, 2, 3, 15: 4, 16: 5, 31: 6}
		text := sampleText(256 << 10)
		check := func(n int) { checkChaCha20(t, &key, text[:n]) }
		for n := range 2300 {
			check(n)
		}
		for n := 4000; n <= len(text); n += 4001 {
			check(n)
		}
		check(len(text))
	})
}

// The first test vector of RFC 8439, appendix A.1.
func TestChaCha20AgreesWithItsSpecification(t *testing.T) {
	want, err := hex.DecodeString("76b8e0ada0f13d90405d6ae55386bd28bdd219b8a08ded1aa836efcc8b770dc7" +
		"da41597c5157488d7724e03fb8d84a376a43b8f41518a11cc387b669b2ee6586")
	if err != nil {
		t.Fatal(err)
	}
	withEachCode(t, func(t *testing.T) {
		got := make([]byte, len(want))
		if ChaCha20(new([32]byte), got); !bytes.Equal(got, want) {
			t.Errorf("%x", got)
		}
	})
}

func TestEveryBitOfTheKeyCounts(t *testing.T) {
	withEachCode(t, func(t *testing.T) {
		text := sampleText(1000)
		for bit := range 256 {
			var key [32]byte
			key[bit/8] = 1 << (bit % 8)
			checkChaCha20(t, &key, text)
		}
	})
}

func TestEncryptionAllocatesNothing(t *testing.T) {
	withEachCode(t, func(t *testing.T) {
		key := [32]byte{1}
		for _, n := range []int{10, 1000, 64 << 10} {
			text := make([]byte, n)
			if n := testing.AllocsPerRun(10, func() { ChaCha20(&key, text) }); n > 0 {
				t.Errorf("ChaCha20 of %d bytes allocates %v times", len(text), n)
			}
		}
	})
}

func FuzzChaCha20(f *testing.F) {
	f.Add([]byte("key"), []byte("text"), 600)
	f.Fuzz(func(t *testing.T, secret, text []byte, repeat int) {
		var key [32]byte
		copy(key[:], secret)
		text = bytes.Repeat(text, min(max(repeat, 1), 100))
		withEachCode(t, func(t *testing.T) { checkChaCha20(t, &key, text) })
	})
}

func BenchmarkChaCha20(b *testing.B) {
	key := [32]byte{1}
	for _, n := range []int{64, 1000, 64 << 10} {
		text := make([]byte, n)
		for _, c := range codes() {
			b.Run(fmt.Sprintf("%d/%s", n, c.name), func(b *testing.B) {
				defer c.choose()()
				b.SetBytes(int64(n))
				for b.Loop() {
					ChaCha20(&key, text)
				}
			})
		}
	}
}
