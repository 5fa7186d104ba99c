package editor

import (
	"fmt"
	"strings"
)

// A picture holds the rows at the bottom of the screen and the position of the cursor.
type picture struct {
	rows     []string
	widths   []int // columns of each row
	row, col int   // of the cursor
}

// paint lays out prompt and line in rows of width columns, with the cursor before the line's
// cell number pos.
func paint(prompt, line []cell, pos, width int) picture {
	var p picture
	var row []cell
	used := 0
	next := func() {
		p.rows, p.widths = append(p.rows, textOf(row)), append(p.widths, used)
		row, used = nil, 0
	}
	put := func(c cell) {
		if used+c.width > width && used > 0 {
			next()
		}
		row = append(row, c)
		used += c.width
	}
	for _, c := range prompt {
		put(c)
	}
	for i, c := range line {
		put(c)
		if i == pos {
			p.row, p.col = len(p.rows), used-c.width
		}
	}
	if pos == len(line) {
		if used >= width {
			next()
		}
		p.row, p.col = len(p.rows), used
	}
	next()
	return p
}

// window returns the part of p around the cursor that fits on height rows.
func (p picture) window(height int) picture {
	height = max(height, 1)
	if len(p.rows) <= height {
		return p
	}
	top := min(max(p.row-height+1, 0), len(p.rows)-height)
	return picture{p.rows[top : top+height], p.widths[top : top+height], p.row - top, p.col}
}

// height returns the number of rows that p takes on a screen of width columns if it was drawn on
// one that may have been wider.
func (p picture) height(width int) int {
	all := 0
	for _, w := range p.widths {
		all += max(1, (w+width-1)/width)
	}
	return all
}

// draw returns the sequences that show p, from the beginning of an empty row on.
func (p picture) draw() string {
	var b strings.Builder
	b.WriteString(strings.Join(p.rows, "\r\n"))
	if up := len(p.rows) - 1 - p.row; up > 0 {
		fmt.Fprintf(&b, "\x1b[%dA", up)
	}
	b.WriteByte('\r')
	if p.col > 0 {
		fmt.Fprintf(&b, "\x1b[%dC", p.col)
	}
	return b.String()
}

// erase returns the sequences that remove p from a screen of width columns if it was drawn on
// one that may have been wider, where the terminal has broken rows that became too long. It
// leaves the cursor at the beginning of the first row. It never clears the screen from the top
// left corner, because tmux would save that as a new page.
func (p picture) erase(width int) string {
	up, all := p.col/width, 0
	for i, w := range p.widths {
		n := max(1, (w+width-1)/width)
		if i < p.row {
			up += n
		}
		all += n
	}
	s := "\r"
	if up > 0 {
		s += fmt.Sprintf("\x1b[%dA", up)
	}
	s += "\x1b[K"
	if all > 1 {
		s += "\x1b[B\x1b[J\x1b[A"
	}
	return s
}
