package commands

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
	// maxHeard is how long a line of the transport's messages may be until it is
	// printed as several, in bytes.
	maxHeard = 4 << 10
	// heardWait is how long the rest of such a line may take.
	heardWait = 500 * time.Millisecond
	// heardLast is how long the transport's last messages may take, when it has
	// left something behind that still could write some.
	heardLast = 500 * time.Millisecond
)

// overhear returns a standard error for COMMAND, of which each line is printed
// above the one that is edited, and what is to be called when COMMAND has left.
func (h *chat) overhear(command string) (stderr *os.File, last func(), err error) {
	r, w, err := os.Pipe()
	if err != nil {
		return nil, nil, fmt.Errorf("a pipe from %s: %w", command, err)
	}
	name := notOurs(terminal.Visible(filepath.Base(command)))
	if name == h.standing().who {
		name = "<" + name + ">"
	}
	lead := h.console.Paint(name+":", color.Faint) + " "
	done := make(chan struct{})
	go func() {
		defer close(done)
		eachLine(r, func(line []byte) { h.console.Message(lead, string(line)) })
	}()
	return w, func() {
		w.Close()
		select {
		case <-done:
		case <-time.After(heardLast):
		}
	}, nil
}

// eachLine calls do for each line that is read from r, and closes r at its end.
// A line that is long, or does not come to its end, is done in pieces.
func eachLine(r *os.File, do func(line []byte)) {
	defer r.Close()
	var line []byte
	buf := make([]byte, maxHeard)
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
		if len(line) > 0 && (err != nil || len(line) >= maxHeard) {
			do(line)
			line = nil
		}
		if err != nil && !errors.Is(err, os.ErrDeadlineExceeded) {
			return
		}
		var by time.Time
		if len(line) > 0 {
			by = time.Now().Add(heardWait)
		}
		_ = r.SetReadDeadline(by)
	}
}
