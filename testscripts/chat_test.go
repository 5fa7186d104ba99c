//go:build unix

package testscripts

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"otrpipe/testscripts/slowtest"
)

// A desk is where the people of a chat sit: each at a terminal of tmux's, with
// a wire between them that is recorded.
type desk struct {
	t       *testing.T
	tmux    string
	folder  string // short, for sockets
	home    string
	wire    *relay
	mu      sync.Mutex
	carried [2][]byte      // by the wire, from each side
	deaf    [2]atomic.Bool // the wire loses what comes from that side
	clear   atomic.Value   // a line, a string, that somebody puts on the wire before bob's next one
}

func newDesk(t *testing.T) *desk {
	t.Helper()
	tmux, err := findProgram("tmux")
	if err != nil {
		message := "tmux is not installed: apt-get install tmux"
		if os.Getenv("CI") == "true" {
			t.Fatal(message)
		}
		t.Skip(message)
	}
	folder, err := shortFolder()
	if err != nil {
		t.Fatal(err)
	}
	d := &desk{t: t, tmux: tmux, folder: folder, home: newHome(t)}
	d.wire = &relay{cutAfter: -1, tamper: func(from side, _ int, line []byte) [][]byte {
		if d.deaf[from].Load() {
			return nil
		}
		if clear, _ := d.clear.Load().(string); clear != "" && from == bob {
			d.clear.Store("")
			return [][]byte{[]byte(clear), line}
		}
		return [][]byte{line}
	}, tap: func(from side, passed []byte) {
		d.mu.Lock()
		defer d.mu.Unlock()
		d.carried[from] = append(d.carried[from], passed...)
	}}
	if err := d.wire.begin(folder); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		d.run("kill-server")
		os.RemoveAll(folder)
	})
	return d
}

// run runs a command of tmux's.
func (d *desk) run(args ...string) string {
	cmd := exec.Command(d.tmux, append([]string{"-S", filepath.Join(d.folder, "tmux"), "-f", "/dev/null"}, args...)...)
	cmd.Env = append(cleanEnvironment(d.folder), "TERM=xterm-256color", "LC_ALL=C.UTF-8", "OTRPIPE_HOME="+d.home)
	out, err := cmd.CombinedOutput()
	if err != nil && args[0] != "kill-server" {
		d.t.Logf("tmux %q: %v\n%s", args, err, out)
	}
	return string(out)
}

// onWire is what a side has sent so far.
func (d *desk) onWire(from side) string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return string(d.carried[from])
}

// A person is one at a terminal of the desk.
type person struct {
	*desk
	name string
}

// sit has somebody run a command line of the shell's. When it has ended the
// screen says its exit code, and whether the terminal is as it was.
func (d *desk) sit(name, command string) *person {
	d.t.Helper()
	p := &person{d, name}
	d.run("new-session", "-d", "-s", name, "-x", "90", "-y", "30", "sh", "-c",
		command+`; echo "left with $?"; stty -a | tr ' ' '\n' | grep -x -e '-*echo' -e '-*icanon'; echo 'it is over'; exec cat`)
	return p
}

// chat has a side run otrpipe chat with the wire as its transport.
func (d *desk) chat(s side, version string, flags ...string) *person {
	d.t.Helper()
	return d.sit(s.String(), fmt.Sprintf("otrpipe chat -i %s -s %[1]s --otr %s %s -- dial %s",
		s, version, strings.Join(flags, " "), d.wire.sockets[s]))
}

// screen is what the terminal shows and has shown, a line of it that was broken
// in one piece.
func (p *person) screen() string { return p.run("capture-pane", "-p", "-J", "-S", "-", "-t", p.name) }

// last is the last line that the terminal shows.
func (p *person) last() string {
	lines := strings.Split(strings.TrimRight(p.screen(), "\n "), "\n")
	return strings.TrimRight(lines[len(lines)-1], " ")
}

// sees waits until the screen shows a text; prompted until its last line is one.
func (p *person) sees(text string) {
	p.t.Helper()
	p.waits(text, func() bool { return strings.Contains(p.screen(), text) })
}

func (p *person) prompted(line string) {
	p.t.Helper()
	p.waits("as the last line "+line, func() bool { return p.last() == line })
}

