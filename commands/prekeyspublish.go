package commands

import (
	"strconv"

	"github.com/urfave/cli/v2"

	"otrpipe/commands/internal/cmdline"
	"otrpipe/commands/internal/descriptor"
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
			if err := noArguments(c, ""); err != nil {
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
	made, err := config.Publish(n, contact)
	if err != nil {
		return err
	}
	defer descriptor.PipeErrors()()
	if written, err := outputFiles(c).Write(path, made.Ensembles); err != nil {
		return withdraw(config, made, written, exit.As(err))
	}
	ioOf(c).Note("published %s; %d are unused now", terminal.Count(n, "prekey"), made.Unused)
	return nil
}

// withdraw deletes the prekeys whose ensembles could not be written, and completes the error for
// that with what is left of them. The secrets have to be on the disk before their ensembles are
// handed out, so they cannot be made afterwards.
func withdraw(config *offline.Config, made *offline.Prekeys, written int, unwritten *exit.Error) error {
	stay, err := config.Withdraw(made, written)
	complete := exit.Errorf(unwritten.Code, "%w; no prekey is published", unwritten)
	switch {
	case err != nil:
		return exit.Errorf(unwritten.Code, "%w; the prekeys cannot be deleted: %v", unwritten, err).
			WithHint("otrpipe prekeys revoke deletes them, otrpipe prekeys list --json shows which")
	case stay > 0:
		complete = exit.Errorf(unwritten.Code, "%w; published only the first %s", unwritten, terminal.Count(stay, "prekey"))
	}
	complete.Hint = unwritten.Hint
	return complete
}
