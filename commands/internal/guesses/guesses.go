// Package guesses makes failed comparisons of secrets cost time. A connection allows one guess
// at a shared secret, but an attacker could dial a listener as often as they like. So each
// failed comparison in a home makes the following ones wait: one second at first, then twice as
// long each time, up to a minute, until one succeeds or an hour passes without a failure.
//
// The count is kept in a small file in the folder of the user's sockets, with the times of the
// failures. Nothing in it is derived from a secret.
package guesses

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/gofrs/flock"
)

const (
	firstWait = time.Second
	maxWait   = time.Minute
	// forgetAfter is how long failures count: long enough that a returning attacker gains
	// nothing, and short enough for people who mistyped their secret.
	forgetAfter = time.Hour
	// openFor is how long a comparison counts as under way at most. After that it counts as
	// failed: its process may have been killed once an outcome had been shown.
	openFor = time.Minute
	// freeOpen is how many comparisons may be under way at once without waiting, since a
	// server's honest callers take a moment each. Without a bound an attacker could make a
	// thousand connections at once, before the first failure is known.
	freeOpen = 4
	// maxOpen bounds the number of comparisons under way that are kept.
	maxOpen = 64
	// maxFile bounds the file, in bytes: maxOpen times and a few numbers.
	maxFile = 16 << 10
)

var (
	// ErrFile says that the file with the failures cannot be used.
	ErrFile = errors.New("guesses: the file of failed comparisons")
	// ErrQueue says that waiting comparisons already fill the next hour. A longer queue would
	// keep honest callers out for longer after a flood; shorter waits would let several waiting
	// attackers guess at the same time.
	ErrQueue = errors.New("guesses: too many comparisons wait already")
)

// A Log counts the failures of one home.
type Log struct {
	path string
	now  func() time.Time
}

// Open returns the Log of a home, kept in a folder that only the user can access. It reads
// nothing yet.
func Open(dir, home string, now func() time.Time) *Log {
	sum := sha256.Sum256([]byte(home))
	return &Log{path: filepath.Join(dir, hex.EncodeToString(sum[:12])+".guesses"), now: now}
}

// An Outcome is the outcome of a comparison.
type Outcome int

// The outcomes.
const (
	Unknown   Outcome = iota // nobody learned an outcome
	Succeeded                // the secrets are the same
	Failed                   // they differ, or only the peer knows the outcome
)

// state is the contents of the file.
type state struct {
	Failures int         `json:"failures"`
	Last     time.Time   `json:"last"` // when the latest failure occurred
	Open     []time.Time `json:"open"` // when the comparisons under way began, or begin
	Free     time.Time   `json:"free"` // after failures: the next comparison may begin from then on
	Seen     time.Time   `json:"seen"` // when this was written
}

// isSane reports whether this program can have written s, judging by the present time.
func (s *state) isSane(now time.Time) bool {
	latest := s.Seen.Add(forgetAfter + maxWait)
	return s.Failures >= 0 && len(s.Open) <= maxOpen && !s.Seen.After(now) && !s.Last.After(s.Seen) && !s.Free.After(latest) &&
		!slices.ContainsFunc(s.Open, latest.Before)
}

// follow moves all times if the clock has been set back, as if it had stood still. So nobody
// waits less than before, nor as long as the clock was wrong.
func (s *state) follow(now time.Time) {
	back := s.Seen.Sub(now)
	if back <= 0 {
		return
	}
	move := func(t *time.Time) {
		if *t = t.Add(-back); t.Year() < 1 { // a time that was never set
			*t = time.Time{}
		}
	}
	move(&s.Last)
	move(&s.Free)
	move(&s.Seen)
	for i := range s.Open {
		move(&s.Open[i])
	}
}

// expire counts what has been under way for too long as failed, and forgets failures after an
// hour without any.
func (s *state) expire(now time.Time) {
	s.Open = slices.DeleteFunc(s.Open, func(began time.Time) bool {
		end := began.Add(openFor)
		if end.After(now) {
			return false
		}
		s.Failures++
		if end.After(s.Last) {
			s.Last = end
		}
		return true
	})
	if now.Sub(s.Last) >= forgetAfter {
		s.Failures = 0
	}
}

