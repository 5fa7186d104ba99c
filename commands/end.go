package commands

import (
	"maps"
	"path/filepath"
	"slices"
	"strings"

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

// newEnd reads the flags of a stream command. Flags that were not given have the command's
// defaults.
func newEnd(c *cli.Context, defaults options.Values) (*ends.End, error) {
	return newSharing(c, defaults, nil)
}

// newSharing is newEnd for a command that already holds the SMP secret. If secret is nil, the
// flags may name a source. The session wipes the secret.
func newSharing(c *cli.Context, defaults options.Values, shared []byte) (*ends.End, error) {
	given, err := options.Read(c)
	if err != nil {
		return nil, err
	}
	for name, value := range defaults {
		if !c.IsSet(name) { // the switch may have been turned off explicitly
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
	if c.Bool(options.EphemeralFlag) { // only where it was turned on explicitly
		if err := checkEphemeral(c); err != nil {
			return nil, err
		}
	}
	return ends.New(ends.Config{
		IO: ioOf(c), Command: c.Command.Name, Given: given, Session: session, Identity: identityOf(c),
		Secret: secretSource(c, flagSMPSecret), Shared: shared, Events: valueOf(c, flagEvents),
	})
}

// newWhole is newEnd for a command that both sends and receives.
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
	return e, addressHint(c, e.FindWay(command))
}

// addressHint adds to the error for a COMMAND that cannot be run what it may be meant as: an
// address to dial or to listen on, or a contact.
func addressHint(c *cli.Context, err error) error {
	if err == nil || c.NArg() > 2 || !hasFlag(c, flagTCP) || cmdline.HasDashes(c.App) {
		return err
	}
	e := exit.As(err)
	name := c.Args().First()
	if e.Code != exit.CannotRun || e.Hint != "" || filepath.Base(name) != name {
		return err
	}
	address := strings.Join(c.Args().Slice(), ":") // netcat has a blank between host and port
	if _, err := transport.DialAddress(address); err == nil {
		return e.WithHint("did you mean --%s %s?", flagTCP, exit.ShellWord(address))
	}
	if _, err := transport.ListenAddress(address); err == nil {
		return e.WithHint("did you mean --%s %s?", flagListen, exit.ShellWord(address))
	}
	if c.NArg() == 1 && keyfile.CheckContactName(name) == nil {
		return e.WithHint("if %s is a contact: otrpipe contacts address %s --tcp HOST:PORT", name, exit.ShellWord(name))
	}
	return err
}

// contactArgument returns the contact that the only argument names. If the contact has no
// address and the flags name none, the argument is a COMMAND instead.
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

// findWay finds the way to the other end: the flags or a COMMAND if they are given, or else the
// saved address of the contact that the command line names (name, if any). It returns the flags
// and the COMMAND that lead there.
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

// checkContact refuses flags that contradict a contact's name given as an argument.
func checkContact(c *cli.Context, name string) error {
	switch {
	case name == "" || name == c.String(flagContact):
		return nil // checkEphemeral refuses the combination if necessary
	case c.IsSet(flagContact):
		return exit.Errorf(exit.Usage, "--contact names somebody else than %s", terminal.Visible(name))
	case c.Bool(options.EphemeralFlag):
		return exit.Errorf(exit.Usage, "--%s and a contact contradict each other", options.EphemeralFlag)
	}
	return nil
}

// together merges a command's defaults with those found for this run.
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
// the contact that it names, if any; command reports whether it has a COMMAND, and dialled
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

// runHalf runs encrypt-stream or decrypt-stream.
func runHalf(c *cli.Context, role string) error {
	if err := noArguments(c, "<"); err != nil {
		return err
	}
	e, err := newEnd(c, nil)
	if err != nil {
		return err
	}
	return e.RunHalf(role)
}

// checkEphemeral refuses, beside --ephemeral, flags that choose a stored key or remember the
// peer.
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
