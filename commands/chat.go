package commands

import (
	"errors"
	"fmt"
	"io"
	"strconv"
	"sync"
	"syscall"

	"github.com/fatih/color"
	"github.com/urfave/cli/v2"

	"otrpipe/commands/internal/cmdline"
	"otrpipe/commands/internal/exit"
	"otrpipe/commands/internal/options"
	"otrpipe/commands/internal/terminal"
	"otrpipe/commands/internal/terminal/editor"
	"otrpipe/otr/keys"
	"otrpipe/otr/stream"
)

const commandChat = "chat"

func chatCommand() *cli.Command {
	return &cli.Command{
		Name:      commandChat,
		Usage:     "talk with somebody at this terminal, over COMMAND, the transport",
		ArgsUsage: cmdline.OwnArguments,
		Description: "A line that is entered is a message; a pasted text is one too, its lines kept. In " +
			"front of the line stands who the other end is, and how far that is sure: unencrypted, and " +
			"nothing can be sent; unverified, and it may be anybody; verified, by SMP or by comparing " +
			"fingerprints. A line that begins with / is a command, of which /help says more, and one " +
			"that begins with // is a message that begins with /. When the other end leaves, chat stays " +
			"for the next session as long as COMMAND runs; /end ends a session, /refresh begins one, " +
			"/quit and Ctrl-D leave. Other clients' HTML is shown as text.\n\n" +
			"  otrpipe chat --contact bob -- nc -N -l 9000    # here\n" +
			"  otrpipe chat --contact alice -- nc -N host 9000    # there",
		Flags:  append(identityFlags(), chatFlags()...),
		Action: runChat,
	}
}

// chatFlags are those of a stream that mean something to a person.
func chatFlags() []cli.Flag { return options.ChatFlags(secretFlags) }

// chatDefaults are the flags of a chat that was not given others.
var chatDefaults = options.Values{
	flagMode: {modeLines},
	flagStay: {"true"},
	flagRaw:  {"true"}, // a message may have several lines, and so shows them
	flagHTML: {htmlText},
}

func runChat(c *cli.Context) error {
	p := ioOf(c)
	if !terminal.Is(p.In) || !terminal.Is(p.Out) {
		return exit.Errorf(exit.Usage, "%s is for a person: its standard input and output must be a terminal", c.Command.HelpName).
			WithHint("otrpipe connect --mode lines moves messages from and to a file, a pipe or a program, one a line")
	}
	if c.IsSet(flagMode) && c.String(flagMode) == modeStream {
		return exit.Errorf(exit.Usage, "%s talks in mode lines", c.Command.HelpName).
			WithHint("otrpipe connect moves exact bytes")
	}
	l, command, err := startWhole(c, chatDefaults)
	if err != nil {
		return err
	}
	return l.finish(l.chat(command))
}

// errQuit ends a session that its person leaves. What is left to say then is why
// the last words could not be sent.
var errQuit error = exit.Errorf(exit.Broken, "the session was ended")

// A chat is a live session that a person holds at a terminal.
type chat struct {
	*live
	console *editor.Console
	answers *terminal.Printer // what is told to the person who has asked
	// compared is the peer's key that was shown last, for comparing it. It is for
	// the goroutine that listens.
	compared keys.Fingerprint
	// shown is the session that stands in front of the line; guarded by live's mu. A line
	// is for that session alone.
	shown stream.SessionID

	textsMu   sync.Mutex
	texts     []string // the latest messages that were sent, shortened
	firstText int64    // the number of the first of them
}

// keptTexts is how many messages are kept to be named when they do not arrive: more
// than a person sends in the time until that is known.
const keptTexts = 200

// maxNamed is how many characters of such a message are shown.
const maxNamed = 40

// keepText keeps a message that was sent. The numbers of messages follow each other.
func (h *chat) keepText(number int64, text string) {
	if short := []rune(text); len(short) > maxNamed {
		text = string(short[:maxNamed-1]) + "…"
	}
	h.textsMu.Lock()
	defer h.textsMu.Unlock()
	if len(h.texts) == 0 {
		h.firstText = number
	}
	h.texts = append(h.texts, text)
	if len(h.texts) > keptTexts {
		h.texts = h.texts[1:]
		h.firstText++
	}
}

