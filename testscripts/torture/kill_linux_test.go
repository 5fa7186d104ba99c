package torture

import (
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"otrpipe/testscripts/slowtest"
)

// A storm is what the rounds of one kind of killing share.
type storm struct {
	*world
	random *rand.Rand
	calm   bool          // nothing is killed in this round
	long   time.Duration // how long a round takes in which nothing is killed
	killed bool          // something has been killed in this round
}

// TestProgramsThatAreKilledBreakNothing kills programs at random moments. Whatever is killed, no
// file is damaged, the next run works, no receiver reports success for a part of a stream, no
// plaintext is on the wire, and no process stays behind.
func TestProgramsThatAreKilledBreakNothing(t *testing.T) {
	t.Parallel()
	for _, topology := range []struct {
		name  string
		round func(s *storm)
	}{
		{"pipes", (*storm).pipes},
		{"halves", (*storm).halves},
		{"server", (*storm).server},
		{"chat", (*storm).chat},
		{"offline", (*storm).offline},
		{"transfer", (*storm).transfer},
	} {
		t.Run(topology.name, func(t *testing.T) {
			slowtest.SkipUnless(t, topology.name == "pipes" || topology.name == "halves")
			t.Parallel()
			s := &storm{world: newWorld(t)}
			kills := 0
			rounds(t, 2, func(n int, random *rand.Rand) {
				// The first round tells how long one takes; and that it works.
				s.random, s.calm, s.killed = random, n%6 == 0, false
				begun := time.Now()
				topology.round(s)
				s.noneIsLeft()
				if s.calm {
					s.long = time.Since(begun)
				}
				if s.killed {
					kills++
					s.homeIsWhole()
				}
			})
			t.Logf("%d kills", kills)
		})
	}
}

// kill waits for a random time and kills one of the world's processes, if the round is not calm.
// It takes only those that which accepts; nil: all.
func (s *storm) kill(which func(pid int) bool) {
	if s.calm {
		return
	}
	time.Sleep(time.Duration(s.random.Float64() * 1.1 * float64(s.long)))
	pids := s.left()
	if which != nil {
		pids = slices.DeleteFunc(pids, func(pid int) bool { return !which(pid) })
	}
	if len(pids) == 0 {
		return
	}
	// One of a signal's victims may be gone already.
	if syscall.Kill(pids[s.random.IntN(len(pids))], syscall.SIGKILL) == nil {
		s.killed = true
	}
}

// mayKill is kill for one process.
func (s *storm) mayKill(p *process) {
	s.kill(func(pid int) bool { return pid == p.cmd.Process.Pid })
}

// partOf checks what a receiver has delivered: the beginning of what was sent, and all of it if
// it reports success.
func (w *world) partOf(name string, code int, got, sent []byte) {
	w.t.Helper()
	switch {
	case !bytes.HasPrefix(sent, got):
		w.t.Errorf("%s delivered what was not sent", name)
	case code == 0 && len(got) != len(sent):
		w.t.Errorf("%s reports success with %d of %d bytes", name, len(got), len(sent))
	}
}

// arrives is partOf, and where all is calm the receiver has to report success.
func (s *storm) arrives(name string, code int, got, sent []byte) {
	s.t.Helper()
	s.partOf(name, code, got, sent)
	if code != 0 && s.calm {
		s.t.Errorf("%s: exit %d, although nothing was killed", name, code)
	}
}

// timeout is a flag that keeps ends from waiting for long for one that was killed.
func (s *storm) timeout() string {
	if s.calm {
		return "--timeout=60s"
	}
	return "--timeout=15s"
}

// size is how much is sent in a round.
func (s *storm) size() int { return s.random.IntN(300_000) }

// pipes has an end with the other end as its transport, which runs an application.
func (s *storm) pipes() {
	for _, name := range []string{"up", "down", "application", "served"} {
		os.Remove(s.path(name))
	}
	sent := payload(s.random, s.size())
	s.write("sent", sent)
	const script = `tee "$0/up" | { "$1" --home "$2" serve -i bob --contact alice -- tee "$0/application"; echo $? >"$0/served"; } | tee "$0/down"`
	alice := s.start("alice", s.from("sent", s.command("connect", "-i", "alice", "--contact", "bob", "--",
		"sh", "-c", script, s.folder, program, s.home)))
	s.kill(nil)
	alice.finish()
	s.noneIsLeft()
	s.arrives(alice.describe(), alice.code, alice.output(), sent)
	served := -1
	fmt.Sscan(string(s.read("served")), &served)
	s.arrives("serve", served, s.read("application"), sent)
	for _, name := range []string{"up", "down"} {
		checkWire(s.t, name, s.read(name), s.calm)
	}
}

