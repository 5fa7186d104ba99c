// Package contacts manages the user's contacts: it lists and changes them, and imports and
// exports libotr's fingerprint files. Its errors carry exit codes and hints.
package contacts

import (
	"time"

	"otrpipe/commands/internal/exit"
	"otrpipe/commands/internal/terminal"
	"otrpipe/keyfile"
	"otrpipe/otr/keys"
)

// A Book manages the contacts of a home.
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

// Find returns the contact with a name, or an error if there is none.
func (b Book) Find(name string) (keyfile.Contact, error) {
	contact, ok, err := b.Home.Contact(name)
	if err == nil && !ok {
		err = exit.Errorf(exit.KeyFile, "not found: contact %q in %s", name, b.Home.Dir()).WithHint("otrpipe contacts list")
	}
	return contact, exit.Key(err)
}

// Add stores keys of a contact as not verified.
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
// and a contact with our own key could never connect.
func (b Book) refuseOwnKeys(fps []keys.Fingerprint) error {
	ours := b.ownKeys()
	for _, fp := range fps {
		if identity, isOurs := ours[fp]; isOurs {
			return exit.Errorf(exit.Usage, "that is the fingerprint of your own identity %s", terminal.Visible(identity)).
				WithHint("the contact's fingerprint is what otrpipe fingerprint prints at the other end")
		}
	}
	return nil
}

// ownKeys returns the fingerprints of our own keys, with the names of their identities.
func (b Book) ownKeys() map[keys.Fingerprint]string {
	own := map[keys.Fingerprint]string{}
	ours, _ := b.Home.Publics() // unreadable identities do not matter here
	for _, public := range ours {
		for _, fp := range public.Keys {
			own[fp] = public.Name
		}
	}
	return own
}

// TrustOnly records that the user has compared the fingerprint of a contact's only key.
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

// Trust records that the user has compared the given fingerprints of a contact. If one of them
// is not on file, it changes nothing.
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
			return exit.Key(b.Home.SetTrust(name, fp, keyfile.Verified)) // its error names the key
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

// Distrust withdraws trust in a key of a contact, or in all its keys if none is given.
func (b Book) Distrust(name string, fp *keys.Fingerprint) error {
	if fp == nil {
		return exit.Key(b.Home.Distrust(name))
	}
	return exit.Key(b.Home.SetTrust(name, *fp, keyfile.Seen))
}

// Remove removes a key of a contact, or the whole contact if no key is given.
func (b Book) Remove(name string, fp *keys.Fingerprint) error {
	if _, err := b.Find(name); err != nil {
		return err
	}
	if fp == nil {
		return exit.Key(b.Home.RemoveContact(name))
	}
	return exit.Key(b.Home.RemoveKey(name, *fp))
}

// SetAddress stores a contact's address; the zero address removes it.
func (b Book) SetAddress(name string, a keyfile.Address) error {
	return exit.Key(b.Home.SetAddress(name, a))
}

// Rename changes a contact's name.
func (b Book) Rename(old, name string) error {
	if _, err := b.Find(old); err != nil {
		return err
	}
	return exit.Key(b.Home.RenameContact(old, name))
}
