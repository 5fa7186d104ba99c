package keyfile

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"strings"
)

// A sexp is an S-expression: an atom, which is bytes, or a list. libotr keeps private keys in
// S-expressions in libgcrypt's readable format.
type sexp struct {
	atom   []byte
	list   []sexp
	isList bool
}

// maxDepth is the maximum nesting depth of lists. libotr's file of private keys has five
// levels.
const maxDepth = 8

// parseSexp parses one S-expression, which may only be followed by white space. An atom is a
// token (letters, digits and "-./_:*+=", no digit first), a string in double quotes with C's
// escapes, or hexadecimal digits between two "#".
func parseSexp(b []byte) (sexp, error) {
	p := sexpParser{text: b}
	p.skipSpace()
	s, err := p.expression(0)
	if err == nil {
		if p.skipSpace(); len(p.text) > 0 {
			err = p.wrong(b, "text behind the end")
		}
	} else {
		err = p.wrong(b, err.Error())
	}
	if err != nil {
		s.wipe()
		return sexp{}, err
	}
	return s, nil
}

// head returns the atom at the beginning of a list.
func (s *sexp) head() string {
	if !s.isList || len(s.list) == 0 || s.list[0].isList {
		return ""
	}
	return string(s.list[0].atom)
}

// value returns the atom of a list "(name atom)".
func (s *sexp) value() ([]byte, error) {
	if len(s.list) != 2 || s.list[1].isList {
		return nil, fmt.Errorf("%w: %s has not one value", ErrFormat, s.head())
	}
	return s.list[1].atom, nil
}

// fields returns the elements of a list after the first. They must be lists that begin with
// the given names, each name exactly once.
func (s *sexp) fields(names ...string) ([]*sexp, error) {
	found := make([]*sexp, len(names))
	for i := 1; i < len(s.list); i++ {
		field := &s.list[i]
		at := -1
		for j, name := range names {
			if field.head() == name {
				at = j
			}
		}
		if at < 0 {
			return nil, fmt.Errorf("%w: %s has an unknown part", ErrFormat, s.head())
		}
		if found[at] != nil {
			return nil, fmt.Errorf("%w: %s has %s twice", ErrFormat, s.head(), names[at])
		}
		found[at] = field
	}
	for i, name := range names {
		if found[i] == nil {
			return nil, fmt.Errorf("%w: %s has no %s", ErrFormat, s.head(), name)
		}
	}
	return found, nil
}

// wipe overwrites every atom.
func (s *sexp) wipe() {
	clear(s.atom)
	for i := range s.list {
		s.list[i].wipe()
	}
}

type sexpParser struct {
	text []byte // the remaining input
}

// wrong returns an error with the position in whole. It never quotes the text there, which
// might be a secret.
func (p *sexpParser) wrong(whole []byte, what string) error {
	line := 1 + bytes.Count(whole[:len(whole)-len(p.text)], []byte("\n"))
	return fmt.Errorf("%w: line %d: %s", ErrFormat, line, what)
}

func (p *sexpParser) skipSpace() {
	p.text = bytes.TrimLeft(p.text, " \t\r\n\v\f")
}

func (p *sexpParser) expression(depth int) (sexp, error) {
	if len(p.text) == 0 {
		return sexp{}, fmt.Errorf("it ends too early")
	}
	switch c := p.text[0]; {
	case c == '(':
		return p.listAt(depth)
	case c == '"':
		atom, err := p.quoted()
		return sexp{atom: atom}, err
	case c == '#':
		atom, err := p.hex()
		return sexp{atom: atom}, err
	case isTokenByte(c) && !isDigit(c):
		n := 1
		for n < len(p.text) && isTokenByte(p.text[n]) {
			n++
		}
		atom := bytes.Clone(p.text[:n])
		p.text = p.text[n:]
		return sexp{atom: atom}, nil
	}
	return sexp{}, fmt.Errorf("neither a list, a name, a string nor a number")
}

// listAt parses a list. With an error it returns what was read before, so that the caller can
// wipe it.
func (p *sexpParser) listAt(depth int) (sexp, error) {
	s := sexp{isList: true}
	if depth == maxDepth {
		return s, fmt.Errorf("lists more than %d deep", maxDepth)
	}
	p.text = p.text[1:]
	for {
		p.skipSpace()
		if len(p.text) > 0 && p.text[0] == ')' {
			p.text = p.text[1:]
			return s, nil
		}
		element, err := p.expression(depth + 1)
		s.list = append(s.list, element)
		if err != nil {
			return s, err
		}
	}
}

