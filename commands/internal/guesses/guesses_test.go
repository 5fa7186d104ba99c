package guesses

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// A clock is set by hand.
type clock struct{ now time.Time }

func (c *clock) Now() time.Time { return c.now }

func open(t *testing.T) (*Log, *clock) {
	c := &clock{time.Unix(1_700_000_000, 0)}
	return Open(t.TempDir(), "/home/of/alice", c.Now), c
}

func begin(t *testing.T, l *Log) *Comparison {
	t.Helper()
	c, err := l.Begin()
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func end(t *testing.T, c *Comparison, o Outcome) {
	t.Helper()
	if err := c.End(o); err != nil {
		t.Fatal(err)
	}
}

func TestEachFailureMakesTheNextComparisonWaitTwiceAsLong(t *testing.T) {
	l, clock := open(t)
	for n, want := range []time.Duration{0, 1, 2, 4, 8, 16, 32, 60, 60, 60} {
		c := begin(t, l)
		if c.Wait != want*time.Second || c.Failures != n {
			t.Errorf("after %d failures: %v, %d", n, c.Wait, c.Failures)
		}
		clock.now = clock.now.Add(c.Wait)
		end(t, c, Failed)
	}
	// Another home's do not wait.
	other := Open(filepath.Dir(l.path), "/home/of/bob", clock.Now)
	if c := begin(t, other); c.Wait != 0 {
		t.Errorf("another home's waits %v", c.Wait)
	}
}

func TestAnHourOrASuccessForgetsFailures(t *testing.T) {
	l, clock := open(t)
	fail := func() {
		for range 3 {
			end(t, begin(t, l), Failed)
		}
	}
	fail()
	clock.now = clock.now.Add(forgetAfter - time.Second)
	if c := begin(t, l); c.Wait == 0 {
		t.Error("forgotten too early")
	} else {
		end(t, c, Unknown)
	}
	clock.now = clock.now.Add(time.Second)
	if c := begin(t, l); c.Wait != 0 {
		t.Errorf("after an hour: %v", c.Wait)
	} else {
		end(t, c, Unknown)
	}
	fail()
	end(t, begin(t, l), Succeeded)
	if c := begin(t, l); c.Wait != 0 || c.Failures != 0 {
		t.Errorf("after a success: %v", c.Wait)
	}
}

// Who dials a thousand times at once gets no more guesses than one after the other.
func TestManyAtOnceWaitForEachOther(t *testing.T) {
	l, _ := open(t)
	free := 0
	var latest time.Duration
	for range 20 {
		c := begin(t, l)
		if c.Wait == 0 {
			free++
		} else if c.Wait <= latest {
			t.Errorf("%v after %v", c.Wait, latest)
		}
		latest = max(latest, c.Wait)
	}
	if free != freeOpen {
		t.Errorf("%d begin at once", free)
	}
}

// A guesser who dials any number of times at once has one guess at a time: the queue holds
// an hour of comparisons and then takes no more, rather than a second one beside the first.
func TestAFullQueueTakesNoMore(t *testing.T) {
	l, clock := open(t)
	for range 10 {
		end(t, begin(t, l), Failed)
	}
	clock.now = clock.now.Add(10 * maxWait)
	slots := make(map[time.Duration]int)
	refused := 0
	for range 500 {
		c, err := l.Begin()
		if errors.Is(err, ErrQueue) {
			refused++
			continue
		} else if err != nil {
			t.Fatal(err)
		}
		slots[c.Wait/maxWait]++
	}
	for slot, n := range slots {
		if n > 1 {
			t.Errorf("%d comparisons begin in minute %d", n, slot)
		}
	}
	if most := int(forgetAfter/maxWait) + 10; len(slots) > most || refused == 0 {
		t.Errorf("%d comparisons wait, %d are refused", len(slots), refused)
	}
	clock.now = clock.now.Add(2 * forgetAfter)
	if c := begin(t, l); c.Wait != 0 {
		t.Errorf("two hours later it waits %v", c.Wait)
	}
}

// A clock that is set back does not lock the home for as long.
func TestAClockThatIsSetBackCountsAsAFailure(t *testing.T) {
	l, clock := open(t)
	for range 10 {
		end(t, begin(t, l), Failed)
	}
	clock.now = clock.now.Add(-24 * time.Hour)
	if c := begin(t, l); c.Wait != firstWait {
		t.Errorf("it waits %v", c.Wait)
	}
}

func TestHonestCallersOneAfterTheOtherDoNotWait(t *testing.T) {
	l, _ := open(t)
	for range 3 * maxOpen {
		c := begin(t, l)
		if c.Wait != 0 {
			t.Fatalf("it waits %v", c.Wait)
		}
		end(t, c, Succeeded)
	}
}

func TestAProcessThatDiedIsForgotten(t *testing.T) {
	l, clock := open(t)
	for range 2 * maxOpen {
		_, _ = l.Begin()
	}
	clock.now = clock.now.Add(openFor)
	if c := begin(t, l); c.Wait != 0 {
		t.Errorf("it waits %v", c.Wait)
	}
}

func TestAFileThatMakesNoSenseCountsAsAFailure(t *testing.T) {
	l, clock := open(t)
	at := func(d time.Duration) string { return clock.now.Add(d).Format(`"` + time.RFC3339Nano + `"`) }
	now := at(0)
	for _, content := range []string{
		"", "no JSON", `{"failures":-1}`, string(make([]byte, maxFile+1)), `{"failures":0}` + strings.Repeat(" ", maxFile),
		`{"open":[` + now + strings.Repeat(","+now, maxOpen) + `]}`,
		`{"failures":1,"last":` + now + `,"seen":` + now + `,"free":` + at(2*forgetAfter) + `}`, // it would refuse everybody
		`{"failures":0,"seen":` + at(time.Second) + `}`,
	} {
		if err := os.WriteFile(l.path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		if c := begin(t, l); c.Wait != firstWait {
			t.Errorf("%.20q: %v", content, c.Wait)
		} else {
			end(t, c, Succeeded)
		}
	}
}

func TestWithoutAFolderNothingWaitsAndItIsSaid(t *testing.T) {
	l := Open(filepath.Join(t.TempDir(), "nowhere"), "home", time.Now)
	c, err := l.Begin()
	if !errors.Is(err, ErrFile) || c.Wait != 0 {
		t.Errorf("%v, %v", c.Wait, err)
	}
	if err := c.End(Failed); !errors.Is(err, ErrFile) {
		t.Error(err)
	}
}

func FuzzFile(f *testing.F) {
	f.Add([]byte(`{"failures":3,"last":"2026-01-01T00:00:00Z","open":["2026-01-01T00:00:00Z"],"free":"2026-01-01T00:00:00Z"}`))
	f.Fuzz(func(t *testing.T, content []byte) {
		l, _ := open(t)
		if err := os.WriteFile(l.path, content, 0o600); err != nil {
			t.Fatal(err)
		}
		c, err := l.Begin()
		if errors.Is(err, ErrQueue) {
			return
		}
		if err != nil {
			t.Fatal(err)
		}
		if c.Wait < 0 || c.Wait > forgetAfter+maxWait {
			t.Errorf("it waits %v", c.Wait)
		}
		end(t, c, Failed)
		if next, err := l.Begin(); !errors.Is(err, ErrQueue) && (err != nil || next.Wait < firstWait) {
			t.Errorf("after a failure: %v, %v", next, err)
		}
	})
}
