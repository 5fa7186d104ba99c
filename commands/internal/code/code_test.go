package code

import (
	"bytes"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"io"
	"math"
	mathrand "math/rand/v2"
	"slices"
	"strings"
	"testing"

	"otrpipe/testscripts/timing"
)

func TestTheListIsTheSecondShortOneOfTheEFF(t *testing.T) {
	words := list()
	if len(words) != 1295 || words[0] != "aardvark" || words[len(words)-1] != "zucchini" || slices.Contains(words, "yo-yo") {
		t.Fatalf("%d words from %q to %q", len(words), words[0], words[len(words)-1])
	}
	for i, word := range words {
		if strings.Trim(word, "abcdefghijklmnopqrstuvwxyz") != "" || len(word) < 3 || i > 0 && (word <= words[i-1] || word[:3] == words[i-1][:3]) {
			t.Errorf("word %d is %q", i, word)
		}
	}
	if bits := Words * math.Log2(float64(len(words))); bits < 31 {
		t.Errorf("a code has %.1f bits", bits)
	}
}

func TestACodeIsReadAsItWasMade(t *testing.T) {
	seen := map[string]bool{}
	for range 1000 {
		made, err := New(rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		parsed, err := Parse(made)
		if err != nil || !bytes.Equal(parsed, made) {
			t.Fatalf("%s is read as %s, %v", made, parsed, err)
		}
		seen[string(made)] = true
	}
	if len(seen) < 999 {
		t.Errorf("only %d of 1000 codes differ", len(seen))
	}
}

func TestEveryWordIsAsLikelyAsAnother(t *testing.T) {
	// All values of two bytes in a row: as many of each word, and the rest thrown away.
	all := make([]byte, 0, 2<<16)
	for v := range 1 << 16 {
		all = append(all, byte(v>>8), byte(v))
	}
	count := map[string]int{}
	r := bytes.NewReader(all)
	for {
		made, err := New(r)
		if err != nil {
			break
		}
		for word := range strings.SplitSeq(string(made), "-") {
			count[word]++
		}
	}
	least, most := math.MaxInt, 0
	for _, n := range count {
		least, most = min(least, n), max(most, n)
	}
	if len(count) != len(list()) || most-least > 1 { // the last code may lack a word
		t.Errorf("%d words, between %d and %d times each", len(count), least, most)
	}
}

func TestACodeIsTypedInAnyCaseWithBlanksOrDashes(t *testing.T) {
	for _, typed := range []string{
		"acid-zebra-broom", "acid zebra broom", "ACID-Zebra broom", "  acid\tzebra  - broom\r\n", "acid–zebra—broom", "acid\u00a0zebra‑broom",
	} {
		got, err := Parse([]byte(typed))
		if err != nil || string(got) != "acid-zebra-broom" {
			t.Errorf("%q is %q, %v", typed, got, err)
		}
	}
}

func TestOnlyLettersAreMadeSmall(t *testing.T) {
	for c := range 256 {
		got := []byte{byte(c)}
		toLower(got)
		want := byte(c)
		if 'A' <= c && c <= 'Z' {
			want += 'a' - 'A'
		}
		if got[0] != want {
			t.Errorf("%q becomes %q", byte(c), got[0])
		}
	}
}

func TestEveryWordIsFoundAndNothingElse(t *testing.T) {
	for i, word := range list() {
		if got := wordAt(uint64(i)); string(got) != word || !isWord(got) {
			t.Errorf("word %d is %q, not %q", i, got, word)
		}
		for _, other := range []string{word[:len(word)-1], word + "x", word[1:], word + "\x00", strings.ToUpper(word)} {
			if _, known := slices.BinarySearch(list(), other); isWord([]byte(other)) != known {
				t.Errorf("%q: in the list: %v", other, !known)
			}
		}
	}
	for _, other := range []string{"", "\x00", strings.Repeat("a", maxWord), strings.Repeat("a", maxWord+1)} {
		if isWord([]byte(other)) {
			t.Errorf("%q is a word", other)
		}
	}
}

func TestTimingOfCodesDoesNotDependOnTheirWords(t *testing.T) {
	var five []int // the numbers of the words of five letters
	for i, word := range list() {
		if len(word) == 5 {
			five = append(five, i)
		}
	}
	const length = Words*5 + Words - 1
	typed, number := make([]uint64, 3), make([]uint64, 1)
	choose := func(fixed bool, rng *mathrand.Rand) int {
		n := rng.IntN(len(five))
		if fixed {
			n = 0
		}
		return five[n]
	}
	drawNumber := func(in []uint64, fixed bool, rng *mathrand.Rand) { in[0] = uint64(choose(fixed, rng)) }
	drawCode := func(in []uint64, fixed bool, rng *mathrand.Rand) {
		var b [24]byte
		for i := range Words {
			copy(b[6*i:], list()[choose(fixed, rng)])
			b[6*i+5] = separator
		}
		for i := range in {
			in[i] = binary.LittleEndian.Uint64(b[8*i:])
		}
	}
	var b [24]byte
	timing.Check(t,
		timing.Function{Name: "a code is read", Input: typed, Draw: drawCode, Run: func() {
			for i, limb := range typed {
				binary.LittleEndian.PutUint64(b[8*i:], limb)
			}
			if _, err := Parse(b[:length]); err != nil {
				t.Fatal(err)
			}
		}},
		timing.Function{Name: "a word is chosen", Input: number, Draw: drawNumber, Run: func() { clear(wordAt(number[0])) }},
	)
}

func TestWhatIsNoCodeIsRefusedWithoutRepeatingIt(t *testing.T) {
	for typed, want := range map[string]string{
		"":                              "0 words",
		"acid-zebra":                    "2 words",
		"acid-zebra-broom-acid":         "4 words",
		"acid-zebra-xyzzy":              "word 3",
		"acid-zeb\xff-broom":            "word 2",
		"yo-yo-acid":                    "word 1",
		strings.Repeat("acid-", 1000):   "more than",
		"acid-zebra-broom\x00":          "word 3",
		"\u212aey-acid-zebra ac\u0131d": "4 words",
	} {
		got, err := Parse([]byte(typed))
		if !errors.Is(err, ErrCode) || got != nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "xyzzy") {
			t.Errorf("%.30q is %q, %v", typed, got, err)
		}
	}
}

