package commands

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"syscall"
	"time"

	"otrpipe/commands/internal/control"
	"otrpipe/commands/internal/events"
	"otrpipe/commands/internal/exit"
	"otrpipe/commands/internal/guesses"
	"otrpipe/commands/internal/options"
	"otrpipe/commands/internal/process"
	"otrpipe/commands/internal/secret"
	"otrpipe/commands/internal/terminal"
	"otrpipe/commands/internal/trust"
	"otrpipe/keyfile"
	"otrpipe/otr"
	"otrpipe/otr/stream"
)

// lastBytes is how long plaintext that has arrived may take to be written when
// we are told to leave and its reader does not read.
const lastBytes = time.Second

// A live is a session that this process hosts.
type live struct {
	*end
	role     string // encrypt-stream or decrypt-stream; "": both halves in one process
	options  *options.Options
	keeper   *trust.Keeper // the stream's owner's; nil until the conversation is made
	listener *control.Listener
	watch    *process.SignalWatch
	begun    time.Time
	logs     []*events.Log
	identity *keyfile.Identity // nil until it has been opened
	release  func()            // gives the identity's instance tag back; nil: it was not taken

	stopped chan struct{} // closed when cause is set
	over    chan struct{} // closed when nothing can be asked of the session any more

	mu       sync.Mutex
	values   options.Values // what both halves were given
	partner  *partner       // the other half, once it has been let in
	joined   chan struct{}
	link     link             // nil until the conversation begins
	abort    func(string)     // ends link before its time
	child    *process.Command // COMMAND, where there is one
	cause    error            // why we leave of our own accord
	finished bool             // the outcome is known
	state    control.State
	peer     *events.Peer // whom the session is with; nil: nobody yet
	session  otr.Session  // if peer is not nil
	trusted  bool         // every check that was asked for has passed
	met      bool         // the key of session has passed every check, now or before
	refusal  bool         // the key of session is being refused
	complete bool         // mode stream: the peer's authenticated end has come
	smp      smpState
	// comparison is the one that comes before payload, while it is under way.
	comparison *guesses.Comparison
	echoed     bool                           // what we sent came back
	inClear    bool                           // what came was unencrypted text
	offers     string                         // the versions that the peer asked for last, if none of them is allowed here
	extra      *extra                         // the extra symmetric key that the peer announced last
	taps       map[chan fmt.Stringer]struct{} // of those who wait for an event
	person     *chat                          // whoever holds the session at a terminal, or nil
	html       terminal.HTML                  // of the client htmlOf
	htmlOf     htmlPeer
}

// A link is what a live session runs on: a stream.Stream or stream.Lines.
type link interface {
	Handshake(context.Context) error
	Do(func(*otr.Conversation) ([][]byte, error)) error
	DoIn(stream.SessionID, func(*otr.Conversation) ([][]byte, error)) error
	Session() (stream.SessionID, bool)
	Wait() error
	Stats() stream.Stats
}

// newLive begins to host a session. Its close must be called.
func newLive(e *end, role string, listener *control.Listener) *live {
	l := &live{
		end:      e,
		role:     role,
		values:   e.given,
		listener: listener,
		watch:    process.Watch(),
		begun:    time.Now(),
		stopped:  make(chan struct{}),
		over:     make(chan struct{}),
		joined:   make(chan struct{}),
		state:    control.StateWaiting,
		taps:     map[chan fmt.Stringer]struct{}{},
	}
	if e.events != nil {
		l.addEvents(e.events)
	}
	go l.heedSignals()
	go l.listener.Serve(l)
	return l
}

// addEvents has the events written to f too.
func (l *live) addEvents(f *os.File) {
	l.logs = append(l.logs, events.NewLog(f, l.name.Session, l.Warn))
}

// finish ends the session for all who take part in it and returns the error
// for our own caller.
func (l *live) finish(err error) error {
	l.mu.Lock()
	l.finished = true
	l.state = control.StateFinished
	partner := l.partner
	l.mu.Unlock()
	l.endGate(guesses.Unknown)
	l.logEnded(err)
	close(l.over)
	if partner != nil {
		partner.tell(err)
	}
	l.listener.Close()
	l.listener.Drain(lastAnswers)
	if l.release != nil {
		l.release()
	}
	l.wipe()
	l.watch.Stop()
	for _, log := range l.logs {
		log.Close()
	}
	return err
}

// wipe overwrites the secrets that the session has used.
func (l *live) wipe() {
	if l.identity != nil {
		l.identity.Wipe()
	}
	if l.options != nil {
		clear(l.options.SMP)
	}
	clear(l.secret)
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.extra != nil {
		clear(l.extra.key)
	}
}

// settle takes the options that both halves were given together.
func (l *live) settle() error {
	var err error
	if l.options, err = l.values.Options(l.secret); err != nil {
		return err
	}
	if l.options.Question != "" && l.options.SMP == nil {
		if l.options.SMP, err = secret.Ask("Secret that answers your question", "--smp-secret-file or --smp-secret-fd"); err != nil {
			return err
		}
	}
	return nil
}

