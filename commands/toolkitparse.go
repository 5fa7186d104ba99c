package commands

import (
	"github.com/urfave/cli/v2"

	"otrpipe/commands/internal/cmdline"
	"otrpipe/commands/internal/exit"
	"otrpipe/commands/internal/terminal"
	"otrpipe/commands/internal/transcript"
)

const flagFull = "full"

func toolkitParseCommand() *cli.Command {
	return &cli.Command{
		Name:  "parse",
		Usage: "show every field of every OTR message",
		Description: "Fragments are put together, client profiles and ring signatures are checked, and\n" +
			"a revealed MAC key is shown with the messages that it authenticates.\n\n" +
			"  otrpipe toolkit parse < log | less\n" +
			"  otrpipe toolkit parse --json < log",
		Flags: cmdline.In(groupAnswer,
			jsonFlag(),
			&cli.BoolFlag{Name: flagFull, Usage: "show long fields whole", DisableDefaultText: true},
			&cli.StringFlag{Name: flagAccount, Usage: "an account `NAME` that version 4 may have bound the session to"},
			&cli.StringFlag{Name: flagPeerAccount, Usage: "the other account's `NAME`"},
		),
		Action: func(c *cli.Context) error {
			if err := noArguments(c, "<"); err != nil {
				return err
			}
			if c.IsSet(flagAccount) != c.IsSet(flagPeerAccount) {
				return exit.Errorf(exit.Usage, "--%s and --%s go together", flagAccount, flagPeerAccount)
			}
			in := transcript.Input{R: c.App.Reader, Account: c.String(flagAccount), PeerAccount: c.String(flagPeerAccount)}
			if c.Bool(flagJSON) {
				return transcript.ShowJSON(in, output(c))
			}
			return transcript.Show(in, output(c), terminal.Colour(ioOf(c).Out), c.Bool(flagFull))
		},
	}
}
