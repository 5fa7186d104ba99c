package terminal

import "io"

// Through has the messages written to w from now on, by somebody who shares the
// terminal that they are for.
func (p *Printer) Through(w io.Writer) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.w = w
}
