//go:build unix

package peers

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// slow is how long something may take on a server and with a client that send one line in
// several seconds.
const slow = 5 * time.Minute

// ngircdAsShipped has ngircd's penalties for what comes too fast.
const ngircdAsShipped = `[Global]
Name = irc.invalid
Info = a server for tests
Listen = 127.0.0.1
Ports = %[1]d
MotdPhrase = welcome
[Limits]
MaxConnectionsIP = 0
[Options]
DNS = no
Ident = no
PAM = no
`

// inspircdAsShipped has InspIRCd's fakelag, and what else Debian's example sets for a
// connection.
const inspircdAsShipped = `
<server name="irc.invalid" description="a server for tests" network="Test">
<admin name="a" nick="a" email="a@irc.invalid">
<bind address="127.0.0.1" port="%[1]d" type="clients">
<connect allow="*" timeout="60" threshold="10" pingfreq="120" hardsendq="262144" softsendq="8192" recvq="8192"
  localmax="10" globalmax="10" resolvehostnames="no">
<dns server="127.0.0.1" timeout="1">
<path configdir="%[2]s" datadir="%[2]s" logdir="%[2]s" runtimedir="%[2]s">
`

// eachNetwork runs a story on every server as it ships, if -networks is given. Each takes
// several minutes, most of which it waits, so that all run side by side.
func eachNetwork(t *testing.T, story func(t *testing.T, server string)) {
	onNetworks(t)
	t.Parallel()
	t.Run("ngircd", func(t *testing.T) {
		t.Parallel()
		ngircd := program(t, "ngircd", "ngircd")
		story(t, startServerWith(t, ngircdAsShipped, func(conf string) *exec.Cmd { return exec.Command(ngircd, "-n", "-f", conf) }))
	})
	t.Run("InspIRCd", func(t *testing.T) {
		t.Parallel()
		inspircd := program(t, "inspircd", "inspircd")
		story(t, startServerWith(t, inspircdAsShipped, func(conf string) *exec.Cmd {
			return exec.Command(inspircd, "--runasroot", "--nofork", "--nopid", "--config", conf)
		}))
	})
}

// newPatientHome is a home in which otr-irc pauses between lines as it does by default.
func newPatientHome(t *testing.T) *home {
	h := newHome(t)
	h.env = append(h.env, "OTR_IRC_PAUSE=", "OTR_IRC_BURST=")
	return h
}

// startLoggedIrssi starts an irssi as it ships that writes what it shows to files as well.
func startLoggedIrssi(t *testing.T, server, nick string) (s *irssi, shown func() string) {
	t.Helper()
	logs := t.TempDir()
	s = startIrssiWith(t, record(t, server), nick, "SET autolog_path "+logs+"/$$0.log\nSET autolog_level ALL\nSET autolog ON\n")
	return s, func() string {
		var all strings.Builder
		files, _ := filepath.Glob(logs + "/*")
		for _, file := range files {
			text, _ := os.ReadFile(file)
			all.Write(text)
		}
		return all.String()
	}
}

// A pipe of one line, and then one of nineteen kilobytes, reach irssi whole: with its own send
// queue, and with a key that it makes when it needs it first. From the second session on it
// needs to say nothing for the program to know that they have.
func TestAPipeReachesIrssiAsItShips(t *testing.T) {
	eachNetwork(t, func(t *testing.T, server string) {
		h := newPatientHome(t)
		alice, shown := startLoggedIrssi(t, server, "alice")
		sees := func(text string) {
			t.Helper()
			within(t, slow, "irssi to show "+text[:min(60, len(text))], func() bool { return strings.Contains(shown(), text) }, alice.screen)
		}
		pipe := func(text string) *live {
			l := h.begin("../../scripts/otr-irc", "--plain", server, "bob", "alice", "--contact", "alice")
			l.say(text)
			l.in.Close()
			return l
		}
		l := pipe("up 3 days\n")
		sees("up 3 days")
		alice.do("/query bob")
		alice.do("thank you")
		if code := l.leaves(slow); code != 0 {
			t.Errorf("at the first meeting: exit code %d", code)
		}
		l = pipe("up 4 days\n")
		if code := l.leaves(slow); code != 0 {
			t.Errorf("then: exit code %d", code)
		}
		sees("up 4 days")

		var long strings.Builder
		for n := 0; long.Len() < 19000; n++ {
			fmt.Fprintf(&long, "word %d, ", n)
		}
		l = pipe(long.String() + "\n")
		if code := l.leaves(slow); code != 0 {
			t.Errorf("19 kB: exit code %d", code)
		}
		sees(long.String())
		for _, noise := range []string{"Terminated", "no such process"} {
			if strings.Contains(l.stderr.String(), noise) {
				t.Errorf("it says %q", noise)
			}
		}
	})
}

