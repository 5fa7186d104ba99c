package commands

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"otrpipe/commands/internal/exit"
	"otrpipe/commands/internal/session"
)

// controlFlags are the flags of every command that talks to a live session.
func controlFlags() []cli.Flag {
	return append(in(groupSession,
		&cli.StringFlag{Name: flagSession, Aliases: []string{"s"}, Usage: "the session's `NAME`", DefaultText: "the only one"},
	), identityFlag())
}

// A found is a live session and the connection to it.
type found struct {
	session.Reply
	conn *session.Conn
}

// liveSessions asks every live session of the user for its status. One that
// comes or goes just now is left out.
func liveSessions(dir string) []found {
	conns, err := session.All(dir)
	if err != nil {
		return nil // no folder: no sessions
	}
	var all []found
	for _, conn := range conns {
		conn.SetDeadline(time.Now().Add(greeting))
		if conn.Send(session.Request{Status: true}) == nil {
			if reply, err := receiveReply(conn); err == nil && reply.Status != nil {
				conn.SetDeadline(time.Time{})
				all = append(all, found{reply, conn})
				continue
			}
		}
		conn.Close()
	}
	slices.SortFunc(all, func(a, b found) int {
		return strings.Compare(a.Status.Session+"\x00"+a.Status.Identity, b.Status.Session+"\x00"+b.Status.Identity)
	})
	return all
}

// findSessions returns the live sessions that the flags mean: of this home, of
// the identity if one is named, of the name if one is given. The others are
// returned too, to say what there is.
func findSessions(c *cli.Context) (meant, others []found, err error) {
	name, err := sessionName(c)
	if err != nil {
		return nil, nil, err
	}
	dir, err := session.Dir()
	if err != nil {
		return nil, nil, plainSession(err)
	}
	home, err := realHome(openHome(c).Dir())
	if err != nil {
		return nil, nil, err
	}
	identity := ""
	if c.IsSet(flagIdentity) {
		if identity, err = identityName(c); err != nil {
			return nil, nil, err
		}
	}
	for _, f := range liveSessions(dir) {
		if f.Home == home && (identity == "" || f.Status.Identity == identity) &&
			(!c.IsSet(flagSession) || f.Status.Session == name) {
			meant = append(meant, f)
		} else {
			others = append(others, f)
		}
	}
	return meant, others, nil
}

// realHome is a home's path as sessions are named after it.
func realHome(dir string) (string, error) {
	home, err := filepath.Abs(dir)
	if err != nil {
		return "", err
	}
	if real, err := filepath.EvalSymlinks(home); err == nil {
		home = real
	}
	return home, nil
}

// theSession returns the one live session that the flags mean. Its connection
// is to be closed.
func theSession(c *cli.Context) (*found, error) {
	meant, others, err := findSessions(c)
	if err != nil {
		return nil, err
	}
	for _, f := range others {
		f.conn.Close()
	}
	if len(meant) == 1 {
		return &meant[0], nil
	}
	for _, f := range meant {
		f.conn.Close()
	}
	if len(meant) > 1 {
		return nil, exit.Errorf(exit.Usage, "several sessions are live: %s", listed(meant)).
			WithHint("name one with --session, and its --identity where that is not enough")
	}
	what := "no session is live"
	if c.IsSet(flagSession) {
		what = fmt.Sprintf("no session %q is live", c.String(flagSession))
	}
	missing := exit.Errorf(exit.Session, "%s", what)
	switch {
	case len(others) > 0:
		return nil, missing.WithHint("live are: %s", listed(others))
	default:
		return nil, missing
	}
}

// listed names sessions, with what tells them apart.
func listed(all []found) string {
	var names []string
	for _, f := range all {
		names = append(names, fmt.Sprintf("%q (identity %q, home %s)", f.Status.Session, f.Status.Identity, f.Home))
	}
	return strings.Join(names, ", ")
}

// ask sends a request to the session and returns its answer. A signal ends the
// wait: the session notices that we have left.
func (f *found) ask(r session.Request) (session.Reply, error) {
	if err := f.conn.Send(r); err != nil {
		return session.Reply{}, f.ended()
	}
	reply, err := receiveReply(f.conn)
	switch {
	case errors.Is(err, session.ErrMessage):
		return reply, plainSession(err)
	case err != nil:
		return reply, f.ended()
	}
	return reply, replyError(reply)
}

func (f *found) ended() error {
	return exit.Errorf(exit.Session, "session %q ended", f.Status.Session)
}
