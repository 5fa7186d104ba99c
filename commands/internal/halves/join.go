package halves

import (
	"errors"
	"io/fs"
	"os"
	"syscall"

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
	if err := conn.Send(control.Request{Join: request}, files...); err != nil {
		return false, nil
	}
	reply, err := conn.ReceiveReply()
	if err != nil {
		return false, nil
	}
	clear(request.Passphrase)
	clear(request.SMPSecret)
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

// awaitOutcome waits until the session has ended and leaves as its host does.
// The signals that we get are passed on; at the second we leave at once.
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
	signalled := false
	for {
		select {
		case a := <-outcome:
			if a.err != nil {
				return exit.Errorf(exit.Broken, "otrpipe %s, which held the session, was killed", Other(role))
			}
			return a.reply.Err()
		case s := <-watch.Signals:
			n := int(s.(syscall.Signal))
			if signalled {
				return exit.Silently(128 + n)
			}
			signalled = true
			_ = conn.Send(control.Request{Signal: n}) // or the outcome comes by itself
		}
	}
}
