package identities

import (
	"bytes"
	"crypto/rand"
	"errors"

	"otrpipe/commands/internal/exit"
	"otrpipe/commands/internal/files"
	"otrpipe/keyfile"
)

// An Import describes how to import an identity from a file of otrpipe or libotr.
type Import struct {
	Path         string
	Format       string // refuse any other format; "": accept both
	InstanceTags string // libotr's instance tag file; "": read none
	KeepForging  bool   // if version 4 keys are made, keep the forging key's private half
}

// CheckFormat refuses an unknown format of private key files; "" is valid.
func CheckFormat(format string) error {
	switch format {
	case "", keyfile.FormatLibotr, keyfile.FormatOTRPipe:
		return nil
	}
	return exit.Errorf(exit.Usage, "--format: %q is neither libotr nor otrpipe", format)
}

// An Imported is an identity that was imported.
type Imported struct {
	Document
	choice      Choice
	protected   bool
	fromLibotr  bool
	hasVersion4 bool
}

// Import imports an identity into the home, under the given name or else its own.
func (c Choice) Import(i Import) (*Imported, error) {
	id, passphrase, format, err := c.read(i)
	if err != nil {
		return nil, err
	}
	defer id.Wipe()
	defer func() { clear(passphrase) }()
	if err := c.adoptTag(id, i.InstanceTags); err != nil {
		return nil, err
	}
	if name, ok := c.given(); ok {
		id.Name = name
	}
	if err := c.Home.Vacant(id.Name); errors.Is(err, keyfile.ErrName) {
		return nil, exit.Errorf(exit.Usage, "%w", exit.Plain(err)).WithHint("choose another name with -i")
	} else if err != nil {
		return nil, taken(err)
	}
	if !id.Protected {
		if passphrase, err = c.Passphrase.protecting(id.Name); err != nil {
			return nil, err
		}
	}
	if format == keyfile.FormatLibotr {
		if err := id.AddVersion4(rand.Reader, i.KeepForging); err != nil {
			return nil, exit.Key(err)
		}
	}
	document, err := c.create(id, passphrase)
	if err != nil {
		return nil, err
	}
	return &Imported{document, c, passphrase != nil, format == keyfile.FormatLibotr, id.Ed448 != nil}, nil
}

// read reads the file of an import. The passphrase that opened the file also protects the
// identity in the home. The caller wipes both.
func (c Choice) read(i Import) (id *keyfile.Identity, passphrase []byte, format string, err error) {
	file, public, err := files.Read(i.Path, keyfile.MaxKeyFile)
	if err != nil {
		return nil, nil, "", err
	}
	defer clear(file)
	err = c.Passphrase.source().open(c.IO, func(pass keyfile.PassphraseFunc) error {
		id, format, err = keyfile.ReadIdentity(file, i.Path, c.Account, func(prompt string) ([]byte, error) {
			secret, err := pass(prompt)
			clear(passphrase) // of the previous attempt
			passphrase = bytes.Clone(secret)
			return secret, err
		})
		return err
	})
	if errors.Is(err, keyfile.ErrFormat) {
		err = exit.Errorf(exit.KeyFile, "%w", exit.Plain(err)).
			WithHint("what can be imported: what otrpipe keys export writes, and libotr's otr.private_key")
	}
	if err == nil {
		if public {
			c.IO.Warn("%s can be read by others: whoever has read it has the key", i.Path)
		}
		if err = i.check(format); err != nil {
			id.Wipe()
		}
	}
	if err != nil {
		clear(passphrase)
		return nil, nil, "", exit.Key(err)
	}
	return id, passphrase, format, nil
}

// check refuses a file whose format differs from Format.
func (i Import) check(format string) error {
	if i.Format != "" && i.Format != format {
		return exit.Errorf(exit.KeyFile, "%s is a file of %s, not of %s", i.Path, format, i.Format).
			WithHint("without --format the file's own format is taken")
	}
	if format != keyfile.FormatLibotr && i.KeepForging {
		return exit.Errorf(exit.Usage, "--keep-forging-key: %s is a file of %s, for which no keys are made", i.Path, format)
	}
	return nil
}

// adoptTag sets an imported identity's instance tag: the one in libotr's instance tag file if
// there is one, or else its own, or else a new one.
func (c Choice) adoptTag(id *keyfile.Identity, path string) error {
	if path != "" {
		file, _, err := files.Read(path, keyfile.MaxLibotrList)
		if err != nil {
			return err
		}
		want := keyfile.Account{Name: id.Name, Protocol: c.Account.Protocol}
		if id.InstanceTag, err = keyfile.ChooseTag(keyfile.ParseLibotrTags(file), path, want); err != nil {
			return exit.Key(err)
		}
	}
	if id.InstanceTag != 0 {
		return nil
	}
	var err error
	id.InstanceTag, err = keyfile.NewInstanceTag(rand.Reader)
	return exit.Key(err)
}

// TellSaved tells the user the identity's name, which may come from the file, and whether a
// passphrase protects it.
func (i *Imported) TellSaved() {
	if i.protected {
		i.choice.IO.Note("saved as identity %q, protected by the passphrase", i.Identity)
	} else {
		i.choice.IO.Note("saved as identity %q, without a passphrase; %s sets one", i.Identity, forIdentity("otrpipe keys passphrase", i.Identity))
	}
}

// Tell tells the user what to know about the version 4 keys.
func (i *Imported) Tell() {
	switch {
	case i.fromLibotr:
		i.choice.IO.Note("made keys of version 4, of which libotr's file has none")
	case !i.hasVersion4:
		i.choice.IO.Note("identity %q has no keys of version 4", i.Identity)
		i.choice.IO.Advise("make them: %s", UpgradeCommand(i.Identity))
	}
}
