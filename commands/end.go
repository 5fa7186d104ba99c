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
	command := c.Args().Slice()
	name, named := contactArgument(c)
	if named {
		command = nil
	} else {
		name = c.String(flagContact)
	}
	reached, command, err := findWay(c, name, command)
	if err != nil {
		return nil, err
	}
	if named {
		reached[flagContact] = []string{name}
	}
	e, err := newEnd(c, together(defaults, reached))
	if err != nil {
		return nil, err
	}
	return e, e.FindWay(command)
}

// contactArgument returns the contact whose name is the only argument, instead of a COMMAND.
// It has an address, or the flags say how it is reached; else it is a COMMAND.
func contactArgument(c *cli.Context) (name string, ok bool) {
	if c.NArg() != 1 || !hasFlag(c, flagTCP) || cmdline.HasDashes(c.App) {
		return "", false
	}
	contact, found, err := openHome(c).Contact(c.Args().First())
	if err != nil || !found {
		return "", false
	}
	return contact.Name, !contact.Address.IsZero() || c.IsSet(flagTCP) || c.IsSet(flagListen)
}

// findWay finds the way to the other end: the one that the flags or a COMMAND name, or else the
// address on file of a contact; name is the contact that the command line names, if any. It
// returns the flags and the COMMAND that lead there.
func findWay(c *cli.Context, name string, command []string) (options.Values, []string, error) {
	way := options.Values{}
	contact := keyfile.Contact{}
	if name != "" && len(command) == 0 && hasFlag(c, flagTCP) && !c.IsSet(flagTCP) && !c.IsSet(flagListen) {
		var err error
		if contact, _, err = openHome(c).Contact(name); err != nil {
			return nil, nil, exit.Key(err)
		}
	}
	if err := checkContact(c, name); err != nil {
		return nil, nil, err
	}
	if address := contact.Address.TCP; address != "" {
		address, err := transport.DialAddress(address)
		if err != nil {
			return nil, nil, exit.Errorf(exit.KeyFile, "the address of %s: %w", terminal.Visible(contact.Name), err)
		}
		way[flagTCP] = []string{address}
	} else if len(contact.Address.Command) > 0 {
		command = contact.Address.Command
	}
	return way, command, checkWay(c, name, len(command) > 0, len(way) > 0)
}

// checkContact refuses flags that contradict the name of a contact that is an argument.
func checkContact(c *cli.Context, name string) error {
	switch {
	case name == "" || name == c.String(flagContact):
		return nil // which checkEphemeral refuses where it has to
	case c.IsSet(flagContact):
		return exit.Errorf(exit.Usage, "--contact names somebody else than %s", terminal.Visible(name))
	case c.Bool(options.EphemeralFlag):
		return exit.Errorf(exit.Usage, "--%s and a contact contradict each other", options.EphemeralFlag)
	}
	return nil
}

// together returns the defaults of a command with what was found out for this run.
func together(defaults, found options.Values) options.Values {
	all := maps.Clone(defaults)
	if all == nil {
		all = options.Values{}
	}
	maps.Copy(all, found)
	return all
}

// hasFlag reports whether a command has a flag.
func hasFlag(c *cli.Context, name string) bool {
	return slices.ContainsFunc(c.Command.Flags, func(f cli.Flag) bool { return f.Names()[0] == name })
}

// checkWay refuses a command line that does not name exactly one way to the other end. name is
// the contact that it names, if any; command says whether there is a COMMAND, and dialled
// whether the contact has a TCP address.
func checkWay(c *cli.Context, name string, command, dialled bool) error {
	switch hasTCP := hasFlag(c, flagTCP); {
	case c.IsSet(flagTCP) && c.IsSet(flagListen):
		return exit.Errorf(exit.Usage, "--tcp and --listen contradict each other: one end listens, and the other dials")
	case command && hasTCP && (c.IsSet(flagTCP) || c.IsSet(flagListen)):
		return exit.Errorf(exit.Usage, "a COMMAND cannot be the transport together with --tcp or --listen")
	case c.Bool(options.TransportStatusFlag) && !command:
		return exit.Errorf(exit.Usage, "--%s needs a COMMAND, whose status it is", options.TransportStatusFlag)
	case c.IsSet(options.MaxSessionsFlag) && !c.IsSet(flagListen):
		return exit.Errorf(exit.Usage, "--%s needs --listen", options.MaxSessionsFlag)
	case c.IsSet(options.WaitFlag) && c.IsSet(flagListen) && !hasTCP:
		return exit.Errorf(exit.Usage, "--%s is for one other end; --listen serves callers until a signal ends it", options.WaitFlag)
	case command || dialled || hasTCP && (c.IsSet(flagTCP) || c.IsSet(flagListen)):
		return nil
	case hasTCP && name != "":
		return exit.Errorf(exit.Usage, "%s needs a transport: --tcp, --listen or a COMMAND; no address of %s is on file", c.Command.HelpName, terminal.Visible(name)).
			WithHint("otrpipe contacts address %s --tcp HOST:PORT", exit.ShellWord(name))
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
