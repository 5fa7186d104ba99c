package commands

import (
	"fmt"

	"github.com/urfave/cli/v2"

	"otrpipe/commands/internal/transcript"
)

func toolkitMACKeyCommand() *cli.Command {
	return &cli.Command{
		Name:      "mackey",
		Usage:     "show the MAC key that follows from an encryption key",
		ArgsUsage: "KEY",
		Description: "KEY is an AES key of versions 2 and 3 (32 hexadecimal digits) or a message key of\n" +
			"version 4 (128 digits).\n\n" +
			"  otrpipe toolkit mackey @key\n" +
			"  otrpipe toolkit mackey 00112233445566778899aabbccddeeff",
		Action: func(c *cli.Context) error {
			args, err := hexArguments(c, "KEY")
			if err != nil {
				return err
			}
			key, err := transcript.DeriveMACKey(args[0])
			if err != nil {
				return err
			}
			_, err = fmt.Fprintf(output(c), "%x\n", key)
			return err
		},
	}
}
