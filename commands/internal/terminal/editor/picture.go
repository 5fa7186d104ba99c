package editor

import (
	"fmt"
	"strings"
)

// A picture is what the rows at the bottom of the screen show, and where the
// cursor is.
type picture struct {
	rows     []string
	widths   []int // columns of each row
	row, col int   // of the cursor
}

// paint lays prompt and line out on rows of width columns. The cursor is before
// line's cell number pos.
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

// window is the part of p around the cursor that fits on height rows.
func (p picture) window(height int) picture {
	height = max(height, 1)
	if len(p.rows) <= height {
		return p
	}
	top := min(max(p.row-height+1, 0), len(p.rows)-height)
	return picture{p.rows[top : top+height], p.widths[top : top+height], p.row - top, p.col}
}

// draw is what shows p, from the beginning of an empty row.
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

// erase is what takes p away from a screen of width columns, where it was drawn
// on one that may have been wider: terminals break rows that have become too
// long.
func (p picture) erase(width int) string {
	up := p.col / width
	for _, w := range p.widths[:p.row] {
		up += max(1, (w+width-1)/width)
	}
	if up == 0 {
		return "\r\x1b[J"
	}
	return fmt.Sprintf("\r\x1b[%dA\x1b[J", up)
}
