package stream

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

const (
	// maxTurns is how often the owner of an end may go through its loop in one test, seven
	// times as often as in the longest. maxIdle is how often while no payload moves and
	// nothing is told: ten hours without a peer take a fifth of that. Both count what happens
	// to an end, lines, texts and timers, and no time: a slow machine does not get there
	// sooner.
	maxTurns = 150_000
	maxIdle  = 20_000
)

// A watchdog ends an end that does not end by itself: one that a test waits for while heartbeats
// come and go, or two that answer each other for ever. The test fails, and says where each of its
// ends stood.
type watchdog struct {
	Clock
	t     testing.TB
	e     *end
	link  atomic.Pointer[link] // set when the end has been started
	barks *atomic.Bool         // of all ends of the test

	// The owner's.
	turns, idle int
	stats       Stats // when something has moved last
	told        int   // how many events there were then
	ended       bool
}

// watched has whether the watchdog of a test has barked, by testing.TB.
var watched sync.Map

// watch returns the clock of an end of a test, which counts the turns of the end's owner.
func watch(t testing.TB, e *end, c Clock) *watchdog {
	barks, known := watched.LoadOrStore(t, new(atomic.Bool))
	if !known {
		t.Cleanup(func() { watched.Delete(t) })
	}
	return &watchdog{Clock: c, t: t, e: e, barks: barks.(*atomic.Bool)}
}

// Now is called by the owner, once in each turn.
func (w *watchdog) Now() time.Time {
	if l := w.link.Load(); l != nil && !w.ended {
		w.look(l)
	}
	return w.Clock.Now()
}

func (w *watchdog) look(l *link) {
	w.turns++
	w.idle++
	if stats, told := l.Stats(), w.e.count(); stats != w.stats || told != w.told {
		w.stats, w.told, w.idle = stats, told, 0
	}
	if _, benchmark := w.t.(*testing.B); benchmark {
		return
	}
	if w.turns > maxTurns || w.idle > maxIdle {
		w.barks.Store(true)
	}
	if w.barks.Load() {
		w.ended = true
		w.t.Errorf("an end does not end. After %d turns, the last %d of them idle: %s", w.turns, w.idle, standing(l, w.e))
		l.requestAbort("it does not end by itself")
	}
}

// standing says what an end has come to and waits for. It is called by the owner.
func standing(l *link, e *end) string {
	all := e.events()
	return fmt.Sprintf("phase %d, session %v with %v in version %d, secure %v, trusted %v, payload may move %v, "+
		"held back %d, exchanging %v, gate %v, comparison %v; the last of %d events: %v",
		l.phase, l.conv.State(), l.session.Fingerprint, l.session.Version, l.secure, l.isTrusted, l.opened,
		l.hold, l.conv.Exchanging(), l.gate.state, l.conv.SMPState(), len(all), all[max(0, len(all)-5):])
}

// pollFor is how long eventually waits: no end of a test needs as long for its next step.
const pollFor = 10 * time.Minute

// eventually waits, in the time of the test, until a condition holds.
func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for step, waited := time.Millisecond, time.Duration(0); !holds(); waited += step {
		if waited >= pollFor {
			t.Fatalf("after %v there is no %s", waited, what)
		}
		if waited > time.Second {
			step = time.Second
		}
		time.Sleep(step)
	}
}
