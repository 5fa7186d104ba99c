// Package exit defines the exit codes of the program and the errors that end it with one of
// them, and turns other packages' errors into messages for users.
package exit

import (
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
)

// The exit codes that scripts depend on. 129, 130, 131, 141 and 143 are 128 plus the
// signal that ended the session.
const (
	OK        = 0
	Failure   = 1   // any other failure
	Usage     = 2   // wrong usage
	Refused   = 3   // the peer's key was refused
	SMP       = 4   // SMP failed, or was aborted
	Broken    = 5   // the stream broke before its authenticated end
	KeyFile   = 6   // a key file or passphrase is missing, wrong or unsafe
	Timeout   = 7   // a time limit passed
	Session   = 8   // no such session, or it is taken
	CannotRun = 127 // COMMAND cannot be run
)

// An Error ends the program with an exit code of its own. Its text is printed as
// "otrpipe: …", its hint as a second line "otrpipe: hint: …".
type Error struct {
	Code   int
	Err    error  // never nil
	Hint   string // what the user can do next; "": none
	Silent bool   // only the code counts, because everything has been printed already
}

// Errorf makes an Error. Its format may wrap another error with %w.
func Errorf(code int, format string, a ...any) *Error {
	return &Error{Code: code, Err: fmt.Errorf(format, a...)}
}

// Silently makes an Error that prints nothing.
func Silently(code int) *Error {
	return &Error{Code: code, Err: fmt.Errorf("exit code %d", code), Silent: true}
}

// WithHint sets the hint and returns e.
func (e *Error) WithHint(format string, a ...any) *Error {
	e.Hint = fmt.Sprintf(format, a...)
	return e
}

func (e *Error) Error() string { return e.Err.Error() }

func (e *Error) Unwrap() error { return e.Err }

// A silent error of another package ends the program without a message.
type silent interface {
	SilentExitCode() int
}

// As returns err, which must not be nil, as an Error: the one that it wraps, or a new one with
// the code Failure.
func As(err error) *Error {
	var e *Error
	if errors.As(err, &e) {
		return e
	}
	var s silent
	if errors.As(err, &s) {
		return Silently(s.SilentExitCode())
	}
	return Errorf(Failure, "%w", err)
}

// packages lists the packages of this module whose errors begin with the package's name. A test
// compares the list with the code.
var packages = []string{
	"closed",
	"code",
	"control",
	"descriptor",
	"editor",
	"events",
	"group",
	"guesses",
	"keyfile",
	"keys",
	"offline",
	"otr",
	"smp",
	"stream",
	"terminal",
	"toolkit",
	"transfer",
	"transport",
	"v3",
	"v4",
	"wire",
}

// Plain returns the text of err without package names and without the system call that the error of
// a file names, which mean nothing to users.
func Plain(err error) error {
	const separator = ": "
	text, rest := err.Error(), ""
	if file := (*fs.PathError)(nil); errors.As(err, &file) {
		if before, after, ok := strings.Cut(text, file.Error()); ok { // a file may be called like a package
			text, rest = before, file.Path+separator+file.Err.Error()+after
		}
	}
	parts := strings.Split(text, separator)
	last := len(parts) - 1 // it is at the end, so it is not a package's name
	plain := slices.DeleteFunc(parts[:last:last], func(part string) bool { return slices.Contains(packages, part) })
	return Rephrase(err, strings.Join(append(plain, parts[last]), separator)+rest)
}

// Failed returns another package's error with the code Failure and without package names. It
// returns nil for nil.
func Failed(err error) error {
	if err == nil {
		return nil
	}
	return Errorf(Failure, "%w", Plain(err))
}

// Rephrase wraps err with another text for the user.
func Rephrase(err error, text string) error { return &rephrased{err, text} }

// A rephrased error wraps an error with a text for the user.
type rephrased struct {
	err  error
	text string
}

func (r *rephrased) Error() string { return r.text }

func (r *rephrased) Unwrap() error { return r.err }

// ShellWord quotes s for a command line in a hint.
func ShellWord(s string) string {
	for i := range len(s) {
		if c := s[i]; !('a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || strings.IndexByte("@._+=,-/:", c) >= 0) {
			return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
		}
	}
	return s
}
