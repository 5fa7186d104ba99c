package editor

import (
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/rivo/uniseg"

	"otrpipe/commands/internal/terminal"
)

// A cell is the unit that moves on a screen: a character with everything that combines with it.
// A colour sequence is a cell of width 0; only a mark has its own colour sequences in its cell.
type cell struct {
	text  string
	width int // columns
}

// tab is how a tab is shown, in any column.
const tab = "    "

// cells splits s into cells. s must not contain control sequences other than colours.
func cells(s string) []cell {
	var all []cell
	for state := -1; s != ""; {
		if n := colourLen(s); n > 0 {
			all = append(all, cell{s[:n], 0})
			s, state = s[n:], -1
			continue
		}
		var c cell
		rest := s
		c.text, rest, c.width, state = uniseg.FirstGraphemeClusterInString(s, state)
		if n := runesLen(c.text, maxRunes); n < len(c.text) {
			c.text, rest, state = s[:n], s[n:], -1
			c.width = uniseg.StringWidth(c.text)
		}
		s = rest
		all = append(all, c)
	}
	return all
}

// maxRunes bounds the number of runes in a cell, because a character can have any number of
// combining marks. The longest joined emoji have this many; anything longer is unreadable.
const maxRunes = 10

// runesLen returns the length in bytes of the first n runes of s.
func runesLen(s string, n int) int {
	for i := range s {
		if n == 0 {
			return i
		}
		n--
	}
	return len(s)
}

// most returns how many columns a cell takes on a terminal that does not join its parts.
func (c cell) most() (columns int) {
	if c.width == 0 {
		return 0
	}
	for rest := c.text; rest != ""; {
		if n := colourLen(rest); n > 0 {
			rest = rest[n:]
			continue
		}
		_, n := utf8.DecodeRuneInString(rest)
		columns += uniseg.StringWidth(rest[:n])
		rest = rest[n:]
	}
	return max(columns, c.width)
}

// colourLen returns the length of the colour sequence at the beginning of s; 0: none.
func colourLen(s string) int {
	rest, ok := strings.CutPrefix(s, "\x1b[")
	if !ok {
		return 0
	}
	n := strings.IndexFunc(rest, func(r rune) bool { return r != ';' && (r < '0' || r > '9') })
	if n < 0 || rest[n] != 'm' {
		return 0
	}
	return len("\x1b[") + n + 1
}

// shown returns the cells of an edited line as they look on the screen: line ends become a sign,
// and characters that must not reach a terminal are made visible, all in the terminal's charset.
// Each cell corresponds to one of the line's.
func shown(line string, charset *terminal.Charset) []cell {
	all := cells(line)
	for i, c := range all {
		switch text := charset.Shown(terminal.Visible(c.text)); {
		case c.text == "\n" && charset.UTF8():
			all[i] = cell{"↵", 1}
		case c.text == "\t":
			all[i] = cell{tab, len(tab)}
		case text != c.text:
			all[i] = cell{text, uniseg.StringWidth(text)}
		}
	}
	return all
}

func widthOf(row []cell) (columns int) {
	for _, c := range row {
		columns += c.width
	}
	return columns
}

func textOf(row []cell) string {
	var b strings.Builder
	for _, c := range row {
		b.WriteString(c.text)
	}
	return b.String()
}

// wrap splits a line into rows of at most width columns, between words if possible, and indents
// all rows but the first. So only the beginning of a line is ever at the beginning of a row.
// With whole, it leaves a hexadecimal fingerprint in one piece for the terminal to break, so
// that it can be copied. Terminals never break other rows, whatever characters they join.
func wrap(line []cell, width, indent int, whole bool) []string {
	indent = min(indent, width/2)
	var rows []string
	row := []cell(nil)
	used, first, blank := 0, 0, -1
	for _, c := range line {
		for c.width > 0 && used+c.most() > width && len(row) > first {
			if whole && blank < first && len(row) < maxNumber && isHex(c) && !slices.ContainsFunc(row[first:], func(c cell) bool { return !isHex(c) }) {
				break
			}
			rest := []cell(nil)
			if blank > first {
				rest = append(rest, row[blank+1:]...)
				row = row[:blank]
			}
			rows = append(rows, textOf(row))
			row = append([]cell{{strings.Repeat(" ", indent), indent}}, rest...)
			used, first, blank = 0, 1, -1
			for _, c := range row {
				used += c.most()
			}
		}
		if c.text == " " {
			blank = len(row)
		}
		row = append(row, c)
		used += c.most()
	}
	return append(rows, textOf(row))
}

// maxNumber is the maximum number of cells in a row that ends in a fingerprint: 112 digits and
// the indentation.
const maxNumber = 128

func isHex(c cell) bool { return len(c.text) == 1 && strings.Contains("0123456789abcdef", c.text) }
