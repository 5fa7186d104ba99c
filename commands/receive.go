package commands

import (
	"github.com/urfave/cli/v2"

	"otrpipe/commands/internal/cmdline"
	"otrpipe/commands/internal/exchange"
	"otrpipe/commands/internal/exit"
)

const (
	commandReceive = "receive"
	flagMaxBytes   = exchange.MaxBytesFlag
)

func receiveCommand() *cli.Command {
	return &cli.Command{
		Name:      commandReceive,
		Usage:     "receive files and folders from otrpipe send",
		ArgsUsage: "[DIR]" + cmdline.ThenCommand,
		Description: "Files go to the folder DIR, or to the current one, under the names they were sent with. Nothing is overwritten.\n" +
			"Standard output says where each file or folder is. The other end is verified as for otrpipe send; with --code you\n" +
			"are asked for its code, and the Tab key completes a word after its first three letters.\n\n" +
			"  otrpipe receive --code --tcp alices.host:9000\n" +
			"  otrpipe receive --from alice --listen 9000 incoming",
		Flags:  append(transferFlags("from"), &cli.StringFlag{Name: flagMaxBytes, Category: groupStream, Usage: "refuse more than `N` bytes in all, such as 500000 or 2G"}),
		Action: runReceive,
	}
}

func runReceive(c *cli.Context) error {
	args, command := ownArguments(c)
	dir := "."
	if len(args) == 1 {
		dir = args[0]
	} else if len(args) > 1 {
		if err := exchange.RefuseCode(args); err != nil {
			return err
		}
		return exit.Errorf(exit.Usage, "%s takes one folder, not %q too", c.Command.HelpName, args[1])
	}
	var limit int64 // 0 means no limit
	if c.IsSet(flagMaxBytes) {
		var err error
		if limit, err = exchange.MaxBytes(c.String(flagMaxBytes)); err != nil {
			return err
		}
	}
	way, command, err := findWay(c, c.String(flagContact), command)
	if err != nil {
		return err
	}
	t, folder, err := exchange.NewReceiving(ioOf(c), output(c), dir, limit)
	if err != nil {
		return err
	}
	defer folder.Close()
	return runTransfer(c, t, commandSend+" FILE", way, command)
}
