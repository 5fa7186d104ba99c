package commands

import (
	"fmt"
	"regexp"
)

// The exit codes that scripts depend on. 129, 130, 141 and 143 are 128 plus the
// signal that ended the session.
const (
	exitOK        = 0
	exitFailure   = 1   // any other failure
	exitUsage     = 2   // wrong usage
	exitRefused   = 3   // the peer's key was refused
	exitSMP       = 4   // SMP failed, or was aborted
	exitBroken    = 5   // the stream broke before its authenticated end
	exitKey       = 6   // a key file or passphrase is missing, wrong or unsafe
	exitTimeout   = 7   // a time limit passed
	exitSession   = 8   // no such session, or it is taken
	exitCannotRun = 127 // COMMAND cannot be run
)

// An exitError ends the program with a code of its own. Its text is printed as
// "otrpipe: …", its hint as a second line "otrpipe: hint: …".
type exitError struct {
	code   int
	err    error
	tip    string
	silent bool // already said, or nothing to say: only the code is left
}

// fail makes an exitError; format may wrap another error with %w.
func fail(code int, format string, a ...any) *exitError {
	return &exitError{code: code, err: fmt.Errorf(format, a...)}
}

// hint adds what the user can do next.
func (e *exitError) hint(format string, a ...any) *exitError {
	e.tip = fmt.Sprintf(format, a...)
	return e
}

func (e *exitError) Error() string { return e.err.Error() }

func (e *exitError) Unwrap() error { return e.err }

// leave makes an exitError that prints nothing.
func leave(code int) *exitError {
	return &exitError{code: code, err: fmt.Errorf("exit code %d", code), silent: true}
}

// packages are the names of packages that errors are led by, wherever in a chain
// of them.
var packages = regexp.MustCompile(`(^|: )(?:(?:otr|stream|wire|v3|v4|smp|keys|keyfile|session|terminal|editor): )+`)

// forPeople is err without the names of the packages that it comes from: people
// know files and peers, not packages.
func forPeople(err error) error {
	return &said{err, packages.ReplaceAllString(err.Error(), "$1")}
}

// said is an error with another text.
type said struct {
	err  error
	text string
}

func (s *said) Error() string { return s.text }

func (s *said) Unwrap() error { return s.err }
