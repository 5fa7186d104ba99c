package commands

import (
	"slices"

	"github.com/urfave/cli/v2"

	"otrpipe/commands/internal/halves"
	"otrpipe/commands/internal/options"
)

func decryptStreamCommand() *cli.Command {
	return &cli.Command{
		Name:  halves.Decrypt,
		Usage: "OTR lines in, plaintext out: the other half of an end",
		Description: "Reads lines of OTR on standard input and writes plaintext on standard output, once\n" +
			"it is authenticated. otrpipe encrypt-stream is the other half of the same end.\n\n" +
			"  otrpipe encrypt-stream < file | nc -N host 9000 | otrpipe decrypt-stream\n" +
			"  otrpipe decrypt-stream -s work < back > file\n\n" +
			"A message that was encrypted with --to while you were away needs no other half.\n\n" +
			"  otrpipe decrypt-stream --contact alice < message > file",
		Flags:  slices.Concat(identityFlags(), decryptOfflineFlags(), streamFlags(options.Halves)),
		Action: decryptStream,
	}
}
