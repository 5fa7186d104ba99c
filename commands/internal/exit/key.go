package exit

import (
	"errors"
	"io/fs"

	"otrpipe/keyfile"
)

// keyFileErrors are the key file errors that only the user can resolve.
var keyFileErrors = []error{
	keyfile.ErrNotFound, keyfile.ErrExists, keyfile.ErrUnsafe, keyfile.ErrPassphrase,
	fs.ErrNotExist, fs.ErrPermission,
}

// Key gives an error of package keyfile its exit code and a hint. It returns nil for nil, and an
// error that already has an exit code unchanged.
func Key(err error) error {
	var e *Error
	var s silent
	if err == nil || errors.As(err, &e) || errors.As(err, &s) {
		return err
	}
	var unsafe *keyfile.UnsafeError
	var choice *keyfile.ChoiceError
	text := Plain(err)
	switch {
	case errors.As(err, &unsafe) && unsafe.Fix != "":
		return Errorf(KeyFile, "%w", text).WithHint("%s", unsafe.Fix)
	case errors.As(err, &choice):
		return Errorf(Usage, "%w", text).WithHint("choose with --account and --protocol")
	case errors.Is(err, keyfile.ErrName):
		return Errorf(Usage, "%w", text)
	case errors.Is(err, keyfile.ErrHome):
		return Errorf(KeyFile, "%w", text).WithHint("name the folder with --home DIR")
	case errors.Is(err, keyfile.ErrLocked):
		return Errorf(Timeout, "%w", text).WithHint("try again when the other process has ended")
	case errors.Is(err, keyfile.ErrChanged):
		return Errorf(KeyFile, "%w", text).WithHint("see what has changed, and try again")
	case errors.Is(err, keyfile.ErrNewer):
		return Errorf(KeyFile, "%w", text).WithHint("use a newer otrpipe")
	case errors.Is(err, keyfile.ErrFormat), errors.Is(err, keyfile.ErrMismatch):
		return Errorf(KeyFile, "%w", text).WithHint("restore the file from a copy")
	}
	for _, known := range keyFileErrors {
		if errors.Is(err, known) {
			return Errorf(KeyFile, "%w", text)
		}
	}
	return Errorf(Failure, "%w", text)
}
