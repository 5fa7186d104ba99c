package keyfile

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"otrpipe/otr/keys"
	"otrpipe/otr/wire"
)

// maxContacts is the maximum length of a contacts file in bytes. It is enough for tens of
// thousands of keys, and can still be read quickly.
const maxContacts = 16 << 20

// Trust is how far a contact's key is trusted. A greater value means more trust.
type Trust int

const (
	Seen     Trust = iota // on file: it was met in a session, or entered by hand
	Verified              // the user has compared the fingerprint
	SMP                   // both ends have proved that they know the same secret
)

var trustNames = [...]string{Seen: "seen", Verified: "verified", SMP: "smp"}

// String returns "seen", "verified" or "smp".
func (t Trust) String() string {
	if t < 0 || int(t) >= len(trustNames) {
		return fmt.Sprintf("Trust(%d)", int(t))
	}
	return trustNames[t]
}

// UnmarshalText parses the output of String.
func (t *Trust) UnmarshalText(b []byte) error {
	i := slices.Index(trustNames[:], string(b))
	if i < 0 {
		return fmt.Errorf("%w: unknown trust %q", ErrFormat, b)
	}
	*t = Trust(i)
	return nil
}

// A ContactKey is one key of a contact, identified by its fingerprint.
type ContactKey struct {
	Fingerprint keys.Fingerprint
	Trust       Trust
	FirstSeen   time.Time // when it was put on file
	LastSeen    time.Time // when it was last met in a session or entered by hand
	Profile     Profile   // from the contact's latest client profile; zero: unknown
	Client      Client    // the client that last used it; zero: never met in a session

	// Told is the fingerprint of a version 4 key that the contact has told in a session with
	// this version 3 key, and with which it has not been met yet; zero: none. It is not a key
	// of the contact until Home.MeetTold makes it one. A contact with a version 4 key has no
	// told key, and no contact's key is also a told key.
	Told keys.Fingerprint
}

// A Client is the program with which a contact had a session.
type Client struct {
	OTR      int    // the version of OTR that it spoke
	Instance uint32 // its instance tag; 0 in version 2
}

// check checks a client that has a key of version 3 or 4.
func (c Client) check(fp keys.Fingerprint) error {
	switch tagged := c.Instance >= minInstanceTag; {
	case c.OTR == 2 && fp.OTR() == 3 && c.Instance == 0, (c.OTR == 3 || c.OTR == 4) && fp.OTR() == c.OTR && tagged:
		return nil
	}
	return fmt.Errorf("%w: a client of version %d and instance tag %08x for a key of version %d", ErrFormat, c.OTR, c.Instance, fp.OTR())
}

// A Profile is the part that we keep of a contact's OTR version 4 client profile, which is
// signed by the contact's key.
type Profile struct {
	Versions wire.Versions // the versions that the contact speaks: 4, or 3 and 4
	Expires  time.Time     // when the profile expires
}

// maxProfile limits how long a profile counts. The specification recommends profiles of a
// week. A profile that is valid for centuries is a mistake, or has a date that a file cannot
// hold.
const maxProfile = 366 * 24 * time.Hour

// Speaks reports whether the contact's profile lists a version and is valid at now. It is
// false for an expired or unknown profile.
func (p Profile) Speaks(version int, now time.Time) bool {
	return now.Before(p.Expires) && p.Versions.Has(version)
}

// kept returns the profile as it is put on file at now, with its expiry limited.
func (p Profile) kept(now time.Time) Profile {
	if p == (Profile{}) {
		return p
	}
	if latest := now.Add(maxProfile); p.Expires.After(latest) {
		p.Expires = latest
	}
	p.Expires = p.Expires.UTC().Truncate(time.Second)
	return p
}

func (p Profile) check() error {
	if p.Versions != wire.MakeVersions(4) && p.Versions != wire.MakeVersions(3, 4) {
		return fmt.Errorf("%w: a client profile of versions %v", ErrFormat, p.Versions)
	}
	return nil
}

// A Contact is a person: their keys, the oldest first, and their address. One of the two may
// be missing, but not both.
type Contact struct {
	Name    string
	Keys    []ContactKey
	Address Address // zero: unknown
}

