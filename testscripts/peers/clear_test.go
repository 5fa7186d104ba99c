//go:build unix

package peers

import (
	"bufio"
	"bytes"
	"flag"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"otrpipe/testscripts/slowtest"
)

var clearRounds = flag.Int("clear-rounds", 1, "how often TestAFriendsWordsNeverGoOutInClear starts, refreshes and crashes the program")

// A relay carries lines between peers, which run all the time, and the runs of the program,
// which dial it one after another. It counts what the peers say in clear.
type relay struct {
	listener net.Listener

	mu      sync.Mutex
	program net.Conn // the latest; nil: none
	peers   []io.Writer
	clear   []string // lines of the peer's that are neither OTR nor part of a query
}

func newRelay(t *testing.T, r *remote) *relay {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	w := &relay{listener: listener}
	w.join(t, r)
	go w.toPeers()
	return w
}

// join starts a peer that says and hears from now on what others do.
func (w *relay) join(t *testing.T, r *remote) {
	t.Helper()
	cmd := exec.Command(r.argv[0], r.argv[1:]...)
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cmd.Process.Kill()
		cmd.Wait()
	})
	w.mu.Lock()
	w.peers = append(w.peers, in)
	w.mu.Unlock()
	go w.toProgram(out)
}

// toProgram hands a peer's lines to the program, and drops them while there is none.
func (w *relay) toProgram(out io.Reader) {
	lines := bufio.NewReader(out)
	for {
		line, err := lines.ReadString('\n')
		if err != nil {
			return
		}
		w.mu.Lock()
		if strings.Contains(line, "the friend says") {
			w.clear = append(w.clear, line)
		}
		if w.program != nil {
			io.WriteString(w.program, line)
		}
		w.mu.Unlock()
	}
}

// toPeers hands what the runs of the program write to the peers, line by line.
func (w *relay) toPeers() {
	for {
		c, err := w.listener.Accept()
		if err != nil {
			return
		}
		w.mu.Lock()
		w.program = c
		w.mu.Unlock()
		lines := bufio.NewReader(c)
		for {
			line, err := lines.ReadBytes('\n')
			if len(line) > 0 && bytes.HasSuffix(line, []byte{'\n'}) {
				w.mu.Lock()
				for _, in := range w.peers {
					in.Write(line)
				}
				w.mu.Unlock()
			}
			if err != nil {
				break
			}
		}
		w.mu.Lock()
		w.program = nil
		w.mu.Unlock()
		c.Close()
	}
}

// inClear is what the peer has said in clear so far.
func (w *relay) inClear() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.clear
}

// A typist types all the time, numbering its texts.
type typist struct {
	mu   sync.Mutex
	n    int
	stop chan struct{}
	done chan struct{}
}

func newTypist(r *remote) *typist {
	y := &typist{stop: make(chan struct{}), done: make(chan struct{})}
	go func() {
		defer close(y.done)
		for {
			select {
			case <-y.stop:
				return
			case <-time.After(20 * time.Millisecond):
			}
			y.mu.Lock()
			y.n++
			io.WriteString(r.control, fmt.Sprintf("say the friend says %d.\n", y.n))
			y.mu.Unlock()
		}
	}()
	return y
}

// typed is how many texts it has typed.
func (y *typist) typed() int {
	y.mu.Lock()
	defer y.mu.Unlock()
	return y.n
}

// libotr puts a session to plaintext, and tells only its own user interface, when a
// query comes into it, or after its end, and a key exchange follows. A friend on file who
// types all the time must not say a word in clear from the first session on, whether the
// program starts, refreshes or crashes; and no text is lost in a refresh. After a crash it
// may go on with the session that has crashed for up to a second or two: it tells instances
// of the program that it has heard in the same second apart by nothing.
func TestAFriendsWordsNeverGoOutInClear(t *testing.T) {
	long(t)
	for _, version := range libotr.versions {
		t.Run("version "+version, func(t *testing.T) {
			slowtest.SkipUnless(t, version == libotr.versions[0])
			t.Parallel()
			typeThrough(t, version, "friend")
		})
	}
}

// Without a contact nothing is known of the friend's client, so each session begins with a
// query. After a session, whether it has ended properly or has crashed, the friend's words do
// not go out in clear all the same.
func TestAFriendsWordsNeverGoOutInClearWithoutAContact(t *testing.T) {
	long(t)
	for _, version := range libotr.versions {
		t.Run("version "+version, func(t *testing.T) {
			slowtest.SkipUnless(t, version == libotr.versions[0])
			t.Parallel()
			typeThrough(t, version, "")
		})
	}
}