// holds waits until what is shown, its rows put together, ends with a line that
// may have several.
func (p *person) holds(line string) {
	p.t.Helper()
	p.waits("at the end "+line, func() bool {
		return strings.HasSuffix(strings.TrimRight(strings.ReplaceAll(p.screen(), "\n", ""), " "), line)
	})
}

func (p *person) waits(what string, done func() bool) {
	p.t.Helper()
	// Each look at the screen starts tmux.
	if err := untilEvery(100*time.Millisecond, "", done); err != nil {
		p.t.Fatalf("%s did not see %s, but:\n%s", p.name, what, p.screen())
	}
}

// coloured says whether the screen shows a text in a colour, by its number.
func (p *person) coloured(text, colour string) bool {
	pattern := regexp.MustCompile(`\x1b\[([0-9;]*;)?` + colour + `m(\x1b\[49m)?` + regexp.QuoteMeta(text))
	return pattern.MatchString(p.run("capture-pane", "-p", "-e", "-t", p.name))
}

// types types a text, press presses keys by tmux's names, and enters types a line.
func (p *person) types(text string) { p.run("send-keys", "-t", p.name, "-l", text) }
func (p *person) press(keys ...string) {
	p.run(append([]string{"send-keys", "-t", p.name}, keys...)...)
}
func (p *person) enters(line string) {
	p.types(line)
	p.press("Enter")
}

func (p *person) paste(text string) {
	p.run("set-buffer", "-b", "clip", text)
	p.run("paste-buffer", "-p", "-d", "-b", "clip", "-t", p.name)
}

// leaves waits until the program has ended with a code and the terminal is as it
// was before.
func (p *person) leaves(code int) {
	p.t.Helper()
	p.sees("it is over")
	if text := p.screen(); !strings.Contains(text, fmt.Sprintf("left with %d\n", code)) || !strings.Contains(text, "\necho\n") || !strings.Contains(text, "\nicanon\n") {
		p.t.Errorf("%s is to leave with %d and a terminal as it was:\n%s", p.name, code, text)
	}
}

// isLeft waits until the program says that the connection has ended, and leaves with a code.
func (p *person) isLeft(code int) {
	p.t.Helper()
	p.sees("not connected] Enter")
	p.press("C-d")
	p.leaves(code)
}

// twoChats are alice and bob, who know each other by name, in a session.
func twoChats(t *testing.T, version string) (*desk, *person, *person) {
	t.Helper()
	d := newDesk(t)
	a := d.chat(alice, version, "--contact", "bob")
	b := d.chat(bob, version, "--contact", "alice")
	a.prompted("[bob new]")
	b.prompted("[alice new]")
	return d, a, b
}

func TestTwoPeopleChat(t *testing.T) {
	long(t)
	t.Parallel()
	for _, version := range versions {
		t.Run("version "+version, func(t *testing.T) {
			slowtest.SkipUnless(t, version == "4")
			t.Parallel()
			d := newDesk(t)
			a := d.chat(alice, version, "--contact", "bob")
			a.prompted("[bob unencrypted]")
			if !a.coloured("[bob unencrypted]", "31") {
				t.Error("unencrypted is not red")
			}
			a.enters("is anybody there")
			a.sees("not sent: there is no session")

			b := d.chat(bob, version, "--contact", "alice")
			a.prompted("[bob new]")
			b.prompted("[alice new]")
			if !a.coloured("[bob new]", "33") {
				t.Error("new is not yellow")
			}
			a.sees("✗ you: is anybody there")
			a.press("Up", "Enter") // what was not sent is not lost
			b.sees("alice: is anybody there")
			a.sees("✓ you: is anybody there")
			b.enters("//etc is 你好 to me")
			a.sees("bob: /etc is 你好 to me")
			b.types("/m")
			b.press("Tab")
			b.enters("waves")
			a.sees("* bob waves")
			b.enters("/ect it")
			b.sees("there is no command /ect, and nothing was sent")
			b.enters("/hlep")
			b.sees("did you mean /help?")
			b.enters("/help")
			b.sees("/fingerprint")

			a.enters("/trust") // of a key that nobody has looked at
			a.sees("/fingerprint has not shown the session's key yet")
			a.enters("/fingerprint")
			a.sees("otrpipe: your key: OTRv" + version)
			a.sees("otrpipe: bob's key: OTRv" + version)
			a.sees("new)")
			a.enters("/trust")
			a.prompted("[bob verified]")
			if !a.coloured("[bob verified]", "32") {
				t.Error("verified is not green")
			}
			a.enters("/status")
			a.sees("trust        verified")
			a.enters("/refresh")
			a.sees("the keys are new")
			a.prompted("[bob verified]")

			a.enters("/quit")
			a.leaves(0)
			b.sees("alice ended the session")
			b.isLeft(0)
			for s := range d.carried {
				// Base64 has no blanks.
				for _, word := range []string{"anybody there", "你好", "/ect it"} {
					if strings.Contains(d.onWire(side(s)), word) {
						t.Errorf("%q is on the wire", word)
					}
				}
			}
			if strings.Contains(a.screen(), "/ect") || strings.Contains(b.screen(), "alice: /hlep") {
				t.Error("a command that there is not was sent")
			}
		})
	}
}

