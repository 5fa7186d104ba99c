package commands

import (
	"time"

	"otrpipe/commands/internal/exit"
	"otrpipe/commands/internal/guesses"
)

// beginGate begins the comparison of secrets that comes before payload, and returns how
// long it has to wait because others of this home have failed. It runs in the goroutine
// that owns the conversation.
func (l *live) beginGate() time.Duration {
	c, err := guesses.Open(l.dir, l.name.Home, time.Now).Begin()
	if err != nil {
		l.Warn("failed comparisons cannot be counted: %v", exit.Plain(err))
	}
	l.mu.Lock()
	l.comparison = c
	l.mu.Unlock()
	if c.Wait > 0 {
		l.Note("waiting %v before the secrets are compared: %s failed lately, and somebody may be guessing",
			c.Wait.Round(time.Second), count(c.Failures, "comparison"))
	}
	return c.Wait
}

// endGate counts the outcome of that comparison, once.
func (l *live) endGate(o guesses.Outcome) {
	l.mu.Lock()
	c := l.comparison
	l.comparison = nil
	l.mu.Unlock()
	if c == nil {
		return
	}
	if err := c.End(o); err != nil {
		l.Detail("%v", exit.Plain(err))
	}
}
