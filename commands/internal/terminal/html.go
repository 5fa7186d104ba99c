package terminal

import (
	"html"
	"strings"
	"sync/atomic"
	"unicode"
)

// An htmlElement says how a tag of an element that IM clients write is read.
type htmlElement struct {
	newLine bool // it begins a new line
	void    bool // it has no end tag
}

var (
	inline = htmlElement{}
	block  = htmlElement{newLine: true}
)

// htmlElements are the HTML elements that IM clients write.
var htmlElements = map[string]htmlElement{
	"a": inline, "b": inline, "big": inline, "body": inline, "code": inline, "del": inline, "em": inline, "font": inline,
	"head": inline, "html": inline, "i": inline, "ins": inline, "s": inline, "small": inline, "span": inline,
	"strike": inline, "strong": inline, "sub": inline, "sup": inline, "td": inline, "tt": inline, "u": inline,
	"blockquote": block, "div": block, "h1": block, "h2": block, "h3": block, "h4": block, "h5": block, "h6": block,
	"li": block, "ol": block, "p": block, "pre": block, "table": block, "tr": block, "ul": block,
	"br": {newLine: true, void: true}, "hr": {newLine: true, void: true}, "img": {void: true},
}

// htmlTag matches a tag that is whole: a name, attributes that have values, and a slash at either
// end. What people write between "<" and ">" is hardly ever of this form.
var htmlTag = pattern(`^<(?:/([A-Za-z][A-Za-z0-9]*)[ \t\r\n]*|` +
	`([A-Za-z][A-Za-z0-9]*)(?:[ \t\r\n]+[A-Za-z_:][-A-Za-z0-9_:.]*[ \t\r\n]*=[ \t\r\n]*(?:"[^"]*"|'[^']*'|[^ \t\r\n"'=<>` + "`" + `]+))*[ \t\r\n]*/?)>`)

// htmlEntity matches an entity that is whole.
var htmlEntity = pattern(`&(?:#[0-9]{1,7}|#[xX][0-9A-Fa-f]{1,6}|[A-Za-z][A-Za-z0-9]{1,31});`)

// maxTag is the longest tag in bytes: a link with the longest address that browsers are
// isTag to take. Without a limit the time for a message of unfinished tags would grow
// with the square of its length.
const maxTag = 2048 + 64

// htmlAttribute matches one attribute of such a tag.
var htmlAttribute = pattern(`[ \t\r\n]([A-Za-z_:][-A-Za-z0-9_:.]*)[ \t\r\n]*=[ \t\r\n]*("[^"]*"|'[^']*'|[^ \t\r\n"'=<>` + "`" + `]+)`)

// An HTML reads the messages of one peer, whose client may write HTML, and writes what
// such a client shows as it was typed. It begins with a peer that has sent no HTML. It
// may be used from several goroutines.
type HTML struct {
	seen atomic.Bool // the peer has sent HTML
}

// Text returns a message as text. Until the peer has sent HTML, which is a start tag
// that IM clients write with its end tag, text is as it came: it may be of HTML, of
// mathematics or of a command line. From then on, tags that have their partner, or need
// none, are left out, and entities stand for their characters; elements that begin a
// line become a blank, because a message is one line; the address of a link is shown
// behind it, and an image's text for it. What is not certainly a tag stays.
func (h *HTML) Text(s string) string {
	tags, paired := findTags(s)
	if paired {
		h.seen.Store(true)
	}
	if !h.seen.Load() {
		return s
	}
	var b strings.Builder
	var links []htmlLink // those that are open
	end := 0
	for _, tag := range tags {
		b.WriteString(characters(s[end:tag.start]))
		end = tag.end
		if tag.newLine && b.Len() > 0 && !strings.HasSuffix(b.String(), " ") {
			b.WriteByte(' ')
		}
		switch {
		case tag.name == "img":
			b.WriteString(imageText(s[tag.start:tag.end]))
		case tag.name == "a" && !tag.closing:
			links = append(links, htmlLink{address: attribute(s[tag.start:tag.end], "href"), start: b.Len()})
		case tag.name == "a" && len(links) > 0:
			link := links[len(links)-1]
			links = links[:len(links)-1]
			b.WriteString(link.behind(b.String()[link.start:]))
		}
	}
	b.WriteString(characters(s[end:]))
	return strings.TrimRight(b.String(), " ")
}

// Escape returns what is typed as the peer's client shows it: with the characters that
// mean something in HTML as entities, if the peer has sent HTML.
func (h *HTML) Escape(s string) string {
	if !h.seen.Load() {
		return s
	}
	return htmlEscaper.Replace(s)
}

// Forget begins anew, for another peer.
func (h *HTML) Forget() { h.seen.Store(false) }

var htmlEscaper = strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;")

// A foundTag is a tag to be left out.
type foundTag struct {
	htmlElement
	name       string // in lower case
	closing    bool
	start, end int // in the message
}

// findTags returns the tags of a message that surely are some: of a known element, and
// with their partner where the element has two. Paired tells whether there is such a
// pair.
func findTags(s string) (tags []foundTag, paired bool) {
	open := make(map[string][]int) // start tags without their partner, by name, as indexes
	var all []foundTag
	isTag := make(map[int]bool)
	for at := 0; ; {
		next := strings.IndexByte(s[at:], '<')
		if next < 0 {
			break
		}
		at += next
		match := htmlTag().FindStringSubmatch(s[at:min(len(s), at+maxTag)])
		if match == nil {
			at++
			continue
		}
		name := strings.ToLower(match[1] + match[2])
		element, known := htmlElements[name]
		if !known {
			at++
			continue
		}
		tag := foundTag{htmlElement: element, name: name, closing: match[1] != "", start: at, end: at + len(match[0])}
		at = tag.end
		starts := open[name]
		switch {
		case element.void:
			isTag[len(all)] = !tag.closing
		case !tag.closing:
			open[name] = append(starts, len(all))
		case len(starts) > 0:
			isTag[len(all)], isTag[starts[len(starts)-1]] = true, true
			open[name] = starts[:len(starts)-1]
			paired = true
		}
		all = append(all, tag)
	}
	for i, tag := range all {
		if isTag[i] {
			tags = append(tags, tag)
		}
	}
	return tags, paired
}

// attribute returns an attribute of a tag as text; "" if it has none of the name.
func attribute(tag, name string) string {
	for _, match := range htmlAttribute().FindAllStringSubmatch(tag, -1) {
		if strings.EqualFold(match[1], name) {
			value := match[2]
			if value[0] == '"' || value[0] == '\'' {
				value = value[1 : len(value)-1]
			}
			return Visible(strings.TrimSpace(characters(value)))
		}
	}
	return ""
}

// imageText is what is shown for an image.
func imageText(tag string) string {
	if text := attribute(tag, "alt"); text != "" {
		return text
	}
	return "[image]"
}

// An htmlLink is a link whose end has not come.
type htmlLink struct {
	address string
	start   int // where its text begins in what is written
}

// behind is what is written behind the link's text: its address, unless the text is
// the address.
func (l htmlLink) behind(text string) string {
	text = strings.TrimSpace(text)
	if l.address == "" || l.address == text || l.address == "mailto:"+text {
		return ""
	}
	if text == "" {
		return l.address
	}
	return " (" + l.address + ")"
}

// characters is s with its entities as what they stand for. One that nobody knows
// stays, and so does one for a control character: a line's end would make two
// messages of one.
func characters(s string) string {
	return htmlEntity().ReplaceAllStringFunc(s, func(e string) string {
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
