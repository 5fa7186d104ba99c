// Package chat holds a conversation at a terminal. Each line that the user enters is a message
// or a command, and incoming messages appear above the line being edited.
package chat

import (
	"context"
	"errors"
	"io"
	"os"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/fatih/color"

	"otrpipe/commands/internal/control"
	"otrpipe/commands/internal/exit"
	"otrpipe/commands/internal/live"
	"otrpipe/commands/internal/terminal"
	"otrpipe/commands/internal/terminal/editor"
	"otrpipe/otr"
	"otrpipe/otr/keys"
	"otrpipe/otr/stream"
)

// A Session is the part of an OTR session that a chat uses.
type Session interface {
	Prepare(live.Setup) (*otr.Conversation, error)
	RunOver(way live.Way, stderr *os.File, c *otr.Conversation, open func() (*live.Payload, error)) error
	// Again makes the session ready for another connection.
	Again() (*otr.Conversation, error)
	Snapshot() live.Snapshot
	Status() *control.Status
	// Running reports whether the transport carries the session yet.
	Running() bool
	// TransportStatus describes how the transport ended; "" if it still runs.
	TransportStatus() string

	Send(in stream.SessionID, text string) (number int64, err error)
	CompareSecretIn(context.Context, stream.SessionID, *control.SMP) error
	AbortSMP() error
	MarkVerified(keys.Fingerprint) error
	Review()
	Refresh(context.Context) error
	Query() error
	End() error

	// Stop ends the session, which closes Stopped; Cause returns the reason. Signal acts as a
	// signal to the process does.
	Stop(cause error, reason string)
	Stopped() <-chan struct{}
	Cause() error
	Signal(syscall.Signal)
}

// A Config describes a chat.
type Config struct {
	IO      *terminal.IO
	Program string // the program's name, which begins its messages
	Contact string // the expected peer; "": anybody
	Stay    bool   // whether the chat goes on when the peer has ended the session and its connection
	Retry   bool   // whether a lost connection is made again without asking
	Bell    bool   // whether the terminal's bell rings when a text arrives
	// Again returns the way to the other end for another connection.
	Again func() (live.Way, error)
	// Now is the clock of the time stamps.
	Now func() time.Time
	// Keys returns the fingerprints of our own keys.
	Keys func() []keys.Fingerprint
	// CheckQuestion refuses a question that SMP cannot ask.
	CheckQuestion func(string) error
	// Suggest returns the entry of names that a misspelled name most resembles, or "".
	Suggest func(name string, names []string) string
	// StatusText describes a session's status in text.
	StatusText func(*control.Status) string
}

// A Chat is a session that a person uses at a terminal.
type Chat struct {
	cfg     Config
	console atomic.Pointer[editor.Console] // nil until Run has opened it
	answers *terminal.Printer              // prints answers to what the person asked; set by Run
	session Session                        // set by Run before anything is entered
	held    chan string                    // what was entered while there was no connection, shortened
	later   chan func()                    // display work for the session's owner, which must not wait
	told    error                          // the outcome that the person has been told; owned by Run
	// again says that a connection is being made again and has not come to a session yet, and
	// holding that the console is on hold for it. They belong to the session's owner.
	again, holding bool
	// compared is the peer's key that was last shown for comparison. Only the goroutine that
	// listens uses it.
	compared keys.Fingerprint
	// entered is the line that was entered last. Only the goroutine that listens uses it.
	entered editor.Entered
	// refusal is the latest refusal to ask for a secret. Only the goroutine that listens uses it.
	refusal *refusal
	// lastPeer is the key of the peer of the present session, or else of the last one. It belongs
	// to the session's owner.
	lastPeer keys.Fingerprint

	texts texts // guards itself
	// warned says that the warning about unencrypted text was shown. Only the goroutine that
	// runs later uses it.
	warned bool
}

// New returns a chat.
func New(cfg Config) *Chat {
	return &Chat{cfg: cfg, refusal: new(refusal), held: make(chan string, 1), later: make(chan func(), maxLater)}
}

// maxLater bounds the display work that waits while the terminal takes no output, as after
// Ctrl-S. Anything beyond it is left out.
const maxLater = 256

// A recipient is to whom a line goes.
type recipient struct {
	session stream.SessionID // zero: there is no session, and the line goes to nobody
	// peer is the key of the session's peer, or of the last session's; zero: there was none.
	peer keys.Fingerprint
}

// recipient returns the recipient that the prompt showed when the last line was entered. A line
// goes to that session or to none.
func (h *Chat) recipient() recipient {
	to, _ := h.entered.To.(recipient)
	return to
}

