package terminal

import (
	"sync/atomic"
	"time"
)

// meterEvery is the time between two updates of a Meter's line.
const meterEvery = 200 * time.Millisecond

// A Meter shows the progress of a transfer in one direction on a line of the terminal. One
// goroutine calls its methods; another one draws. It shows nothing if messages do not go to a
// terminal or the user wants quiet.
type Meter struct {
	latest atomic.Pointer[moved]
	stop   chan struct{}
	over   chan struct{}
}

// moved is the latest progress that was reported to a Meter.
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

// End removes the line. It does not wait for a terminal that takes no output.
func (m *Meter) End() {
	close(m.stop)
	select {
	case <-m.over:
	case <-time.After(meterEvery):
	}
}
