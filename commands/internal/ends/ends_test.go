package ends

import (
	"crypto/rand"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"otrpipe/commands/internal/control"
	"otrpipe/commands/internal/exit"
	"otrpipe/commands/internal/identities"
	"otrpipe/commands/internal/options"
	"otrpipe/commands/internal/secret"
	"otrpipe/commands/internal/terminal"
	"otrpipe/keyfile"
)

// newConfig returns the command line of an ephemeral end called connect, whose sessions meet
// in a folder of the test's own.
func newConfig(t *testing.T) Config {
	t.Helper()
	run, err := os.MkdirTemp("", "run") // a socket's path has to be short
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(run) })
	t.Setenv("XDG_RUNTIME_DIR", run)
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { null.Close() })
	p := terminal.NewIO("otrpipe", null, null, null)
	return Config{
		IO: p, Command: "connect", Given: options.Values{options.EphemeralFlag: {"true"}}, Secret: new(secret.Source),
		Identity: identities.Choice{IO: p, Home: keyfile.Open(filepath.Join(t.TempDir(), "home"))},
	}
}

// refused checks with what an end is refused.
func refused(t *testing.T, err error, code int, text string) {
	t.Helper()
	if err == nil {
		t.Errorf("nothing is refused, but %q was expected", text)
		return
	}
	if e := exit.As(err); e.Code != code || !strings.Contains(e.Error(), text) {
		t.Errorf("refused with %d: %v; want %d: %s", e.Code, e, code, text)
	}
}

func TestAnEphemeralEndNeedsNoHomeAndMakesNone(t *testing.T) {
	cfg := newConfig(t)
	e, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	if e.name.Identity != ephemeralIdentity || e.name.Home != "" {
		t.Errorf("it is %+v", e.name)
	}
	if _, err := os.Stat(cfg.Identity.Home.Dir()); err == nil {
		t.Error("it has made a home")
	}
}

func TestAnEndWithoutItsIdentityIsRefused(t *testing.T) {
	cfg := newConfig(t)
	cfg.Given = options.Values{}
	_, err := New(cfg)
	refused(t, err, exit.KeyFile, "")
	file := filepath.Join(t.TempDir(), "otr.private_key")
	cfg.Identity.File = &file
	_, err = New(cfg)
	refused(t, err, exit.KeyFile, "otr.private_key")
}

func TestAnEmptySecretIsRefused(t *testing.T) {
	cfg := newConfig(t)
	file := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	sources, err := secret.Open([]secret.Flags{{Name: options.SMPSecretFlag, HasFile: true, File: file}}, os.Stdin)
	if err != nil {
		t.Fatal(err)
	}
	cfg.Secret = sources[0]
	_, err = New(cfg)
	refused(t, err, exit.KeyFile, "the secret of SMP is empty")
	cfg.Shared = []byte("acid-zebra-broom") // the command's own secret goes before
	e, err := New(cfg)
	if err != nil || string(e.secret) != "acid-zebra-broom" {
		t.Errorf("with a secret of the command's: %v", err)
	}
}

func TestTheWayToTheOtherEndIsCheckedAtOnce(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	cfg := newConfig(t)
	e, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	refused(t, e.FindWay([]string{filepath.Join(t.TempDir(), "missing")}), exit.CannotRun, "missing")
	if err := e.FindWay([]string{"sh"}); err != nil || e.Way().Command[0] != "sh" {
		t.Errorf("a COMMAND: %+v, %v", e.Way(), err)
	}
	cfg.Given[options.TCPFlag] = []string{"bobs.host:9000"}
	if err := e.FindWay(nil); err != nil || e.Way().Dial != "bobs.host:9000" || e.Way().Listener != nil {
		t.Errorf("--tcp: %+v, %v", e.Way(), err)
	}
	delete(cfg.Given, options.TCPFlag)
	cfg.Given[options.ListenFlag] = []string{taken.Addr().String()}
	err = e.FindWay(nil)
	refused(t, err, exit.Failure, "--listen "+taken.Addr().String())
	if hint := exit.As(err).Hint; hint != "another program listens there: end it, or choose another port" {
		t.Errorf("a port that is taken has the hint %q", hint)
	}
	cfg.Given[options.ListenFlag] = []string{"127.0.0.1:0"}
	if err := e.FindWay(nil); err != nil {
		t.Fatal(err)
	}
	defer e.Way().Listener.Close()
	if e.Way().Dial != "" || e.Way().Listener.Everywhere() {
		t.Errorf("--listen: %+v", e.Way())
	}
}

