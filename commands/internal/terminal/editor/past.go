package editor

import (
	"slices"
	"strings"
)

const (
	// maxPast is the number of lines to keep for redrawing the screen: as many as the tallest
	// screens have rows.
	maxPast = 200
	// maxPastCells is the maximum number of cells in all of them but the last. It fills the
	// largest screens, and takes some megabytes of memory, however long the peer's texts are.
	maxPastCells = 1 << 18
)

// A message is a printed line.
type message struct {
	line   []cell
	indent int
	whole  bool
	screen int // the Console's count when it was printed; see Console.screen
}

// rows returns the rows of a message on a screen of width columns.
func (m *message) rows(width int) []string { return wrap(m.line, width, m.indent, m.whole) }

// past holds the lines that were printed last.
type past struct {
	all   []*message
	cells int // in all of them
}

func (p *past) add(m *message) {
	drop := 0
	if len(p.all) == 2*maxPast {
		drop = maxPast
	}
	p.all = append(p.all, m)
	p.cells += len(m.line)
	for i, old := range p.all[:len(p.all)-1] {
		if i >= drop && p.cells-len(m.line) <= maxPastCells {
			break
		}
		p.cells -= len(old.line)
		drop = max(drop, i+1)
	}
	p.all = slices.Delete(p.all, 0, drop)
}

// rows returns at most the last height rows of the printed lines.
func (p *past) rows(width, height int) []string {
	var last [][]string
	n := 0
	for i := len(p.all) - 1; i >= 0 && n < height; i-- {
		rows := p.all[i].rows(width)
		last = append(last, rows)
		n += len(rows)
	}
	var all []string
	for i := len(last) - 1; i >= 0; i-- {
		all = append(all, last[i]...)
	}
	return all[max(0, len(all)-max(height, 0)):]
}

// page returns the sequences that show rows, which must be fewer than height, at the top of an
// otherwise empty screen. They erase rows one by one, because some terminals save a screen that
// is cleared as a page of their history.
func page(rows []string, height int) string {
	var b strings.Builder
	b.WriteString("\x1b[H")
	for _, row := range rows {
		b.WriteString("\x1b[2K" + row + "\r\n")
	}
	b.WriteString("\x1b[2K")
	if len(rows)+1 < height {
		b.WriteString("\x1b[B\x1b[J\x1b[A")
	}
	return b.String()
}
