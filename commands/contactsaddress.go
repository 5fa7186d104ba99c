package commands

import (
	"fmt"

	"github.com/urfave/cli/v2"

	"otrpipe/commands/internal/cmdline"
	"otrpipe/commands/internal/contacts"
	"otrpipe/commands/internal/exit"
	"otrpipe/commands/internal/transport"
	"otrpipe/keyfile"
)

const flagForget = "forget"

func contactsAddressCommand() *cli.Command {
	return &cli.Command{
		Name:      "address",
		Usage:     "note how to reach a contact, or print it",
		ArgsUsage: "NAME" + cmdline.ThenCommand,
		Description: "A contact with an address needs nothing more: otrpipe chat bob, otrpipe connect bob, otrpipe send FILE --to bob. The\n" +
			"contact's key is required as with --contact. An address is a TCP address or a COMMAND that carries the lines.\n\n" +
			"  otrpipe contacts address bob --tcp bobs.host:9000\n" +
			"  otrpipe contacts address bob -- ssh bobs.host otrpipe serve -- cat",
		Flags: cmdline.In(groupAddress,
			&cli.StringFlag{Name: flagTCP, Usage: "the contact listens at `HOST:PORT`"},
			&cli.BoolFlag{Name: flagForget, Usage: "forget the address", DisableDefaultText: true},
		),
		Action: onContact(contactsAddress),
	}
}

func contactsAddress(c *cli.Context, contact string, command []string) error {
	if len(command) > 0 && command[0] == "--" {
		command = command[1:]
	}
	given := 0
	for _, is := range []bool{c.IsSet(flagTCP), c.Bool(flagForget), len(command) > 0} {
		if is {
			given++
		}
	}
	switch {
	case given > 1:
		return exit.Errorf(exit.Usage, "a contact has one address: --tcp, a COMMAND, or --forget")
	case given == 0:
		return printAddress(c, contact)
	}
	a := keyfile.Address{Command: command}
	if c.IsSet(flagTCP) {
		var err error
		if a.TCP, err = transport.DialAddress(c.String(flagTCP)); err != nil {
			return exit.Errorf(exit.Usage, "--tcp: %w", err)
		}
	}
	return contactsOf(c).SetAddress(contact, a)
}

// printAddress prints a contact's address in the form in which this command takes it.
func printAddress(c *cli.Context, contact string) error {
	known, err := contactsOf(c).Find(contact)
	if err != nil {
		return err
	}
	if known.Address.IsZero() {
		return exit.Errorf(exit.KeyFile, "no address of %q is on file", contact).
			WithHint("otrpipe contacts address %s --tcp HOST:PORT", exit.ShellWord(contact))
	}
	_, err = fmt.Fprintln(output(c), contacts.AddressText(known.Address))
	return err
}
