package commands

import "github.com/urfave/cli/v2"

func contactsExportCommand() *cli.Command {
	return &cli.Command{
		Name:      "export",
		Usage:     "write contacts to a file of fingerprints for libotr",
		ArgsUsage: "FILE",
		Description: "FILE - is standard output. Keys of version 4, which libotr does not know, are left out.\n\n" +
			"  otrpipe contacts export otr.fingerprints --account me@example.org\n" +
			"  otrpipe contacts export -",
		Flags: append(accountFlags(), identityFlag(), forceFlag()),
		Action: func(c *cli.Context) error {
			path, err := oneFile(c)
			if err != nil {
				return err
			}
			name, err := identityOf(c).Name()
			if err != nil {
				return err
			}
			return contactsOf(c).Export(outputFiles(c), path, accountOf(c), name)
		},
	}
}
