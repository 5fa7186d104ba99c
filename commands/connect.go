package commands

import (
	"errors"
	"os"

	"github.com/urfave/cli/v2"
)

const commandConnect = "connect"

func connectCommand() *cli.Command {
	return &cli.Command{
		Name:      commandConnect,
		Usage:     "talk with the other end over COMMAND, the transport",
		ArgsUsage: ownArguments,
		Description: "Both halves in one process. Standard input and output are the plaintext; the standard input and output of\n" +
			"COMMAND carry the lines of OTR.\n\n" +
			"  otrpipe connect --contact bob -- nc -N host 9000 < file\n" +
			"  otrpipe connect --smp-secret-file word -- ssh host otrpipe serve -- cat",
		Flags:  append(identityFlags(), streamFlags()...),
		Action: runConnect,
	}
}

func runConnect(c *cli.Context) error {
	l, command, err := startWhole(c)
	if err != nil {
		return err
	}
	return l.finish(l.connect(command))
}

// startWhole begins to host the session of an end that is one process, and
// returns COMMAND.
func startWhole(c *cli.Context) (*live, []string, error) {
	command := c.Args().Slice()
	if len(command) == 0 {
		return nil, nil, fail(exitUsage, "%s needs a COMMAND", c.Command.HelpName).
			hint("%s [flags] -- COMMAND...", c.Command.HelpName)
	}
	e, err := newEnd(c)
	if err != nil {
		return nil, nil, err
	}
	if _, err := e.given.options(e.secret); err != nil {
		return nil, nil, err
	}
	if err := findCommand(command); err != nil {
		return nil, nil, err
	}
	seat, err := e.takeFreeSeat()
	if err != nil {
		return nil, nil, err
	}
	return newLive(e, "", seat), command, nil
}

// connect runs the session over COMMAND.
func (l *live) connect(command []string) error {
	if err := l.settle(); err != nil {
		return err
	}
	conversation, err := l.conversation(nil)
	if err != nil {
		return err
	}
	transport, err := l.startChild(command)
	if err != nil {
		return err
	}
	err = l.run(conversation, &pipes{transport}, func() (*payload, error) {
		return l.standard(l.in, l.out), nil
	})
	transport.leave()
	transport.sweep()
	return err
}

// startChild runs COMMAND as a part of the session.
func (l *live) startChild(command []string) (*child, error) {
	c, err := startChild(command, l.messages.File(), l.watch)
	if err != nil {
		return nil, err
	}
	l.mu.Lock()
	l.child = c
	l.mu.Unlock()
	return c, nil
}

// pipes is a COMMAND as a transport.
type pipes struct{ child *child }

func (p *pipes) Read(b []byte) (int, error) { return p.child.out.Read(b) }

func (p *pipes) Write(b []byte) (int, error) { return p.child.in.Write(b) }

// Close ends COMMAND's input and stops reading. What COMMAND still says is
// read and dropped later, when it is seen off.
func (p *pipes) Close() error {
	err := p.child.in.Close()
	if errors.Is(err, os.ErrClosed) {
		return nil
	}
	return err
}
