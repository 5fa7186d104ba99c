package commands

import (
	"github.com/urfave/cli/v2"

	"otrpipe/commands/internal/cmdline"
	"otrpipe/commands/internal/descriptor"
	"otrpipe/commands/internal/exit"
	"otrpipe/commands/internal/transfer"
)

const (
	commandSend = "send"
)

func sendCommand() *cli.Command {
	return &cli.Command{
		Name:      commandSend,
		Usage:     "send files and folders to otrpipe receive",
		ArgsUsage: "FILE|DIR|-..." + cmdline.ThenCommand,
		Description: "Each FILE or folder DIR goes to the other end, which stores it by its name, whole or not at all; - is standard\n" +
			"input. Nothing is sent before the other end is verified: by a contact, a shared secret, or a code of three words,\n" +
			"which is made and shown where nothing else is given, together with the command for the other end. Then no identity\n" +
			"is needed. When a transfer was cut, the same command continues it.\n\n" +
			"  otrpipe send holiday.jpg --listen 9000\n" +
			"  otrpipe send --to bob photos notes.txt --tcp bobs.host:9000",
		Flags:  append(transferFlags("to"), &cli.StringFlag{Name: flagAs, Category: groupStream, Usage: "the `NAME` by which a single file, folder or standard input is sent"}),
		Action: runSend,
	}
}

func runSend(c *cli.Context) error {
	files, command := ownArguments(c)
	if len(files) == 0 {
		return exit.Errorf(exit.Usage, "%s needs a FILE, a folder, or - for standard input", c.Command.HelpName)
	}
	name := c.String(flagAs)
	if c.IsSet(flagAs) && (name == "" || len(files) > 1) {
		return exit.Errorf(exit.Usage, "--%s names one file", flagAs)
	}
	if err := checkWay(c, len(command) > 0); err != nil {
		return err
	}
	var items []*transfer.Item
	for _, file := range files {
		it, err := sendItem(c, name, file)
		if err != nil {
			return err
		}
		items = append(items, it)
	}
	if err := transfer.CheckItems(items); err != nil {
		return exit.Failed(err)
	}
	t := transferring{verb: "sent", where: "at the other end", run: func(link transfer.Link, progress transfer.Progress) ([]transfer.Done, error) {
		return transfer.Send(link, items, progress)
	}}
	return t.over(c, command)
}

// sendItem is what an argument names.
func sendItem(c *cli.Context, name, file string) (*transfer.Item, error) {
	var it *transfer.Item
	var err error
	switch {
	case file != "-":
		it, err = transfer.NewItem(name, file)
	case name == "":
		return nil, exit.Errorf(exit.Usage, "standard input needs a name: --%s NAME", flagAs)
	default:
		it, err = transfer.NewStream(name, descriptor.Stream{File: ioOf(c).In})
	}
	if err != nil {
		return nil, exit.As(exit.Failed(err)).WithHint("--%s NAME sends it by another name", flagAs)
	}
	return it, nil
}
