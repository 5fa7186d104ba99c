package halves

import (
	"errors"
	"io/fs"
	"os"
	"syscall"
	"time"

	"otrpipe/commands/internal/control"
	"otrpipe/commands/internal/exit"
	"otrpipe/commands/internal/process"
)

// join brings our streams to the session's host and leaves as it does.
// It reports false where there is no host after all.
func join(cfg Config) (joined bool, err error) {
	conn, err := control.Dial(cfg.Dir, cfg.Name)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ECONNREFUSED) {
		return false, nil
	}
	if err != nil {
		return false, exit.Failed(err)
	}
	defer conn.Close()
	watch := process.Watch()
	defer watch.Stop()

	request := &control.Join{
		Half:      cfg.Role,
		Flags:     cfg.Given,
		SMPSecret: cfg.Secret,
		Events:    cfg.Events != nil,
		Stderr:    fileID(cfg.IO.Messages.File()),
	}
	if request.Passphrase, err = cfg.Passphrase(); err != nil {
		return false, err
	}
	files := []*os.File{cfg.IO.In, cfg.IO.Out}
	if cfg.Events != nil {
		files = append(files, cfg.Events)
	}
	defer clear(request.Passphrase)
	reply, err := letIn(conn, watch, cfg, control.Request{Join: request}, files)
	if err != nil || reply == nil {
		return false, err // there may be another try, which needs the secrets again
	}
	clear(request.Passphrase)
	clear(cfg.Secret)
	cfg.Forget()
	if reply.Code != exit.OK {
		return true, reply.Err()
	}
	// The streams are the host's alone now. Close our copies so that it is seen
	// where the host closes one.
	for _, f := range files {
		f.Close()
	}
	return true, awaitOutcome(conn, watch, cfg.Role)
}

// sendWait is how long a half that was told to leave waits until its request has gone. It
// goes at once, unless a stopped host has not read what came before.
const sendWait = 200 * time.Millisecond

// letIn asks the host to let us in and returns its answer; nil where there is no host
// after all. A host that is stopped does not answer: the wait ends at a signal, and when
// the time for finding the other half is over. The signal is passed on, because the host may
// have let us in already.
func letIn(conn *control.Conn, watch *process.SignalWatch, cfg Config, r control.Request, files []*os.File) (*control.Reply, error) {
	sent, answers := make(chan struct{}), make(chan *control.Reply, 1)
	go func() {
		answers <- func() *control.Reply {
			err := conn.Send(&r, files...)
			close(sent)
			if err != nil {
				return nil
			}
			reply, err := conn.ReceiveReply()
			if err != nil {
				return nil
			}
			return &reply
		}()
	}()
	var late <-chan time.Time
	timeout := cfg.Given.Timeout()
	if timeout > 0 {
		late = time.After(timeout)
	}
	var failed error
	select {
	case reply := <-answers:
		return reply, nil
	case s := <-watch.Signals:
		n := int(s.(syscall.Signal))
		failed = exit.Silently(128 + n)
		select {
		case <-sent:
			_ = conn.Send(&control.Request{Signal: n}) // or the host sees that we have left
		case <-time.After(sendWait):
		}
	case <-late:
		failed = exit.Errorf(exit.Timeout, "otrpipe %s, which holds session %q, does not answer within %v",
			Other(cfg.Role), cfg.Name.Session, timeout).
			WithHint("it may be stopped: fg in its shell, or kill -CONT, lets it go on")
	}
	conn.Close()
	<-answers // it may still read the request
	return nil, failed
}

// lastWait is how long a half that was told to leave waits for its host to end the
// session properly. It is longer than a transport may take to leave.
const lastWait = 10 * time.Second

// awaitOutcome waits until the session has ended and leaves as its host does.
// The signals that we get are passed on; at the second we leave at once, and after the
// first where the host does not react, because it is stopped for example.
func awaitOutcome(conn *control.Conn, watch *process.SignalWatch, role string) error {
	type answer struct {
		reply control.Reply
		err   error
	}
	outcome := make(chan answer, 1)
	go func() {
		reply, err := conn.ReceiveReply()
		outcome <- answer{reply, err}
	}()
	signalled := 0
	var last <-chan time.Time
	for {
		select {
		case a := <-outcome:
			if a.err != nil {
				return exit.Errorf(exit.Broken, "otrpipe %s, which held the session, was killed", Other(role))
			}
			return a.reply.Err()
		case s := <-watch.Signals:
			n := int(s.(syscall.Signal))
			if signalled != 0 {
				return exit.Silently(128 + n)
			}
			signalled = n
			last = time.After(lastWait)
			go func() { _ = conn.Send(&control.Request{Signal: n}) }() // or the outcome comes by itself
		case <-last:
			return exit.Silently(128 + signalled)
		}
	}
}
