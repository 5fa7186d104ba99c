package commands

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
	"unicode"

	"otrpipe/commands/internal/control"
	"otrpipe/keyfile"
	"otrpipe/otr/keys"
)

// completionWait is how long completion waits for a live session to say its
// name: less than a person notices. One that was stopped says nothing.
const completionWait = 200 * time.Millisecond

// homeOf is the home that the command line names.
func (t *typed) homeOf() *keyfile.Home {
	home := openHome(t.c)
	if rest, ok := strings.CutPrefix(t.home, "~/"); ok {
		if user, err := os.UserHomeDir(); err == nil {
			t.home = filepath.Join(user, rest)
		}
	}
	if t.home != "" {
		home = keyfile.Open(t.home)
	}
	home.Warn = nil
	return home
}

func (t *typed) identities() []completionWord {
	list, _ := t.homeOf().Publics()
	var words []completionWord
	for _, public := range list {
		words = append(words, completionWord{public.Name, "an identity"})
	}
	return words
}

func (t *typed) contacts() []completionWord {
	list, _ := t.homeOf().Contacts()
	var words []completionWord
	for _, contact := range list {
		words = append(words, completionWord{contact.Name, "a contact"})
	}
	return words
}

// fingerprints are those of the contact that the first argument names, or of
// all contacts.
func (t *typed) fingerprints() []completionWord {
	list, _ := t.homeOf().Contacts()
	var words []completionWord
	for _, contact := range list {
		if t.contact != "" && t.contact != contact.Name {
			continue
		}
		for _, key := range contact.Keys {
			words = append(words, completionWord{key.Fingerprint.Hex(), keyMeans(contact.Name, key.Fingerprint, key.Trust)})
		}
	}
	return words
}

func keyMeans(contact string, fp keys.Fingerprint, trust keyfile.Trust) string {
	return fmt.Sprintf("%s, OTRv%d, %v", contact, fp.OTR(), trust)
}

// versions are the usual values of --otr, of which a fingerprint has one only.
func (t *typed) versions() []completionWord {
	if len(t.path) > 0 && t.path[0] == "fingerprint" {
		return []completionWord{{"3", ""}, {"4", ""}}
	}
	return []completionWord{{"4", ""}, {"34", ""}, {"3", ""}, {"23", ""}, {"2", ""}, {"234", ""}}
}

// modes are those of a stream; a chat has only one.
func (t *typed) modes() []completionWord {
	if t.command.Name == commandChat {
		return []completionWord{{modeLines, ""}}
	}
	return []completionWord{{modeStream, ""}, {modeLines, ""}}
}

// sessions are the live sessions that a command can have to do with: a half
// those that wait for it, a controller all of the home. Other ends need a name
// that no session has.
func (t *typed) sessions() []completionWord {
	role := ""
	switch name := t.command.Name; {
	case name == roleEncrypt || name == roleDecrypt:
		role = name
	case t.command.Category != groupCommandsLive:
		return nil
	}
	dir, err := control.Dir()
	if err != nil {
		return nil
	}
	home, err := realHome(t.homeOf().Dir())
	if err != nil {
		return nil
	}
	var words []completionWord
	for _, session := range control.Find(dir, completionWait) {
		if session.Home == home && (role == "" || session.Waits == otherRole(role)) {
			words = append(words, completionWord{session.Status.Session, string(session.Status.State)})
		}
		session.Close()
	}
	slices.SortFunc(words, func(a, b completionWord) int { return strings.Compare(a.text, b.text) })
	return slices.Compact(words)
}

// programsIn are the programs of $PATH whose names begin with prefix, where
// bash has nothing better to complete a command line with.
func programsIn(prefix string) []completionWord {
	var words []completionWord
	for _, folder := range filepath.SplitList(os.Getenv("PATH")) {
		entries, _ := os.ReadDir(folder)
		for _, entry := range entries {
			if strings.HasPrefix(entry.Name(), prefix) && isProgram(filepath.Join(folder, entry.Name())) {
				words = append(words, completionWord{entry.Name(), ""})
			}
		}
	}
	slices.SortFunc(words, func(a, b completionWord) int { return strings.Compare(a.text, b.text) })
	return slices.Compact(words)
}

func isProgram(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular() && info.Mode()&fs.FileMode(0o111) != 0 &&
		!strings.ContainsFunc(path, unicode.IsControl)
}
