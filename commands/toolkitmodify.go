package commands

import (
	"strconv"

	"github.com/urfave/cli/v2"

	"otrpipe/commands/internal/cmdline"
	"otrpipe/commands/internal/exit"
	"otrpipe/commands/internal/transcript"
)

func toolkitModifyCommand() *cli.Command {
	return &cli.Command{
		Name:      "modify",
		Usage:     "replace text that you can guess, with a MAC key alone",
		ArgsUsage: "MAC_KEY OLD NEW OFFSET",
		Description: "OLD is the text at byte OFFSET of the message, which need not be readable. NEW must\n" +
			"have the same length. MAC_KEY has 40 hexadecimal digits in versions 2 and 3 and 128 in version 4;\n" +
			"clients reveal these keys once they are used up, and toolkit parse shows them.\n\n" +
			"  otrpipe toolkit modify @mackey noon nine 8 < log\n" +
			"  otrpipe toolkit modify --number 7 @mackey noon nine 8 < log",
		Flags:  cmdline.In(groupAnswer, numberFlag()),
		Action: modify,
	}
}

func modify(c *cli.Context) error {
	if err := argumentCount(c, "MAC_KEY", "OLD", "NEW", "OFFSET"); err != nil {
		return err
	}
	macKey, err := transcript.ParseHex(c.Args().First(), "MAC_KEY")
	if err != nil {
		return err
	}
	in, err := transcriptOf(c)
	if err != nil {
		return err
	}
	offset, err := strconv.Atoi(c.Args().Get(3))
	if err != nil || offset < 0 {
		return exit.Errorf(exit.Usage, "OFFSET: %q is not a number of bytes", c.Args().Get(3))
	}
	return transcript.Modify(in, macKey, c.Args().Get(1), c.Args().Get(2), offset, output(c))
}