// halves has two ends of two halves each.
func (s *storm) halves() {
	there, back := &wire{name: "there"}, &wire{name: "back"}
	thereIn, thereOut := s.pipe(there)
	backIn, backOut := s.pipe(back)
	sent := [2][]byte{payload(s.random, s.size()), payload(s.random, s.size())}
	var halves []*process
	for i, end := range []struct{ us, them string }{{"alice", "bob"}, {"bob", "alice"}} {
		s.write("sent-"+end.us, sent[i])
		flags := []string{"-i", end.us, "-s", end.us, "--contact", end.them, s.timeout()}
		encrypt := s.from("sent-"+end.us, s.command(append([]string{"encrypt-stream"}, flags...)...))
		decrypt := s.command(append([]string{"decrypt-stream"}, flags...)...)
		encrypt.Stdout, decrypt.Stdin = thereIn, backOut
		if i == 1 {
			encrypt.Stdout, decrypt.Stdin = backIn, thereOut
		}
		halves = append(halves, s.start("encrypt-"+end.us, encrypt), s.start("decrypt-"+end.us, decrypt))
	}
	s.kill(nil)
	for _, half := range halves {
		half.finish()
	}
	for i := range sent {
		encrypt, decrypt, other := halves[2*i], halves[2*i+1], halves[3-2*i]
		s.arrives(decrypt.describe(), decrypt.code, decrypt.output(), sent[1-i])
		if encrypt.code == 0 && !bytes.Equal(other.output(), sent[i]) {
			s.t.Errorf("%s: success, although not everything has arrived", encrypt.describe())
		}
	}
	there.check(s.t, s.calm)
	back.check(s.t, s.calm)
}

// server has a server and several callers. One of the callers, or the server, or what the server
// has started for a caller is killed; the other callers must not notice it, if it was a caller.
func (s *storm) server() {
	os.Remove(s.path("events"))
	server := s.start("server", s.command("serve", "-i", "bob", "--contact", "alice", "--listen", "127.0.0.1:0",
		"--events", s.path("events"), "--", "sh", "-c", `exec tee "$0/application.$$"`, s.folder))
	address := s.listening("events", server)
	relay := newRelay(s.t)
	through := relay.forward(address)
	var callers []*process
	var sent [][]byte
	for i := range 2 + s.random.IntN(3) {
		sent = append(sent, payload(s.random, s.size()))
		name := fmt.Sprintf("caller-%d", i)
		s.write("sent-"+name, sent[i])
		callers = append(callers, s.start(name, s.from("sent-"+name,
			s.command("connect", "-i", "alice", "--contact", "bob", "--tcp", through))))
	}
	victim := -1
	s.kill(func(pid int) bool {
		if victim < 0 { // any of them, of the server's side or of the callers'
			victim = s.random.IntN(len(callers) + 1)
		}
		if victim == len(callers) {
			return !slices.ContainsFunc(callers, func(p *process) bool { return p.cmd.Process.Pid == pid })
		}
		return callers[victim].cmd.Process.Pid == pid
	})
	for i, caller := range callers {
		caller.finish()
		s.arrives(caller.describe(), caller.code, caller.output(), sent[i])
		if caller.code != 0 && victim >= 0 && victim != i && victim != len(callers) {
			s.t.Errorf("%s: although another caller was killed", caller.describe())
		}
	}
	if victim != len(callers) {
		if server.ended() {
			s.t.Errorf("%s: it has ended", server.describe())
		}
		syscall.Kill(server.cmd.Process.Pid, syscall.SIGTERM)
		if code := server.finish(); code != 143 {
			s.t.Errorf("%s: exit code %d after SIGTERM", server.describe(), code)
		}
	} else {
		syscall.Kill(server.cmd.Process.Pid, syscall.SIGTERM) // it may be that only an application was killed
		server.finish()
	}
	relay.check(s.calm)
}