// A message that is not acknowledged within ten seconds is marked, and so is one that did not
// arrive, each with its text, above the line; the other end hears that one is missing.
func TestAChatMarksMessagesThatDoNotArrive(t *testing.T) {
	slowtest.Skip(t)
	long(t)
	t.Parallel()
	d, a, b := twoChats(t, "4")
	a.enters("I am at home")
	b.sees("alice: I am at home")
	d.deaf[alice].Store(true)
	a.enters("do NOT come tonight")
	a.types("half a line")
	a.sees(`not acknowledged yet by bob: "do NOT come tonight"`)
	a.prompted("[bob new] half a line")
	d.deaf[alice].Store(false)
	a.press("C-u")
	a.enters("see you")
	b.sees("alice: see you")
	b.sees("1 message of alice got lost on the way")
	a.sees(`did not reach bob: "do NOT come tonight"`)
	if text := a.screen(); strings.Contains(text, `bob: "I am at home"`) || strings.Contains(text, `bob: "see you"`) {
		t.Errorf("a message that has arrived is marked:\n%s", text)
	}
	if strings.Contains(b.screen(), "do NOT come") {
		t.Errorf("the message has come:\n%s", b.screen())
	}
	a.enters("/quit")
	a.leaves(5)
	b.isLeft(5)
}

func TestAMessageLeavesTheLineThatIsBeingTyped(t *testing.T) {
	long(t)
	t.Parallel()
	_, a, b := twoChats(t, "4")
	// Over two rows, in characters of two columns, with the cursor in the middle.
	half := strings.Repeat("你好 ", 25) + "the end of it"
	a.types(half)
	a.press("C-a", "M-f")
	a.holds("[bob new] " + half)
	for i := range 3 {
		b.enters(fmt.Sprintf("message %d", i))
		a.sees(fmt.Sprintf("bob: message %d", i))
	}
	a.holds("[bob new] " + half)
	if n := strings.Count(a.screen(), "the end of it"); n != 1 {
		t.Errorf("the line is there %d times:\n%s", n, a.screen())
	}
	// Another size, and it is still there once.
	for _, columns := range []string{"50", "120"} {
		a.run("resize-window", "-t", a.name, "-x", columns, "-y", "20")
		text := "seen on " + columns
		b.enters(text)
		a.sees("bob: " + text)
		a.holds("[bob new] " + half)
		if n := strings.Count(strings.ReplaceAll(a.screen(), "\n", ""), "the end of it"); n != 1 {
			t.Errorf("on %s columns the line is there %d times:\n%s", columns, n, a.screen())
		}
	}
	a.types("!")
	a.press("C-e", "BSpace", "BSpace", "Enter")
	b.waits("the whole line", func() bool {
		flat := strings.Join(strings.Fields(b.screen()), " ")
		return strings.Contains(flat, "你好! "+strings.Repeat("你好 ", 24)+"the end of")
	})
}

