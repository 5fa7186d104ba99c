// Package live is the session that a process hosts: a conversation over a
// transport, what moves through it, and what other processes of the user ask of
// it.
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
	"otrpipe/otr/stream"
	"otrpipe/otr/wire"
)

// lastAnswers is how long a session that has ended waits for other processes to
// take their answers.
const lastAnswers = time.Second

// A Config describes a session when its process begins to host it.
type Config struct {
	IO       *terminal.IO
	Name     control.Name
	Dir      string // where sessions meet
	Home     *keyfile.Home
	Listener *control.Listener // serves the Session or a Handler around it; Finish closes it
	Events   *os.File          // for the events; nil: none are wanted
	Given    options.Values    // the flags, as far as they are known

	// AtTerminal says that a person talks in the session at this terminal. Hints
	// name the chat's commands then, and the stream is for one session's peer.
	AtTerminal bool
	// Changed, unless nil, is told how the session stands whenever that may have
	// changed. It is called by the goroutine that owns the session.
	Changed func(Snapshot)
	// SentTexts, unless nil, returns those of n texts, from the one with the number
	// first on, that are still known, quoted for people. It is called by the goroutine
	// that owns the session.
	SentTexts func(first, n int64) []string
	// LastText, unless nil, returns the text that was sent last, quoted for people, if nothing
	// shows whether it has arrived. It is called by the goroutine that owns the session.
	LastText func() string
	// Settled, unless nil, is told of which texts, by their numbers, it is known by now that
	// they have arrived, or that they have not or may not have. It is called by the goroutine
	// that owns the session.
	Settled func(first, n int64, arrived bool)
	// InClear, unless nil, shows text that came in clear, which anyone may have written; count
	// is for how many texts the latest stands. It is called by the goroutine that owns the
	// session.
	InClear func(text stream.Unencrypted, count int)
	// OwnProgress says that the command shows how far the transfer is, and what has moved.
	OwnProgress bool
	// ByCode says that the ends know each other by a code for this one session. Their keys
	// are made for it too, so that people are not shown them.
	ByCode bool
	// Restore, unless nil, gives the terminal back before the process is ended by a
	// second signal.
	Restore func()
	// OneOfMany says that the process hosts other sessions too, and hears signals for all.
	OneOfMany bool
	// Ended, unless nil, is told the outcome before the session's name is given up.
	Ended func(error)
}

// A Setup is what a session needs to run.
type Setup struct {
	Options *options.Options
	// Open opens the identity. It may ask for a passphrase, until stop is closed.
	Open func(stop <-chan struct{}) (*keyfile.Identity, error)
	// AskSecret asks for the secret that answers Options.Question, until stop is closed.
	AskSecret func(stop <-chan struct{}) ([]byte, error)
	// KeepIdentity says that the identity is shared with other sessions, and is not to be
	// wiped at the end of this one.
	KeepIdentity bool
	// AtHome says that the identity is one of the home, which keeps its client profile.
	AtHome bool
	// UpgradeHint is the command that makes an identity's keys of version 4.
	UpgradeHint string
	// Streams are the standard streams of the end: plaintext and transport.
	Streams []*os.File
	// Input is where the plaintext comes from, if it is a file; nil: it is not.
	Input *os.File
	// Served says that COMMAND is an application and not the transport. Several such
	// sessions may run at one terminal, so progress is shown only where it is asked
	// for.
	Served bool
}

// A Session is an OTR session that this process hosts.
//
// Its owner is the goroutine that calls Prepare, Run, RunOver and Finish, and while the
// stream runs the stream's own, which calls Verify, Event and the functions given
// to Do.
type Session struct {
	// Set by New and never changed.
	*terminal.IO
	cfg     Config
	watch   *process.SignalWatch
	stopped chan struct{} // closed when cause is set
	running chan struct{} // closed by Run when the stream runs: connected and options may be read
	ended   chan struct{} // closed by Finish: nothing can be asked of the session any more

	// Set by Prepare or Run and not changed after running is closed.
	begun    time.Time
	options  *options.Options
	setup    Setup
	identity *keyfile.Identity
	tag      *control.Held // of the client whose instance tag it is; nil: of none that is kept
	client   int           // whose tag it is, from 1 on
	keyLog   *keyLog       // nil: the session's keys are not written down

	// connected is the stream that runs or has run last; nil: none has. The owner stores it.
	connected atomic.Pointer[connection]
	snapshot  atomic.Pointer[Snapshot] // stored by the owner
	// between is set by the owner while it waits for another caller, after one has been
	// turned away.
	between atomic.Bool
	// step is when the other end came further last, in nanoseconds of Unix; the owner stores it.
	step atomic.Int64
	// toldWaiting is set by whoever tells first that the other end is waited for.
	toldWaiting atomic.Bool

	// The owner's, all up to mu.
	logs      []*events.Log
	started   bool  // the events say that the session has begun
	ending    error // of the stream that has ended last, as package stream tells it
	listens   bool  // the other end calls us
	spoken    bool  // the other end of the transport has said something already
	mayLiveOn bool  // at a peer that was cut off before this one, a session may live on
	state     control.State
	keeper    *trust.Keeper
	bound     *trust.Keeper // of a connection before in which a key has passed every check; nil: there was none
	peerState
	// comparison is the one that comes before payload, while it is under way.
	comparison *guesses.Comparison
	waiters    waiters

	markup markup    // of the peer's client; guards itself
	halves endedWays // of the stream; guards itself

	// Guarded by mu.
	mu        sync.Mutex
	cause     error            // why we leave of our own accord
	finished  bool             // the outcome is known
	signalled bool             // a signal has come
	abort     func(string)     // ends the stream before its time; nil: it does not run
	child     *process.Command // COMMAND, where there is one
}

