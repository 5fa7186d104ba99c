package commands

import (
	"github.com/urfave/cli/v2"

	"otrpipe/commands/internal/cmdline"
	"otrpipe/commands/internal/exchange"
	"otrpipe/commands/internal/exit"
)

const commandSend = "send"

func sendCommand() *cli.Command {
	return &cli.Command{
		Name:      commandSend,
		Usage:     "send files and folders to otrpipe receive",
		ArgsUsage: "FILE|DIR|-..." + cmdline.ThenCommand,
		Description: "Each FILE or folder DIR goes to the other end, which stores it under its name, as a whole or not at all; - is\n" +
			"standard input. Nothing is sent before the other end is verified: by a contact, a shared secret, or a code of three\n" +
			"words. If none of these is given, a code is made and shown together with the command for the other end; then no\n" +
			"identity is needed. If a transfer is interrupted, the same command continues it.\n\n" +
			"  otrpipe send holiday.jpg --listen 9000\n" +
			"  otrpipe send --to bob photos notes.txt       # at bob's address on file",
		Flags:  append(transferFlags("to"), &cli.StringFlag{Name: exchange.AsFlag, Category: groupStream, Usage: "send a single file or folder, or standard input, under this `NAME`"}),
		Action: runSend,
	}
}

func runSend(c *cli.Context) error {
	files, command := ownArguments(c)
	if len(files) == 0 {
		return exit.Errorf(exit.Usage, "%s needs a FILE, a folder, or - for standard input", c.Command.HelpName)
	}
	name := c.String(exchange.AsFlag)
	if c.IsSet(exchange.AsFlag) && (name == "" || len(files) > 1) {
		return exit.Errorf(exit.Usage, "--%s names one file", exchange.AsFlag)
	}
	way, command, err := findWay(c, c.String(flagContact), command)
	if err != nil {
		return err
	}
	t, err := exchange.NewSending(ioOf(c), name, files)
	if err != nil {
		return err
	}
	return runTransfer(c, t, commandReceive, way, command)
}
