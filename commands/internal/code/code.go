// Package code makes and reads the codes by which two people verify each other for one
// transfer: three words, told on the telephone or typed from a note. A code is a shared
// secret of the socialist millionaires' protocol, where each connection allows one guess.
//
// The words come from the Electronic Frontier Foundation's second short list for dice (CC BY 3.0
// US), where no two words begin with the same three letters. The one word that contains a dash
// is left out.
package code

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"unicode"
	"unicode/utf8"

	"github.com/sethvargo/go-diceware/diceware"
)

const (
	// Words is the number of words in a code. They make about 31 bits, so a guess succeeds once
	// in two billion times.
	Words = 3
	// maxLen is the maximum length in bytes of a code to read: far more than three words need,
	// and too little for a wrong file.
	maxLen    = 256
	separator = '-'
)

// ErrCode says that the input cannot be a code.
var ErrCode = errors.New("code: not a code")

// list returns the words in order.
var list = sync.OnceValue(func() []string {
	all := diceware.WordListEffSmall()
	var words []string
	for number, ok := first(all.Digits()), true; ok; ok = next(number) {
		if word := all.WordAt(value(number)); word != "" && !strings.ContainsRune(word, separator) {
			words = append(words, word)
		}
	}
	slices.Sort(words)
	return words
})

// A padded word is a word, zero bytes, and at the end a byte with the length of the word. So all
// words are compared in the same way.
type padded [2]uint64

const maxWord = 15 // bytes in the longest word that can be padded

// paddedList returns the words of list, padded.
var paddedList = sync.OnceValue(func() []padded {
	all := make([]padded, len(list()))
	for i, word := range list() {
		all[i] = pad([]byte(word))
	}
	return all
})

// pad pads word, which has at most maxWord bytes.
func pad(word []byte) padded {
	var b [maxWord + 1]byte
	copy(b[:], word)
	b[maxWord] = byte(len(word))
	defer clear(b[:])
	return padded{binary.LittleEndian.Uint64(b[:8]), binary.LittleEndian.Uint64(b[8:])}
}

// isZero returns 1 if x is 0, and otherwise 0.
func isZero(x uint64) uint64 { return 1 ^ (x|-x)>>63 }

// isWord reports whether word, in lower case, is in the list. How long that takes depends on the
// length of word alone.
func isWord(word []byte) bool {
	if len(word) > maxWord {
		return false
	}
	wanted := pad(word)
	var found uint64
	for _, w := range paddedList() {
		found |= isZero(w[0] ^ wanted[0] | w[1] ^ wanted[1])
	}
	return found == 1
}

// wordAt returns word number n of the list, which takes equally long for each n; only the length
// of the word shows. The caller wipes it.
func wordAt(n uint64) []byte {
	var chosen padded
	for i, w := range paddedList() {
		mask := -isZero(uint64(i) ^ n)
		chosen[0] |= w[0] & mask
		chosen[1] |= w[1] & mask
	}
	word := make([]byte, maxWord+1)
	binary.LittleEndian.PutUint64(word[:8], chosen[0])
	binary.LittleEndian.PutUint64(word[8:], chosen[1])
	clear(chosen[:])
	return word[:word[maxWord]]
}

// toLower makes the letters A to Z in word small ones, with no branch that depends on them.
func toLower(word []byte) {
	for i, c := range word {
		// Bit 8 of each difference is set if c is below 'A', or not above 'Z'.
		notBelow, notAbove := ^(uint16(c)-'A')>>8, (uint16(c)-'Z'-1)>>8
		word[i] = c | byte(notBelow&notAbove&1)<<5
	}
}

// first returns the lowest throw of n dice.
func first(n int) []int { return slices.Repeat([]int{1}, n) }

// next advances dice to the next higher throw; false: there is none.
func next(dice []int) bool {
	for i := len(dice) - 1; i >= 0; i-- {
		if dice[i] < 6 {
			dice[i]++
			return true
		}
		dice[i] = 1
	}
	return false
}

// value returns the number that the dice show.
func value(dice []int) (v int) {
	for _, d := range dice {
		v = 10*v + d
	}
	return v
}

// New makes a code from random bytes of rand. It returns the form that both ends compare:
// lower-case words with dashes between them. The caller wipes it.
func New(rand io.Reader) ([]byte, error) {
	words := uint64(len(list()))
	// Larger values would make the first words likelier than the others.
	limit := 1<<16 - 1<<16%words
	var made []byte
	for n := 0; n < Words; {
		var b [2]byte
		if _, err := io.ReadFull(rand, b[:]); err != nil {
			clear(made)
			return nil, fmt.Errorf("code: %w", err)
		}
		v := uint64(b[0])<<8 | uint64(b[1])
		clear(b[:])
		if v >= limit {
			continue
		}
		word := wordAt(v % words)
		made = appendWord(made, word)
		clear(word)
		n++
	}
	return made, nil
}

// Parse reads a code as a person types it: in any case, with blanks or dashes between the words.
// It returns the form that New makes; the caller wipes it. The error is an ErrCode and contains
// no word of the input. How long reading a code takes shows how long its words are, and nothing
// else of them.
func Parse(typed []byte) ([]byte, error) {
	if len(typed) > maxLen {
		return nil, fmt.Errorf("%w: it has more than %d bytes", ErrCode, maxLen)
	}
	words := bytes.FieldsFunc(typed, separates)
	if len(words) != Words {
		return nil, fmt.Errorf("%w: it has %d words, not %d", ErrCode, len(words), Words)
	}
	var parsed []byte
	for i, word := range words {
		lower := bytes.Clone(word)
		toLower(lower)
		known := isWord(lower)
		if known {
			parsed = appendWord(parsed, lower)
		}
		clear(lower)
		if !known {
			clear(parsed)
			return nil, fmt.Errorf("%w: word %d is not one that codes are made of", ErrCode, i+1)
		}
	}
	return parsed, nil
}

// separates reports whether r can separate words. Mobile phones turn dashes into long ones.
func separates(r rune) bool { return unicode.IsSpace(r) || unicode.Is(unicode.Pd, r) }

// appendWord copies a code and one more word into new memory and wipes the old.
func appendWord(code, word []byte) []byte {
	longer := make([]byte, 0, len(code)+1+len(word))
	longer = append(longer, code...)
	if len(code) > 0 {
		longer = append(longer, separator)
	}
	clear(code)
	return append(longer, word...)
}

// Complete returns the words that can complete the last word of typed, each with the letters
// that are missing. It returns none if typed is not the beginning of a code.
func Complete(typed string) (missing []string) {
	if len(typed) > maxLen || !utf8.ValidString(typed) {
		return nil
	}
	start := strings.LastIndexFunc(typed, separates)
	if start >= 0 {
		_, n := utf8.DecodeRuneInString(typed[start:])
		start += n
	} else {
		start = 0
	}
	if len(strings.FieldsFunc(typed[:start], separates)) >= Words {
		return nil
	}
	begun := strings.ToLower(typed[start:])
	for _, word := range list() {
		if rest, ok := strings.CutPrefix(word, begun); ok {
			missing = append(missing, rest)
		}
	}
	return missing
}
