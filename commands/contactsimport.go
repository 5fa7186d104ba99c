package commands

import "github.com/urfave/cli/v2"

func contactsImportCommand() *cli.Command {
	return &cli.Command{
		Name:      "import",
		Usage:     "import contacts from libotr's file of fingerprints",
		ArgsUsage: "FILE",
		Description: "The file is otr.fingerprints in Pidgin and otr.fp in irssi. Keys are added, and the trust in a key is raised if the file\n" +
			"trusts it further; nothing is removed.\n\n" +
			"  otrpipe contacts import ~/.purple/otr.fingerprints --account me@example.org\n" +
			"  otrpipe contacts import - < otr.fingerprints",
		Flags: accountFlags(),
		Action: func(c *cli.Context) error {
			path, err := oneFile(c)
			if err != nil {
				return err
			}
			return contactsOf(c).Import(path, accountOf(c))
		},
	}
}
