package toolkit

import (
	"bytes"
	"errors"
	"fmt"
	"io"

	"otrpipe/otr/wire"
)

const (
	// maxToken is the length of the longest message that is read, in bytes of text. An
	// encoded message of wire.MaxMessage bytes is shorter, even with line breaks.
	maxToken = 2 << 20
	// maxShortToken is how many bytes after a marker can belong to a query, a whitespace tag,
	// or the head of a fragment.
	maxShortToken = 256
	// maxErrorText is how many bytes of an error message are kept.
	maxErrorText = 4 << 10
	// readSize is how many bytes are read at a time.
	readSize = 64 << 10
)

const (
	marker      = "?OTR"
	encodedMark = "?OTR:"
	prekeyMark  = "?OTRP:"
	errorMark   = "?OTR Error:"
	// tagMark is the beginning of every whitespace tag.
	tagMark = " \t  \t\t\t\t \t \t \t  "
)

var (
	// ErrUnfinished reports a message that is not complete at the end of the input.
	ErrUnfinished = errors.New("toolkit: the message does not end")
	// ErrTooLong reports a message of more than 2 MiB of text.
	ErrTooLong = errors.New("toolkit: the message is longer than 2 MiB")
)

// A Position is a position in the input.
type Position struct {
	Line   int   // counted from 1
	Column int   // in bytes, counted from 1
	Offset int64 // in bytes, counted from 0
}

// String returns "line L, column C".
func (p Position) String() string { return fmt.Sprintf("line %d, column %d", p.Line, p.Column) }

// A Token is one OTR message found in a text.
type Token struct {
	Position
	Kind wire.Kind // never KindPlain
	// Ensemble is set for a prekey ensemble of version 4, which is armored like an encoded
	// message.
	Ensemble bool
	// Text is the message, without line breaks and blanks that were inserted into it. It is
	// valid until the next call of Next.
	Text []byte
	// Err, unless nil, is the reason why the message is incomplete: it wraps ErrUnfinished,
	// ErrTooLong or wire.ErrArmor, and Text is the part that was read.
	Err error
	// ErrAt is the position of the fault.
	ErrAt Position
}

// A Scanner finds the OTR messages in a text: clean lines, or a chat log with prefixes,
// several messages on a line, or messages that are broken over several lines. It uses at most
// a few megabytes of memory, regardless of the length of the text and its lines. Only one
// goroutine may use it.
type Scanner struct {
	r     io.Reader
	buf   []byte
	at    int // the index of the first byte in buf that has not been passed
	pos   Position
	ended bool
	err   error // the reader's error, other than io.EOF
	text  []byte
}

// NewScanner returns a Scanner that reads from r.
func NewScanner(r io.Reader) *Scanner {
	return &Scanner{r: r, pos: Position{Line: 1, Column: 1}}
}

// Next returns the next message, io.EOF after the last one, or the reader's error.
func (s *Scanner) Next() (Token, error) {
	for {
		s.fill(maxShortToken)
		rest := s.buf[s.at:]
		n := nextMark(rest)
		if n < 0 {
			if s.ended {
				s.pass(len(rest))
				if s.err != nil {
					return Token{}, s.err
				}
				return Token{}, io.EOF
			}
			// A marker may begin in the last bytes.
			s.pass(len(rest) - min(len(rest), len(tagMark)-1))
			continue
		}
		s.pass(n)
		s.fill(maxShortToken)
		if t, ok := s.token(); ok {
			return t, nil
		}
		s.pass(1)
	}
}

// nextMark returns where the first marker or whitespace tag in b may begin, or -1.
func nextMark(b []byte) int {
	m := bytes.Index(b, []byte(marker))
	if m >= 0 {
		b = b[:m]
	}
	if t := bytes.Index(b, []byte(tagMark)); t >= 0 {
		return t
	}
	return m
}

// fill reads until buf has n bytes that have not been passed, or until the end of the input.
func (s *Scanner) fill(n int) {
	for len(s.buf)-s.at < n && !s.ended {
		if s.at > 0 && (s.at >= readSize || s.at == len(s.buf)) {
			s.buf = append(s.buf[:0], s.buf[s.at:]...)
			s.at = 0
		}
		old := len(s.buf)
		if cap(s.buf)-old < readSize {
			grown := make([]byte, old, max(2*cap(s.buf), old+readSize))
			copy(grown, s.buf)
			s.buf = grown
		}
		m, err := s.r.Read(s.buf[old : old+readSize])
		s.buf = s.buf[:old+m]
		if err != nil {
			s.ended = true
			if err != io.EOF {
				s.err = err
			}
		}
	}
}

// pass moves the current position forward by n bytes.
func (s *Scanner) pass(n int) {
	s.pos = s.pos.after(s.buf[s.at : s.at+n])
	s.at += n
}

// after returns the position after a text that begins at p.
func (p Position) after(text []byte) Position {
	p.Offset += int64(len(text))
	if lines := bytes.Count(text, []byte{'\n'}); lines > 0 {
		p.Line += lines
		p.Column = len(text) - bytes.LastIndexByte(text, '\n')
	} else {
		p.Column += len(text)
	}
	return p
}