func TestSecretsAreComparedInAChat(t *testing.T) {
	long(t)
	t.Parallel()
	for _, version := range versions {
		t.Run("version "+version, func(t *testing.T) {
			slowtest.SkipUnless(t, version == "4")
			t.Parallel()
			d, a, b := twoChats(t, version)
			secret := func(p *person, text string) {
				p.waits("a question for a secret", func() bool { return strings.HasSuffix(p.last(), "(it is not shown):") })
				p.enters(text)
			}
			a.enters("/smp where did we meet?")
			secret(a, "in sesame street")
			b.sees("alice asks with SMP: where did we meet?")
			b.enters("/answer at the sesame seeds")
			b.sees("/answer takes no argument")
			b.enters("/answer")
			secret(b, "at the sesame mill")
			for _, p := range []*person{a, b} {
				p.sees("SMP failed: the secrets differ")
			}
			a.prompted("[bob new]")
			b.prompted("[alice new]")

			b.enters("/smp")
			secret(b, "sesame street")
			a.sees("bob wants to compare a secret with SMP")
			a.enters("/answer")
			secret(a, "sesame street")
			a.prompted("[bob verified]")
			b.prompted("[alice verified]")
			if !a.coloured("[bob verified]", "32") || !b.coloured("[alice verified]", "32") {
				t.Error("verified is not green")
			}

			// One who only answers has not learnt who asks.
			b.enters("/smp what is it?")
			secret(b, "sesame oil")
			a.sees("bob asks with SMP: what is it?")
			a.enters("/abort")
			b.sees("SMP was aborted")

			// No secret comes back, and none has been anywhere.
			for range 10 {
				a.press("Up")
				b.press("Up")
			}
			a.prompted("[bob verified] /smp where did we meet?")
			b.prompted("[alice verified] /answer")
			for s, p := range []*person{a, b} {
				if text := strings.ReplaceAll(p.screen(), "/answer at the sesame seeds", ""); strings.Contains(text, "sesame") {
					t.Errorf("a secret was shown:\n%s", text)
				}
				if strings.Contains(d.onWire(side(s)), "sesame") {
					t.Error("a secret is on the wire")
				}
			}
		})
	}
}

func TestNothingIsSentWithoutASession(t *testing.T) {
	long(t)
	t.Parallel()
	for _, version := range versions {
		t.Run("version "+version, func(t *testing.T) {
			t.Parallel()
			d, a, b := twoChats(t, version)
			b.enters("/end")
			a.sees("bob ended the session")
			a.prompted("[bob unencrypted]")
			b.prompted("[alice unencrypted]")
			before := [2]string{d.onWire(alice), d.onWire(bob)}
			for _, p := range []*person{a, b} {
				p.enters("a word in confidence")
				p.sees("not sent: there is no session")
			}
			a.enters("/smp")
			a.sees("there is no encrypted session")
			if after := [2]string{d.onWire(alice), d.onWire(bob)}; after != before {
				t.Errorf("on the wire:\n%q\n%q", after[0][len(before[0]):], after[1][len(before[1]):])
			}

			a.enters("/refresh")
			a.prompted("[bob known]")
			b.prompted("[alice known]")
			b.press("Up", "Enter")
			a.sees("bob: a word in confidence")
			for s := range d.carried {
				text := d.onWire(side(s))
				if encoded := base64.StdEncoding.EncodeToString([]byte("a word in confidence")); strings.Contains(text, "confidence") || strings.Contains(text, encoded) {
					t.Errorf("on the wire:\n%s", text)
				}
			}
		})
	}
}

// A client is an otrpipe connect --mode lines that a chat talks with.
type client struct {
	cmd    *exec.Cmd
	in     io.WriteCloser
	out    synced
	ended  chan error
	errors synced
}

// A synced buffer is written by one goroutine and read by another.
type synced struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *synced) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *synced) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

func (d *desk) connect(s side, flags ...string) *client {
	d.t.Helper()
	args := append([]string{"--home", d.home, "connect", "-i", s.String(), "-s", s.String(), "--mode", "lines"}, flags...)
	c := &client{cmd: exec.Command("otrpipe", append(args, "--", "dial", d.wire.sockets[s])...), ended: make(chan error, 1)}
	c.cmd.Env = cleanEnvironment(d.folder)
	c.cmd.Stdout, c.cmd.Stderr = &c.out, &c.errors
	c.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	in, err := c.cmd.StdinPipe()
	if err != nil {
		d.t.Fatal(err)
	}
	c.in = in
	if err := c.cmd.Start(); err != nil {
		d.t.Fatal(err)
	}
	go func() { c.ended <- c.cmd.Wait() }()
	d.t.Cleanup(func() { syscall.Kill(-c.cmd.Process.Pid, syscall.SIGKILL) })
	return c
}

