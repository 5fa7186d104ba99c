package stream

import (
	"testing"
	"time"

	"otrpipe/otr"
)

func TestAFloodOfOneKindIsTenASecondAndCounted(t *testing.T) {
	var all []Event
	r := reporter{tell: func(e Event) { all = append(all, e) }}
	start := time.Unix(1000, 0)
	now := start
	const flood = 5000
	for range flood {
		now = now.Add(time.Millisecond)
		r.tick(now)
		r.report(now, SessionID{}, Unencrypted{Bytes: 3})
	}
	r.report(now, SessionID{}, otr.PeerEnded{}) // another kind is not delayed
	if last := all[len(all)-1]; last.What != (otr.PeerEnded{}) || last.Count != 1 {
		t.Errorf("the other kind came as %v", last)
	}
	r.flush(now)
	count, bytes := 0, 0
	var times []time.Time
	for _, e := range all {
		if what, ok := e.What.(Unencrypted); ok {
			count += e.Count
			bytes += what.Bytes
			times = append(times, e.Time)
		}
	}
	if count != flood || bytes != 3*flood {
		t.Errorf("%d events of %d bytes were told", count, bytes)
	}
	if len(times) < 40 || len(times) > 61 {
		t.Errorf("%d lines for five seconds", len(times))
	}
}

func TestWhatAFloodHeldBackIsToldWhenItMay(t *testing.T) {
	var all []Event
	r := reporter{tell: func(e Event) { all = append(all, e) }}
	now := time.Unix(1000, 0)
	for range floodLimit + 3 {
		r.report(now, SessionID{}, otr.Echo{})
	}
	if len(all) != floodLimit {
		t.Fatalf("%d were told at once", len(all))
	}
	due := r.next()
	if !due.Equal(now.Add(floodTime)) {
		t.Fatalf("the rest is due at %v", due)
	}
	r.tick(due)
	if len(all) != floodLimit+1 || all[floodLimit].Count != 3 {
		t.Errorf("then %v", all[floodLimit:])
	}
	if !r.next().IsZero() {
		t.Error("something is left")
	}
}
