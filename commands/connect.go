package commands

import (
	"os"

	"github.com/urfave/cli/v2"

	"otrpipe/commands/internal/cmdline"
	"otrpipe/commands/internal/exit"
	"otrpipe/commands/internal/options"
	"otrpipe/commands/internal/process"
	"otrpipe/otr"
)

const commandConnect = "connect"

func connectCommand() *cli.Command {
	return &cli.Command{
		Name:      commandConnect,
		Usage:     "talk with the other end over COMMAND, the transport",
		ArgsUsage: cmdline.OwnArguments,
		Description: "Both halves in one process. Standard input and output are the plaintext; the standard input and output of\n" +
			"COMMAND carry the lines of OTR.\n\n" +
			"  otrpipe connect --contact bob -- nc -N host 9000 < file\n" +
			"  otrpipe connect --smp-secret-file word -- ssh host otrpipe serve -- cat",
		Flags:  append(identityFlags(), streamFlags()...),
		Action: runConnect,
	}
}

func runConnect(c *cli.Context) error {
	l, command, err := startWhole(c, nil)
	if err != nil {
		return err
	}
	return l.finish(l.connect(command))
}

// startWhole begins to host the session of an end that is one process, and
// returns COMMAND. Flags that were not given have the command's defaults.
func startWhole(c *cli.Context, defaults options.Values) (*live, []string, error) {
	command := c.Args().Slice()
	if len(command) == 0 {
		return nil, nil, exit.Errorf(exit.Usage, "%s needs a COMMAND", c.Command.HelpName).
			WithHint("%s [flags] -- COMMAND...", c.Command.HelpName)
	}
	e, err := newEnd(c)
	if err != nil {
		return nil, nil, err
	}
	for name, value := range defaults {
		if !c.IsSet(name) { // a switch may have been given as off
			e.given[name] = value
		}
	}
	if _, err := e.given.Options(e.secret); err != nil {
		return nil, nil, err
	}
	if err := process.Find(command); err != nil {
		return nil, nil, err
	}
	listener, err := e.listen()
	if err != nil {
		return nil, nil, err
	}
	return newLive(e, "", listener), command, nil
}

// connect runs the session over COMMAND.
func (l *live) connect(command []string) error {
	conversation, err := l.prepare()
	if err != nil {
		return err
	}
	return l.runOver(command, l.Messages.File(), conversation, func() (*payload, error) {
		return l.standard(l.In, l.Out), nil
	})
}

// prepare makes the conversation, once all that was given is known.
func (l *live) prepare() (*otr.Conversation, error) {
	if err := l.settle(); err != nil {
		return nil, err
	}
	return l.conversation(nil)
}

// runOver runs the session over COMMAND, whose standard error is stderr; see
// run.
func (l *live) runOver(command []string, stderr *os.File, c *otr.Conversation, open func() (*payload, error)) error {
	transport, err := l.startChild(command, stderr)
	if err != nil {
		return err
	}
	err = l.run(c, transport.Transport(), open)
	transport.Leave()
	transport.Sweep()
	return err
}

// startChild runs COMMAND as a part of the session.
func (l *live) startChild(command []string, stderr *os.File) (*process.Command, error) {
	c, err := process.Start(command, stderr, l.watch)
	if err != nil {
		return nil, err
	}
	l.mu.Lock()
	l.child = c
	l.mu.Unlock()
	return c, nil
}