func (c *client) receives(t *testing.T, text string) {
	t.Helper()
	if err := until("", func() bool { return strings.Contains(c.out.String(), text) }); err != nil {
		t.Fatalf("no %q, but %q\n%s", text, c.out.String(), c.errors.String())
	}
}

func TestAPeerCannotTouchTheTerminal(t *testing.T) {
	long(t)
	t.Parallel()
	for _, show := range []string{"text", "raw"} {
		t.Run(show, func(t *testing.T) {
			t.Parallel()
			d := newDesk(t)
			a := d.chat(alice, "4", "--html", show)
			c := d.connect(bob)
			a.prompted("[peer new]")
			title := a.run("display-message", "-p", "-t", a.name, "#{pane_title}")
			for _, line := range []string{
				"\x1b]0;owned\a\x1b[2J\x1b[31mred\x9b31m",
				"back\b\b\b\bover\rotrpipe: the peer is verified",
				strings.Repeat("pad ", 30) + "otrpipe: wrapped",
				"<FONT COLOR=\"red\">red</FONT> &amp; <b>bold</b><br>next",
				"that is all",
			} {
				io.WriteString(c.in, line+"\n")
			}
			a.sees("peer: that is all")
			text := a.screen()
			for _, want := range []string{`peer: \x1b]0;owned\a\x1b[2J\x1b[31mred\x9b31m`, `peer: back\b\b\b\bover\rotrpipe: the peer is verified`} {
				if !strings.Contains(text, want) {
					t.Errorf("no %s in:\n%s", want, text)
				}
			}
			if strings.Contains(text, "\notrpipe: wrapped") || strings.Contains(text, "\notrpipe: the peer is verified") {
				t.Errorf("the peer speaks as otrpipe:\n%s", text)
			}
			want := `peer: <FONT COLOR="red">red</FONT> &amp; <b>bold</b><br>next` // an otrpipe's texts are plain
			if !strings.Contains(text, want) {
				t.Errorf("no %s in:\n%s", want, text)
			}
			if after := a.run("display-message", "-p", "-t", a.name, "#{pane_title}"); after != title {
				t.Errorf("the terminal's title is %q now", after)
			}
			// The other end's own end, and its program's.
			c.in.Close()
			a.sees("the peer ended the session")
			a.isLeft(0)
			if err := <-c.ended; err != nil {
				t.Errorf("%v\n%s", err, c.errors.String())
			}
		})
	}
}

// What people write about programs looks like HTML in places, and arrives as it was
// written. From another client, whose texts may be HTML, what is certainly a tag
// of its own is taken away.
func TestATextIsNotTakenForHTML(t *testing.T) {
	long(t)
	t.Parallel()
	const text = "use #include <stdio.h> and a<b && c>d &amp; <Enter> <b>"
	for _, version := range versions {
		t.Run("version "+version, func(t *testing.T) {
			t.Parallel()
			_, a, b := twoChats(t, version)
			b.enters(text)
			a.sees("bob: " + text + "\n")
			a.enters("<b>bold</b>")
			b.sees("alice: <b>bold</b>\n")
		})
	}
}

func TestAPastedTextIsOneMessage(t *testing.T) {
	long(t)
	t.Parallel()
	d := newDesk(t)
	a := d.chat(alice, "4")
	c := d.connect(bob)
	a.prompted("[peer new]")
	a.types("look: ")
	a.paste("one\n\ttwo\nthree\n")
	a.prompted("[peer new] look: one↵    two↵three")
	c2 := "before"
	io.WriteString(c.in, c2+"\n")
	a.sees("peer: " + c2)
	if out := c.out.String(); out != "" {
		t.Errorf("a paste was sent by itself: %q", out)
	}
	a.press("Enter")
	c.receives(t, `look: one\n`+"\t"+`two\nthree`+"\n")
	a.sees("you: look: one\n                 two\n             three")
	a.types("typed")
	a.press("M-Enter")
	a.enters("too")
	c.receives(t, `typed\ntoo`+"\n")
}

