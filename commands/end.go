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
	"otrpipe/commands/internal/options"
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
	if e.name.Home, err = realHome(e.home.Dir()); err != nil {
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
// given, if any.
func (e *end) open(other []byte) (*keyfile.Identity, error) {
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
		return secret.Ask(prompt, insteadOfAsking)
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
			return nil, e.taken()
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

// taken is the error of who comes too late for a session's name.
func (e *end) taken() *exit.Error {
	return exit.Errorf(exit.Session, "session %q is taken: another end is live under that name", e.name.Session).
		WithHint("give this end a name of its own, to both its halves: -s NAME")
}
