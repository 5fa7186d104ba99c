package commands

import "github.com/urfave/cli/v2"

func keysUpgradeCommand() *cli.Command {
	return &cli.Command{
		Name:  "upgrade",
		Usage: "make the version 4 keys of an identity that has none",
		Description: "Nothing else changes: not the key of versions 2 and 3, the instance tag, or the\n" +
			"passphrase. Existing keys of version 4 are kept.\n\n" +
			"  otrpipe keys upgrade\n" +
			"  otrpipe keys upgrade -i work --json",
		Flags: append([]cli.Flag{identityFlag(), keepForgingFlag(), jsonFlag()}, passphraseFlags()...),
		Action: func(c *cli.Context) error {
			if err := noArguments(c, "-i"); err != nil {
				return err
			}
			upgraded, err := identityOf(c).Upgrade(c.Bool(flagKeepForging))
			if err != nil {
				return err
			}
			return answerIdentity(c, upgraded, "has its keys of version 4")
		},
	}
}
