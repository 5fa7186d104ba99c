package live

import (
	"context"
	"crypto/rand"
	"errors"
	"io"
	"os"
	"strconv"
	"time"

	"otrpipe/commands/internal/control"
	"otrpipe/commands/internal/exit"
	"otrpipe/commands/internal/options"
	"otrpipe/commands/internal/process"
	"otrpipe/commands/internal/terminal"
	"otrpipe/commands/internal/trust"
	"otrpipe/keyfile"
	"otrpipe/otr"
	"otrpipe/otr/stream"
	"otrpipe/otr/wire"
)

// lastBytes is how long to keep trying to write received plaintext when we are told to leave and
// its reader does not read.
const lastBytes = time.Second

const (
	// queryText is part of the query, for a friend whose program does not speak OTR and shows
	// the query.
	queryText = "This asks your program for a private conversation by OTR (Off-the-Record). " +
		"If you can read it, your program does not speak OTR, or has it turned off."
	// mostQueries is the number of times to show it to such a friend.
	mostQueries = 3
)

var (
	// ErrEndedHere is the cause of a session that our user has ended.
	ErrEndedHere error = exit.Errorf(exit.Broken, "the session was ended with otrpipe end")
	// ErrQuit is the cause of a session that its user leaves. The only thing left to report then
	// is why the last words could not be sent.
	ErrQuit error = exit.Errorf(exit.Broken, "the session was ended")
)

// whyNot returns the reason why a question at the terminal got no answer: the cause if the
// session was stopped meanwhile, or else err.
func (s *Session) whyNot(err error) error {
	if errors.Is(err, terminal.ErrStopped) {
		return s.Cause()
	}
	return err
}

// Prepare opens the identity and makes the conversation. The time that the user takes to type a
// passphrase or a secret does not count against the peer.
func (s *Session) Prepare(setup Setup) (*otr.Conversation, error) {
	if err := s.openAll(setup); err != nil {
		return nil, err
	}
	return s.conversation()
}

// openAll opens what the session needs: the secret, the file of --keylog, the identity.
func (s *Session) openAll(setup Setup) error {
	s.setup, s.options = setup, setup.Options
	s.publish()
	if s.options.Question != "" && s.options.SMP == nil {
		secret, err := setup.AskSecret(s.stopped)
		if err != nil {
			return s.whyNot(err)
		}
		s.options.SMP = secret
	}
	if path := s.options.KeyLog; path != "" {
		var err error
		if s.keyLog, err = openKeyLog(s.cfg.Home, path); err != nil {
			return err
		}
		s.announceKeyLog()
	}
	asked := time.Now()
	id, err := setup.Open(s.stopped)
	if err != nil {
		return s.whyNot(err)
	}
	s.begun = s.begun.Add(time.Since(asked))
	s.identity = id
	return nil
}

// conversation makes a conversation with a peer about whom nothing is known yet.
func (s *Session) conversation() (*otr.Conversation, error) {
	id := s.identity
	policy, err := s.policyOf(id)
	if err != nil {
		return nil, err
	}
	s.keeper = s.newKeeper(policy)
	contact, _, err := s.cfg.Home.Contact(s.options.Contact)
	if err != nil && s.options.Contact != "" {
		return nil, exit.Key(err)
	}
	ed448, forging := id.Ed448, id.Forging
	if !policy.Has(otr.AllowV4) {
		ed448, forging = nil, nil // do not announce keys of a version that must not be used
	}
	policy = s.policyFor(contact, policy)
	peer := s.firstClient(contact, policy)
	tag, client, err := s.takeInstanceTag(id, s.options.Mode == options.ModeLines && peer.Version == 0)
	if err != nil {
		return nil, err
	}
	cfg := otr.Config{
		DSA:         id.DSA,
		Ed448:       ed448,
		Forging:     forging,
		Account:     s.options.Account,
		PeerAccount: s.options.PeerAccount,
		InstanceTag: tag,
		Peer:        peer,
		Policy:      policy,
		Rand:        rand.Reader,
		Now:         time.Now,
		MaxSize:     s.options.MaxSize,
		Pad:         s.options.Pad,
		Expire:      s.options.Expire,
		LogKeys:     s.keyLog != nil,
	}
	if s.options.Mode == options.ModeLines {
		cfg.QueryText = queryText
	}
	if client != 0 {
		cfg.ClientProfile = s.keptProfile(id, client, cfg)
	}
	return otr.New(cfg)
}