// changesPeer reports whether the prompt showed the peer of an earlier session, with another key,
// when the last line was begun. A person who does not look up would send them the rest.
func (h *Chat) changesPeer() bool {
	begun, _ := h.entered.BegunTo.(recipient)
	var none keys.Fingerprint
	now := h.recipient().peer
	return begun.peer != none && now != none && begun.peer != now
}

// Changed updates the prompt to the state of the session. It is for live.Config.
func (h *Chat) Changed(now live.Snapshot) {
	if console := h.console.Load(); console != nil {
		s := h.standingOf(now)
		if s.encrypted {
			h.lastPeer = now.Fingerprint
		}
		console.Address(console.Paint(s.prompt(), s.colour())+" ", recipient{now.Session, h.lastPeer})
		h.holdUntilConnected(s)
		if s.encrypted {
			h.texts.meetPeer()
			h.again = false
		}
	}
}

// Restore puts the terminal back into its original state. It is for live.Config.
func (h *Chat) Restore() {
	if console := h.console.Load(); console != nil {
		console.Close()
	}
}

// Run runs the session over a connection to the other end, and over further connections when one
// has ended, until the person leaves.
func (h *Chat) Run(s Session, setup live.Setup, way live.Way) error {
	h.session = s
	conversation, err := s.Prepare(setup) // it may ask for a passphrase
	if err != nil {
		return err
	}
	console, err := editor.Open(h.cfg.IO.In, h.cfg.IO.Out)
	if err != nil {
		return exit.Errorf(exit.Failure, "the terminal: %w", err)
	}
	defer console.Close()
	console.Complete(complete)
	h.answers = terminal.NewPrinter(h.cfg.IO.Out, h.cfg.Program)
	h.answers.Through(console)
	h.console.Store(console)
	if messages := h.cfg.IO.Messages; terminal.Is(messages.File()) {
		messages.Through(console) // which also breaks long lines after it is closed
	}
	over := make(chan struct{})
	defer close(over)
	go h.showLater(over)
	h.Changed(s.Snapshot())
	h.cfg.IO.Note("waiting for %s; /help shows what can be done here, Ctrl-D leaves", h.otherEnd())
	go h.listen()
	return h.stay(way, conversation)
}

// HasTold reports whether the person has already been told Run's outcome.
func (h *Chat) HasTold(outcome error) bool { return outcome != nil && outcome == h.told }

// talk runs the session over one connection.
func (h *Chat) talk(way live.Way, conversation *otr.Conversation) error {
	stderr, drain := h.cfg.IO.Messages.File(), func() {}
	if terminal.Is(stderr) && len(way.Command) > 0 {
		var err error
		if stderr, drain, err = h.overhear(way.Command[0]); err != nil {
			return err
		}
	}
	err := h.session.RunOver(way, stderr, conversation, func() (*live.Payload, error) {
		return &live.Payload{Show: h.show}, nil
	})
	drain()
	return err
}

// showLater runs the display work of the session's owner.
func (h *Chat) showLater(over <-chan struct{}) {
	for {
		select {
		case show := <-h.later:
			show()
		case <-over:
			return
		}
	}
}

// soon queues display work without waiting for the terminal.
func (h *Chat) soon(show func()) {
	select {
	case h.later <- show:
	default: // the terminal takes no output
	}
}

// listen handles the lines that the person enters, until the console is closed.
func (h *Chat) listen() {
	for {
		line, err := h.console.Load().ReadEntered()
		switch {
		case errors.Is(err, editor.ErrHeld):
			if h.asksForSecret(readEntry(line.Text).command) {
				h.refusal = &refusal{at: time.Now()}
			}
			select {
			case h.held <- line.Text:
			default: // they have pressed Enter more than once
			}
		case errors.Is(err, editor.ErrInterrupted):
			h.session.Signal(syscall.SIGINT)
		case errors.Is(err, io.EOF):
			h.session.Stop(live.ErrQuit, "")
		case errors.Is(err, editor.ErrClosed):
			return
		case err != nil: // the terminal is gone
			h.session.Stop(exit.Silently(128+int(syscall.SIGHUP)), "interrupted")
			return
		default:
			h.enter(line)
		}
	}
}

// message shows a text after a lead, above the line being edited.
func (h *Chat) message(lead, text string) { h.console.Load().Message(lead, text) }

func (h *Chat) paint(text string, how ...color.Attribute) string {
	return h.console.Load().Paint(text, how...)
}
