// Package ends sets up one end of a stream, or a half of one, from its command line: it checks
// that home, identity and contacts can be used, and begins the session.
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

// A Config is an end as a command line describes it.
type Config struct {
	IO       *terminal.IO
	Command  string            // the command's name
	Given    options.Values    // the stream flags
	Session  *string           // the session's name; nil: it is chosen here
	Identity identities.Choice // our identity, unless Given makes it ephemeral
	Secret   *secret.Source    // of SMP
	Shared   []byte            // the SMP secret itself, if the command has it; nil: read it from Secret
	Events   *string           // the file for events; nil: none
}

// An End is one end of a stream, or a half of one, before its session begins.
type End struct {
	cfg    Config
	name   control.Name
	dir    string   // the folder for sockets
	secret []byte   // of SMP; nil: none was given
	events *os.File // nil: none are wanted
	way    live.Way // the way to the other end, unless this is a half
}

// ephemeralIdentity is the name that status shows for an identity that exists only in memory.
const ephemeralIdentity = "ephemeral"

// New makes an end. It reports every error that can be found before the session begins.
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

// Contact returns the contact expected at the other end; "": none was named.
func (e *End) Contact() string { return e.cfg.Given.Contact() }

// locate finds home, identity and contacts, and fails if they cannot be used.
func (e *End) locate() error {
	if e.cfg.Given.Ephemeral() {
		e.name.Identity = ephemeralIdentity // an ephemeral identity is in no home
		return nil
	}
	choice := e.cfg.Identity
	var err error
	if e.name.Home, err = choice.Home.RealPath(); err != nil {
		return err
	}
	if choice.File != nil {
		// The file is opened later, when its passphrase is known, and only once.
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

// setup returns everything that the session needs to run. other is the passphrase given to the
// other half, if any.
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

// open opens the identity. other is the passphrase given to the other half, if any. It does not
// prompt for one after stop is closed. No passphrase is kept afterwards.
func (e *End) open(stop <-chan struct{}, other []byte) (*keyfile.Identity, error) {
	defer e.cfg.Identity.Passphrase.Wipe()
	defer clear(other)
	if e.cfg.Given.Ephemeral() {
		id, err := keyfile.Ephemeral(rand.Reader)
		return id, exit.Key(err)
	}
	return e.cfg.Identity.OpenWith(stop, func() ([]byte, error) {
		if passphrase, err := e.passphrase(); passphrase != nil || err != nil {
			return passphrase, err
		}
		return other, nil
	}, func(prompt string) ([]byte, error) {
		return secret.AskUntil(stop, prompt, identities.InsteadOfAsking)
	})
}

// passphrase returns the passphrase given to this end; nil: none.
func (e *End) passphrase() ([]byte, error) {
	return e.cfg.Identity.Passphrase.Given()
}
