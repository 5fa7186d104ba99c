package live

import (
	"math"
	"time"

	"otrpipe/commands/internal/exit"
	"otrpipe/commands/internal/transport"
)

const (
	// stallTime is how long a caller may take for the key exchange while another one
	// waits: many round trips of the slowest line.
	stallTime = 10 * time.Second
	// smpStallTime is how long it may take for its next step in the comparison of secrets,
	// where a person may have to look for the answer.
	smpStallTime = 30 * time.Second
	// stallPoll is how often callers that stand still are looked for.
	stallPoll = 200 * time.Millisecond
)

// stepped notes that the other end has come further at a time, or that what comes next is put
// off until then. The owner calls it.
func (s *Session) stepped(at time.Time) { s.step.Store(max(s.step.Load(), at.UnixNano())) }

// stepsOver notes that the caller has passed every check, and may be silent from now on. The
// owner calls it.
func (s *Session) stepsOver() { s.step.Store(math.MaxInt64) }

// stalledFor returns how long ago it was that the caller came further, if that is longer than
// it may take where another one waits; 0: it is not.
func (s *Session) stalledFor(now time.Time) time.Duration {
	limit := stallTime
	if s.Snapshot().Peer != nil {
		limit = smpStallTime
	}
	if stood := now.Sub(time.Unix(0, s.step.Load())); stood > limit {
		return stood
	}
	return 0
}

// errStalled is the outcome for a caller that stood still while another one waited.
func errStalled(stood time.Duration) error {
	return exit.Errorf(exit.Timeout, "it did nothing more for %v, and another caller waited", stood.Round(time.Second))
}

// anotherWaits is what such a caller is told.
const anotherWaits = "another caller waits"

// dropStalled breaks the connection with a caller that does not go on with the key exchange,
// or the comparison of secrets, while another one waits. The function that it returns ends the
// watch, and says for how long such a caller had stood still; 0: there was none.
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

// breakOff ends the stream that runs, and not the session.
func (s *Session) breakOff(reason string) bool {
	s.mu.Lock()
	abort := s.abort
	s.mu.Unlock()
	if abort != nil {
		abort(reason)
	}
	return abort != nil
}

// makeRoom ends the session of the caller that has stood still for longest, if there is one
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