// conversation opens the identity and makes the conversation. The time that
// the user takes for a passphrase is not the peer's.
func (l *live) conversation(passphrase []byte) (*otr.Conversation, error) {
	asked := time.Now()
	id, err := l.open(passphrase)
	if err != nil {
		return nil, err
	}
	l.begun = l.begun.Add(time.Since(asked))
	l.identity = id
	policy, err := l.versionsOf(id)
	if err != nil {
		return nil, err
	}
	l.keeper = trust.NewKeeper(trust.Config{
		Home:    l.home,
		Contact: l.options.Contact,
		Level:   trust.Level(l.options.Trust),
		Expect:  l.options.Expect,
		SMP:     l.options.SMP != nil,
		Speaks4: policy.Has(otr.AllowV4),
		Named:   l.options.Named,
	})
	ed448, forging := id.Ed448, id.Forging
	if !policy.Has(otr.AllowV4) {
		ed448, forging = nil, nil // what is not to be spoken is not to be told either
	} else if contact, _, err := l.home.Contact(l.options.Contact); err != nil && l.options.Contact != "" {
		return nil, exit.Key(err)
	} else if policy.Has(otr.AllowV3) && trust.OnlyVersion3(contact) {
		policy &^= otr.AllowV4
	}
	policy |= otr.RestartAKE
	if l.options.Mode == modeLines {
		policy |= otr.WhitespaceStartAKE | otr.ErrorStartAKE
	}
	// Another live session of the identity may have its tag already. A peer of
	// both has to tell them apart, and so have they if they are each other's.
	var held bool
	tag := id.InstanceTag
	if l.release, held = control.Hold(l.dir, "instance", l.name.Home, l.name.Identity); !held {
		if tag, err = keyfile.NewInstanceTag(rand.Reader); err != nil {
			return nil, err
		}
	}
	cfg := otr.Config{
		DSA:         id.DSA,
		Ed448:       ed448,
		Forging:     forging,
		Account:     l.options.Account,
		PeerAccount: l.options.PeerAccount,
		InstanceTag: tag,
		Policy:      policy,
		Rand:        rand.Reader,
		Now:         time.Now,
		MaxSize:     l.options.MaxSize,
		Pad:         l.options.Pad,
		Expire:      l.options.Expire,
	}
	if held {
		cfg.ClientProfile = l.keptProfile(id, cfg)
	}
	return otr.New(cfg)
}

// keptProfile is the client profile that the home keeps for an identity; nil where it
// keeps none.
func (l *live) keptProfile(id *keyfile.Identity, cfg otr.Config) []byte {
	if l.c.IsSet(flagIdentityFile) || l.ephemeral() || cfg.Ed448 == nil {
		return nil
	}
	cfg.Policy |= otr.AllowV4 // a session may come to it later
	versions := "4"
	if cfg.Policy.Has(otr.AllowV3) {
		versions = "34"
	}
	profile, err := l.home.ClientProfile(id, versions, func(kept []byte) ([]byte, error) {
		cfg.ClientProfile = kept
		return otr.ClientProfile(cfg)
	})
	if err != nil {
		l.Warn("the client profile is for this run only: it cannot be kept: %v", exit.Plain(err))
	}
	return profile
}

// versionsOf is the policy for an identity. One of an older program has no key
// of version 4: then the version is left out, unless it was asked for.
func (l *live) versionsOf(id *keyfile.Identity) (otr.Policy, error) {
	policy := l.options.Policy
	if id.Ed448 != nil || !policy.Has(otr.AllowV4) {
		return policy, nil
	}
	policy &^= otr.AllowV4
	if strings.Contains(l.options.Named, "4") || policy&(otr.AllowV2|otr.AllowV3) == 0 {
		return 0, exit.Errorf(exit.KeyFile, "identity %q has no key for OTR version 4", l.name.Identity).
			WithHint("make it: %s", upgradeCommand(l.name.Identity))
	}
	return policy, nil
}

// config is how a stream is run over the conversation.
func (l *live) config(c *otr.Conversation) stream.Config {
	cfg := stream.Config{
		Conversation: c,
		Clock:        clock{},
		Rand:         rand.Reader,
		Verify:       l.verify,
		Admit:        l.admitPeer,
		MoreKeys:     l.options.Contact != "",
		RefuseDowngrade: len(l.options.Expect) > 0 ||
			l.options.Contact != "" && l.options.Trust == string(trust.RequireVerified),
		Event:      l.event,
		Initiate:   true,
		Heartbeat:  l.options.Heartbeat,
		Dead:       l.options.Dead,
		Linger:     l.options.Linger,
		Stay:       l.options.Stay,
		OneSession: l.atTerminal() != nil,
		Raw:        l.options.Raw,
	}
	if l.options.SMP != nil {
		cfg.SMP = &stream.SMPConfig{Secret: l.options.SMP, Question: l.options.Question, Delay: l.beginGate}
	}
	if l.options.Timeout > 0 {
		cfg.Timeout = max(l.options.Timeout-time.Since(l.begun), time.Millisecond)
	}
	return cfg
}

// clock is the machine's clock.
type clock struct{}