// Nineteen kilobytes of lines reach another otr-irc whole, and both know it.
func TestAPipeReachesAnotherOtrIRC(t *testing.T) {
	eachNetwork(t, func(t *testing.T, server string) {
		alice, bob := newPatientHome(t), newPatientHome(t)
		var long strings.Builder
		for n := 0; long.Len() < 19000; n++ {
			fmt.Fprintf(&long, "line %d %s\n", n, strings.Repeat("of many ", 100))
		}
		hears := bob.begin("../../scripts/otr-irc", "--linger", "1m", "--plain", server, "bob", "alice")
		says := alice.begin("../../scripts/otr-irc", "--plain", server, "alice", "bob")
		says.say(long.String())
		says.in.Close()
		hears.in.Close()
		if code := says.leaves(slow); code != 0 {
			t.Errorf("the sender's exit code is %d", code)
		}
		// The sender may have left before the receiver's last lines, which have no texts in
		// them, have gone out.
		if code := hears.leaves(slow); code != 0 && !(code == 5 && strings.Contains(hears.stderr.String(), "have not gone out")) {
			t.Errorf("the receiver's exit code is %d", code)
		}
		if hears.out.String() != long.String() {
			t.Errorf("%d bytes have arrived, of %d", len(hears.out.String()), long.Len())
		}
	})
}

// Whoever types six texts and /quit has said six texts, and ended the session.
func TestQuittingAChatDeliversWhatWasTyped(t *testing.T) {
	eachNetwork(t, func(t *testing.T, server string) {
		h := newPatientHome(t)
		alice, shown := startLoggedIrssi(t, server, "alice")
		script, err := filepath.Abs("../../scripts/otr-irc")
		if err != nil {
			t.Fatal(err)
		}
		c := h.chatOver(script, "--plain", server, "bob", "alice")
		within(t, slow, "a session", func() bool { return strings.Contains(c.screen(), "otrpipe: secure with ") }, c.screen)
		for n := range 6 {
			c.enters(fmt.Sprintf("text %d of six", n))
		}
		c.enters("/quit")
		within(t, slow, "the end", func() bool { return strings.Contains(shown(), "bob has finished the OTR session") }, alice.screen)
		for n := range 6 {
			if text := fmt.Sprintf("<bob> text %d of six", n); !strings.Contains(shown(), text) {
				t.Errorf("%q has not arrived", text)
			}
		}
		within(t, slow, "the exit code", func() bool { return strings.Contains(c.screen(), "left with 0") }, c.screen)
		for _, noise := range []string{"Terminated", "no such process"} {
			if strings.Contains(c.screen(), noise) {
				t.Errorf("it says %q", noise)
			}
		}
	})
}

