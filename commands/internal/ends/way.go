package ends

import (
	"errors"
	"os"
	"slices"
	"syscall"

	"otrpipe/commands/internal/exit"
	"otrpipe/commands/internal/live"
	"otrpipe/commands/internal/options"
	"otrpipe/commands/internal/process"
	"otrpipe/commands/internal/transport"
	"otrpipe/keyfile"
)

// FindWay checks the way to the other end that the flags or a COMMAND name: the COMMAND must
// exist, and a port to listen on must be free. It is not for halves.
func (e *End) FindWay(command []string) error {
	o, err := e.options()
	if err != nil {
		return err
	}
	e.way = live.Way{Command: command, Dial: o.TCP}
	if o.Listen != "" {
		e.way.Listener, err = transport.Listen(o.Listen, e.tellDismissed)
		if err != nil {
			return cannotListen(o.Listen, err)
		}
		e.warnOfStrangers(o)
	}
	if len(command) > 0 {
		return process.Find(command)
	}
	return nil
}

// Way returns the way to the other end that FindWay has checked.
func (e *End) Way() live.Way { return e.way }

// WayAgain returns the same way for another connection after one has ended. With --listen it
// listens at the same address again.
func (e *End) WayAgain() (live.Way, error) {
	if e.way.Listener == nil {
		return e.way, nil
	}
	address := e.way.Listener.Address() // includes the port that the system chose for port 0
	l, err := transport.Listen(address, e.tellDismissed)
	if err != nil {
		return live.Way{}, cannotListen(address, err)
	}
	e.way.Listener = l
	return e.way, nil
}

// warnOfStrangers warns if no key that the contact has on file can pass the checks: an end that
// listens would turn every caller away and go on waiting.
func (e *End) warnOfStrangers(o *options.Options) {
	if o.Contact == "" || o.Trust == options.TrustNew || o.SMP != nil || o.Question != "" {
		return
	}
	contact, _, err := e.cfg.Identity.Home.Contact(o.Contact)
	if err != nil {
		return // the first caller shows the error
	}
	name := exit.ShellWord(o.Contact)
	switch {
	case len(contact.Keys) == 0:
		e.cfg.IO.Warn("no key of %s is on file: every caller will be turned away", o.Contact)
		e.cfg.IO.Advise("otrpipe contacts list shows the names; a new contact: otrpipe contacts add %s FINGERPRINT", name)
	case o.Trust == options.TrustVerified && !slices.ContainsFunc(contact.Keys, func(k keyfile.ContactKey) bool { return k.Trust != keyfile.Seen }):
		e.cfg.IO.Warn("no key of %s is verified: every caller will be turned away", o.Contact)
		e.cfg.IO.Advise("compare fingerprints with %s, then: otrpipe contacts trust %s", o.Contact, name)
	}
}

// cannotListen is the error of an end that cannot listen on address.
func cannotListen(address string, err error) error {
	e := exit.Errorf(exit.Failure, "--listen %s: %w", address, exit.Plain(err))
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return e.WithHint("another program listens there: end it, or choose another port")
	case errors.Is(err, syscall.EACCES):
		return e.WithHint("only the administrator may listen on a port below 1024: choose a larger one")
	}
	return e
}

// tellDismissed reports a caller that does not speak OTR. Of many such callers it reports only a
// few.
func (e *End) tellDismissed(address string, why error, total int) {
	if total&(total-1) == 0 { // 1, 2, 4, 8, …
		e.cfg.IO.Note("a caller from %s was turned away: %v; callers turned away so far: %d", address, why, total)
		return
	}
	e.cfg.IO.Detail("a caller from %s was turned away: %v", address, why)
}

// RunOver hosts a session over the way to the other end and returns when it has ended. Once the
// peer has passed every check, it calls open for the payload to move. input is the file that the
// plaintext comes from; nil: none.
func (e *End) RunOver(cfg live.Config, input *os.File, open func(*live.Session) (*live.Payload, error)) error {
	return e.Host(cfg, func(s *live.Session, setup live.Setup) error {
		setup.Input = input
		conversation, err := s.Prepare(setup)
		if err != nil {
			return err
		}
		return s.RunOver(e.way, e.cfg.IO.Messages.File(), conversation, func() (*live.Payload, error) { return open(s) })
	})
}
