package ends

import (
	"errors"
	"fmt"
	"os"

	"otrpipe/commands/internal/control"
	"otrpipe/commands/internal/exit"
	"otrpipe/commands/internal/halves"
	"otrpipe/commands/internal/live"
	"otrpipe/commands/internal/options"
)

// Host hosts the session of an end that is not a half, and calls run to run it.
func (e *End) Host(cfg live.Config, run func(*live.Session, live.Setup) error) error {
	listener, err := e.listen()
	if err != nil {
		return err
	}
	cfg.IO, cfg.Name, cfg.Dir, cfg.Home, cfg.Listener = e.cfg.IO, e.name, e.dir, e.cfg.Identity.Home, listener
	cfg.Events, cfg.Given = e.events, e.cfg.Given
	s := live.New(cfg)
	go listener.Serve(s)
	o, err := e.options()
	if err != nil {
		return s.Finish(err)
	}
	setup := e.setup(o, nil)
	setup.Streams = []*os.File{e.cfg.IO.In, e.cfg.IO.Out}
	return s.Finish(run(s, setup))
}

// options merges the flags of an end that is not a half.
func (e *End) options() (*options.Options, error) { return e.cfg.Given.Options(e.secret) }

// listen listens under the session's given name, or else under an unused one.
func (e *End) listen() (*control.Listener, error) {
	if e.cfg.Session != nil {
		listener, err := control.Listen(e.dir, e.name)
		if errors.Is(err, control.ErrTaken) {
			return nil, e.name.Taken()
		}
		return listener, exit.Failed(err)
	}
	return e.listenAs(e.cfg.Command)
}

// listenAs listens under a name. If the name is taken, it appends a number.
func (e *End) listenAs(name string) (*control.Listener, error) {
	for n := 1; ; n++ {
		e.name.Session = name
		if n > 1 {
			e.name.Session = fmt.Sprintf("%s-%d", name, n)
		}
		listener, err := control.Listen(e.dir, e.name)
		if !errors.Is(err, control.ErrTaken) {
			return listener, exit.Failed(err)
		}
	}
}

// RunHalf runs a half of an end, whose role is encrypt-stream or decrypt-stream.
func (e *End) RunHalf(role string) error {
	if e.cfg.Session == nil {
		e.name.Session = options.DefaultSession
	}
	return halves.Run(halves.Config{
		Role: role, IO: e.cfg.IO, Name: e.name, Dir: e.dir, Home: e.cfg.Identity.Home, Given: e.cfg.Given,
		Secret: e.secret, Events: e.events, Passphrase: e.passphrase, Forget: e.cfg.Identity.Passphrase.Wipe, Setup: e.setup,
	})
}
