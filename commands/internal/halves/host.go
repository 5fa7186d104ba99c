package halves

import (
	"context"
	"crypto/subtle"
	"fmt"
	"os"
	"sync"
	"time"

	"otrpipe/commands/internal/control"
	"otrpipe/commands/internal/exit"
	"otrpipe/commands/internal/live"
	"otrpipe/commands/internal/options"
	"otrpipe/commands/internal/process"
)

// A meeting is a session hosted by one half, from waiting for the other half until both leave.
// It answers control requests.
type meeting struct {
	// Set by host and not changed later.
	*live.Session
	cfg    Config
	joined chan struct{} // closed when partner is set

	mu sync.Mutex
	// Guarded by mu.
	partner *partner // the other half, once it has joined
	ended   bool     // the outcome is known, and nobody can join any more
}

// A partner is the other half, as the hosting half sees it. It does not change.
type partner struct {
	role       string
	conn       *control.Conn
	in, out    *os.File // its standard input and output
	events     *os.File // for its events; nil: it wants none, or ours are the same
	passphrase []byte
	silent     bool           // it shares our standard error, so what we print is enough
	values     options.Values // the merged flags of both halves
	secret     []byte         // the SMP secret that was given to one of the halves; nil: none
}

// host hosts the session and waits for the other half.
func host(cfg Config, listener *control.Listener) error {
	m := newMeeting(cfg, listener)
	go listener.Serve(m)
	return m.Finish(m.run())
}

func newMeeting(cfg Config, listener *control.Listener) *meeting {
	m := &meeting{cfg: cfg, joined: make(chan struct{})}
	m.Session = live.New(live.Config{
		IO: cfg.IO, Name: cfg.Name, Dir: cfg.Dir, Home: cfg.Home, Listener: listener,
		Events: cfg.Events, Given: cfg.Given, Ended: m.end,
	})
	return m
}

// run runs the session with our streams and those of the other half.
func (m *meeting) run() error {
	p, err := m.await()
	if err != nil {
		return err
	}
	if p.events != nil {
		m.LogTo(p.events)
	}
	o, err := p.values.Options(p.secret)
	if err != nil {
		return err
	}
	plainIn, plainOut, transport := m.In, p.out, &process.Files{In: p.in, Out: m.Out}
	if m.cfg.Role == Decrypt {
		plainIn, plainOut, transport = p.in, m.Out, &process.Files{In: m.In, Out: p.out}
	}
	setup := m.cfg.Setup(o, p.passphrase)
	setup.Streams = []*os.File{m.In, m.Out, p.in, p.out}
	setup.Input = plainIn
	conversation, err := m.Prepare(setup)
	if err != nil {
		return err
	}
	return m.Run(conversation, transport, func() (*live.Payload, error) {
		return m.Standard(plainIn, plainOut), nil
	})
}

// await waits until the other half has joined.
func (m *meeting) await() (*partner, error) {
	timeout := m.cfg.Given.Timeout() // the half that joins may bring a different one
	var late <-chan time.Time
	if timeout > 0 {
		late = time.After(timeout)
	}
	longer := time.After(notice)
	other := Other(m.cfg.Role)
	for {
		select {
		case <-m.joined:
			m.mu.Lock()
			defer m.mu.Unlock()
			return m.partner, nil
		case <-longer:
			m.Note("waiting for the other half of session %q: otrpipe %s", m.cfg.Name.Session, other)
			m.Advise("%s", m.hint())
		case <-late:
			return nil, exit.Errorf(exit.Timeout, "no otrpipe %s came for session %q within %v", other, m.cfg.Name.Session, timeout).
				WithHint("%s", m.hint())
		case <-m.Stopped():
			return nil, m.Cause()
		}
	}
}

// hint tells the user how to start the other half or, if a waiting half cannot find us, why.
func (m *meeting) hint() string {
	all, _ := control.Find(m.cfg.Dir, control.AnswerTime, control.Filter{})
	for _, session := range all {
		defer session.Close()
	}
	for _, session := range all {
		if session.Waits != Other(m.cfg.Role) {
			continue
		}
		switch {
		case session.Home != m.cfg.Name.Home:
			return fmt.Sprintf("an otrpipe %s waits with another --home: %s", session.Waits, session.Home)
		case session.Status.Identity != m.cfg.Name.Identity:
			return fmt.Sprintf("an otrpipe %s waits with another --identity: %s", session.Waits, session.Status.Identity)
		}
		return fmt.Sprintf("an otrpipe %s waits with another --session: %s", session.Waits, session.Status.Session)
	}
	const both = "one end is both commands, with the same --session, --identity and --home"
	if m.cfg.Role == Decrypt {
		return both + "; a message that was encrypted with --to needs --offline instead"
	}
	return both
}

