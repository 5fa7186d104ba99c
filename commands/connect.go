package commands

import (
	"github.com/urfave/cli/v2"

	"otrpipe/commands/internal/cmdline"
	"otrpipe/commands/internal/live"
	"otrpipe/commands/internal/options"
)

const commandConnect = "connect"

func connectCommand() *cli.Command {
	return &cli.Command{
		Name:      commandConnect,
		Usage:     "talk with the other end, over TCP or COMMAND",
		UsageText: "otrpipe connect [flags] --tcp HOST:PORT | --listen [HOST:]PORT\notrpipe connect [flags] CONTACT",
		ArgsUsage: cmdline.OwnArguments,
		Description: "Both halves in one process. Standard input and output are the plaintext. The lines of OTR go over a TCP\n" +
			"connection, with --tcp or --listen, or over the standard input and output of COMMAND. With --listen, a caller that\n" +
			"fails the checks is turned away, and listening goes on.\n\n" +
			"  otrpipe connect --contact bob --listen 9000 < /dev/null > file\n" +
			"  otrpipe connect --contact alice --tcp host:9000 < file\n" +
			"  otrpipe connect --smp-secret-file word -- ssh host otrpipe serve -- cat",
		Flags:  append(identityFlags(), streamFlags(options.Connect)...),
		Action: runConnect,
	}
}

func runConnect(c *cli.Context) error {
	e, err := newWhole(c, nil)
	if err != nil {
		return err
	}
	p := ioOf(c)
	return e.RunOver(live.Config{}, p.In, func(s *live.Session) (*live.Payload, error) {
		return s.Standard(p.In, p.Out), nil
	})
}
