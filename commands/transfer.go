package commands

import (
	"slices"

	"github.com/urfave/cli/v2"

	"otrpipe/commands/internal/exchange"
	"otrpipe/commands/internal/options"
	"otrpipe/commands/internal/secret"
)

const flagCode = exchange.CodeFlag

// transferFlags returns the flags that send and receive share. alias is another name for
// --contact.
func transferFlags(alias string) []cli.Flag {
	flags := slices.Concat(identityFlags(), streamFlags(options.Transfer))
	for _, f := range flags {
		if f, ok := f.(*cli.StringFlag); ok && f.Name == flagContact {
			f.Aliases = append(f.Aliases, alias)
		}
	}
	flags = append(flags, &cli.BoolFlag{Name: flagCode, Category: groupPeer, DisableDefaultText: true,
		Usage: "ask for the code that the other end shows"})
	for _, f := range secretFlags(flagCode, "the code of the other end") {
		switch f := f.(type) {
		case *cli.StringFlag:
			f.Category = groupPeer
		case *cli.IntFlag:
			f.Category = groupPeer
		}
		flags = append(flags, f)
	}
	return flags
}

// ownArguments splits the command line into the command's own arguments and COMMAND.
func ownArguments(c *cli.Context) (own, command []string) {
	all := c.Args().Slice()
	if i := slices.Index(all, "--"); i >= 0 {
		return all[:i], all[i+1:]
	}
	return all, nil
}

// runTransfer runs the transfer of send or receive inside a session, over COMMAND or over the
// way that the flags choose. way holds the flags that the way adds; opposite is the command for
// the other end.
func runTransfer(c *cli.Context, t *exchange.Transfer, opposite string, way options.Values, command []string) error {
	v, err := exchange.Given{
		AskCode: c.Bool(flagCode),
		Code:    secretSource(c, flagCode),
		Secret:  c.IsSet(flagSMPSecret+secret.FileFlag) || c.IsSet(flagSMPSecret+secret.FDFlag),
		Contact: c.IsSet(flagContact),
		Expect:  c.IsSet(flagExpect),
		Listens: c.IsSet(flagListen),
		Trust:   valueOf(c, flagTrust),

		Identity:     identityOf(c),
		NotEphemeral: checkEphemeral(c),
	}.Verification()
	if err != nil {
		return err
	}
	e, err := newSharing(c, together(v.Defaults, way), v.Code)
	if err != nil {
		return err
	}
	t.Contact = c.String(flagContact)
	t.Opposite = programName + " " + opposite
	return t.Over(e, v, command)
}
