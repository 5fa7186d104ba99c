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
	// openFor is how long a comparison counts as under way at most, because a killed process
	// cannot remove its own.
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
	Open     []time.Time `json:"open"` // when the comparisons under way began
	Free     time.Time   `json:"free"` // after failures: the next comparison may begin from then on
	Seen     time.Time   `json:"seen"` // when this was written
}

// isSane reports whether this program can have written s, judging by the present time.
func (s *state) isSane(now time.Time) bool {
	return s.Failures >= 0 && len(s.Open) <= maxOpen && !s.Seen.After(now) &&
		!s.Free.After(s.Seen.Add(forgetAfter+maxWait))
}

// A Comparison is a comparison under way.
type Comparison struct {
	// Wait is how long the comparison must wait before it reveals or answers anything.
	Wait time.Duration
	// Failures is the number of failures that cause the wait.
	Failures int

	log   *Log
	began time.Time
}

// Begin begins a comparison. If the file cannot be used, the comparison need not wait, and the
// error wraps ErrFile. With ErrQueue there is no comparison.
func (l *Log) Begin() (*Comparison, error) {
	c := &Comparison{log: l, began: l.now()}
	full := false
	err := l.change(func(s *state) {
		c.Failures = s.Failures
		wait := cost(s.Failures + max(len(s.Open)-freeOpen+1, 0))
		if full = wait > 0 && s.Free.Sub(c.began) >= forgetAfter; full {
			return
		}
		if wait > 0 {
			start := c.began
			if s.Free.After(start) {
				start = s.Free
			}
			s.Free = start.Add(wait)
			c.Wait = s.Free.Sub(c.began)
		}
		if len(s.Open) < maxOpen {
			s.Open = append(s.Open, c.began)
		}
	})
	if full {
		return nil, ErrQueue
	}
	return c, err
}

// End ends a comparison with its outcome. Its error wraps ErrFile.
func (c *Comparison) End(o Outcome) error {
	return c.log.change(func(s *state) {
		if i := slices.IndexFunc(s.Open, c.began.Equal); i >= 0 {
			s.Open = slices.Delete(s.Open, i, i+1)
		}
		switch o {
		case Succeeded:
			s.Failures, s.Free = 0, time.Time{}
		case Failed:
			s.Failures++
			s.Last = c.log.now()
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
func (l *Log) change(f func(*state)) error {
	lock := flock.New(l.path + ".lock")
	if err := lock.Lock(); err != nil {
		return fmt.Errorf("%w: %w", ErrFile, err)
	}
	defer lock.Close()
	s := l.read()
	now := l.now()
	if now.Sub(s.Last) >= forgetAfter || s.Last.After(now) {
		s.Failures = 0
	}
	s.Open = slices.DeleteFunc(s.Open, func(began time.Time) bool { return now.Sub(began) >= openFor || began.After(now) })
	f(&s)
	s.Seen = now
	b, err := json.Marshal(s)
	if err == nil {
		err = replace(l.path, b)
	}
	if err != nil {
		return fmt.Errorf("%w: %w", ErrFile, err)
	}
	return nil
}

// read returns the contents of the file. An invalid file counts as one failure: it may have been
// truncated, or the clock set back.
func (l *Log) read() (s state) {
	f, err := os.Open(l.path)
	if errors.Is(err, fs.ErrNotExist) {
		return s
	}
	var b []byte
	if err == nil {
		b, err = io.ReadAll(io.LimitReader(f, maxFile+1))
		f.Close()
	}
	if err == nil && len(b) > maxFile {
		err = ErrFile
	}
	if err == nil {
		err = json.Unmarshal(b, &s)
	}
	if now := l.now(); err != nil || !s.isSane(now) {
		return state{Failures: 1, Last: now}
	}
	return s
}

// replace replaces the file with a complete new one.
func replace(path string, b []byte) error {
	whole := path + ".new"
	if err := os.WriteFile(whole, b, 0o600); err != nil {
		return err
	}
	return os.Rename(whole, path)
}
