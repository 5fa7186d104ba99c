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
	clock.now = clock.now.Add(3 * forgetAfter)
	if c := begin(t, l); c.Wait != 0 {
		t.Errorf("three hours later it waits %v", c.Wait)
	}
}

func TestAClockThatIsSetBackIsNoFailure(t *testing.T) {
	l, clock := open(t)
	end(t, begin(t, l), Succeeded)
	clock.now = clock.now.Add(-20 * 365 * 24 * time.Hour)
	if c := begin(t, l); c.Wait != 0 || c.Failures != 0 {
		t.Errorf("it waits %v because of %d failures", c.Wait, c.Failures)
	}
}

// Nor does it lock the home for as long as it was wrong.
func TestAClockThatIsSetBackMakesNoGuessCheaper(t *testing.T) {
	for _, back := range []time.Duration{1, time.Millisecond, maxWait, 24 * time.Hour, 20 * 365 * 24 * time.Hour} {
		l, clock := open(t)
		for range 10 {
			end(t, begin(t, l), Failed)
		}
		clock.now = clock.now.Add(10 * maxWait)
		queued := begin(t, l) // it has to wait
		clock.now = clock.now.Add(-back)
		if c := begin(t, l); c.Wait != queued.Wait+maxWait || c.Failures != 10 {
			t.Errorf("after %v back it waits %v because of %d failures", back, c.Wait, c.Failures)
		}
		clock.now = clock.now.Add(forgetAfter + 4*maxWait)
		if c := begin(t, l); c.Wait != 0 {
			t.Errorf("after %v back and more than an hour it waits %v", back, c.Wait)
		}
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

// A process may be killed when it has shown the outcome and not yet counted it.
func TestAComparisonOfAProcessThatDiedCountsAsFailed(t *testing.T) {
	l, clock := open(t)
	for n := range 3 {
		clock.now = clock.now.Add(begin(t, l).Wait + openFor)
		if c := begin(t, l); c.Failures != n+1 || c.Wait != cost(n+1) {
			t.Errorf("after %d: %d failures, it waits %v", n+1, c.Failures, c.Wait)
		} else {
			clock.now = clock.now.Add(c.Wait)
			end(t, c, Unknown)
		}
	}
	clock.now = clock.now.Add(forgetAfter)
	if c := begin(t, l); c.Wait != 0 {
		t.Errorf("an hour later it waits %v", c.Wait)
	}
}

// A comparison that waits is not under way yet.
func TestAComparisonThatWaitsDoesNotCountAsFailed(t *testing.T) {
	l, clock := open(t)
	for range 10 {
		end(t, begin(t, l), Failed)
	}
	for range 3 {
		begin(t, l)
	}
	clock.now = clock.now.Add(maxWait + time.Second)
	if c := begin(t, l); c.Failures != 10 {
		t.Errorf("%d failures", c.Failures)
	}
}

func TestManyProcessesThatDiedAreForgotten(t *testing.T) {
	l, clock := open(t)
	var err error
	for range 2 * maxOpen {
		_, err = l.Begin()
	}
	if !errors.Is(err, ErrQueue) {
		t.Errorf("the last one: %v", err)
	}
	// The last ones wait for an hour and count for another one.
	clock.now = clock.now.Add(2*forgetAfter + 2*maxWait)
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
		`{"open":[` + now + strings.Repeat(","+now, maxOpen) + `],"seen":` + now + `}`,
		`{"failures":1,"last":` + now + `,"seen":` + now + `,"free":` + at(2*forgetAfter) + `}`, // it would refuse everybody
		`{"failures":0,"seen":` + now + `,"last":` + at(time.Second) + `}`,
		`{"open":[` + at(2*forgetAfter) + `],"seen":` + now + `}`, // it would never end
		`{"failures":0,"seen":"9999-01-01T00:00:00Z"}`,
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

// What is not counted would be free.
func TestNothingIsComparedIfFailuresCannotBeCounted(t *testing.T) {
	for _, name := range []string{"", ".lock", ".new"} {
		l, _ := open(t)
		c := begin(t, l)
		end(t, begin(t, l), Failed)
		// A folder cannot be read, nor replaced by a file.
		_ = os.Remove(l.path + name)
		if err := os.Mkdir(l.path+name, 0o700); err != nil {
			t.Fatal(err)
		}
		if c, err := l.Begin(); !errors.Is(err, ErrFile) || c != nil {
			t.Errorf("%q: %v, %v", name, c, err)
		}
		if err := c.End(Failed); !errors.Is(err, ErrFile) {
			t.Errorf("%q: %v", name, err)
		}
	}
}

func TestAFolderThatACleanerHasRemovedIsMadeAgain(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "sessions")
	l := Open(dir, "home", time.Now)
	end(t, begin(t, l), Failed)
	if c := begin(t, l); c.Failures != 1 {
		t.Errorf("%d failures", c.Failures)
	}
	if info, err := os.Stat(dir); err != nil || info.Mode().Perm()&0o077 != 0 {
		t.Errorf("%v, %v", info, err)
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