// An Address says how to reach a contact. At most one of its fields is set.
type Address struct {
	TCP     string   // HOST:PORT to dial
	Command []string // the words of a command that transports the lines
}

// maxAddress bounds the length of an address, in bytes: no person writes a longer command
// line.
const maxAddress = 8 << 10

// IsZero reports whether there is no address.
func (a Address) IsZero() bool { return a.TCP == "" && len(a.Command) == 0 }

// check returns an error for an address that cannot be put on file.
func (a Address) check() error {
	size := len(a.TCP)
	for _, word := range a.Command {
		size += len(word) + 1
	}
	words := append([]string{a.TCP}, a.Command...)
	switch {
	case a.TCP != "" && len(a.Command) > 0:
		return fmt.Errorf("%w: an address of two kinds", ErrFormat)
	case size > maxAddress:
		return fmt.Errorf("%w: an address of more than %d bytes", ErrFormat, maxAddress)
	case len(a.Command) > 0 && a.Command[0] == "":
		return fmt.Errorf("%w: an address whose command has no name", ErrFormat)
	case slices.ContainsFunc(words, func(word string) bool {
		return !utf8.ValidString(word) || strings.ContainsFunc(word, unicode.IsControl)
	}):
		return fmt.Errorf("%w: an address with a control character", ErrFormat)
	}
	return nil
}

// SetAddress sets the address of a contact, or removes it if a is the zero Address. A contact
// that does not exist is added, if CheckContactName accepts its name. A contact that is left
// with neither a key nor an address is removed.
func (h *Home) SetAddress(contact string, a Address) error {
	if err := a.check(); err != nil {
		return err
	}
	if a.IsZero() {
		return h.changeContact(contact, func(c *Contact) error {
			c.Address = a
			return nil
		})
	}
	return h.changeContacts(func(contacts []Contact) ([]Contact, error) {
		i, ok := find(contacts, contact)
		if !ok {
			if err := CheckContactName(contact); err != nil {
				return nil, err
			}
			contacts = slices.Insert(contacts, i, Contact{Name: contact})
		}
		contacts[i].Address = a
		return contacts, nil
	})
}

// Key returns the contact's key with a fingerprint.
func (c Contact) Key(fp keys.Fingerprint) (ContactKey, bool) {
	if key := c.key(fp); key != nil {
		return *key, true
	}
	return ContactKey{}, false
}

// Teller returns the contact's key in whose session the version 4 key fp was told, if that
// has not been met yet.
func (c Contact) Teller(fp keys.Fingerprint) (ContactKey, bool) {
	for _, key := range c.Keys {
		if !fp.IsZero() && key.Told == fp {
			return key, true
		}
	}
	return ContactKey{}, false
}

// HasTold reports whether the contact has told a key that has not been met yet.
func (c Contact) HasTold() bool {
	return slices.ContainsFunc(c.Keys, func(key ContactKey) bool { return !key.Told.IsZero() })
}

// has4 reports whether a version 4 key is on file for the contact.
func (c Contact) has4() bool {
	return slices.ContainsFunc(c.Keys, func(key ContactKey) bool { return key.Fingerprint.OTR() == 4 })
}

func (c Contact) key(fp keys.Fingerprint) *ContactKey {
	for i := range c.Keys {
		if c.Keys[i].Fingerprint == fp {
			return &c.Keys[i]
		}
	}
	return nil
}

// Contacts returns all contacts, ordered by name.
func (h *Home) Contacts() ([]Contact, error) {
	err := h.check()
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	} else if err != nil {
		return nil, err
	}
	path := filepath.Join(h.dir, contactsFile)
	file, err := h.readPrivate(path, maxContacts)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	} else if err != nil {
		return nil, err
	}
	contacts, err := parseContacts(file)
	if err != nil {
		return nil, fmt.Errorf("%w: %s", err, path)
	}
	return contacts, nil
}

// Contact returns the contact with the name; ok is false if there is none.
func (h *Home) Contact(name string) (contact Contact, ok bool, err error) {
	contacts, err := h.Contacts()
	if err != nil {
		return Contact{}, false, err
	}
	i, ok := find(contacts, name)
	if !ok {
		return Contact{}, false, CheckContactName(name)
	}
	return contacts[i], true, nil
}

