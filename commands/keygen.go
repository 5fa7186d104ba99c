package commands

import "github.com/urfave/cli/v2"

func keygenCommand() *cli.Command {
	return &cli.Command{
		Name:  "keygen",
		Usage: "make an identity: its keys and its instance tag",
		Description: "The identity is protected by a passphrase only with --protect or with a flag that\n" +
			"says where the passphrase is. An existing identity is never overwritten.\n\n" +
			"  otrpipe keygen\n" +
			"  otrpipe keygen -i work --protect",
		Flags: append([]cli.Flag{identityFlag(), protectFlag(), keepForgingFlag(), jsonFlag()}, passphraseFlags()...),
		Action: func(c *cli.Context) error {
			if err := noArguments(c, "-i"); err != nil {
				return err
			}
			made, err := identityOf(c).Generate(c.Bool(flagKeepForging))
			if err != nil {
				return err
			}
			if err := answerIdentity(c, made, "has been made"); err != nil || c.Bool(flagJSON) {
				return err
			}
			return identityOf(c).TellSaved()
		},
	}
}
