package commands

import (
	"github.com/urfave/cli/v2"

	"otrpipe/commands/internal/exit"
	"otrpipe/commands/internal/fingerprint"
)

func contactsAddCommand() *cli.Command {
	return &cli.Command{
		Name:      "add",
		Usage:     "put a contact's key on file, not verified yet",
		ArgsUsage: "NAME FINGERPRINT",
		Description: "A fingerprint is taken in any grouping and case, or as the text of a QR code.\n\n" +
			"  otrpipe contacts add bob 01234567 01234567 01234567 01234567 01234567\n" +
			"  otrpipe contacts add bob otr-fingerprint:3:$(cat digits)",
		Action: onContact(func(c *cli.Context, contact string, rest []string) error {
			if len(rest) == 0 {
				return exit.Errorf(exit.Usage, "%s takes a name and a fingerprint", c.Command.HelpName).
					WithHint("the fingerprint is what otrpipe fingerprint prints at the other end")
			}
			fps, err := fingerprint.ParseAll(rest)
			if _, swapped := fingerprint.Read(contact); err != nil && swapped == nil {
				return exit.As(err).WithHint("the name comes first: %s NAME FINGERPRINT", c.Command.HelpName)
			}
			if err != nil {
				return err
			}
			return contactsOf(c).Add(contact, fps)
		}),
	}
}
