package chat

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/fatih/color"

	"otrpipe/commands/internal/terminal"
)

const (
	// maxLine is the maximum length in bytes of a line of the transport's messages; longer ones
	// are printed as several.
	maxLine = 4 << 10
	// lineWait is how long to wait for the rest of such a line, and for a terminal that takes no
	// output.
	lineWait = 500 * time.Millisecond
	// lastLines is how long to wait for the transport's last messages if it left a process
	// behind that could still write.
	lastLines = 500 * time.Millisecond
)

// overhear returns a standard error for COMMAND, and a function to call when COMMAND has ended.
// Each line of it is printed above the line being edited. A terminal that takes no output does not
// hold up COMMAND, and with it the session: lines that do not fit into a queue are left out.
func (h *Chat) overhear(command string) (stderr *os.File, last func(), err error) {
	r, w, err := os.Pipe()
	if err != nil {
		return nil, nil, fmt.Errorf("a pipe from %s: %w", command, err)
	}
	name := h.notOurs(terminal.Visible(filepath.Base(command)))
	if name == h.standing().who {
		name = "<" + name + ">"
	}
	lead := h.paint(name+":", color.Faint) + " "
	lines, done := make(chan string, maxLater), make(chan struct{})
	go func() {
		defer close(lines)
		queue := lineQueue{lines: lines}
		eachLine(r, queue.add)
	}()
	go func() {
		defer close(done)
		for line := range lines {
			h.message(lead, line)
		}
	}()
	return w, func() {
		w.Close()
		select {
		case <-done:
		case <-time.After(lastLines):
		}
	}, nil
}

// A lineQueue passes lines on to a terminal that may be slow.
type lineQueue struct {
	lines   chan<- string
	leftOut int // since the last line that was passed on
}

// add passes a line on. If there is no room for it in lineWait, add leaves it out, and further
// lines without waiting, until there is room again.
func (q *lineQueue) add(line []byte) {
	if q.leftOut > 0 {
		select {
		case q.lines <- fmt.Sprintf("(%s left out, because the terminal took no output)", terminal.Count(q.leftOut, "line")):
			q.leftOut = 0
		default:
			q.leftOut++
			return
		}
	}
	select {
	case q.lines <- string(line):
	case <-time.After(lineWait):
		q.leftOut++
	}
}

// eachLine calls do for each line that is read from r, and closes r at its end. A long or
// unfinished line is passed on in pieces.
func eachLine(r *os.File, do func(line []byte)) {
	defer r.Close()
	var line []byte
	buf := make([]byte, maxLine)
	for {
		n, err := r.Read(buf)
		line = append(line, buf[:n]...)
		for {
			first, rest, found := bytes.Cut(line, []byte("\n"))
			if !found {
				break
			}
			do(bytes.TrimSuffix(first, []byte("\r")))
			line = rest
		}
		if len(line) > 0 && (err != nil || len(line) >= maxLine) {
			do(line)
			line = nil
		}
		if err != nil && !errors.Is(err, os.ErrDeadlineExceeded) {
			return
		}
		var deadline time.Time
		if len(line) > 0 {
			deadline = time.Now().Add(lineWait)
		}
		_ = r.SetReadDeadline(deadline)
	}
}
