//go:build unix

package peers

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"otrpipe/testscripts/slowtest"
)

const ngircdConf = `[Global]
Name = irc.invalid
Info = a server for tests
Listen = 127.0.0.1
Ports = %[1]d
MotdPhrase = welcome
[Limits]
MaxConnectionsIP = 0
MaxPenaltyTime = 0
[Options]
DNS = no
Ident = no
PAM = no
`

// A recorder is a way to a server that remembers all that went along it.
type recorder struct {
	addr *net.TCPAddr
	mu   sync.Mutex
	seen bytes.Buffer
}

// record listens on loopback and passes connections on to server.
func record(t *testing.T, server string) *recorder {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	r := &recorder{addr: l.Addr().(*net.TCPAddr)}
	go func() {
		for {
			client, err := l.Accept()
			if err != nil {
				return
			}
			upstream, err := net.Dial("tcp", server)
			if err != nil {
				client.Close()
				continue
			}
			go r.pass(upstream, client)
			go r.pass(client, upstream)
		}
	}()
	return r
}

func (r *recorder) pass(to, from net.Conn) {
	defer to.Close()
	io.Copy(to, io.TeeReader(from, r))
}

func (r *recorder) Write(p []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.seen.Write(p)
}

func (r *recorder) String() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.seen.String()
}

// program finds a program, or skips or fails the test; see missing.
func program(t *testing.T, name, pack string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if errors.Is(err, exec.ErrNotFound) {
		path, err = exec.LookPath("/usr/sbin/" + name)
	}
	if err != nil {
		missing(t, name, "apt install "+pack, err)
	}
	return path
}

// startServer starts an IRC server on loopback that takes lines as fast as they come.
func startServer(t *testing.T) string {
	t.Helper()
	ngircd := program(t, "ngircd", "ngircd")
	return startServerWith(t, ngircdConf, func(conf string) *exec.Cmd { return exec.Command(ngircd, "-n", "-f", conf) })
}

// startServerWith starts an IRC server on loopback with a configuration, in which %[1]d is its
// port and %[2]s a folder of its own.
func startServerWith(t *testing.T, configuration string, command func(conf string) *exec.Cmd) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port := l.Addr().(*net.TCPAddr).Port
	l.Close()
	folder := t.TempDir()
	conf := filepath.Join(folder, "conf")
	if err := os.WriteFile(conf, fmt.Appendf(nil, configuration+"%.0[2]s", port, folder), 0o644); err != nil {
		t.Fatal(err)
	}
	background(t, command(conf))
	addr := net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
	eventually(t, "the IRC server", func() bool {
		c, err := net.Dial("tcp", addr)
		if err == nil {
			c.Close()
		}
		return err == nil
	}, func() string { return addr })
	return addr
}

// startII starts ii as nick and returns its folder for the server.
func startII(t *testing.T, r *recorder, nick string) string {
	t.Helper()
	dir := t.TempDir()
	background(t, exec.Command(program(t, "ii", "ii"),
		"-s", "127.0.0.1", "-p", strconv.Itoa(r.addr.Port), "-i", dir, "-n", nick))
	folder := filepath.Join(dir, "127.0.0.1")
	log := func() string {
		out, _ := os.ReadFile(filepath.Join(folder, "out"))
		return string(out)
	}
	eventually(t, "ii to be connected", func() bool {
		return strings.Contains(log(), "End of MOTD")
	}, log)
	return folder
}

// An irssi is the client of that name with its OTR plugin, in a terminal that we
// type into and look at.
type irssi struct {
	t      *testing.T
	tmux   string
	socket string
	home   string
}

// startIrssi starts an irssi that sends its lines at once: by itself it sends one in two
// seconds, and a long one in six.
func startIrssi(t *testing.T, r *recorder, nick string) *irssi {
	t.Helper()
	return startIrssiWith(t, r, nick, "SET cmds_max_at_once 100\nSET cmd_queue_speed 10msec\n")
}

