package commands

import "github.com/urfave/cli/v2"

func keysCommand() *cli.Command {
	return &cli.Command{
		Name:  "keys",
		Usage: "manage identities",
		Description: "An identity is a name and its private keys. otrpipe keygen makes one.\n\n" +
			"  otrpipe keys list\n" +
			"  otrpipe keys passphrase -i work",
		Subcommands: []*cli.Command{
			keysListCommand(),
			keysPassphraseCommand(),
			keysUpgradeCommand(),
			keysRemoveCommand(),
			keysExportCommand(),
			keysImportCommand(),
		},
	}
}
