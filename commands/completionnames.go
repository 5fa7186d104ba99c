package commands

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"otrpipe/commands/internal/complete"
	"otrpipe/commands/internal/control"
	"otrpipe/commands/internal/halves"
	"otrpipe/keyfile"
	"otrpipe/otr/keys"
	"otrpipe/otr/wire"
)

// completionWait is how long completion waits for a live session to say its
// name: less than a person notices. One that was stopped says nothing.
const completionWait = 200 * time.Millisecond

// homeOf is the home that the command line names.
func homeOf(t *complete.Typed) *keyfile.Home {
	folder := t.Values[flagHome]
	if rest, ok := strings.CutPrefix(folder, "~/"); ok {
		if user, err := os.UserHomeDir(); err == nil {
			folder = filepath.Join(user, rest)
		}
	}
	home := openHome(t.Context)
	if folder != "" {
		home = keyfile.Open(folder)
	}
	home.Warn = nil
	return home
}

// contactOf is the contact that the first argument names; "": none is named.
func contactOf(t *complete.Typed) string {
	if len(t.Arguments) == 0 {
		return ""
	}
	return t.Arguments[0]
}

func knownIdentities(t *complete.Typed) []complete.Word {
	list, _ := homeOf(t).Publics()
	var words []complete.Word
	for _, public := range list {
		words = append(words, complete.Word{Text: public.Name, Means: "an identity"})
	}
	return words
}

func knownContacts(t *complete.Typed) []complete.Word {
	list, _ := homeOf(t).Contacts()
	var words []complete.Word
	for _, contact := range list {
		words = append(words, complete.Word{Text: contact.Name, Means: "a contact"})
	}
	return words
}

// knownFingerprints are those of the contact that the first argument names, or of
// all contacts.
func knownFingerprints(t *complete.Typed) []complete.Word {
	list, _ := homeOf(t).Contacts()
	var words []complete.Word
	for _, contact := range list {
		if contactOf(t) != "" && contactOf(t) != contact.Name {
			continue
		}
		for _, key := range contact.Keys {
			words = append(words, complete.Word{Text: key.Fingerprint.Hex(), Means: keyMeans(contact.Name, key.Fingerprint, key.Trust)})
		}
	}
	return words
}

func keyMeans(contact string, fp keys.Fingerprint, trust keyfile.Trust) string {
	return fmt.Sprintf("%s, OTRv%d, %v", contact, fp.OTR(), trust)
}

// knownVersions are the usual values of --otr, of which a fingerprint has one only.
func knownVersions(t *complete.Typed) complete.Completion {
	if len(t.Path) > 0 && t.Path[0] == "fingerprint" {
		return complete.These(digits(wire.MakeVersions(3), wire.MakeVersions(4))...)(t)
	}
	return complete.These(digits(
		wire.MakeVersions(4), wire.MakeVersions(3, 4), wire.MakeVersions(3),
		wire.MakeVersions(2, 3), wire.MakeVersions(2), wire.MakeVersions(2, 3, 4),
	)...)(t)
}

func digits(sets ...wire.Versions) (all []string) {
	for _, set := range sets {
		all = append(all, set.Digits())
	}
	return all
}

// knownModes are those of a stream; a chat has only one.
func knownModes(t *complete.Typed) complete.Completion {
	if t.Command.Name == commandChat {
		return complete.These(modeLines)(t)
	}
	return complete.These(modeStream, modeLines)(t)
}

// knownSessions are the live sessions that a command can have to do with: a half
// those that wait for it, a controller all of the home. Other ends need a name
// that no session has.
func knownSessions(t *complete.Typed) []complete.Word {
	role := ""
	switch name := t.Command.Name; {
	case name == halves.Encrypt || name == halves.Decrypt:
		role = name
	case t.Command.Category != groupCommandsLive:
		return nil
	}
	dir, err := control.Dir()
	if err != nil {
		return nil
	}
	home, err := homeOf(t).RealPath()
	if err != nil {
		return nil
	}
	var words []complete.Word
	answered, silent := control.Find(dir, completionWait, control.Filter{Home: home})
	for _, s := range silent {
		if role == "" {
			words = append(words, complete.Word{Text: s.Session, Means: string(control.StateSilent)})
		}
	}
	for _, session := range answered {
		if role == "" || session.Waits == halves.Other(role) {
			words = append(words, complete.Word{Text: session.Status.Session, Means: string(session.Status.State)})
		}
		session.Close()
	}
	slices.SortFunc(words, func(a, b complete.Word) int { return strings.Compare(a.Text, b.Text) })
	return slices.Compact(words)
}
