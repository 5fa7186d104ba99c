package commands

import (
	"github.com/urfave/cli/v2"

	"otrpipe/commands/internal/session"
)

func refreshCommand() *cli.Command {
	return &cli.Command{
		Name:  "refresh",
		Usage: "make a new key exchange in a live session, and wait for it",
		Description: "All keys of the session become new ones. What is on its way arrives all the same.\n\n" +
			"  otrpipe refresh\n" +
			"  otrpipe refresh -s work",
		Flags:  controlFlags(),
		Action: func(c *cli.Context) error { return control(c, session.Request{Refresh: true}) },
	}
}

// control has a live session do something that has no answer but its success.
func control(c *cli.Context, r session.Request) error {
	if err := noArguments(c); err != nil {
		return err
	}
	f, err := theSession(c)
	if err != nil {
		return err
	}
	defer f.conn.Close()
	_, err = f.ask(r)
	return err
}
