package commands

import (
	"html"
	"strings"
)

// blocks are the HTML elements that begin a new line.
var blocks = map[string]bool{
	"br": true, "p": true, "div": true, "li": true, "tr": true, "hr": true, "pre": true, "blockquote": true,
	"h1": true, "h2": true, "h3": true, "h4": true, "h5": true, "h6": true, "ul": true, "ol": true, "table": true,
}

// plainText is the text of a message that an IM client may have written as
// HTML: without tags and comments, entities as characters, elements that begin
// a line as a blank, because a message is one line.
func plainText(s string) string {
	var b strings.Builder
	for {
		start := strings.IndexByte(s, '<')
		if start < 0 {
			break
		}
		tag, rest, ok := cutTag(s[start:])
		b.WriteString(s[:start])
		if !ok { // a "<" that begins no tag
			b.WriteByte('<')
			s = s[start+1:]
			continue
		}
		if blocks[elementOf(tag)] && b.Len() > 0 && !strings.HasSuffix(b.String(), " ") {
			b.WriteByte(' ')
		}
		s = rest
	}
	b.WriteString(s)
	return strings.TrimRight(html.UnescapeString(b.String()), " ")
}

// cutTag cuts the tag or comment off that s begins with. It ends behind the
// first ">" outside of quotes.
func cutTag(s string) (tag, rest string, ok bool) {
	if comment, found := strings.CutPrefix(s, "<!--"); found {
		_, rest, ok = strings.Cut(comment, "-->")
		return "", rest, ok
	}
	if len(s) < 2 || !isLetter(s[1]) && s[1] != '/' && s[1] != '!' {
		return "", "", false
	}
	quote := byte(0)
	for i := 1; i < len(s); i++ {
		switch c := s[i]; {
		case quote != 0:
			if c == quote {
				quote = 0
			}
		case c == '"' || c == '\'':
			quote = c
		case c == '>':
			return s[1:i], s[i+1:], true
		}
	}
	return "", "", false
}

// elementOf is the name of the element that a tag begins or ends.
func elementOf(tag string) string {
	tag = strings.TrimPrefix(tag, "/")
	n := 0
	for n < len(tag) && (isLetter(tag[n]) || '0' <= tag[n] && tag[n] <= '9') {
		n++
	}
	return strings.ToLower(tag[:n])
}

func isLetter(c byte) bool { return 'a' <= c|0x20 && c|0x20 <= 'z' }
