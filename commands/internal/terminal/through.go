package terminal

import "io"

// Through has the messages written to w from now on, which shares the terminal that
// they are for.
func (p *Printer) Through(w io.Writer) {
	p.Flush(writeTime)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.w = w
}