// startIrssiWith starts irssi with its plugin and with commands of the user's.
func startIrssiWith(t *testing.T, r *recorder, nick, commands string) *irssi {
	t.Helper()
	client := program(t, "irssi", "irssi irssi-plugin-otr")
	plugins, _ := filepath.Glob("/usr/lib*/**/irssi/modules/libotr_core.so")
	if len(plugins) == 0 {
		missing(t, "irssi's OTR plugin", "apt install irssi-plugin-otr", errors.New("no libotr_core.so"))
	}
	// A socket's path has a hundred bytes or so, which t.TempDir may exceed.
	home, err := os.MkdirTemp("", "irssi")
	if err != nil {
		t.Fatal(err)
	}
	s := &irssi{t: t, tmux: program(t, "tmux", "tmux"), home: home, socket: filepath.Join(home, "tmux")}
	if err := os.WriteFile(filepath.Join(home, "startup"), []byte("LOAD otr\n"+commands), 0o600); err != nil {
		t.Fatal(err)
	}
	pid := ""
	t.Cleanup(func() {
		s.run("kill-server")
		// It may still be writing logs, into a folder that is removed next.
		for deadline := time.Now().Add(10 * time.Second); runs(pid) && time.Now().Before(deadline); {
			time.Sleep(10 * time.Millisecond)
		}
		os.RemoveAll(home)
	})
	pid = s.run("-f", "/dev/null", "new-session", "-d", "-P", "-F", "#{pane_pid}", "-x", "150", "-y", "50",
		client, "--home", home, "--connect", "127.0.0.1", "--port", strconv.Itoa(r.addr.Port), "--nick", nick)
	s.wait("Mode change [+i] for user " + nick)
	return s
}

// runs reports whether the process whose id is in the first line of text runs.
func runs(text string) bool {
	pid, err := strconv.Atoi(strings.TrimSpace(text))
	if err != nil {
		return false
	}
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	return err == nil && !strings.Contains(string(status), "State:\tZ")
}

func (s *irssi) run(args ...string) string {
	cmd := exec.Command(s.tmux, append([]string{"-S", s.socket}, args...)...)
	cmd.Env = append(os.Environ(), "TERM=xterm", "LC_ALL=C.UTF-8")
	out, err := cmd.CombinedOutput()
	if err != nil {
		s.t.Logf("tmux %q: %v\n%s", args, err, out)
	}
	return string(out)
}

// do types a line.
func (s *irssi) do(line string) {
	s.run("send-keys", "-l", line)
	s.run("send-keys", "Enter")
}

// screen is what a person sees.
func (s *irssi) screen() string { return s.run("capture-pane", "-p", "-J") }

// wait waits until the screen shows text.
func (s *irssi) wait(text string) {
	s.t.Helper()
	eventually(s.t, "irssi to show "+strconv.Quote(text), func() bool {
		return strings.Contains(s.screen(), text)
	}, s.screen)
}

// makeKey makes irssi's OTR key, for what it calls the server. It is made in the
// background, and irssi looks for it when something happens.
func (s *irssi) makeKey() {
	s.t.Helper()
	s.do("/otr genkey 127")
	eventually(s.t, "irssi's key", func() bool {
		s.do("/otr info")
		return strings.Contains(s.screen(), "Fingerprint for 127:")
	}, s.screen)
}

// A carrier is otr-irc as the transport of a peer.
type carrier struct {
	in  io.WriteCloser
	out io.Reader
}

func carry(t *testing.T, folder, nick string) carrier {
	t.Helper()
	cmd := exec.Command("../../scripts/otr-irc", "--through-folder", folder, nick)
	cmd.Env = append(os.Environ(), "OTR_IRC_PAUSE=0")
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, pipe, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stdout = pipe
	background(t, cmd)
	t.Cleanup(func() { in.Close() })
	pipe.Close()
	return carrier{in: in, out: out}
}