// listening waits until a program listens, and returns its address.
func (w *world) listening(events string, p *process) string {
	w.t.Helper()
	const before = `"event":"listening"`
	for begun := time.Now(); time.Since(begun) < patience && !p.ended(); time.Sleep(10 * time.Millisecond) {
		for line := range strings.Lines(string(w.read(events))) {
			if !strings.Contains(line, before) {
				continue
			}
			if _, address, ok := strings.Cut(line, `"address":"`); ok {
				if address, _, ok = strings.Cut(address, `"`); ok {
					return address
				}
			}
		}
	}
	w.t.Fatalf("%s: it does not listen", p.describe())
	return ""
}

// offline has prekeys published, messages written to them, and read, and the contacts and
// identities of a home changed, each of which may be killed.
func (s *storm) offline() {
	calm := s.calm
	defer func() { s.calm = calm }()
	some := func() { s.calm = calm || s.random.IntN(2) == 0 } // half of the steps run to their end

	// A file of ensembles is whole, or it is not there.
	os.Remove(s.path("ensembles"))
	some()
	publish := s.start("publish", s.command("prekeys", "publish", "-i", "bob", "-n", "2", "-o", s.path("ensembles")))
	s.mayKill(publish)
	publish.finish()
	ensembles := s.read("ensembles")
	if got := bytes.Count(ensembles, []byte("\n")); got != 2 && (got != 0 || publish.code == 0) {
		s.t.Errorf("%s: %d ensembles", publish.describe(), got)
	}
	if len(ensembles) == 0 {
		s.must("prekeys", "publish", "-i", "bob", "-n", "2", "-o", s.path("ensembles"))
	}

	// What a sender that was killed has written is a part of a message, which is never read to
	// the end. The sender has a second ensemble.
	sent := payload(s.random, s.size())
	s.write("sent", sent)
	encrypt := func(name string) *process {
		return s.start(name, s.from("sent", s.command("encrypt-stream", "-i", "alice", "--to", s.path("ensembles"), "--contact", "bob")))
	}
	some()
	letter := encrypt("letter")
	s.mayKill(letter)
	letter.finish()
	complete := letter.code == 0
	checkWire(s.t, "letter", letter.output(), !s.killed)
	if !complete {
		read := s.run("cut", s.from("letter.out", s.command("decrypt-stream", "--offline", "-i", "bob", "--contact", "alice")))
		s.partOf(read.describe(), read.code, read.output(), sent)
		if letter = encrypt("letter"); letter.finish() != 0 {
			s.t.Fatalf("%s: after one that was killed", letter.describe())
		}
	}

	// A message whose reading was interrupted can be read again, from its beginning.
	some()
	decrypt := func(name string) *process {
		return s.start(name, s.from("letter.out", s.command("decrypt-stream", "--offline", "-i", "bob", "--contact", "alice")))
	}
	first := decrypt("first")
	s.mayKill(first)
	first.finish()
	s.arrives(first.describe(), first.code, first.output(), sent)
	again := decrypt("again")
	again.finish()
	s.partOf("again", again.code, again.output(), sent)
	switch {
	case first.code == 0 && (again.code == 0 || len(again.output()) > 0):
		s.t.Errorf("%s: it has been read before", again.describe())
	case !bytes.Equal(first.output(), sent) && again.code != 0:
		s.t.Errorf("%s\n%s: the message is lost", first.describe(), again.describe())
	}
	if again.code == 0 {
		if third := decrypt("third"); third.finish() == 0 || len(third.output()) > 0 {
			s.t.Errorf("%s: it has been read before", third.describe())
		}
	}

	// Other changes of the home. If the removal of carol was killed in an earlier round, she
	// may still be there.
	if _, err := os.Stat(s.path("home/identities/carol")); err == nil {
		s.must("keys", "remove", "-y", "carol")
	}
	for _, args := range [][]string{
		{"contacts", "trust", "bob"}, {"contacts", "distrust", "bob"},
		{"keygen", "-i", "carol"}, {"keys", "remove", "-y", "carol"},
		{"prekeys", "revoke", "-i", "bob", "--all"},
	} {
		some()
		change := s.start("change", s.command(args...))
		s.mayKill(change)
		if change.finish() != 0 && !s.killed {
			s.t.Errorf("%s: although nothing was killed", change.describe())
		}
	}
}

