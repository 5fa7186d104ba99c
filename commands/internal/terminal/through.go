package terminal

import "io"

// Through has the messages written to w from now on, by somebody who shares the
// terminal that they are for; with nil they go to the Printer's file again.
func (p *Printer) Through(w io.Writer) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if w == nil {
		w = p.file
	}
	p.w = w
}