// The plumbing carries a conversation between irssi and a peer that is not ours,
// so what fails here is the plumbing.
func TestIRCCarriesLibotrToIrssi(t *testing.T) {
	slowtest.Skip(t)
	long(t)
	t.Parallel()
	argv := libotr.command(t)
	server := startServer(t)
	ours, theirs := record(t, server), record(t, server)
	folder := startII(t, ours, "bob")
	alice := startIrssi(t, theirs, "Ali[ce")
	alice.makeKey()
	alice.do("/query bob")

	events := filepath.Join(t.TempDir(), "events")
	wire := carry(t, folder, "ali[ce")
	peer := exec.Command(argv[0], "--fragment", "350", "--events", events,
		"--on", "start=raw ?OTRv23?", "--on", "secure=say the first secret", "--echo")
	peer.Stdin, peer.Stdout = wire.out, wire.in
	background(t, peer)

	alice.wait("the first secret")
	alice.do("the second secret")
	eventually(t, "the second secret", func() bool {
		log, _ := os.ReadFile(events)
		return bytes.Contains(log, []byte(`"the second secret","encrypted":true`))
	}, alice.screen)
	for _, r := range []*recorder{ours, theirs} {
		if seen := r.String(); strings.Contains(seen, "secret") || strings.Contains(seen, "sesame") || !strings.Contains(seen, "?OTR|") {
			t.Errorf("on the wire:\n%s", seen)
		}
	}
}

// The whole way as a user has it: irssi with its plugin at one end, otrpipe
// through ii at the other, a real server between them that sees no word.
func TestIRCCarriesOtrpipeToIrssi(t *testing.T) {
	long(t)
	t.Parallel()
	h := newHome(t)
	server := startServer(t)
	ours, theirs := record(t, server), record(t, server)
	folder := startII(t, ours, "bob")
	alice := startIrssi(t, theirs, "Ali[ce")
	alice.makeKey()
	alice.do("/query bob")

	events := filepath.Join(t.TempDir(), "events")
	l := h.begin("../../scripts/otr-irc", folder, "ali[ce", "--events", events)
	alice.do("/otr init") // both begin
	l.say("the first secret\n")
	alice.wait("the first secret")
	alice.do("the second secret")
	l.wait("the second secret\n")
	l.say(strings.Repeat("a long secret ", 150) + "\n")
	alice.wait("a long secret a long secret")

	// What irssi sends is text as it stands, until it has shown that it is HTML.
	alice.do("a&amp;b <c>")
	l.wait("a&amp;b <c>\n")
	l.say("x&lt;y\n")
	alice.wait("<bob> x&lt;y")
	alice.do("<b>bold</b> a&amp;b &lt;c&gt; d")
	l.wait("\nbold a&b <c> d\n")
	l.say("p<q & r\n")
	alice.wait("<bob> p&lt;q &amp; r")

	alice.do("/otr auth sesame") // it takes one word
	eventually(t, "irssi's SMP", func() bool {
		log, _ := os.ReadFile(events)
		return bytes.Contains(log, []byte("smp_asked"))
	}, alice.screen)
	if code := h.code("smp", "--secret-file", secretFile(t, "sesame")); code != 0 {
		t.Errorf("SMP: exit code %d", code)
	}
	alice.wait("Authentication with bob successful")

	alice.do("/otr finish") // our input is still open, so the session ends too early
	if code := l.left(); code != 5 {
		t.Errorf("exit code %d, want 5", code)
	}
	for _, r := range []*recorder{ours, theirs} {
		if seen := r.String(); strings.Contains(seen, "secret") || strings.Contains(seen, "sesame") || !strings.Contains(seen, "?OTR|") {
			t.Errorf("on the wire:\n%s", seen)
		}
	}
}