// newKeeper returns a Keeper for a connection.
func (s *Session) newKeeper(policy otr.Policy) *trust.Keeper {
	if s.bound != nil {
		return s.bound.Again()
	}
	return trust.NewKeeper(trust.Config{
		Home:    s.cfg.Home,
		Contact: s.options.Contact,
		Level:   trust.Level(s.options.Trust),
		Expect:  s.options.Expect,
		SMP:     s.options.SMP != nil,
		Live:    true,
		Speaks4: policy.Has(otr.AllowV4),
		Named:   s.options.Named,
	})
}

// comparesFirst reports whether SMP must succeed before anything moves over the present
// connection. A key that has passed over an earlier connection need not pass again, and the
// secret has been wiped.
func (s *Session) comparesFirst() bool { return s.options.SMP != nil && s.bound == nil }

// firstClient returns the client with which a session begins by a key exchange instead of a
// query. A client of version 3 or older may react to a query within a session that it still has
// by sending the next texts in clear. Other otrpipes and clients in version 4 never do that, and
// a query finds them whatever their instance is.
func (s *Session) firstClient(contact keyfile.Contact, policy otr.Policy) otr.Peer {
	peer := trust.LastClient(contact, policy.Allows)
	if s.options.Mode != options.ModeLines || peer.Version >= 4 {
		return otr.Peer{}
	}
	// Any instance may answer, because after a crash it has a new tag.
	return otr.Peer{Version: peer.Version}
}

// keptProfile returns the client profile that the home keeps for a client of an identity; nil if
// it keeps none.
func (s *Session) keptProfile(id *keyfile.Identity, client int, cfg otr.Config) []byte {
	if !s.setup.AtHome || cfg.Ed448 == nil {
		return nil
	}
	cfg.Policy |= otr.AllowV4 // a session may use version 4 later
	versions := wire.MakeVersions(4)
	if cfg.Policy.Has(otr.AllowV3) {
		versions = wire.MakeVersions(3, 4)
	}
	profile, err := s.cfg.Home.ClientProfile(id, client, versions, func(kept []byte) ([]byte, error) {
		cfg.ClientProfile = kept
		return otr.ClientProfile(cfg)
	})
	if err != nil {
		s.Warn("the client profile is for this run only: it cannot be kept: %v", exit.Plain(err))
	}
	return profile
}

// takeInstanceTag returns the instance tag of the identity's first client that no other live
// session uses, because a peer of two sessions must be able to tell them apart, and so must two
// sessions with each other. It skips a client that left without ending its session: a query
// makes some peers' clients put a session that is still alive with that tag to plaintext. If no
// stored client is free, the tag is new and client is 0. A session with several callers keeps
// its client.
//
// With fresh, the tag is new too. That is for sessions that begin with a query to an unknown
// client: even if the last session ended properly, and the friend's client knows that and sends
// nothing, a query and a key exchange with the same tag make some clients send the friend's next
// texts in clear.
func (s *Session) takeInstanceTag(id *keyfile.Identity, fresh bool) (tag uint32, client int, err error) {
	if s.tag == nil && !fresh {
		s.tag, s.client = s.freeClient()
	}
	if s.tag != nil {
		if tag, err = s.cfg.Home.ClientTag(id, s.client, rand.Reader); err == nil {
			return tag, s.client, nil
		}
		s.Warn("the instance tag is for this run only: it cannot be kept: %v", exit.Plain(err))
	}
	tag, err = keyfile.NewInstanceTag(rand.Reader)
	return tag, 0, err
}

// freeClient reserves a client of the identity; nil: none is free.
func (s *Session) freeClient() (*control.Held, int) {
	clients := 1
	if s.setup.AtHome {
		clients = keyfile.MaxClients
	}
	for client := 1; client <= clients; client++ {
		what := []string{"instance", s.cfg.Name.Home, s.cfg.Name.Identity}
		if client > 1 {
			what = append(what, strconv.Itoa(client))
		}
		held, ok := control.Hold(s.cfg.Dir, what...)
		switch {
		case ok && !held.Left():
			return held, client
		case ok:
			held.Leave()
		}
	}
	return nil, 0
}

