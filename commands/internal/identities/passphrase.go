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
	// EnvPassphrase is where a passphrase may come from when no flag says where.
	EnvPassphrase = "OTRPIPE_PASSPHRASE"
	// EnvNewPassphrase is its companion for a change of the passphrase.
	EnvNewPassphrase = "OTRPIPE_NEW_PASSPHRASE"
	// InsteadOfAsking is how a passphrase is given where there is no terminal to ask on.
	InsteadOfAsking = "--passphrase-file, --passphrase-fd or " + EnvPassphrase
)

// A Passphrase gets the passphrase of an identity: from the flags, else the environment, else
// the terminal.
type Passphrase struct {
	*secret.Source
	Protect bool // a new identity is protected even if no flag says where the passphrase is
}

// Given gets the passphrase from the flags or the environment; nil: it is not there.
func (p Passphrase) Given() ([]byte, error) {
	passphrase, _, err := p.Read()
	return passphrase, err
}

// attempts is how often a passphrase may be typed to open an identity: after three mistakes
// it was not a slip of the finger.
const attempts = 3

// A source says where the passphrase of an identity comes from: given returns it, or nil where
// it has to be asked for with ask.
type source struct {
	given func() ([]byte, error)
	ask   keyfile.PassphraseFunc
}

// source is the flags, else the environment, else the terminal.
func (p Passphrase) source() source {
	return source{p.Given, func(prompt string) ([]byte, error) { return secret.Ask(prompt, InsteadOfAsking) }}
}

// open calls do, which opens an identity. If a passphrase was typed and is wrong it is called
// again.
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
		p.Report("%v; try again", exit.Plain(err))
	}
}

// protecting gets the passphrase for an identity of a name that has none yet; nil if it is to
// have none. The environment and the terminal count only where protection was asked for.
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

// changing gets the new passphrase of an identity that was opened.
func (p Passphrase) changing(id *keyfile.Identity, newOne *secret.Source) ([]byte, error) {
	passphrase, ok, err := newOne.Read()
	if ok || err != nil {
		return passphrase, err
	}
	if !id.Protected {
		// The identity was opened without a passphrase, so the given one is the new one.
		if passphrase, ok, err = p.Read(); ok || err != nil {
			return passphrase, err
		}
	}
	return secret.AskNew(fmt.Sprintf("new passphrase for identity %q", id.Name),
		"--new-passphrase-file, --new-passphrase-fd or "+EnvNewPassphrase)
}
