package commands

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"syscall"
	"time"

	"github.com/urfave/cli/v2"

	"otrpipe/commands/internal/control"
	"otrpipe/commands/internal/exit"
	"otrpipe/commands/internal/options"
	"otrpipe/commands/internal/process"
)

// runHalf is encrypt-stream and decrypt-stream. Whoever of the two comes first
// hosts the session; the other brings its streams.
func runHalf(c *cli.Context, role string) error {
	if err := noArguments(c); err != nil {
		return err
	}
	e, err := newEnd(c)
	if err != nil {
		return err
	}
	if !e.named {
		e.name.Session = options.DefaultSession
	}
	for until := time.Now().Add(seatPatience); ; {
		listener, err := control.Listen(e.dir, e.name)
		if err == nil {
			l := newLive(e, role, listener)
			return l.finish(l.hostHalves())
		}
		if !errors.Is(err, control.ErrTaken) {
			return exit.Failed(err)
		}
		joined, err := e.joinSession(role)
		if joined || err != nil {
			return err
		}
		// The host is not there yet, or not any more.
		if time.Now().After(until) {
			return exit.Errorf(exit.Session, "the process that holds session %q does not answer", e.name.Session).
				WithHint("end it, or give this end another name with -s NAME")
		}
		time.Sleep(seatPause)
	}
}

// hostHalves runs the session with our streams and those of the other half.
func (l *live) hostHalves() error {
	p, err := l.awaitPartner()
	if err != nil {
		return err
	}
	if err := l.settle(); err != nil {
		return err
	}
	conversation, err := l.conversation(p.passphrase)
	if err != nil {
		return err
	}
	plainIn, plainOut, transport := l.In, p.out, &process.Files{In: p.in, Out: l.Out}
	if l.role == roleDecrypt {
		plainIn, plainOut, transport = p.in, l.Out, &process.Files{In: l.In, Out: p.out}
	}
	return l.run(conversation, transport, func() (*payload, error) {
		return l.standard(plainIn, plainOut), nil
	})
}

// awaitPartner waits until the other half has come.
func (l *live) awaitPartner() (*partner, error) {
	var limit <-chan time.Time
	timeout := l.given.Timeout() // the half that comes may bring another one
	if timeout > 0 {
		limit = time.After(timeout)
	}
	notice := time.After(partnerNotice)
	other := otherRole(l.role)
	for {
		select {
		case <-l.joined:
			l.mu.Lock()
			defer l.mu.Unlock()
			return l.partner, nil
		case <-notice:
			l.Note("waiting for the other half of session %q: otrpipe %s", l.name.Session, other)
			l.Advise("%s", l.partnerHint())
		case <-limit:
			return nil, exit.Errorf(exit.Timeout, "no otrpipe %s came for session %q within %v", other, l.name.Session, timeout).
				WithHint("%s", l.partnerHint())
		case <-l.stopped:
			l.mu.Lock()
			defer l.mu.Unlock()
			return nil, l.cause
		}
	}
}

// partnerHint says how the other half is started; or, where one waits that
// cannot find us, why.
func (l *live) partnerHint() string {
	for _, s := range control.Find(l.dir, control.Greeting) {
		if s.Waits != otherRole(l.role) {
			continue
		}
		switch {
		case s.Home != l.name.Home:
			return fmt.Sprintf("an otrpipe %s waits with another --home: %s", s.Waits, s.Home)
		case s.Status.Identity != l.name.Identity:
			return fmt.Sprintf("an otrpipe %s waits with another --identity: %s", s.Waits, s.Status.Identity)
		}
		return fmt.Sprintf("an otrpipe %s waits with another --session: %s", s.Waits, s.Status.Session)
	}
	return "one end is both commands, with the same --session, --identity and --home"
}

// joinSession brings our streams to the session's host and leaves as it does.
// It reports false where there is no host after all.
func (e *end) joinSession(role string) (joined bool, err error) {
	conn, err := control.Dial(e.dir, e.name)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ECONNREFUSED) {
		return false, nil
	}
	if err != nil {
		return false, exit.Failed(err)
	}
	defer conn.Close()
	watch := process.Watch()
	defer watch.Stop()

	join := &control.Join{
		Half:      role,
		Flags:     e.given,
		SMPSecret: e.secret,
		Events:    e.events != nil,
		Stderr:    fileID(e.Messages.File()),
	}
	if join.Passphrase, err = e.passphrase(); err != nil {
		return false, err
	}
	files := []*os.File{e.In, e.Out}
	if e.events != nil {
		files = append(files, e.events)
	}
	if err := conn.Send(control.Request{Join: join}, files...); err != nil {
		return false, nil
	}
	reply, err := conn.ReceiveReply()
	if err != nil {
		return false, nil
	}
	clear(join.Passphrase)
	clear(join.SMPSecret)
	if reply.Code != exit.OK {
		return true, reply.Err()
	}
	// The streams are the host's alone now: where it closes one, nobody shall
	// hold it open.
	for _, f := range files {
		f.Close()
	}
	return true, e.awaitOutcome(conn, watch, role)
}

// awaitOutcome waits until the session has ended and leaves as its host does.
// The signals that we get are passed on; at the second we leave at once.
func (e *end) awaitOutcome(conn *control.Conn, watch *process.SignalWatch, role string) error {
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
				return exit.Errorf(exit.Broken, "otrpipe %s, which held the session, was killed", otherRole(role))
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
