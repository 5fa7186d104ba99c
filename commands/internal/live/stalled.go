package live

import (
	"math"
	"time"

	"otrpipe/commands/internal/exit"
	"otrpipe/commands/internal/transport"
)

const (
	// stallTime is how long a caller may take for the key exchange while another one waits: many
	// round trips on the slowest line.
	stallTime = 10 * time.Second
	// smpStallTime is how long it may take for its next step in the comparison of secrets,
	// because a person may have to find the answer.
	smpStallTime = 30 * time.Second
	// stallPoll is the time between checks for callers that make no progress.
	stallPoll = 200 * time.Millisecond
)

// clockStart is when this program's own clock began.
var clockStart = time.Now()

// timeOn returns at on a clock that only counts the time that passes, in nanoseconds. It does not
// jump when somebody sets the machine's clock.
func timeOn(at time.Time) int64 { return int64(at.Sub(clockStart)) }

// stepped records that the other end made progress at the given time, or that its next step is
// not due before then. The owner calls it.
func (s *Session) stepped(at time.Time) { s.step.Store(max(s.step.Load(), timeOn(at))) }

// stepsOver records that the caller has passed every check and may be silent from now on. The
// owner calls it.
func (s *Session) stepsOver() { s.step.Store(math.MaxInt64) }

// stalledFor returns the time since the caller's latest progress if it exceeds what is allowed
// while another caller waits, and 0 otherwise.
func (s *Session) stalledFor(now time.Time) time.Duration {
	limit := stallTime
	if s.Snapshot().Peer != nil {
		limit = smpStallTime
	}
	if stood := time.Duration(timeOn(now) - s.step.Load()); stood > limit {
		return stood
	}
	return 0
}

// errStalled is the outcome for a caller that made no progress while another one waited.
func errStalled(stood time.Duration) error {
	return exit.Errorf(exit.Timeout, "it did nothing more for %v, and another caller waited", stood.Round(time.Second))
}

// anotherWaits is the reason that such a caller is given.
const anotherWaits = "another caller waits"

// dropStalled breaks the connection with a caller that makes no progress in the key exchange or
// the comparison of secrets while another one waits. The function that it returns ends the watch
// and returns for how long such a caller had made no progress; 0: there was none.
func (s *Session) dropStalled(l *transport.Listener) (stop func() time.Duration) {
	quit, stalled := make(chan struct{}), make(chan time.Duration, 1)
	go func() {
		tick := time.NewTicker(stallPoll)
		defer tick.Stop()
		for {
			select {
			case <-quit:
				stalled <- 0
				return
			case now := <-tick.C:
				if stood := s.stalledFor(now); stood > 0 && l.Waiting() > 0 && s.breakOff(anotherWaits) {
					stalled <- stood
					return
				}
			}
		}
	}()
	return func() time.Duration {
		close(quit)
		return <-stalled
	}
}

// breakOff ends the running stream, but not the session.
func (s *Session) breakOff(reason string) bool {
	s.mu.Lock()
	abort := s.abort
	s.mu.Unlock()
	if abort != nil {
		abort(reason)
	}
	return abort != nil
}

// makeRoom ends the session of the caller that has made no progress for longest, if there is one
// and another caller waits.
func (v *Server) makeRoom(now time.Time) {
	if v.Listener.Waiting() == 0 {
		return
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	var longest time.Duration
	var slowest *Session
	for s := range v.sessions {
		if stood := s.stalledFor(now); stood > longest && !s.Leaving() {
			longest, slowest = stood, s
		}
	}
	if slowest != nil {
		slowest.Stop(errStalled(longest), anotherWaits)
	}
}
