package commands

import "github.com/urfave/cli/v2"

func keysUpgradeCommand() *cli.Command {
	return &cli.Command{
		Name:  "upgrade",
		Usage: "make the version 4 keys of an identity that has none",
		Description: "All else stays as it is: the key of versions 2 and 3, the instance tag, the\n" +
			"passphrase. Keys of version 4 that are there already stay too.\n\n" +
			"  otrpipe keys upgrade\n" +
			"  otrpipe keys upgrade -i work --json",
		Flags: append([]cli.Flag{identityFlag(), keepForgingFlag(), jsonFlag()}, passphraseFlags()...),
		Action: func(c *cli.Context) error {
			if err := noArguments(c); err != nil {
				return err
			}
			upgraded, err := identityOf(c).Upgrade(c.Bool(flagKeepForging))
			if err != nil {
				return err
			}
			return answer(c, upgraded)
		},
	}
}
