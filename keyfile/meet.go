package keyfile

import (
	"fmt"
	"time"

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
		case ok:
			if _, known := contacts[i].Key(key.Fingerprint); known {
				break
			}
			if first {
				return nil, fmt.Errorf("%w: contact %q has another key now", ErrChanged, contact)
			}
			return nil, noKey(contacts[i], key.Fingerprint)
		case !first:
			return nil, h.noContact(contact)
		}
		return remember(contacts, Contact{Name: contact, Keys: []ContactKey{key}}), nil
	})
}

// VouchKey puts a contact's key of version 4 on file that the contact has told in a session
// with its old key: with the trust of the old key, which it returns. The old key has to be
// on file, and must not have vouched for another key before: it speaks for the contact's
// first key of version 4 only. Nor can it speak for a key that is somebody else's: all
// that is ErrExists or ErrNotFound, and nothing is written.
func (h *Home) VouchKey(contact string, old, fresh keys.Fingerprint, now time.Time) (t Trust, err error) {
	if fresh.OTR() != 4 {
		return Seen, fmt.Errorf("%w: a key of version %d was vouched for", ErrFormat, fresh.OTR())
	}
	if err := h.mustHave(contact); err != nil {
		return Seen, err
	}
	err = h.changeContacts(func(contacts []Contact) ([]Contact, error) {
		i, ok := find(contacts, contact)
		if !ok {
			return nil, h.noContact(contact)
		}
		for _, c := range contacts {
			if _, taken := c.Key(fresh); taken && c.Name != contact {
				return nil, fmt.Errorf("%w: the key is on file for contact %q", ErrExists, c.Name)
			}
		}
		key, ok := contacts[i].Key(old)
		if !ok {
			return nil, noKey(contacts[i], old)
		}
		for _, k := range contacts[i].Keys {
			if k.Fingerprint.OTR() == 4 && k.Fingerprint != fresh {
				return nil, fmt.Errorf("%w: contact %q has another key of version 4", ErrExists, contact)
			}
		}
		t = key.Trust
		contacts[i].add(ContactKey{Fingerprint: fresh, Trust: t, FirstSeen: now, LastSeen: now})
		return contacts, nil
	})
	return t, err
}

// checkProfile refuses a profile that no key of this version has, or that is none.
func (k ContactKey) check() error {
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