func TestWordsAreCompleted(t *testing.T) {
	for typed, want := range map[string][]string{
		"broo":             {"m"},
		"acid-BROO":        {"m"},
		"acid zebra broo":  {"m"},
		"acid zebra broom": {""},
		"acid–broo":        {"m"},
		"a b c d":          nil,
		"xyzzy":            nil,
		"\xff":             nil,
	} {
		if got := Complete(typed); !slices.Equal(got, want) {
			t.Errorf("after %q: %q, want %q", typed, got, want)
		}
	}
	if got := Complete(""); len(got) != len(list()) {
		t.Errorf("at the beginning %d words can stand", len(got))
	}
}

func TestWithoutRandomnessThereIsNoCode(t *testing.T) {
	if made, err := New(bytes.NewReader([]byte{1, 2, 3})); !errors.Is(err, io.ErrUnexpectedEOF) || made != nil {
		t.Errorf("%q, %v", made, err)
	}
}

func FuzzParse(f *testing.F) {
	for _, seed := range []string{"acid-zebra-broom", "ACID zebra – broom\n", "yo-yo", "\xff", "acid"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, typed []byte) {
		before := bytes.Clone(typed)
		parsed, err := Parse(typed)
		if !bytes.Equal(typed, before) {
			t.Fatal("what was typed has changed")
		}
		if err != nil {
			if parsed != nil || !errors.Is(err, ErrCode) {
				t.Fatalf("%q, %v", parsed, err)
			}
			return
		}
		again, err := Parse(parsed)
		if err != nil || !bytes.Equal(again, parsed) {
			t.Fatalf("%q is read as %q, %v", parsed, again, err)
		}
		Complete(string(typed))
	})
}
