// Package live runs the OTR session that a process hosts: a conversation over a transport, the
// payload that moves through it, and the requests of the user's other processes.
package live

import (
	"context"
	"io"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"otrpipe/commands/internal/control"
	"otrpipe/commands/internal/events"
	"otrpipe/commands/internal/exit"
	"otrpipe/commands/internal/guesses"
	"otrpipe/commands/internal/options"
	"otrpipe/commands/internal/process"
	"otrpipe/commands/internal/terminal"
	"otrpipe/commands/internal/trust"
	"otrpipe/keyfile"
	"otrpipe/otr"
	"otrpipe/otr/keys"
	"otrpipe/otr/stream"
	"otrpipe/otr/wire"
)

// lastWords is how long a session that has ended waits until its messages and its last event are
// written.
const lastWords = time.Second

// A Config describes a session that its process begins to host.
type Config struct {
	IO       *terminal.IO
	Name     control.Name
	Dir      string // the folder for sockets
	Home     *keyfile.Home
	Listener *control.Listener // serves the Session or a Handler around it; Finish closes it
	Events   *os.File          // the file for events; nil: none
	Given    options.Values    // the flags, as far as they are known

	// AtTerminal says that a person talks in the session at this terminal. Hints then name the
	// chat's commands, and the stream is bound to one session's peer.
	AtTerminal bool
	// Changed, unless nil, is called with a snapshot whenever the session may have changed, by
	// the goroutine that owns the session.
	Changed func(Snapshot)
	// SentTexts, unless nil, returns in quotation marks those of the n texts from number first
	// on that are still known. The goroutine that owns the session calls it.
	SentTexts func(first, n int64) []string
	// LastText, unless nil, returns in quotation marks the last sent text if nothing shows
	// whether it has arrived. The goroutine that owns the session calls it.
	LastText func() string
	// Settled, unless nil, is called with the numbers of texts that have now been delivered, or
	// are lost or may be. The goroutine that owns the session calls it.
	Settled func(first, n int64, arrived bool)
	// InClear, unless nil, shows text that came unencrypted, which anyone may have written.
	// count is the number of texts that the shown one stands for. The goroutine that owns the
	// session calls it.
	InClear func(text stream.Unencrypted, count int)
	// OwnProgress says that the command itself shows the progress and the amount of data moved.
	OwnProgress bool
	// ByCode says that the ends verify each other by a code for this session only. Their keys
	// are made for it too, so they are not shown to people.
	ByCode bool
	// Restore, unless nil, restores the terminal before a second signal ends the process.
	Restore func()
	// OneOfMany says that the process hosts other sessions too, and handles signals for all of
	// them.
	OneOfMany bool
	// Ended, unless nil, is called with the outcome before the session's name is released.
	Ended func(error)
}

// A Setup is what a session needs to run.
type Setup struct {
	Options *options.Options
	// Open opens the identity. It may ask for a passphrase, until stop is closed.
	Open func(stop <-chan struct{}) (*keyfile.Identity, error)
	// AskSecret asks for the secret that answers Options.Question, until stop is closed.
	AskSecret func(stop <-chan struct{}) ([]byte, error)
	// KeepIdentity says that other sessions share the identity, so that it must not be wiped
	// when this one ends.
	KeepIdentity bool
	// AtHome says that the identity is in the home, which keeps its client profile.
	AtHome bool
	// UpgradeHint is the command that adds version 4 keys to the identity.
	UpgradeHint string
	// Streams are the end's standard streams, for plaintext and transport.
	Streams []*os.File
	// Input is the file that the plaintext comes from; nil: it comes from no file.
	Input *os.File
	// Served says that COMMAND is an application and not the transport. Several such sessions
	// may run at one terminal, so progress is shown only on request.
	Served bool
}

