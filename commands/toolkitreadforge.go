package commands

import (
	"github.com/urfave/cli/v2"

	"otrpipe/commands/internal/cmdline"
	"otrpipe/commands/internal/exit"
	"otrpipe/commands/internal/transcript"
)

const (
	flagText   = "text"
	flagKeyLog = "keylog"
)

func toolkitReadForgeCommand() *cli.Command {
	return &cli.Command{
		Name:      "readforge",
		Usage:     "decrypt data messages, or put another text into them",
		ArgsUsage: "[KEY]",
		Description: "KEY is an AES key of versions 2 and 3 (32 hexadecimal digits), or a message key or\n" +
			"chain key of version 4 (128 digits). Messages under other keys are skipped; if the key fits\n" +
			"none, nothing is forged and the exit code is 1.\n\n" +
			"  otrpipe toolkit readforge --keylog keys < log\n" +
			"  otrpipe toolkit readforge @key --text 'never mind' < log",
		Flags: cmdline.In(groupAnswer,
			&cli.StringFlag{Name: flagKeyLog, Usage: "take the keys from `FILE`, which a stream command wrote"},
			&cli.StringFlag{Name: flagText, Usage: "forge: print each message with the text `NEW` in it"},
			numberFlag(),
			jsonFlag(),
		),
		Action: readForge,
	}
}

func readForge(c *cli.Context) error {
	keys, err := readingKeys(c)
	if err != nil {
		return err
	}
	in, err := transcriptOf(c)
	if err != nil {
		return err
	}
	switch {
	case c.IsSet(flagText) && c.Bool(flagJSON):
		return exit.Errorf(exit.Usage, "--%s and --%s contradict each other", flagText, flagJSON)
	case c.IsSet(flagText):
		return transcript.Forge(in, keys, c.String(flagText), ioOf(c), output(c))
	case c.Bool(flagJSON):
		return transcript.ReadJSON(in, keys, ioOf(c), output(c))
	}
	return transcript.Read(in, keys, ioOf(c))
}

// readingKeys returns the key given as an argument, or those of --keylog.
func readingKeys(c *cli.Context) (transcript.Keys, error) {
	name := c.String(flagKeyLog)
	if name == "" {
		args, err := hexArguments(c, "KEY")
		if err != nil {
			return transcript.Keys{}, err
		}
		return transcript.Key(args[0]), nil
	}
	if c.Args().Present() {
		return transcript.Keys{}, exit.Errorf(exit.Usage, "--%s replaces KEY: give one of them", flagKeyLog)
	}
	return transcript.ReadKeyLog(name, flagKeyLog)
}
