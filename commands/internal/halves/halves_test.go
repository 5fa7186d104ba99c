//go:build unix

package halves

import (
	"bytes"
	"crypto/rand"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"otrpipe/commands/internal/control"
	"otrpipe/commands/internal/exit"
	"otrpipe/commands/internal/live"
	"otrpipe/commands/internal/options"
	"otrpipe/commands/internal/terminal"
	"otrpipe/keyfile"
	"otrpipe/otr/keys"
)

// timeLimit is how long a test waits for what must happen.
const timeLimit = 60 * time.Second

func nowhere(t *testing.T) *os.File {
	t.Helper()
	f, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

// half is what one half of the end whose sockets are in dir was given.
func half(t *testing.T, role, dir string, given options.Values, in, out *os.File) Config {
	t.Helper()
	return Config{
		Role: role, IO: terminal.NewIO("otrpipe", in, out, nowhere(t)),
		Name: control.Name{Home: dir, Identity: "default", Session: "default"}, Dir: dir,
		Home: keyfile.Open(filepath.Join(dir, "home")), Given: given,
		Passphrase: func() ([]byte, error) { return nil, nil },
		Forget:     func() {},
		Setup: func(o *options.Options, _ []byte) live.Setup {
			return live.Setup{Options: o, Open: newIdentity}
		},
	}
}

func newIdentity(<-chan struct{}) (*keyfile.Identity, error) {
	key, err := keys.GenerateEd448(rand.Reader)
	if err != nil {
		return nil, err
	}
	forging, err := keys.GenerateForgingKey(rand.Reader)
	if err != nil {
		return nil, err
	}
	dsa, err := keys.GenerateDSA(rand.Reader)
	if err != nil {
		return nil, err
	}
	return &keyfile.Identity{Name: "default", InstanceTag: 0x100, DSA: dsa, Ed448: key, Forging: forging}, nil
}

func pipe(t *testing.T) (r, w *os.File) {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		r.Close()
		w.Close()
	})
	return r, w
}

