package keyfile

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
)

// The errors for key files, contacts and passphrases.
var (
	ErrNotFound   = errors.New("keyfile: not found")
	ErrExists     = errors.New("keyfile: exists already")
	ErrUnsafe     = errors.New("keyfile: unsafe")     // others have access: an *UnsafeError
	ErrPassphrase = errors.New("keyfile: passphrase") // it is missing or wrong
	ErrFormat     = errors.New("keyfile: damaged or foreign file")
	ErrNewer      = errors.New("keyfile: made by a newer otrpipe")
	ErrMismatch   = errors.New("keyfile: the public part does not belong to the private part")
	ErrName       = errors.New("keyfile: name") // it cannot be used: CheckName, CheckContactName
	ErrChanged    = errors.New("keyfile: changed meanwhile by another process")
	ErrLocked     = errors.New("keyfile: locked")
	ErrHome       = errors.New("keyfile: no home folder")
)

// An UnsafeError reports a file or folder that is not private. It is an ErrUnsafe.
type UnsafeError struct {
	Path   string
	Reason string // why, as a predicate: "has mode 0644 …"
	Fix    string // the command to run, or what to do; may be empty
}

func (e *UnsafeError) Error() string { return "keyfile: " + e.Path + " " + e.Reason }

// Is makes errors.Is(err, ErrUnsafe) true.
func (e *UnsafeError) Is(target error) bool { return target == ErrUnsafe }

// A ChoiceError means that a libotr file has several accounts that match the request, or
// none.
type ChoiceError struct {
	Path     string
	Accounts []Account // all accounts in the file, in its order
	None     bool      // none of them matches
}

// maxListed is how many accounts an error lists. People have a few.
const maxListed = 20

func (e *ChoiceError) Error() string {
	var names []string
	for i, a := range e.Accounts {
		if i == maxListed {
			names = append(names, fmt.Sprintf("and %d more", len(e.Accounts)-i))
			break
		}
		names = append(names, a.String())
	}
	what := "has several accounts"
	if e.None {
		what = "does not have that account; it has"
	}
	return fmt.Sprintf("keyfile: %s %s: %s", e.Path, what, strings.Join(names, ", "))
}

// pathError turns an error of the operating system into one clear line. It leaves out the
// operation's name, such as "openat", which means nothing to the user.
func pathError(err error) error {
	var file *fs.PathError
	var link *os.LinkError
	switch {
	case errors.As(err, &file):
		return fmt.Errorf("keyfile: %s: %w", file.Path, file.Err)
	case errors.As(err, &link):
		return fmt.Errorf("keyfile: %s: %w", link.New, link.Err)
	}
	return fmt.Errorf("keyfile: %w", err)
}

// errorAt is pathError for a temporary file, whose name the user does not know: path is the
// file that it was meant to replace.
func errorAt(path string, err error) error {
	var file *fs.PathError
	var link *os.LinkError
	switch {
	case errors.As(err, &file):
		err = file.Err
	case errors.As(err, &link):
		err = link.Err
	}
	return fmt.Errorf("keyfile: %s: %w", path, err)
}