// Whoever is not let in is called by nobody's name, and there was no session.
func TestARefusedKeyIsNobodysFriend(t *testing.T) {
	long(t)
	t.Parallel()
	for _, version := range versions {
		t.Run("version "+version, func(t *testing.T) {
			t.Parallel()
			d := newDesk(t)
			a := d.chat(alice, version, "--contact carol --trust known")
			d.connect(bob, "--otr", version)
			a.sees("no key of carol is on file")
			a.isLeft(3)
			if !regexp.MustCompile(`\n  [0-9a-f]{40,}\n`).MatchString(a.screen()) || !regexp.MustCompile(`(?m)^otrpipe: .*\n  .*[0-9A-F]{8}( [0-9A-F]{8})+$`).MatchString(a.screen()) && version == "4" {
				t.Errorf("long lines are not broken between words:\n%s", a.screen())
			}
			for _, no := range []string{"secure with", "session with", "ended", "unverified"} {
				if text := a.screen(); strings.Contains(text, no) {
					t.Errorf("%q of somebody who is refused:\n%s", no, text)
				}
			}
		})
	}
}

func TestACutIsNoEndOfAChat(t *testing.T) {
	long(t)
	t.Parallel()
	d, a, b := twoChats(t, "4")
	d.signal(b, syscall.SIGKILL)
	a.sees("the line was cut; bob did not end the session")
	a.isLeft(5)
	if strings.Contains(a.screen(), "is ended") || strings.Contains(a.screen(), "ended the session") {
		t.Errorf("a cut looks like an end:\n%s", a.screen())
	}
}

// When the line is cut, what is typed goes nowhere: not into the next session, and not into
// the shell. Enter listens again where it has listened, and --retry dials again without it.
func TestAChatConnectsAgainAfterACut(t *testing.T) {
	long(t)
	t.Parallel()
	d := newDesk(t)
	a := d.sit("alice", "otrpipe chat -i alice -s alice --contact bob --listen 127.0.0.1:0")
	address := regexp.MustCompile(`listening on (127\.0\.0\.1:\d+)`)
	a.waits("where it listens", func() bool { return address.MatchString(a.screen()) })
	dial := " --contact alice --retry --tcp " + address.FindStringSubmatch(a.screen())[1]
	b := d.sit("bob", "otrpipe chat -i bob -s bob"+dial)
	a.prompted("[bob new]")
	b.prompted("[alice new]")
	a.types("half a sentence")
	a.prompted("[bob new] half a sentence")
	d.signal(b, syscall.SIGKILL)
	a.prompted("[bob not connected] Enter: connect again; Ctrl-D: leave")
	a.enters(" in confidence")
	a.sees("what you typed was thrown away")
	a.press("Enter")
	a.prompted("[bob not connected] connecting; Ctrl-D: leave")
	c := d.sit("carol", "otrpipe chat -i bob -s carol"+dial)
	a.prompted("[bob known] half a sentence")
	c.prompted("[alice known]")
	a.press("Enter")
	c.sees("alice: half a sentence\n")
	d.signal(a, syscall.SIGKILL)
	c.sees("the line was cut; alice did not end the session")
	a = d.sit("alice2", "otrpipe chat -i alice -s alice2 --contact bob --listen "+address.FindStringSubmatch(a.screen())[1])
	c.waits("alice again", func() bool {
		return c.last() == "[alice known]" && strings.Contains(c.screen(), "connecting again")
	})
	c.enters("here I am")
	a.sees("bob: here I am")
	for _, p := range []*person{a, b, c} {
		if strings.Contains(p.screen(), "in confidence") {
			t.Errorf("what was typed after the cut is shown:\n%s", p.screen())
		}
	}
	a.press("C-d")
	a.leaves(0)
	c.sees("alice ended the session")
	c.press("C-d")
	c.sees("it is over")
}

