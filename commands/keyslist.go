package commands

import (
	"github.com/urfave/cli/v2"

	"otrpipe/commands/internal/exit"
	"otrpipe/commands/internal/identities"
)

func keysListCommand() *cli.Command {
	return &cli.Command{
		Name:  "list",
		Usage: "list all identities",
		Description: "No passphrase is needed.\n\n" +
			"  otrpipe keys list\n" +
			"  otrpipe keys list --json",
		Flags: []cli.Flag{jsonFlag()},
		Action: func(c *cli.Context) error {
			if err := noArguments(c, ""); err != nil {
				return err
			}
			return keysList(c)
		},
	}
}

// keysList prints the identities that can be read, then the errors for those that cannot.
func keysList(c *cli.Context) error {
	list, failed := identities.All(openHome(c))
	if err := answer(c, list); err != nil || len(failed) == 0 {
		return err
	}
	last := len(failed) - 1
	for _, err := range failed[:last] {
		ioOf(c).Messages.Error(exit.Plain(err).Error())
	}
	return exit.Key(failed[last])
}
