package terminal

import (
	"html"
	"regexp"
	"strings"
	"unicode"
)

// htmlElements are the HTML elements that IM clients write. Those that are true
// begin a new line.
var htmlElements = map[string]bool{
	"a": false, "b": false, "big": false, "body": false, "code": false, "del": false, "em": false, "font": false,
	"head": false, "html": false, "i": false, "img": false, "ins": false, "s": false, "small": false, "span": false,
	"strike": false, "strong": false, "sub": false, "sup": false, "tt": false, "u": false,
	"blockquote": true, "br": true, "div": true, "h1": true, "h2": true, "h3": true, "h4": true, "h5": true, "h6": true,
	"hr": true, "li": true, "ol": true, "p": true, "pre": true, "table": true, "td": false, "tr": true, "ul": true,
}

// htmlTag matches a tag that is whole: a name, attributes that have values, and a slash at either
// end. What people write between "<" and ">" is hardly ever of this form.
var htmlTag = regexp.MustCompile(`^<(?:/([A-Za-z][A-Za-z0-9]*)[ \t\r\n]*|` +
	`([A-Za-z][A-Za-z0-9]*)(?:[ \t\r\n]+[A-Za-z_:][-A-Za-z0-9_:.]*[ \t\r\n]*=[ \t\r\n]*(?:"[^"]*"|'[^']*'|[^ \t\r\n"'=<>` + "`" + `]+))*[ \t\r\n]*/?)>`)

// htmlEntity matches an entity that is whole.
var htmlEntity = regexp.MustCompile(`&(?:#[0-9]{1,7}|#[xX][0-9A-Fa-f]{1,6}|[A-Za-z][A-Za-z0-9]{1,31});`)

// HTMLText is the text of a message that an IM client may have written as HTML:
// without the tags that IM clients write, their entities as characters, elements
// that begin a line as a blank, because a message is one line. It may also be plain
// text in which somebody writes of HTML or of mathematics; whatever is not
// certainly a tag stays.
func HTMLText(s string) string {
	var b strings.Builder
	for {
		start := strings.IndexByte(s, '<')
		if start < 0 {
			break
		}
		b.WriteString(characters(s[:start]))
		s = s[start:]
		newLine, n := cutTag(s)
		if n == 0 { // a "<" that begins no tag
			b.WriteByte('<')
			s = s[1:]
			continue
		}
		if newLine && b.Len() > 0 && !strings.HasSuffix(b.String(), " ") {
			b.WriteByte(' ')
		}
		s = s[n:]
	}
	b.WriteString(characters(s))
	return strings.TrimRight(b.String(), " ")
}

// cutTag is the length of the known tag that s begins with, and whether it begins
// a new line; 0: there is none.
func cutTag(s string) (newLine bool, n int) {
	found := htmlTag.FindStringSubmatch(s)
	if found == nil {
		return false, 0
	}
	newLine, known := htmlElements[strings.ToLower(found[1]+found[2])]
	if !known {
		return false, 0
	}
	return newLine, len(found[0])
}

// characters is s with its entities as what they stand for. One that nobody knows
// stays, and so does one for a control character: a line's end would make two
// messages of one.
func characters(s string) string {
	return htmlEntity.ReplaceAllStringFunc(s, func(e string) string {
		text := html.UnescapeString(e)
		if text != ";" && strings.HasSuffix(text, ";") { // at most its beginning is known
			return e
		}
		if strings.ContainsFunc(text, lineOrControl) {
			return e
		}
		return text
	})
}

func lineOrControl(r rune) bool {
	return unicode.IsControl(r) || unicode.In(r, unicode.Zl, unicode.Zp)
}
