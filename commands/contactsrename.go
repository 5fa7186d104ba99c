package commands

import (
	"github.com/urfave/cli/v2"

	"otrpipe/commands/internal/exit"
)

func contactsRenameCommand() *cli.Command {
	return &cli.Command{
		Name:      "rename",
		Usage:     "give a contact another name",
		ArgsUsage: "OLD NEW",
		Description: "A name that another contact has already is refused.\n\n" +
			"  otrpipe contacts rename bob robert\n" +
			"  otrpipe contacts rename bob@example.org bob",
		Action: onContact(func(c *cli.Context, old string, rest []string) error {
			if len(rest) != 1 {
				return exit.Errorf(exit.Usage, "%s takes the old name and the new one", c.Command.HelpName)
			}
			return contactsOf(c).Rename(old, rest[0])
		}),
	}
}