// A peerState is what is known of the peer at the other end of the transport, and of the
// session with it. It belongs to the session's owner. With another transport it begins anew.
type peerState struct {
	peer    *events.Peer // whom the session is with; nil: nobody yet
	session otr.Session  // if peer is not nil
	// formerInstance is the peer's instance in the session before that one; 0: there was none.
	formerInstance uint32
	trusted        bool                // every check that was asked for has passed
	refusal        bool                // the key of session is being refused
	complete       bool                // mode stream: the peer's authenticated end has come
	echoed         bool                // what we sent came back
	expired        *otr.ProfileExpired // the last one; nil: none
	clocks         string              // what the peer's program said of our client profile, which has expired by its clock; "": nothing
	speaks4        bool                // the peer has begun, or answered, a key exchange of version 4
	advised        bool                // the user knows that the account names may be the reason
	inClear        bool                // what came was unencrypted text
	offline        bool                // what came was a message to somebody who is away
	offers         string              // the versions that the peer asked for last, if none of them is allowed here
	offered        wire.Versions       // the same
	extra          *extraKey           // announced by the peer last
	smp            smpState
}

// A connection is a stream over a transport.
type connection struct {
	link
	lines *stream.Lines // the link, in mode lines; nil in mode stream
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

// A Payload is where plaintext comes from and goes to.
type Payload struct {
	In      io.Reader
	Out     io.Writer
	DoneOut func() error // nothing more will be written to Out
	// Show, unless nil, is given the texts of mode lines instead; they are sent with
	// Send.
	Show func(text string)
	// Application, unless nil, reads Out: if it leaves only that direction ends.
	Application *process.Command
}

// New begins to host a session. Finish must be called. The caller has the listener
// serve the Session.
func New(cfg Config) *Session {
	s := &Session{
		IO:      cfg.IO,
		cfg:     cfg,
		watch:   process.Watch(),
		begun:   time.Now(),
		stopped: make(chan struct{}),
		running: make(chan struct{}),
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

// LogTo has the events written to f too. It is called before Run.
func (s *Session) LogTo(f *os.File) {
	s.logs = append(s.logs, events.NewLog(f, s.cfg.Name.Session, s.Report))
}

// Stopped is closed when the session is to end before its time; Cause says why.
func (s *Session) Stopped() <-chan struct{} { return s.stopped }

// Over is closed when the session has ended.
func (s *Session) Over() <-chan struct{} { return s.ended }

// Cause returns why the session was stopped; nil: it was not.
func (s *Session) Cause() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.cause
}

// Stop ends the session for a reason of our own; the first one counts. The
// peer is told reason.
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

// Leaving reports whether the session ends or has ended, so that a new process can
// soon host another one of its name.
func (s *Session) Leaving() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.cause != nil || s.finished
}

// Finish ends the session for all that take part in it and returns err, the
// outcome.
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
	s.cfg.Listener.Drain(lastAnswers)
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

// heedSignals ends the session at the first signal, and the process at the
// second.
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

// Signal does what a signal to this process does: the first ends the session, the
// second the process.
func (s *Session) Signal(signal syscall.Signal) {
	s.mu.Lock()
	leaving, finished, command := s.cause != nil || s.finished, s.finished, s.child
	// A session that ends by itself, or has been stopped for this very signal already, must
	// not end the others at the first.
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

// logCutOff has events written that say how the process ends, although its session has no
// time to end. A terminal that goes away does this too: its end of input may be seen before its
// signal.
func (s *Session) logCutOff(finished bool, code int) {
	if finished {
		select {
		case <-s.ended: // Finish has written it
		case <-time.After(lastAnswers):
		}
	} else {
		s.logEnded(exit.Silently(code))
	}
	for _, log := range s.logs {
		log.Close()
	}
}

// byHand says how our user does something: at the chat's own line, or else from
// another shell.
func (s *Session) byHand(line, shell string) string {
	if s.cfg.AtTerminal {
		return line
	}
	return shell
}

// tellPerson tells a person who talks in the session what another shell does to it.
func (s *Session) tellPerson(text string) {
	if s.cfg.AtTerminal {
		s.Note("%s", text)
	}
}
