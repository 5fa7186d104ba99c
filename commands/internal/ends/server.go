package ends

import (
	"otrpipe/commands/internal/control"
	"otrpipe/commands/internal/events"
	"otrpipe/commands/internal/exit"
	"otrpipe/commands/internal/live"
)

// ServeCallers serves the callers of --listen, each with its own session and its own COMMAND,
// until a signal ends it.
func (e *End) ServeCallers() error {
	o, err := e.options()
	if err != nil {
		return err
	}
	name := e.cfg.Command
	if e.cfg.Session != nil {
		name = *e.cfg.Session
	}
	server := &live.Server{
		IO: e.cfg.IO, Listener: e.way.Listener, Max: o.MaxSessions, Command: e.way.Command, Options: o, Setup: e.setup(o, nil),
		Host: func() (*live.Session, error) { return e.hostOne(name) },
	}
	if e.events != nil {
		shared, err := events.Share(e.events)
		if err != nil {
			return exit.Failed(err)
		}
		server.Events = events.NewLog(shared, name, e.cfg.IO.Report)
		defer server.Events.Close()
	}
	return server.Run()
}

// hostOne begins to host one of several sessions, under its own name, which its messages
// include. If the folder for sockets has been removed since the server began, it is made again.
func (e *End) hostOne(name string) (*live.Session, error) {
	one := *e
	var err error
	if one.dir, err = control.Dir(); err != nil {
		return nil, exit.Failed(err)
	}
	listener, err := one.listenAs(name)
	if err != nil {
		return nil, err
	}
	own := *e.cfg.IO
	own.Messages = own.Messages.About(one.name.Session)
	cfg := live.Config{
		IO: &own, Name: one.name, Dir: one.dir, Home: e.cfg.Identity.Home, Listener: listener, Given: e.cfg.Given,
		OneOfMany: true,
	}
	if e.events != nil {
		if cfg.Events, err = events.Share(e.events); err != nil {
			listener.Close()
			return nil, exit.Failed(err)
		}
	}
	s := live.New(cfg)
	go listener.Serve(s)
	return s, nil
}
