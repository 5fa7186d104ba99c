package exchange

import (
	"sync/atomic"
	"time"

	"otrpipe/commands/internal/terminal"
)

// A meter shows the progress of a transfer on the terminal. The transfer's goroutine calls
// progress; another goroutine draws what it has reported.
type meter struct {
	latest atomic.Pointer[moved]
	stop   chan struct{}
	over   chan struct{}
}

// moved is the latest progress that was reported to a meter.
type moved struct {
	name        string
	done, total int64
}

// meterEvery is the time between two updates of the line.
const meterEvery = 200 * time.Millisecond

func newMeter(p *terminal.IO, verb string) *meter {
	m := &meter{stop: make(chan struct{}), over: make(chan struct{})}
	if p.Quiet || !terminal.Is(p.Messages.File()) {
		close(m.over)
		return m
	}
	go func() {
		defer close(m.over)
		tick := time.NewTicker(meterEvery)
		defer tick.Stop()
		var line *terminal.Progress
		for {
			select {
			case now := <-tick.C:
				latest := m.latest.Load()
				if latest == nil {
					continue
				}
				if line == nil {
					line = p.Messages.TransferProgress(now, verb, max(latest.total, 0))
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

// progress is the transfer's Progress.
func (m *meter) progress(name string, done, total int64) { m.latest.Store(&moved{name, done, total}) }

// end removes the line. It does not wait for a terminal that takes no output.
func (m *meter) end() {
	close(m.stop)
	select {
	case <-m.over:
	case <-time.After(meterEvery):
	}
}
