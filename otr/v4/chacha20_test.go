package v4

import (
	"bytes"
	"testing"

	"golang.org/x/crypto/chacha20"
)

// chacha20Plain is the cipher of the specification, by chacha20 alone.
func chacha20Plain(enc *key, b []byte) {
	c, err := chacha20.NewUnauthenticatedCipher(enc[:cipherLen], make([]byte, chacha20.NonceSize))
	if err != nil {
		panic(err)
	}
	c.XORKeyStream(b, b)
}

// checkCrypt encrypts a text in the middle of other bytes, which must stay as they are.
func checkCrypt(t *testing.T, enc *key, text []byte) {
	t.Helper()
	const around = 40
	buf := bytes.Repeat([]byte{0xee}, around+len(text)+around)
	copy(buf[around:], text)
	crypt(enc, buf[around:around+len(text)])
	want := bytes.Repeat([]byte{0xee}, len(buf))
	copy(want[around:], text)
	chacha20Plain(enc, want[around:around+len(text)])
	if !bytes.Equal(buf, want) {
		t.Fatalf("%d bytes are encrypted otherwise than by chacha20", len(text))
	}
}

func TestTextsOfEveryLengthAreEncryptedAsByChaCha20(t *testing.T) {
	enc := key{1, 2, 3, 31: 4, 63: 5}
	text := make([]byte, 256<<10)
	for i := range text {
		text[i] = byte(i * i >> 3)
	}
	for n := range 2300 {
		checkCrypt(t, &enc, text[:n])
	}
	for n := 4000; n <= len(text); n += 4001 {
		checkCrypt(t, &enc, text[:n])
	}
	checkCrypt(t, &enc, text)
}

func FuzzCrypt(f *testing.F) {
	f.Add([]byte("key"), []byte("text"), 600)
	f.Fuzz(func(t *testing.T, secret, text []byte, repeat int) {
		var enc key
		copy(enc[:], secret)
		checkCrypt(t, &enc, bytes.Repeat(text, min(max(repeat, 1), 100)))
	})
}

func BenchmarkCrypt(b *testing.B) {
	enc := key{1}
	text := make([]byte, 64<<10)
	for name, f := range map[string]func(*key, []byte){"vector": crypt, "chacha20": chacha20Plain} {
		b.Run(name, func(b *testing.B) {
			b.SetBytes(int64(len(text)))
			b.ReportAllocs()
			for b.Loop() {
				f(&enc, text)
			}
		})
	}
}
