package keystream

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"math"
	"testing"
)

// A code is one of the ways to compute the key streams.
type code struct {
	name   string
	ours   bool // not a library's
	choose func() (restore func())
}

// withEachCode runs a test with all code that this processor can run.
func withEachCode(t *testing.T, test func(t *testing.T, c code)) {
	for _, c := range codes() {
		t.Run(c.name, func(t *testing.T) {
			defer c.choose()()
			test(t, c)
		})
	}
}

// A stream is one of the ciphers. AES takes the first half of the key.
type stream struct {
	name         string
	use, library func(key *[32]byte, counter uint64, b []byte)
}

var streams = []stream{
	{
		"ChaCha20",
		func(key *[32]byte, _ uint64, b []byte) { ChaCha20(key, b) },
		func(key *[32]byte, _ uint64, b []byte) { chacha20Library(key, b) },
	},
	{
		"AES",
		func(key *[32]byte, counter uint64, b []byte) { AES128CTR((*[16]byte)(key[:]), counter, b) },
		func(key *[32]byte, counter uint64, b []byte) { aes128CTRLibrary((*[16]byte)(key[:]), counter, b) },
	},
}

// check encrypts a text in the middle of other bytes, which must stay as they are, and
// compares the result with what the library makes of it.
func (s stream) check(t *testing.T, key *[32]byte, counter uint64, text []byte) {
	t.Helper()
	const around = 40
	got := bytes.Repeat([]byte{0xee}, around+len(text)+around)
	copy(got[around:], text)
	want := bytes.Clone(got)
	s.use(key, counter, got[around:around+len(text)])
	s.library(key, counter, want[around:around+len(text)])
	if !bytes.Equal(got, want) {
		t.Fatalf("%s: %d bytes with counter %x are encrypted otherwise than by the library", s.name, len(text), counter)
	}
}

// sampleText returns n bytes of every kind.
func sampleText(n int) []byte {
	text := make([]byte, n)
	for i := range text {
		text[i] = byte(i * i >> 3)
	}
	return text
}

func TestTextsOfEveryLengthAreEncryptedAsByTheLibrary(t *testing.T) {
	withEachCode(t, func(t *testing.T, _ code) {
		key := [32]byte{1, 2, 3, 15: 4, 16: 5, 31: 6}
		text := sampleText(256 << 10)
		for _, s := range streams {
			check := func(n int) { s.check(t, &key, uint64(n)<<32|5, text[:n]) }
			for n := range 1300 {
				check(n)
			}
			for n := 2000; n <= len(text); n += 16001 {
				check(n)
			}
			check(len(text))
		}
	})
}

func TestEveryBitOfTheKeyAndTheCounterCounts(t *testing.T) {
	withEachCode(t, func(t *testing.T, _ code) {
		text := sampleText(1000)
		for _, s := range streams {
			for bit := range 256 {
				var key [32]byte
				key[bit/8] = 1 << (bit % 8)
				s.check(t, &key, 1<<(bit%64), text)
			}
			s.check(t, new([32]byte), math.MaxUint64, text)
		}
	})
}

// The first test vector of RFC 8439, appendix A.1, and the key stream of the first two test
// cases in the specification of GCM, which is AES of the numbers 0, 1 and 2.
func TestTheStreamsAgreeWithTheirSpecifications(t *testing.T) {
	withEachCode(t, func(t *testing.T, _ code) {
		for i, want := range []string{
			"76b8e0ada0f13d90405d6ae55386bd28bdd219b8a08ded1aa836efcc8b770dc7" +
				"da41597c5157488d7724e03fb8d84a376a43b8f41518a11cc387b669b2ee6586",
			"66e94bd4ef8a2c3b884cfa59ca342b2e58e2fccefa7e3061367f1d57a4e7455a0388dace60b6a392f328c2b971b2fe78",
		} {
			got := make([]byte, len(want)/2)
			streams[i].use(new([32]byte), 0, got)
			if hex.EncodeToString(got) != want {
				t.Errorf("%s: %x", streams[i].name, got)
			}
		}
	})
}

func TestEncryptionAllocatesNothing(t *testing.T) {
	withEachCode(t, func(t *testing.T, c code) {
		for i, s := range streams {
			if i > 0 && !c.ours {
				continue // the library's AES allocates its state
			}
			for _, size := range []int{10, 1000, 64 << 10} {
				text, key := make([]byte, size), [32]byte{1}
				if n := testing.AllocsPerRun(10, func() { s.use(&key, 1, text) }); n > 0 {
					t.Errorf("%s of %d bytes allocates %v times", s.name, size, n)
				}
			}
		}
	})
}

func FuzzChaCha20(f *testing.F) { streams[0].fuzz(f) }
func FuzzAES(f *testing.F)      { streams[1].fuzz(f) }

func (s stream) fuzz(f *testing.F) {
	f.Add([]byte("key"), uint64(1), []byte("text"), 600)
	f.Fuzz(func(t *testing.T, secret []byte, counter uint64, text []byte, repeat int) {
		var key [32]byte
		copy(key[:], secret)
		text = bytes.Repeat(text, min(max(repeat, 1), 100))
		for _, c := range codes() {
			func() {
				defer c.choose()()
				s.check(t, &key, counter, text)
			}()
		}
	})
}

func BenchmarkStreams(b *testing.B) {
	key := [32]byte{1}
	for _, s := range streams {
		for _, n := range []int{64, 1000, 64 << 10} {
			text := make([]byte, n)
			for _, c := range codes() {
				b.Run(fmt.Sprintf("%s/%d/%s", s.name, n, c.name), func(b *testing.B) {
					defer c.choose()()
					b.SetBytes(int64(n))
					for b.Loop() {
						s.use(&key, 1, text)
					}
				})
			}
		}
	}
}
