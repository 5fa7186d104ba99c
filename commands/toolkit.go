package commands

import (
	"strings"

	"github.com/urfave/cli/v2"

	"otrpipe/commands/internal/exit"
	"otrpipe/commands/internal/transcript"
)

const flagNumber = "number"

func toolkitCommand() *cli.Command {
	return &cli.Command{
		Name:  "toolkit",
		Usage: "take OTR messages apart, change them, and forge them",
		Description: "This is what anyone can do with a transcript and, for some of it, a key. It shows that\n" +
			"OTR messages prove nothing to others. Transcripts come on standard input: clean lines, or the\n" +
			"log of a chat. Keys are hexadecimal digits, or @FILE.\n\n" +
			"  otrpipe toolkit parse < log\n" +
			"  otrpipe toolkit readforge KEY --text 'I never said that' < log",
		Subcommands: []*cli.Command{
			toolkitParseCommand(),
			toolkitSessKeysCommand(),
			toolkitMACKeyCommand(),
			toolkitReadForgeCommand(),
			toolkitModifyCommand(),
			toolkitRemacCommand(),
			toolkitForgeCommand(),
		},
	}
}

// numberFlag chooses one message of a transcript.
func numberFlag() cli.Flag {
	return &cli.IntFlag{Name: flagNumber, Usage: "only message `N` of the input, as toolkit parse counts them", DefaultText: "all that the key fits"}
}

// transcriptOf reads the transcript on standard input. It returns all messages, or the one that
// --number chooses.
func transcriptOf(c *cli.Context) (transcript.Input, error) {
	in := transcript.Input{R: c.App.Reader, Number: c.Int(flagNumber)}
	if c.IsSet(flagNumber) && in.Number < 1 {
		return in, exit.Errorf(exit.Usage, "--%s: messages are counted from 1", flagNumber)
	}
	return in, nil
}

// argumentCount refuses a number of arguments that differs from that of names.
func argumentCount(c *cli.Context, names ...string) error {
	if c.NArg() != len(names) {
		return exit.Errorf(exit.Usage, "%s takes %s", c.Command.HelpName, strings.Join(names, " "))
	}
	return nil
}

// hexArguments reads exactly the named arguments, which are hexadecimal.
func hexArguments(c *cli.Context, names ...string) ([][]byte, error) {
	if err := argumentCount(c, names...); err != nil {
		return nil, err
	}
	all := make([][]byte, len(names))
	for i, name := range names {
		var err error
		if all[i], err = transcript.ParseHex(c.Args().Get(i), name); err != nil {
			return nil, err
		}
	}
	return all, nil
}