// transfer has a file sent. It has its name only if it is complete, and the same commands
// continue a transfer that was cut.
func (s *storm) transfer() {
	sent := payload(s.random, 10*s.size())
	s.write("file", sent)
	s.write("secret", []byte("Lisbon"))
	os.RemoveAll(s.path("in"))
	if err := os.Mkdir(s.path("in"), 0o700); err != nil {
		s.t.Fatal(err)
	}
	for try := 0; ; try++ {
		relay := newRelay(s.t)
		addresses := relay.join()
		timeout := s.timeout()
		if try > 0 {
			timeout = "--timeout=60s"
		}
		flags := []string{"--smp-secret-file", s.path("secret"), timeout, "--tcp"}
		sender := s.start("sender", s.command(append(append([]string{"send", s.path("file")}, flags...), addresses[0])...))
		receiver := s.start("receiver", s.command(append(append([]string{"receive", s.path("in")}, flags...), addresses[1])...))
		if try == 0 {
			s.kill(nil)
		}
		sender.finish()
		receiver.finish()
		relay.check(s.calm)
		file, err := os.ReadFile(s.path("in/file"))
		switch {
		case err == nil && !bytes.Equal(file, sent):
			s.t.Errorf("%s: the file has its name and is not complete", receiver.describe())
		case err != nil && (sender.code == 0 || receiver.code == 0):
			s.t.Errorf("%s\n%s: success without a file", sender.describe(), receiver.describe())
		case try > 0 && err != nil || s.calm && (sender.code != 0 || receiver.code != 0):
			s.t.Errorf("%s\n%s: the transfer was not continued", sender.describe(), receiver.describe())
		}
		if err == nil || s.t.Failed() {
			return
		}
	}
}

// chat has a person at one end, and a program at the other.
func (s *storm) chat() {
	relay := newRelay(s.t)
	addresses := relay.join()
	alice := s.atTerminal("alice", s.command("chat", "-i", "alice", "--contact", "bob", "--tcp", addresses[0]))
	defer alice.close()
	program := s.command("connect", "-i", "bob", "--contact", "alice", "--mode", "lines", s.timeout(), "--tcp", addresses[1])
	input, err := program.StdinPipe()
	if err != nil {
		s.t.Fatal(err)
	}
	bob := s.start("bob", program)
	var sent, shown int
	text := func(from string, n int) string { return fmt.Sprintf("%s number %d of %s.", marker, n, from) }
	talked := make(chan struct{})
	go func() {
		defer close(talked)
		if !alice.shows("[bob new]", "[bob known]") {
			return
		}
		for range 10 {
			alice.write(text("alice", sent) + "\r")
			sent++
			io.WriteString(input, text("bob", shown)+"\n") // an error shows in what is shown
			if !alice.shows(text("bob", shown)) {
				return
			}
			shown++
		}
	}()
	s.kill(nil)
	if s.calm {
		<-talked
		if shown != 10 {
			s.t.Errorf("%d texts of bob were shown:\n%s", shown, alice.screen())
		}
		input.Close()
		bob.finish() // and ends the session, since it has nothing more to say
	}
	// Without a session a chat stays open until it is left.
	alice.leave()
	input.Close()
	bob.finish()
	<-talked
	var all strings.Builder
	for n := range sent {
		all.WriteString(text("alice", n) + "\n")
	}
	got := string(bob.output())
	switch {
	case !strings.HasPrefix(all.String(), got):
		s.t.Errorf("%s: delivered what was not typed, or not in order:\n%s\nalice's screen:\n%q", bob.describe(), got, alice.screen())
	case s.calm && (bob.code != 0 || alice.process.code != 0 || got != all.String()):
		s.t.Errorf("%s\nalice: exit %d, on the screen:\n%s\nalthough nothing was killed", bob.describe(), alice.process.code, alice.screen())
	case bob.code == 0 && got != all.String():
		s.t.Errorf("%s: success, although texts are missing", bob.describe())
	}
	relay.check(s.calm)
}
