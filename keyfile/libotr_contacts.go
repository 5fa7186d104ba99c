package keyfile

import (
	"maps"
	"slices"
	"time"
)

// ContactsFromLibotr converts libotr's fingerprints that match account (empty fields match
// all) to contacts that were met now. All must belong to one account, because the same
// username in two networks need not be the same person; otherwise the error is a
// *ChoiceError. path names the file in errors.
func ContactsFromLibotr(list []LibotrFingerprint, path string, account Account, now time.Time) ([]Contact, error) {
	var all, fitting []Account
	seen := make(map[Account]bool)
	for _, one := range list {
		if seen[one.Account] {
			continue
		}
		seen[one.Account] = true
		all = append(all, one.Account)
		if one.Account.matches(account) {
			fitting = append(fitting, one.Account)
		}
	}
	if len(fitting) > 1 || len(fitting) == 0 && len(all) > 0 {
		return nil, &ChoiceError{Path: path, Accounts: all, None: len(fitting) == 0}
	}
	found := make(map[string][]ContactKey)
	for _, one := range list {
		if one.Account.matches(account) {
			key := ContactKey{Fingerprint: one.Fingerprint, Trust: trustOfLibotr(one.Trust), FirstSeen: now, LastSeen: now}
			found[one.Username] = append(found[one.Username], key)
		}
	}
	var contacts []Contact
	for _, name := range slices.Sorted(maps.Keys(found)) {
		contacts = remember(contacts, Contact{Name: name, Keys: found[name]})
	}
	return contacts, nil
}

// trustOfLibotr converts libotr's word for trust. libotr itself treats every word as trust,
// and clients have their own words for a fingerprint that was compared.
func trustOfLibotr(word string) Trust {
	switch word {
	case "":
		return Seen
	case "smp":
		return SMP
	}
	return Verified
}

// LibotrFromContacts converts contacts to libotr's fingerprints for an account. libotr has no
// place for version 4 keys: these are left out and counted.
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
