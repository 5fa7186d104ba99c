// Package chat is a talk at a terminal: a line that is entered is a message or a
// command, and what arrives is shown above the line that is edited.
package chat

import (
	"context"
	"errors"
	"io"
	"os"
	"sync"
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

// A Session is what a chat needs of the session that it is held in.
type Session interface {
	Prepare(live.Setup) (*otr.Conversation, error)
	RunOver(way live.Way, stderr *os.File, c *otr.Conversation, open func() (*live.Payload, error)) error
	// Again makes the session ready for another connection.
	Again() (*otr.Conversation, error)
	Snapshot() live.Snapshot
	Status() *control.Status
	// Running reports whether the transport carries the session by now.
	Running() bool
	// TransportStatus says how the transport has ended; "" if it has not.
	TransportStatus() string

	Send(in stream.SessionID, text string) (number int64, err error)
	CompareSecret(context.Context, *control.SMP) error
	AbortSMP() error
	MarkVerified(keys.Fingerprint) error
	Review()
	Refresh(context.Context) error
	Query() error
	End() error

	// Stop ends the session, Stopped is closed then, Cause says why, and Signal does what a
	// signal to the process does.
	Stop(cause error, reason string)
	Stopped() <-chan struct{}
	Cause() error
	Signal(syscall.Signal)
}

// A Config describes a chat.
type Config struct {
	IO      *terminal.IO
	Program string // the program's name, which leads what it says
	Contact string // that should be the peer; "": anybody
	Stay    bool   // when the peer has ended the session and its connection, the chat stays
	Retry   bool   // a connection that is lost is made again without asking
	Bell    bool   // the terminal's bell rings when a text arrives
	// Again returns the way to the other end for another connection.
	Again func() (live.Way, error)
	// Now is the clock of the time stamps.
	Now func() time.Time
	// Keys returns the fingerprints of our own keys.
	Keys func() []keys.Fingerprint
	// CheckQuestion refuses a question that SMP cannot ask.
	CheckQuestion func(string) error
	// Suggest returns the one of names that a misspelled name was meant to be, or "".
	Suggest func(name string, names []string) string
	// StatusText words a session's status for people.
	StatusText func(*control.Status) string
}

// A Chat is a session that a person holds at a terminal.
type Chat struct {
	cfg     Config
	console atomic.Pointer[editor.Console] // nil until Run has opened it
	answers *terminal.Printer              // what is told to the person who has asked; set by Run
	session Session                        // set by Run before anything is entered
	held    chan string                    // what was entered while there was no connection, cut off
	later   chan func()                    // what shows something for the session's owner, which must not wait
	told    error                          // the outcome that the person has been told; Run's
	// compared is the peer's key that was shown last, for comparing it. It is for
	// the goroutine that listens.
	compared keys.Fingerprint

	shownMu sync.Mutex
	// shown is the session that stands in front of the line; guarded by shownMu. A line is
	// for that session alone.
	shown stream.SessionID

	texts texts // guards itself
	// warned says that the person knows what unencrypted text is. It is for the goroutine
	// that runs later.
	warned bool
}

// New returns a chat.
func New(cfg Config) *Chat {
	return &Chat{cfg: cfg, held: make(chan string, 1), later: make(chan func(), maxLater)}
}

// maxLater is how much may wait to be shown while the terminal takes nothing, as after
// Ctrl-S. What would be more is left out.
const maxLater = 256

// Changed shows how the session stands in front of the line. It is for
// live.Config.
func (h *Chat) Changed(now live.Snapshot) {
	if console := h.console.Load(); console != nil {
		s := h.standingOf(now)
		if s.encrypted {
			h.texts.meetPeer()
		}
		h.shownMu.Lock()
		h.shown = now.Session
		h.shownMu.Unlock()
		console.SetPrompt(console.Paint(s.prompt(), s.colour()) + " ")
	}
}

// Restore gives the terminal back as it was. It is for live.Config.
func (h *Chat) Restore() {
	if console := h.console.Load(); console != nil {
		console.Close()
	}
}

// Run runs the session over a way to the other end, and over others when a connection has
// ended, until the person leaves.
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
		messages.Through(console) // which breaks long lines after its end, too
	}
	over := make(chan struct{})
	defer close(over)
	go h.showLater(over)
	h.Changed(s.Snapshot())
	h.cfg.IO.Note("waiting for %s; /help shows what can be done here, Ctrl-D leaves", h.otherEnd())
	go h.listen()
	return h.stay(way, conversation)
}

// HasTold reports whether the person has read an outcome of Run already.
func (h *Chat) HasTold(outcome error) bool { return outcome != nil && outcome == h.told }

// talk holds the session over one connection.
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

// showLater shows what the session's owner has to show.
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

// soon has something shown without a wait for the terminal.
func (h *Chat) soon(show func()) {
	select {
	case h.later <- show:
	default: // the terminal takes nothing
	}
}

// listen takes what the person enters, until the console is closed.
func (h *Chat) listen() {
	for {
		line, err := h.console.Load().ReadLine()
		switch {
		case errors.Is(err, editor.ErrHeld):
			select {
			case h.held <- line:
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

// addressed is the session that the person sees in front of the line.
func (h *Chat) addressed() stream.SessionID {
	h.shownMu.Lock()
	defer h.shownMu.Unlock()
	return h.shown
}

// message shows a text behind a lead, above the line.
func (h *Chat) message(lead, text string) { h.console.Load().Message(lead, text) }

func (h *Chat) paint(text string, how ...color.Attribute) string {
	return h.console.Load().Paint(text, how...)
}