// duplicate returns another file descriptor of f, as another process has.
func duplicate(t *testing.T, f *os.File) *os.File {
	t.Helper()
	fd, err := unix.FcntlInt(f.Fd(), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	if err := unix.SetNonblock(fd, true); err != nil {
		t.Fatal(err)
	}
	return os.NewFile(uintptr(fd), f.Name())
}

func wait[T any](t *testing.T, c <-chan T) (v T) {
	t.Helper()
	select {
	case v = <-c:
	case <-time.After(timeLimit):
		t.Fatal("nothing happened")
	}
	return v
}

// Both halves of both ends are started at once, and each was given a flag that the
// other needs. Only the race detector sees some of what may go wrong here.
func TestFourHalvesMakeASession(t *testing.T) {
	there, fromHere := pipe(t)
	here, fromThere := pipe(t)
	ours, input := pipe(t)
	output, theirs := pipe(t)
	empty, noInput := pipe(t)
	noInput.Close()
	dirs := [2]string{t.TempDir(), t.TempDir()}
	version, limit := options.Values{options.OTRFlag: {"4"}}, options.Values{options.PadFlag: {"256"}}
	results := make(chan error, 4)
	for _, cfg := range []Config{
		half(t, Encrypt, dirs[0], version, ours, fromHere),
		half(t, Decrypt, dirs[0], limit, here, nowhere(t)),
		half(t, Encrypt, dirs[1], limit, empty, fromThere),
		half(t, Decrypt, dirs[1], version, there, theirs),
	} {
		// In one process the halves share their files, which each of them closes.
		cfg.IO.In, cfg.IO.Out = duplicate(t, cfg.IO.In), duplicate(t, cfg.IO.Out)
		go func() { results <- Run(cfg) }()
	}
	// The test's own copies would keep the pipes open.
	for _, f := range []*os.File{there, fromHere, here, fromThere, ours, theirs, empty} {
		f.Close()
	}
	if _, err := io.WriteString(input, "from half to half"); err != nil {
		t.Fatal(err)
	}
	input.Close()
	got, err := io.ReadAll(output)
	if err != nil || string(got) != "from half to half" {
		t.Errorf("received %q, %v", got, err)
	}
	for range 4 {
		if err := wait(t, results); err != nil {
			t.Errorf("a half leaves with %v", err)
		}
	}
}

// meet hosts a session for the role encrypt-stream.
func meet(t *testing.T, given options.Values) (*meeting, Config) {
	t.Helper()
	return meetWith(t, given, nil)
}

// meetWith is meet for a host that has a secret to compare.
func meetWith(t *testing.T, given options.Values, secret []byte) (*meeting, Config) {
	t.Helper()
	dir := t.TempDir()
	cfg := half(t, Encrypt, dir, given, nowhere(t), nowhere(t))
	cfg.Secret = secret
	listener, err := control.Listen(dir, cfg.Name)
	if err != nil {
		t.Fatal(err)
	}
	m := newMeeting(cfg, listener)
	go listener.Serve(m)
	return m, cfg
}

// ask has a half ask to be let in.
func ask(t *testing.T, cfg Config, join *control.Join) *control.Conn {
	t.Helper()
	conn, err := control.Dial(cfg.Dir, cfg.Name)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(conn.Close)
	if err := conn.Send(&control.Request{Join: join}, cfg.IO.In, cfg.IO.Out); err != nil {
		t.Fatal(err)
	}
	return conn
}

func TestAHalfThatIsLetInIsToldTheOutcome(t *testing.T) {
	outcome := exit.Errorf(exit.Timeout, "too late")
	rounds := 200
	if testing.Short() {
		rounds = 30
	}
	for range rounds {
		m, cfg := meet(t, nil)
		conn := ask(t, cfg, &control.Join{Half: Decrypt})
		var both sync.WaitGroup
		both.Go(func() { _ = m.Finish(outcome) })
		welcome, err := conn.ReceiveReply()
		if err == nil { // it was let in
			if welcome.Code != exit.OK {
				t.Fatalf("turned away with %+v", welcome)
			}
			if reply, err := conn.ReceiveReply(); err != nil || reply.Code != exit.Timeout {
				t.Fatalf("let in, and never told the outcome: %+v, %v", reply, err)
			}
		}
		both.Wait()
	}
}

// A host that is just leaving does not answer, and there is another try.
func TestAHalfKeepsItsSecretsUntilAHostHasThem(t *testing.T) {
	cfg := half(t, Decrypt, t.TempDir(), nil, nowhere(t), nowhere(t))
	cfg.Secret = []byte("sesame")
	given := []byte("passphrase")
	cfg.Passphrase = func() ([]byte, error) { return bytes.Clone(given), nil }
	cfg.Forget = func() { clear(given) }
	for _, leaves := range []bool{true, false} {
		listener, err := control.Listen(cfg.Dir, cfg.Name)
		if err != nil {
			t.Fatal(err)
		}
		host := half(t, Encrypt, cfg.Dir, nil, nowhere(t), nowhere(t))
		m := newMeeting(host, listener)
		if leaves {
			m.end(nil)
		}
		go listener.Serve(m)
		tried := make(chan error, 1)
		go func() {
			_, err := join(cfg)
			tried <- err
		}()
		if !leaves {
			wait(t, m.joined)
			if string(m.partner.secret) != "sesame" || string(m.partner.passphrase) != "passphrase" {
				t.Errorf("the host has %q and %q", m.partner.secret, m.partner.passphrase)
			}
		}
		_ = m.Finish(nil)
		if err := wait(t, tried); err != nil {
			t.Fatal(err)
		}
		if kept := string(cfg.Secret) == "sesame" && string(given) == "passphrase"; kept != leaves {
			t.Errorf("leaves: %v; kept %q and %q", leaves, cfg.Secret, given)
		}
		if !leaves && (m.partner.secret[0] != 0 || m.partner.passphrase[0] != 0) {
			t.Errorf("after the end the host has %q and %q", m.partner.secret, m.partner.passphrase)
		}
	}
}

func TestTheSecretsOfAHalfThatIsRefusedAreWiped(t *testing.T) {
	m, cfg := meet(t, nil)
	conn, err := control.Dial(cfg.Dir, cfg.Name)
	if err != nil {
		t.Fatal(err)
	}
	join := &control.Join{Half: Encrypt, SMPSecret: []byte("sesame"), Passphrase: []byte("passphrase")}
	m.Join(conn, join, nil)
	if !bytes.Equal(join.SMPSecret, make([]byte, 6)) || !bytes.Equal(join.Passphrase, make([]byte, 10)) {
		t.Errorf("%q, %q", join.SMPSecret, join.Passphrase)
	}
	_ = m.Finish(nil)
}

func TestNobodyIsLetInAfterTheEnd(t *testing.T) {
	m, cfg := meet(t, nil)
	conn, err := control.Dial(cfg.Dir, cfg.Name)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	m.end(errors.New("over")) // as Finish does, before the name is given up
	if err := conn.Send(&control.Request{Join: &control.Join{Half: Decrypt}}, cfg.IO.In, cfg.IO.Out); err != nil {
		t.Fatal(err)
	}
	if reply, err := conn.ReceiveReply(); err == nil {
		t.Errorf("it was let in: %+v", reply)
	}
	_ = m.Finish(nil)
}

func TestAHalfThatDoesNotFitIsRefused(t *testing.T) {
	m, cfg := meetWith(t, options.Values{options.PadFlag: {"256"}}, []byte("sesame"))
	for _, test := range []struct {
		join *control.Join
		code int
		hint string
	}{
		{&control.Join{Half: Encrypt}, exit.Session, "a name of its own"},
		{&control.Join{Half: Decrypt, Flags: options.Values{options.PadFlag: {"512"}}}, exit.Usage, "to both the same"},
		{&control.Join{Half: Decrypt, SMPSecret: []byte("simsim")}, exit.Usage, "to both the same"},
		// The file for events is missing, as where the host can open no more.
		{&control.Join{Half: Decrypt, Events: true}, exit.Failure, "ulimit -n"},
	} {
		reply, err := ask(t, cfg, test.join).ReceiveReply()
		if err != nil || reply.Code != test.code || !strings.Contains(reply.Hint, test.hint) {
			t.Errorf("%+v: %+v, %v", test.join, reply, err)
		}
	}
	if reply := m.Handle(t.Context(), &control.Request{Status: true}); reply.Waits != Encrypt {
		t.Errorf("%q waits for the other half", reply.Waits)
	}
	let := ask(t, cfg, &control.Join{Half: Decrypt, Flags: options.Values{options.TimeoutFlag: {"5s"}}})
	if reply, err := let.ReceiveReply(); err != nil || reply.Code != exit.OK {
		t.Fatalf("%+v, %v", reply, err)
	}
	if reply, err := ask(t, cfg, &control.Join{Half: Decrypt}).ReceiveReply(); err != nil || reply.Code != exit.Session {
		t.Errorf("a third half: %+v, %v", reply, err)
	}
	p, err := m.await()
	if err != nil || p.values.Timeout() != 5*time.Second || string(p.secret) != "sesame" || len(m.cfg.Given) != 1 {
		t.Errorf("%+v, %v", p, err)
	}
	if reply := m.Handle(t.Context(), &control.Request{Status: true}); reply.Waits != "" {
		t.Errorf("%q still waits", reply.Waits)
	}
	_ = m.Finish(nil)
}

func TestAHalfThatIsKilledEndsTheSession(t *testing.T) {
	for _, test := range []struct {
		leave func(*control.Conn)
		code  int
	}{
		{(*control.Conn).Close, exit.Broken},
		{func(c *control.Conn) { _ = c.Send(&control.Request{Signal: 15}) }, 143},
	} {
		m, cfg := meet(t, nil)
		conn := ask(t, cfg, &control.Join{Half: Decrypt})
		if _, err := conn.ReceiveReply(); err != nil {
			t.Fatal(err)
		}
		test.leave(conn)
		wait(t, m.Stopped())
		if err := m.Finish(m.Cause()); exit.As(err).Code != test.code {
			t.Errorf("the outcome is %v", err)
		}
	}
}

// The host may ask for a passphrase while the other half is interrupted or killed. A shell
// has a host in the background ignore the key for interrupts.
func TestTheOtherHalfEndsTheHostsQuestion(t *testing.T) {
	for _, test := range []struct {
		leave func(*control.Conn)
		code  int
	}{
		{(*control.Conn).Close, exit.Broken},
		{func(c *control.Conn) { _ = c.Send(&control.Request{Signal: 2}) }, 130},
	} {
		m, cfg := meet(t, nil)
		asking := make(chan struct{})
		m.cfg.Setup = func(o *options.Options, _ []byte) live.Setup {
			return live.Setup{Options: o, Open: func(stop <-chan struct{}) (*keyfile.Identity, error) {
				close(asking)
				wait(t, stop)
				return nil, exit.Key(terminal.ErrStopped)
			}}
		}
		conn := ask(t, cfg, &control.Join{Half: Decrypt})
		if _, err := conn.ReceiveReply(); err != nil {
			t.Fatal(err)
		}
		left := make(chan error, 1)
		go func() { left <- m.run() }()
		wait(t, asking)
		test.leave(conn)
		err := wait(t, left)
		if err == nil || exit.As(err).Code != test.code {
			t.Errorf("the host leaves with %v", err)
		}
		_ = m.Finish(err)
	}
}

func TestAHalfDoesNotWaitForEver(t *testing.T) {
	dir := t.TempDir()
	cfg := half(t, Decrypt, dir, options.Values{options.TimeoutFlag: {"10ms"}}, nowhere(t), nowhere(t))
	if err := Run(cfg); exit.As(err).Code != exit.Timeout || exit.As(err).Hint == "" {
		t.Errorf("%v", err)
	}
	left, err := os.ReadDir(dir)
	if err != nil || len(left) != 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

// The host may have let us in and ask for a passphrase before we read its answer.
func TestAHalfThatLeavesBeforeItsAnswerTellsTheSignal(t *testing.T) {
	cfg := half(t, Decrypt, t.TempDir(), nil, nowhere(t), nowhere(t))
	listener, err := control.Listen(cfg.Dir, cfg.Name)
	if err != nil {
		t.Fatal(err)
	}
	watching := make(chan struct{})
	cfg.Passphrase = func() ([]byte, error) { close(watching); return nil, nil } // asked for after the watch has begun
	left := make(chan error, 1)
	go func() { left <- Run(cfg) }()
	wait(t, watching)
	if err := syscall.Kill(os.Getpid(), syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	wait(t, left)
	// Only now, as a slow host; and our signal was not for it.
	m := newMeeting(half(t, Encrypt, cfg.Dir, nil, nowhere(t), nowhere(t)), listener)
	go listener.Serve(m)
	wait(t, m.joined)
	wait(t, m.Stopped())
	if err := m.Finish(m.Cause()); exit.As(err).Code != 143 {
		t.Errorf("the host leaves with %v", err)
	}
}

// stoppedHost hosts the session of a half and does not answer, as a stopped process.
func stoppedHost(t *testing.T, cfg Config) {
	t.Helper()
	listener, err := control.Listen(cfg.Dir, cfg.Name)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(listener.Close)
}

func TestAHalfWaitsForAStoppedHostNoLongerThanItsTimeout(t *testing.T) {
	cfg := half(t, Decrypt, t.TempDir(), options.Values{options.TimeoutFlag: {"100ms"}}, nowhere(t), nowhere(t))
	stoppedHost(t, cfg)
	left := make(chan error, 1)
	go func() { left <- Run(cfg) }()
	err := wait(t, left)
	if err == nil || exit.As(err).Code != exit.Timeout || !strings.Contains(err.Error(), "does not answer") {
		t.Errorf("it leaves with %v", err)
	}
}

func TestAHalfThatWaitsForAStoppedHostLeavesAtASignal(t *testing.T) {
	for _, signal := range []syscall.Signal{syscall.SIGTERM, syscall.SIGQUIT} {
		cfg := half(t, Decrypt, t.TempDir(), nil, nowhere(t), nowhere(t))
		stoppedHost(t, cfg)
		watching := make(chan struct{})
		cfg.Passphrase = func() ([]byte, error) { close(watching); return nil, nil } // asked for after the watch has begun
		left := make(chan error, 1)
		go func() { left <- Run(cfg) }()
		wait(t, watching)
		if err := syscall.Kill(os.Getpid(), signal); err != nil {
			t.Fatal(err)
		}
		if err := wait(t, left); err == nil || exit.As(err).Code != 128+int(signal) {
			t.Errorf("at %v it leaves with %v", signal, err)
		}
	}
}
