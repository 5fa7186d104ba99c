// Package identities manages the user's identities: it finds and opens the one that the command
// line names, makes, changes and removes identities, and imports and exports them. Its errors
// carry exit codes and hints.
package identities

import (
	"errors"

	"otrpipe/commands/internal/exit"
	"otrpipe/commands/internal/terminal"
	"otrpipe/keyfile"
)

// Default is the name of the identity that is used if none is named.
const Default = "default"

// A Choice is the identity that a command line chooses, with the way to open it.
type Choice struct {
	IO         *terminal.IO
	Home       *keyfile.Home
	Flag       *string         // the name that --identity gives; nil: none
	Env        string          // the name that the environment gives; "": none
	File       *string         // --identity-file; nil: none
	Account    keyfile.Account // selects a key if File has several
	Passphrase Passphrase
}

// given returns the name in the flag or else in the environment, if any.
func (c Choice) given() (name string, ok bool) {
	if c.Flag != nil {
		return *c.Flag, true
	}
	return c.Env, c.Env != ""
}

// Name returns the name of the identity in the home, whether or not it exists.
func (c Choice) Name() (string, error) {
	name, ok := c.given()
	if !ok {
		return Default, nil
	}
	if err := keyfile.CheckName(name); err != nil {
		return "", exit.Errorf(exit.Usage, "--identity: %w", exit.Plain(err))
	}
	return name, nil
}

// Open opens the identity, asking for a passphrase if it is protected. The caller wipes it.
func (c Choice) Open() (*keyfile.Identity, error) { return c.openFrom(c.Passphrase.source()) }

// OpenWith is Open with a different source of the passphrase: given returns it, or nil if ask
// has to be called for it. Once stop is closed, ask is not called again; then, if the passphrase
// was mistyped, the error is terminal.ErrStopped.
func (c Choice) OpenWith(stop <-chan struct{}, given func() ([]byte, error), ask keyfile.PassphraseFunc) (*keyfile.Identity, error) {
	return c.openFrom(source{given, ask, stop})
}

func (c Choice) openFrom(s source) (id *keyfile.Identity, err error) {
	err = s.open(c.IO, func(pass keyfile.PassphraseFunc) error {
		id, err = c.openOnce(pass)
		return err
	})
	return id, err
}

// openOnce opens the identity with the passphrase that pass gives.
func (c Choice) openOnce(pass keyfile.PassphraseFunc) (*keyfile.Identity, error) {
	if c.File == nil {
		name, err := c.Name()
		if err != nil {
			return nil, err
		}
		id, err := c.Home.Identity(name, pass)
		return id, missing(err, name)
	}
	if c.Flag != nil {
		return nil, exit.Errorf(exit.Usage, "--identity and --identity-file contradict each other")
	}
	// In some commands --account has other meanings too, so it chooses a key only if the file
	// has several.
	id, err := c.Home.IdentityFile(*c.File, keyfile.Account{}, pass)
	if choice := (*keyfile.ChoiceError)(nil); errors.As(err, &choice) && c.Account != (keyfile.Account{}) {
		id, err = c.Home.IdentityFile(*c.File, c.Account, pass)
	}
	return id, exit.Key(err)
}

// OpenForOffline opens an identity that can have prekeys and stored sessions: one in the home,
// with keys of version 4. The caller wipes it.
func (c Choice) OpenForOffline() (*keyfile.Identity, error) {
	if c.File != nil {
		return nil, exit.Errorf(exit.Usage, "--identity-file: what is kept of offline messages belongs to an identity of the home").
			WithHint("otrpipe keys import %s, then use that identity with -i", exit.ShellWord(*c.File))
	}
	id, err := c.Open()
	if err != nil {
		return nil, err
	}
	if id.Ed448 == nil {
		name := id.Name
		id.Wipe()
		return nil, c.NoVersion(name, 4)
	}
	return id, nil
}

// Public returns the public part of the identity, without using its passphrase if possible.
func (c Choice) Public() (keyfile.Public, error) {
	if c.File == nil {
		name, err := c.Name()
		if err != nil {
			return keyfile.Public{}, err
		}
		public, err := c.Home.Public(name)
		return public, missing(err, name)
	}
	id, err := c.Open()
	if err != nil {
		return keyfile.Public{}, err
	}
	defer id.Wipe()
	return id.Public(), nil
}

// NoVersion returns the error for an identity that has no key for a version of OTR. Identities
// of older programs have none for version 4.
func (c Choice) NoVersion(name string, version int) error {
	e := exit.Errorf(exit.KeyFile, "identity %q has no key for OTR version %d", name, version)
	if c.File != nil {
		return e.WithHint("otrpipe keys import %s, then use that identity", exit.ShellWord(*c.File))
	}
	return e.WithHint("make it: %s", UpgradeCommand(name))
}

// FingerprintCommand returns the command that shows the keys of an identity.
func FingerprintCommand(name string) string { return forIdentity("otrpipe fingerprint", name) }

// UpgradeCommand returns the command that adds version 4 keys to an identity.
func UpgradeCommand(name string) string { return forIdentity("otrpipe keys upgrade", name) }

// forIdentity returns a command line for the named identity.
func forIdentity(command, name string) string {
	if name == Default {
		return command
	}
	return command + " -i " + exit.ShellWord(name)
}

// missing adds the exit code and a hint to an error about a named identity in the home.
func missing(err error, name string) error {
	if errors.Is(err, keyfile.ErrNotFound) {
		return exit.Errorf(exit.KeyFile, "%w", exit.Plain(err)).WithHint("make it: %s", forIdentity("otrpipe keygen", name))
	}
	return exit.Key(err)
}
