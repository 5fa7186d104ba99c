package commands

import (
	"slices"

	"github.com/urfave/cli/v2"

	"otrpipe/commands/internal/cmdline"
	"otrpipe/commands/internal/exit"
	"otrpipe/commands/internal/identities"
	"otrpipe/commands/internal/terminal"
	"otrpipe/keyfile"
)

const (
	flagFormat       = "format"
	flagInstanceTags = "instance-tags"
)

func keysExportCommand() *cli.Command {
	return &cli.Command{
		Name:  "export",
		Usage: "write an identity's private keys to a file",
		Description: "For another program or another machine. In format otrpipe the file has all keys, and a protected identity stays protected.\n" +
			"In format libotr it has only the key of versions 2 and 3 and is not protected:\n" +
			"anyone who reads the file has the key.\n\n" +
			"  otrpipe keys export --format otrpipe -o copy\n" +
			"  otrpipe keys export --format libotr --account me -o otr.private_key",
		Flags: slices.Concat(identityFlags(), accountFlags(), cmdline.In(groupFile,
			&cli.StringFlag{Name: flagFormat, Usage: "`FORMAT` libotr or otrpipe"},
			outputFlag(),
			&cli.StringFlag{Name: flagInstanceTags, Usage: "with --format libotr, write the instance tag to `FILE`"},
			forceFlag(),
		)),
		Action: func(c *cli.Context) error {
			if err := noArguments(c, "-i"); err != nil {
				return err
			}
			return keysExport(c)
		},
	}
}

func keysExport(c *cli.Context) error {
	path := c.String(flagOutput)
	if path == "" && terminal.Is(ioOf(c).Out) {
		return exit.Errorf(exit.Usage, "private keys are not shown on a terminal").
			WithHint("-o FILE writes them to a file; -o - shows them all the same")
	}
	switch format := c.String(flagFormat); format {
	case "":
		return exit.Errorf(exit.Usage, "%s needs --format libotr or --format otrpipe", c.Command.HelpName)
	case keyfile.FormatLibotr:
		return identityOf(c).ExportLibotr(outputFiles(c), path, c.String(flagInstanceTags))
	case keyfile.FormatOTRPipe:
		for _, name := range []string{flagAccount, flagProtocol, flagInstanceTags, flagIdentityFile} {
			if c.IsSet(name) {
				return exit.Errorf(exit.Usage, "--%s needs --format libotr", name)
			}
		}
		return identityOf(c).Export(outputFiles(c), path)
	default:
		return identities.CheckFormat(format)
	}
}
