package commands

import (
	"maps"
	"slices"

	"github.com/urfave/cli/v2"

	"otrpipe/commands/internal/cmdline"
	"otrpipe/commands/internal/ends"
	"otrpipe/commands/internal/exit"
	"otrpipe/commands/internal/options"
	"otrpipe/commands/internal/secret"
	"otrpipe/commands/internal/terminal"
	"otrpipe/commands/internal/transport"
	"otrpipe/keyfile"
)

// newEnd reads the flags of a stream command. Those that were not given have the command's
// defaults.
func newEnd(c *cli.Context, defaults options.Values) (*ends.End, error) {
	return newSharing(c, defaults, nil)
}

// newSharing is newEnd for an end whose secret of SMP the command has already; nil: it has
// none, and the flags say where one is. The session wipes it.
func newSharing(c *cli.Context, defaults options.Values, shared []byte) (*ends.End, error) {
	given, err := options.Read(c)
	if err != nil {
		return nil, err
	}
	for name, value := range defaults {
		if !c.IsSet(name) { // a switch may have been given as off
			given[name] = value
		}
	}
	if err := given.Check(); err != nil {
		return nil, err
	}
	session, err := sessionName(c)
	if err != nil {
		return nil, err
	}
	if c.Bool(options.EphemeralFlag) { // and not by default
		if err := checkEphemeral(c); err != nil {
			return nil, err
		}
	}
	return ends.New(ends.Config{
		IO: ioOf(c), Command: c.Command.Name, Given: given, Session: session, Identity: identityOf(c),
		Secret: secretSource(c, flagSMPSecret), Shared: shared, Events: valueOf(c, flagEvents),
	})
}

// newWhole is newEnd for a command that is a whole end.
func newWhole(c *cli.Context, defaults options.Values) (*ends.End, error) {
	if err := checkWay(c, c.Args().Present()); err != nil {
		return nil, err
	}
	command := c.Args().Slice()
	if len(command) == 1 && hasFlag(c, flagTCP) && !cmdline.HasDashes(c.App) {
		contact, found, err := openHome(c).Contact(command[0])
		if err == nil && found && !contact.Address.IsZero() {
			if defaults, command, err = toContact(c, contact, defaults); err != nil {
				return nil, err
			}
		}
	}
	e, err := newEnd(c, defaults)
	if err != nil {
		return nil, err
	}
	return e, e.FindWay(command)
}

// toContact returns the defaults and the COMMAND of an end that reaches a contact at the
// address on file. The contact's key is required.
func toContact(c *cli.Context, contact keyfile.Contact, defaults options.Values) (options.Values, []string, error) {
	switch {
	case c.IsSet(flagContact) && c.String(flagContact) != contact.Name:
		return nil, nil, exit.Errorf(exit.Usage, "--contact names somebody else than %s", terminal.Visible(contact.Name))
	case c.Bool(options.EphemeralFlag):
		return nil, nil, exit.Errorf(exit.Usage, "--%s and a contact contradict each other", options.EphemeralFlag)
	}
	defaults = maps.Clone(defaults)
	if defaults == nil {
		defaults = options.Values{}
	}
	defaults[flagContact] = []string{contact.Name}
	if contact.Address.TCP != "" {
		address, err := transport.DialAddress(contact.Address.TCP)
		if err != nil {
			return nil, nil, exit.Errorf(exit.KeyFile, "the address of %s: %w", terminal.Visible(contact.Name), err)
		}
		defaults[flagTCP] = []string{address}
	}
	return defaults, contact.Address.Command, nil
}

// hasFlag reports whether a command has a flag.
func hasFlag(c *cli.Context, name string) bool {
	return slices.ContainsFunc(c.Command.Flags, func(f cli.Flag) bool { return f.Names()[0] == name })
}

// checkWay refuses a command line that does not name exactly one way to the other end;
// command says whether it has a COMMAND.
func checkWay(c *cli.Context, command bool) error {
	switch hasTCP := hasFlag(c, flagTCP); {
	case c.IsSet(flagTCP) && c.IsSet(flagListen):
		return exit.Errorf(exit.Usage, "--tcp and --listen contradict each other: one end listens, and the other dials")
	case command && hasTCP && (c.IsSet(flagTCP) || c.IsSet(flagListen)):
		return exit.Errorf(exit.Usage, "a COMMAND cannot be the transport together with --tcp or --listen")
	case c.Bool(options.TransportStatusFlag) && !command:
		return exit.Errorf(exit.Usage, "--%s needs a COMMAND, whose status it is", options.TransportStatusFlag)
	case c.IsSet(options.MaxSessionsFlag) && !c.IsSet(flagListen):
		return exit.Errorf(exit.Usage, "--%s needs --listen", options.MaxSessionsFlag)
	case command || hasTCP && (c.IsSet(flagTCP) || c.IsSet(flagListen)):
		return nil
	case hasTCP:
		return exit.Errorf(exit.Usage, "%s needs a transport: --tcp, --listen or a COMMAND", c.Command.HelpName).
			WithHint("%s [flags] --tcp HOST:PORT, --listen PORT, or -- COMMAND...", c.Command.HelpName)
	}
	return exit.Errorf(exit.Usage, "%s needs a COMMAND", c.Command.HelpName).
		WithHint("%s [flags] -- COMMAND...", c.Command.HelpName)
}

// runHalf is encrypt-stream and decrypt-stream.
func runHalf(c *cli.Context, role string) error {
	if err := noArguments(c); err != nil {
		return err
	}
	e, err := newEnd(c, nil)
	if err != nil {
		return err
	}
	return e.RunHalf(role)
}

// checkEphemeral refuses flags that say whose keys to use, or who should know them again.
func checkEphemeral(c *cli.Context) error {
	for _, flag := range []string{
		flagContact, flagIdentity, flagIdentityFile, flagPassphrase + secret.FileFlag, flagPassphrase + secret.FDFlag,
	} {
		if c.IsSet(flag) {
			return exit.Errorf(exit.Usage, "--%s and --%s contradict each other", options.EphemeralFlag, flag).
				WithHint("an ephemeral identity is known by a shared secret: --smp-secret-file")
		}
	}
	return nil
}
