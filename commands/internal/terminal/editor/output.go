package editor

import (
	"sync"
	"time"
)

const (
	// maxUnwritten is the number of bytes that may wait for the terminal before Message, Write
	// and Marked wait too. It is little, so that on a slow line a key is soon shown.
	maxUnwritten = 4 << 10
	// takeTime is how long the terminal may take to show the last of the output before it is
	// given back. A terminal that is stopped takes none.
	takeTime = 500 * time.Millisecond
)

// An output holds what is to be written to the terminal. It has its own goroutine for that, so
// that a terminal that takes no output holds up only those who print. Its fields are guarded by
// Console.mu.
type output struct {
	waiting   []byte // not yet passed to the terminal
	unwritten int    // bytes that the terminal has not taken, including waiting
	writing   bool   // writeAll runs
	taken     *sync.Cond
	// stale says that the line has changed since it was drawn last.
	stale bool
	// resized says that the size of the screen may have changed since then.
	resized bool
}

// isBusy reports whether the terminal has not yet taken all of the output.
func (o *output) isBusy() bool { return o.unwritten > 0 }

// put passes s to the terminal without waiting for it. Reading keys notices when the terminal is
// gone.
func (c *Console) put(s string) {
	if s == "" {
		return
	}
	encoded := c.charset.Encode(s)
	c.output.waiting = append(c.output.waiting, encoded...)
	c.output.unwritten += len(encoded)
	if !c.output.writing {
		c.output.writing = true
		go c.writeAll()
	}
}

// putUnlessFull is put for what can be left out if the terminal takes no output.
func (c *Console) putUnlessFull(s string) {
	if c.output.unwritten <= maxUnwritten {
		c.put(s)
	}
}

// writeAll writes until there is nothing to write. Whatever has changed the line meanwhile, it
// draws the line once.
func (c *Console) writeAll() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for c.output.isBusy() {
		b, to := c.output.waiting, c.drawnTo
		c.output.waiting = nil
		c.mu.Unlock()
		_, _ = c.out.Write(b)
		c.mu.Lock()
		c.shownTo = to
		if c.output.unwritten -= len(b); c.output.isBusy() {
			c.output.taken.Broadcast()
			continue
		}
		switch {
		case c.closed:
		case c.output.resized:
			c.resize()
		case c.output.stale:
			c.redraw()
		}
		c.output.taken.Broadcast()
	}
	c.output.writing = false
}

// awaitRoom waits until few bytes wait for the terminal or, after Close, none.
func (c *Console) awaitRoom() {
	for c.output.unwritten > maxUnwritten || c.closed && c.output.isBusy() {
		c.output.taken.Wait()
	}
}

// awaitTaken waits until the terminal has taken all of the output, but no longer than takeTime.
// The caller does not hold c.mu.
func (c *Console) awaitTaken() {
	taken := make(chan struct{})
	go func() {
		defer close(taken)
		c.Sync()
	}()
	late := time.NewTimer(takeTime)
	defer late.Stop()
	select {
	case <-taken:
	case <-late.C:
	}
}

// Sync waits until the terminal has taken all of the output.
func (c *Console) Sync() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for c.output.isBusy() {
		c.output.taken.Wait()
	}
}
