package commands

import (
	"slices"

	"github.com/urfave/cli/v2"

	"otrpipe/commands/internal/halves"
	"otrpipe/commands/internal/options"
)

func encryptStreamCommand() *cli.Command {
	return &cli.Command{
		Name:  halves.Encrypt,
		Usage: "plaintext in, OTR lines out: one half of an end",
		Description: "Reads plaintext on standard input and writes lines of OTR on standard output. OTR\n" +
			"needs both directions: otrpipe decrypt-stream is the other half of the same end.\n" +
			"They find each other by the session's name, and may start in either order.\n\n" +
			"  otrpipe encrypt-stream | nc -N -l 9000 | otrpipe decrypt-stream\n" +
			"  otrpipe encrypt-stream -s work --contact bob < file > there\n\n" +
			"With --to, somebody who is away can read it later and no answer is needed.\n\n" +
			"  otrpipe encrypt-stream --to ensembles --contact bob < file > message",
		Flags:  slices.Concat(identityFlags(), encryptOfflineFlags(), streamFlags(options.Halves)),
		Action: encryptStream,
	}
}