// RememberKey puts a key of a contact on file, or records that a known one was met again.
// Trust is raised to t, never lowered. A contact that does not exist is added, if
// CheckContactName accepts its name.
func (h *Home) RememberKey(contact string, fp keys.Fingerprint, t Trust, now time.Time) error {
	key := ContactKey{Fingerprint: fp, Trust: t, FirstSeen: now, LastSeen: now}
	return h.Remember([]Contact{{Name: contact, Keys: []ContactKey{key}}})
}

// RememberProfile is RememberKey for a version 4 key that was met in a session, whose key
// exchange has verified the contact's client profile.
func (h *Home) RememberProfile(contact string, fp keys.Fingerprint, t Trust, p Profile, now time.Time) error {
	key := ContactKey{Fingerprint: fp, Trust: t, FirstSeen: now, LastSeen: now, Profile: p.kept(now)}
	return h.Remember([]Contact{{Name: contact, Keys: []ContactKey{key}}})
}

// Remember is RememberKey for many keys: it writes all of them or none. A version 4 key may
// have a Profile, which replaces the one on file.
func (h *Home) Remember(list []Contact) error {
	for _, contact := range list {
		for _, key := range contact.Keys {
			if err := key.check(); err != nil {
				return err
			}
		}
	}
	return h.changeContacts(func(contacts []Contact) ([]Contact, error) {
		for _, contact := range list {
			// A contact on file keeps its name, even if only older programs accepted it.
			if _, ok := find(contacts, contact.Name); !ok {
				if err := CheckContactName(contact.Name); err != nil {
					return nil, err
				}
			}
			contacts = remember(contacts, contact)
		}
		return contacts, nil
	})
}

func remember(contacts []Contact, from Contact) []Contact {
	i, ok := find(contacts, from.Name)
	if !ok {
		contacts = slices.Insert(contacts, i, Contact{Name: from.Name})
	}
	contacts[i].add(from.Keys...)
	return contacts
}

// add adds keys, or merges them into those that are on file.
func (c *Contact) add(more ...ContactKey) {
	at := make(map[keys.Fingerprint]int, len(c.Keys)+len(more))
	for i, key := range c.Keys {
		at[key.Fingerprint] = i
	}
	for _, key := range more {
		if i, ok := at[key.Fingerprint]; ok {
			c.Keys[i].merge(key)
			continue
		}
		at[key.Fingerprint] = len(c.Keys)
		c.Keys = append(c.Keys, key)
	}
}

// merge merges a later key with the same fingerprint into the one that is on file.
func (k *ContactKey) merge(later ContactKey) {
	k.Trust = max(k.Trust, later.Trust)
	if later.LastSeen.After(k.LastSeen) {
		k.LastSeen = later.LastSeen
	}
	if later.Profile != (Profile{}) {
		k.Profile = later.Profile
	}
	if later.Client != (Client{}) {
		k.Client = later.Client
	}
}

// SetTrust sets the trust in a known key of a contact, up or down.
func (h *Home) SetTrust(contact string, fp keys.Fingerprint, t Trust) error {
	return h.changeContact(contact, func(c *Contact) error {
		key := c.key(fp)
		if key == nil {
			return noKey(*c, fp)
		}
		key.Trust = t
		return nil
	})
}

// Distrust lowers all keys of a contact to Seen.
func (h *Home) Distrust(contact string) error {
	return h.changeContact(contact, func(c *Contact) error {
		for i := range c.Keys {
			c.Keys[i].Trust = Seen
		}
		return nil
	})
}

// RemoveKey removes a key of a contact, or a told key. With the last key it also removes the
// contact, unless it has an address.
func (h *Home) RemoveKey(contact string, fp keys.Fingerprint) error {
	return h.changeContact(contact, func(c *Contact) error {
		if _, ok := c.Teller(fp); ok {
			for i := range c.Keys {
				if c.Keys[i].Told == fp {
					c.Keys[i].Told = keys.Fingerprint{}
				}
			}
			return nil
		}
		if c.key(fp) == nil {
			return noKey(*c, fp)
		}
		c.Keys = slices.DeleteFunc(c.Keys, func(key ContactKey) bool { return key.Fingerprint == fp })
		return nil
	})
}

