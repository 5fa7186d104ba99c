package commands

import (
	"strconv"

	"github.com/urfave/cli/v2"

	"otrpipe/commands/internal/cmdline"
	"otrpipe/commands/internal/exit"
	"otrpipe/commands/internal/offline"
	"otrpipe/commands/internal/terminal"
)

// defaultPrekeys is the number of prekeys to make if none is given.
const defaultPrekeys = 20

func prekeysPublishCommand() *cli.Command {
	flags := append(homeIdentityFlags(),
		cmdline.In(groupPeer, &cli.StringFlag{Name: flagContact, Usage: "accept messages from contact `NAME` only"})...)
	return &cli.Command{
		Name:  "publish",
		Usage: "make prekeys and write their ensembles, one per line",
		Description: "Nothing in them is secret. Mail them, put them on a web server, or hand them out one\n" +
			"by one: each line serves one message, and a second message to the same line is\n" +
			"refused. They can be used for a week, and the messages read for one more day.\n\n" +
			"  otrpipe prekeys publish > ensembles\n" +
			"  otrpipe prekeys publish -n 5 --contact alice -o for-alice",
		Flags: append(flags, cmdline.In(groupFile,
			&cli.IntFlag{Name: flagNumber, Aliases: []string{"n"}, Usage: "make `N`", DefaultText: strconv.Itoa(defaultPrekeys)},
			outputFlag(),
			forceFlag(),
		)...),
		Action: func(c *cli.Context) error {
			if err := noArguments(c); err != nil {
				return err
			}
			return prekeysPublish(c)
		},
	}
}

func prekeysPublish(c *cli.Context) error {
	n := defaultPrekeys
	if c.IsSet(flagNumber) {
		n = c.Int(flagNumber)
		if n < 1 || n > offline.MaxPrekeys {
			return exit.Errorf(exit.Usage, "--%s: %d is not between 1 and %d", flagNumber, n, offline.MaxPrekeys)
		}
	}
	contact := c.String(flagContact)
	if c.IsSet(flagContact) && contact == "" {
		return exit.Errorf(exit.Usage, "--contact: a contact needs a name")
	}
	path := c.String(flagOutput)
	if err := outputFiles(c).Check(path); err != nil {
		return err
	}
	config, err := prekeysConfig(c)
	if err != nil {
		return err
	}
	defer config.Close()
	lines, left, err := config.Publish(n, contact)
	if err != nil {
		return err
	}
	if err := outputFiles(c).Write(path, lines); err != nil {
		return err
	}
	ioOf(c).Note("published %s; %d are unused now", terminal.Count(n, "prekey"), left)
	return nil
}
