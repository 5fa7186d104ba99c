// Package ends is one end of a stream, or a half of one, as its command line describes it: it
// checks that home, identity and contacts can be used, and begins the session.
package ends

import (
	"crypto/rand"
	"os"
	"path/filepath"

	"otrpipe/commands/internal/control"
	"otrpipe/commands/internal/events"
	"otrpipe/commands/internal/exit"
	"otrpipe/commands/internal/identities"
	"otrpipe/commands/internal/live"
	"otrpipe/commands/internal/options"
	"otrpipe/commands/internal/secret"
	"otrpipe/commands/internal/terminal"
	"otrpipe/keyfile"
)

// A Config is what a command line says of an end.
type Config struct {
	IO       *terminal.IO
	Command  string            // the command's name
	Given    options.Values    // the stream flags
	Session  *string           // the session's name; nil: it is chosen here
	Identity identities.Choice // of whom the end is, unless Given makes it ephemeral
	Secret   *secret.Source    // of SMP
	Shared   []byte            // the secret of SMP itself, where the command has it; nil: Secret says
	Events   *string           // where the events are written; nil: nowhere
}

// An End is one end of a stream, or a half of one, before its session begins.
type End struct {
	cfg    Config
	name   control.Name
	dir    string   // where sessions meet
	secret []byte   // of SMP; nil: none was given
	events *os.File // nil: none are wanted
	way    live.Way // to the other end; of an end that is one process
}

// ephemeralIdentity is what status calls an identity that lives in memory.
const ephemeralIdentity = "ephemeral"

// New makes an end. What can be refused before anything has begun is refused here.
func New(cfg Config) (*End, error) {
	e := &End{cfg: cfg}
	if cfg.Session != nil {
		e.name.Session = *cfg.Session
	}
	if err := e.locate(); err != nil {
		return nil, err
	}
	var err error
	if e.dir, err = control.Dir(); err != nil {
		return nil, exit.Failed(err)
	}
	var ok bool
	if cfg.Shared != nil {
		e.secret = cfg.Shared
	} else if e.secret, ok, err = cfg.Secret.Read(); err != nil {
		return nil, err
	} else if ok && len(e.secret) == 0 {
		return nil, exit.Errorf(exit.KeyFile, "the secret of SMP is empty").
			WithHint("look into the file or descriptor that it is read from")
	}
	if cfg.Given.KeepsToVersion3() {
		cfg.IO.Note("--expect names an OTRv3 key only: the session keeps to version 3, the weaker one")
	}
	if cfg.Events != nil {
		if e.events, err = events.Open(*cfg.Events); err != nil {
			return nil, err
		}
	}
	return e, nil
}

// Contact is the contact that should be at the other end; "": none was named.
func (e *End) Contact() string { return e.cfg.Given.Contact() }

// locate finds home, identity and contacts, and fails if they cannot be used.
func (e *End) locate() error {
	if e.cfg.Given.Ephemeral() {
		e.name.Identity = ephemeralIdentity // which is in no home
		return nil
	}
	choice := e.cfg.Identity
	var err error
	if e.name.Home, err = choice.Home.RealPath(); err != nil {
		return err
	}
	if choice.File != nil {
		// The file is opened only once, when its passphrase is known.
		if _, err := os.Stat(*choice.File); err != nil {
			return exit.Key(err)
		}
		e.name.Identity, err = filepath.Abs(*choice.File)
		return err
	}
	if e.name.Identity, err = choice.Name(); err != nil {
		return err
	}
	if _, err = choice.Public(); err != nil {
		return err
	}
	_, err = choice.Home.Contacts()
	return exit.Key(err)
}

// setup is what the session needs to run. other is the passphrase that the other half was
// given, if any.
func (e *End) setup(o *options.Options, other []byte) live.Setup {
	return live.Setup{
		Options: o,
		Open:    func(stop <-chan struct{}) (*keyfile.Identity, error) { return e.open(stop, other) },
		AskSecret: func(stop <-chan struct{}) ([]byte, error) {
			return secret.AskUntil(stop, "Secret that answers your question", "--smp-secret-file or --smp-secret-fd")
		},
		UpgradeHint: identities.UpgradeCommand(e.name.Identity),
		AtHome:      e.cfg.Identity.File == nil && !e.cfg.Given.Ephemeral(),
	}
}

// open opens the identity. other is the passphrase that the other half was given, if any.
// Once stop is closed it no longer asks for one. Afterwards no passphrase is kept.
func (e *End) open(stop <-chan struct{}, other []byte) (*keyfile.Identity, error) {
	defer e.cfg.Identity.Passphrase.Wipe()
	defer clear(other)
	if e.cfg.Given.Ephemeral() {
		id, err := keyfile.Ephemeral(rand.Reader)
		return id, exit.Key(err)
	}
	return e.cfg.Identity.OpenWith(func() ([]byte, error) {
		if passphrase, err := e.passphrase(); passphrase != nil || err != nil {
			return passphrase, err
		}
		return other, nil
	}, func(prompt string) ([]byte, error) {
		return secret.AskUntil(stop, prompt, identities.InsteadOfAsking)
	})
}

// passphrase is the one that this end was given; nil: none.
func (e *End) passphrase() ([]byte, error) {
	return e.cfg.Identity.Passphrase.Given()
}
