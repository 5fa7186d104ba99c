package commands

import "github.com/urfave/cli/v2"

func contactsRemoveCommand() *cli.Command {
	return &cli.Command{
		Name:      "remove",
		Usage:     "forget a key, or the contact",
		ArgsUsage: "NAME [FINGERPRINT]",
		Description: "Without a fingerprint the contact is forgotten with all keys.\n\n" +
			"  otrpipe contacts remove bob\n" +
			"  otrpipe contacts remove bob 01234567 01234567 01234567 01234567 01234567",
		Action: onContact(func(c *cli.Context, contact string, rest []string) error {
			fp, err := keyOf(rest)
			if err != nil {
				return err
			}
			return contactsOf(c).Remove(contact, fp)
		}),
	}
}