// irssi's user types all the time, while otr-irc asks for new keys, crashes and starts again:
// not one of the texts goes out in clear.
func TestWhatIrssisUserTypesNeverGoesOutInClear(t *testing.T) {
	eachNetwork(t, func(t *testing.T, server string) {
		h := newPatientHome(t)
		wire := record(t, server)
		alice := startIrssiWith(t, wire, "alice", "")
		start := func() *live {
			return h.begin("../../scripts/otr-irc", "--plain", server, "bob", "alice", "--contact", "alice")
		}
		secure := func(l *live) func() bool {
			return func() bool { return strings.Contains(l.stderr.String(), "secure with alice") }
		}
		l := start()
		within(t, slow, "a session", secure(l), alice.screen)
		alice.do("/query bob")
		l.say("hello\n")
		within(t, slow, "our greeting", func() bool { return strings.Contains(alice.screen(), "<bob> hello") }, alice.screen)

		typed := 0
		typesUntil := func(what string, so func() bool) {
			t.Helper()
			next := time.Now()
			within(t, slow, what, func() bool {
				if now := time.Now(); now.After(next) {
					typed++
					alice.do(fmt.Sprintf("the friend says %d.", typed))
					next = now.Add(9 * time.Second) // irssi sends a long line in five or six
				}
				return so()
			}, alice.screen)
		}
		hears := func(l *live) func() bool {
			heard := strings.Count(l.out.String(), "the friend says")
			return func() bool { return strings.Count(l.out.String(), "the friend says") >= heard+2 }
		}
		typesUntil("texts to arrive", hears(l))

		refreshed := make(chan int, 1)
		go func() { refreshed <- h.code("refresh") }()
		typesUntil("new keys", func() bool {
			select {
			case code := <-refreshed:
				if code != 0 {
					t.Errorf("refresh: exit code %d", code)
				}
				return true
			default:
				return false
			}
		})
		typesUntil("texts to arrive after that", hears(l))

		pid, err := strconv.Atoi(regexp.MustCompile(`"pid":([0-9]+)`).FindStringSubmatch(h.must("status", "--json"))[1])
		if err != nil {
			t.Fatal(err)
		}
		if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		left := make(chan int, 1)
		go func() { left <- l.leaves(slow) }()
		typesUntil("otr-irc to leave after a crash", func() bool { return len(left) > 0 })
		l = start()
		typesUntil("a session after the crash", secure(l))
		typesUntil("texts to arrive after the crash", hears(l))
		if clear := strings.Count(wire.String(), ":the friend says"); clear > 0 {
			t.Errorf("%d texts in clear, of %d", clear, typed)
		}
	})
}

// irssi sends one line every few seconds, so that its answers in a key exchange come behind
// what its user has pasted. All of that arrives, and refresh waits for the new keys.
func TestNewKeysBehindWhatIrssisUserPastesLoseNothing(t *testing.T) {
	eachNetwork(t, func(t *testing.T, server string) { refreshWhilePasting(t, server, 0) })
}

// What is typed here in the meantime arrives as well: it waits for the new keys.
func TestTextsWaitForNewKeysBehindWhatIrssisUserPastes(t *testing.T) {
	eachNetwork(t, func(t *testing.T, server string) { refreshWhilePasting(t, server, 10) })
}

// refreshWhilePasting makes new keys while irssi's user pastes ten texts, and this end types
// ours texts.
func refreshWhilePasting(t *testing.T, server string, ours int) {
	h := newPatientHome(t)
	wire := record(t, server)
	seen := filepath.Join(t.TempDir(), "seen.log")
	alice := startIrssiWith(t, wire, "alice", "SET autolog_path "+seen+"\nSET autolog_level ALL\nSET autolog ON\nSET paste_verify_line_count 0\n") // it would ask whether to paste
	shown := func() string {
		text, _ := os.ReadFile(seen)
		return string(text)
	}
	l := h.begin("../../scripts/otr-irc", "--plain", server, "bob", "alice", "--contact", "alice")
	within(t, slow, "a session", func() bool { return strings.Contains(l.stderr.String(), "secure with alice") }, alice.screen)
	alice.do("/query bob")
	l.say("hello\n")
	within(t, slow, "our greeting", func() bool { return strings.Contains(shown(), "<bob> hello") }, alice.screen)

	paste := func(from, to int) {
		for n := from; n < to; n++ {
			alice.do(fmt.Sprintf("the friend says %d.", n))
		}
	}
	paste(0, 3)
	commits := strings.Count(wire.String(), "?OTR:AAMC")
	refreshed := make(chan int, 1)
	go func() { refreshed <- h.code("refresh") }()
	within(t, slow, "our D-H Commit", func() bool { return strings.Count(wire.String(), "?OTR:AAMC") > commits || len(refreshed) > 0 }, wire.String)
	paste(3, 10)
	for n := range ours {
		l.say(fmt.Sprintf("this end says %d.\n", n))
	}
	within(t, slow, "new keys", func() bool { return len(refreshed) > 0 }, l.stderr.String)
	if code := <-refreshed; code != 0 {
		t.Errorf("refresh: exit code %d", code)
	}
	said := func(who string, n int) (all []string) {
		for i := range n {
			all = append(all, fmt.Sprintf("%s says %d.", who, i))
		}
		return all
	}
	arrived := func(where func() string, who string, n int) {
		t.Helper()
		within(t, slow, who+"'s texts", func() bool { return strings.Contains(where(), fmt.Sprintf("%s says %d.", who, n-1)) }, where)
		if got := regexp.MustCompile(who+` says \d+\.`).FindAllString(where(), -1); !slices.Equal(got, said(who, n)) {
			t.Errorf("%s has arrived as %q", who, got)
		}
	}
	arrived(l.out.String, "the friend", 10)
	if ours > 0 {
		arrived(shown, "this end", ours)
	}
	for _, who := range []string{"the friend", "this end"} {
		if strings.Contains(wire.String(), who+" says") {
			t.Errorf("%s says something in clear", who)
		}
	}
}