// giveTagBack releases the client's instance tag for the next run. If a session with it may live
// on at the peer, the tag is never used again.
func (s *Session) giveTagBack(err error) {
	var e *exit.Error
	switch {
	case s.tag == nil:
	case s.mayLiveOn || s.peer != nil && errors.As(err, &e) && e.Code == exit.Broken:
		s.tag.Leave()
	default:
		s.tag.Release()
	}
}

// meetsAnyClient reports whether a person at this terminal talks with somebody whose client is
// unknown and may speak version 2 only, as some still do. If the peer is checked before anything
// is said, version 2 is not offered, so that nobody can force it by altering a query.
func (s *Session) meetsAnyClient(contact keyfile.Contact) bool {
	return s.cfg.AtTerminal && s.options.Named == 0 && len(contact.Keys) == 0 &&
		len(s.options.Expect) == 0 && s.options.SMP == nil && s.options.Trust == options.TrustNew
}

// policyOf returns the policy for an identity. If an identity of an older program has no version
// 4 key, the policy leaves that version out unless the user asked for it.
func (s *Session) policyOf(id *keyfile.Identity) (otr.Policy, error) {
	policy := s.options.Policy
	if id.Ed448 != nil || !policy.Has(otr.AllowV4) {
		return policy, nil
	}
	policy &^= otr.AllowV4
	if s.options.Named.Has(4) || policy&(otr.AllowV2|otr.AllowV3) == 0 {
		return 0, exit.Errorf(exit.KeyFile, "identity %q has no key for OTR version 4", s.cfg.Name.Identity).
			WithHint("make it: %s", s.setup.UpgradeHint)
	}
	return policy, nil
}

// policyFor returns the policy of an identity, adapted to a contact and to the mode.
func (s *Session) policyFor(contact keyfile.Contact, policy otr.Policy) otr.Policy {
	if policy.Has(otr.AllowV4|otr.AllowV3) && trust.OnlyVersion3(contact) {
		policy &^= otr.AllowV4
	}
	if s.meetsAnyClient(contact) {
		policy |= otr.AllowV2
	}
	policy |= otr.RestartAKE
	if s.options.Mode == options.ModeLines {
		policy |= otr.WhitespaceStartAKE | otr.ErrorStartAKE
	}
	return policy
}

// streamConfig returns the configuration of a stream over the conversation.
func (s *Session) streamConfig(c *otr.Conversation) stream.Config {
	cfg := stream.Config{
		Conversation: c,
		Clock:        clock{},
		Rand:         rand.Reader,
		Admit:        s.admit,
		Told:         s.keepTold,
		MoreKeys:     s.options.Contact != "",
		RefuseDowngrade: len(s.options.Expect) > 0 || s.options.SMP != nil ||
			s.options.Contact != "" && s.options.Trust == string(trust.RequireVerified),
		Event:      s.event,
		Initiate:   true,
		Heartbeat:  s.options.Heartbeat,
		Dead:       s.options.Dead,
		Linger:     s.options.Linger,
		Drain:      s.drainTime(),
		Stay:       s.options.Stay,
		OneSession: s.cfg.AtTerminal,
		Raw:        s.options.Raw,
	}
	cfg.Verify = func(met otr.Session) error {
		s.ourKey, s.ourKeyRefused = c.Fingerprint(met.Version), false
		return s.verify(met)
	}
	if s.options.Mode == options.ModeLines {
		cfg.Queries = mostQueries
	}
	if s.keyLog != nil {
		cfg.Keys = s.logKeys
	}
	if s.comparesFirst() {
		cfg.SMP = &stream.SMPConfig{Secret: s.options.SMP, Question: s.options.Question, Delay: s.beginGate}
	}
	cfg.Timeout, cfg.Wait = s.options.Timeout, s.waitTime()
	if cfg.Wait != stream.Forever {
		cfg.Wait -= time.Since(s.begun)
	}
	return cfg
}

// clock reads the machine's clock.
type clock struct{}

func (clock) Now() time.Time { return time.Now() }

func (clock) AfterFunc(d time.Duration, f func()) stream.Timer { return time.AfterFunc(d, f) }

