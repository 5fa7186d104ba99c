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

// A meeting is a session whose host is one half, while it waits for the other and
// until both leave. It answers for the session.
type meeting struct {
	// Set by host and never changed.
	*live.Session
	cfg    Config
	joined chan struct{} // closed when partner is set

	mu sync.Mutex
	// Guarded by mu.
	partner *partner // the other half, once it has been let in
	ended   bool     // the outcome is known: nobody is let in any more
}

// A partner is the other half, seen from the half that hosts the session.
// Nothing of it changes.
type partner struct {
	role       string
	conn       *control.Conn
	in, out    *os.File // its standard input and output
	events     *os.File // for its events; nil: it wants none, or ours are the same
	passphrase []byte
	silent     bool           // its standard error is ours: what we print is enough
	values     options.Values // what both halves were given
	secret     []byte         // of SMP, that one of the halves was given; nil: none
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

// await waits until the other half has come.
func (m *meeting) await() (*partner, error) {
	timeout := m.cfg.Given.Timeout() // the half that comes may bring another one
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

// hint says how the other half is started; or, where one waits that
// cannot find us, why.
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

// Handle answers as the session does, and says which half waits for the other.
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

// Join serves the other half: it is let in or not, may pass signals on,
// and must not die before we do.
func (m *meeting) Join(conn *control.Conn, join *control.Join, files []*os.File) {
	p, refused := m.admit(conn, join, files)
	if p == nil {
		clear(join.Passphrase)
		clear(join.SMPSecret)
		control.CloseFiles(files)
		if refused != nil { // without an answer it tries again
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
			return // it is told the outcome all the same, if it lives
		case request.Signal != 0:
			m.Stop(exit.Silently(128+request.Signal), "interrupted")
		}
	}
}

// admit lets the other half in, says why not, or returns neither where the session
// is ending. The files are its streams. Who has been let in is told the outcome,
// for both are done with the mutex held.
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
	_ = conn.Reply(control.Reply{}) // if it has died the next read says so
	m.partner = p
	close(m.joined)
	return p, nil
}

// merge puts together what both halves were given.
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
	clear(join.SMPSecret) // it is ours too
	return together, secret, nil
}

// end tells the partner the outcome, so that it leaves as we do. From then on
// nobody is let in.
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
	_ = p.conn.Reply(reply) // it has died, or leaves without us
	p.conn.Close()
	clear(p.passphrase)
	clear(p.secret)
}
