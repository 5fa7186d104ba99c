package editor

import (
	"bytes"
	"strings"
	"unicode"
	"unicode/utf8"

	"otrpipe/commands/internal/terminal"
)

// A code is the meaning of a key.
type code int

const (
	keyNone            code = iota // an unknown key
	keyRune                        // a character
	keyPaste                       // a pasted text
	keyTooLong                     // a pasted text that is longer than a line can be
	keyUnreadable                  // bytes that are no character of the terminal's charset
	keyUnreadablePaste             // a pasted text that contains such bytes
	keyEnter
	keyNewline
	keyInterrupt
	keyEnd
	keyHome
	keyLeft
	keyRight
	keyWordLeft
	keyWordRight
	keyUp
	keyDown
	keyBackspace
	keyDelete
	keyEOF // or delete
	keyKillStart
	keyKillEnd
	keyKillWord
	keyKillWordRight
	keyYank
	keyClear
	keySuspend
	keyTab
)

// A key is a key press or a pasted text.
type key struct {
	code code
	r    rune   // keyRune
	text []byte // keyPaste; line ends are LF
}

// controls holds the keys of single bytes.
var controls = [256]code{
	'\r': keyEnter, '\n': keyEnter, 0x7f: keyBackspace,
	'A' & ctrl: keyHome, 'B' & ctrl: keyLeft, 'C' & ctrl: keyInterrupt, 'D' & ctrl: keyEOF,
	'E' & ctrl: keyEnd, 'I' & ctrl: keyTab, 'F' & ctrl: keyRight, 'H' & ctrl: keyBackspace, 'K' & ctrl: keyKillEnd,
	'L' & ctrl: keyClear, 'N' & ctrl: keyDown, 'P' & ctrl: keyUp, 'U' & ctrl: keyKillStart,
	'W' & ctrl: keyKillWord, 'Y' & ctrl: keyYank, 'Z' & ctrl: keySuspend,
}

// ctrl masks the bits of a letter that the Ctrl key leaves.
const ctrl = 0x1f

// sequenceKey returns the key for which terminals send ESC and s.
func sequenceKey(s string) code {
	switch s {
	case "[A", "OA":
		return keyUp
	case "[B", "OB":
		return keyDown
	case "[C", "OC":
		return keyRight
	case "[D", "OD":
		return keyLeft
	case "[H", "OH", "[1~", "[7~":
		return keyHome
	case "[F", "OF", "[4~", "[8~":
		return keyEnd
	case "[3~":
		return keyDelete
	case "OM":
		return keyEnter
	case "[1;5C", "[1;3C", "f":
		return keyWordRight
	case "[1;5D", "[1;3D", "b":
		return keyWordLeft
	case "d":
		return keyKillWordRight
	case "\x7f":
		return keyKillWord
	case "\r", "\n":
		return keyNewline
	}
	return keyNone
}

// The marks that terminals put around a pasted text on request.
const (
	pasteBegin = "\x1b[200~"
	pasteEnd   = "\x1b[201~"
)

// A decoder converts a terminal's input to keys.
type decoder struct {
	charset *terminal.Decoder // nil: the terminal is UTF-8
	unread  []byte
	pasting bool
	pasted  []byte
	tooLong bool
}

// feed adds input from the terminal.
func (d *decoder) feed(b []byte) {
	if d.charset == nil {
		d.unread = join(d.unread, b)
		return
	}
	decoded := d.charset.Append(make([]byte, 0, maxGrowth*len(b)+maxGrowth), b)
	d.unread = join(d.unread, decoded)
	clear(decoded)
}

// maxGrowth is the maximum number of bytes in UTF-8 of a byte in another charset.
const maxGrowth = utf8.UTFMax

// join appends b to a, both of which may be part of a secret. If a does not have the room, join
// wipes it and returns another slice.
func join(a, b []byte) []byte {
	if len(a)+len(b) <= cap(a) {
		return append(a, b...)
	}
	grown := make([]byte, 0, max(2*cap(a), len(a)+len(b)))
	grown = append(append(grown, a...), b...)
	clear(a)
	return grown
}