// quoted parses a string. Bytes above ASCII stand for themselves.
func (p *sexpParser) quoted() ([]byte, error) {
	b := p.text[1:]
	var atom []byte
	for {
		if len(b) == 0 {
			return nil, fmt.Errorf("a string without end")
		}
		c := b[0]
		b = b[1:]
		switch {
		case c == '"':
			p.text = b
			return atom, nil
		case c < ' ' || c == 0x7f:
			return nil, fmt.Errorf("a control character in a string")
		case c == '\\':
			var err error
			if c, b, err = unescape(b); err != nil {
				return nil, err
			}
		}
		atom = append(atom, c)
	}
}

// unescape parses an escape sequence after its backslash.
func unescape(b []byte) (c byte, rest []byte, err error) {
	const letters, values = `btvnfr"'\`, "\b\t\v\n\f\r\"'\\"
	bad := fmt.Errorf("an unknown escape in a string")
	if len(b) == 0 {
		return 0, nil, bad
	}
	if i := strings.IndexByte(letters, b[0]); i >= 0 {
		return values[i], b[1:], nil
	}
	if len(b) < 3 {
		return 0, nil, bad
	}
	if b[0] == 'x' {
		var one [1]byte
		if _, err := hex.Decode(one[:], b[1:3]); err != nil {
			return 0, nil, bad
		}
		return one[0], b[3:], nil
	}
	value := 0
	for _, digit := range b[:3] {
		if digit < '0' || digit > '7' {
			return 0, nil, bad
		}
		value = value<<3 | int(digit-'0')
	}
	if value > 0xff {
		return 0, nil, bad
	}
	return byte(value), b[3:], nil
}

// hex parses hexadecimal digits, which may have white space between them.
func (p *sexpParser) hex() ([]byte, error) {
	end := bytes.IndexByte(p.text[1:], '#')
	if end < 0 {
		return nil, fmt.Errorf("a number without end")
	}
	digits := make([]byte, 0, end)
	defer func() { clear(digits) }()
	for _, c := range p.text[1 : 1+end] {
		if strings.IndexByte(" \t\r\n\v\f", c) < 0 {
			digits = append(digits, c)
		}
	}
	atom := make([]byte, hex.DecodedLen(len(digits)))
	if _, err := hex.Decode(atom, digits); err != nil {
		clear(atom)
		return nil, fmt.Errorf("a number with a wrong or missing digit")
	}
	p.text = p.text[1+end+1:]
	return atom, nil
}

func isDigit(c byte) bool { return '0' <= c && c <= '9' }

func isTokenByte(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || isDigit(c) || strings.IndexByte("-./_:*+=", c) >= 0
}

// appendAtom appends a name as libgcrypt does: as a token if possible, otherwise in quotes if
// it is mostly text, and otherwise in hexadecimal digits.
func appendAtom(b, atom []byte) []byte {
	token, text := len(atom) > 0 && !isDigit(atom[0]), len(atom) == 0 || atom[0] != 0 && atom[0] < 0x80
	for _, c := range atom {
		token = token && isTokenByte(c)
		if (c < ' ' || 0x7f <= c && c <= 0xa0) && strings.IndexByte("\b\t\v\n\f\r", c) < 0 {
			text = false
		}
	}
	switch {
	case token:
		return append(b, atom...)
	case !text:
		return appendNumber(b, atom)
	}
	const letters, values = `btvnfr"'\`, "\b\t\v\n\f\r\"'\\"
	b = append(b, '"')
	for _, c := range atom {
		if i := strings.IndexByte(values, c); i >= 0 {
			b = append(b, '\\', letters[i])
		} else {
			b = append(b, c)
		}
	}
	return append(b, '"')
}

// appendNumber appends bytes in upper-case hexadecimal digits.
func appendNumber(b, n []byte) []byte {
	b = append(b, '#')
	for _, c := range n {
		const digits = "0123456789ABCDEF"
		b = append(b, digits[c>>4], digits[c&0xf])
	}
	return append(b, '#')
}
