package commands

import (
	"slices"

	"github.com/urfave/cli/v2"

	"otrpipe/commands/internal/cmdline"
	"otrpipe/commands/internal/halves"
	"otrpipe/commands/internal/offline"
	"otrpipe/commands/internal/options"
)

const flagOffline = "offline"

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
		Flags: slices.Concat(identityFlags(), cmdline.In(groupOffline,
			&cli.BoolFlag{Name: flagOffline, Usage: "read a message made with --to or --reply-to; a regular file is recognized without it", DisableDefaultText: true},
		), streamFlags(options.Halves)),
		Action: decryptStream,
	}
}

// decryptStream decrypts a message that was sent while we were away, or runs as a half.
func decryptStream(c *cli.Context) error {
	if !c.Bool(flagOffline) && !offline.IsMessage(ioOf(c).In) {
		return runHalf(c, halves.Decrypt)
	}
	if err := noArguments(c, "<"); err != nil {
		return err
	}
	config, err := offlineConfig(c)
	if err != nil {
		return err
	}
	defer config.Close()
	return config.Receive()
}