// Someone has nothing but otr-irc: it starts what carries the conversation, delivers a
// pipe's texts, and leaves the server when they have gone out. What goes wrong it says.
func TestOtrIRCStartsEverythingItself(t *testing.T) {
	slowtest.Skip(t)
	long(t)
	t.Parallel()
	h := newHome(t)
	program(t, "ii", "ii")
	server := startServer(t)
	theirs := record(t, server)
	alice := startIrssi(t, theirs, "Ali[ce")
	alice.makeKey()
	alice.do("/query bob")

	var texts []string
	l := h.begin("../../scripts/otr-irc", "--linger", "1s", "--plain", server, "bob", "ali[ce")
	for i := range 12 {
		texts = append(texts, fmt.Sprintf("secret %d of twelve", i))
	}
	l.say(strings.Join(texts, "\n") + "\n")
	// What is on its way when a nick changes does not arrive.
	for _, text := range texts {
		alice.wait(text)
	}
	alice.do("a sign of life") // other clients acknowledge nothing
	l.wait("a sign of life\n")
	// The server tells bob nothing of it, but the session is the same.
	alice.do("/nick Alex{")
	alice.wait("[Alex{")
	alice.do("by another name")
	eventually(t, "what is said by another name", func() bool { return strings.Contains(l.out.String(), "by another name\n") }, alice.screen)
	if said := l.stderr.String(); !strings.Contains(said, "otr-irc: ali[ce is now called Alex{") {
		t.Errorf("it says %q", said)
	}
	l.say("so I see\n")
	alice.wait("so I see")
	l.in.Close()
	if code := l.left(); code != 0 {
		t.Errorf("exit code %d", code)
	}
	alice.wait("bob has finished the OTR session")
	for _, noise := range []string{"Terminated", "no such process", "secret"} {
		if strings.Contains(l.stderr.String(), noise) {
			t.Errorf("it says %q", noise)
		}
	}
	short := 0
	for line := range strings.Lines(theirs.String()) {
		if strings.Contains(line, " PRIVMSG Ali[ce :?OTR:") {
			short++
		}
		if len(line) > 512 {
			t.Errorf("a line of %d bytes", len(line))
		}
	}
	if short < len(texts) {
		t.Errorf("only %d of the messages are one line each", short)
	}

	for _, test := range []struct {
		args []string
		say  string
	}{
		{[]string{"--plain", server, "Alex{", "bob"}, "the nick Alex{ is taken"},
		{[]string{"--plain", server, "1bob", "bob"}, "does not allow the nick 1bob"},
		{[]string{"--plain", "127.0.0.1:1", "bob", "alice"}, "no connection to 127.0.0.1, port 1: Connection refused"},
		{[]string{"127.0.0.1:1", "bob", "alice"}, "no connection to 127.0.0.1, port 1: Connection refused"},
	} {
		l := h.begin(append([]string{"../../scripts/otr-irc"}, test.args...)...)
		if code := l.left(); code != 1 || !strings.Contains(l.stderr.String(), test.say) {
			t.Errorf("%q: exit code %d:\n%s", test.args, code, l.stderr.String())
		}
	}
}

