package editor

import "strings"

// maxPast is how many lines are kept to draw a screen anew: as many as the highest
// of screens has rows.
const maxPast = 200

// A message is a line that was printed.
type message struct {
	line   []cell
	indent int
	whole  bool
	screen int // the Console's count when it was printed; see Console.screen
}

// rows are those of a message on a screen of width columns.
func (m *message) rows(width int) []string { return wrap(m.line, width, m.indent, m.whole) }

// past is what was printed last.
type past struct{ all []*message }

func (p *past) add(m *message) {
	if len(p.all) == 2*maxPast {
		p.all = append(p.all[:0], p.all[maxPast:]...)
	}
	p.all = append(p.all, m)
}

// rows are the last ones of what was printed, height at most.
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

// page is what puts rows, fewer than height, on the screen from its first one on, with
// nothing else on it. They are erased one by one: a screen that is cleared is a page of its own to
// some terminals, which they keep.
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
