//go:build unix

package peers

import (
	"bufio"
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"otrpipe/testscripts/slowtest"
)

// A tap is a man in the middle between two users of the program.
type tap struct {
	t          *testing.T
	alice, bob *home
	version    string
	mode       string
	seen       string   // where it reports
	flags      []string // of its own
	ends       []string // flags of bob's
}

// newTap returns one who speaks a version.
func newTap(t *testing.T, version, mode string, flags ...string) *tap {
	t.Helper()
	return &tap{t: t, alice: newHome(t), bob: newHome(t), version: version, mode: mode,
		seen: filepath.Join(t.TempDir(), "seen"), flags: append(flags, "--version", version)}
}

// key is the key of one of the two in the version that he speaks.
func (p *tap) key(h *home) string { return h.key(p.version) }

// connect has alice connect to bob, who echoes, with the man in the middle
// between them, or without.
func (p *tap) connect(tapped bool, flags ...string) *live {
	p.t.Helper()
	args := append([]string{"otrpipe", "connect", "--mode", p.mode}, flags...)
	args = append(args, "--")
	if tapped {
		middle, err := helper("mitm")
		if err != nil {
			p.t.Fatal(err)
		}
		args = append(append(args, middle, "--seen", p.seen), p.flags...)
		args = append(args, "--")
	}
	args = append(args, "env")
	for _, v := range p.bob.env {
		if bytes.HasPrefix([]byte(v), []byte("OTRPIPE_HOME=")) || bytes.HasPrefix([]byte(v), []byte("XDG_RUNTIME_DIR=")) {
			args = append(args, v)
		}
	}
	args = append(args, p.bob.program, "serve", "--mode", p.mode)
	args = append(append(args, p.ends...), "--", "cat")
	return p.alice.begin(args...)
}

// payload is every byte of payload that the man in the middle could read.
func (p *tap) payload() string { return p.payloadOf("") }

// payloadOf is what the man in the middle could read of one side's payload, a or b; of
// both where side is empty.
func (p *tap) payloadOf(side string) string {
	p.t.Helper()
	f, err := os.Open(p.seen)
	if err != nil {
		p.t.Fatal(err)
	}
	defer f.Close()
	var payload []byte
	for s := bufio.NewScanner(f); s.Scan(); {
		var m struct {
			Side string
			Text string
			TLVs []struct {
				Type  uint16
				Value []byte
			}
		}
		if err := json.Unmarshal(s.Bytes(), &m); err != nil {
			p.t.Fatal(err)
		}
		if side != "" && m.Side != side {
			continue
		}
		payload = append(payload, m.Text...)
		for _, r := range m.TLVs {
			// STREAM: a DATA record is its offset and bytes.
			if r.Type == 0x6f02 && len(r.Value) > 8 {
				payload = append(payload, r.Value[8:]...)
			}
		}
	}
	return string(payload)
}

// caught checks that alice leaves with this code and that the man in the middle
// read none of her payload.
func (p *tap) caught(code int, flags ...string) {
	p.t.Helper()
	l := p.connect(true, flags...)
	l.say("payload\n")
	if got := l.left(); got != code {
		p.t.Errorf("exit code %d, want %d", got, code)
	}
	if got := p.payload(); got != "" {
		p.t.Errorf("the man in the middle read %q", got)
	}
}

// tapped are the stories of a man in the middle.
var tapped = []struct {
	name  string
	story func(p *tap)
}{
	{"nobody checks", func(p *tap) {
		l := p.connect(true)
		l.say("payload\n")
		l.wait("payload\n")
		l.in.Close()
		// In mode lines an acknowledgement names the session. He passes it on into the
		// other one, where it counts for nothing: if alice has one to wait for, she
		// leaves with 5, and may have sent it again before.
		if code := l.left(); code != 0 && (code != 5 || p.mode != "lines") {
			p.t.Errorf("exit code %d", code)
		}
		got := p.payload()
		if strings.Count(got, "payload") < 2 || strings.Trim(strings.ReplaceAll(got, "payload", ""), "\n") != "" {
			p.t.Errorf("he read %q", got)
		}
	}},
	{"expect", func(p *tap) { p.caught(3, "--expect", p.key(p.bob)) }},
	{"trust known", func(p *tap) { p.caught(3, "--contact", "bob", "--trust", "known") }},
	{"trust verified", func(p *tap) {
		p.alice.must("contacts", "add", "bob", p.key(p.bob))
		p.alice.must("contacts", "trust", "bob", p.key(p.bob))
		p.caught(3, "--contact", "bob", "--trust", "verified")
	}},
	{"a changed key", func(p *tap) {
		p.meet()
		p.caught(3, "--contact", "bob")
	}},
	{"bob expects", func(p *tap) {
		p.ends = []string{"--expect", p.key(p.alice)}
		if p.mode == "stream" {
			p.caught(5)
		} else {
			// Nothing tells alice to wait: she checks nothing, and he reads her. But
			// bob says nothing to him.
			l := p.connect(true)
			l.say("payload\n")
			l.left()
			if got := p.payloadOf("b"); got != "" {
				p.t.Errorf("he read %q of bob", got)
			}
		}
	}},
	{"SMP passed on", func(p *tap) {
		p.flags = append(p.flags, "--relay-smp")
		secret := secretFile(p.t, "the secret")
		p.ends = []string{"--smp-secret-file", secret, "--otr", p.version}
		l := p.connect(true, "--smp-secret-file", secret, "--otr", p.version)
		l.say("payload\n")
		// If both ends begin a comparison, each sees another key at the other end, and they
		// may disagree whose counts. Then both are aborted with no outcome shown, and she
		// leaves with 5 if he cuts the line as soon as bob has left.
		aborted := func() bool { return strings.Contains(l.stderr.String(), "it was aborted") }
		if code := l.left(); code != 4 && (code != 5 || !aborted()) {
			p.t.Errorf("exit code %d, want 4", code)
		}
		if got := p.payload(); got != "" {
			p.t.Errorf("the man in the middle read %q", got)
		}
	}},
	{"SMP dropped", func(p *tap) {
		secret := secretFile(p.t, "the secret")
		p.ends = []string{"--smp-secret-file", secret, "--otr", p.version}
		p.caught(7, "--smp-secret-file", secret, "--otr", p.version, "--timeout", "3s")
	}},
}

