package complete

import (
	"regexp"
	"strings"
	"sync"
)

// A lastWord is the last word of a line that is being typed.
type lastWord struct {
	raw   string // as typed
	text  string // without its quotes
	quote byte   // ' or ", unless it is closed; else 0
}

// A lineWord is a word of a line, without its quotes, and where it begins.
type lineWord struct {
	text string
	at   int
}

// assignment matches a word before a command's name that sets a variable for it.
var assignment = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*=`) })

// splitCommand is splitLine without the words before the command's name.
func splitCommand(line string) (words []lineWord, last lastWord) {
	words, last = splitLine(line)
	for len(words) > 0 && assignment().MatchString(words[0].text) {
		words = words[1:]
	}
	return words, last
}

// splitLine splits an unfinished line of shell as bash does, into the last word and the words
// before it. It expands nothing and leaves redirections out.
func splitLine(line string) (words []lineWord, last lastWord) {
	s := splitter{line: line}
	for i := 0; i < len(line); i++ {
		if s.quote != 0 {
			i = s.quoted(i)
		} else {
			i = s.unquoted(i)
		}
	}
	if s.begun {
		last = lastWord{raw: line[s.start:], text: s.text.String(), quote: s.quote}
	}
	return s.words, last
}

// A splitter is the state of splitLine.
type splitter struct {
	line       string
	words      []lineWord
	begun      bool // a word has begun, at start
	start      int
	text       strings.Builder // the word's text, without its quotes
	quote      byte            // the open quote, or 0
	redirected bool            // the word is the file of a redirection
}

// quoted reads the byte at i, inside quotes, and returns the place of the last byte read.
func (s *splitter) quoted(i int) int {
	c := s.line[i]
	switch {
	case c == s.quote:
		s.quote = 0
		return i
	case c == '\\' && s.quote == '"' && i+1 < len(s.line) && strings.IndexByte("$`\"\\", s.line[i+1]) >= 0:
		i++
	}
	s.text.WriteByte(s.line[i])
	return i
}

// unquoted reads the byte at i, outside of quotes, and returns the place of the last byte read.
func (s *splitter) unquoted(i int) int {
	switch c := s.line[i]; c {
	case '\\':
		s.begin(i)
		if i++; i < len(s.line) {
			s.text.WriteByte(s.line[i])
		}
	case '\'', '"':
		s.begin(i)
		s.quote = c
	case ' ', '\t', '\n':
		s.end()
	case '<', '>':
		if s.begun && strings.Trim(s.text.String(), "0123456789&") == "" {
			s.drop() // it was the number of the redirected descriptor
		}
		s.end()
		s.redirected = true
	default:
		s.begin(i)
		s.text.WriteByte(c)
	}
	return i
}

// begin begins a word at i, unless one has begun.
func (s *splitter) begin(i int) {
	if !s.begun {
		s.start, s.begun = i, true
	}
}

// end ends the word, if one has begun.
func (s *splitter) end() {
	if !s.begun {
		return
	}
	if !s.redirected {
		s.words = append(s.words, lineWord{s.text.String(), s.start})
	}
	s.redirected = false
	s.drop()
}

// drop forgets the word that has begun.
func (s *splitter) drop() {
	s.begun = false
	s.text.Reset()
}

// unquoted returns the text of part of a word.
func unquoted(raw string) string {
	_, last := splitLine(raw)
	return last.text
}

// quotedAs quotes text for bash, to follow a word's beginning with or without an open quote. It
// returns false if that is impossible.
func quotedAs(quote byte, text string) (string, bool) {
	special := " \t\n\"'\\`$&;|<>()[]{}*?!#~^"
	switch quote {
	case '\'':
		return text, strings.IndexByte(text, '\'') < 0
	case '"':
		special = "\"\\`$"
		if strings.IndexByte(text, '!') >= 0 {
			return "", false // history expansion, which nothing there can quote
		}
	}
	var b strings.Builder
	for i := range len(text) {
		if strings.IndexByte(special, text[i]) >= 0 {
			b.WriteByte('\\')
		}
		b.WriteByte(text[i])
	}
	return b.String(), true
}