func TestAnEndThatCouldOnlyTurnCallersAwaySaysSo(t *testing.T) {
	const nobody, unverified = "no key of bob is on file: every caller will be turned away", "no key of bob is verified: every caller will be turned away"
	for _, test := range []struct {
		trust  string
		known  []keyfile.Trust
		secret string
		want   string
	}{
		{options.TrustKnown, nil, "", nobody},
		{options.TrustVerified, nil, "", nobody},
		{options.TrustVerified, []keyfile.Trust{keyfile.Seen}, "", unverified},
		{options.TrustVerified, []keyfile.Trust{keyfile.Seen, keyfile.SMP}, "", ""},
		{options.TrustKnown, []keyfile.Trust{keyfile.Seen}, "", ""},
		{options.TrustNew, nil, "", ""},
		{options.TrustVerified, nil, "Lisbon", ""}, // SMP will verify the key
	} {
		cfg := newConfig(t)
		messages, err := os.Create(filepath.Join(t.TempDir(), "messages"))
		if err != nil {
			t.Fatal(err)
		}
		defer messages.Close()
		cfg.IO = terminal.NewIO("otrpipe", cfg.IO.In, cfg.IO.Out, messages)
		cfg.Given = options.Values{options.ContactFlag: {"bob"}, options.TrustFlag: {test.trust}, options.ListenFlag: {"127.0.0.1:0"}}
		for i, level := range test.known {
			id, err := keyfile.Ephemeral(rand.Reader)
			if err != nil {
				t.Fatal(err)
			}
			if err := cfg.Identity.Home.RememberKey("bob", id.Public().Keys[0], level, time.Unix(int64(i), 0)); err != nil {
				t.Fatal(err)
			}
		}
		e := &End{cfg: cfg}
		if test.secret != "" {
			e.secret = []byte(test.secret)
		}
		if err := e.FindWay(nil); err != nil {
			t.Fatal(err)
		}
		e.Way().Listener.Close()
		got, err := os.ReadFile(messages.Name())
		if err != nil || (len(got) > 0) != (test.want != "") || !strings.Contains(string(got), test.want) {
			t.Errorf("--trust %s with keys of %v and the secret %q: %q, %v; want %q", test.trust, test.known, test.secret, got, err, test.want)
		}
	}
}

func TestTheSameWayServesForAnotherConnection(t *testing.T) {
	cfg := newConfig(t)
	e, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	if err := e.FindWay([]string{"sh"}); err != nil {
		t.Fatal(err)
	}
	if way, err := e.WayAgain(); err != nil || len(way.Command) != 1 || way.Command[0] != "sh" {
		t.Errorf("a COMMAND: %+v, %v", way, err)
	}
	cfg.Given[options.ListenFlag] = []string{"127.0.0.1:0"}
	if err := e.FindWay(nil); err != nil {
		t.Fatal(err)
	}
	first := e.Way().Listener
	_, err = e.WayAgain()
	refused(t, err, exit.Failure, "--listen "+first.Address()) // it still listens
	first.Close()
	way, err := e.WayAgain()
	if err != nil {
		t.Fatal(err)
	}
	defer way.Listener.Close()
	if way.Listener.Address() != first.Address() {
		t.Errorf("it listened on %s, and now on %s", first.Address(), way.Listener.Address())
	}
}

func TestASessionWithoutANameGetsTheCommandsAndANumber(t *testing.T) {
	cfg := newConfig(t)
	for _, want := range []string{"connect", "connect-2", "connect-3"} {
		e, err := New(cfg)
		if err != nil {
			t.Fatal(err)
		}
		listener, err := e.listen()
		if err != nil {
			t.Fatal(err)
		}
		defer listener.Close()
		if e.name.Session != want {
			t.Errorf("the session is called %s, not %s", e.name.Session, want)
		}
	}
}

func TestAServerMakesItsFolderAgainIfItHasBeenRemoved(t *testing.T) {
	cfg := newConfig(t)
	e, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"serve", "serve-2", "serve"} {
		if want == "serve" {
			if err := os.RemoveAll(e.dir); err != nil {
				t.Fatal(err)
			}
		}
		s, err := e.hostOne("serve")
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = s.Finish(nil) }()
		if got := s.Status().Session; got != want {
			t.Errorf("the session is called %s, not %s", got, want)
		}
	}
}

func TestANameThatIsTakenIsRefusedWhereItWasGiven(t *testing.T) {
	cfg := newConfig(t)
	name := "work"
	cfg.Session = &name
	first, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	listener, err := first.listen()
	if err != nil {
		t.Fatal(err)
	}
	second, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	var l *control.Listener
	l, err = second.listen()
	if l != nil {
		l.Close()
	}
	refused(t, err, exit.Session, "work")
	listener.Close()
	if l, err = second.listen(); err != nil {
		t.Fatalf("once it is free: %v", err)
	}
	l.Close()
}
