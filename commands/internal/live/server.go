package live

import (
	"bytes"
	"context"
	"sync"
	"syscall"
	"time"

	"otrpipe/commands/internal/events"
	"otrpipe/commands/internal/exit"
	"otrpipe/commands/internal/options"
	"otrpipe/commands/internal/process"
	"otrpipe/commands/internal/terminal"
	"otrpipe/commands/internal/transport"
	"otrpipe/keyfile"
)

// A Server lets an application talk with callers, each in a session of its own.
type Server struct {
	IO       *terminal.IO
	Listener *transport.Listener // Run closes it
	Max      int                 // how many sessions there are at once; more callers wait
	Command  []string            // the application, which is started once per session
	Options  *options.Options
	// Setup is what each session needs to run. Its Open and AskSecret are called once,
	// for all of them.
	Setup Setup
	// Host begins to host a session under a name of its own.
	Host func() (*Session, error)
	// Events, unless nil, is for what happens to the server and not in a session.
	Events *events.Log

	// Run's.
	identity *keyfile.Identity
	running  sync.WaitGroup
	mu       sync.Mutex
	sessions map[*Session]struct{} // guarded by mu: those that run
}

// Run serves callers until a signal ends it, and then the sessions that run; its error is
// that of a process that a signal has ended.
func (v *Server) Run() error {
	defer v.Listener.Close()
	watch := process.Watch()
	defer watch.Stop()
	stop, cancel := context.WithCancelCause(context.Background())
	defer cancel(nil)
	go func() {
		select {
		case signal := <-watch.Signals:
			cancel(exit.Silently(128 + int(signal.(syscall.Signal))))
		case <-stop.Done():
		}
	}()
	if err := v.open(stop.Done()); err != nil {
		if stop.Err() != nil {
			return context.Cause(stop)
		}
		return err
	}
	defer v.identity.Wipe()
	defer clear(v.Options.SMP)
	v.tellListening()
	v.sessions = map[*Session]struct{}{}
	err := v.serveAll(stop)
	v.mu.Lock()
	for s := range v.sessions { // it may be too young to have heard the signal itself
		s.Stop(err, "interrupted")
	}
	v.mu.Unlock()
	v.running.Wait()
	return err
}

// open opens what all sessions need.
func (v *Server) open(stop <-chan struct{}) (err error) {
	if v.Options.Question != "" && v.Options.SMP == nil {
		if v.Options.SMP, err = v.Setup.AskSecret(stop); err != nil {
			return err
		}
	}
	v.identity, err = v.Setup.Open(stop)
	return err
}

func (v *Server) tellListening() {
	address := v.Listener.Address()
	v.Events.Write(time.Now(), events.Record{Event: events.Listening, Address: address})
	v.IO.Note("%s", listeningText(v.Listener))
}

// serveAll serves one caller after another until stop ends, and returns its cause or why a
// session cannot be hosted. Callers who come while there is no place wait in the listener.
func (v *Server) serveAll(stop context.Context) error {
	places := make(chan struct{}, v.Max)
	for {
		if !v.place(places, stop.Done()) {
			return context.Cause(stop)
		}
		caller, err := v.Listener.Accept(stop.Done())
		if err != nil {
			return context.Cause(stop)
		}
		s, err := v.Host()
		if err != nil {
			caller.Close()
			return err
		}
		v.mu.Lock()
		v.sessions[s] = struct{}{}
		v.mu.Unlock()
		v.running.Go(func() {
			v.serve(s, caller)
			v.mu.Lock()
			delete(v.sessions, s)
			v.mu.Unlock()
			<-places
		})
	}
}

// place waits for a place for another session; false: stop was closed. Where there is none, a
// caller that stands still gives way to one that waits.
func (v *Server) place(places chan<- struct{}, stop <-chan struct{}) bool {
	tick := time.NewTicker(stallPoll)
	defer tick.Stop()
	for {
		select {
		case places <- struct{}{}:
			return true
		case now := <-tick.C:
			v.makeRoom(now)
		case <-stop:
			return false
		}
	}
}

// serve is one caller's session, from its beginning to its end.
func (v *Server) serve(s *Session, caller *transport.Caller) {
	s.Note("a caller from %s", caller.Address())
	o := *v.Options
	o.SMP = bytes.Clone(o.SMP) // the session wipes its own
	setup := v.Setup
	setup.Options, setup.Served, setup.KeepIdentity = &o, true, true
	setup.Open = func(<-chan struct{}) (*keyfile.Identity, error) { return v.identity, nil }
	err := s.Finish(s.serveCaller(v.Command, setup, caller))
	if s.Snapshot().Passed {
		caller.Pass()
		_ = caller.Close()
	} else {
		caller.Refuse()
	}
	v.tellEnded(s, err)
	s.Messages.Flush(lastAnswers)
}

// tellEnded tells how a session has ended.
func (v *Server) tellEnded(s *Session, err error) {
	if err == nil {
		s.Note("the session ended")
		return
	}
	e := exit.As(err)
	if e.Silent {
		s.Note("the session ended with status %d", e.Code)
		return
	}
	s.Messages.Error(err.Error())
	if e.Hint != "" {
		s.Advise("%s", e.Hint)
	}
}

// serveCaller runs the session for an application.
func (s *Session) serveCaller(command []string, setup Setup, caller *transport.Caller) error {
	conversation, err := s.Prepare(setup)
	if err != nil {
		return err
	}
	return s.Serve(command, conversation, caller)
}
