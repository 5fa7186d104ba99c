package keyfile

import (
	"slices"
	"time"
)

// ContactsFromLibotr turns libotr's fingerprints into contacts, met now. All
// must be of one account, which account describes (fields that are empty fit
// all), or the error is a *ChoiceError: the same username in two networks need
// not be the same person. Path names the file in errors.
func ContactsFromLibotr(list []LibotrFingerprint, path string, account Account, now time.Time) ([]Contact, error) {
	var all, fitting []Account
	for _, one := range list {
		if slices.Contains(all, one.Account) {
			continue
		}
		all = append(all, one.Account)
		if one.Account.matches(account) {
			fitting = append(fitting, one.Account)
		}
	}
	if len(fitting) > 1 || len(fitting) == 0 && len(all) > 0 {
		return nil, &ChoiceError{Path: path, Accounts: all, None: len(fitting) == 0}
	}
	var contacts []Contact
	for _, one := range list {
		if !one.Account.matches(account) {
			continue
		}
		key := ContactKey{Fingerprint: one.Fingerprint, Trust: trustOfLibotr(one.Trust), FirstSeen: now, LastSeen: now}
		contacts = remember(contacts, Contact{Name: one.Username, Keys: []ContactKey{key}})
	}
	return contacts, nil
}

// trustOfLibotr reads libotr's word for trust. Libotr itself takes every word
// for trust, and clients have words of their own for a fingerprint that somebody
// has compared.
func trustOfLibotr(word string) Trust {
	switch word {
	case "":
		return Seen
	case "smp":
		return SMP
	}
	return Verified
}

// LibotrFromContacts turns contacts into libotr's fingerprints for an account.
// Libotr has no place for keys of version 4: they are left out, and counted.
func LibotrFromContacts(contacts []Contact, account Account) (list []LibotrFingerprint, leftOut int) {
	for _, contact := range contacts {
		for _, key := range contact.Keys {
			if key.Fingerprint.OTR() != 3 {
				leftOut++
				continue
			}
			word := ""
			if key.Trust != Seen {
				word = key.Trust.String()
			}
			list = append(list, LibotrFingerprint{contact.Name, account, key.Fingerprint, word})
		}
	}
	return list, leftOut
}
