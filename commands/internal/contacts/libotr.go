package contacts

import (
	"slices"
	"time"

	"otrpipe/commands/internal/exit"
	"otrpipe/commands/internal/files"
	"otrpipe/commands/internal/terminal"
	"otrpipe/keyfile"
)

// Import adds the contacts of an account in libotr's fingerprint file.
func (b Book) Import(path string, account keyfile.Account) error {
	file, _, err := files.Read(path, keyfile.MaxLibotrList)
	if err != nil {
		return err
	}
	list, bad := keyfile.ParseLibotrFingerprints(file)
	if len(list) == 0 && len(bad) > 0 {
		return exit.Errorf(exit.KeyFile, "%w: %s", exit.Plain(bad[0]), path).WithHint("what can be imported is libotr's otr.fingerprints")
	}
	contacts, err := keyfile.ContactsFromLibotr(list, path, account, time.Now())
	if err != nil {
		return exit.Key(err)
	}
	contacts, own := b.withoutOwnKeys(contacts)
	bad = slices.DeleteFunc(bad, func(row *keyfile.RowError) bool { return !row.Concerns(account) })
	if err := b.Home.Remember(contacts); err != nil {
		return exit.Key(err)
	}
	b.IO.Note("imported %s", terminal.Count(len(contacts), "contact"))
	if err := b.reportBadRows(path, bad); err != nil {
		return err
	}
	if own > 0 {
		return exit.Errorf(exit.Failure, "%s of %s cannot be imported", terminal.Count(own, "key"), path).
			WithHint("a contact with your own key could never connect; the other contacts were imported")
	}
	return nil
}

// withoutOwnKeys leaves out the keys of our own identities, and says so. own is how many there
// are. A client stores such a key if two accounts with one key have talked to each other.
func (b Book) withoutOwnKeys(contacts []keyfile.Contact) (others []keyfile.Contact, own int) {
	ours := b.ownKeys()
	for _, contact := range contacts {
		contact.Keys = slices.DeleteFunc(contact.Keys, func(key keyfile.ContactKey) bool {
			identity, isOurs := ours[key.Fingerprint]
			if isOurs {
				own++
				b.IO.Warn("a key of %s is left out: it is that of your own identity %s", terminal.Visible(contact.Name), terminal.Visible(identity))
			}
			return isOurs
		})
		if len(contact.Keys) > 0 {
			others = append(others, contact)
		}
	}
	return others, own
}

// maxBadRows is the maximum number of unusable lines to list; nobody would read more.
const maxBadRows = 20

// reportBadRows lists the lines that were not imported, and returns an error if there are any.
func (b Book) reportBadRows(path string, bad []*keyfile.RowError) error {
	if len(bad) == 0 {
		return nil
	}
	for i, row := range bad {
		if i == maxBadRows {
			b.IO.Warn("and %d more", len(bad)-i)
			break
		}
		b.IO.Warn("line %d is left out: %v", row.Line, exit.Plain(row.Reason))
	}
	return exit.Errorf(exit.Failure, "%s of %s cannot be imported", terminal.Count(len(bad), "line"), path).
		WithHint("mend or rename them in a copy, or give the key by hand: otrpipe contacts add NAME FINGERPRINT")
}

// Export writes the contacts as libotr's fingerprint file. An incomplete account is completed
// with the identity's name.
func (b Book) Export(out files.Writer, path string, account keyfile.Account, identity string) error {
	contacts, err := b.Home.Contacts()
	if err != nil {
		return exit.Key(err)
	}
	list, leftOut := keyfile.LibotrFromContacts(contacts, files.ExportAccount(b.IO, account, identity))
	text, err := keyfile.AppendLibotrFingerprints(nil, list...)
	if err != nil {
		return exit.Key(err)
	}
	if _, err := out.Write(path, text); err != nil {
		return err
	}
	if leftOut > 0 {
		b.IO.Warn("left out %s of version 4, which libotr does not know", terminal.Count(leftOut, "key"))
	}
	return nil
}
