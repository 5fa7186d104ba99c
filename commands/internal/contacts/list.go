package contacts

import (
	"fmt"
	"strings"

	"otrpipe/commands/internal/exit"
	"otrpipe/commands/internal/fingerprint"
	"otrpipe/keyfile"
	"otrpipe/otr/keys"
)

// A Document is a contact in the form in which commands print it as JSON.
type Document struct {
	Contact string           `json:"contact"`
	Address *addressDocument `json:"address,omitempty"` // if it is known
	Keys    []keyDocument    `json:"keys"`

	contact keyfile.Contact
}

// An addressDocument is a contact's address. Exactly one of its fields is set.
type addressDocument struct {
	TCP     string   `json:"tcp,omitempty"`
	Command []string `json:"command,omitempty"`
}

// AddressText returns an address as it is typed on a command line.
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
	By        string `json:"by,omitempty"` // how the key was verified: hand or secret
	FirstSeen string `json:"first_seen"`   // RFC 3339
	LastSeen  string `json:"last_seen"`

	Profile *profileDocument `json:"profile,omitempty"` // for a key of version 4 that has been used
	Told    string           `json:"told,omitempty"`    // a key of version 4 that was announced under this key and has not been used yet
}

// A profileDocument is the latest client profile that we have seen of a contact.
type profileDocument struct {
	Versions string `json:"versions"` // the versions that the contact speaks: "4" or "34"
	Expires  string `json:"expires"`  // RFC 3339; the profile is invalid from then on
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
			By:        map[keyfile.Trust]string{keyfile.Verified: "hand", keyfile.SMP: "secret"}[key.Trust],
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

// Text has the contact's name and, below it, one line per key with its trust. An announced key
// follows the key under which it was announced.
func (d Document) Text() string {
	return d.text(func(fp keys.Fingerprint, trust string) string {
		return "  " + fingerprint.Line(fp) + " " + trust + "\n"
	})
}

// TerminalText shows the keys in rows that are easy to read.
func (d Document) TerminalText() string {
	return d.text(func(fp keys.Fingerprint, trust string) string { return fingerprint.Block(fp, "  ", trust) })
}

func (d Document) text(key func(fp keys.Fingerprint, trust string) string) string {
	var b strings.Builder
	fmt.Fprintln(&b, d.contact.Name)
	if !d.contact.Address.IsZero() {
		fmt.Fprintf(&b, "  %s\n", AddressText(d.contact.Address))
	}
	for _, k := range d.contact.Keys {
		b.WriteString(key(k.Fingerprint, TrustText(k.Trust)))
		if !k.Told.IsZero() {
			b.WriteString(key(k.Told, "not met yet"))
		}
	}
	return b.String()
}

// TrustText describes the trust in a key on file.
func TrustText(t keyfile.Trust) string {
	switch t {
	case keyfile.Verified:
		return "verified by hand"
	case keyfile.SMP:
		return "verified by secret"
	}
	return "known"
}

// A List is the list of contacts that commands print.
type List []Document

// Text joins the texts of the contacts.
func (l List) Text() string {
	var b strings.Builder
	for _, d := range l {
		b.WriteString(d.Text())
	}
	return b.String()
}

// TerminalText joins the terminal texts of the contacts.
func (l List) TerminalText() string {
	var b strings.Builder
	for _, d := range l {
		b.WriteString(d.TerminalText())
	}
	return b.String()
}