// A Session is an OTR session hosted by this process.
//
// Its owner is the goroutine that calls Prepare, Run, RunOver and Finish; while the stream runs,
// the owner is the stream's goroutine, which calls Verify, Event and the functions passed to Do.
type Session struct {
	// Set by New and not changed later.
	*terminal.IO
	cfg     Config
	watch   *process.SignalWatch
	stopped chan struct{} // closed when cause is set
	running chan struct{} // closed by Run when the stream runs; connected and options may be read from then on
	ended   chan struct{} // closed by Finish; the session takes no more requests
	writing chan struct{} // full while the output of mode lines takes a text

	// Set by Prepare or Run and not changed after running is closed.
	begun    time.Time
	options  *options.Options
	setup    Setup
	identity *keyfile.Identity
	tag      *control.Held // the reservation of the stored client whose instance tag is used; nil: no stored client is used
	client   int           // the number of that client, from 1 on
	keyLog   *keyLog       // nil: do not log the session's keys

	// connected is the stream that runs or ran last; nil: none. The owner stores it.
	connected atomic.Pointer[connection]
	snapshot  atomic.Pointer[Snapshot] // stored by the owner
	// between is set by the owner while it waits for another caller after turning one away.
	between atomic.Bool
	// step is the time of the other end's latest progress, as timeOn returns it; the owner
	// stores it.
	step atomic.Int64
	// toldWaiting is set when the user has been told that we wait for the other end.
	toldWaiting atomic.Bool

	// The fields from here to mu belong to the owner.
	logs      []*events.Log
	started   bool  // the start of the session has been logged
	ending    error // the error of the last stream, as package stream returned it
	listens   bool  // the other end calls us
	spoken    bool  // the other end of the transport has sent something
	mayLiveOn bool  // a session may live on at an earlier peer that was cut off
	carried   bool  // a transport carries the session
	state     control.State
	keeper    *trust.Keeper
	bound     *trust.Keeper // the Keeper of an earlier connection in which a key has passed every check; nil: there was none
	peerState
	// comparison is the comparison that must precede payload, while it is under way.
	comparison *guesses.Comparison
	waiters    waiters

	markup markup    // of the peer's client; safe for several goroutines
	halves endedWays // of the stream; safe for several goroutines

	// Guarded by mu.
	mu        sync.Mutex
	cause     error            // our own reason for leaving
	finished  bool             // the outcome is known
	signalled bool             // a signal has arrived
	abort     func(string)     // ends the stream early; nil: it does not run
	child     *process.Command // COMMAND, if there is one
}

// A peerState is what is known of the peer and of the session with it. It belongs to the
// session's owner. It is reset for each new transport.
type peerState struct {
	peer    *events.Peer // the session's peer; nil: there is none yet
	session otr.Session  // if peer is not nil
	// unannounced is a session that the user is told of once the peer's key has been stored,
	// because a first key that cannot be stored is refused; nil: there is none.
	unannounced *otr.Secure
	// formerInstance is the peer's instance in the previous session; 0: there was none.
	formerInstance uint32
	trusted        bool                // the peer has passed every required check
	ourKey         keys.Fingerprint    // ours, in the session's version
	ourKeyRefused  bool                // the peer says that it refuses our key
	refusal        bool                // the session's key is being refused
	complete       bool                // mode stream: the peer's authenticated end has arrived
	echoed         bool                // what we sent came back
	expired        *otr.ProfileExpired // the latest; nil: none
	clocks         string              // what the peer's program said about our client profile, which has expired by its clock; "": nothing
	speaks4        bool                // the peer has begun or answered a version 4 key exchange
	advised        bool                // the user has been told that the account names may be the reason
	inClear        bool                // unencrypted text arrived
	offline        bool                // a message for someone who is away arrived
	offers         string              // the versions that the peer asked for last, if we allow none of them
	offered        wire.Versions       // the same as a set
	extra          *extraKey           // the latest that the peer announced
	acknowledged   bool                // mode lines: the peer acknowledges messages
	smp            smpState
}

// A connection is a stream over a transport.
type connection struct {
	link
	lines *stream.Lines // the link in mode lines; nil in mode stream
}

// A link is what a session runs on: a stream.Stream or stream.Lines.
type link interface {
	Handshake(context.Context) error
	Do(func(*otr.Conversation) ([][]byte, error)) error
	DoIn(stream.SessionID, func(*otr.Conversation) ([][]byte, error)) error
	Session() (stream.SessionID, bool)
	Wait() error
	Stats() stream.Stats
}

// A Payload holds the source and the destination of plaintext.
type Payload struct {
	In      io.Reader
	Out     io.Writer
	DoneOut func() error // called when nothing more will be written to Out
	// Show, unless nil, is called with the texts of mode lines instead. Texts are then sent with
	// Send.
	Show func(text string)
	// Application, unless nil, reads Out. If it exits, only that direction ends.
	Application *process.Command
}

