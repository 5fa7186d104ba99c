package commands

import "github.com/urfave/cli/v2"

func prekeysCommand() *cli.Command {
	return &cli.Command{
		Name:  "prekeys",
		Usage: "what others need to write while you are away",
		Description: "A prekey takes one message, made with otrpipe encrypt-stream --to, which\n" +
			"otrpipe decrypt-stream reads whenever you are back.\n\n" +
			"  otrpipe prekeys publish -o for-alice --contact alice\n" +
			"  otrpipe prekeys list",
		Subcommands: []*cli.Command{
			prekeysPublishCommand(),
			prekeysListCommand(),
			prekeysRevokeCommand(),
		},
	}
}
