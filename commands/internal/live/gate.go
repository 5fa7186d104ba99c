package live

import (
	"errors"
	"time"

	"otrpipe/commands/internal/exit"
	"otrpipe/commands/internal/guesses"
	"otrpipe/commands/internal/terminal"
)

// beginGate begins the comparison of secrets that must precede payload. It returns how long the
// comparison has to wait because earlier ones of this home have failed. An error refuses the
// comparison. The session's owner calls it.
func (s *Session) beginGate() (time.Duration, error) {
	c, err := guesses.Open(s.cfg.Dir, s.cfg.Name.Home, time.Now).Begin()
	switch {
	case errors.Is(err, guesses.ErrQueue):
		return 0, exit.Errorf(exit.SMP, "the %s are not compared: too many comparisons have failed or are already waiting", s.compared()).
			WithHint("somebody may be guessing; try again in an hour")
	case err != nil:
		return 0, exit.Errorf(exit.SMP, "the %s are not compared, because failures cannot be counted: %w", s.compared(), exit.Plain(err)).
			WithHint("without that count, guessing would be free; see whether %s can be written to", s.cfg.Dir)
	}
	s.comparison = c
	s.stepped(time.Now().Add(c.Wait))
	if c.Wait > 0 {
		s.Note("waiting %v before the %s are compared: %s failed lately, and somebody may be guessing",
			c.Wait.Round(time.Second), s.compared(), terminal.Count(c.Failures, "comparison"))
	}
	return c.Wait, nil
}

// compared returns what messages call the secrets that are compared.
func (s *Session) compared() string {
	if s.cfg.ByCode {
		return "codes"
	}
	return "secrets"
}

// endGate counts the outcome of that comparison, once.
func (s *Session) endGate(o guesses.Outcome) {
	c := s.comparison
	s.comparison = nil
	if c == nil {
		return
	}
	if err := c.End(o); err != nil {
		s.Warn("the outcome of a comparison cannot be counted: %v", exit.Plain(err))
	}
}
