package terminal

import (
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/rivo/uniseg"
	"golang.org/x/term"

	"otrpipe/commands/internal/descriptor"
)

const (
	// usualWidth is the assumed width of a terminal that does not report one.
	usualWidth = 80
	// rateSamples is the number of updates over which a rate is measured: enough for a steady
	// figure, few enough to show a stall.
	rateSamples = 16
)

// A Progress is a line at the bottom of the terminal that shows the progress of a transfer. It
// takes turns with its Printer's messages.
type Progress struct {
	printer *Printer
	total   int64
	verb    string // of a transfer of files: sent or received; "": both directions are shown
	// Guarded by the printer's lock.
	shown   string // the line on the screen
	samples []sample
}

// A sample is the progress of a transfer at one time.
type sample struct {
	at             time.Time
	sent, received int64
}

// Progress starts a progress line for a transfer that begins now. total is the number of bytes
// that will be sent, or 0 if unknown.
func (p *Printer) Progress(now time.Time, total int64) *Progress {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.status = &Progress{printer: p, total: total, samples: []sample{{at: now}}}
	return p.status
}

// TransferProgress is Progress for files that are all sent or all received, as verb says. The
// sent argument of Show is then the amount moved, and trust the name of the file.
func (p *Printer) TransferProgress(now time.Time, verb string, total int64) *Progress {
	g := p.Progress(now, total)
	g.verb = verb
	return g
}

// Show updates the line with the number of payload bytes sent and received so far, and the trust
// in the peer. It draws nothing while the program is in the terminal's background or there is
// payload on the line.
func (g *Progress) Show(now time.Time, sent, received int64, trust string) {
	p := g.printer
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.status != g {
		return // ended
	}
	if len(g.samples) == rateSamples {
		g.samples = append(g.samples[:0], g.samples[1:]...)
	}
	g.samples = append(g.samples, sample{now, sent, received})
	if p.midLine || background(p.file) {
		return
	}
	room := width(p.file) - 1 // the last column would make some terminals wrap
	line := fit(g.fields(trust), room)
	if line == g.shown {
		return
	}
	// Failing to draw the line does not matter.
	fmt.Fprintf(p.w, "\r%s%s", line, blank(min(columns(g.shown), room)-columns(line)))
	g.shown = line
}

// End removes the line.
func (g *Progress) End() {
	g.printer.mu.Lock()
	defer g.printer.mu.Unlock()
	if g.printer.status == g {
		g.clear()
		g.printer.status = nil
	}
}

// clear empties the line; the printer's lock is held.
func (g *Progress) clear() {
	if g.shown == "" {
		return
	}
	// Clear the whole row, because the terminal may have printed ^C after the line.
	fmt.Fprintf(g.printer.w, "\r%s\r", blank(width(g.printer.file)-1))
	g.shown = ""
}

func blank(columns int) string { return strings.Repeat(" ", max(0, columns)) }

// A field is a part of the line. If the line is too long, the fields with the highest rank are
// left out first.
type field struct {
	text string
	rank int
	next bool // begins a new part, separated by a comma
}

// fields returns the parts of the line. The most important ones have the lowest rank.
func (g *Progress) fields(trust string) []field {
	oldest, now := g.samples[0], g.samples[len(g.samples)-1]
	seconds := now.at.Sub(oldest.at).Seconds()
	var fields []field
	sent, received := minor(now.sent, now.received), minor(now.received, now.sent)
	verb := g.verb
	if verb == "" {
		verb = "sent"
	}
	if now.sent > 0 || g.total > 0 || now.received == 0 {
		rate := perSecond(now.sent-oldest.sent, seconds)
		fields = append(fields, field{verb + " " + Size(now.sent), sent, true})
		if g.total > 0 {
			// The file may grow while it is read.
			fields = append(fields, field{fmt.Sprintf("(%d%%)", min(100, int(float64(now.sent)/float64(g.total)*100))), 2, false})
		}
		fields = append(fields, field{rateText(rate), sent + 1, false})
		if left := g.total - now.sent; left > 0 && rate >= 1 {
			wait := time.Duration(min(float64(left)/rate, maxWait.Seconds())) * time.Second
			fields = append(fields, field{wait.String() + " left", 5, false})
		}
	}
	if now.received > 0 {
		rate := received + 1
		if len(fields) > 0 && sent == 0 {
			rate = max(rate, 4)
		}
		fields = append(fields,
			field{"received " + Size(now.received), received, true},
			field{rateText(perSecond(now.received-oldest.received, seconds)), rate, false})
	}
	if trust != "" {
		fields = append(fields, field{Visible(trust), 3, true})
	}
	return fields
}

// minor returns the rank of a direction. A direction that has moved far less than the other
// carries only answers and is less important.
func minor(n, other int64) int {
	if n < other/100 {
		return 4
	}
	return 0
}

// maxWait is the longest remaining time to show. Longer ones cannot be predicted.
const maxWait = 1000 * time.Hour

func perSecond(n int64, seconds float64) float64 {
	if seconds <= 0 {
		return 0
	}
	return float64(n) / seconds
}

func rateText(perSecond float64) string { return Size(int64(perSecond)) + "/s" }

// fit writes fields on a line of at most room columns.
func fit(fields []field, room int) string {
	for rank := 5; ; rank-- {
		var b strings.Builder
		for _, f := range fields {
			switch {
			case f.rank > rank:
				continue
			case b.Len() == 0:
			case f.next:
				b.WriteString(", ")
			default:
				b.WriteString(" ")
			}
			b.WriteString(f.text)
		}
		line := b.String()
		if columns(line) <= room {
			return line
		}
		if rank == 0 {
			return line[:max(0, min(room, len(line)))] // only ASCII is left, because trust has been dropped
		}
	}
}

// columns returns the number of terminal columns that s takes.
func columns(s string) int { return uniseg.StringWidth(s) }

// Output returns a writer that is safe for a peer's bytes: f itself or, if f is a terminal, a
// filter that makes control characters visible, keeps line ends and tabs, and takes turns with
// the progress line.
func (p *Printer) Output(f *os.File) io.Writer {
	if Is(f) && Is(p.file) {
		return NewFilter(&turns{p, writer{descriptor.Stream{File: f}}})
	}
	return Output(f)
}

// A turns writes to the terminal between two updates of the progress line.
type turns struct {
	printer *Printer
	w       io.Writer
}

func (t *turns) Write(b []byte) (int, error) {
	p := t.printer
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.status != nil {
		p.status.clear()
	}
	if len(b) > 0 {
		p.midLine = b[len(b)-1] != '\n'
	}
	return t.w.Write(b)
}

// width returns the number of columns of the terminal f.
func width(f *os.File) int {
	columns := usualWidth
	control(f, func(fd int) {
		if w, _, err := term.GetSize(fd); err == nil && w > 0 {
			columns = w
		}
	})
	return columns
}

// control calls do with the file descriptor of f. Unlike Fd, it does not put f into blocking
// mode.
func control(f *os.File, do func(fd int)) {
	if conn, err := f.SyscallConn(); err == nil {
		_ = conn.Control(func(fd uintptr) { do(int(fd)) })
	}
}

// Size returns a number of bytes in a form for people.
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
