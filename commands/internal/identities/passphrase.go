package identities

import (
	"fmt"

	"otrpipe/commands/internal/exit"
	"otrpipe/commands/internal/secret"
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

// Opening gets the passphrase of an identity that has one. It is a keyfile.PassphraseFunc.
func (p Passphrase) Opening(prompt string) ([]byte, error) {
	if passphrase, ok, err := p.Read(); ok || err != nil {
		return passphrase, err
	}
	return secret.Ask(prompt, InsteadOfAsking)
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
