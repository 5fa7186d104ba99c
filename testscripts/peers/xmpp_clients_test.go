//go:build unix

package peers

import (
	"bufio"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
)

// A terminal is a program in a terminal of tmux's, which a test types into and looks at.
type terminal struct {
	t      *testing.T
	tmux   string
	socket string
}

// open runs a program in a terminal, with its files in folder.
func open(t *testing.T, folder string, argv ...string) *terminal {
	t.Helper()
	term := &terminal{t: t, tmux: program(t, "tmux", "tmux"), socket: filepath.Join(folder, "tmux")}
	t.Cleanup(func() { term.run("kill-server") })
	// Wide enough that no text of the test but the long ones is wrapped.
	term.run(append([]string{"-f", "/dev/null", "new-session", "-d", "-x", "180", "-y", "60"}, argv...)...)
	return term
}

func (term *terminal) run(args ...string) string {
	cmd := exec.Command(term.tmux, append([]string{"-S", term.socket}, args...)...)
	cmd.Env = append(os.Environ(), "TERM=xterm", "LC_ALL=C.UTF-8")
	out, _ := cmd.CombinedOutput()
	return string(out)
}

func (term *terminal) enters(line string) {
	term.run("send-keys", "-l", line)
	term.run("send-keys", "Enter")
}

func (term *terminal) screen() string { return term.run("capture-pane", "-p", "-J") }

func (term *terminal) sees(text string) {
	term.t.Helper()
	eventually(term.t, strconv.Quote(text)+" on the screen", func() bool { return strings.Contains(term.screen(), text) }, term.screen)
}

// An xmppClient is another client, whose user talks with bob@localhost.
type xmppClient struct {
	version string              // of OTR, that a session with it has
	says    func(text string)   // says a text to bob
	sees    func(text string)   // waits until it shows this
	proves  func(secret string) // starts SMP
	asked   string              // what it shows when SMP is asked for
	answers func(secret string)
	proved  string // what it shows when the secrets match
	ended   string // what it shows when bob has ended the session, if it shows anything
	html    bool   // it sends and shows HTML, without a tag that would show us that it does
	most    int    // how many characters of a line its input takes
}

// talks is what a person tries with a client: texts both ways, as they are, long ones, SMP
// started by either, and an end.
func (s *xmpp) talks(account string, c xmppClient) {
	t := s.t
	t.Helper()
	bob := s.user(newHome(t), "bob", account)
	bob.tells("secure with OTRv" + c.version + " key")
	bob.say("hello\n") // the client can show it only once it has the session too
	c.sees("hello")
	c.says("Grüße, a&b <b> 你好")
	if c.html {
		bob.wait("Grüße, a&amp;b &lt;b&gt; 你好\n")
		bob.say("zurück: a&amp;b &lt;b&gt; 你好\n")
	} else {
		bob.wait("Grüße, a&b <b> 你好\n")
		bob.say("zurück: a&b <b> 你好\n")
	}
	c.sees("zurück: a&b <b> 你好")
	c.says("/me waves")
	bob.wait("/me waves\n")
	bob.say("/me nods\n")
	c.sees("nods")
	long := strings.Repeat("0123456789abcde ", c.most/16)
	c.says(long + "their end")
	bob.wait(long + "their end\n")
	bob.say(strings.Repeat("0123456789abcde ", 320) + "our end\n")
	c.sees("our end")

	c.proves("sesame")
	bob.happens("smp_asked")
	if code := bob.home.code("smp", "--secret-file", secretFile(t, "sesame")); code != 0 {
		t.Errorf("its SMP: exit code %d", code)
	}
	c.sees(c.proved)
	done := make(chan int)
	go func() { done <- bob.home.code("smp", "--secret-file", secretFile(t, "mellon")) }()
	c.sees(c.asked)
	c.answers("mellon")
	if code := <-done; code != 0 {
		t.Errorf("our SMP: exit code %d", code)
	}

	bob.say("the last word\n")
	bob.in.Close()
	if code := bob.left(); code != 0 {
		t.Errorf("exit code %d", code)
	}
	c.sees("the last word")
	if c.ended != "" {
		c.sees(c.ended)
	}
}

func TestOtrXMPPTalksWithMcabber(t *testing.T) {
	onNetworks(t)
	t.Parallel()
	mcabber := program(t, "mcabber", "mcabber")
	s := startXMPP(t, "alice", "bob")
	folder := clientFolder(t)
	rc := fmt.Sprintf(`set jid = alice@localhost
set password = secret-alice
set server = 127.0.0.1
set port = %s
set tls = 1
set ssl_ca = %s
set otr = 1
set otr_dir = %s/
otrpolicy default manual
`, s.port, s.certificate, folder)
	if err := os.WriteFile(filepath.Join(folder, "rc"), []byte(rc), 0o600); err != nil {
		t.Fatal(err)
	}
	term := open(t, folder, mcabber, "-f", filepath.Join(folder, "rc"))
	term.sees("Your status has been set")
	// It drops what comes from addresses that it does not know.
	term.enters("/add bob@localhost")
	term.sees("Sent presence notification request to <bob@localhost>")
	term.enters("/roster search bob")
	term.enters("/otr key") // makes it
	term.sees("] alice@localhost: ")
	term.enters("") // opens the conversation with bob
	s.talks("alice", xmppClient{
		version: "3",
		says: func(text string) {
			if me, ok := strings.CutPrefix(text, "/me "); ok {
				text = "/say /me " + me
			}
			term.enters(text)
		},
		sees:    term.sees,
		proves:  func(secret string) { term.enters("/otr smpq . " + secret) },
		asked:   "Received SMP Initiation",
		answers: func(secret string) { term.enters("/otr smpr . " + secret) },
		proved:  "Protocol: Success!",
		ended:   "OTR: channel closed",
		most:    700,
	})
}