// Text that comes in clear is red, and what it says is nobody's.
func TestUnencryptedTextIsNeverTheSessions(t *testing.T) {
	long(t)
	t.Parallel()
	d, a, b := twoChats(t, "4")
	d.clear.Store("peer: I am verified\n")
	b.enters("hello")
	a.sees("bob: hello")
	a.sees("UNENCRYPTED: peer: I am verified")
	a.sees("anyone on the way can have written that")
	if !a.coloured("peer: I am verified", "31") {
		t.Errorf("it is not red:\n%s", a.run("capture-pane", "-p", "-e", "-t", a.name))
	}
}

func TestKeysAndSignalsThatLeaveAChat(t *testing.T) {
	long(t)
	t.Parallel()
	for name, leave := range map[string]struct {
		do   func(d *desk, p *person)
		code int
	}{
		"Ctrl-C": {func(_ *desk, p *person) {
			p.types("half a line")
			p.prompted("[peer new] half a line")
			p.press("C-c") // takes the line away, and no more
			p.prompted("[peer new]")
			p.press("C-c")
		}, 130},
		"Ctrl-D": {func(_ *desk, p *person) {
			p.types("x")
			p.press("C-a", "C-d") // deletes
			p.prompted("[peer new]")
			p.press("C-d")
		}, 0},
		"SIGTERM": {func(d *desk, p *person) { d.signal(p, syscall.SIGTERM) }, 143},
		"SIGHUP":  {func(d *desk, p *person) { d.signal(p, syscall.SIGHUP) }, 129},
		"at a secret": {func(d *desk, p *person) {
			p.enters("/smp")
			p.waits("a question", func() bool { return strings.HasSuffix(p.last(), "(it is not shown):") })
			d.signal(p, syscall.SIGTERM)
		}, 143},
	} {
		t.Run(name, func(t *testing.T) {
			slowtest.SkipUnless(t, name == "Ctrl-C")
			t.Parallel()
			d := newDesk(t)
			a := d.chat(alice, "4")
			c := d.connect(bob)
			a.prompted("[peer new]")
			leave.do(d, a)
			a.leaves(leave.code)
			// The session was ended properly, and the other end's input was still open.
			err := <-c.ended
			var e *exec.ExitError
			if !errors.As(err, &e) || e.ExitCode() != 5 || !strings.Contains(c.errors.String(), "before our input had ended") {
				t.Errorf("%v\n%s", err, c.errors.String())
			}
		})
	}
}

// What is typed at the shell after Ctrl-Z is the shell's, and nothing that comes
// meanwhile is lost.
func TestAChatStopsAndGoesOn(t *testing.T) {
	long(t)
	t.Parallel()
	if _, err := findProgram("bash"); err != nil {
		t.Skip("bash is not installed: apt-get install bash")
	}
	d := newDesk(t)
	a := d.sit("alice", "PS1='shell: ' bash --norc --noprofile -i")
	a.prompted("shell:")
	a.enters("otrpipe chat -i alice --contact bob -- dial " + d.wire.sockets[alice])
	b := d.chat(bob, "4", "--contact alice")
	a.prompted("[bob new]")
	b.prompted("[alice new]")
	for i, size := range []string{"90", "60"} {
		a.types("half of it")
		a.prompted("[bob new] half of it")
		a.press("C-z")
		a.sees("Stopped")
		a.prompted("shell:")
		b.enters(fmt.Sprintf("meanwhile %d", i))
		b.sees(fmt.Sprintf("you: meanwhile %d", i))
		a.run("resize-window", "-t", a.name, "-x", size, "-y", "20")
		a.enters(fmt.Sprintf("echo $((6 * 7 + %d)) of the shell", i))
		a.sees(fmt.Sprintf("%d of the shell", 42+i))
		a.enters("fg")
		a.sees(fmt.Sprintf("bob: meanwhile %d", i))
		a.prompted("[bob new] half of it")
		a.press("Enter")
		b.waits("the line", func() bool { return strings.Count(b.screen(), "alice: half of it") == i+1 })
	}
	a.press("C-d")
	a.prompted("shell:")
	if text := b.screen(); strings.Contains(text, "alice: fg") || strings.Contains(text, "alice: echo") {
		t.Errorf("the shell's lines were sent:\n%s", text)
	}
	a.enters("exit")
	a.leaves(0)
}

