//go:build unix

package peers

import (
	"slices"
	"strings"
	"testing"

	"otrpipe/testscripts/slowtest"
)

// connect starts otrpipe connect in mode lines with a peer as its transport.
func (h *home) connect(version string, r *remote, flags ...string) *live {
	h.t.Helper()
	args := append([]string{"otrpipe", "connect", "--mode", "lines", "--otr", version, "--linger", "100ms"}, flags...)
	l := h.begin(append(append(args, "--"), r.argv...)...)
	return l
}

// eachPeer runs a story with every peer and version.
func eachPeer(t *testing.T, story func(t *testing.T, k *kind, version string)) {
	for _, k := range kinds {
		for _, version := range k.versions {
			t.Run(k.name+" "+version, func(t *testing.T) {
				slowtest.SkipUnless(t, k == libotr && version == k.versions[0])
				t.Parallel()
				story(t, k, version)
			})
		}
	}
}

// The program talks to every peer in mode lines: both ends' texts arrive, whole
// or in pieces, and the end of its input ends the session for both.
func TestProgramTalksInLines(t *testing.T) {
	long(t)
	t.Parallel()
	eachPeer(t, func(t *testing.T, k *kind, version string) {
		for _, size := range []string{"", "200"} {
			flags, theirs := []string(nil), []string{"--versions", version}
			if size != "" {
				flags = []string{"--max-size", size}
				theirs = append(theirs, "--fragment", size)
			}
			h, r := newHome(t), newRemote(t, k, theirs...)
			l := h.connect(version, r, flags...)
			said := []string{"hello", "Grüße, 你好, 🧅", "<b>bold</b> &amp;", strings.Repeat("ten kilobytes ", 750), "the last one"}
			l.say(strings.Join(said, "\n") + "\n")
			for n := range said {
				r.wait("text", n+1)
			}
			if got := r.texts(); !slices.Equal(got, said) {
				t.Errorf("%s received %.200q", k.name, got)
			}
			for _, text := range said {
				r.do("say", text)
			}
			r.do("say", "two\nlines\r")
			l.wait(strings.Join(said, "\n") + "\n" + `two\nlines\r` + "\n")
			l.in.Close()
			r.wait("ended", 1)
			if code := l.left(); code != 0 {
				t.Errorf("exit code %d", code)
			}
		}
	})
}

// A peer that ends the session is the end of the program. Where our input was still open,
// not all of it was sent.
func TestProgramLeavesWhenThePeerEnds(t *testing.T) {
	long(t)
	t.Parallel()
	eachPeer(t, func(t *testing.T, k *kind, version string) {
		h, r := newHome(t), newRemote(t, k, "--versions", version)
		l := h.connect(version, r)
		l.say("hello\n")
		r.wait("text", 1)
		r.do("say", "goodbye")
		r.do("end")
		l.wait("goodbye\n")
		if code := l.left(); code != 5 {
			t.Errorf("exit code %d", code)
		}
	})
}

// A peer that is gone without an end is a broken stream.
func TestProgramNoticesThatThePeerCrashed(t *testing.T) {
	long(t)
	t.Parallel()
	eachPeer(t, func(t *testing.T, k *kind, version string) {
		h, r := newHome(t), newRemote(t, k, "--versions", version)
		l := h.connect(version, r)
		l.say("hello\n")
		r.wait("text", 1)
		r.do("crash")
		if code := l.left(); code != 5 {
			t.Errorf("exit code %d, want 5", code)
		}
	})
}

// A peer that lost its session gets a new one when it asks for it, and texts go
// on.
func TestProgramGoesOnWhenThePeerStartsOver(t *testing.T) {
	long(t)
	t.Parallel()
	eachPeer(t, func(t *testing.T, k *kind, version string) {
		h, r := newHome(t), newRemote(t, k, "--versions", version)
		l := h.connect(version, r)
		l.say("hello\n")
		r.wait("text", 1)
		r.do("forget")
		r.do("query")
		r.wait("secure", 2)
		r.do("say", "here I am again")
		l.wait("here I am again\n")
		l.say("welcome back\n")
		r.wait("text", 2)
		l.in.Close()
		if code := l.left(); code != 0 {
			t.Errorf("exit code %d", code)
		}
	})
}

// Only the peer whose key was expected is talked to; another gets no text and
// none of its own is shown.
func TestProgramRefusesAKeyThatWasNotExpected(t *testing.T) {
	long(t)
	t.Parallel()
	eachPeer(t, func(t *testing.T, k *kind, version string) {
		h, r := newHome(t), newRemote(t, k, "--versions", version, "--on", "secure=say poison")
		l := h.connect(version, r, "--expect", strings.Repeat("5", 40))
		l.say("hello\n")
		if code := l.left(); code != 3 {
			t.Errorf("exit code %d, want 3", code)
		}
		if got := r.texts(); len(got) != 0 || strings.Contains(l.out.String(), "poison") {
			t.Errorf("it received %q, we %q", got, l.out.String())
		}

		key := keyFile(t)
		r = newRemote(t, k, "--versions", version, "--key", key.path)
		l = h.connect(version, r, "--expect", key.fingerprint)
		l.say("hello\n")
		r.wait("text", 1)
		r.do("say", "welcome") // else the program may not know that the peer has the session
		l.wait("welcome\n")
		l.in.Close()
		if code := l.left(); code != 0 {
			t.Errorf("exit code %d", code)
		}
	})
}

// SMP comes before any text, whoever starts it, and without it there is none.
func TestProgramRunsSMPBeforeAnyText(t *testing.T) {
	long(t)
	t.Parallel()
	eachPeer(t, func(t *testing.T, k *kind, version string) {
		h := newHome(t)
		for _, c := range []struct {
			name    string
			theyAsk bool
			theirs  string
		}{
			{"we ask", false, "the secret"},
			{"we ask, wrong", false, "a guess"},
			{"they ask", true, "the secret"},
			{"they ask, wrong", true, "a guess"},
		} {
			// If both begin, the peer may have to answer after all.
			flags := []string{"--versions", version, "--on", "asked=answer " + c.theirs}
			if c.theyAsk {
				flags = append(flags, "--on", "secure=smp "+c.theirs)
			}
			r := newRemote(t, k, flags...)
			l := h.connect(version, r, "--smp-secret-file", secretFile(t, "the secret"))
			l.say("hello\n")
			if c.theirs == "the secret" {
				if e := r.wait("text", 1); e.Text != "hello" {
					t.Errorf("%s: received %q", c.name, e.Text)
				}
				l.in.Close()
				if code := l.left(); code != 0 {
					t.Errorf("%s: exit code %d", c.name, code)
				}
			} else {
				if code := l.left(); code != 4 {
					t.Errorf("%s: exit code %d, want 4", c.name, code)
				}
				if got := r.texts(); len(got) != 0 {
					t.Errorf("%s: received %q", c.name, got)
				}
			}
		}
	})
}

// A peer that begins a key exchange in a version that is not allowed here is no riddle: the
// hint names its version, and the flag that allows it.
func TestTheHintNamesTheVersionOfAKeyExchange(t *testing.T) {
	long(t)
	h, r := newHome(t), newRemote(t, libotr, "--versions", "2", "--on", "start=commit")
	l := h.connect("3", r, "--timeout", "6s") // it needs a moment to start
	if code := l.left(); code != 7 {
		t.Errorf("exit code %d, want 7", code)
	}
	const hint = "hint: what came asks for OTR version 2, which is not allowed here; --otr 23 allows it\n"
	if !strings.Contains(l.stderr.String(), hint) {
		t.Errorf("it says %q", l.stderr.String())
	}
}
