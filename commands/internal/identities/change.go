package identities

import (
	"crypto/rand"
	"errors"
	"fmt"
	"slices"

	"otrpipe/commands/internal/exit"
	"otrpipe/commands/internal/secret"
	"otrpipe/keyfile"
	"otrpipe/otr/keys"
)

// Generate makes the identity, which must not exist yet. With keepForging, the private half of
// the forging key is kept.
func (c Choice) Generate(keepForging bool) (Document, error) {
	name, err := c.Name()
	if err != nil {
		return Document{}, err
	}
	// Check before asking for a passphrase.
	if err := c.Home.Vacant(name); err != nil {
		return Document{}, taken(err)
	}
	passphrase, err := c.Passphrase.protecting(name)
	if err != nil {
		return Document{}, err
	}
	defer clear(passphrase)
	id, err := keyfile.Generate(name, rand.Reader, keepForging)
	if err != nil {
		return Document{}, exit.Key(err)
	}
	defer id.Wipe()
	return c.create(id, passphrase)
}

// TellSaved tells the user where the identity was saved and what to do next.
func (c Choice) TellSaved() error {
	name, err := c.Name()
	if err != nil {
		return err
	}
	public, err := c.Home.Public(name)
	if err != nil {
		return missing(err, name)
	}
	folder, err := c.Home.Folder(name)
	if err != nil {
		return missing(err, name)
	}
	if public.Protected {
		c.IO.Note("saved in %s, protected by the passphrase", folder)
	} else {
		c.IO.Note("saved in %s, without a passphrase; %s sets one", folder, forIdentity("otrpipe keys passphrase", name))
	}
	c.IO.Advise("next: %s --contact NAME --listen PORT, and the other end %s --contact NAME --tcp HOST:PORT; then compare fingerprints",
		forIdentity("otrpipe chat", name), "otrpipe chat")
	return nil
}

// create writes a new identity to the home.
func (c Choice) create(id *keyfile.Identity, passphrase []byte) (Document, error) {
	if err := c.Home.Create(id, passphrase); err != nil {
		return Document{}, taken(err)
	}
	return Describe(id.Public()), nil
}

// taken adds the exit code and a hint to an error about a new identity.
func taken(err error) error {
	if errors.Is(err, keyfile.ErrExists) {
		return exit.Errorf(exit.KeyFile, "%w", exit.Plain(err)).WithHint("choose another name with -i, or see otrpipe keys remove")
	}
	return exit.Key(err)
}

// Upgrade adds version 4 keys to an identity of the home that has none. With keepForging, an
// identity that already has them gets a new forging key, whose private half is kept.
func (c Choice) Upgrade(keepForging bool) (Document, error) {
	name, err := c.Name()
	if err != nil {
		return Document{}, err
	}
	public, err := c.Home.Public(name)
	if err != nil {
		return Document{}, missing(err, name)
	}
	done := slices.ContainsFunc(public.Keys, func(fp keys.Fingerprint) bool { return fp.OTR() == 4 })
	if done && !keepForging {
		c.IO.Note("identity %q has keys of version 4", name)
		return Describe(public), nil
	}
	err = c.Passphrase.source().open(c.IO, func(pass keyfile.PassphraseFunc) error {
		return c.Home.Upgrade(name, rand.Reader, keepForging, pass)
	})
	if err != nil {
		return Document{}, missing(err, name)
	}
	public, err = c.Home.Public(name)
	return Describe(public), missing(err, name)
}

// SetPassphrase gives the identity a new passphrase.
func (c Choice) SetPassphrase(newOne *secret.Source) error {
	id, err := c.Open()
	if err != nil {
		return err
	}
	defer id.Wipe()
	passphrase, err := c.Passphrase.changing(id, newOne)
	if err != nil {
		return err
	}
	defer clear(passphrase)
	if len(passphrase) == 0 {
		return exit.Errorf(exit.KeyFile, "the new passphrase is empty").WithHint("take it away with --remove")
	}
	if err := c.Home.SetPassphrase(id, passphrase); err != nil {
		return exit.Key(err)
	}
	c.IO.Note("identity %q has a new passphrase", id.Name)
	return nil
}

// RemovePassphrase removes the passphrase of the identity.
func (c Choice) RemovePassphrase() error {
	id, err := c.Open()
	if err != nil {
		return err
	}
	defer id.Wipe()
	if !id.Protected {
		c.IO.Note("identity %q has no passphrase", id.Name)
		return nil
	}
	if err := c.Home.SetPassphrase(id, nil); err != nil {
		return exit.Key(err)
	}
	c.IO.Note("identity %q has no passphrase any more", id.Name)
	return nil
}

// Remove permanently removes the named identity from the home. Unless sure is set, it asks for
// confirmation at the terminal.
func (c Choice) Remove(name string, sure bool) error {
	_, err := c.Home.Public(name)
	there := !errors.Is(err, keyfile.ErrNotFound) // damaged identities can be removed too
	if there && !sure && !c.IO.Confirm(fmt.Sprintf("remove the keys of identity %q for good?", name)) {
		return exit.Errorf(exit.Failure, "identity %q stays", name)
	}
	if err := c.Home.Remove(name); err != nil {
		return exit.Key(err)
	}
	c.IO.Note("identity %q is removed", name)
	return nil
}
