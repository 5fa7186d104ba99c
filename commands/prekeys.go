package commands

import "github.com/urfave/cli/v2"

func prekeysCommand() *cli.Command {
	return &cli.Command{
		Name:  "prekeys",
		Usage: "let others write to you while you are away",
		Description: "A prekey is for one message: the sender makes it with otrpipe encrypt-stream --to,\n" +
			"and you read it with otrpipe decrypt-stream when you are back.\n\n" +
			"  otrpipe prekeys publish -o for-alice --contact alice\n" +
			"  otrpipe prekeys list",
		Subcommands: []*cli.Command{
			prekeysPublishCommand(),
			prekeysListCommand(),
			prekeysRevokeCommand(),
		},
	}
}
