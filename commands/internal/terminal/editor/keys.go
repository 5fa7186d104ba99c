package editor

import (
	"bytes"
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

// controls maps single bytes to keys.
var controls = map[byte]code{
	'\r': keyEnter, '\n': keyEnter, 0x7f: keyBackspace,
	ctrl('A'): keyHome, ctrl('B'): keyLeft, ctrl('C'): keyInterrupt, ctrl('D'): keyEOF,
	ctrl('E'): keyEnd, ctrl('I'): keyTab, ctrl('F'): keyRight, ctrl('H'): keyBackspace, ctrl('K'): keyKillEnd,
	ctrl('L'): keyClear, ctrl('N'): keyDown, ctrl('P'): keyUp, ctrl('U'): keyKillStart,
	ctrl('W'): keyKillWord, ctrl('Y'): keyYank, ctrl('Z'): keySuspend,
}

func ctrl(letter byte) byte { return letter & 0x1f }

// sequences maps what terminals send after ESC to keys.
var sequences = map[string]code{
	"[A": keyUp, "[B": keyDown, "[C": keyRight, "[D": keyLeft, "[H": keyHome, "[F": keyEnd,
	"OA": keyUp, "OB": keyDown, "OC": keyRight, "OD": keyLeft, "OH": keyHome, "OF": keyEnd,
	"[1~": keyHome, "[4~": keyEnd, "[7~": keyHome, "[8~": keyEnd, "[3~": keyDelete, "OM": keyEnter,
	"[1;5C": keyWordRight, "[1;5D": keyWordLeft, "[1;3C": keyWordRight, "[1;3D": keyWordLeft,
	"f": keyWordRight, "b": keyWordLeft, "d": keyKillWordRight, "\x7f": keyKillWord,
	"\r": keyNewline, "\n": keyNewline,
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
	if c, ok := controls[d.unread[0]]; ok {
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
		if !all {
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
	return key{code: sequences[s[1:]]}, true
}

// sequenceLen returns the length of the sequence at the beginning of b; 0: it is not complete.
// See ECMA-48, 5.4.
func sequenceLen(b []byte) int {
	if len(b) < 2 {
		return 0
	}
	switch b[1] {
	case 'O':
		if len(b) < 3 {
			return 0
		}
		return 3
	case '[':
		for i, c := range b[2:] {
			if c < 0x20 || c > 0x3f {
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
