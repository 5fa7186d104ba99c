package commands

import (
	"github.com/urfave/cli/v2"

	"otrpipe/commands/internal/fingerprint"
)

func contactsTrustCommand() *cli.Command {
	return &cli.Command{
		Name:      "trust",
		Usage:     "note that you have compared the fingerprint",
		ArgsUsage: "NAME [FINGERPRINT]",
		Description: "If the contact has several keys, give the fingerprint of the one that was compared.\n\n" +
			"  otrpipe contacts trust bob\n" +
			"  otrpipe contacts trust bob 01234567 01234567 01234567 01234567 01234567",
		Action: onContact(func(c *cli.Context, contact string, rest []string) error {
			if len(rest) == 0 {
				return contactsOf(c).TrustOnly(contact)
			}
			fps, err := fingerprint.ParseAll(rest)
			if err != nil {
				return err
			}
			return contactsOf(c).Trust(contact, fps)
		}),
	}
}
