// Package contacts is what the program does with the contacts of its user: it lists and
// changes them, and moves them from and to libotr's files of fingerprints. Errors have their
// exit codes and hints.
package contacts

import (
	"slices"
	"time"

	"otrpipe/commands/internal/exit"
	"otrpipe/commands/internal/terminal"
	"otrpipe/keyfile"
	"otrpipe/otr/keys"
)

// A Book is the contacts of a home.
type Book struct {
	IO   *terminal.IO
	Home *keyfile.Home
}

// All returns all contacts.
func (b Book) All() (List, error) {
	all, err := b.Home.Contacts()
	if err != nil {
		return nil, exit.Key(err)
	}
	list := List{}
	for _, contact := range all {
		list = append(list, Describe(contact))
	}
	return list, nil
}

// Find returns the contact of a name, or the error that there is none.
func (b Book) Find(name string) (keyfile.Contact, error) {
	contact, ok, err := b.Home.Contact(name)
	if err == nil && !ok {
		err = exit.Errorf(exit.KeyFile, "not found: contact %q in %s", name, b.Home.Dir()).WithHint("otrpipe contacts list")
	}
	return contact, exit.Key(err)
}

// Add puts keys of a contact on file, not verified yet.
func (b Book) Add(name string, fps []keys.Fingerprint) error {
	if err := b.refuseOwnKeys(fps); err != nil {
		return err
	}
	for _, fp := range fps {
		if err := b.Home.RememberKey(name, fp, keyfile.Seen, time.Now()); err != nil {
			return exit.Key(err)
		}
	}
	return nil
}

// refuseOwnKeys refuses fingerprints of our own identities. They are easily copied by mistake,
// and a contact with our own key lets nobody in.
func (b Book) refuseOwnKeys(fps []keys.Fingerprint) error {
	ours, _ := b.Home.Publics() // identities that cannot be read are not needed here
	for _, public := range ours {
		for _, fp := range fps {
			if slices.Contains(public.Keys, fp) {
				return exit.Errorf(exit.Usage, "that is the fingerprint of your own identity %s", terminal.Visible(public.Name)).
					WithHint("the contact's fingerprint is what otrpipe fingerprint prints at the other end")
			}
		}
	}
	return nil
}

// TrustOnly notes that the fingerprint of the only key of a contact has been compared.
func (b Book) TrustOnly(name string) error {
	contact, err := b.Find(name)
	if err != nil {
		return err
	}
	switch n := len(contact.Keys); {
	case n == 0:
		return exit.Errorf(exit.KeyFile, "no key of %q is on file yet", name).
			WithHint("the first session with %s brings it, or otrpipe contacts add", exit.ShellWord(name))
	case n > 1:
		return exit.Errorf(exit.Usage, "contact %q has %d keys: say which one was compared", name, len(contact.Keys)).
			WithHint("otrpipe fingerprint --contact %s", exit.ShellWord(name))
	}
	return b.Trust(name, []keys.Fingerprint{contact.Keys[0].Fingerprint})
}

// Trust notes that the fingerprints of keys of a contact have been compared: of all the given
// ones or, if one is not on file, of none.
func (b Book) Trust(name string, fps []keys.Fingerprint) error {
	contact, err := b.Find(name)
	if err != nil {
		return err
	}
	for _, fp := range fps {
		if _, told := contact.Teller(fp); told {
			return exit.Errorf(exit.KeyFile, "contact %q has told this key, but has not been met with it: %v", name, fp).
				WithHint("if you have compared it: otrpipe contacts add %s %s, and then trust it", exit.ShellWord(name), fp.Hex())
		}
		if _, ok := contact.Key(fp); !ok {
			return exit.Key(b.Home.SetTrust(name, fp, keyfile.Verified)) // its error says so
		}
	}
	for _, fp := range fps {
		if err := b.Home.SetTrust(name, fp, keyfile.Verified); err != nil {
			return exit.Key(err)
		}
		b.IO.Note("the OTRv%d key of %s is verified by hand: %v", fp.OTR(), terminal.Visible(name), fp)
	}
	return nil
}

// Distrust takes trust in a key of a contact back; without a key, in all of them.
func (b Book) Distrust(name string, fp *keys.Fingerprint) error {
	if fp == nil {
		return exit.Key(b.Home.Distrust(name))
	}
	return exit.Key(b.Home.SetTrust(name, *fp, keyfile.Seen))
}

// Remove forgets a key of a contact; without a key, the contact.
func (b Book) Remove(name string, fp *keys.Fingerprint) error {
	if _, err := b.Find(name); err != nil {
		return err
	}
	if fp == nil {
		return exit.Key(b.Home.RemoveContact(name))
	}
	return exit.Key(b.Home.RemoveKey(name, *fp))
}

// SetAddress notes how a contact is reached; with the zero address it is forgotten.
func (b Book) SetAddress(name string, a keyfile.Address) error {
	return exit.Key(b.Home.SetAddress(name, a))
}

// Rename gives a contact another name.
func (b Book) Rename(old, name string) error {
	if _, err := b.Find(old); err != nil {
		return err
	}
	return exit.Key(b.Home.RenameContact(old, name))
}