// A Comparison is a comparison under way.
type Comparison struct {
	// Wait is how long the comparison must wait before it reveals or answers anything.
	Wait time.Duration
	// Failures is the number of failures that cause the wait.
	Failures int

	log   *Log
	began time.Time // when it has waited
}

// Begin begins a comparison. If the file cannot be used, or too many wait already, there is no
// comparison, and the error wraps ErrFile or ErrQueue: what is not counted would be free.
func (l *Log) Begin() (*Comparison, error) {
	c := &Comparison{log: l}
	full := false
	err := l.change(func(s *state, now time.Time) {
		c.Failures = s.Failures
		wait := cost(s.Failures + max(len(s.Open)-freeOpen+1, 0))
		if full = wait > 0 && s.Free.Sub(now) >= forgetAfter; full {
			return
		}
		c.began = now
		if wait > 0 {
			if s.Free.After(now) {
				c.began = s.Free
			}
			c.began = c.began.Add(wait)
			s.Free = c.began
			c.Wait = c.began.Sub(now)
		}
		if len(s.Open) < maxOpen {
			s.Open = append(s.Open, c.began)
		}
	})
	switch {
	case err != nil:
		return nil, err
	case full:
		return nil, ErrQueue
	}
	return c, nil
}

// End ends a comparison with its outcome. Its error wraps ErrFile.
func (c *Comparison) End(o Outcome) error {
	return c.log.change(func(s *state, now time.Time) {
		if i := slices.IndexFunc(s.Open, c.began.Equal); i >= 0 {
			s.Open = slices.Delete(s.Open, i, i+1)
		}
		switch o {
		case Succeeded:
			s.Failures, s.Free = 0, time.Time{}
		case Failed:
			s.Failures++
			s.Last = now
		}
	})
}

// cost returns the wait after n failures.
func cost(n int) time.Duration {
	if n <= 0 {
		return 0
	}
	return min(firstWait<<min(n-1, 10), maxWait)
}

// change reads, changes and writes the file, under its lock.
func (l *Log) change(f func(s *state, now time.Time)) error {
	err := l.locked(func() error {
		now := l.now()
		s, err := l.read(now)
		if err != nil {
			return err
		}
		s.expire(now)
		f(&s, now)
		s.Seen = now
		b, err := json.Marshal(s)
		if err != nil {
			return err
		}
		return replace(l.path, b)
	})
	if err != nil {
		return fmt.Errorf("%w: %w", ErrFile, err)
	}
	return nil
}

// locked calls f under the lock of the file.
func (l *Log) locked(f func() error) error {
	lock := flock.New(l.path + ".lock")
	err := lock.Lock()
	if errors.Is(err, fs.ErrNotExist) { // a cleaner of temporary files may have removed the folder
		if err = os.Mkdir(filepath.Dir(l.path), 0o700); err == nil || errors.Is(err, fs.ErrExist) {
			err = lock.Lock()
		}
	}
	if err != nil {
		return err
	}
	defer lock.Close()
	return f()
}

// read returns the contents of the file, with times of the present clock. Invalid contents count
// as one failure: they may have been truncated.
func (l *Log) read(now time.Time) (s state, err error) {
	f, err := os.Open(l.path)
	if errors.Is(err, fs.ErrNotExist) {
		return s, nil
	}
	if err != nil {
		return s, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err != nil {
		return s, err
	}
	if len(b) <= maxFile && json.Unmarshal(b, &s) == nil {
		if s.follow(now); s.isSane(now) {
			return s, nil
		}
	}
	return state{Failures: 1, Last: now}, nil
}

// replace replaces the file with a complete new one.
func replace(path string, b []byte) error {
	whole := path + ".new"
	if err := os.WriteFile(whole, b, 0o600); err != nil {
		return err
	}
	return os.Rename(whole, path)
}
