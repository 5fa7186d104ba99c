package commands

import (
	"github.com/urfave/cli/v2"

	"otrpipe/commands/internal/control"
)

func endCommand() *cli.Command {
	return &cli.Command{
		Name:  "end",
		Usage: "end a live session properly, and wait until it has ended",
		Description: "The peer is told. A stream that had not reached its end breaks: both ends leave\n" +
			"with 5.\n\n" +
			"  otrpipe end\n" +
			"  otrpipe end -s work",
		Flags:  controlFlags(),
		Action: func(c *cli.Context) error { return ask(c, control.Request{End: true}, nil) },
	}
}
