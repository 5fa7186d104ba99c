package commands

import (
	"fmt"
	"path/filepath"
	"strings"

	"github.com/urfave/cli/v2"

	"otrpipe/commands/internal/cmdline"
	"otrpipe/commands/internal/control"
	"otrpipe/commands/internal/exit"
)

// controlFlags are the flags of every command that talks to a live session.
func controlFlags() []cli.Flag {
	return append(cmdline.In(groupSession,
		&cli.StringFlag{Name: flagSession, Aliases: []string{"s"}, Usage: "the session's `NAME`", DefaultText: "the only one"},
	), identityFlag())
}

// findSessions returns the live sessions that the flags mean: of this home, of
// the identity if one is named, of the name if one is given. The others are
// returned too, to say what there is.
func findSessions(c *cli.Context) (meant, others []*control.Client, err error) {
	name, err := sessionName(c)
	if err != nil {
		return nil, nil, err
	}
	dir, err := control.Dir()
	if err != nil {
		return nil, nil, exit.Failed(err)
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
	for _, f := range control.Find(dir, control.Greeting) {
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
func theSession(c *cli.Context) (*control.Client, error) {
	meant, others, err := findSessions(c)
	if err != nil {
		return nil, err
	}
	for _, f := range others {
		f.Close()
	}
	if len(meant) == 1 {
		return meant[0], nil
	}
	for _, f := range meant {
		f.Close()
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
func listed(all []*control.Client) string {
	var names []string
	for _, f := range all {
		names = append(names, fmt.Sprintf("%q (identity %q, home %s)", f.Status.Session, f.Status.Identity, f.Home))
	}
	return strings.Join(names, ", ")
}