// What the server says of the friend is said in words: a line that it could not pass on, and
// the friend's leaving and coming where a channel shows it.
func TestOtrIRCSaysWhereTheFriendIs(t *testing.T) {
	slowtest.Skip(t)
	long(t)
	t.Parallel()
	h := newHome(t)
	program(t, "ii", "ii")
	server := startServer(t)
	folders := t.TempDir()
	h.env = append(h.env, "TMPDIR="+folders)
	tells := func(l *live, text string) {
		t.Helper()
		eventually(t, strconv.Quote(text), func() bool { return strings.Contains(l.stderr.String(), text) }, l.stderr.String)
	}
	ours := record(t, server)
	l := h.begin("../../scripts/otr-irc", "--plain", ours.addr.String(), "bob", "alice")
	tells(l, "otr-irc: alice is not there yet; what you say waits\n")
	ins, _ := filepath.Glob(folders + "/*/irc/127.0.0.1/in")
	if len(ins) != 1 {
		t.Fatalf("ii has the pipes %q", ins)
	}
	if err := os.WriteFile(ins[0], []byte("/JOIN #friends\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	eventually(t, "bob to be in the channel", func() bool { return strings.Contains(ours.String(), " JOIN :#friends") }, ours.String)

	folder := startII(t, record(t, server), "alice")
	say := func(command string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(folder, "in"), []byte(command+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	say("/JOIN #friends")
	tells(l, "otr-irc: alice is there\n")
	begun := newHome(t).begin("../../scripts/otr-irc", folder, "bob")
	l.say("hello\n")
	begun.wait("hello\n")
	say("/QUIT :gone fishing")
	tells(l, "otr-irc: alice has left (")
	if !strings.Contains(l.stderr.String(), "gone fishing") {
		t.Error("it does not say with what words")
	}
	l.say("too late\n")

	// Who has seen nothing of that learns it from the first line that is not passed on.
	_, port, err := net.SplitHostPort(server)
	if err != nil {
		t.Fatal(err)
	}
	dave := dialIRC(t, port, "dave")
	dave.send("JOIN #friends")
	dave.sees("End of NAMES list")
	folder = startII(t, record(t, server), "alice")
	say("/JOIN #friends")
	dave.sees(":alice!")
	carol := newHome(t).begin("../../scripts/otr-irc", "--plain", server, "carol", "alice")
	begun = newHome(t).begin("../../scripts/otr-irc", folder, "carol")
	carol.say("hello\n")
	begun.wait("hello\n")
	say("/QUIT :")
	dave.sees(" QUIT ")
	carol.say("are you there?\n")
	tells(carol, "otr-irc: alice is not there: what was said last has not gone out; what you say waits\n")
	if strings.Contains(carol.stderr.String(), "are you there") {
		t.Error("it says what was said")
	}
}

// A signal for the whole process group, as a service manager sends it, ends the session
// and not only the program.
func TestOtrIRCTellsTheFriendOfTheEndWhenItsGroupIsSignalled(t *testing.T) {
	long(t)
	t.Parallel()
	setsid := program(t, "setsid", "util-linux")
	program(t, "ii", "ii")
	server := startServer(t)
	hears := newHome(t).begin("../../scripts/otr-irc", "--plain", server, "bob", "alice")
	says := newHome(t).begin(setsid, "../../scripts/otr-irc", "--plain", server, "alice", "bob")
	says.say("hello\n")
	hears.wait("hello\n")
	if err := syscall.Kill(-says.cmd.Process.Pid, syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if code := says.left(); code != 143 {
		t.Errorf("exit code %d", code)
	}
	eventually(t, "the end of the session", func() bool {
		return strings.Contains(hears.stderr.String(), "ended the session")
	}, hears.stderr.String)
	if strings.Contains(says.stderr.String(), "Terminated") {
		t.Error("bash tells of a child that the signal has ended")
	}
}

// The same, where ii runs already: out of its log.
func TestOtrIRCSaysWhereTheFriendIsAsIIsLogHasIt(t *testing.T) {
	long(t)
	t.Parallel()
	server := startServer(t)
	_, port, err := net.SplitHostPort(server)
	if err != nil {
		t.Fatal(err)
	}
	alice := dialIRC(t, port, "alice")
	folder := startII(t, record(t, server), "bob")
	if err := os.WriteFile(filepath.Join(folder, "in"), []byte("/JOIN #friends\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	eventually(t, "bob to be in the channel", func() bool {
		_, err := os.Stat(filepath.Join(folder, "#friends", "out"))
		return err == nil
	}, func() string { return folder })
	alice.send("JOIN #friends")
	alice.sees("End of NAMES list")
	l := newHome(t).begin("../../scripts/otr-irc", folder, "alice")
	tells := func(text string) {
		t.Helper()
		eventually(t, strconv.Quote(text), func() bool { return strings.Contains(l.stderr.String(), text) }, l.stderr.String)
	}
	alice.sees("PRIVMSG alice :?OTRv234?")
	alice.send("NICK alex")
	tells("otr-irc: alice is now called alex; what you say still goes to alice\n")
	another := dialIRC(t, port, "alice")
	another.send("JOIN #friends")
	another.sees("End of NAMES list")
	another.send("PRIVMSG bob :?OTRv3?") // whose answer finds nobody
	another.send("QUIT :gone fishing")
	tells("otr-irc: alice has left\n")
	tells("otr-irc: alice is not there: what was said last has not gone out\n")
}

// fullDisk runs a command that can write no file, as on a full disk.
const fullDisk = `trap "" XFSZ; ulimit -f 0; exec "$@"`

// onFullDisk runs otrpipe with a transport that can write no file.
const onFullDisk = `#!/usr/bin/env bash
arguments=()
while [ $# -gt 0 ] && [ "$1" != -- ]; do
  arguments+=("$1")
  shift
done
exec otrpipe "${arguments[@]}" -- bash -c '` + fullDisk + `' - "${@:2}"
`

// Where nothing can be written, the scripts end and say why: they keep what they know of the
// conversation in files.
func TestScriptsThatCannotWriteEndAndSayWhy(t *testing.T) {
	long(t)
	t.Parallel()
	program(t, "ii", "ii")
	irc, xmpp := startServer(t), startXMPP(t, "bob")
	otrpipe := filepath.Join(t.TempDir(), "otrpipe")
	if err := os.WriteFile(otrpipe, []byte(onFullDisk), 0o700); err != nil {
		t.Fatal(err)
	}
	for _, test := range [][]string{
		{"env", "OTRPIPE=" + otrpipe, "../../scripts/otr-irc", "--contact", "alice", "--otr", "3", "--plain", irc, "bob", "alice"},
		{"bash", "-c", fullDisk, "-", "../../scripts/otr-xmpp", "--server", "localhost:" + xmpp.port, "bob@localhost", "alice@localhost"},
	} {
		h := newHome(t)
		h.env = append(h.env, "SSL_CERT_FILE="+xmpp.certificate, "OTR_XMPP_PASSWORD=secret-bob")
		l := h.begin(test...)
		if code := l.left(); code == 0 || !strings.Contains(l.stderr.String(), "is the disk full?\n") {
			t.Errorf("%q: exit code %d:\n%s", test, code, l.stderr.String())
		}
	}
}

// The way to a server is encrypted, and its certificate is looked at.
func TestOtrIRCLooksAtTheServersCertificate(t *testing.T) {
	slowtest.Skip(t)
	long(t)
	t.Parallel()
	h := newHome(t)
	program(t, "ii", "ii")
	socat, openssl := program(t, "socat", "socat"), program(t, "openssl", "openssl")
	server := startServer(t)
	dir := t.TempDir()
	certificate, key := filepath.Join(dir, "certificate"), filepath.Join(dir, "key")
	made := exec.Command(openssl, "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost",
		"-addext", "subjectAltName=DNS:localhost", "-keyout", key, "-out", certificate)
	if out, err := made.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port := strconv.Itoa(l.Addr().(*net.TCPAddr).Port)
	l.Close()
	background(t, exec.Command(socat, "OPENSSL-LISTEN:"+port+",bind=127.0.0.1,fork,reuseaddr,verify=0,cert="+certificate+",key="+key, "TCP:"+server))
	eventually(t, "the server", func() bool {
		c, err := net.Dial("tcp", "127.0.0.1:"+port)
		if err == nil {
			c.Close()
		}
		return err == nil
	}, func() string { return port })

	refused := h.begin("../../scripts/otr-irc", "localhost:"+port, "bob", "alice")
	if code := refused.left(); code != 1 || !strings.Contains(refused.stderr.String(), "certificate verify failed") {
		t.Errorf("exit code %d", code)
	}
	h.env = append(h.env, "SSL_CERT_FILE="+certificate)
	taken := h.begin("../../scripts/otr-irc", "localhost:"+port, "bob", "alice")
	eventually(t, "the friend to be missed", func() bool {
		return strings.Contains(taken.stderr.String(), "alice is not there yet")
	}, taken.stderr.String)
	taken.cmd.Process.Signal(syscall.SIGTERM)
	if code := taken.left(); code != 143 {
		t.Errorf("exit code %d", code)
	}
}
