package identities

import (
	"errors"
	"fmt"

	"otrpipe/commands/internal/exit"
	"otrpipe/commands/internal/secret"
	"otrpipe/commands/internal/terminal"
	"otrpipe/keyfile"
)

const (
	// EnvPassphrase is the environment variable that may hold a passphrase if no flag names a
	// source.
	EnvPassphrase = "OTRPIPE_PASSPHRASE"
	// EnvNewPassphrase is the same for the new passphrase when it is changed.
	EnvNewPassphrase = "OTRPIPE_NEW_PASSPHRASE"
	// InsteadOfAsking is the hint on how to give a passphrase without a terminal.
	InsteadOfAsking = "--passphrase-file, --passphrase-fd or " + EnvPassphrase
)

// A Passphrase gets the passphrase of an identity from the flags, or else the environment, or
// else the terminal.
type Passphrase struct {
	*secret.Source
	Protect bool // protect a new identity even if no flag names a source of the passphrase
}

// Given gets the passphrase from the flags or the environment; nil: neither has it.
func (p Passphrase) Given() ([]byte, error) {
	passphrase, _, err := p.Read()
	return passphrase, err
}

// attempts is how often the user may try to type a passphrase. Three mistakes are no typing
// errors.
const attempts = 3

// A source is the source of an identity's passphrase: given returns it, or nil if ask has to be
// called for it.
type source struct {
	given func() ([]byte, error)
	ask   keyfile.PassphraseFunc
	stop  <-chan struct{} // once it is closed, nobody is asked again; nil: it never is
}

// source returns a source that tries the flags, then the environment, then the terminal.
func (p Passphrase) source() source {
	return source{given: p.Given, ask: func(prompt string) ([]byte, error) { return secret.Ask(prompt, InsteadOfAsking) }}
}

// open calls do, which opens an identity. If the user mistyped the passphrase, it calls do
// again, or returns terminal.ErrStopped if the user has asked to leave meanwhile.
func (s source) open(p *terminal.IO, do func(keyfile.PassphraseFunc) error) error {
	for attempt := 1; ; attempt++ {
		asked := false
		err := do(func(prompt string) ([]byte, error) {
			if passphrase, err := s.given(); passphrase != nil || err != nil {
				return passphrase, err
			}
			asked = true
			return s.ask(prompt)
		})
		if !asked || attempt == attempts || !errors.Is(err, keyfile.ErrPassphrase) {
			return err
		}
		select {
		case <-s.stop:
			return terminal.ErrStopped
		default:
		}
		p.Report("%v; try again", exit.Plain(err))
	}
}

// protecting gets the first passphrase for the named identity, or nil if it should have none.
// The environment and the terminal count only if protection was asked for.
func (p Passphrase) protecting(name string) ([]byte, error) {
	if !p.FromFlags() && !p.Protect {
		return nil, nil
	}
	passphrase, ok, err := p.Read()
	switch {
	case err != nil:
		return nil, err
	case !ok:
		return secret.AskNew(fmt.Sprintf("passphrase for identity %q", name), InsteadOfAsking)
	case len(passphrase) == 0:
		return nil, exit.Errorf(exit.KeyFile, "the passphrase is empty").
			WithHint("look into the file, descriptor or variable that it is read from")
	}
	return passphrase, nil
}

// changing gets the new passphrase of an open identity.
func (p Passphrase) changing(id *keyfile.Identity, newOne *secret.Source) ([]byte, error) {
	passphrase, ok, err := newOne.Read()
	if ok || err != nil {
		return passphrase, err
	}
	if !id.Protected {
		// The identity was opened without a passphrase, so the given one must be the new one.
		if passphrase, ok, err = p.Read(); ok || err != nil {
			return passphrase, err
		}
	}
	return secret.AskNew(fmt.Sprintf("new passphrase for identity %q", id.Name),
		"--new-passphrase-file, --new-passphrase-fd or "+EnvNewPassphrase)
}