// next removes the first key; false: none is complete. Because the ESC key is also the beginning
// of other keys' sequences, input counts as complete if nothing else has arrived for a while.
func (d *decoder) next(all bool) (key, bool) {
	if d.pasting {
		return d.paste()
	}
	if len(d.unread) == 0 {
		return key{}, false
	}
	if d.unread[0] == 0x1b {
		return d.sequence(all)
	}
	if c := controls[d.unread[0]]; c != keyNone {
		d.drop(1)
		return key{code: c}, true
	}
	if !utf8.FullRune(d.unread) && !all {
		return key{}, false
	}
	r, n := utf8.DecodeRune(d.unread)
	d.drop(n)
	switch {
	case r == utf8.RuneError && n <= 1:
		return key{code: keyUnreadable}, true
	case unicode.IsControl(r):
		return key{}, true
	}
	return key{code: keyRune, r: r}, true
}

// sequence removes a key that begins with ESC.
func (d *decoder) sequence(all bool) (key, bool) {
	n := sequenceLen(d.unread)
	if n == 0 {
		// The rest of the mark of a pasted text may be late. Without the mark, each line end in
		// the text would be the Enter key. No other key sends this much of it.
		late := len(d.unread) > len("\x1b[") && strings.HasPrefix(pasteBegin, string(d.unread))
		if !all || late {
			return key{}, false
		}
		n = len(d.unread)
	}
	s := string(d.unread[:n])
	d.drop(n)
	if s == pasteBegin {
		d.pasting = true
		return d.paste()
	}
	return key{code: sequenceKey(s[1:])}, true
}

// sequenceLen returns the length of the sequence at the beginning of b; 0: it is not complete.
// See ECMA-48, 5.4. Another ESC always begins a new sequence, so that the ESC key does not hide
// the mark of a pasted text.
func sequenceLen(b []byte) int {
	if len(b) < 2 {
		return 0
	}
	switch b[1] {
	case 0x1b:
		return 1
	case 'O':
		switch {
		case len(b) < 3:
			return 0
		case b[2] == 0x1b:
			return 2
		}
		return 3
	case '[':
		for i, c := range b[2:] {
			switch {
			case c == 0x1b:
				return 2 + i
			case c < 0x20 || c > 0x3f:
				return 2 + i + 1
			}
		}
		return 0
	}
	_, n := utf8.DecodeRune(b[1:])
	return 1 + n
}

// paste collects a pasted text. It drops text that is too long for a line.
func (d *decoder) paste() (key, bool) {
	end := bytes.Index(d.unread, []byte(pasteEnd))
	n := end
	if end < 0 {
		n = max(0, len(d.unread)-len(pasteEnd)+1)
	}
	if len(d.pasted)+n > maxLine {
		d.tooLong = true
	} else {
		d.pasted = join(d.pasted, d.unread[:n])
	}
	d.drop(n)
	if end < 0 {
		return key{}, false
	}
	d.drop(len(pasteEnd))
	var k key
	switch {
	case d.tooLong:
		k.code = keyTooLong
	case !utf8.Valid(d.pasted):
		k.code = keyUnreadablePaste
	default:
		k = key{code: keyPaste, text: plain(d.pasted)}
	}
	clear(d.pasted)
	d.pasting, d.pasted, d.tooLong = false, d.pasted[:0], false
	return k, true
}

// plain returns a pasted text, which is valid UTF-8, with LF as line ends, none after the last
// line, and without control characters other than tabs. It leaves no other copy of the text,
// which may be a secret.
func plain(b []byte) []byte {
	text := make([]byte, 0, len(b))
	for len(b) > 0 {
		r, n := utf8.DecodeRune(b)
		b = b[n:]
		switch {
		case r == '\r' && len(b) > 0 && b[0] == '\n':
		case r == '\r':
			text = append(text, '\n')
		case unicode.IsControl(r) && r != '\n' && r != '\t':
		default:
			text = utf8.AppendRune(text, r)
		}
	}
	return bytes.TrimRight(text, "\n")
}

// wipe wipes what was typed and has not become a key.
func (d *decoder) wipe() {
	clear(d.unread)
	clear(d.pasted)
	d.unread, d.pasted, d.pasting, d.tooLong = d.unread[:0], d.pasted[:0], false, false
}

// drop removes n bytes, which may be part of a secret, and wipes them.
func (d *decoder) drop(n int) {
	rest := copy(d.unread, d.unread[n:])
	clear(d.unread[rest:])
	d.unread = d.unread[:rest]
}
