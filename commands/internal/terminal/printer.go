package terminal

import (
	"fmt"
	"io"
	"os"
	"sync"

	"github.com/fatih/color"
)

// A Printer writes the program's messages to standard error, each on a line that begins with the
// program's name, and separates them from a progress line. If nobody reads standard error, it
// queues messages and finally summarizes them. Several goroutines may use it.
type Printer struct {
	name   string
	err    *color.Color
	warn   *color.Color
	hint   *color.Color
	plain  *color.Color
	file   *os.File
	queue  queue
	mu     sync.Mutex
	w      io.Writer // guarded by mu
	status *Progress // guarded by mu: the progress line on the terminal, or nil
	// midLine, guarded by mu, is set while the payload on the terminal ends in the middle of a
	// line.
	midLine bool
}

// NewPrinter returns a Printer for the program called name that writes to f, in colour if f
// supports it.
func NewPrinter(f *os.File, name string) *Printer {
	p := &Printer{
		name:  name,
		err:   color.New(color.FgRed),
		warn:  color.New(color.FgYellow),
		hint:  color.New(color.Faint),
		plain: color.New(),
		file:  f,
		w:     Text(f),
	}
	for _, c := range []*color.Color{p.err, p.warn, p.hint, p.plain} {
		if Colour(f) {
			c.EnableColor()
		} else {
			c.DisableColor()
		}
	}
	return p
}

// About returns a Printer for messages about one of several things, whose name follows the
// program's.
func (p *Printer) About(thing string) *Printer {
	return NewPrinter(p.file, p.name+": "+Visible(thing))
}

// File returns the file that the messages go to.
func (p *Printer) File() *os.File { return p.file }

// Error prints what failed.
func (p *Printer) Error(text string) { p.print(p.err, text) }

// Warning prints what the user should know before relying on the rest.
func (p *Printer) Warning(text string) { p.print(p.warn, text) }

// Note prints what happened.
func (p *Printer) Note(text string) { p.print(p.plain, text) }

// Hint prints what the user can do next, after what failed.
func (p *Printer) Hint(text string) { p.print(p.hint, "hint: "+text) }

// Ask prints a question. The answer is typed on the same line.
func (p *Printer) Ask(question string) {
	p.Flush(writeTime)
	p.mu.Lock()
	defer p.mu.Unlock()
	fmt.Fprintf(p.w, "%s: %s", p.name, Visible(question))
}

// print queues a message. On a terminal, a long fingerprint in it gets its own rows.
func (p *Printer) print(c *color.Color, text string) {
	text = Visible(text)
	if Is(p.file) {
		text = withRows(text)
	}
	p.queue.add(fmt.Sprintf("%s: %s\n", p.name, c.Sprint(text)), p.write, p.summary)
}

// write writes a line of the queue.
func (p *Printer) write(line string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.status != nil {
		p.status.clear()
	}
	// A message that cannot be written has nowhere else to go.
	_, _ = io.WriteString(p.w, line)
}