// Handle answers like the session, and adds which half waits for the other.
func (m *meeting) Handle(ctx context.Context, r *control.Request) control.Reply {
	reply := m.Session.Handle(ctx, r)
	if r.Status {
		m.mu.Lock()
		defer m.mu.Unlock()
		if m.partner == nil {
			reply.Waits = m.cfg.Role
		}
	}
	return reply
}

// Join serves the other half: it lets it in or refuses it, takes the signals that it passes on,
// and ends the session if it dies first.
func (m *meeting) Join(conn *control.Conn, join *control.Join, files []*os.File) {
	p, refused := m.admit(conn, join, files)
	if p == nil {
		clear(join.Passphrase)
		clear(join.SMPSecret)
		control.CloseFiles(files)
		if refused != nil { // if it gets no answer, it tries again
			_ = conn.Reply(control.ReplyOf(refused))
		}
		conn.Close()
		return
	}
	for {
		var request control.Request
		files, err := conn.Receive(&request)
		control.CloseFiles(files)
		switch {
		case err != nil:
			m.Stop(exit.Errorf(exit.Broken, "the other half, otrpipe %s, was killed", p.role), "one half was killed")
			return // if it is still alive, it is told the outcome nevertheless
		case request.Signal != 0:
			m.Stop(exit.Silently(128+request.Signal), "interrupted")
		}
	}
}

// admit lets the other half in, or returns an error that says why not, or returns neither if the
// session is ending. The files are the half's streams. A half that was let in is always told the
// outcome, because both happen with the mutex held.
func (m *meeting) admit(conn *control.Conn, join *control.Join, files []*os.File) (*partner, error) {
	want := 2
	if join.Events {
		want++
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	switch {
	case m.ended || m.Leaving():
		return nil, nil
	case m.partner != nil || join.Half != Other(m.cfg.Role):
		return nil, m.cfg.Name.Taken()
	case len(files) != want:
		return nil, exit.Errorf(exit.Failure, "the other half's streams did not arrive: %d of %d", len(files), want).
			WithHint("one of the halves is out of file descriptors (ulimit -n), or they are not of the same otrpipe")
	}
	p := &partner{
		role:       join.Half,
		conn:       conn,
		in:         files[0],
		out:        files[1],
		passphrase: join.Passphrase,
		silent:     join.Stderr == fileID(m.Messages.File()),
	}
	var err error
	if p.values, p.secret, err = m.merge(join); err != nil {
		return nil, err
	}
	if join.Events {
		if m.cfg.Events == nil || fileID(m.cfg.Events) != fileID(files[2]) {
			p.events = files[2]
		} else {
			files[2].Close()
		}
	}
	_ = conn.Reply(control.Reply{}) // if it has died, the next read fails
	m.partner = p
	close(m.joined)
	return p, nil
}

// merge merges the flags of both halves.
func (m *meeting) merge(join *control.Join) (options.Values, []byte, error) {
	contradiction := func(flag string) error {
		return exit.Errorf(exit.Usage, "--%s contradicts what the other half of session %q was given", flag, m.cfg.Name.Session).
			WithHint("give a flag to one half only, or to both the same")
	}
	secret := m.cfg.Secret
	if len(join.SMPSecret) > 0 && len(secret) > 0 && subtle.ConstantTimeCompare(join.SMPSecret, secret) != 1 {
		return nil, nil, contradiction(options.SMPSecretFlag + "-file")
	}
	together, flag := m.cfg.Given.Merge(join.Flags)
	if flag != "" {
		return nil, nil, contradiction(flag)
	}
	if len(secret) == 0 {
		return together, join.SMPSecret, nil
	}
	clear(join.SMPSecret) // our own secret is the same
	return together, secret, nil
}

// end tells the partner the outcome, so that it exits as we do. After that nobody can join.
func (m *meeting) end(err error) {
	m.mu.Lock()
	m.ended = true
	p := m.partner
	m.mu.Unlock()
	if p == nil {
		return
	}
	reply := control.ReplyOf(err)
	reply.Silent = reply.Silent || err != nil && p.silent
	_ = p.conn.Reply(reply) // it has died, or exits by itself
	p.conn.Close()
	clear(p.passphrase)
	clear(p.secret)
}
