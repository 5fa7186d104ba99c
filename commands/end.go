package commands

import (
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"path/filepath"

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

// newWhole reads the flags of an end that is one process, and returns COMMAND.
// Flags that were not given have the command's defaults.
func newWhole(c *cli.Context, defaults options.Values) (*end, []string, error) {
	command := c.Args().Slice()
	if len(command) == 0 {
		return nil, nil, exit.Errorf(exit.Usage, "%s needs a COMMAND", c.Command.HelpName).
			WithHint("%s [flags] -- COMMAND...", c.Command.HelpName)
	}
	e, err := newEnd(c)
	if err != nil {
		return nil, nil, err
	}
	for name, value := range defaults {
		if !c.IsSet(name) { // a switch may have been given as off
			e.given[name] = value
		}
	}
	if _, err := e.given.Options(e.secret); err != nil {
		return nil, nil, err
	}
	return e, command, process.Find(command)
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
