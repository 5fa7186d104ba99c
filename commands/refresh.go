package commands

import (
	"github.com/urfave/cli/v2"

	"otrpipe/commands/internal/control"
)

func refreshCommand() *cli.Command {
	return &cli.Command{
		Name:  "refresh",
		Usage: "run a new key exchange in a live session, and wait for it",
		Description: "All keys of the session are replaced. Messages on their way still arrive.\n\n" +
			"  otrpipe refresh\n" +
			"  otrpipe refresh -s work",
		Flags:  controlFlags(),
		Action: func(c *cli.Context) error { return ask(c, control.Request{Refresh: true}) },
	}
}

// ask makes a live session do something whose only result is success or an error.
func ask(c *cli.Context, r control.Request) error {
	if err := noArguments(c); err != nil {
		return err
	}
	session, err := theSession(c)
	if err != nil {
		return err
	}
	defer session.Close()
	_, err = session.Do(c.Context, r)
	return err
}
