// Package halves is where encrypt-stream and decrypt-stream, the two halves of one
// end, find each other before their session runs. The half that comes first hosts
// the session; the other brings its flags and its streams and leaves as the host
// does.
package halves

import (
	"errors"
	"os"
	"time"

	"otrpipe/commands/internal/control"
	"otrpipe/commands/internal/exit"
	"otrpipe/commands/internal/live"
	"otrpipe/commands/internal/options"
	"otrpipe/commands/internal/terminal"
	"otrpipe/keyfile"
)

// The roles of the two halves of an end: their commands.
const (
	Encrypt = "encrypt-stream"
	Decrypt = "decrypt-stream"
)

// Other is the role that a half waits for.
func Other(role string) string {
	if role == Encrypt {
		return Decrypt
	}
	return Encrypt
}

const (
	// notice is how long a half waits for the other before it says so.
	notice = 2 * time.Second
	// pause is the time between two tries at a session whose host is just coming or
	// going, and patience how long that may take.
	pause    = 10 * time.Millisecond
	patience = 10 * time.Second
)

// A Config is what one half was given.
type Config struct {
	Role   string
	IO     *terminal.IO
	Name   control.Name
	Dir    string // where sessions meet
	Home   *keyfile.Home
	Given  options.Values
	Secret []byte   // of SMP; nil: none was given. Run wipes it
	Events *os.File // nil: none are wanted
	// Passphrase returns the passphrase that this half was given; nil: none. The caller
	// wipes it.
	Passphrase func() ([]byte, error)
	// Forget wipes what Passphrase has returned copies of, once the host has it.
	Forget func()
	// Setup makes what the session needs to run from what both halves were given.
	// passphrase is the other half's; nil: it was given none. The streams are filled
	// in here.
	Setup func(o *options.Options, passphrase []byte) live.Setup
}

// Run is one half of an end, from its beginning to its end.
func Run(cfg Config) error {
	if !control.Reachable {
		return exit.Errorf(exit.Usage, "on Windows the two halves of an end cannot find each other").
			WithHint("use otrpipe connect; %s works here for somebody who is away (--to, --reply-to, --offline)", cfg.Role)
	}
	for until := time.Now().Add(patience); ; {
		listener, err := control.Listen(cfg.Dir, cfg.Name)
		if err == nil {
			return host(cfg, listener)
		}
		if !errors.Is(err, control.ErrTaken) {
			return exit.Failed(err)
		}
		joined, err := join(cfg)
		if joined || err != nil {
			return err
		}
		// The host is not there yet, or not any more.
		if time.Now().After(until) {
			return exit.Errorf(exit.Session, "the process that holds session %q does not answer", cfg.Name.Session).
				WithHint("end it, or give this end another name with -s NAME")
		}
		time.Sleep(pause)
	}
}