func (clock) Now() time.Time { return time.Now() }

func (clock) AfterFunc(d time.Duration, f func()) stream.Timer { return time.AfterFunc(d, f) }

// A payload is where plaintext comes from and goes to.
type payload struct {
	in      io.Reader
	out     io.Writer
	doneOut func() error // nothing more will be written to out
	person  *chat        // unless nil, reads and writes instead
	// application, unless nil, is who reads: if it leaves only that direction
	// ends, not all.
	application *process.Command
}

// run holds the conversation over a transport, and moves the payload that
// open names once the peer has met what was asked of it. It returns when all
// is over.
func (l *live) run(c *otr.Conversation, transport io.ReadWriteCloser, open func() (*payload, error)) error {
	l.setState(control.StateHandshake)
	l.logStarted()
	for _, f := range l.streams() {
		process.Widen(f)
	}
	var lk link
	var move func(*payload) (received <-chan error)
	if l.options.Mode == modeLines {
		lines := stream.OpenLines(transport, l.config(c))
		lk, move = lines, func(p *payload) <-chan error { return l.moveLines(lines, p) }
		l.setLink(lk, func(string) { _ = lines.Close() })
	} else {
		s := stream.Open(transport, l.config(c))
		lk, move = s, func(p *payload) <-chan error { return l.moveBytes(s, p) }
		l.setLink(lk, func(reason string) { _ = s.Abort(reason) })
	}
	if err := lk.Handshake(context.Background()); err != nil {
		_ = lk.Wait() // for the last words
		return l.outcome(err, nil)
	}
	p, err := open()
	if err != nil {
		l.stop(err, "the application cannot be run")
		_ = lk.Wait()
		return l.outcome(err, nil)
	}
	progress := l.showProgress(lk)
	received := move(p)
	err = lk.Wait()
	progress()
	return l.outcome(err, received)
}

// outcome is what a stream's end comes to, once the plaintext that arrived
// before it has been written.
func (l *live) outcome(err error, received <-chan error) error {
	l.setState(control.StateFinished)
	if received != nil {
		if lost := l.written(received); err == nil {
			err = lost
		}
	}
	l.mu.Lock()
	cause := l.cause
	l.mu.Unlock()
	switch {
	case cause == errEndedHere && err == nil:
		return nil // all that was written has been sent
	case cause == errQuit && (err == nil || errors.Is(err, stream.ErrClosed)):
		return nil
	case cause == errQuit:
		return l.explain(err)
	case cause != nil:
		return cause
	}
	return l.explain(err)
}

// written waits until the plaintext that arrived has been written, and returns
// the error of that. What we are told to leave unwritten is lost too.
func (l *live) written(received <-chan error) error {
	select {
	case lost := <-received:
		return lost
	case <-l.stopped:
	}
	select {
	case lost := <-received:
		return lost
	case <-time.After(lastBytes):
		l.mu.Lock()
		defer l.mu.Unlock()
		return l.cause
	}
}

// streams are the standard streams of both halves.
func (l *live) streams() []*os.File {
	all := []*os.File{l.In, l.Out}
	if l.partner != nil {
		all = append(all, l.partner.in, l.partner.out)
	}
	return all
}

// setLink says that the conversation runs. Who has told us to leave before is
// heard.
func (l *live) setLink(lk link, abort func(reason string)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.link, l.abort = lk, abort
	if l.cause != nil {
		go abort("interrupted")
	}
}

// stop ends the session for a reason of our own; the first one counts. The
// peer is told reason.
func (l *live) stop(cause error, reason string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.cause != nil || l.finished {
		return
	}
	l.cause = cause
	close(l.stopped)
	if l.abort != nil {
		go l.abort(reason)
	}
}

// heedSignals ends the session at the first signal, and the process at the
// second.
func (l *live) heedSignals() {
	for {
		select {
		case s := <-l.watch.Signals:
			l.signalled(s.(syscall.Signal))
		case <-l.over:
			return
		}
	}
}

func (l *live) signalled(s syscall.Signal) {
	l.mu.Lock()
	leaving, command := l.cause != nil || l.finished, l.child
	l.mu.Unlock()
	if !leaving {
		l.stop(exit.Silently(128+int(s)), "interrupted")
		return
	}
	if command != nil {
		command.Signal(syscall.SIGKILL)
	}
	l.listener.Close()
	if person := l.atTerminal(); person != nil {
		person.console.Close() // or the terminal would stay as it is
	}
	os.Exit(128 + int(s))
}

func (l *live) setState(s control.State) {
	l.mu.Lock()
	l.state = s
	l.mu.Unlock()
}

// atTerminal is the person who holds the session at a terminal, or nil.
func (l *live) atTerminal() *chat {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.person
}

// by says how our user does something: at the chat's own line, or else from
// another shell.
func (l *live) by(line, shell string) string {
	if l.atTerminal() != nil {
		return line
	}
	return shell
}

// toldPerson tells who holds the session at a terminal what another shell does
// to it.
func (l *live) toldPerson(format string, a ...any) {
	if l.atTerminal() != nil {
		l.Note(format, a...)
	}
}
