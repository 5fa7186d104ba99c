//go:build unix

package peers

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"
)

const pidginAccounts = `<?xml version='1.0' encoding='UTF-8' ?>
<account version='1.0'><account>
<protocol>prpl-irc</protocol><name>alice@127.0.0.1</name>
<settings><setting name='port' type='int'>%d</setting><setting name='ssl' type='bool'>0</setting></settings>
<settings ui='gtk-gaim'><setting name='auto-login' type='bool'>1</setting></settings>
</account></account>
`

const pidginPrefs = `<?xml version='1.0' encoding='UTF-8' ?>
<pref version='1' name='/'><pref name='pidgin'><pref name='plugins'><pref name='loaded' type='pathlist'>
<item value='%s'/>
</pref></pref></pref></pref>
`

// A pidgin is that client with its OTR plugin, on a display that nobody sees. What it does
// comes over D-Bus, and so does what its user does.
type pidgin struct {
	t    *testing.T
	env  []string
	seen buffer // its signals, as dbus-monitor prints them
}

// startPidgin starts it as alice on an IRC server.
func startPidgin(t *testing.T, r *recorder) *pidgin {
	t.Helper()
	client := program(t, "pidgin", "pidgin pidgin-otr")
	plugins, _ := filepath.Glob("/usr/lib/pidgin/pidgin-otr.so")
	if more, _ := filepath.Glob("/usr/lib/*/pidgin/pidgin-otr.so"); len(more) > 0 {
		plugins = append(plugins, more...)
	}
	if len(plugins) == 0 {
		missing(t, "Pidgin's OTR plugin", "apt install pidgin-otr", errors.New("no pidgin-otr.so"))
	}
	folder := t.TempDir()
	for name, text := range map[string]string{
		"accounts.xml": fmt.Sprintf(pidginAccounts, r.addr.Port),
		"prefs.xml":    fmt.Sprintf(pidginPrefs, plugins[0]),
	} {
		if err := os.WriteFile(filepath.Join(folder, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	bus := firstLine(t, exec.Command(program(t, "dbus-daemon", "dbus"), "--session", "--nofork", "--print-address"))
	display := firstLine(t, exec.Command(program(t, "Xvfb", "xvfb"), "-displayfd", "1", "-screen", "0", "800x600x16", "-nolisten", "tcp"))
	p := &pidgin{t: t, env: append(os.Environ(), "HOME="+folder, "DBUS_SESSION_BUS_ADDRESS="+bus, "DISPLAY=:"+display, "NO_AT_BRIDGE=1", "LC_ALL=C.UTF-8")}
	monitor := exec.Command(program(t, "dbus-monitor", "dbus"), "--session", "type='signal',interface='im.pidgin.purple.PurpleInterface'")
	monitor.Env, monitor.Stdout = p.env, &p.seen
	background(t, monitor)
	run := exec.Command(client, "-c", folder)
	run.Env = p.env
	background(t, run)
	return p
}

// firstLine runs a command until the test ends and returns the first line that it prints.
func firstLine(t *testing.T, cmd *exec.Cmd) string {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stdout = w
	background(t, cmd)
	w.Close()
	line, err := bufio.NewReader(r).ReadString('\n')
	if err != nil {
		t.Fatalf("%s: %v", cmd.Path, err)
	}
	go io.Copy(io.Discard, r)
	t.Cleanup(func() { r.Close() })
	return strings.TrimSpace(line)
}

// call calls a function of libpurple's and returns the number that it answers with.
func (p *pidgin) call(function string, arguments ...string) string {
	p.t.Helper()
	cmd := exec.Command(program(p.t, "gdbus", "libglib2.0-bin"), append([]string{"call", "--session", "-d", "im.pidgin.purple.PurpleService",
		"-o", "/im/pidgin/purple/PurpleObject", "-m", "im.pidgin.purple.PurpleInterface." + function}, arguments...)...)
	cmd.Env = p.env
	out, err := cmd.CombinedOutput()
	if err != nil {
		p.t.Fatalf("%s: %v\n%s", function, err, out)
	}
	return regexp.MustCompile(`[0-9]+`).FindString(string(out))
}

// says writes to bob, as HTML: that is what Pidgin's input makes of what is typed.
func (p *pidgin) says(html string) {
	p.t.Helper()
	p.call("PurpleConvImSend", p.call("PurpleConvIm", p.call("PurpleGetIms")), html)
}

// sees waits for a text of bob's, which is HTML.
func (p *pidgin) sees(html string) {
	p.t.Helper()
	eventually(p.t, "Pidgin to show "+strconv.Quote(html), func() bool { return strings.Contains(p.seen.String(), html) }, p.seen.String)
}

// Pidgin writes HTML. Once its texts have shown that, what is said to it is escaped. Nothing
// that its user types while there are new keys goes out in clear or is lost.
func TestOtrIRCTalksWithPidgin(t *testing.T) {
	onNetworks(t)
	t.Parallel()
	program(t, "ii", "ii")
	server := startServer(t)
	wire := record(t, server)
	p := startPidgin(t, wire)
	h := newHome(t)
	bob := h.begin("../../scripts/otr-irc", "--plain", server, "bob", "alice", "--contact", "alice")
	within(t, slow, "a session", func() bool { return strings.Contains(bob.stderr.String(), "secure with alice (new), OTRv3 key") }, bob.stderr.String)
	bob.say("hello\n")
	p.sees(`"hello"`)
	p.says("Grüße, a&amp;b &lt;c&gt; <b>bold</b>")
	bob.wait("Grüße, a&b <c> bold\n")
	bob.say("zurück: a&b <c> &amp;\n")
	p.sees("zurück: a&amp;b &lt;c&gt; &amp;amp;")
	bob.say(strings.Repeat("0123456789abcde ", 320) + "our end\n")
	p.sees("0123456789abcde our end")

	// Pidgin sends a line every two seconds, so what is typed goes out long after the new keys
	// have begun at its end.
	refreshed := make(chan int, 1)
	go func() { refreshed <- h.code("refresh") }()
	const texts = 20
	for n := 1; n <= texts; n++ {
		p.says(fmt.Sprintf("the friend says %d.", n))
		time.Sleep(300 * time.Millisecond)
	}
	if code := <-refreshed; code != 0 {
		t.Errorf("refresh: exit code %d", code)
	}
	for n := 1; n <= texts; n++ {
		bob.wait(fmt.Sprintf("the friend says %d.\n", n))
	}
	bob.in.Close()
	if code := bob.left(); code != 0 {
		t.Errorf("exit code %d", code)
	}
	if clear := strings.Count(wire.String(), ":the friend says"); clear > 0 {
		t.Errorf("%d texts in clear, of %d", clear, texts)
	}
}