// token reads the message at the current position, if there is one, and moves past it.
func (s *Scanner) token() (Token, bool) {
	head := s.buf[s.at:min(s.at+maxShortToken, len(s.buf))]
	t := Token{Position: s.pos}
	switch {
	case bytes.HasPrefix(head, []byte(encodedMark)):
		t.Kind = wire.KindEncoded
		s.text = append(s.text[:0], encodedMark...)
		s.pass(len(encodedMark))
		s.body(&t, '.', isBase64)
	case bytes.HasPrefix(head, []byte(prekeyMark)):
		t.Kind, t.Ensemble = wire.KindEncoded, true
		s.text = append(s.text[:0], prekeyMark...)
		s.pass(len(prekeyMark))
		s.body(&t, '.', isBase64)
	case bytes.HasPrefix(head, []byte(errorMark)):
		t.Kind = wire.KindError
		s.fill(maxErrorText)
		rest := s.buf[s.at:]
		end := bytes.IndexByte(rest, '\n')
		if end < 0 || end > maxErrorText {
			end = min(len(rest), maxErrorText)
		}
		s.text = append(s.text[:0], bytes.TrimSuffix(rest[:end], []byte{'\r'})...)
		s.pass(end)
	case bytes.HasPrefix(head, []byte(tagMark)):
		line, _, _ := bytes.Cut(head, []byte{'\n'})
		_, behind, ok := wire.ParseTag(line)
		if !ok {
			return Token{}, false
		}
		t.Kind = wire.KindTagged
		n := len(line) - len(behind)
		s.text = append(s.text[:0], line[:n]...)
		s.pass(n)
	default:
		return s.markedToken(head, t)
	}
	t.Text = s.text
	return t, true
}

// markedToken reads a query or a fragment.
func (s *Scanner) markedToken(head []byte, t Token) (Token, bool) {
	if n := queryLen(head); n > 0 {
		t.Kind = wire.KindQuery
		s.text = append(s.text[:0], head[:n]...)
		s.pass(n)
		t.Text = s.text
		return t, true
	}
	n := fragmentHeadLen(head)
	if n == 0 {
		return Token{}, false
	}
	t.Kind = wire.KindFragment
	s.text = append(s.text[:0], head[:n]...)
	s.pass(n)
	s.body(&t, ',', isPiece)
	t.Text = s.text
	return t, true
}

// body appends the bytes up to and including end to the token's text, without white space. It
// also stops at a byte that cannot belong to the message.
func (s *Scanner) body(t *Token, end byte, belongs func(byte) bool) {
	for {
		s.fill(1)
		rest := s.buf[s.at:]
		if len(rest) == 0 {
			t.Err, t.ErrAt = ErrUnfinished, s.pos
			return
		}
		for n, c := range rest {
			switch {
			case c == end:
				s.text = append(append(s.text, rest[:n]...), c)
				s.text = dropSpace(s.text)
				s.pass(n + 1)
				return
			case !belongs(c) && !isSpace(c):
				s.text = dropSpace(append(s.text, rest[:n]...))
				s.pass(n)
				t.Err, t.ErrAt = fmt.Errorf("%w: byte 0x%02x stands in it", ErrUnfinished, c), s.pos
				return
			case len(s.text)+n >= maxToken:
				s.text = dropSpace(append(s.text, rest[:n]...))
				s.pass(n)
				t.Err, t.ErrAt = ErrTooLong, s.pos
				return
			}
		}
		s.text = append(s.text, rest...)
		s.pass(len(rest))
	}
}

func isBase64(c byte) bool {
	return 'A' <= c && c <= 'Z' || 'a' <= c && c <= 'z' || '0' <= c && c <= '9' || c == '+' || c == '/' || c == '='
}

// isPiece reports whether c can occur in a piece of an encoded message.
func isPiece(c byte) bool { return isBase64(c) || c == '?' || c == ':' || c == '.' }

func isSpace(c byte) bool { return c == ' ' || c == '\t' || c == '\r' || c == '\n' }

// dropSpace removes the white space in b.
func dropSpace(b []byte) []byte {
	kept := b[:0]
	for _, c := range b {
		if !isSpace(c) {
			kept = append(kept, c)
		}
	}
	return kept
}

// queryLen returns the length of the query message at the beginning of b, or 0.
func queryLen(b []byte) int {
	n := len(marker)
	if n < len(b) && b[n] == '?' {
		n++
	}
	if n < len(b) && b[n] == 'v' {
		m := n + 1
		for m < len(b) && (isBase64(b[m]) && b[m] != '+' && b[m] != '/' && b[m] != '=') {
			m++
		}
		if m < len(b) && b[m] == '?' {
			n = m + 1
		} else {
			for m > n+1 && (b[m-1] < '0' || b[m-1] > '9') {
				m--
			}
			n = m
		}
	}
	for ; n > len(marker); n-- {
		if _, ok := wire.ParseQuery(b[:n]); ok {
			return n
		}
	}
	return 0
}

// fragmentHeadLen returns the number of bytes before the piece of the fragment at the
// beginning of b, or 0.
func fragmentHeadLen(b []byte) int {
	if wire.Classify(b) != wire.KindFragment || !bytes.HasPrefix(b, []byte(marker)) {
		return 0
	}
	commas := 0
	for n := len(marker); n < len(b); n++ {
		switch c := b[n]; {
		case c == ',':
			if commas++; commas == 3 {
				return n + 1
			}
		case c == '|' && commas == 0:
		case '0' <= c && c <= '9' || commas == 0 && ('a' <= c && c <= 'f' || 'A' <= c && c <= 'F'):
		default:
			return 0
		}
	}
	return 0
}
