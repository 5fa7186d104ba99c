package complete

import (
	"regexp"
	"strings"
)

// A lastWord is the last word of a line that is being typed.
type lastWord struct {
	raw   string // as it was typed
	text  string // without its quotes
	quote byte   // ' or ", unless it is closed; else 0
}

// A lineWord is a word of a line, without its quotes, and where it begins.
type lineWord struct {
	text string
	at   int
}

// assignment is a word before a command's name that sets a variable for it.
var assignment = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*=`)

// splitCommand is splitLine without what stands before the command's name.
func splitCommand(line string) (words []lineWord, last lastWord) {
	words, last = splitLine(line)
	for len(words) > 0 && assignment.MatchString(words[0].text) {
		words = words[1:]
	}
	return words, last
}

// splitLine takes a line of shell, as far as it has been typed, apart as bash
// does: the words before the last, and the last. What would be expanded stays as
// it is. Redirections are no words.
func splitLine(line string) (words []lineWord, last lastWord) {
	start, begun, redirected := 0, false, false
	var text strings.Builder
	var quote byte
	end := func() {
		if begun && !redirected {
			words = append(words, lineWord{text.String(), start})
		}
		if begun {
			redirected = false
		}
		text.Reset()
		begun = false
	}
	begin := func(i int) {
		if !begun {
			start, begun = i, true
		}
	}
	for i := 0; i < len(line); i++ {
		c := line[i]
		switch {
		case quote == '\'' && c != '\'', quote == '"' && c != '"' && c != '\\':
			text.WriteByte(c)
		case quote != 0 && c == quote:
			quote = 0
		case c == '\\' && quote == '"' && (i+1 == len(line) || strings.IndexByte("$`\"\\", line[i+1]) < 0):
			text.WriteByte(c)
		case c == '\\':
			begin(i)
			if i++; i < len(line) {
				text.WriteByte(line[i])
			}
		case c == '\'' || c == '"':
			begin(i)
			quote = c
		case c == ' ' || c == '\t' || c == '\n':
			end()
		case c == '<' || c == '>':
			if begun && strings.Trim(text.String(), "0123456789&") == "" {
				begun = false // the descriptor before it
				text.Reset()
			}
			end()
			redirected = true
		default:
			begin(i)
			text.WriteByte(c)
		}
	}
	if begun {
		last = lastWord{raw: line[start:], text: text.String(), quote: quote}
	}
	return words, last
}

// unquoted is the text of a part of a word.
func unquoted(raw string) string {
	_, last := splitLine(raw)
	return last.text
}

// quotedAs writes text so that bash reads it as it is, where the word has begun
// with a quote or with none; false: it cannot be written there.
func quotedAs(quote byte, text string) (string, bool) {
	special := " \t\n\"'\\`$&;|<>()[]{}*?!#~^"
	switch quote {
	case '\'':
		return text, strings.IndexByte(text, '\'') < 0
	case '"':
		special = "\"\\`$"
		if strings.IndexByte(text, '!') >= 0 {
			return "", false // history, whatever stands before it
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
