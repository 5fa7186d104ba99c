//go:build unix

package peers

import (
	"bytes"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"otrpipe/testscripts/slowtest"
)

// prosodyConf is for a server on loopback: its folder, its port, its folder again. What it
// does not say, the pace of lines among it, is as the server comes.
const prosodyConf = `pidfile = "%[1]s/pid"
run_as_root = true
data_path = "%[1]s/data"
interfaces = { "127.0.0.1" }
c2s_ports = { %[2]s }
c2s_require_encryption = true
s2s_ports = {}
modules_enabled = { "roster", "saslauth", "tls", "disco", "ping", "carbons", "offline" }
modules_disabled = { "s2s" }
authentication = "internal_plain"
log = { info = "*console" }
VirtualHost "localhost"
  ssl = { key = "%[1]s/key", certificate = "%[1]s/certificate" }
`

// An xmpp is an XMPP server on loopback, with accounts.
type xmpp struct {
	t           *testing.T
	port        string
	certificate string
}

// startXMPP starts the server. The password of each account is secret- and its name.
func startXMPP(t *testing.T, accounts ...string) *xmpp {
	t.Helper()
	prosody := program(t, "prosody", "prosody")
	program(t, "go-sendxmpp", "go-sendxmpp")
	dir := t.TempDir()
	s := &xmpp{t: t, certificate: filepath.Join(dir, "certificate")}
	made := exec.Command(program(t, "openssl", "openssl"), "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost",
		"-addext", "subjectAltName=DNS:localhost", "-keyout", filepath.Join(dir, "key"), "-out", s.certificate)
	if out, err := made.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	folder := filepath.Join(dir, "data", "localhost", "accounts")
	if err := os.MkdirAll(folder, 0o755); err != nil {
		t.Fatal(err)
	}
	for _, name := range accounts {
		account := fmt.Sprintf("return {\n\t[\"password\"] = \"secret-%s\";\n};\n", name)
		if err := os.WriteFile(filepath.Join(folder, name+".dat"), []byte(account), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	s.port = xmppPort(t)
	conf := filepath.Join(dir, "prosody.cfg.lua")
	if err := os.WriteFile(conf, fmt.Appendf(nil, prosodyConf, dir, s.port), 0o644); err != nil {
		t.Fatal(err)
	}
	background(t, exec.Command(prosody, "--config", conf, "-F"))
	listens(t, s.port)
	return s
}

// xmppPort is one of the ports that BitlBee takes for an XMPP server's, which is free until
// the test has ended. Whoever wants one of them holds the UDP port of the same number, so that
// no test of this process or of another one takes it.
func xmppPort(t *testing.T) string {
	t.Helper()
	for port := 5220; port < 5230; port++ {
		addr := net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
		held, err := net.ListenPacket("udp", addr)
		if err != nil {
			continue
		}
		if l, err := net.Listen("tcp", addr); err == nil {
			l.Close()
			t.Cleanup(func() { held.Close() })
			return strconv.Itoa(port)
		}
		held.Close()
	}
	t.Fatal("no port from 5220 to 5229 is free")
	return ""
}

// listens waits until a server listens on loopback.
func listens(t *testing.T, port string) {
	t.Helper()
	eventually(t, "the server", func() bool {
		c, err := net.Dial("tcp", "127.0.0.1:"+port)
		if err == nil {
			c.Close()
		}
		return err == nil
	}, func() string { return port })
}

// An xmppUser is otr-xmpp with its user's home.
type xmppUser struct {
	*live
	home   *home
	events string
}

// user starts otr-xmpp from an account to a friend's.
func (s *xmpp) user(h *home, name, friend string, flags ...string) *xmppUser {
	s.t.Helper()
	u := &xmppUser{home: h, events: filepath.Join(s.t.TempDir(), "events")}
	h.env = append(h.env, "SSL_CERT_FILE="+s.certificate, "OTR_XMPP_PASSWORD=secret-"+name)
	u.live = h.begin(append([]string{"../../scripts/otr-xmpp", "--server", "localhost:" + s.port, "--events", u.events,
		name + "@localhost", friend + "@localhost"}, flags...)...)
	return u
}

// happens waits until an event has happened.
func (u *xmppUser) happens(event string) {
	u.t.Helper()
	eventually(u.t, "the event "+event, func() bool {
		log, _ := os.ReadFile(u.events)
		return bytes.Contains(log, []byte(`"`+event+`"`))
	}, u.stderr.String)
}

// tells waits until otr-xmpp has told its user a text.
func (u *xmppUser) tells(text string) {
	u.t.Helper()
	eventually(u.t, strconv.Quote(text), func() bool { return strings.Contains(u.stderr.String(), text) }, u.stderr.String)
}

// Two people have nothing but otr-xmpp. In version 4 the accounts are part of the proof.
func TestOtrXMPPTalksWithItself(t *testing.T) {
	long(t)
	t.Parallel()
	s := startXMPP(t, "alice", "bob")
	bob := s.user(newHome(t), "bob", "alice", "--linger", "1m")
	alice := s.user(newHome(t), "alice", "Bob")
	long := strings.Repeat("Grüße, a&b <b>; ", 300) + "."
	alice.say("/me waves\n" + long + "\n")
	bob.wait("/me waves\n" + long + "\n")
	bob.say("and back\n")
	alice.wait("and back\n")
	alice.tells("secure with OTRv4 key")
	bob.in.Close()
	alice.in.Close()
	for _, u := range []*xmppUser{alice, bob} {
		if code := u.left(); code != 0 {
			t.Errorf("exit code %d", code)
		}
		for _, noise := range []string{"Terminated", "no such process", "Grüße"} {
			if strings.Contains(u.stderr.String(), noise) {
				t.Errorf("it says %q", noise)
			}
		}
	}
}

// Another account than the peer takes us for is refused in version 4.
func TestOtrXMPPBindsTheAccounts(t *testing.T) {
	slowtest.Skip(t)
	long(t)
	t.Parallel()
	s := startXMPP(t, "alice", "bob")
	bob := s.user(newHome(t), "bob", "alice", "--account=eve@localhost", "--peer-account=alice@localhost", "--timeout=10s", "--otr=4")
	alice := s.user(newHome(t), "alice", "bob", "--timeout=10s", "--otr=4")
	for _, u := range []*xmppUser{alice, bob} {
		if code := u.left(); code == 0 || strings.Contains(u.stderr.String(), "secure with") {
			t.Errorf("exit code %d:\n%s", code, u.stderr.String())
		}
	}
}

// What goes wrong is said in words.
func TestOtrXMPPSaysWhatGoesWrong(t *testing.T) {
	slowtest.Skip(t)
	long(t)
	t.Parallel()
	s := startXMPP(t, "bob")
	h := newHome(t)
	script := []string{"../../scripts/otr-xmpp", "bob@localhost", "nobody@localhost", "--timeout=5s", "--server"}
	for _, test := range []struct {
		env, server string
		code        int
		say         string
	}{
		{"OTR_XMPP_PASSWORD=wrong", "localhost:" + s.port, 1, "otr-xmpp: localhost:" + s.port + " does not let us in: the password is wrong, or there is no account bob@localhost\n"},
		{"OTR_XMPP_PASSWORD=secret-bob", "localhost:1", 1, "otr-xmpp: no connection to localhost:1: "},
		{"SSL_CERT_FILE=/dev/null", "localhost:" + s.port, 1, "otr-xmpp: localhost:" + s.port + " cannot be trusted: "},
		{"OTR_XMPP_PASSWORD=secret-bob", "localhost:" + s.port, 7, "otr-xmpp: nobody@localhost is not there, or there is no such account; what you say waits\n"},
	} {
		user := *h
		user.env = append(slices.Clone(h.env), "OTR_XMPP_PASSWORD=secret-bob", "SSL_CERT_FILE="+s.certificate, test.env)
		l := user.begin(append(slices.Clone(script), test.server)...)
		if code := l.left(); code != test.code || !strings.Contains(l.stderr.String(), test.say) {
			t.Errorf("%+v: exit code %d:\n%s", test, code, l.stderr.String())
		}
	}
}
