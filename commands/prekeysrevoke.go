package commands

import (
	"strconv"

	"github.com/urfave/cli/v2"

	"otrpipe/commands/internal/cmdline"
	"otrpipe/commands/internal/exit"
	"otrpipe/commands/internal/files"
	"otrpipe/commands/internal/offline"
	"otrpipe/commands/internal/terminal"
)

const (
	flagAll       = "all"
	flagEnsembles = "ensembles"
)

func prekeysRevokeCommand() *cli.Command {
	flags := append(homeIdentityFlags(),
		cmdline.In(groupPeer, &cli.StringFlag{Name: flagContact, Usage: "the prekeys made for contact `NAME`"})...)
	return &cli.Command{
		Name:      "revoke",
		Usage:     "delete unused prekeys, or a kept session",
		ArgsUsage: "[ID...]",
		Description: "Messages written to a deleted prekey can no longer be read. The ID of a prekey has\n" +
			"eight digits, that of a session sixteen.\n\n" +
			"  otrpipe prekeys revoke --contact alice\n" +
			"  otrpipe prekeys revoke --ensembles for-alice\n" +
			"  otrpipe prekeys revoke --all",
		Flags: append(flags, cmdline.In(groupFile,
			&cli.BoolFlag{Name: flagAll, Usage: "all prekeys", DisableDefaultText: true},
			&cli.StringFlag{Name: flagEnsembles, Usage: "the prekeys whose ensembles are in `FILE`"},
		)...),
		Action: prekeysRevoke,
	}
}

func prekeysRevoke(c *cli.Context) error {
	prekeys, sessions, err := prekeysAndSessions(c.Args().Slice())
	if err != nil {
		return err
	}
	contact := c.String(flagContact)
	if len(prekeys) == 0 && len(sessions) == 0 && contact == "" && !c.Bool(flagAll) && !c.IsSet(flagEnsembles) {
		return exit.Errorf(exit.Usage, "%s needs an ID, --contact, --ensembles or --all", c.Command.HelpName)
	}
	path := c.String(flagEnsembles)
	var ensembles []byte
	if c.IsSet(flagEnsembles) {
		if ensembles, _, err = files.Read(path, offline.MaxEnsembleFile); err != nil {
			return err
		}
	}
	config, err := prekeysConfig(c)
	if err != nil {
		return err
	}
	defer config.Close()
	if c.IsSet(flagEnsembles) {
		published := config.Published(ensembles)
		if len(published) == 0 {
			return exit.Errorf(exit.Failure, "%s has no unused ensemble of this identity", path)
		}
		prekeys = append(prekeys, published...)
	}
	for _, session := range sessions {
		if err := config.Forget(session); err != nil {
			return err
		}
	}
	n, err := config.Revoke(c.Bool(flagAll), contact, prekeys)
	if err != nil {
		return err
	}
	if n < len(prekeys) {
		return exit.Errorf(exit.Failure, "found and deleted only %d of %s", n, terminal.Count(len(prekeys), "prekey")).
			WithHint("otrpipe prekeys list shows the unused ones")
	}
	ioOf(c).Note("deleted %s", terminal.Count(n, "prekey"))
	return nil
}

// prekeysAndSessions sorts ids into those of prekeys and those of sessions.
func prekeysAndSessions(ids []string) (prekeys []uint32, sessions []string, err error) {
	for _, id := range ids {
		number, err := strconv.ParseUint(id, 16, 64)
		switch {
		case err == nil && len(id) == 16:
			sessions = append(sessions, id)
		case err == nil && len(id) == 8:
			prekeys = append(prekeys, uint32(number))
		default:
			return nil, nil, exit.Errorf(exit.Usage, "%q is not the id of a prekey or session", id).WithHint("otrpipe prekeys list --json shows them")
		}
	}
	return prekeys, sessions, nil
}
