package commands

import (
	"github.com/urfave/cli/v2"

	"otrpipe/commands/internal/exit"
)

const flagYes = "yes"

func keysRemoveCommand() *cli.Command {
	return &cli.Command{
		Name:      "remove",
		Usage:     "remove an identity for good",
		ArgsUsage: "NAME",
		Description: "The keys cannot be restored, so at a terminal you are asked whether you are sure.\n\n" +
			"  otrpipe keys remove work\n" +
			"  otrpipe keys remove --yes -- -odd",
		Flags: []cli.Flag{
			&cli.BoolFlag{Name: flagYes, Aliases: []string{"y"}, Category: groupKeys, Usage: "do not ask", DisableDefaultText: true},
		},
		Action: func(c *cli.Context) error {
			if c.NArg() != 1 {
				return exit.Errorf(exit.Usage, "%s takes the name of one identity", c.Command.HelpName)
			}
			return identityOf(c).Remove(c.Args().First(), c.Bool(flagYes))
		},
	}
}
