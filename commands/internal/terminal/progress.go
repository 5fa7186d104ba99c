package terminal

import (
	"fmt"
	"time"

	"github.com/schollz/progressbar/v3"
)

// progressEvery is how often the progress line is drawn anew: often enough to
// look alive, and no load on a slow terminal.
const progressEvery = 200 * time.Millisecond

// A Progress is one line at the bottom of the terminal that says how far a
// transfer is. It takes turns with the messages of its Printer.
type Progress struct {
	printer *Printer
	total   int64
	bar     *progressbar.ProgressBar
}

// Progress starts a progress line. total is how many bytes will be sent in
// all, or 0 where that is not known.
func (p *Printer) Progress(total int64) *Progress {
	max := total
	if total <= 0 {
		max = -1
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.status = &Progress{printer: p, total: total, bar: progressbar.NewOptions64(max,
		progressbar.OptionSetWriter(p.w),
		progressbar.OptionShowBytes(true),
		progressbar.OptionThrottle(progressEvery),
		progressbar.OptionSetRenderBlankState(false),
		progressbar.OptionSetWidth(20),
		progressbar.OptionSetElapsedTime(true),
		progressbar.OptionSetPredictTime(total > 0),
	)}
	return p.status
}

// Show draws the line anew, at most every 200 ms: how many bytes of payload
// have been sent and received.
func (g *Progress) Show(sent, received int64) {
	g.printer.mu.Lock()
	defer g.printer.mu.Unlock()
	if g.printer.status != g {
		return // ended
	}
	at := sent
	if g.total <= 0 {
		at += received
	} else if at > g.total {
		at = g.total // the file grew while it was read
	}
	g.bar.Describe(fmt.Sprintf("sent %s, received %s", Size(sent), Size(received)))
	_ = g.bar.Set64(at) // a line that cannot be drawn is no failure
}

// End takes the line away.
func (g *Progress) End() {
	g.printer.mu.Lock()
	defer g.printer.mu.Unlock()
	if g.printer.status == g {
		g.clear()
		g.printer.status = nil
	}
}

// clear empties the line; the printer's lock is held.
func (g *Progress) clear() { _ = g.bar.Clear() }

// Size writes a number of bytes for people.
func Size(n int64) string {
	if n < 1000 {
		return fmt.Sprintf("%d B", n)
	}
	const units = "kMGTPE"
	v := float64(n) / 1000
	i := 0
	for v >= 999.95 && i < len(units)-1 {
		v /= 1000
		i++
	}
	return fmt.Sprintf("%.1f %cB", v, units[i])
}