func TestOtrXMPPTalksWithProfanity(t *testing.T) {
	onNetworks(t)
	t.Parallel()
	profanity := program(t, "profanity", "profanity")
	s := startXMPP(t, "alice", "bob")
	folder := clientFolder(t)
	account := fmt.Sprintf("[alice@localhost]\nenabled=true\njid=alice@localhost\npassword=secret-alice\nserver=127.0.0.1\nport=%s\ntls.policy=trust\nresource=profanity\n", s.port)
	for name, text := range map[string]string{
		"data/profanity/accounts": account,
		"config/profanity/profrc": "[ui]\nsplash=false\n",
	} {
		path := filepath.Join(folder, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	term := open(t, folder, "env", "XDG_DATA_HOME="+folder+"/data", "XDG_CONFIG_HOME="+folder+"/config", profanity, "-a", "alice@localhost")
	term.sees("logged in successfully")
	term.enters("/otr gen")
	eventually(t, "profanity's key", func() bool {
		keys, _ := os.ReadFile(filepath.Join(folder, "data/profanity/otr/alice_at_localhost/keys.txt"))
		return len(keys) > 0
	}, term.screen)
	term.enters("/msg bob@localhost")
	s.talks("alice", xmppClient{
		version: "2",
		says:    term.enters,
		sees:    term.sees,
		proves:  func(secret string) { term.enters("/otr secret " + secret) },
		asked:   "wants to authenticate your identity",
		answers: func(secret string) { term.enters("/otr secret " + secret) },
		proved:  "Authentication successful",
		ended:   "OTR session ended",
		most:    700,
	})
}

// clientFolder is for the files of a client, a tmux's socket among them.
func clientFolder(t *testing.T) string {
	t.Helper()
	folder, err := shortFolder()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(folder) })
	return folder
}

// An ircClient is the IRC client of a user of that gateway from IRC to XMPP, or of a server.
type ircClient struct {
	t    *testing.T
	conn net.Conn
	mu   sync.Mutex
	seen strings.Builder
}

// startBitlbee starts the gateway, with its own OTR if that is wanted, and returns its port.
func startBitlbee(t *testing.T, otr bool) string {
	t.Helper()
	path := program(t, "bitlbee", "bitlbee bitlbee-plugin-otr")
	folder := clientFolder(t)
	if err := os.Mkdir(filepath.Join(folder, "users"), 0o700); err != nil {
		t.Fatal(err)
	}
	motd := filepath.Join(folder, "motd")
	if err := os.WriteFile(motd, []byte("welcome\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	conf := "[settings]\nAuthMode = Open\nMotdFile = " + motd + "\n"
	if !otr {
		conf += "PluginDir = " + folder + "\n" // without a plugin
	}
	if err := os.WriteFile(filepath.Join(folder, "conf"), []byte(conf), 0o600); err != nil {
		t.Fatal(err)
	}
	port := freePort(t)
	background(t, exec.Command(path, "-D", "-n", "-i", "127.0.0.1", "-p", port, "-d", filepath.Join(folder, "users")+"/", "-c", filepath.Join(folder, "conf")))
	listens(t, port)
	return port
}

func freePort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return strconv.Itoa(l.Addr().(*net.TCPAddr).Port)
}

// dialIRC is a user, as nick, of the gateway or the server at port of loopback.
func dialIRC(t *testing.T, port, nick string) *ircClient {
	t.Helper()
	conn, err := net.Dial("tcp", "127.0.0.1:"+port)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	b := &ircClient{t: t, conn: conn}
	go func() {
		for lines := bufio.NewScanner(conn); lines.Scan(); {
			if token, ok := strings.CutPrefix(lines.Text(), "PING "); ok {
				b.send("PONG " + token)
			}
			b.mu.Lock()
			b.seen.WriteString(lines.Text() + "\n")
			b.mu.Unlock()
		}
	}()
	b.send("NICK " + nick)
	b.send("USER " + nick + " 0 * :" + nick)
	b.sees(" 001 ")
	return b
}

func (b *ircClient) send(line string) { fmt.Fprintf(b.conn, "%s\r\n", line) }

func (b *ircClient) lines() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.seen.String()
}

func (b *ircClient) sees(text string) {
	b.t.Helper()
	eventually(b.t, strconv.Quote(text)+" from the IRC server", func() bool { return strings.Contains(b.lines(), text) }, b.lines)
}

