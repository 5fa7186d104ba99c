package control

import (
	"fmt"
	"strings"
	"time"

	"otrpipe/commands/internal/exit"
)

// namedAnswerTime is how long a session that the user named may take to answer. No other session
// has to wait for it.
const namedAnswerTime = 5 * time.Second

// ErrUnreachable says that this system has no way to reach live sessions.
var ErrUnreachable error = exit.Errorf(exit.Usage, "on Windows no other command can reach a live session").
	WithHint("use the lines of otrpipe chat, such as /smp, or give the session's own command the flags it needs")

// Choose returns a client of the only live session in dir that matches the filter; the caller
// closes it. If no session or several match, or the session does not answer, the error lists the
// sessions that exist.
func Choose(dir string, filter Filter) (*Client, error) {
	limit := AnswerTime
	if filter.Session != "" {
		limit = namedAnswerTime
	}
	answered, silent := Find(dir, limit, filter)
	if len(answered) == 1 && len(silent) == 0 {
		return answered[0], nil
	}
	for _, c := range answered {
		c.Close()
	}
	switch {
	case len(answered)+len(silent) > 1:
		return nil, exit.Errorf(exit.Usage, "several sessions are live: %s", listed(answered, silent)).
			WithHint("name one with --session, and its --identity where that is not enough")
	case len(silent) == 1:
		return nil, silent[0].err(limit)
	}
	what := "no session is live"
	if filter.Session != "" {
		what = fmt.Sprintf("no session %q is live", filter.Session)
	}
	missing := exit.Errorf(exit.Session, "%s", what)
	if others, quiet := Find(dir, AnswerTime, Filter{}); len(others)+len(quiet) > 0 {
		for _, c := range others {
			c.Close()
		}
		return nil, missing.WithHint("live are: %s", listed(others, quiet))
	}
	return nil, missing.WithHint("begin one with otrpipe chat, connect or serve, as the same user with the same XDG_RUNTIME_DIR and TMPDIR")
}

// err says that the session did not answer within a limit.
func (s Silent) err(limit time.Duration) error {
	return exit.Errorf(exit.Session, "session %q does not answer within %v", s.Session, limit).
		WithHint("process %d may be stopped: fg in its shell, or kill -CONT %d, lets it go on", s.PID, s.PID)
}

// Status returns what is known of the session.
func (s Silent) Status() *Status {
	return &Status{Session: s.Session, Identity: s.Identity, State: StateSilent, PID: s.PID}
}

// listed lists sessions with the parts of their names that differ.
func listed(answered []*Client, silent []Silent) string {
	var names []string
	for _, c := range answered {
		names = append(names, c.name().described())
	}
	for _, s := range silent {
		names = append(names, s.described()+", which does not answer")
	}
	return strings.Join(names, ", ")
}

func (n Name) described() string {
	return fmt.Sprintf("%q (identity %q, home %s)", n.Session, n.Identity, n.Home)
}
