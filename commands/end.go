package commands

import (
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"github.com/urfave/cli/v2"

	"otrpipe/commands/internal/control"
	"otrpipe/commands/internal/events"
	"otrpipe/commands/internal/exit"
	"otrpipe/commands/internal/halves"
	"otrpipe/commands/internal/live"
	"otrpipe/commands/internal/options"
	"otrpipe/commands/internal/process"
	"otrpipe/commands/internal/secret"
	"otrpipe/commands/internal/terminal"
	"otrpipe/commands/internal/transport"
	"otrpipe/keyfile"
)

// An end is one end of a stream, or a half of one, as a command line describes
// it.
type end struct {
	*terminal.IO
	c       *cli.Context
	command string // the command's name
	given   options.Values
	secret  []byte // of SMP; nil: none was given
	pass    passphraseSource
	home    *keyfile.Home
	dir     string // where sessions meet
	name    control.Name
	named   bool     // with -s
	events  *os.File // nil: none are wanted
	way     live.Way // to the other end; of an end that is one process
}

// newEnd reads the flags of a stream command. What can be refused before
// anything has begun is refused here.
func newEnd(c *cli.Context) (*end, error) {
	e := &end{IO: ioOf(c), c: c, command: c.Command.Name}
	var err error
	if e.given, err = options.Read(c); err != nil {
		return nil, err
	}
	if err := e.given.Check(); err != nil {
		return nil, err
	}
	if e.name.Session, err = sessionName(c); err != nil {
		return nil, err
	}
	e.named = c.IsSet(flagSession)
	e.pass = passphraseOf(c)
	if err := e.locate(); err != nil {
		return nil, err
	}
	if e.dir, err = control.Dir(); err != nil {
		return nil, exit.Failed(err)
	}
	var ok bool
	if e.secret, ok, err = secretSource(c, flagSMPSecret).Read(); err != nil {
		return nil, err
	} else if ok && len(e.secret) == 0 {
		return nil, exit.Errorf(exit.KeyFile, "the secret of SMP is empty")
	}
	if c.IsSet(flagEvents) {
		if e.events, err = events.Open(c.String(flagEvents)); err != nil {
			return nil, err
		}
	}
	return e, nil
}

// locate finds home, identity and contacts, and fails early if they cannot be
// used.
func (e *end) locate() error {
	e.home = openHome(e.c)
	if e.ephemeral() {
		// Its name is in no home: it has none.
		e.name.Identity = ephemeralIdentity
		return e.checkEphemeral()
	}
	var err error
	if e.name.Home, err = e.home.RealPath(); err != nil {
		return err
	}
	if e.c.IsSet(flagIdentityFile) {
		// It is opened only once, when its passphrase is known.
		file := e.c.String(flagIdentityFile)
		if _, err := os.Stat(file); err != nil {
			return exit.Key(err)
		}
		e.name.Identity, err = filepath.Abs(file)
		return err
	}
	if e.name.Identity, err = identityName(e.c); err != nil {
		return err
	}
	if _, err = publicIdentity(e.c); err != nil {
		return err
	}
	_, err = e.home.Contacts()
	return exit.Key(err)
}

// ephemeralIdentity is what status calls an identity that lives in memory.
const ephemeralIdentity = "ephemeral"

// ephemeral says that the identity is made for this run and kept nowhere.
func (e *end) ephemeral() bool { return e.c.Bool(options.EphemeralFlag) }

// checkEphemeral refuses what says whose keys to use, or who should know them again.
func (e *end) checkEphemeral() error {
	for _, flag := range []string{
		options.ContactFlag, flagIdentity, flagIdentityFile, flagPassphrase + "-file", flagPassphrase + "-fd",
	} {
		if e.c.IsSet(flag) {
			return exit.Errorf(exit.Usage, "--%s and --%s contradict each other", options.EphemeralFlag, flag).
				WithHint("an ephemeral identity is known by a shared secret: --smp-secret-file")
		}
	}
	return nil
}

// open opens the identity. other is the passphrase that the other half was
// given, if any. When stop is closed it no longer asks for one. Afterwards no passphrase is
// kept.
func (e *end) open(stop <-chan struct{}, other []byte) (*keyfile.Identity, error) {
	defer e.pass.Wipe()
	defer clear(other)
	if e.ephemeral() {
		id, err := keyfile.Ephemeral(rand.Reader)
		return id, exit.Key(err)
	}
	return openIdentityWith(e.c, func(prompt string) ([]byte, error) {
		if passphrase, err := e.passphrase(); passphrase != nil || err != nil {
			return passphrase, err
		}
		if other != nil {
			return other, nil
		}
		return secret.AskUntil(stop, prompt, insteadOfAsking)
	})
}

// passphrase is what we were given; nil: nothing.
func (e *end) passphrase() ([]byte, error) {
	passphrase, _, err := e.pass.Read()
	return passphrase, err
}

// listen listens under the name that -s names, or under one that nobody has.
func (e *end) listen() (*control.Listener, error) {
	if e.named {
		listener, err := control.Listen(e.dir, e.name)
		if errors.Is(err, control.ErrTaken) {
			return nil, e.name.Taken()
		}
		return listener, exit.Failed(err)
	}
	for n := 1; ; n++ {
		e.name.Session = e.command
		if n > 1 {
			e.name.Session = fmt.Sprintf("%s-%d", e.command, n)
		}
		listener, err := control.Listen(e.dir, e.name)
		if !errors.Is(err, control.ErrTaken) {
			return listener, exit.Failed(err)
		}
	}
}

