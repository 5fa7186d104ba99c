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
	words := list()
	// Larger values would make the first words likelier than the others.
	limit := 1<<16 - 1<<16%len(words)
	var made []byte
	for n := 0; n < Words; {
		var b [2]byte
		if _, err := io.ReadFull(rand, b[:]); err != nil {
			clear(made)
			return nil, fmt.Errorf("code: %w", err)
		}
		v := int(b[0])<<8 | int(b[1])
		clear(b[:])
		if v >= limit {
			continue
		}
		made = appendWord(made, []byte(words[v%len(words)]))
		n++
	}
	return made, nil
}

// Parse reads a code as a person types it: in any case, with blanks or dashes between the words.
// It returns the form that New makes; the caller wipes it. The error is an ErrCode and contains
// no word of the input.
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
		lower := bytes.ToLower(word)
		_, known := slices.BinarySearch(list(), string(lower))
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
