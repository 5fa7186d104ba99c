package commands

import "github.com/urfave/cli/v2"

func contactsImportCommand() *cli.Command {
	return &cli.Command{
		Name:      "import",
		Usage:     "take over contacts from libotr's file of fingerprints",
		ArgsUsage: "FILE",
		Description: "It is otr.fingerprints in Pidgin, otr.fp in irssi. Keys are added, and trust in known ones is raised where the file has more;\n" +
			"nothing is taken away.\n\n" +
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
