// Package names lists the names in a home for completion: its identities, its contacts and their
// fingerprints, and its live sessions. It never prompts and never reports errors: names that
// cannot be looked up are left out.
package names

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"otrpipe/commands/internal/complete"
	"otrpipe/commands/internal/contacts"
	"otrpipe/commands/internal/control"
	"otrpipe/commands/internal/halves"
	"otrpipe/keyfile"
)

// sessionWait is how long a live session may take to tell its name. It is short enough not to be
// noticed; a session whose process is stopped never answers.
const sessionWait = 200 * time.Millisecond

// Home opens the home in a folder that was typed on a command line, where no shell has replaced
// ~ yet.
func Home(folder string) *keyfile.Home {
	if rest, ok := strings.CutPrefix(folder, "~/"); ok {
		if user, err := os.UserHomeDir(); err == nil {
			folder = filepath.Join(user, rest)
		}
	}
	return keyfile.Open(folder)
}

// Identities lists the identities of the home.
func Identities(home *keyfile.Home) []complete.Word {
	list, _ := home.Publics()
	var words []complete.Word
	for _, public := range list {
		words = append(words, complete.Word{Text: public.Name, Means: "an identity"})
	}
	return words
}

// Contacts lists the contacts of the home.
func Contacts(home *keyfile.Home) []complete.Word {
	list, _ := home.Contacts()
	var words []complete.Word
	for _, contact := range list {
		words = append(words, complete.Word{Text: contact.Name, Means: "a contact"})
	}
	return words
}

// Reachable lists the contacts of the home that have an address.
func Reachable(home *keyfile.Home) []complete.Word {
	list, _ := home.Contacts()
	var words []complete.Word
	for _, contact := range list {
		if !contact.Address.IsZero() {
			words = append(words, complete.Word{Text: contact.Name, Means: contacts.AddressText(contact.Address)})
		}
	}
	return words
}

// Fingerprints lists the fingerprints of the named contact, or of all contacts if the name is
// "".
func Fingerprints(home *keyfile.Home, of string) []complete.Word {
	list, _ := home.Contacts()
	var words []complete.Word
	for _, contact := range list {
		if of != "" && of != contact.Name {
			continue
		}
		for _, key := range contact.Keys {
			fp := key.Fingerprint
			words = append(words, complete.Word{Text: fp.Hex(), Means: fmt.Sprintf("%s, OTRv%d, %s", contact.Name, fp.OTR(), contacts.TrustText(key.Trust))})
		}
	}
	return words
}

// Sessions lists the live sessions of the home.
func Sessions(home *keyfile.Home) []complete.Word {
	return sessions(home, func(*control.Client) bool { return true }, true)
}

// WaitingFor lists the live sessions of the home that wait for a half of the given role.
func WaitingFor(home *keyfile.Home, role string) []complete.Word {
	return sessions(home, func(c *control.Client) bool { return c.Waits == halves.Other(role) }, false)
}

// sessions lists the sessions that answer and match; with silent, also those that do not answer.
func sessions(home *keyfile.Home, meant func(*control.Client) bool, silent bool) []complete.Word {
	dir, err := control.Dir()
	if err != nil {
		return nil
	}
	path, err := home.RealPath()
	if err != nil {
		return nil
	}
	var words []complete.Word
	answered, stopped := control.Find(dir, sessionWait, control.Filter{Home: path})
	for _, client := range answered {
		if meant(client) {
			words = append(words, complete.Word{Text: client.Status.Session, Means: string(client.Status.State)})
		}
		client.Close()
	}
	if silent {
		for _, s := range stopped {
			words = append(words, complete.Word{Text: s.Session, Means: string(control.StateSilent)})
		}
	}
	slices.SortFunc(words, func(a, b complete.Word) int { return strings.Compare(a.Text, b.Text) })
	return slices.Compact(words)
}
