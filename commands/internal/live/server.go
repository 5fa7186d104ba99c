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

// A Server lets an application talk with callers, each in its own session.
type Server struct {
	IO       *terminal.IO
	Listener *transport.Listener // Run closes it
	Max      int                 // the maximum number of sessions at once; more callers wait
	Command  []string            // the application, which is started once per session
	Options  *options.Options
	// Setup is what each session needs to run. Open and AskSecret are called only once, for all
	// sessions.
	Setup Setup
	// Host begins to host a session under its own name.
	Host func() (*Session, error)
	// Events, unless nil, receives the events of the server itself.
	Events *events.Log

	// Owned by Run.
	identity *keyfile.Identity
	running  sync.WaitGroup
	mu       sync.Mutex
	sessions map[*Session]struct{} // guarded by mu: the running sessions
}

// Run serves callers until a signal ends it together with the running sessions. Its error is
// that of a process ended by a signal.
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
	for s := range v.sessions { // it may have begun too late to see the signal itself
		s.Stop(err, "interrupted")
	}
	v.mu.Unlock()
	v.running.Wait()
	return err
}

// open opens the identity and the secret, which all sessions share.
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

// serveAll serves callers until stop ends, and returns the cause of that. A caller whose session
// cannot be hosted is turned away, because the reason may pass, for example when other callers
// leave descriptors free, and must not end the running sessions. Callers that find no free place
// wait in the listener.
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
			v.turnAway(caller, err)
			<-places
			continue
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

// turnAway turns away a caller for whom there is no session.
func (v *Server) turnAway(caller *transport.Caller, err error) {
	e, address := exit.As(err), caller.Address()
	v.Events.Write(time.Now(), events.Record{
		Event: events.TurnedAway, Address: address, Code: &e.Code, Message: err.Error(), Count: caller.Refuse(),
	})
	v.IO.Warn("the caller from %s was turned away: %v", address, err)
}

// place waits for a free place for another session; it returns false if stop was closed. If no
// place is free, a caller that makes no progress gives way to one that waits.
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

// serve runs one caller's session.
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
	s.Messages.Flush(lastWords)
}

// tellEnded reports how a session ended.
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
