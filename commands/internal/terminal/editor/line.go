package editor

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// maxLine is the maximum length of a line in bytes: more than anybody types, and little enough
// to redraw at each key.
const maxLine = 64 << 10

// A line is a text being edited.
type line struct {
	text   string
	pos    int    // of the cursor, in bytes
	killed string // the text deleted last by line or word
}

// insert inserts s before the cursor, unless the line would become too long.
func (l *line) insert(s string) (fits bool) {
	if len(l.text)+len(s) > maxLine {
		return false
	}
	l.text = l.text[:l.pos] + s + l.text[l.pos:]
	l.pos += len(s)
	return true
}

// take returns the line and clears it.
func (l *line) take() string {
	text := l.text
	l.set("")
	return text
}

// set replaces the line.
func (l *line) set(text string) { l.text, l.pos = text, len(text) }

// before returns the cell before the cursor, and after the one after it; "": there is none.
func (l *line) before() string {
	if all := cells(l.text[:l.pos]); len(all) > 0 {
		return all[len(all)-1].text
	}
	return ""
}

func (l *line) after() string {
	if all := cells(l.text[l.pos:]); len(all) > 0 {
		return all[0].text
	}
	return ""
}

func (l *line) left()  { l.pos -= len(l.before()) }
func (l *line) right() { l.pos += len(l.after()) }
func (l *line) home()  { l.pos = 0 }
func (l *line) end()   { l.pos = len(l.text) }

// wordLeft moves to the beginning of the word before the cursor, wordRight to the end of the
// word after it.
func (l *line) wordLeft() {
	before := strings.TrimRightFunc(l.text[:l.pos], unicode.IsSpace)
	l.pos = 0
	if space := strings.LastIndexFunc(before, unicode.IsSpace); space >= 0 {
		_, n := utf8.DecodeRuneInString(before[space:])
		l.pos = space + n
	}
}

func (l *line) wordRight() {
	after := strings.TrimLeftFunc(l.text[l.pos:], unicode.IsSpace)
	l.pos = len(l.text) - len(after)
	if n := strings.IndexFunc(after, unicode.IsSpace); n >= 0 {
		l.pos += n
	} else {
		l.pos = len(l.text)
	}
}

func (l *line) backspace() { l.cut(l.pos-len(l.before()), l.pos) }
func (l *line) delete()    { l.cut(l.pos, l.pos+len(l.after())) }

// kill deletes the text between the cursor's position and the one that move takes it to. yank
// can restore it.
func (l *line) kill(move func()) {
	from := l.pos
	move()
	from, to := min(from, l.pos), max(from, l.pos)
	if from < to {
		l.killed = l.text[from:to]
		l.cut(from, to)
	}
}

func (l *line) yank() bool { return l.insert(l.killed) }

// cut deletes the bytes between two positions and leaves the cursor there.
func (l *line) cut(from, to int) {
	l.text = l.text[:from] + l.text[to:]
	l.pos = from
}
