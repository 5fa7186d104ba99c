package wire

import (
	"bytes"
	stdbase64 "encoding/base64"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

// dearmorSlowly says what AppendDearmored must, with the standard library's
// decoder, which skips line ends.
func dearmorSlowly(text []byte) ([]byte, bool) {
	if bytes.ContainsAny(text, "\r\n") {
		return nil, false
	}
	msg, err := stdbase64.StdEncoding.Strict().DecodeString(string(text))
	if err != nil {
		return nil, false
	}
	return msg, true
}

func TestArmorOfEveryLengthIsWhatTheStandardLibraryMakes(t *testing.T) {
	rng := rand.NewChaCha8([32]byte{1})
	for n := range 300 {
		msg := make([]byte, n)
		rng.Read(msg)
		want := "?OTR:" + stdbase64.StdEncoding.EncodeToString(msg) + "."
		got := AppendArmor([]byte("before "), msg)
		if string(got) != "before "+want {
			t.Fatalf("%d bytes: %q, want %q", n, got, want)
		}
		if ArmoredLen(n) != len(want) {
			t.Errorf("ArmoredLen(%d) = %d, want %d", n, ArmoredLen(n), len(want))
		}
		back, err := AppendDearmored([]byte("before"), []byte(want))
		if err != nil || string(back) != "before"+string(msg) {
			t.Errorf("%d bytes come back as %x, %v", n, back, err)
		}
	}
}

func TestNeitherDirectionWritesBehindItsOutput(t *testing.T) {
	const canary = 0xc5
	rng := rand.NewChaCha8([32]byte{2})
	for n := range 300 {
		msg := make([]byte, n)
		rng.Read(msg)
		room := bytes.Repeat([]byte{canary}, ArmoredLen(n)+100)
		line := AppendArmor(room[:0:ArmoredLen(n)], msg)
		if &line[0] != &room[0] {
			t.Errorf("%d bytes: armor did not use the room there was", n)
		}
		if rest := room[len(line):]; bytes.Count(rest, []byte{canary}) != len(rest) {
			t.Fatalf("%d bytes: armor wrote behind its end", n)
		}
		room = bytes.Repeat([]byte{canary}, n+100)
		back, err := AppendDearmored(room[:0:n], line)
		if err != nil || !bytes.Equal(back, msg) {
			t.Fatalf("%d bytes: %v", n, err)
		}
		if rest := room[n:]; bytes.Count(rest, []byte{canary}) != len(rest) {
			t.Fatalf("%d bytes: the decoder wrote behind its end", n)
		}
	}
}

func TestEveryByteInEveryPlaceIsTakenOrRefusedAsTheStandardLibraryDoes(t *testing.T) {
	for _, n := range []int{3, 4, 5, 33, 34, 35, 36, 70, 95, 96, 97} {
		line := AppendArmor(nil, bytes.Repeat([]byte{0x5a, 0xff, 0x00}, n)[:n])
		text := line[len(armorStart) : len(line)-1]
		for i := range text {
			good := text[i]
			for c := range 256 {
				if c == armorEnd {
					continue
				}
				text[i] = byte(c)
				want, ok := dearmorSlowly(text)
				got, err := AppendDearmored(nil, line)
				if ok != (err == nil) || !bytes.Equal(got, want) {
					t.Fatalf("%q: %x, %v, want %x, %v", line, got, err, want, ok)
				}
			}
			text[i] = good
		}
	}
}

func TestArmorThatIsNotCanonicalIsRefused(t *testing.T) {
	long := strings.Repeat("QUJD", 40)
	for _, text := range []string{
		"A", "AA", "AAA", "AA=", "A===", "====", "=", "==", "AAAA=", "AAAA====", // padding
		"AB==", "AAB=", "/x==", // bits that decode to nothing
		"AA==AAAA", "AAA=AAAA", long + "AA==" + long, // padding in the middle
		"AA\n==", "AAAA\n", "\nAAAA", "\r\nAAAA", "AAAA\n\n\n\n", "\n\n\n\n", "AA==\n\n\n\n", "AA\n\n\n\n==", // line ends
		long + "\n\n\n\n", "\n\n\n\n" + long, long + "\r\n\r\n" + long, long + "AA=\n\n\n\n=",
		"AA AA", " AAAA", "AAAA ", "AA\tA", // blanks
		"AA-_", "AA,A", long + "-AAA", long + "_AAA" + long, // other alphabets
	} {
		line := "?OTR:" + text + "."
		got, err := AppendDearmored([]byte("x"), []byte(line))
		if !errors.Is(err, ErrArmor) || string(got) != "x" {
			t.Errorf("%q: %q, %v", line, got, err)
		}
	}
}

func TestTextAroundAMessageIsAccepted(t *testing.T) {
	for _, line := range []string{"?OTR:QUJD.", "look: ?OTR:QUJD.", "?OTR:QUJD. bye. ?OTR:", "?OTR:QUJD.\r", "<i>?OTR:QUJD.</i>", "a ?OTR b ?OTR:QUJD."} {
		got, err := AppendDearmored(nil, []byte(line))
		if err != nil || string(got) != "ABC" {
			t.Errorf("%q: %q, %v", line, got, err)
		}
	}
}

func TestALineWithoutAMessageIsNotDearmored(t *testing.T) {
	for _, line := range []string{"", "hello", "?OTR", "?otr:QUJD.", "QUJD.", "?OTR?v3", "?OTR|100|0,1,1,?OTR:QUJD.,"} {
		if got, err := AppendDearmored(nil, []byte(line)); !errors.Is(err, ErrNotEncoded) || got != nil {
			t.Errorf("%q: %q, %v", line, got, err)
		}
	}
	if _, err := AppendDearmored(nil, []byte("?OTR:QUJD")); !errors.Is(err, ErrArmor) {
		t.Errorf("a message without its end: %v", err)
	}
}

func TestArmorAllocatesNothingWhereThereIsRoom(t *testing.T) {
	msg := make([]byte, 1000)
	line := AppendArmor(nil, msg)
	back := slices.Clone(msg)
	if n := testing.AllocsPerRun(100, func() {
		line = AppendArmor(line[:0], msg)
		back, _ = AppendDearmored(back[:0], line)
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func FuzzDearmor(f *testing.F) {
	f.Add([]byte("QUJD"))
	f.Add([]byte("QUI="))
	f.Add([]byte("QQ==\r\n\r\n"))
	f.Add([]byte(strings.Repeat("QUJD", 20) + "\n\n\n\n" + strings.Repeat("QUJD", 20)))
	f.Fuzz(func(t *testing.T, text []byte) {
		if bytes.IndexByte(text, armorEnd) >= 0 {
			return
		}
		line := []byte("?OTR:" + string(text) + ".")
		want, ok := dearmorSlowly(text)
		got, err := AppendDearmored(nil, line)
		if ok != (err == nil) || !bytes.Equal(got, want) {
			t.Fatalf("%q: %x, %v, want %x, %v", text, got, err, want, ok)
		}
		if err == nil && !bytes.Equal(AppendArmor(nil, got), line) {
			t.Errorf("%q is accepted but not canonical", text)
		}
	})
}

func BenchmarkArmor(b *testing.B) {
	for _, size := range []int{100, 1000, 64 << 10} {
		msg := bytes.Repeat([]byte{0xa5}, size)
		b.Run(fmt.Sprint(size), func(b *testing.B) {
			b.SetBytes(int64(size))
			var line []byte
			for b.Loop() {
				line = AppendArmor(line[:0], msg)
			}
		})
	}
}

func BenchmarkDearmor(b *testing.B) {
	for _, size := range []int{100, 1000, 64 << 10} {
		line := AppendArmor(nil, bytes.Repeat([]byte{0xa5}, size))
		b.Run(fmt.Sprint(size), func(b *testing.B) {
			b.SetBytes(int64(size))
			var msg []byte
			for b.Loop() {
				msg, _ = AppendDearmored(msg[:0], line)
			}
		})
	}
}
