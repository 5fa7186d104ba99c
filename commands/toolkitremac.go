package commands

import (
	"strings"

	"github.com/urfave/cli/v2"

	"otrpipe/commands/internal/cmdline"
	"otrpipe/commands/internal/exit"
	"otrpipe/commands/internal/transcript"
)

func toolkitRemacCommand() *cli.Command {
	return &cli.Command{
		Name:      "remac",
		Usage:     "authenticate a data message with a MAC key",
		ArgsUsage: "MAC_KEY [PARTS...]",
		Description: "With MAC_KEY alone the data messages on standard input are given a new\n" +
			"authenticator. With PARTS a data message of version 3 is made of them, or of version 2 where\n" +
			"both instance tags are 0: SENDER RECEIVER FLAGS SENDER_KEYID RECIPIENT_KEYID PUBKEY COUNTER\n" +
			"ENCRYPTED REVEALED. The first five are numbers, decimal or 0x…; the others are hexadecimal\n" +
			"digits or @FILE, \"\" where there are none.\n\n" +
			"  otrpipe toolkit remac @mackey < message\n" +
			"  otrpipe toolkit remac @mackey 0x100 0x101 0 1 1 @next 01 @text ''",
		Flags:  cmdline.In(groupAnswer, numberFlag()),
		Action: remac,
	}
}

func remac(c *cli.Context) error {
	if c.NArg() != 1 && c.NArg() != 1+len(transcript.PartNames) {
		return exit.Errorf(exit.Usage, "%s takes MAC_KEY alone, or all ten of MAC_KEY, %s", c.Command.HelpName, strings.Join(transcript.PartNames, ", "))
	}
	macKey, err := transcript.ParseHex(c.Args().First(), "MAC_KEY")
	if err != nil {
		return err
	}
	if parts := c.Args().Tail(); len(parts) > 0 {
		if c.IsSet(flagNumber) {
			return exit.Errorf(exit.Usage, "--%s is for messages on standard input", flagNumber)
		}
		return transcript.Make(macKey, parts, output(c))
	}
	in, err := transcriptOf(c)
	if err != nil {
		return err
	}
	return transcript.Remac(in, macKey, output(c))
}