func typeThrough(t *testing.T, version, contact string) {
	if _, err := exec.LookPath("socat"); err != nil {
		t.Skip("socat is not installed: apt install socat")
	}
	h, r := newHome(t), newRemote(t, libotr, "--versions", version)
	w := newRelay(t, r)
	args := []string{"otrpipe", "connect", "--mode", "lines", "--otr", version, "--linger", "10ms"}
	if contact != "" {
		args = append(args, "--contact", contact)
	}
	args = append(args, "--", "socat", "-", "TCP:"+w.listener.Addr().String())
	var y *typist
	for round := range *clearRounds {
		for _, what := range []string{"start", "refresh", "crash"} {
			secure := len(secured(r))
			l := h.begin(args...)
			eventually(t, fmt.Sprintf("round %d, %s: a session", round, what), func() bool { return len(secured(r)) > secure }, l.stderr.String)
			if y == nil {
				y = newTypist(r)
				defer func() { close(y.stop); <-y.done }()
			}
			hear := func(n int) {
				t.Helper()
				l.wait(fmt.Sprintf("the friend says %d.\n", n))
			}
			first := y.typed() + 1
			if what == "start" && round > 0 { // after a crash
				eventually(t, fmt.Sprintf("round %d, %s: a text", round, what), func() bool { return l.out.String() != "" }, l.stderr.String)
				first = y.typed() + 1
			}
			hear(first)
			switch what {
			case "refresh":
				h.must("refresh")
				fallthrough
			case "start":
				last := y.typed() + 5
				hear(last)
				for n := first; n <= last; n++ {
					if !strings.Contains(l.out.String(), fmt.Sprintf("the friend says %d.\n", n)) {
						t.Errorf("round %d, %s: text %d of %d to %d is lost", round, what, n, first, last)
					}
				}
				l.in.Close()
				if code := l.left(); code != 0 && code != 5 {
					t.Errorf("round %d, %s: exit code %d", round, what, code)
				}
			case "crash":
				l.cmd.Process.Kill()
				l.cmd.Wait()
			}
			if said := w.inClear(); len(said) > 0 {
				t.Fatalf("round %d, %s: %d texts in clear: %q", round, what, len(said), said[:min(3, len(said))])
			}
		}
	}
}

func secured(r *remote) (all []event) {
	for _, e := range r.events() {
		if e.Event == "secure" {
			all = append(all, e)
		}
	}
	return all
}

// A friend's second client, with a key of its own, that asks for a session in a good one does
// not end it: the session goes on with the first, the second hears no text, and the user and
// --events are told of it.
func TestAFriendsSecondClientDoesNotEndTheSession(t *testing.T) {
	long(t)
	program(t, "socat", "socat")
	for _, test := range []struct{ name, asks, told, event string }{
		{"by a D-H Commit", "commit", "a second client of the peer asked for a session; this one goes on with the first", `"event":"second_client",`},
		{"by a query", "query", "another client asked for a session and was refused; this session goes on", `"event":"other_key",`},
	} {
		t.Run(test.name, func(t *testing.T) {
			slowtest.SkipUnless(t, test.asks == "query")
			t.Parallel()
			h, first := newHome(t), newRemote(t, libotr, "--versions", "3")
			w := newRelay(t, first)
			events := filepath.Join(t.TempDir(), "events")
			l := h.begin("otrpipe", "connect", "--mode", "lines", "--otr", "3", "--events", events,
				"--", "socat", "-", "TCP:"+w.listener.Addr().String())
			first.wait("secure", 1)
			eventually(t, "the session", func() bool { return strings.Contains(l.stderr.String(), "secure with OTRv3 key") }, l.stderr.String)
			second := newRemote(t, libotr, "--versions", "3", "--on", "start="+test.asks)
			w.join(t, second)
			second.wait("done", 1)
			eventually(t, "the user to be told", func() bool { return strings.Contains(l.stderr.String(), test.told) }, l.stderr.String)
			first.do("say", "still here")
			l.wait("still here\n")
			l.say("and so are we\n")
			if e := first.wait("text", 1); e.Text != "and so are we" {
				t.Errorf("the first client has heard %q", e.Text)
			}
			if got := second.texts(); len(got) != 0 {
				t.Errorf("the second client has heard %q", got)
			}
			eventually(t, "the event", func() bool {
				log, _ := os.ReadFile(events)
				return strings.Contains(string(log), test.event)
			}, l.stderr.String)
			if test.asks == "query" {
				second.wait("ended", 1)
			}
		})
	}
}
