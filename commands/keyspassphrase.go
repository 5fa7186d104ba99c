package commands

import (
	"github.com/urfave/cli/v2"

	"otrpipe/commands/internal/cmdline"
	"otrpipe/commands/internal/exit"
	"otrpipe/commands/internal/identities"
)

const flagRemove = "remove"

func keysPassphraseCommand() *cli.Command {
	flags := append(homeIdentityFlags(), cmdline.In(groupKeys, secretFlags(flagNewPassphrase, "the new passphrase")...)...)
	return &cli.Command{
		Name:  "passphrase",
		Usage: "set, change or remove an identity's passphrase",
		Description: "The current passphrase is given as for any other command. The new one comes\n" +
			"from --new-passphrase-file, --new-passphrase-fd, " + identities.EnvNewPassphrase + " or the\n" +
			"terminal. If the identity has no passphrase yet, the flags for the current one set it.\n\n" +
			"  otrpipe keys passphrase\n" +
			"  otrpipe keys passphrase -i work --remove",
		Flags: append(flags,
			&cli.BoolFlag{Name: flagRemove, Category: groupKeys, Usage: "remove the passphrase", DisableDefaultText: true}),
		Action: func(c *cli.Context) error {
			if err := noSecret(c, flagNewPassphrase); err != nil {
				return err
			}
			newOne := secretSource(c, flagNewPassphrase)
			if !c.Bool(flagRemove) {
				return identityOf(c).SetPassphrase(newOne)
			}
			if newOne.FromFlags() {
				return exit.Errorf(exit.Usage, "--remove and a new passphrase contradict each other")
			}
			return identityOf(c).RemovePassphrase()
		},
	}
}
