package commands

import (
	"github.com/urfave/cli/v2"

	"otrpipe/commands/internal/session"
)

func endCommand() *cli.Command {
	return &cli.Command{
		Name:   "end",
		Usage:  "end a live session properly, and wait until it has ended",
		Flags:  controlFlags(),
		Action: func(c *cli.Context) error { return control(c, session.Request{End: true}) },
	}
}
