package commands

import (
	"github.com/urfave/cli/v2"

	"otrpipe/commands/internal/cmdline"
	"otrpipe/commands/internal/live"
)

const commandConnect = "connect"

func connectCommand() *cli.Command {
	return &cli.Command{
		Name:      commandConnect,
		Usage:     "talk with the other end over COMMAND, the transport",
		ArgsUsage: cmdline.OwnArguments,
		Description: "Both halves in one process. Standard input and output are the plaintext; the standard input and output of\n" +
			"COMMAND carry the lines of OTR.\n\n" +
			"  otrpipe connect --contact bob -- nc -N host 9000 < file\n" +
			"  otrpipe connect --smp-secret-file word -- ssh host otrpipe serve -- cat",
		Flags:  append(identityFlags(), streamFlags()...),
		Action: runConnect,
	}
}

func runConnect(c *cli.Context) error {
	e, command, err := newWhole(c, nil)
	if err != nil {
		return err
	}
	return e.host(live.Config{}, func(s *live.Session, setup live.Setup) error {
		setup.Input = e.In
		conversation, err := s.Prepare(setup)
		if err != nil {
			return err
		}
		return s.RunOver(command, e.Messages.File(), conversation, func() (*live.Payload, error) {
			return s.Standard(e.In, e.Out), nil
		})
	})
}