// New begins to host a session. The caller must call Finish, and make the listener serve the
// Session.
func New(cfg Config) *Session {
	s := &Session{
		IO:      cfg.IO,
		cfg:     cfg,
		watch:   process.Watch(),
		begun:   time.Now(),
		stopped: make(chan struct{}),
		running: make(chan struct{}),
		writing: make(chan struct{}, 1),
		ended:   make(chan struct{}),
		state:   control.StateWaiting,
		options: &options.Options{Mode: cfg.Given.Mode(), Contact: cfg.Given.Contact()},
	}
	if cfg.Events != nil {
		s.LogTo(cfg.Events)
	}
	s.stepsOver() // until it runs
	s.publish()
	go s.heedSignals()
	return s
}

// LogTo makes the session write its events to f too. It must be called before Run.
func (s *Session) LogTo(f *os.File) {
	s.logs = append(s.logs, events.NewLog(f, s.cfg.Name.Session, s.Report))
}

// Stopped is closed when the session must end early; Cause returns the reason.
func (s *Session) Stopped() <-chan struct{} { return s.stopped }

// Over is closed when the session has ended.
func (s *Session) Over() <-chan struct{} { return s.ended }

// Cause returns the reason why the session was stopped; nil: it was not stopped.
func (s *Session) Cause() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.cause
}

// Stop ends the session for a reason of our own; only the first call counts. The peer is told
// reason.
func (s *Session) Stop(cause error, reason string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.cause != nil || s.finished {
		return
	}
	s.cause = cause
	close(s.stopped)
	time.AfterFunc(leavingNotice, s.tellLeaving)
	if s.abort != nil {
		go s.abort(reason)
	}
}

// Leaving reports whether the session is ending or has ended, so that another process can soon
// host one under the same name.
func (s *Session) Leaving() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.cause != nil || s.finished
}

// Finish ends the session for all its participants and returns err, the outcome.
func (s *Session) Finish(err error) error {
	s.mu.Lock()
	s.finished = true
	s.mu.Unlock()
	s.state = control.StateFinished
	s.publish()
	s.endGate(guesses.Unknown)
	s.logEnded(err)
	close(s.ended)
	if s.cfg.Ended != nil {
		s.cfg.Ended(err)
	}
	s.cfg.Listener.Close()
	s.cfg.Listener.Drain(control.Greeting)
	s.giveTagBack(err)
	s.wipe()
	s.watch.Stop()
	for _, log := range s.logs {
		log.Close()
	}
	if s.keyLog != nil {
		s.keyLog.file.Close()
	}
	return err
}

// wipe overwrites the secrets that the session has used.
func (s *Session) wipe() {
	if s.identity != nil && !s.setup.KeepIdentity {
		s.identity.Wipe()
	}
	clear(s.options.SMP)
	if s.extra != nil {
		clear(s.extra.key)
	}
}

// heedSignals ends the session at the first signal and the process at the second.
func (s *Session) heedSignals() {
	for {
		select {
		case signal := <-s.watch.Signals:
			s.Signal(signal.(syscall.Signal))
		case <-s.ended:
			return
		}
	}
}

// Signal acts like a signal to this process: the first ends the session, the second the process.
func (s *Session) Signal(signal syscall.Signal) {
	s.mu.Lock()
	leaving, finished, command := s.cause != nil || s.finished, s.finished, s.child
	// If the session is ending by itself, or was already stopped for this signal, the first
	// signal must not end the process and its other sessions.
	first := s.cfg.OneOfMany && !s.signalled
	s.signalled = true
	s.mu.Unlock()
	if leaving && first {
		return
	}
	if !leaving {
		s.Stop(exit.Silently(128+int(signal)), "interrupted")
		return
	}
	if command != nil {
		command.Signal(syscall.SIGKILL)
	}
	s.cfg.Listener.Close()
	if s.cfg.Restore != nil {
		s.cfg.Restore()
	}
	code := 128 + int(signal)
	s.logCutOff(finished, code)
	os.Exit(code)
}

// logCutOff logs how the process ends when its session has no time to end. It also applies to a
// terminal that goes away, whose end of input may be seen before its signal.
func (s *Session) logCutOff(finished bool, code int) {
	if finished {
		select {
		case <-s.ended: // Finish has written it
		case <-time.After(lastWords):
		}
	} else {
		s.logEnded(exit.Silently(code))
	}
	for _, log := range s.logs {
		log.Close()
	}
}

// byHand returns how our user can do something: by a command of the chat, or else from another
// shell.
func (s *Session) byHand(line, shell string) string {
	if s.cfg.AtTerminal {
		return line
	}
	return shell
}

// tellPerson tells a person who talks in the session what a command in another shell did to it.
func (s *Session) tellPerson(text string) {
	if s.cfg.AtTerminal {
		s.Note("%s", text)
	}
}
