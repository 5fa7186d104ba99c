package identities

import (
	"fmt"
	"strings"

	"otrpipe/commands/internal/fingerprint"
	"otrpipe/keyfile"
	"otrpipe/otr/keys"
)

// A Document is the form in which commands print an identity.
type Document struct {
	Identity  string            `json:"identity"`
	Instance  *string           `json:"instance"` // 8 hexadecimal digits; null if a file of libotr has none
	Keys      []fingerprint.Key `json:"keys"`
	Protected *bool             `json:"protected,omitempty"`

	keys []keys.Fingerprint
}

// Describe returns an identity with its keys.
func Describe(public keyfile.Public) Document {
	d := Document{Identity: public.Name, Keys: []fingerprint.Key{}, keys: public.Keys}
	if public.InstanceTag != 0 {
		tag := fmt.Sprintf("%08x", public.InstanceTag)
		d.Instance = &tag
	}
	for _, fp := range public.Keys {
		d.Keys = append(d.Keys, fingerprint.JSON(fp))
	}
	return d
}

// Text has one line per key.
func (d Document) Text() string { return d.text("", line) }

// TerminalText shows the keys in rows that are easy to read.
func (d Document) TerminalText() string { return d.text("", block) }

// A layout formats a key with an indent.
type layout func(fp keys.Fingerprint, indent string) string

func line(fp keys.Fingerprint, indent string) string { return indent + fingerprint.Line(fp) + "\n" }

func block(fp keys.Fingerprint, indent string) string { return fingerprint.Block(fp, indent, "") }

func (d Document) text(indent string, key layout) string {
	var b strings.Builder
	for _, fp := range d.keys {
		b.WriteString(key(fp, indent))
	}
	return b.String()
}

// A List is the list of identities that commands print.
type List []Document

// All returns the identities of a home. If some cannot be read, it returns the others together
// with an error.
func All(home *keyfile.Home) (List, []error) {
	publics, err := home.Publics()
	list := List{}
	for _, public := range publics {
		d := Describe(public)
		d.Protected = &public.Protected
		list = append(list, d)
	}
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		return list, joined.Unwrap()
	} else if err != nil {
		return list, []error{err}
	}
	return list, nil
}

// Text has the name of each identity and, below it, one line per key.
func (l List) Text() string { return l.text(line) }

// TerminalText shows the keys in rows that are easy to read.
func (l List) TerminalText() string { return l.text(block) }

func (l List) text(key layout) string {
	var b strings.Builder
	for _, d := range l {
		note := ""
		if *d.Protected {
			note = " (protected)"
		}
		fmt.Fprintf(&b, "%s%s\n%s", d.Identity, note, d.text("  ", key))
	}
	return b.String()
}
