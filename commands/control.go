package commands

import (
	"github.com/urfave/cli/v2"

	"otrpipe/commands/internal/cmdline"
	"otrpipe/commands/internal/control"
	"otrpipe/commands/internal/exit"
)

// controlFlags are the flags of every command that talks to a live session.
func controlFlags() []cli.Flag { return controlFlagsFor("the only one") }

// controlFlagsFor returns the flags that select live sessions. otherwise says which ones are meant
// if no name is given.
func controlFlagsFor(otherwise string) []cli.Flag {
	return cmdline.In(groupSession,
		&cli.StringFlag{Name: flagSession, Aliases: []string{"s"}, Usage: "the session's `NAME`", DefaultText: otherwise},
		&cli.StringFlag{Name: flagIdentity, Aliases: []string{"i"}, Usage: "only sessions of the identity `NAME`", DefaultText: "any"},
	)
}

// meantSessions returns the filter for the live sessions that the flags select: those of this
// home, limited to an identity and a session name if they are given.
func meantSessions(c *cli.Context) (dir string, filter control.Filter, err error) {
	if !control.Reachable {
		return "", filter, control.ErrUnreachable
	}
	session, err := sessionName(c)
	if err != nil {
		return "", filter, err
	}
	if session != nil {
		filter.Session = *session
	}
	if dir, err = control.Dir(); err != nil {
		return "", filter, exit.Failed(err)
	}
	if filter.Home, err = openHome(c).RealPath(); err != nil {
		return "", filter, err
	}
	if c.IsSet(flagIdentity) {
		filter.Identity, err = identityOf(c).Name()
	}
	return dir, filter, err
}

// theSession connects to the only live session that the flags select. The caller closes the
// connection.
func theSession(c *cli.Context) (*control.Client, error) {
	dir, filter, err := meantSessions(c)
	if err != nil {
		return nil, err
	}
	return control.Choose(dir, filter)
}
