package terminal

import (
	"fmt"
	"sync"
	"time"
)

const (
	// maxQueued is how many messages may wait for a reader of standard error that is
	// slow. The events that they tell of are summed up before, so this is minutes of them.
	maxQueued = 256
	// writeTime is how long a caller waits until its message is written, so that messages
	// and other output keep their order. After a wait in vain no caller waits until all
	// has been written.
	writeTime = 50 * time.Millisecond
)

// A queue holds messages until a goroutine of its own has written them, so that nobody
// who has something to say is held up by a standard error that nobody reads. The zero
// queue is ready.
type queue struct {
	mu      sync.Mutex
	lines   []string      // guarded by mu: to be written, the oldest first
	dropped int           // guarded by mu: messages after lines that did not fit
	writing chan struct{} // guarded by mu: closed when all is written; nil: all is
	slow    bool          // guarded by mu: a caller has waited in vain
}

// add has write write a line, and waits a moment for that. summary makes the line that
// stands for a number of others.
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

// drain writes until nothing is left.
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

// flush waits until all is written, but not longer than limit, and reports whether it is.
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

// Flush waits until the messages are written, but not longer than limit.
func (p *Printer) Flush(limit time.Duration) { p.queue.flush(limit) }

// summary is the message that stands for others.
func (p *Printer) summary(dropped int) string {
	if dropped == 1 {
		return fmt.Sprintf("%s: 1 message was left out, because standard error was not read\n", p.name)
	}
	return fmt.Sprintf("%s: %d messages were left out, because standard error was not read\n", p.name, dropped)
}
