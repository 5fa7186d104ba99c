package commands

import (
	"time"

	"github.com/urfave/cli/v2"

	"otrpipe/commands/internal/chat"
	"otrpipe/commands/internal/cmdline"
	"otrpipe/commands/internal/control"
	"otrpipe/commands/internal/exit"
	"otrpipe/commands/internal/live"
	"otrpipe/commands/internal/options"
	"otrpipe/commands/internal/terminal"
	"otrpipe/otr/keys"
)

const commandChat = "chat"

func chatCommand() *cli.Command {
	return &cli.Command{
		Name:      commandChat,
		Usage:     "talk with somebody at this terminal, over TCP or COMMAND",
		UsageText: "otrpipe chat [flags] --tcp HOST:PORT | --listen [HOST:]PORT\notrpipe chat [flags] CONTACT",
		ArgsUsage: cmdline.OwnArguments,
		Description: "Each line that you enter is a message; pasted text is one message and keeps its lines. The " +
			"prompt shows who you are talking to and whether they are verified. " +
			"Not connected, or unencrypted: nothing can be sent. New: it may be anybody. Known: it is the same key as before. " +
			"Verified: by SMP or by comparing fingerprints. A line that begins with / is a command, of which /help says more, and one " +
			"that begins with // is a message that begins with /. When the other end leaves, or the " +
			"connection is lost, chat says so and stays: Enter connects again. /end ends a session, /refresh " +
			"begins one, /quit and Ctrl-D leave. A message that has arrived at another otrpipe is marked. " +
			"Text that comes unencrypted is shown in red. Other clients' HTML is shown as text.\n\n" +
			"  otrpipe chat --contact bob --listen 9000        # here\n" +
			"  otrpipe chat --contact alice --tcp host:9000    # there\n" +
			"  otrpipe chat --contact bob -- nc -N host 9000",
		Flags:  append(identityFlags(), streamFlags(options.Chat)...),
		Action: runChat,
	}
}

// chatDefaults are the defaults for flags of chat that differ from those of connect.
func chatDefaults() options.Values {
	return options.Values{
		flagMode: {modeLines},
		flagStay: {"true"},
		flagRaw:  {"true"}, // a message may have several lines, and raw mode shows them
		flagHTML: {htmlText},
	}
}

func runChat(c *cli.Context) error {
	p := ioOf(c)
	if !terminal.Is(p.In) || !terminal.Is(p.Out) {
		return exit.Errorf(exit.Usage, "%s is for a person: its standard input and output must be a terminal", c.Command.HelpName).
			WithHint("otrpipe connect --mode lines moves messages from and to a file, a pipe or a program, one per line")
	}
	if c.IsSet(flagMode) && c.String(flagMode) == modeStream {
		return exit.Errorf(exit.Usage, "%s talks in mode lines", c.Command.HelpName).
			WithHint("otrpipe connect moves exact bytes")
	}
	e, err := newWhole(c, chatDefaults())
	if err != nil {
		return err
	}
	talk := chat.New(chat.Config{
		IO:            p,
		Program:       programName,
		Contact:       e.Contact(),
		Keys:          func() []keys.Fingerprint { return publicKeys(c) },
		CheckQuestion: func(q string) error { _, err := options.Question(q); return err },
		Suggest:       cmdline.Nearest,
		StatusText:    func(s *control.Status) string { return statusDocument{s, p.Verbose}.TerminalText() },
		Stay:          !c.IsSet(flagStay) || c.Bool(flagStay),
		Retry:         c.Bool(options.RetryFlag),
		Bell:          c.Bool(options.BellFlag),
		Again:         e.WayAgain,
		Now:           time.Now,
	})
	err = e.Host(live.Config{
		AtTerminal: true, Changed: talk.Changed, SentTexts: talk.SentTexts, LastText: talk.LastText,
		Settled: talk.Settled, InClear: talk.InClear, Restore: talk.Restore,
	}, func(s *live.Session, setup live.Setup) error {
		return talk.Run(s, setup, e.Way())
	})
	if talk.HasTold(err) {
		return exit.Silently(exit.As(err).Code)
	}
	return err
}

// publicKeys returns the fingerprints of our own keys, or none if the keys cannot be read.
func publicKeys(c *cli.Context) []keys.Fingerprint {
	public, err := identityOf(c).Public()
	if err != nil {
		return nil
	}
	return public.Keys
}
