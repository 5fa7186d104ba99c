package keyfile

import (
	"fmt"

	"otrpipe/otr/keys"
)

// MeetKey takes note that a contact was met with a key, comparing and adding under one
// lock. With first the contact was not on file when the caller looked: its key is added,
// unless another process has put a different key there meanwhile, which is ErrChanged.
// Without first the key was on file and has to be there still: one that was removed
// meanwhile is not added again, but is ErrNotFound. Trust is raised to key.Trust, never
// lowered. With an error nothing is written.
func (h *Home) MeetKey(contact string, key ContactKey, first bool) error {
	if err := CheckName(contact); err != nil {
		return err
	}
	if err := key.check(); err != nil {
		return err
	}
	return h.changeContacts(func(contacts []Contact) ([]Contact, error) {
		i, ok := find(contacts, contact)
		switch {
		case ok && len(contacts[i].Keys) > 0: // one with only an address has no other key
			if _, known := contacts[i].Key(key.Fingerprint); known {
				break
			}
			if first {
				return nil, fmt.Errorf("%w: contact %q has another key now", ErrChanged, contact)
			}
			return nil, noKey(contacts[i], key.Fingerprint)
		case !first:
			return nil, h.noContact(contact)
		default:
			if err := CheckContactName(contact); err != nil {
				return nil, err
			}
		}
		return remember(contacts, Contact{Name: contact, Keys: []ContactKey{key}}), nil
	})
}

// TellKey keeps a key of version 4 that a contact has told in a session with its old key, of
// version 3, until it is met: see MeetTold. The old key has to be on file: ErrNotFound. It
// can speak for the contact's first key of version 4 only, and not for one that is on file
// for another contact: ErrExists. Until the key is met the last word counts. Where it is the
// contact's already nothing changes.
func (h *Home) TellKey(contact string, old, told keys.Fingerprint) error {
	if old.OTR() != 3 || told.OTR() != 4 {
		return fmt.Errorf("%w: a key of version %d was told by one of version %d", ErrFormat, told.OTR(), old.OTR())
	}
	if err := h.mustHave(contact); err != nil {
		return err
	}
	return h.changeContacts(func(contacts []Contact) ([]Contact, error) {
		i, ok := find(contacts, contact)
		if !ok {
			return nil, h.noContact(contact)
		}
		if err := notOfAnother(contacts, contact, told); err != nil {
			return nil, err
		}
		teller := contacts[i].key(old)
		if teller == nil {
			return nil, noKey(contacts[i], old)
		}
		if _, known := contacts[i].Key(told); !known && contacts[i].has4() {
			return nil, fmt.Errorf("%w: contact %q has another key of version 4", ErrExists, contact)
		}
		teller.Told = told // if it is the contact's already, that is dropped
		return contacts, nil
	})
}

// MeetTold takes note that a contact was met with a key of version 4 that it had told: the key
// is put on file, with the trust of the key that told it, which is returned, or with key.Trust if
// that is more. ErrChanged if it is not told any more, because it was removed, or is on file
// for another contact; then nothing is written.
func (h *Home) MeetTold(contact string, key ContactKey) (teller ContactKey, err error) {
	if err := key.check(); err != nil {
		return ContactKey{}, err
	}
	if err := h.mustHave(contact); err != nil {
		return ContactKey{}, err
	}
	err = h.changeContacts(func(contacts []Contact) ([]Contact, error) {
		i, ok := find(contacts, contact)
		if !ok {
			return nil, h.noContact(contact)
		}
		if teller, ok = contacts[i].Teller(key.Fingerprint); !ok {
			return nil, fmt.Errorf("%w: the key that contact %q told is not on file any more", ErrChanged, contact)
		}
		key.Trust = max(key.Trust, teller.Trust)
		contacts[i].add(key)
		return contacts, nil
	})
	return teller, err
}

// notOfAnother refuses a key that is on file for another contact than the named one.
func notOfAnother(contacts []Contact, contact string, fp keys.Fingerprint) error {
	for _, c := range contacts {
		if _, taken := c.Key(fp); taken && c.Name != contact {
			return fmt.Errorf("%w: the key is on file for contact %q", ErrExists, c.Name)
		}
	}
	return nil
}

// check refuses what no key of this version has, or what is not well formed.
func (k ContactKey) check() error {
	if !k.Told.IsZero() && (k.Fingerprint.OTR() != 3 || k.Told.OTR() != 4) {
		return fmt.Errorf("%w: a key of version %d was told by one of version %d", ErrFormat, k.Told.OTR(), k.Fingerprint.OTR())
	}
	if k.Client != (Client{}) {
		if err := k.Client.check(k.Fingerprint); err != nil {
			return err
		}
	}
	if k.Profile == (Profile{}) {
		return nil
	}
	if k.Fingerprint.OTR() != 4 {
		return fmt.Errorf("%w: a client profile for a key of version %d", ErrFormat, k.Fingerprint.OTR())
	}
	return k.Profile.check()
}
