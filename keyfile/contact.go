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

// maxContacts is the longest contacts file in bytes: tens of thousands of keys,
// and still read in a moment.
const maxContacts = 16 << 20

// Trust is how far a contact's key is trusted. A greater value is more.
type Trust int

const (
	Seen     Trust = iota // on file: it was met in a session, or given by hand
	Verified              // somebody has compared the fingerprint
	SMP                   // both ends have proved to know the same secret
)

var trustNames = [...]string{Seen: "seen", Verified: "verified", SMP: "smp"}

// String returns "seen", "verified" or "smp".
func (t Trust) String() string {
	if t < 0 || int(t) >= len(trustNames) {
		return fmt.Sprintf("Trust(%d)", int(t))
	}
	return trustNames[t]
}

// UnmarshalText is the opposite of String.
func (t *Trust) UnmarshalText(b []byte) error {
	i := slices.Index(trustNames[:], string(b))
	if i < 0 {
		return fmt.Errorf("%w: unknown trust %q", ErrFormat, b)
	}
	*t = Trust(i)
	return nil
}

// A ContactKey is one key of a contact, known by its fingerprint.
type ContactKey struct {
	Fingerprint keys.Fingerprint
	Trust       Trust
	FirstSeen   time.Time // when it came on file
	LastSeen    time.Time // when it was last met, in a session or by hand
	Profile     Profile   // what the contact said with it last; zero: nothing is known
	Client      Client    // where it was met last; zero: not in a session

	// Told is the key of version 4 that the contact has told in a session with this key of
	// version 3, and with which it has not been met yet; zero: none. It is no key of the
	// contact: Home.MeetTold makes it one. A contact with a key of version 4 has none, nor
	// is a key of any contact told.
	Told keys.Fingerprint
}

// A Client is the program of a contact that a session was with.
type Client struct {
	OTR      int    // the version that it spoke
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

// A Profile is what is kept of a contact's client profile of OTR version 4, which
// its key has signed.
type Profile struct {
	Versions wire.Versions // the versions that the contact speaks: 4, or 3 and 4
	Expires  time.Time     // when that ceases to hold
}

// maxProfile is how long what a profile says is believed at most. The specification
// recommends profiles of a week; one that is signed for centuries is a mistake, or has
// a date that a file cannot hold.
const maxProfile = 366 * 24 * time.Hour

// Speaks says whether the contact has said that it speaks a version, and that holds at
// now. A profile that has expired says nothing, nor does one that is not known.
func (p Profile) Speaks(version int, now time.Time) bool {
	return now.Before(p.Expires) && p.Versions.Has(version)
}

// kept returns the profile as it is put on file at now.
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

// A Contact is somebody: their keys, the oldest first, and how they are reached. One or the
// other may be missing, but not both.
type Contact struct {
	Name    string
	Keys    []ContactKey
	Address Address // zero: it is not known
}

// An Address is how a contact is reached. At most one of its fields is set.
type Address struct {
	TCP     string   // HOST:PORT, to be dialled
	Command []string // the words of a command that carries the lines
}

// maxAddress bounds an address, in bytes: the longest command line that a person writes.
const maxAddress = 8 << 10

// IsZero reports whether there is no address.
func (a Address) IsZero() bool { return a.TCP == "" && len(a.Command) == 0 }

// check refuses an address that cannot be put on file.
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

// SetAddress puts on file how a contact is reached, or, with the zero Address, that it is not
// known. A contact that is not there is made, if CheckContactName takes its name; one that
// has neither a key nor an address any more is removed.
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

// Teller returns the contact's key in whose session a key of version 4 was told that is
// still to be met.
func (c Contact) Teller(fp keys.Fingerprint) (ContactKey, bool) {
	for _, key := range c.Keys {
		if !fp.IsZero() && key.Told == fp {
			return key, true
		}
	}
	return ContactKey{}, false
}

// HasTold reports whether the contact has told a key that is still to be met.
func (c Contact) HasTold() bool {
	return slices.ContainsFunc(c.Keys, func(key ContactKey) bool { return !key.Told.IsZero() })
}

// has4 reports whether a key of version 4 is on file for the contact.
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

// Contacts returns all contacts in the order of their names.
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

// Contact returns one contact; ok is false if there is none of the name.
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

// RememberKey puts a key of a contact on file, or takes note that a known one
// was met again. Trust is raised to t, never lowered. A contact that is not
// there is made, if CheckContactName takes its name.
func (h *Home) RememberKey(contact string, fp keys.Fingerprint, t Trust, now time.Time) error {
	key := ContactKey{Fingerprint: fp, Trust: t, FirstSeen: now, LastSeen: now}
	return h.Remember([]Contact{{Name: contact, Keys: []ContactKey{key}}})
}

// RememberProfile is RememberKey for a key of version 4 that was met in a session, whose
// exchange has verified the contact's client profile.
func (h *Home) RememberProfile(contact string, fp keys.Fingerprint, t Trust, p Profile, now time.Time) error {
	key := ContactKey{Fingerprint: fp, Trust: t, FirstSeen: now, LastSeen: now, Profile: p.kept(now)}
	return h.Remember([]Contact{{Name: contact, Keys: []ContactKey{key}}})
}

// Remember is RememberKey for many keys in one write: all of them or none. Keys of
// version 4 may bring a Profile, which takes the place of the one on file.
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
			// A contact on file keeps its name, whatever an older program let pass.
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
	for _, key := range from.Keys {
		contacts[i].add(key)
	}
	return contacts
}

// add adds a key, or what is more in it than in the one that is there.
func (c *Contact) add(key ContactKey) {
	old := c.key(key.Fingerprint)
	if old == nil {
		c.Keys = append(c.Keys, key)
		return
	}
	old.Trust = max(old.Trust, key.Trust)
	if key.LastSeen.After(old.LastSeen) {
		old.LastSeen = key.LastSeen
	}
	if key.Profile != (Profile{}) {
		old.Profile = key.Profile
	}
	if key.Client != (Client{}) {
		old.Client = key.Client
	}
}

// SetTrust sets how far a known key of a contact is trusted, up or down.
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

// RemoveKey removes a key of a contact, and the contact with its last key unless it has an
// address; or it forgets a key that was told.
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

// RenameContact gives a contact another name. One that has that name already
// stays: ErrExists.
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

// changeContact changes one contact, which is removed if neither a key nor an address is left.
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

// mustHave looks before anything is locked, so that a mistyped name makes no home.
func (h *Home) mustHave(name string) error {
	_, ok, err := h.Contact(name)
	if err == nil && !ok {
		err = h.noContact(name)
	}
	return err
}

// changeContacts reads, changes and writes the contacts, with the lock held. If
// change fails nothing is written.
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

// dropTold forgets what was told where it can count no more: a contact's first key of version
// 4 is on file, or the key that was told has turned out to be a contact's.
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
