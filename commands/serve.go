package commands

import (
	"github.com/urfave/cli/v2"

	"otrpipe/commands/internal/cmdline"
	"otrpipe/commands/internal/live"
	"otrpipe/commands/internal/options"
	"otrpipe/commands/internal/process"
)

const commandServe = "serve"

func serveCommand() *cli.Command {
	return &cli.Command{
		Name:      commandServe,
		Usage:     "let COMMAND, an application, talk with the other end",
		ArgsUsage: cmdline.OwnArguments,
		Description: "Both halves in one process. Standard input and output carry the lines of OTR; COMMAND reads and writes the\n" +
			"plaintext. It is started once the peer has passed the checks. With --listen the lines come from TCP, and each\n" +
			"caller has a session and a COMMAND of its own, until a signal ends the server.\n\n" +
			"  otrpipe serve --listen 9000 -- cat\n" +
			"  otrpipe serve --contact bob --trust verified -- sh",
		Flags:  append(identityFlags(), streamFlags(options.Serve)...),
		Action: runServe,
	}
}

func runServe(c *cli.Context) error {
	e, err := newWhole(c, nil)
	if err != nil {
		return err
	}
	if e.Way().Listener != nil {
		return e.ServeCallers()
	}
	p := ioOf(c)
	return e.Host(live.Config{}, func(s *live.Session, setup live.Setup) error {
		setup.Served = true
		conversation, err := s.Prepare(setup)
		if err != nil {
			return err
		}
		return s.Serve(c.Args().Slice(), conversation, &process.Files{In: p.In, Out: p.Out})
	})
}
