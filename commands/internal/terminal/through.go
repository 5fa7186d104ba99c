package terminal

import "io"

// Through makes the Printer write its messages to w from now on. w must write to the same
// terminal.
func (p *Printer) Through(w io.Writer) {
	p.Flush(writeTime)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.w = w
}
