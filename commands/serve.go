package commands

import (
	"github.com/urfave/cli/v2"

	"otrpipe/commands/internal/cmdline"
	"otrpipe/commands/internal/process"
)

const commandServe = "serve"

func serveCommand() *cli.Command {
	return &cli.Command{
		Name:      commandServe,
		Usage:     "let COMMAND, an application, talk with the other end",
		ArgsUsage: cmdline.OwnArguments,
		Description: "Both halves in one process. Standard input and output carry the lines of OTR; COMMAND reads and writes the\n" +
			"plaintext. It is started when the peer has met what was asked of it.\n\n" +
			"  socat TCP-LISTEN:9000,fork,reuseaddr EXEC:'otrpipe serve -- cat'\n" +
			"  otrpipe serve --contact bob --trust verified -- sh",
		Flags:  append(identityFlags(), streamFlags()...),
		Action: runServe,
	}
}

func runServe(c *cli.Context) error {
	l, command, err := startWhole(c, nil)
	if err != nil {
		return err
	}
	return l.finish(l.serve(command))
}

// serve runs the session for COMMAND.
func (l *live) serve(command []string) error {
	conversation, err := l.prepare()
	if err != nil {
		return err
	}
	err = l.run(conversation, &process.Files{In: l.In, Out: l.Out}, func() (*payload, error) {
		application, err := l.startChild(command, l.Messages.File())
		if err != nil {
			return nil, err
		}
		return l.application(application), nil
	})
	application := l.child // nobody changes it any more
	if application == nil {
		return err
	}
	application.Leave()
	if err != nil {
		return err
	}
	return application.Result()
}

// application is the payload of COMMAND.
func (l *live) application(c *process.Command) *payload {
	return &payload{in: c.Output(), out: c.In, doneOut: c.In.Close, application: c}
}