// Run runs the conversation over a transport. Once the peer has passed every check, it moves the
// payload that open returns. It returns when everything has ended.
func (s *Session) Run(c *otr.Conversation, transport io.ReadWriteCloser, open func() (*Payload, error)) error {
	s.state, s.carried = control.StateHandshake, true
	s.step.Store(timeOn(time.Now()))
	s.publish()
	s.logStarted()
	for _, f := range s.setup.Streams {
		process.Widen(f)
	}
	move := s.start(c, transport)
	link := s.connected.Load().link
	noticed := s.noticeWait()
	defer noticed()
	if err := link.Handshake(context.Background()); err != nil {
		_ = link.Wait() // to deliver the last words
		return s.outcome(err, nil)
	}
	p, err := open()
	if err != nil {
		s.Stop(err, "the application cannot be run")
		_ = link.Wait()
		return s.outcome(err, nil)
	}
	moving := time.Now()
	endProgress := s.showProgress()
	received := move(p)
	err = link.Wait()
	endProgress()
	err = s.outcome(err, received)
	if err == nil {
		s.tellMoved(moving)
	}
	return err
}

// start starts the stream, which owns the session from then on, and returns the function that
// moves a payload through it. An earlier request to stop takes effect now.
func (s *Session) start(c *otr.Conversation, transport io.ReadWriteCloser) (move func(*Payload) (received <-chan error)) {
	var abort func(string)
	cfg := s.streamConfig(c)
	if s.options.Mode == options.ModeLines {
		lines := stream.OpenLines(transport, cfg)
		s.connected.Store(&connection{lines, lines})
		abort = func(string) { s.leaveLines(lines) }
		move = func(p *Payload) <-chan error { return s.moveLines(lines, p) }
	} else {
		bytes := stream.Open(transport, cfg)
		s.connected.Store(&connection{link: bytes})
		abort = func(reason string) { _ = bytes.Abort(reason) }
		move = func(p *Payload) <-chan error { return s.moveBytes(bytes, p) }
	}
	if !s.isRunning() {
		close(s.running)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.abort = abort
	if s.cause != nil {
		go abort("interrupted")
	}
	return move
}

// outcome returns the outcome of a stream's end, after the plaintext received before it has been
// written.
func (s *Session) outcome(err error, received <-chan error) error {
	s.state, s.carried, s.ending = control.StateFinished, false, err
	s.publish()
	if received != nil {
		if lost := s.written(received); err == nil {
			err = lost
		}
	}
	cause := s.Cause()
	switch {
	case cause == ErrEndedHere && err == nil:
		return nil // everything that was written has been sent
	case cause == ErrQuit && (err == nil || errors.Is(err, stream.ErrClosed)):
		return nil
	case cause == ErrQuit:
		return s.explain(err)
	case cause != nil:
		return cause
	}
	return s.explain(err)
}

// written waits until all received plaintext has been written, and returns the error of that.
// Being told to leave before that counts as an error.
func (s *Session) written(received <-chan error) error {
	select {
	case lost := <-received:
		return lost
	case <-s.stopped:
	}
	select {
	case lost := <-received:
		return lost
	case <-time.After(lastBytes):
		return s.Cause()
	}
}

// Serve runs the session over a transport for COMMAND, an application, which it starts when the
// peer has passed every check.
func (s *Session) Serve(command []string, c *otr.Conversation, transport io.ReadWriteCloser) error {
	var application *process.Command
	err := s.Run(c, transport, func() (p *Payload, err error) {
		if application, err = s.Start(command, s.Messages.File()); err != nil {
			return nil, err
		}
		return &Payload{
			In: application.Output(), Out: application.In, DoneOut: application.CloseIn, Application: application,
		}, nil
	})
	if application == nil {
		return err
	}
	application.Leave(process.Patience)
	if err != nil {
		return err
	}
	return application.Result()
}

// Start starts COMMAND as part of the session.
func (s *Session) Start(command []string, stderr *os.File) (*process.Command, error) {
	c, err := process.Start(command, stderr)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	s.child = c
	s.mu.Unlock()
	return c, nil
}

// Standard returns the payload of standard input and output, or of those that the other half has
// handed over.
func (s *Session) Standard(in, out *os.File) *Payload {
	return &Payload{In: terminal.NewReader(in), Out: s.Messages.Output(out), DoneOut: out.Close}
}