// weechatOTR loads WeeChat's OTR script where Debian has it, with what makes its potr work
// with the cryptography that Debian has: without that it cannot make a key.
const weechatOTR = `import sys
sys.path.insert(0, %q)
import shim
exec(compile(open("/usr/share/weechat/python/otr.py").read(), "otr.py", "exec"))
`

// weechatShown writes what WeeChat shows to a file.
const weechatShown = `import weechat
weechat.register("shown", "", "1", "MIT", "", "", "")
def shown(data, buffer, date, tags, displayed, highlight, prefix, message):
    with open(%q, "a") as f:
        f.write("<%%s> %%s\n" %% (weechat.string_remove_color(prefix, ""), weechat.string_remove_color(message, "")))
    return weechat.WEECHAT_RC_OK
weechat.hook_print("", "", "", 0, "shown", "")
`

// A pipe reaches WeeChat, which speaks version 2 only, and what its user says comes back.
func TestAPipeReachesWeeChat(t *testing.T) {
	eachNetwork(t, func(t *testing.T, server string) {
		weechat := program(t, "weechat-headless", "weechat-headless weechat-python weechat-scripts python3-potr")
		potr, err := filepath.Abs("potr")
		if err != nil {
			t.Fatal(err)
		}
		folder := t.TempDir()
		seen := filepath.Join(folder, "seen")
		scripts := filepath.Join(folder, "python", "autoload")
		if err := os.MkdirAll(scripts, 0o700); err != nil {
			t.Fatal(err)
		}
		for name, text := range map[string]string{"otr.py": fmt.Sprintf(weechatOTR, potr), "shown.py": fmt.Sprintf(weechatShown, seen)} {
			if err := os.WriteFile(filepath.Join(scripts, name), []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		background(t, exec.Command(weechat, "-d", folder, "-r", "/server add net "+strings.Replace(server, ":", "/", 1),
			"-r", "/set irc.server.net.nicks alice", "-r", "/connect net"))
		shown := func() string {
			text, _ := os.ReadFile(seen)
			return string(text)
		}
		sees := func(text string) {
			t.Helper()
			within(t, slow, "WeeChat to show "+text, func() bool { return strings.Contains(shown(), text) }, shown)
		}
		sees("alice!") // the server's welcome
		h := newPatientHome(t)
		l := h.begin("../../scripts/otr-irc", "--plain", server, "bob", "alice")
		l.say("up 3 days\n")
		sees("<bob> up 3 days")
		pipes, _ := filepath.Glob(folder + "/weechat_fifo_*")
		if len(pipes) != 1 {
			t.Fatalf("WeeChat has the pipes %q", pipes)
		}
		if err := os.WriteFile(pipes[0], []byte("irc.net.bob *thank you\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		within(t, slow, "WeeChat's words", func() bool { return strings.Contains(l.out.String(), "thank you\n") }, l.stderr.String)
		l.in.Close()
		if code := l.leaves(slow); code != 0 {
			t.Errorf("exit code %d", code)
		}
		if !strings.Contains(l.stderr.String(), "the session is of OTR version 2") {
			t.Error("it does not warn of version 2")
		}
		sees("bob has ended the private conversation")
	})
}
