package commands

import "github.com/urfave/cli/v2"

func contactsDistrustCommand() *cli.Command {
	return &cli.Command{
		Name:      "distrust",
		Usage:     "take back a verification; the key stays on file",
		ArgsUsage: "NAME [FINGERPRINT]",
		Description: "Without a fingerprint this applies to all keys of the contact.\n\n" +
			"  otrpipe contacts distrust bob\n" +
			"  otrpipe contacts distrust bob 01234567 01234567 01234567 01234567 01234567",
		Action: onContact(func(c *cli.Context, contact string, rest []string) error {
			fp, err := keyOf(rest)
			if err != nil {
				return err
			}
			return contactsOf(c).Distrust(contact, fp)
		}),
	}
}
