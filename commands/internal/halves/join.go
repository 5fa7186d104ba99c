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

// join hands our streams to the session's host and exits as the host does. It reports false if
// there turns out to be no host.
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
		return false, err // the next attempt needs the secrets again
	}
	clear(request.Passphrase)
	clear(cfg.Secret)
	cfg.Forget()
	if reply.Code != exit.OK {
		return true, reply.Err()
	}
	// Only the host should hold the streams now. Close our copies so that the host's close is
	// seen.
	for _, f := range files {
		f.Close()
	}
	return true, awaitOutcome(conn, watch, cfg.Role)
}

// sendWait is how long a half that was told to leave waits for its request to be sent. Sending
// takes no time unless a stopped host has not read earlier requests.
const sendWait = 200 * time.Millisecond

// letIn asks the host to let us in and returns its answer, or nil if there turns out to be no
// host. A stopped host does not answer, so the wait ends at a signal or when the time for
// finding the other half is over. The signal is passed on, because the host may have let us in
// already.
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
			_ = conn.Send(&control.Request{Signal: n}) // if that fails, the host sees that we have left
		case <-time.After(sendWait):
		}
	case <-late:
		failed = exit.Errorf(exit.Timeout, "otrpipe %s, which holds session %q, does not answer within %v",
			Other(cfg.Role), cfg.Name.Session, timeout).
			WithHint("it may be stopped: fg in its shell, or kill -CONT, lets it go on")
	}
	conn.Close()
	<-answers // the host may still read the request
	return nil, failed
}

// lastWait is how long a half that was told to leave waits for its host to end the session
// properly. It is longer than a transport may take to exit.
const lastWait = 10 * time.Second

// awaitOutcome waits until the session has ended and exits as its host does. It passes on the
// signals that we get. It leaves at once at the second signal, and after the first if the host
// does not react, for example because it is stopped.
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
			go func() { _ = conn.Send(&control.Request{Signal: n}) }() // if that fails, the outcome is about to arrive
		case <-last:
			return exit.Silently(128 + signalled)
		}
	}
}
