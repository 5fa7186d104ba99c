package commands

import (
	"github.com/urfave/cli/v2"

	"otrpipe/commands/internal/contacts"
	"otrpipe/commands/internal/exit"
	"otrpipe/commands/internal/fingerprint"
	"otrpipe/otr/keys"
)

func contactsCommand() *cli.Command {
	return &cli.Command{
		Name:  "contacts",
		Usage: "manage contacts, and how far their keys are trusted",
		Description: "A contact is your name for somebody, and the keys met or added under that name.\n\n" +
			"  otrpipe contacts list\n" +
			"  otrpipe contacts trust bob",
		Subcommands: []*cli.Command{
			contactsListCommand(),
			contactsAddCommand(),
			contactsTrustCommand(),
			contactsDistrustCommand(),
			contactsRemoveCommand(),
			contactsRenameCommand(),
			contactsAddressCommand(),
			contactsImportCommand(),
			contactsExportCommand(),
		},
	}
}

// contactsOf returns the contacts in the home that the flags name.
func contactsOf(c *cli.Context) contacts.Book { return contacts.Book{IO: ioOf(c), Home: openHome(c)} }

// onContact turns a function of a contact's name into an action. The name is the first argument.
func onContact(do func(c *cli.Context, contact string, rest []string) error) cli.ActionFunc {
	return func(c *cli.Context) error {
		if !c.Args().Present() {
			return exit.Errorf(exit.Usage, "%s takes %s", c.Command.HelpName, c.Command.ArgsUsage)
		}
		return do(c, c.Args().First(), c.Args().Tail())
	}
}

// keyOf reads the arguments after a contact's name as the fingerprint of one of its keys. It
// returns nil if there are none.
func keyOf(rest []string) (*keys.Fingerprint, error) {
	if len(rest) == 0 {
		return nil, nil
	}
	fp, err := fingerprint.Parse(rest)
	return &fp, err
}
