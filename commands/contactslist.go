package commands

import "github.com/urfave/cli/v2"

func contactsListCommand() *cli.Command {
	return &cli.Command{
		Name:  "list",
		Usage: "list all contacts",
		Description: "Each key comes with how far it is trusted: known, verified by hand or verified by secret. A key that the\n" +
			"contact announced in a session with the key above it is shown as not met yet: it is not trusted.\n\n" +
			"  otrpipe contacts list\n" +
			"  otrpipe contacts list --json",
		Flags: []cli.Flag{jsonFlag()},
		Action: func(c *cli.Context) error {
			if err := noArguments(c, ""); err != nil {
				return err
			}
			list, err := contactsOf(c).All()
			if err != nil {
				return err
			}
			return answer(c, list)
		},
	}
}
