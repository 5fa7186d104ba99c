package terminal

import (
	"bytes"
	"errors"
	"fmt"
	"syscall"
)

// ErrNoTerminal says that a secret is needed and there is no terminal to ask for it on.
var ErrNoTerminal = errors.New("terminal: no terminal to ask on")

// ErrNoSecret says that the answer was empty.
var ErrNoSecret = errors.New("terminal: nothing was entered")

// ErrCharset says that the answer is not in the terminal's charset according to the locale. The
// other end, or another terminal, would read it differently.
var ErrCharset = errors.New("terminal: what was entered is not of the locale's encoding (LC_ALL, LC_CTYPE, LANG)")

// ErrStopped says that the secret is no longer needed. The terminal echoes again.
var ErrStopped = errors.New("terminal: the secret is not needed any more")

// An Interrupted error says that a signal came while the terminal waited for
// a secret. The terminal echoes again.
type Interrupted struct {
	Signal syscall.Signal
}

func (e *Interrupted) Error() string {
	return fmt.Sprintf("terminal: %v", e.Signal)
}

// SilentExitCode is the exit code of a program that the signal ends: 128 plus
// its number, and no message.
func (e *Interrupted) SilentExitCode() int { return 128 + int(e.Signal) }

// ReadSecret prints prompt on the controlling terminal and reads one line
// from it without echo, whatever standard input and output are. The line
// comes back without its end, in UTF-8 if the locale has another charset; the caller wipes
// it. The errors are ErrNoTerminal, ErrNoSecret, ErrCharset, an *Interrupted, or the
// terminal's own; ErrStopped once stop is closed. A nil stop stops nothing.
//
// While the process is stopped, by a key or by a signal, the terminal echoes as before;
// when it is continued in the foreground the question is asked again.
func ReadSecret(stop <-chan struct{}, prompt string) ([]byte, error) {
	secret, err := askOnTerminal(stop, prompt)
	if err == nil && len(secret) == 0 {
		return nil, ErrNoSecret
	}
	if err != nil || Locale().UTF8() {
		return secret, err
	}
	decoded := Locale().Decode(secret)
	clear(secret)
	if bytes.IndexByte(decoded, 0xff) >= 0 && Locale().known() {
		clear(decoded)
		return nil, ErrCharset
	}
	return decoded, nil
}

// maxLine is how long a line at a terminal can be, in bytes: longer ones are
// cut by the terminal itself.
const maxLine = 4096
