package commands

import (
	"slices"

	"github.com/urfave/cli/v2"

	"otrpipe/commands/internal/cmdline"
	"otrpipe/commands/internal/identities"
)

func keysImportCommand() *cli.Command {
	return &cli.Command{
		Name:      "import",
		Usage:     "import an identity from a file of libotr or otrpipe",
		ArgsUsage: "FILE",
		Description: "Libotr's file is otr.private_key in Pidgin and otr.key in irssi. The new identity\n" +
			"gets the name in -i, or else the account's name. A protected identity stays\n" +
			"protected; --protect or a passphrase flag protects one from libotr, for which new\n" +
			"keys of version 4 are made too.\n\n" +
			"  otrpipe keys import copy\n" +
			"  otrpipe keys import ~/.purple/otr.private_key --account me@example.org -i me",
		Flags: slices.Concat(
			[]cli.Flag{identityNamed("the new identity's", "the name in FILE"), protectFlag(), keepForgingFlag(), jsonFlag()}, passphraseFlags(), accountFlags(),
			cmdline.In(groupFile,
				&cli.StringFlag{Name: flagFormat, Usage: "refuse a FILE of another `FORMAT` than this: libotr or otrpipe", DefaultText: "either"},
				&cli.StringFlag{Name: flagInstanceTags, Usage: "take the account's instance tag from libotr's `FILE`"},
			)),
		Action: func(c *cli.Context) error {
			path, err := oneFile(c)
			if err != nil {
				return err
			}
			return keysImport(c, path)
		},
	}
}

func keysImport(c *cli.Context, path string) error {
	format := c.String(flagFormat)
	if err := identities.CheckFormat(format); err != nil {
		return err
	}
	imported, err := identityOf(c).Import(identities.Import{
		Path: path, Format: format, InstanceTags: c.String(flagInstanceTags), KeepForging: c.Bool(flagKeepForging),
	})
	if err != nil {
		return err
	}
	if err := answerIdentity(c, imported.Document, "has been imported"); err != nil {
		return err
	}
	if !c.Bool(flagJSON) { // whose document has the name
		imported.TellSaved()
	}
	imported.Tell()
	return nil
}
