package commands

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/urfave/cli/v2"

	"otrpipe/commands/internal/events"
	"otrpipe/commands/internal/exit"
	"otrpipe/commands/internal/session"
	"otrpipe/commands/internal/terminal"
	"otrpipe/keyfile"
)

// An end is one end of a stream, or a half of one, as a command line describes
// it.
type end struct {
	*terminal.IO
	c         *cli.Context
	command   string // the command's name
	given     flagValues
	secret    []byte // of SMP; nil: none was given
	pass      *passphraseSource
	passRead  bool
	passGiven []byte
	home      *keyfile.Home
	dir       string // where sessions meet
	name      session.Name
	named     bool     // with -s
	events    *os.File // nil: none are wanted
}

// newEnd reads the flags of a stream command. What can be refused before
// anything has begun is refused here.
func newEnd(c *cli.Context) (*end, error) {
	e := &end{IO: ioOf(c), c: c, command: c.Command.Name}
	var err error
	if e.given, err = streamFlagValues(c); err != nil {
		return nil, err
	}
	if err := e.given.check(); err != nil {
		return nil, err
	}
	if e.name.Session, err = sessionName(c); err != nil {
		return nil, err
	}
	e.named = c.IsSet(flagSession)
	if err := checkSecretFlags(c, flagSMPSecret); err != nil {
		return nil, err
	}
	if e.pass, err = passphraseOf(c); err != nil {
		return nil, err
	}
	if err := e.locate(); err != nil {
		return nil, err
	}
	if e.dir, err = session.Dir(); err != nil {
		return nil, plainSession(err)
	}
	var ok bool
	if e.secret, ok, err = secretFromFlags(c, flagSMPSecret, ""); err != nil {
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

// open opens the identity. other is the passphrase that the other half was
// given, if any.
func (e *end) open(other []byte) (*keyfile.Identity, error) {
	return openIdentityWith(e.c, func(prompt string) ([]byte, error) {
		if secret, err := e.passphrase(); secret != nil || err != nil {
			return secret, err
		}
		if other != nil {
			return other, nil
		}
		return askSecret(prompt, insteadOfAsking)
	})
}

// passphrase is what we were given; nil: nothing. It is read once.
func (e *end) passphrase() ([]byte, error) {
	if e.passRead {
		return e.passGiven, nil
	}
	secret, ok, err := e.pass.given()
	if err != nil {
		return nil, err
	}
	if ok && secret == nil {
		secret = []byte{}
	}
	e.passRead, e.passGiven = true, secret
	return secret, nil
}

// takeFreeSeat takes the seat that -s names, or one whose name nobody has.
func (e *end) takeFreeSeat() (*session.Seat, error) {
	if e.named {
		seat, err := session.Take(e.dir, e.name)
		if errors.Is(err, session.ErrTaken) {
			return nil, e.taken()
		}
		return seat, plainSession(err)
	}
	for n := 1; ; n++ {
		e.name.Session = e.command
		if n > 1 {
			e.name.Session = fmt.Sprintf("%s-%d", e.command, n)
		}
		seat, err := session.Take(e.dir, e.name)
		if !errors.Is(err, session.ErrTaken) {
			return seat, plainSession(err)
		}
	}
}

// taken is the error of who comes too late for a session's name.
func (e *end) taken() *exit.Error {
	return exit.Errorf(exit.Session, "session %q is taken: another end is live under that name", e.name.Session).
		WithHint("give this end a name of its own, to both its halves: -s NAME")
}

// plainSession is an error of package session for the user.
func plainSession(err error) error {
	if err == nil {
		return nil
	}
	return exit.Errorf(exit.Failure, "%w", exit.Plain(err))
}
