package commands

import "github.com/urfave/cli/v2"

func decryptStreamCommand() *cli.Command {
	return &cli.Command{
		Name:  roleDecrypt,
		Usage: "OTR lines in, plaintext out: the other half of an end",
		Description: "Reads lines of OTR on standard input and writes plaintext on standard output, once\n" +
			"it is authenticated. otrpipe encrypt-stream is the other half of the same end.\n\n" +
			"  otrpipe encrypt-stream < file | nc -N host 9000 | otrpipe decrypt-stream\n" +
			"  otrpipe decrypt-stream -s work < back > file",
		Flags:  append(identityFlags(), streamFlags()...),
		Action: func(c *cli.Context) error { return runHalf(c, roleDecrypt) },
	}
}
