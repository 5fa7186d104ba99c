package terminal

import (
	"fmt"
	"sync"
	"time"
)

const (
	// maxQueued is the maximum number of messages that wait for a slow reader of standard error.
	// Floods of events are summarized before, so it is enough for minutes.
	maxQueued = 256
	// writeTime is how long a caller waits for its message to be written, so that messages and
	// other output keep their order. After a wait has timed out, no caller waits until
	// everything has been written.
	writeTime = 50 * time.Millisecond
)

// A queue holds messages until its own goroutine has written them, so that a standard error that
// nobody reads does not block the program. The zero queue is ready to use.
type queue struct {
	mu      sync.Mutex
	lines   []string      // guarded by mu: the lines to write, oldest first
	dropped int           // guarded by mu: messages after lines that did not fit
	writing chan struct{} // guarded by mu: closed when everything has been written; nil: nothing is being written
	slow    bool          // guarded by mu: a caller's wait has timed out
}

// add makes write write a line and waits a moment for that. summary makes the line that replaces
// a number of others.
func (q *queue) add(line string, write func(string), summary func(dropped int) string) {
	q.mu.Lock()
	switch {
	case len(q.lines) >= maxQueued:
		q.dropped++
	case q.dropped > 0:
		q.lines = append(q.lines, summary(q.dropped), line)
		q.dropped = 0
	default:
		q.lines = append(q.lines, line)
	}
	if q.writing == nil {
		q.writing = make(chan struct{})
		go q.drain(write, summary)
	}
	slow := q.slow
	q.mu.Unlock()
	if !slow && !q.flush(writeTime) {
		q.mu.Lock()
		q.slow = q.writing != nil
		q.mu.Unlock()
	}
}

// drain writes until the queue is empty.
func (q *queue) drain(write func(string), summary func(int) string) {
	for {
		q.mu.Lock()
		var line string
		switch {
		case len(q.lines) > 0:
			line = q.lines[0]
			q.lines = q.lines[1:]
		case q.dropped > 0:
			line = summary(q.dropped)
			q.dropped = 0
		default:
			q.lines, q.slow = nil, false
			close(q.writing)
			q.writing = nil
			q.mu.Unlock()
			return
		}
		q.mu.Unlock()
		write(line)
	}
}

// flush waits until everything has been written, but no longer than limit, and reports whether
// it has.
func (q *queue) flush(limit time.Duration) bool {
	q.mu.Lock()
	writing := q.writing
	q.mu.Unlock()
	if writing == nil {
		return true
	}
	late := time.NewTimer(limit)
	defer late.Stop()
	select {
	case <-writing:
		return true
	case <-late.C:
		return false
	}
}

// Flush waits until all messages have been written, but no longer than limit.
func (p *Printer) Flush(limit time.Duration) { p.queue.flush(limit) }

// summary returns the message that replaces a number of others.
func (p *Printer) summary(dropped int) string {
	if dropped == 1 {
		return fmt.Sprintf("%s: 1 message was left out, because standard error was not read\n", p.name)
	}
	return fmt.Sprintf("%s: %d messages were left out, because standard error was not read\n", p.name, dropped)
}
