package keyfile

import (
	"fmt"

	"otrpipe/otr/keys"
)

// MeetKey records that a contact was met with a key. It compares and adds under one lock.
// first means that the contact was not on file when the caller checked: its key is then
// added, unless another process has added a different key in the meantime, which is
// ErrChanged. Without first, the key was on file and must still be there: if it was removed
// in the meantime it is not added again, and the error is ErrNotFound. Trust is raised to
// key.Trust, never lowered. After an error nothing has been written.
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
		case ok && len(contacts[i].Keys) > 0: // a contact with only an address has no other key
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

// TellKey records a version 4 key that a contact has told in a session with its old, version
// 3 key, until the told key is met: see MeetTold. If the old key is not on file the error is
// ErrNotFound. If the contact has another version 4 key, or the told key is on file for
// another contact, the error is ErrExists. Until a told key is met, a later one replaces it.
// If the key is already the contact's, nothing changes.
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
		teller.Told = told // dropped again if it is already the contact's
		return contacts, nil
	})
}

// MeetTold records that a contact was met with a version 4 key that it had told. It puts the
// key on file with the trust of the key that told it, or with key.Trust if that is greater,
// and returns the key that told it. If the key no longer counts as told, because it was
// removed or is on file for another contact, nothing is written and the error is ErrChanged.
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

// notOfAnother returns an error if the key is on file for a contact other than the named one.
func notOfAnother(contacts []Contact, contact string, fp keys.Fingerprint) error {
	for _, c := range contacts {
		if _, taken := c.Key(fp); taken && c.Name != contact {
			return fmt.Errorf("%w: the key is on file for contact %q", ErrExists, c.Name)
		}
	}
	return nil
}

// check returns an error if the key has fields that its version does not have, or malformed
// ones.
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
