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
		d.unread = append(d.unread, b...)
		return
	}
	d.unread = d.charset.Append(d.unread, b)
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
		d.pasted = append(d.pasted, d.unread[:n]...)
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

// plain returns a pasted text with LF as line ends, none after the last line, and without
// control characters other than tabs.
func plain(b []byte) []byte {
	b = bytes.ReplaceAll(b, []byte("\r\n"), []byte("\n"))
	b = bytes.ReplaceAll(b, []byte("\r"), []byte("\n"))
	b = bytes.TrimRight(b, "\n")
	return bytes.Map(func(r rune) rune {
		if unicode.IsControl(r) && r != '\n' && r != '\t' {
			return -1
		}
		return r
	}, b)
}

// drop removes n bytes, which may be part of a secret, and wipes them.
func (d *decoder) drop(n int) {
	rest := copy(d.unread, d.unread[n:])
	clear(d.unread[rest:])
	d.unread = d.unread[:rest]
}