// commands gives commands to the gateway.
func (b *ircClient) commands(lines ...string) {
	for _, line := range lines {
		b.send("PRIVMSG root :" + line)
	}
}

// logIn connects the account name to the server, with the contact bob.
func (b *ircClient) logIn(s *xmpp, name string) {
	b.t.Helper()
	b.commands("register pass",
		"account add jabber "+name+"@localhost secret-"+name,
		"account jabber set server 127.0.0.1",
		"account jabber set port "+s.port,
		"account jabber set tls true",
		"account jabber set tls_verify false",
		"account jabber on")
	b.sees("Logging in: Logged in")
	b.commands("add jabber bob@localhost bob")
	b.sees("Adding `bob@localhost' to contact list")
}

// BitlBee's own OTR makes its key when the first query comes, sends and shows HTML, and tells
// of no end.
func TestOtrXMPPTalksWithBitlbeesOTR(t *testing.T) {
	onNetworks(t)
	t.Parallel()
	s := startXMPP(t, "alice", "bob")
	b := dialIRC(t, startBitlbee(t, true), "alice")
	b.logIn(s, "alice")
	s.talks("alice", xmppClient{
		version: "3",
		says: func(text string) {
			if me, ok := strings.CutPrefix(text, "/me "); ok {
				text = "\x01ACTION " + me + "\x01"
			}
			b.send("PRIVMSG bob :" + text)
		},
		sees:    b.sees,
		proves:  func(secret string) { b.commands("otr smp bob " + secret) },
		asked:   "smp: initiated by bob",
		answers: func(secret string) { b.commands("otr smp bob " + secret) },
		proved:  "smp bob: secrets proved equal",
		html:    true,
		most:    360,
	})
}

// Someone at the gateway has OTR in the IRC client: the gateway cuts our lines, and the
// client joins them.
func TestOtrXMPPTalksWithIrssiBehindBitlbee(t *testing.T) {
	onNetworks(t)
	t.Parallel()
	s := startXMPP(t, "alice", "bob")
	port := startBitlbee(t, false)
	alice := startIrssi(t, record(t, "127.0.0.1:"+port), "alice")
	alice.makeKey()
	for _, line := range []string{"/query root", "register pass", "account add jabber alice@localhost secret-alice", "account jabber set server 127.0.0.1",
		"account jabber set port " + s.port, "account jabber set tls true", "account jabber set tls_verify false", "account jabber on"} {
		alice.do(line)
	}
	alice.wait("Logged in")
	alice.do("add jabber bob@localhost bob")
	alice.wait("Adding `bob@localhost' to contact list")
	alice.do("/query bob")
	s.talks("alice", xmppClient{
		version: "3",
		says:    alice.do,
		sees:    alice.wait,
		proves:  func(secret string) { alice.do("/otr auth " + secret) },
		asked:   "wants to authenticate",
		answers: func(secret string) { alice.do("/otr auth " + secret) },
		proved:  "Authentication with bob successful",
		ended:   "bob has finished the OTR session",
		most:    300,
	})
}

// And the other way round: otr-irc has the gateway for its server, which cuts the lines of
// a friend on XMPP.
func TestOtrIRCTalksThroughBitlbee(t *testing.T) {
	onNetworks(t)
	t.Parallel()
	program(t, "ii", "ii")
	s := startXMPP(t, "alice", "bob")
	port := startBitlbee(t, false)
	setup := dialIRC(t, port, "alice")
	setup.logIn(s, "alice")
	setup.commands("save")
	setup.sees("Configuration saved")
	setup.conn.Close()

	wire := record(t, "127.0.0.1:"+port)
	folder := startII(t, wire, "alice")
	in, err := os.OpenFile(filepath.Join(folder, "in"), os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	fmt.Fprintln(in, "/PRIVMSG root :identify pass")
	eventually(t, "the gateway to be on XMPP", func() bool { return strings.Contains(wire.String(), "Logging in: Logged in") }, wire.String)

	bob := s.user(newHome(t), "bob", "alice", "--linger", "1m")
	alice := newHome(t).begin("../../scripts/otr-irc", folder, "bob",
		"--account", "alice@localhost", "--peer-account", "bob@localhost") // as the other end has them
	long := strings.Repeat("Grüße, a&b <b>; ", 300) + "."
	bob.say(long + "\n")
	alice.wait(long + "\n")
	alice.say("and back: a&b <b>\n")
	bob.wait("and back: a&b <b>\n")
	cut := 0
	for line := range strings.Lines(wire.String()) {
		if len(line) > 512 {
			t.Errorf("a line of %d bytes", len(line))
		}
		if strings.HasPrefix(line, ":bob!") && !strings.Contains(line, ":?OTR") {
			cut++
		}
	}
	if cut == 0 {
		t.Error("the gateway has cut no line")
	}
	bob.in.Close()
	alice.in.Close()
	if code := bob.left(); code != 0 {
		t.Errorf("exit code %d", code)
	}
}
