package files

import (
	"errors"
	"io/fs"
	"syscall"

	"otrpipe/commands/internal/descriptor"
	"otrpipe/commands/internal/exit"
)

// OutputError gives an error of writing to standard output its exit code and its text.
func OutputError(err error) *exit.Error {
	code := exit.Failure
	if descriptor.ReaderGone(err) {
		code = 128 + int(syscall.SIGPIPE)
	}
	// The name of a standard stream means nothing to the user.
	if pathErr := (*fs.PathError)(nil); errors.As(err, &pathErr) {
		err = pathErr.Err
	}
	return exit.Errorf(code, "writing the output: %w", err)
}