// Against the man in the middle every check that can be asked for works, in
// both versions and modes, and he reads nothing. Without a check he reads
// everything.
func TestManInTheMiddleIsCaught(t *testing.T) {
	long(t)
	t.Parallel()
	for _, version := range []string{"3", "4"} {
		for _, mode := range []string{"stream", "lines"} {
			for _, c := range tapped {
				t.Run("version "+version+", "+mode+", "+c.name, func(t *testing.T) {
					slowtest.SkipUnless(t, version == "4" && mode == "lines")
					t.Parallel()
					c.story(newTap(t, version, mode))
				})
			}
		}
	}
}

// SMP in a live session finds the man in the middle too.
func TestManInTheMiddleIsCaughtInALiveSession(t *testing.T) {
	long(t)
	for _, version := range []string{"3", "4"} {
		t.Run("version "+version, func(t *testing.T) {
			slowtest.SkipUnless(t, version == "4")
			t.Parallel()
			p := newTap(t, version, "lines", "--relay-smp")
			l := p.connect(true, "-s", "live")
			l.say("payload\n")
			l.wait("payload\n")
			secret := secretFile(t, "the secret")
			done := make(chan int)
			go func() { done <- p.bob.code("smp", "--secret-file", secret) }()
			if code := p.alice.code("smp", "-s", "live", "--secret-file", secret); code != 4 {
				t.Errorf("alice's exit code is %d, want 4", code)
			}
			if code := <-done; code != 4 {
				t.Errorf("bob's exit code is %d, want 4", code)
			}
		})
	}
}

// One who has no keys, but takes the 4 from every query and the messages of
// version 4 away, does not get past who asks for version 4 or knows the peer.
func TestVersion4CannotBeTakenAwayInSilence(t *testing.T) {
	long(t)
	t.Parallel()
	for _, mode := range []string{"stream", "lines"} {
		for _, c := range []struct {
			name  string
			story func(p *tap)
		}{
			{"strangers", func(p *tap) {
				l := p.connect(true, "--events", p.seen+".events")
				l.say("payload\n")
				l.wait("payload\n")
				l.in.Close()
				if code := l.left(); code != 0 {
					p.t.Errorf("exit code %d", code)
				}
				p.wantEvent("secure", 3)
			}},
			{"a contact that has spoken version 4", func(p *tap) {
				p.meet()
				p.caught(3, "--contact", "bob", "--events", p.seen+".events")
				p.wantEvent("downgraded", 3)
			}},
			{"a verified contact with keys of both versions", func(p *tap) {
				p.alice.must("contacts", "add", "bob", p.bob.key("3"))
				p.alice.must("contacts", "trust", "bob", p.bob.key("3"))
				p.meet() // the key of version 3 vouches for the other
				p.caught(3, "--contact", "bob", "--trust", "verified", "--events", p.seen+".events")
				p.wantEvent("downgraded", 3)
			}},
			{"a shared secret", func(p *tap) {
				secret := secretFile(p.t, "the secret")
				p.ends = []string{"--smp-secret-file", secret}
				p.caught(3, "--smp-secret-file", secret, "--events", p.seen+".events")
				p.wantEvent("downgraded", 3)
			}},
			{"keys of both versions are expected", func(p *tap) {
				p.caught(3, "--expect", p.bob.key("3"), "--expect", p.bob.key("4"), "--events", p.seen+".events")
				p.wantEvent("downgraded", 3)
			}},
			{"a key of version 4 is expected", func(p *tap) {
				p.caught(7, "--expect", p.bob.key("4"), "--timeout", "4s")
			}},
			{"only version 4 is spoken", func(p *tap) { p.caught(7, "--otr", "4", "--timeout", "4s") }},
			{"only version 4, in fragments", func(p *tap) {
				p.ends = []string{"--max-size", "200"}
				p.caught(7, "--otr", "4", "--max-size", "200", "--timeout", "4s")
			}},
		} {
			t.Run(mode+", "+c.name, func(t *testing.T) {
				slowtest.SkipUnless(t, mode == "lines" && strings.HasPrefix(c.name, "a "))
				t.Parallel()
				p := newTap(t, "4", mode, "--downgrade")
				c.story(p)
			})
		}
	}
}

// meet has alice meet bob with nobody in between.
func (p *tap) meet() {
	p.t.Helper()
	l := p.connect(false, "--contact", "bob")
	l.say("hello\n")
	l.wait("hello\n")
	l.in.Close()
	if code := l.left(); code != 0 {
		p.t.Errorf("the honest connection: exit code %d", code)
	}
}

// wantEvent wants alice to have had an event of a session in a version.
func (p *tap) wantEvent(name string, version int) {
	p.t.Helper()
	text, _ := os.ReadFile(p.seen + ".events")
	for line := range bytes.Lines(text) {
		var e struct {
			Event   string
			Version int
		}
		if err := json.Unmarshal(line, &e); err == nil && e.Event == name && e.Version == version {
			return
		}
	}
	p.t.Errorf("no event %s of version %d:\n%s", name, version, text)
}
