package editor

import (
	"fmt"
	"slices"

	"github.com/fatih/color"
)

// A Mark is a one-column place for a mark in a printed message.
type Mark struct {
	message *message
	column  int
}

// Marked is Message for a text that may be marked later. Its first row begins with before, a
// blank column for the mark, and after.
func (c *Console) Marked(before, after, text string, attributes ...color.Attribute) *Mark {
	lead := cells(c.charset.Shown(before))
	column := len(lead)
	lead = append(append(lead, cell{" ", 1}), cells(c.charset.Shown(after))...)
	lines := c.layOut(lead, text, attributes)
	c.print(lines)
	return &Mark{message: lines[0], column: column}
}

// Set shows a mark of one column, or fallback if the terminal cannot show that, in the message
// on the screen. It returns false if the message has left the screen or its position is unknown.
func (c *Console) Set(m *Mark, mark, fallback string, attributes ...color.Attribute) bool {
	if c.charset.Shown(mark) != mark {
		mark = fallback
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	m.message.line[m.column] = cell{c.Paint(mark, attributes...), 1} // for when everything is redrawn
	up, ok := c.above(m.message)
	if !ok {
		return false
	}
	column := widthOf(m.message.line[:m.column])
	c.put(c.erased() + fmt.Sprintf("\x1b[%dA\r", up) + right(column) + m.message.line[m.column].text +
		fmt.Sprintf("\r\x1b[%dB", up) + c.drawn())
	c.awaitRoom()
	return true
}

// right moves the cursor by n columns.
func right(n int) string {
	if n == 0 {
		return ""
	}
	return fmt.Sprintf("\x1b[%dC", n)
}

// above returns how many rows above the line a message begins; false: that is unknown, or the
// message has left the screen.
func (c *Console) above(m *message) (up int, ok bool) {
	first := slices.Index(c.past.all, m)
	if first < 0 || m.screen != c.screen || !c.shown || c.away || c.closed {
		return 0, false
	}
	for _, later := range c.past.all[first:] {
		for _, row := range later.rows(c.width) {
			if widthOf(cells(row)) > c.width {
				return 0, false // the terminal has broken the row
			}
			up++
		}
	}
	return up, up+len(c.picture.rows) <= c.height
}
