package keyfile

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
)

// What can be wrong with a key file, a contact or a passphrase.
var (
	ErrNotFound   = errors.New("keyfile: not found")
	ErrExists     = errors.New("keyfile: exists already")
	ErrUnsafe     = errors.New("keyfile: unsafe")
	ErrPassphrase = errors.New("keyfile: passphrase")
	ErrFormat     = errors.New("keyfile: damaged or foreign file")
	ErrNewer      = errors.New("keyfile: made by a newer otrpipe")
	ErrMismatch   = errors.New("keyfile: the public part does not belong to the private part")
	ErrName       = errors.New("keyfile: name")
	ErrChanged    = errors.New("keyfile: changed meanwhile by another process")
	ErrLocked     = errors.New("keyfile: locked")
	ErrHome       = errors.New("keyfile: no home folder")
)

// An UnsafeError refuses a file or folder that is not private. It is an
// ErrUnsafe.
type UnsafeError struct {
	Path   string
	Reason string // why, as a predicate: "has mode 0644 …"
	Fix    string // the command to run, or what to do; may be empty
}

func (e *UnsafeError) Error() string { return "keyfile: " + e.Path + " " + e.Reason }

// Is makes errors.Is(err, ErrUnsafe) true.
func (e *UnsafeError) Is(target error) bool { return target == ErrUnsafe }

// A ChoiceError says that a file of libotr has several accounts and that it was
// not said, or not sharply enough, which one is meant; or that it has none of
// those meant.
type ChoiceError struct {
	Path     string
	Accounts []Account // those in the file, in its order
	None     bool      // none of them is the one that was asked for
}

func (e *ChoiceError) Error() string {
	names := make([]string, len(e.Accounts))
	for i, a := range e.Accounts {
		names[i] = a.String()
	}
	what := "has several accounts"
	if e.None {
		what = "does not have that account; it has"
	}
	return fmt.Sprintf("keyfile: %s %s: %s", e.Path, what, strings.Join(names, ", "))
}

// pathError puts what the operating system refused in one clear line. The
// operation's name is left out: the user did not ask for an "openat".
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

// errorAt is pathError for a temporary file, whose name nobody knows: path is the file that
// it was to become.
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
