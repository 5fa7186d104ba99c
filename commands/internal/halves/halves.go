// Package halves joins encrypt-stream and decrypt-stream, the two halves of one end, before
// their session runs. The half that starts first hosts the session; the other hands over its
// flags and streams, and exits as the host does.
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

// Other returns the role of the half that a half waits for.
func Other(role string) string {
	if role == Encrypt {
		return Decrypt
	}
	return Encrypt
}

const (
	// notice is how long a half waits for the other before it tells the user.
	notice = 2 * time.Second
	// pause is the time between two attempts to reach a host that is just starting or ending,
	// and patience is how long to keep trying.
	pause    = 10 * time.Millisecond
	patience = 10 * time.Second
)

// A Config is what one half's command line gives.
type Config struct {
	Role   string
	IO     *terminal.IO
	Name   control.Name
	Dir    string // the folder for sockets
	Home   *keyfile.Home
	Given  options.Values
	Secret []byte   // the SMP secret; nil: none was given. Run wipes it
	Events *os.File // nil: none are wanted
	// Passphrase returns the passphrase given to this half; nil: none. The caller wipes it.
	Passphrase func() ([]byte, error)
	// Forget wipes the original of Passphrase's copies, once the host has one.
	Forget func()
	// Setup makes everything that the session needs to run from the flags of both halves.
	// passphrase is the other half's; nil: it was given none. This package sets the streams.
	Setup func(o *options.Options, passphrase []byte) live.Setup
}

// Run runs one half of an end.
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
		// The host is just starting, or has just ended.
		if time.Now().After(until) {
			return exit.Errorf(exit.Session, "the process that holds session %q does not answer", cfg.Name.Session).
				WithHint("end it, or give this end another name with -s NAME")
		}
		time.Sleep(pause)
	}
}