// sentTexts returns those messages, quoted, that are still kept of n from a first one on.
func (h *chat) sentTexts(first, n int64) (texts []string) {
	h.textsMu.Lock()
	defer h.textsMu.Unlock()
	for i := max(first-h.firstText, 0); i < min(first-h.firstText+n, int64(len(h.texts))); i++ {
		texts = append(texts, terminal.Visible(strconv.Quote(h.texts[i])))
	}
	return texts
}

// chat runs the session over COMMAND.
func (l *live) chat(command []string) error {
	conversation, err := l.prepare() // it may ask for a passphrase
	if err != nil {
		return err
	}
	console, err := editor.Open(l.In, l.Out)
	if err != nil {
		return exit.Errorf(exit.Failure, "the terminal: %w", err)
	}
	defer console.Close()
	h := &chat{live: l, console: console, answers: terminal.NewPrinter(l.Out, programName)}
	h.answers.Through(console)
	stderr, heard := l.Messages.File(), func() {}
	if terminal.Is(stderr) {
		if stderr, heard, err = h.overhear(command[0]); err != nil {
			return err
		}
		l.Messages.Through(console) // which breaks long lines after its end, too
	}
	l.mu.Lock()
	l.person = h
	l.mu.Unlock()
	h.showStanding()
	l.Note("waiting for the other end; /help shows what can be done here, Ctrl-D leaves")
	go h.listen()
	err = l.runOver(command, stderr, conversation, func() (*payload, error) {
		return &payload{person: h}, nil
	})
	heard()
	if err == nil && !l.told() {
		l.Note("the transport has ended%s", l.transportStatus())
	}
	return err
}

// told says that somebody has told us to leave.
func (l *live) told() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.cause != nil
}

// listen takes what the person enters, until the console is closed.
func (h *chat) listen() {
	for {
		line, err := h.console.ReadLine()
		switch {
		case errors.Is(err, editor.ErrInterrupted):
			h.signalled(syscall.SIGINT)
		case errors.Is(err, io.EOF):
			h.stop(errQuit, "")
		case errors.Is(err, editor.ErrClosed):
			return
		case err != nil: // the terminal is gone
			h.stop(exit.Silently(128+int(syscall.SIGHUP)), "interrupted")
			return
		default:
			h.enter(line)
		}
	}
}

// converse has messages move between the person and the peer. What it returns
// yields the error of receiving them.
func (h *chat) converse(lines *stream.Lines) <-chan error {
	received := make(chan error, 1)
	go func() { received <- h.receive(lines) }()
	return received
}

func (h *chat) receive(lines *stream.Lines) error {
	for {
		text, err := h.readText(lines, nil)
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return err
		}
		who, colour := h.standing().lead()
		h.console.Message(h.console.Paint(who+":", colour, color.Bold)+" ", string(text))
	}
}

// channel is what messages go through; nil: it has not begun.
func (h *chat) channel() *stream.Lines {
	h.mu.Lock()
	defer h.mu.Unlock()
	lines, _ := h.link.(*stream.Lines)
	return lines
}

// send sends a message now, or not at all.
func (h *chat) send(text string) {
	err := stream.ErrNoSession
	lines := h.channel()
	if lines != nil {
		var number int64
		if number, err = lines.WriteTextIn(h.addressed(), []byte(h.asTyped(text))); err == nil {
			h.keepText(number, text)
		}
	}
	if err == nil {
		h.console.Message(h.console.Paint("you:", color.Bold)+" ", text)
		return
	}
	h.answers.Error(fmt.Sprintf("not sent: %v", reworded(err)))
	next := "/refresh begins a new session"
	if lines == nil {
		next = "the other end is not there yet"
	}
	h.answers.Hint("Up brings the line back; " + next)
}