// Where no shell is there to bring it back it does not stop.
func TestAChatThatNobodyCouldBringBackDoesNotStop(t *testing.T) {
	long(t)
	t.Parallel()
	_, a, b := twoChats(t, "4")
	a.press("C-z")
	a.sees("Ctrl-Z does nothing here")
	a.prompted("[bob new]")
	a.enters("still here")
	b.sees("alice: still here")
	a.press("C-d")
	a.leaves(0)
}

func TestAChatThatIsNotToStayLeavesWithTheOtherEnd(t *testing.T) {
	long(t)
	t.Parallel()
	d := newDesk(t)
	a := d.chat(alice, "4", "--stay=false")
	c := d.connect(bob)
	a.prompted("[peer new]")
	c.in.Close() // it lingers, and leaves
	a.leaves(0)
}

// signal sends a signal to the otrpipe of a person.
func (d *desk) signal(p *person, s syscall.Signal) {
	d.t.Helper()
	var status struct{ PID int }
	d.status(p.name, &status)
	if err := syscall.Kill(status.PID, s); err != nil {
		d.t.Fatal(err)
	}
}

func TestOtherShellsSteerAChat(t *testing.T) {
	long(t)
	t.Parallel()
	d, a, b := twoChats(t, "4")
	word := filepath.Join(d.folder, "word")
	if err := os.WriteFile(word, []byte("sesame\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	all.Go(func() { d.otrpipe(0, "smp", "-s", "alice", "--secret-file", word) })
	a.sees("another shell compares a secret with SMP")
	b.sees("alice wants to compare a secret with SMP")
	d.otrpipe(0, "smp", "-s", "bob", "--secret-file", word)
	all.Wait()
	a.prompted("[bob verified]")
	b.prompted("[alice verified]")
	var status struct{ Mode, State, Trust string }
	d.status("alice", &status)
	if status.Mode != "lines" || status.State != "encrypted" || status.Trust != "verified" {
		t.Errorf("%+v", status)
	}
	d.otrpipe(0, "refresh", "-s", "alice")
	a.sees("another shell makes a new key exchange")
	// What is on file is trusted from the next line on.
	d.otrpipe(0, "contacts", "distrust", "bob")
	a.enters("hello")
	a.prompted("[bob new]")
	d.otrpipe(0, "end", "-s", "alice")
	a.leaves(0)
	b.sees("alice ended the session")
}

func TestATransportsOwnMessagesAndQuestions(t *testing.T) {
	long(t)
	t.Parallel()
	d := newDesk(t)
	script := filepath.Join(d.folder, "transport")
	text := `printf 'a \033[31mword\033[0m of\n' >&2
printf 'no end' >&2
bash -c 'read -r -s -p "Password of the transport: " word </dev/tty; [ "$word" = "open it" ] && echo " right" >/dev/tty'
exec dial "$1"
`
	if err := os.WriteFile(script, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := findProgram("bash"); err != nil {
		t.Skip("bash is not installed: apt-get install bash")
	}
	a := d.sit("alice", "otrpipe chat -i alice -- sh "+script+" "+d.wire.sockets[alice])
	a.sees(`sh: a \x1b[31mword\x1b[0m of`)
	a.sees("sh: no end")
	a.sees("Password of the transport: ")
	a.enters("open it")
	a.sees(" right")
	c := d.connect(bob)
	a.prompted("[peer new]")
	if strings.Contains(a.screen(), "open it") {
		t.Errorf("the password is shown:\n%s", a.screen())
	}
	a.enters("hello")
	c.receives(t, "hello\n")
	a.press("C-d")
	a.leaves(0)
}

// otrpipe runs the program in another shell of the desk's user; code is what it
// has to leave with.
func (d *desk) otrpipe(code int, args ...string) []byte {
	d.t.Helper()
	cmd := exec.Command("otrpipe", append([]string{"--home", d.home}, args...)...)
	cmd.Env = cleanEnvironment(d.folder)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if got, err := exitCode(err); err != nil || got != code {
		d.t.Errorf("otrpipe %q: exit code %d, %v\n%s", args, got, err, &stderr)
	}
	return out
}

// status is what a session says of itself.
func (d *desk) status(session string, v any) {
	d.t.Helper()
	if err := json.Unmarshal(d.otrpipe(0, "status", "-s", session, "--json"), v); err != nil {
		d.t.Fatal(err)
	}
}