// RemoveContact removes a contact with all its keys.
func (h *Home) RemoveContact(contact string) error {
	return h.changeContact(contact, func(c *Contact) error {
		c.Keys, c.Address = nil, Address{}
		return nil
	})
}

// RenameContact gives a contact another name. If that name is taken the error is ErrExists.
func (h *Home) RenameContact(old, name string) error {
	if err := CheckContactName(name); err != nil {
		return err
	}
	if err := h.mustHave(old); err != nil {
		return err
	}
	return h.changeContacts(func(contacts []Contact) ([]Contact, error) {
		i, ok := find(contacts, old)
		if !ok {
			return nil, h.noContact(old)
		}
		renamed := contacts[i]
		renamed.Name = name
		if _, taken := find(contacts, name); taken {
			return nil, fmt.Errorf("%w: contact %q", ErrExists, name)
		}
		contacts = slices.Delete(contacts, i, i+1)
		i, _ = find(contacts, name)
		return slices.Insert(contacts, i, renamed), nil
	})
}

// changeContact changes one contact, and removes it if neither a key nor an address is left.
func (h *Home) changeContact(name string, change func(*Contact) error) error {
	if err := h.mustHave(name); err != nil {
		return err
	}
	return h.changeContacts(func(contacts []Contact) ([]Contact, error) {
		i, ok := find(contacts, name)
		if !ok {
			return nil, h.noContact(name)
		}
		if err := change(&contacts[i]); err != nil {
			return nil, err
		}
		if len(contacts[i].Keys) == 0 && contacts[i].Address.IsZero() {
			contacts = slices.Delete(contacts, i, i+1)
		}
		return contacts, nil
	})
}

// mustHave checks that a contact exists before anything is locked, so that a mistyped name
// does not create a home.
func (h *Home) mustHave(name string) error {
	_, ok, err := h.Contact(name)
	if err == nil && !ok {
		err = h.noContact(name)
	}
	return err
}

// changeContacts reads, changes and writes the contacts while it holds the lock. If change
// fails, nothing is written.
func (h *Home) changeContacts(change func([]Contact) ([]Contact, error)) error {
	unlock, err := h.lock()
	if err != nil {
		return err
	}
	defer unlock()
	contacts, err := h.Contacts()
	if err != nil {
		return err
	}
	if contacts, err = change(contacts); err != nil {
		return err
	}
	dropTold(contacts)
	file := appendContacts(nil, contacts)
	path := filepath.Join(h.dir, contactsFile)
	if len(file) > maxContacts {
		return fmt.Errorf("%w: %s would have more than %d bytes", ErrFormat, path, maxContacts)
	}
	return replaceFile(path, file)
}

// dropTold removes told keys that no longer count, because a version 4 key of the contact is
// on file, or because the told key is on file as a contact's key.
func dropTold(contacts []Contact) {
	if !slices.ContainsFunc(contacts, Contact.HasTold) {
		return
	}
	owned := make(map[keys.Fingerprint]bool)
	for _, c := range contacts {
		for _, key := range c.Keys {
			owned[key.Fingerprint] = true
		}
	}
	for _, c := range contacts {
		moot := c.has4()
		for i := range c.Keys {
			if moot || owned[c.Keys[i].Told] {
				c.Keys[i].Told = keys.Fingerprint{}
			}
		}
	}
}

func find(contacts []Contact, name string) (int, bool) {
	return slices.BinarySearchFunc(contacts, name, func(c Contact, name string) int { return cmp.Compare(c.Name, name) })
}

func (h *Home) noContact(name string) error {
	return fmt.Errorf("%w: contact %q in %s", ErrNotFound, name, h.dir)
}

func noKey(c Contact, fp keys.Fingerprint) error {
	known := make([]string, len(c.Keys))
	for i, key := range c.Keys {
		known[i] = key.Fingerprint.String()
	}
	return fmt.Errorf("%w: key %v of contact %q, who has %s", ErrNotFound, fp, c.Name, strings.Join(known, ", "))
}
