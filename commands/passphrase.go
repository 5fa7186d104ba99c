package commands

import (
	"fmt"

	"github.com/urfave/cli/v2"

	"otrpipe/commands/internal/exit"
	"otrpipe/commands/internal/secret"
	"otrpipe/keyfile"
)

// A passphraseSource gets the passphrase of an identity: from the flags, else
// the environment, else the terminal.
type passphraseSource struct {
	*secret.Source
	protect bool // --protect was given
}

func passphraseOf(c *cli.Context) passphraseSource {
	return passphraseSource{secretSource(c, flagPassphrase), c.Bool(flagProtect)}
}

// insteadOfAsking is what to do where there is no terminal.
const insteadOfAsking = "--passphrase-file, --passphrase-fd or " + envPassphrase

// opening gets the passphrase of an identity that has one. It is a
// keyfile.PassphraseFunc.
func (s passphraseSource) opening(prompt string) ([]byte, error) {
	if passphrase, ok, err := s.Read(); ok || err != nil {
		return passphrase, err
	}
	return secret.Ask(prompt, insteadOfAsking)
}

// protecting gets the passphrase for an identity that has none yet; nil if it
// shall have none. The environment and the terminal count only with --protect.
func (s passphraseSource) protecting(prompt string) ([]byte, error) {
	if !s.FromFlags() && !s.protect {
		return nil, nil
	}
	passphrase, ok, err := s.Read()
	switch {
	case err != nil:
		return nil, err
	case !ok:
		return secret.AskNew(prompt, insteadOfAsking)
	case len(passphrase) == 0:
		return nil, exit.Errorf(exit.KeyFile, "the passphrase is empty")
	}
	return passphrase, nil
}

// changing gets the new passphrase of an identity that was opened.
func (s passphraseSource) changing(id *keyfile.Identity, newOne *secret.Source) ([]byte, error) {
	passphrase, ok, err := newOne.Read()
	if ok || err != nil {
		return passphrase, err
	}
	if !id.Protected {
		// Nothing opened it, so what was given to open it is the new one.
		if passphrase, ok, err = s.Read(); ok || err != nil {
			return passphrase, err
		}
	}
	return secret.AskNew(fmt.Sprintf("new passphrase for identity %q", id.Name),
		"--new-passphrase-file, --new-passphrase-fd or "+envNewPassphrase)
}
