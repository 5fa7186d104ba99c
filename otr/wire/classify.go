package wire

import "bytes"

// Kind is the kind of a line, according to its markers alone.
type Kind int

// The kinds of lines.
const (
	KindPlain    Kind = iota // text without a marker
	KindTagged               // text with a whitespace tag
	KindQuery                // a query message
	KindError                // an error message
	KindEncoded              // an encoded message: "?OTR:"
	KindFragment             // a fragment of a message
)

// String names the kind.
func (k Kind) String() string {
	switch k {
	case KindPlain:
		return "plain"
	case KindTagged:
		return "tagged"
	case KindQuery:
		return "query"
	case KindError:
		return "error"
	case KindEncoded:
		return "encoded"
	case KindFragment:
		return "fragment"
	default:
		return "unknown kind"
	}
}

// Classify returns the kind of a line. A marker counts anywhere in the line, because other
// clients put text around it, and its case matters. If there are several, the first decides:
// an error message that quotes a message is an error message, and a fragment of a message is
// a fragment. "?OTR" that does not continue like any marker is text.
//
// A line of kind KindEncoded or KindFragment can still be damaged.
func Classify(line []byte) Kind {
	if kind, _ := find(line); kind != KindPlain {
		return kind
	}
	if at, _ := findTag(line); at >= 0 {
		return KindTagged
	}
	return KindPlain
}

const marker = "?OTR"

// find returns the kind of the first marker in line and where it starts, or
// KindPlain.
func find(line []byte) (Kind, int) {
	for at := 0; ; at += len(marker) {
		next := bytes.Index(line[at:], []byte(marker))
		if next < 0 {
			return KindPlain, 0
		}
		at += next
		if kind := markerKind(line[at:]); kind != KindPlain {
			return kind, at
		}
	}
}

// markerKind returns the kind of a text that begins with "?OTR".
func markerKind(text []byte) Kind {
	text = text[len(marker):]
	if len(text) == 0 {
		return KindPlain
	}
	switch c, rest := text[0], text[1:]; c {
	case ':':
		return KindEncoded
	case '|':
		if len(rest) > 0 && hexDigit(rest[0]) >= 0 {
			return KindFragment
		}
	case ',':
		if len(rest) > 0 && isDigit(rest[0]) {
			return KindFragment
		}
	case ' ':
		if bytes.HasPrefix(text, []byte(errorText)) {
			return KindError
		}
	case '?', 'v':
		if _, ok := queryVersions(text); ok {
			return KindQuery
		}
	}
	return KindPlain
}

func isDigit(c byte) bool {
	return '0' <= c && c <= '9'
}

// hexDigit returns the value of the hexadecimal digit c of either case, or -1.
func hexDigit(c byte) int {
	switch {
	case isDigit(c):
		return int(c - '0')
	case 'a' <= c && c <= 'f':
		return int(c-'a') + 10
	case 'A' <= c && c <= 'F':
		return int(c-'A') + 10
	default:
		return -1
	}
}
