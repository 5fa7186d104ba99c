package terminal

import (
	"sync/atomic"
	"time"
)

// meterEvery is how often a Meter draws its line anew.
const meterEvery = 200 * time.Millisecond

// A Meter shows on the terminal, on a line of its own, how far a transfer in one direction is.
// Show may be called by one goroutine, and End by any. Where messages do not go to a terminal,
// or the user wants quiet, it shows nothing.
type Meter struct {
	latest atomic.Pointer[moved]
	stop   chan struct{}
	over   chan struct{}
}

// moved is what a Meter was told last.
type moved struct {
	name        string
	done, total int64
}

// NewMeter begins a line, which appears with the first drawing after Show. verb says what is
// done: sent, received, encrypted.
func NewMeter(s *IO, verb string) *Meter {
	m := &Meter{stop: make(chan struct{}), over: make(chan struct{})}
	if s.Quiet || !Is(s.Messages.File()) {
		close(m.over)
		return m
	}
	begun := time.Now()
	go func() {
		defer close(m.over)
		tick := time.NewTicker(meterEvery)
		defer tick.Stop()
		var line *Progress
		for {
			select {
			case now := <-tick.C:
				latest := m.latest.Load()
				if latest == nil {
					continue
				}
				if line == nil {
					line = s.Messages.TransferProgress(begun, verb, max(latest.total, 0))
					defer line.End()
				}
				line.Show(now, latest.done, 0, latest.name)
			case <-m.stop:
				return
			}
		}
	}()
	return m
}

// Show has the line say that done bytes of total have moved, and the name of what moves;
// a total of 0 or less is not known.
func (m *Meter) Show(name string, done, total int64) { m.latest.Store(&moved{name, done, total}) }

// End takes the line away. A terminal that takes nothing holds it up for a moment only.
func (m *Meter) End() {
	close(m.stop)
	select {
	case <-m.over:
	case <-time.After(meterEvery):
	}
}
