//go:build unix

package live

import (
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"time"
	"unsafe"

	"otrpipe/commands/internal/control"
	"otrpipe/commands/internal/events"
)

// dialStalled is a caller that speaks OTR once and then stands still.
func dialStalled(t *testing.T, address string) net.Conn {
	t.Helper()
	conn, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	if _, err := io.WriteString(conn, "?OTRv3?\n"); err != nil {
		t.Fatal(err)
	}
	return conn
}

// age makes the present caller of a session one that has stood still for d, until over is
// closed.
func age(t *testing.T, s *Session, d time.Duration, over <-chan struct{}) {
	t.Helper()
	for {
		s.step.Store(timeOn(time.Now().Add(-d)))
		select {
		case <-over:
			return
		case <-time.After(10 * time.Millisecond):
		case <-t.Context().Done():
			return
		}
	}
}

func TestACallerStandsStillOnlyIfItIsNotThroughAndDoesNothing(t *testing.T) {
	now := time.Now()
	for _, test := range []struct {
		name   string
		stood  time.Duration
		met    bool
		passed bool
		stalls bool
	}{
		{"in the key exchange", stallTime, false, false, false},
		{"for too long", stallTime + 1, false, false, true},
		{"in SMP a person may look for the answer", smpStallTime, true, false, false},
		{"but not for ever", smpStallTime + 1, true, false, true},
		{"once it has passed it may be silent", time.Hour, true, true, false},
	} {
		o := own(t)
		o.step.Store(timeOn(now))
		if test.passed {
			o.meet(t)
		} else if test.met {
			o.snapshot.Store(&Snapshot{Peer: new(events.Peer)})
		}
		if got := o.stalledFor(now.Add(test.stood)); got > 0 != test.stalls {
			t.Errorf("%s: after %v it is %v", test.name, test.stood, got)
		}
	}
	o := own(t)
	o.step.Store(timeOn(now))
	o.stepped(now.Add(time.Minute)) // what comes next is put off
	o.stepped(now.Add(time.Second)) // whatever the caller says meanwhile
	if got := o.stalledFor(now.Add(time.Minute + stallTime)); got != 0 {
		t.Errorf("a caller that has to wait stands still: %v", got)
	}
}

// jumped returns now as a machine tells it whose clock was set by d since now's clock was read:
// the time of day has changed, and no time has passed.
func jumped(t *testing.T, now time.Time, d time.Duration) time.Time {
	t.Helper()
	// The first word of a Time that also has a reading of the monotonic clock holds the seconds
	// in its bits from 30 on.
	*(*uint64)(unsafe.Pointer(&now)) += uint64(d/time.Second) << 30
	return now
}

func TestAClockThatIsSetMakesNoCallerStandStill(t *testing.T) {
	o := own(t)
	now := time.Now()
	later := jumped(t, now, time.Hour)
	if later.Unix()-now.Unix() != 3600 || later.Sub(now) != 0 {
		t.Fatalf("the clock did not jump: from %v to %v", now, later)
	}
	o.step.Store(timeOn(now))
	if got := o.stalledFor(later); got != 0 {
		t.Errorf("the caller stands still for %v because the clock was set", got)
	}
	o.stepped(later)
	if got := o.stalledFor(now.Add(stallTime + 1)); got == 0 {
		t.Error("the caller may stand still for an hour because the clock was set")
	}
}

func TestAServerTurnsAwayACallerThatStandsStillWhileAnotherWaits(t *testing.T) {
	if testing.Short() {
		t.Skip("short: waits seconds for callers")
	}
	for _, smp := range []bool{false, true} {
		secret := ""
		if smp {
			secret = "sesame"
		}
		address, hosted, _ := serve(t, secret, 1, "cat")
		if smp {
			overTCP(t, 1, "", version3, Way{Dial: address}, "") // it has no secret, and its person does not answer
		} else {
			dialStalled(t, address)
		}
		s := wait(t, hosted)
		right := overTCP(t, 1, secret, version3, Way{Dial: address}, "hello")
		age(t, s, smpStallTime+time.Second, s.Over())
		if err := s.Cause(); err == nil || !strings.Contains(err.Error(), "it did nothing more for 31s, and another caller waited") {
			t.Errorf("the session of the one that stood still ended with %v", err)
		}
		if err := wait(t, right.ended); err != nil {
			t.Errorf("the one that waited: %v", err)
		}
		if got := wait(t, right.received); got != "hello" {
			t.Errorf("%q has come back", got)
		}
		wait(t, wait(t, hosted).Over())
	}
}

func TestACallerMayStandStillWhereNobodyElseWaits(t *testing.T) {
	if testing.Short() {
		t.Skip("short: waits seconds for a caller")
	}
	address, hosted, _ := serve(t, "", 1, "cat")
	dialStalled(t, address)
	s := wait(t, hosted)
	for s.Snapshot().State != control.StateHandshake {
		time.Sleep(time.Millisecond)
	}
	s.step.Store(timeOn(time.Now().Add(-time.Hour)))
	select {
	case <-s.Over():
		t.Errorf("it was turned away: %v", s.Cause())
	case <-time.After(3 * stallPoll):
	}
	s.Stop(errors.New("the test is over"), "")
	wait(t, s.Over())
}

func TestAnEndThatListensTurnsAwayACallerThatStandsStillWhileAnotherWaits(t *testing.T) {
	if testing.Short() {
		t.Skip("short: waits seconds for callers")
	}
	l := listenTCP(t)
	address := l.Address()
	here := overTCP(t, 0, "", version3, Way{Listener: l}, "from here")
	stalled := dialStalled(t, address)
	for here.Snapshot().State != control.StateHandshake {
		time.Sleep(time.Millisecond)
	}
	// The next call from this address waits a moment after the failure of the first.
	right := overTCP(t, 1, "", version3, Way{Dial: address}, "from there")
	gone := make(chan struct{})
	go func() {
		defer close(gone)
		_, _ = io.Copy(io.Discard, stalled)
	}()
	age(t, here.Session, stallTime+time.Second, gone)
	for _, e := range []*tcpEnd{right, here} {
		if err := wait(t, e.ended); err != nil {
			t.Errorf("%v\n%s", err, e.told(t))
		}
	}
	if told := here.told(t); !strings.Contains(told, "was turned away: it did nothing more for 11s, and another caller waited") {
		t.Errorf("it says:\n%s", told)
	}
}
