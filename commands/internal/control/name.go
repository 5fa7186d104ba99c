// Package control connects the processes of one user that share a live session: the two halves
// of one end, and the commands that control it. They meet at a Unix socket in a folder that only
// the user can enter, named after home, identity and session. One process hosts the session; the
// others exchange JSON messages with it, and a half passes its streams as file descriptors.
package control

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"unicode"
	"unicode/utf8"

	"otrpipe/commands/internal/exit"
)

// A Name identifies a session. Sessions of the same name in another home, or of another
// identity, are different ones.
type Name struct {
	Home     string // absolute path
	Identity string // name, or absolute path of an identity file
	Session  string
}

// maxName bounds a session's name, in bytes, because the name is in every event and in the
// answers to status.
const maxName = 128

// ErrName says that a session cannot have this name.
var ErrName = errors.New("control: a name has 1 to 128 printable characters")

// CheckName refuses names that cannot be shown on one line.
func CheckName(s string) error {
	if s == "" || len(s) > maxName || !utf8.ValidString(s) {
		return ErrName
	}
	for _, r := range s {
		if !unicode.IsPrint(r) {
			return ErrName
		}
	}
	return nil
}

// file returns the name of the session's files without their endings. It is a hash, so that any
// session name fits into the path of a Unix socket, which has about a hundred bytes.
func (n Name) file() string {
	h := sha256.New()
	for _, s := range []string{n.Home, n.Identity, n.Session} {
		h.Write([]byte(s))
		h.Write([]byte{0})
	}
	return hex.EncodeToString(h.Sum(nil)[:12])
}

// Taken returns the error for a session name that is already in use.
func (n Name) Taken() *exit.Error {
	return exit.Errorf(exit.Session, "session %q is taken: another end is live under that name", n.Session).
		WithHint("give this end a name of its own, to both its halves: -s NAME")
}
