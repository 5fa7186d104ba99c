package contacts

import (
	"fmt"
	"strings"

	"otrpipe/commands/internal/exit"
	"otrpipe/commands/internal/fingerprint"
	"otrpipe/keyfile"
)

// A Document is a contact as commands print it in JSON.
type Document struct {
	Contact string           `json:"contact"`
	Address *addressDocument `json:"address,omitempty"` // where it is known
	Keys    []keyDocument    `json:"keys"`

	contact keyfile.Contact
}

// An addressDocument is how a contact is reached. One of its fields is there.
type addressDocument struct {
	TCP     string   `json:"tcp,omitempty"`
	Command []string `json:"command,omitempty"`
}

// AddressText is an address as it is given on a command line.
func AddressText(a keyfile.Address) string {
	if a.TCP != "" {
		return "--tcp " + exit.ShellWord(a.TCP)
	}
	words := []string{"--"}
	for _, word := range a.Command {
		words = append(words, exit.ShellWord(word))
	}
	return strings.Join(words, " ")
}

type keyDocument struct {
	fingerprint.Key
	Trust     string `json:"trust"`
	FirstSeen string `json:"first_seen"` // RFC 3339
	LastSeen  string `json:"last_seen"`

	Profile *profileDocument `json:"profile,omitempty"` // of a key of version 4 that has been met
	Told    string           `json:"told,omitempty"`    // a key of version 4 that this key has told and that has not been met yet
}

// A profileDocument is the last client profile of a contact that we have seen.
type profileDocument struct {
	Versions string `json:"versions"` // which the contact speaks: "4" or "34"
	Expires  string `json:"expires"`  // RFC 3339; from then on the profile means nothing
}

// Describe returns a contact with its keys.
func Describe(contact keyfile.Contact) Document {
	d := Document{Contact: contact.Name, Keys: []keyDocument{}, contact: contact}
	if a := contact.Address; !a.IsZero() {
		d.Address = &addressDocument{a.TCP, a.Command}
	}
	for _, key := range contact.Keys {
		k := keyDocument{
			Key:       fingerprint.JSON(key.Fingerprint),
			Trust:     key.Trust.String(),
			FirstSeen: keyfile.FormatTime(key.FirstSeen),
			LastSeen:  keyfile.FormatTime(key.LastSeen),
		}
		if p := key.Profile; p != (keyfile.Profile{}) {
			k.Profile = &profileDocument{p.Versions.Digits(), keyfile.FormatTime(p.Expires)}
		}
		if !key.Told.IsZero() {
			k.Told = key.Told.Hex()
		}
		d.Keys = append(d.Keys, k)
	}
	return d
}

// Text has the contact's name and, below it, its keys with how far they are trusted. A key that
// was told follows the key that told it.
func (d Document) Text() string {
	var b strings.Builder
	fmt.Fprintln(&b, d.contact.Name)
	if !d.contact.Address.IsZero() {
		fmt.Fprintf(&b, "  %s\n", AddressText(d.contact.Address))
	}
	for _, key := range d.contact.Keys {
		fmt.Fprintf(&b, "  %s %v\n", fingerprint.Line(key.Fingerprint), key.Trust)
		if !key.Told.IsZero() {
			fmt.Fprintf(&b, "  %s told\n", fingerprint.Line(key.Told))
		}
	}
	return b.String()
}

// A List is contacts as commands print them.
type List []Document

// Text has the text of each contact.
func (l List) Text() string {
	var b strings.Builder
	for _, d := range l {
		b.WriteString(d.Text())
	}
	return b.String()
}