// newWhole reads the flags of an end that is one process. Flags that were not given have
// the command's defaults.
func newWhole(c *cli.Context, defaults options.Values) (*end, error) {
	if err := checkWay(c); err != nil {
		return nil, err
	}
	e, err := newEnd(c)
	if err != nil {
		return nil, err
	}
	for name, value := range defaults {
		if !c.IsSet(name) { // a switch may have been given as off
			e.given[name] = value
		}
	}
	o, err := e.given.Options(e.secret)
	if err != nil {
		return nil, err
	}
	return e, e.findWay(o)
}

// checkWay refuses a command line that does not name exactly one way to the other end.
func checkWay(c *cli.Context) error {
	command := c.Args().Present()
	switch hasTCP := slices.ContainsFunc(c.Command.Flags, func(f cli.Flag) bool { return f.Names()[0] == flagTCP }); {
	case c.IsSet(flagTCP) && c.IsSet(flagListen):
		return exit.Errorf(exit.Usage, "--tcp and --listen contradict each other: one end listens, and the other dials")
	case command && (c.IsSet(flagTCP) || c.IsSet(flagListen)):
		return exit.Errorf(exit.Usage, "a COMMAND cannot be the transport together with --tcp or --listen")
	case command || c.IsSet(flagTCP) || c.IsSet(flagListen):
		return nil
	case hasTCP:
		return exit.Errorf(exit.Usage, "%s needs a transport: --tcp, --listen or a COMMAND", c.Command.HelpName).
			WithHint("%s [flags] --tcp HOST:PORT, --listen PORT, or -- COMMAND...", c.Command.HelpName)
	}
	return exit.Errorf(exit.Usage, "%s needs a COMMAND", c.Command.HelpName).
		WithHint("%s [flags] -- COMMAND...", c.Command.HelpName)
}

// findWay looks at the way to the other end: COMMAND must be there, and a port free.
func (e *end) findWay(o *options.Options) error {
	e.way = live.Way{Command: e.c.Args().Slice(), Dial: o.TCP}
	if o.Listen != "" {
		var err error
		e.way.Listener, err = transport.Listen(o.Listen, e.tellDismissed)
		if err != nil {
			return exit.Errorf(exit.Failure, "--listen %s: %w", o.Listen, exit.Plain(err))
		}
	}
	if len(e.way.Command) > 0 {
		return process.Find(e.way.Command)
	}
	return nil
}

// tellDismissed tells of a caller that does not speak OTR: rarely of many.
func (e *end) tellDismissed(address string, why error, total int) {
	if total&(total-1) == 0 { // 1, 2, 4, 8, …
		e.Note("a caller from %s was turned away: %v; callers turned away so far: %d", address, why, total)
		return
	}
	e.Detail("a caller from %s was turned away: %v", address, why)
}

// over hosts a session over the way to the other end that the user named. Once the peer
// has met every check, open says what moves through the session; over returns when all is
// over. input is the file that the plaintext comes from; nil: none.
func (e *end) over(cfg live.Config, input *os.File, open func(*live.Session) (*live.Payload, error)) error {
	return e.host(cfg, func(s *live.Session, setup live.Setup) error {
		setup.Input = input
		conversation, err := s.Prepare(setup)
		if err != nil {
			return err
		}
		return s.RunOver(e.way, e.Messages.File(), conversation, func() (*live.Payload, error) { return open(s) })
	})
}

// host hosts the session of an end that is one process, and has run run it.
func (e *end) host(cfg live.Config, run func(*live.Session, live.Setup) error) error {
	listener, err := e.listen()
	if err != nil {
		return err
	}
	cfg.IO, cfg.Name, cfg.Dir, cfg.Home, cfg.Listener = e.IO, e.name, e.dir, e.home, listener
	cfg.Events, cfg.Given = e.events, e.given
	s := live.New(cfg)
	go listener.Serve(s)
	o, err := e.given.Options(e.secret)
	if err != nil {
		return s.Finish(err)
	}
	setup := e.setup(o, nil)
	setup.Streams = []*os.File{e.In, e.Out}
	return s.Finish(run(s, setup))
}

// runHalf is encrypt-stream and decrypt-stream.
func runHalf(c *cli.Context, role string) error {
	if err := noArguments(c); err != nil {
		return err
	}
	e, err := newEnd(c)
	if err != nil {
		return err
	}
	if !e.named {
		e.name.Session = options.DefaultSession
	}
	return halves.Run(halves.Config{
		Role: role, IO: e.IO, Name: e.name, Dir: e.dir, Home: e.home, Given: e.given, Secret: e.secret, Events: e.events,
		Passphrase: e.passphrase, Setup: e.setup,
	})
}

// setup is what the session needs to run. other is the passphrase that the other
// half was given, if any.
func (e *end) setup(o *options.Options, other []byte) live.Setup {
	return live.Setup{
		Options: o,
		Open:    func(stop <-chan struct{}) (*keyfile.Identity, error) { return e.open(stop, other) },
		AskSecret: func(stop <-chan struct{}) ([]byte, error) {
			return secret.AskUntil(stop, "Secret that answers your question", "--smp-secret-file or --smp-secret-fd")
		},
		UpgradeHint: upgradeCommand(e.name.Identity),
		AtHome:      !e.c.IsSet(flagIdentityFile) && !e.ephemeral(),
	}
}
