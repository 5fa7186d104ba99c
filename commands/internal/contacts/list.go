package contacts

import (
	"fmt"
	"strings"

	"otrpipe/commands/internal/exit"
	"otrpipe/commands/internal/fingerprint"
	"otrpipe/keyfile"
	"otrpipe/otr/keys"
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
	By        string `json:"by,omitempty"` // of a verified key: hand or secret
	FirstSeen string `json:"first_seen"`   // RFC 3339
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

// Text has the contact's name and, below it, a line for each key with how far it is trusted. A
// key that was told follows the key that told it.
func (d Document) Text() string {
	return d.text(func(fp keys.Fingerprint, trust string) string {
		return "  " + fingerprint.Line(fp) + " " + trust + "\n"
	})
}

// TerminalText has the keys in rows to be read.
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

// TrustText says for people how far a key on file is trusted.
func TrustText(t keyfile.Trust) string {
	switch t {
	case keyfile.Verified:
		return "verified by hand"
	case keyfile.SMP:
		return "verified by secret"
	}
	return "known"
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

// TerminalText has the TerminalText of each contact.
func (l List) TerminalText() string {
	var b strings.Builder
	for _, d := range l {
		b.WriteString(d.TerminalText())
	}
	return b.String()
}
