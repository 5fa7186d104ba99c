package commands

import (
	"os"

	"github.com/urfave/cli/v2"

	"otrpipe/commands/internal/cmdline"
	"otrpipe/commands/internal/exit"
	"otrpipe/commands/internal/forgery"
)

const (
	flagAs       = "as"
	flagProfile  = "profile"
	flagPeerFrom = "peer-begins"
	flagAway     = "away"
)

func toolkitForgeCommand() *cli.Command {
	return &cli.Command{
		Name:      "forge",
		Usage:     "make a conversation that never happened",
		ArgsUsage: "[SCRIPT]",
		Description: "SCRIPT, a file or standard input, has lines of the form NAME: TEXT, of two people. The\n" +
			"output is a whole transcript: key exchange, messages, revealed MAC keys, end. In version 4 it\n" +
			"passes every check, and nobody can tell which of the two made it. In version 3 the peer's\n" +
			"signature in the key exchange cannot be forged; only someone who has a secret of the exchange\n" +
			"can see that.\n\n" +
			"  otrpipe toolkit forge --as alice --profile log script > forged\n" +
			"  otrpipe toolkit forge --as alice --otr 3 script > forged",
		Flags: append(cmdline.In(groupAnswer,
			&cli.StringFlag{Name: flagAs, Usage: "we are `NAME` in the script"},
			&cli.StringFlag{Name: flagProfile, Usage: "take the peer's client profile from a message in `FILE`, a log (version 4)"},
			&cli.BoolFlag{Name: flagPeerFrom, Usage: "let the peer begin the key exchange", DisableDefaultText: true},
			&cli.BoolFlag{Name: flagAway, Usage: "forge messages to somebody who is away: to the peer, with a prekey ensemble in --profile, or, if the peer's text is first, to us", DisableDefaultText: true},
			&cli.IntFlag{Name: flagOTR, Usage: "forge a conversation of `VERSION` 3 or 4", DefaultText: "4"},
		), identityFlags()...),
		Action: forgeConversation,
	}
}

func forgeConversation(c *cli.Context) error {
	version := 4
	if c.IsSet(flagOTR) {
		version = c.Int(flagOTR)
	}
	if err := checkForgery(c, version); err != nil {
		return err
	}
	cfg := forgery.Config{
		IO: ioOf(c), Version: version, Script: c.App.Reader, As: c.String(flagAs),
		PeerBegins: c.Bool(flagPeerFrom), Away: c.Bool(flagAway), Log: c.String(flagProfile), Open: identityOf(c).Open,
	}
	if !c.IsSet(flagIdentityFile) {
		cfg.Home = openHome(c)
	}
	if name := c.Args().First(); name != "" && name != "-" {
		script, err := os.Open(name)
		if err != nil {
			return exit.Errorf(exit.Failure, "%w", exit.Plain(err))
		}
		defer script.Close()
		cfg.Script = script
	}
	return forgery.Forge(cfg, output(c))
}

// checkForgery refuses a command line that lacks a flag which the conversation's version needs,
// or has one that does not apply to it.
func checkForgery(c *cli.Context, version int) error {
	switch {
	case c.NArg() > 1:
		return exit.Errorf(exit.Usage, "%s takes one SCRIPT", c.Command.HelpName)
	case c.String(flagAs) == "":
		return exit.Errorf(exit.Usage, "%s needs --%s NAME: who we are in the script", c.Command.HelpName, flagAs)
	case version != 3 && version != 4:
		return exit.Errorf(exit.Usage, "--otr: conversations of versions 3 and 4 can be forged, not of %d", version)
	case version == 4 && c.String(flagProfile) == "":
		return exit.Errorf(exit.Usage, "%s needs --%s FILE: a log with a message of the peer's key exchange", c.Command.HelpName, flagProfile)
	case version == 3 && c.Bool(flagAway):
		return exit.Errorf(exit.Usage, "--%s is for version 4: version 3 has no messages to people who are away", flagAway)
	case c.Bool(flagAway) && c.Bool(flagPeerFrom):
		return exit.Errorf(exit.Usage, "--%s and --%s contradict each other: the script's first text says who writes", flagAway, flagPeerFrom)
	case version == 3 && c.IsSet(flagProfile):
		return exit.Errorf(exit.Usage, "--%s is for version 4: nothing of the peer's is needed in version 3", flagProfile)
	}
	return nil
}
