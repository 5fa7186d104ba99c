package commands

import (
	"errors"
	"io"
	"os"
	"time"

	"github.com/urfave/cli/v2"

	"otrpipe/commands/internal/exit"
)

const commandServe = "serve"

func serveCommand() *cli.Command {
	return &cli.Command{
		Name:      commandServe,
		Usage:     "let COMMAND, an application, talk with the other end",
		ArgsUsage: ownArguments,
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
	err = l.run(conversation, &wires{in: l.In, out: l.Out}, func() (*payload, error) {
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
	application.leave()
	if err != nil {
		return err
	}
	code, killedBy := application.status()
	switch {
	case killedBy != 0: // by us, or after all was said
		return exit.Errorf(128+int(killedBy), "%s", application.describe())
	case code != 0:
		return exit.Silently(code)
	}
	return nil
}

// lastOutput bounds the wait for output of an application that has exited
// from those that it has started and left behind.
const lastOutput = 100 * time.Millisecond

// application is the payload of COMMAND.
func (l *live) application(c *child) *payload {
	go func() {
		<-c.exited
		_ = c.out.SetReadDeadline(time.Now().Add(childPatience))
	}()
	return &payload{in: &applicationOutput{c}, out: c.in, doneOut: c.in.Close, application: c}
}

// An applicationOutput reads what COMMAND writes. It ends when all is said; or
// when COMMAND has exited and those that hold its output open say no more.
type applicationOutput struct{ child *child }

func (o *applicationOutput) Read(b []byte) (int, error) {
	n, err := o.child.out.Read(b)
	if errors.Is(err, os.ErrDeadlineExceeded) && n == 0 {
		// There may be something left that nobody had the time to read.
		_ = o.child.out.SetReadDeadline(time.Now().Add(lastOutput))
		n, err = o.child.out.Read(b)
	}
	if errors.Is(err, io.EOF) || errors.Is(err, os.ErrDeadlineExceeded) {
		return n, o.end()
	}
	return n, err
}

// end is io.EOF, but for an application that was killed: it has not said all.
func (o *applicationOutput) end() error {
	// Its output ends a moment before it is known how it has ended.
	if !o.child.hasExited() {
		return io.EOF // it closed its output and goes on
	}
	if _, killedBy := o.child.status(); killedBy != 0 {
		return exit.Errorf(128+int(killedBy), "%s", o.child.describe())
	}
	return io.EOF
}
