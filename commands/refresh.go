package commands

import (
	"time"

	"github.com/urfave/cli/v2"

	"otrpipe/commands/internal/control"
	"otrpipe/commands/internal/terminal"
)

func refreshCommand() *cli.Command {
	return &cli.Command{
		Name:  "refresh",
		Usage: "run a new key exchange in a live session, and wait for it",
		Description: "All keys of the session are replaced. Messages on their way still arrive.\n\n" +
			"  otrpipe refresh\n" +
			"  otrpipe refresh -s work",
		Flags:  controlFlags(),
		Action: refresh,
	}
}

// refreshNote is how long refresh waits before it says what it is waiting for. Most clients
// answer within a second or two.
const refreshNote = 15 * time.Second

func refresh(c *cli.Context) error {
	return ask(c, control.Request{Refresh: true}, noteWait)
}

// noteWait says what refresh is waiting for if that takes longer than usual.
func noteWait(p *terminal.IO, peer string) (stop func() bool) {
	return time.AfterFunc(refreshNote, func() {
		p.Note("still waiting for %s's answer, which may be queued behind other messages (Ctrl-C stops waiting)", peer)
	}).Stop
}

// ask makes a live session do something whose only result is success or an error. meanwhile is
// called before, with the peer's name, and what it returns afterwards; nil: neither.
func ask(c *cli.Context, r control.Request, meanwhile func(p *terminal.IO, peer string) (stop func() bool)) error {
	if err := noArguments(c, "-s"); err != nil {
		return err
	}
	session, err := theSession(c)
	if err != nil {
		return err
	}
	defer session.Close()
	if meanwhile != nil {
		defer meanwhile(ioOf(c), sessionPeer(session))()
	}
	_, err = session.Do(c.Context, r)
	return err
}
