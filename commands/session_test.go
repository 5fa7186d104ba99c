//go:build unix

package commands

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"otrpipe/commands/internal/exit"
	"otrpipe/testscripts/slowtest"

	"golang.org/x/sys/unix"
)

// patience is how long a test waits for what must happen.
const patience = 60 * time.Second

// A running end is a command that goes on while the test does something else.
type running struct {
	t              *testing.T
	input          *os.File // its standard input; a reader has to look for the end elsewhere
	output         *bufio.Reader
	events, errors string // files
	code           chan int
}

// begin runs a stream command with pipes, or with these files, as its standard input and
// output, until its session has begun or at least its own wait for it.
func (p *person) begin(in, out *os.File, command string, args ...string) *running {
	p.t.Helper()
	r := &running{t: p.t, events: filepath.Join(p.folder, command+".events"), errors: filepath.Join(p.folder, command+".errors"), code: make(chan int, 1)}
	if in == nil {
		theirs, ours, err := os.Pipe()
		if err != nil {
			p.t.Fatal(err)
		}
		in, r.input = theirs, ours
		p.t.Cleanup(func() { ours.Close() })
	}
	if out == nil {
		ours, theirs, err := os.Pipe()
		if err != nil {
			p.t.Fatal(err)
		}
		out, r.output = theirs, bufio.NewReader(ours)
		p.t.Cleanup(func() { ours.Close() })
	}
	messages, err := os.Create(r.errors)
	if err != nil {
		p.t.Fatal(err)
	}
	line := append([]string{programName, "--home", p.home, command, "-s", command, "--events", r.events}, args...)
	go func() {
		defer messages.Close()
		r.code <- Run(line, 0, in, out, messages)
	}()
	// Only one command at a time may read its command line: the flag library has globals.
	r.until("started")
	return r
}

// until waits for an event.
func (r *running) until(event string) {
	r.t.Helper()
	var b []byte
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
		b, _ = os.ReadFile(r.events)
		if strings.Contains(string(b), fmt.Sprintf("%q:%q", "event", event)) {
			return
		}
	}
	said, _ := os.ReadFile(r.errors)
	r.t.Fatalf("no event %s in %s; %s", event, b, said)
}

// leaves waits for the end and wants this exit code.
func (r *running) leaves(code int) {
	r.t.Helper()
	select {
	case got := <-r.code:
		if said, _ := os.ReadFile(r.errors); got != code {
			r.t.Errorf("exit code %d, not %d; %s", got, code, said)
		}
	case <-time.After(patience):
		r.t.Fatal("it does not leave")
	}
}

// twoEnds runs serve, with bob's keys and cat as its application, and connect with alice's.
func (p *person) twoEnds(flags ...string) (alice, bob *running) {
	p.t.Helper()
	there, back := filepath.Join(p.folder, "there"), filepath.Join(p.folder, "back")
	var fifos []*os.File
	for _, name := range []string{there, back} {
		if err := unix.Mkfifo(name, 0o600); err != nil {
			p.t.Fatal(err)
		}
		f, err := os.OpenFile(name, os.O_RDWR, 0)
		if err != nil {
			p.t.Fatal(err)
		}
		p.t.Cleanup(func() { f.Close() })
		fifos = append(fifos, f)
	}
	bob = p.begin(fifos[0], fifos[1], "serve", append(append([]string{"-i", "bob"}, flags...), "--", "cat")...)
	alice = p.begin(nil, nil, "connect", append(append([]string{"-i", "alice"}, flags...), "--", "sh", "-c", `cat "$1" & exec cat >"$0"`, there, back)...)
	alice.until("secure")
	bob.until("secure")
	return alice, bob
}

func (r *running) says(line string) {
	r.t.Helper()
	if _, err := io.WriteString(r.input, line+"\n"); err != nil {
		r.t.Fatal(err)
	}
}

func (r *running) hears(line string) {
	r.t.Helper()
	if got, err := r.output.ReadString('\n'); err != nil || got != line+"\n" {
		r.t.Fatalf("read %q, %v; not %q", got, err, line)
	}
}

func TestALiveSessionIsSteeredByOtherCommands(t *testing.T) {
	for _, mode := range []string{"lines", "stream"} {
		t.Run(mode, func(t *testing.T) {
			if testing.Short() && mode == "stream" {
				t.Skip("short: takes a second")
			}
			p := newPerson(t, "alice", "bob")
			p.run("status").is(exit.OK).answers(`\A\z`)
			p.run("refresh").refused(exit.Session, "no session|no live session")
			alice, bob := p.twoEnds("--mode", mode, "--smp-secret-file", p.file("secret", "sesame\n"))
			alice.says("hello")
			alice.hears("hello")

			p.run("status").is(exit.OK).answers(`(?s)^connect: encrypted$.*^serve: encrypted$`)
			p.run("status", "-s", "serve", "-i", "bob").is(exit.OK).answers("^  identity     bob$").answers("^  mode         " + mode + "$").answers("^  peer         OTRv4$")
			p.run("status", "-s", "connect", "--json").is(exit.OK).answers(`"session":"connect"`)
			p.run("status", "--json").is(exit.OK).answers(`^\[\{`)
			p.run("status", "-s", "none").refused(exit.Session, "none")
			p.run("status", "-s", "").refused(exit.Usage, "cannot be a name")
			p.run("status", "argument").refused(exit.Usage, "takes no argument")

			p.run("refresh").refused(exit.Usage, "-s")
			p.run("refresh", "-s", "connect").is(exit.OK)
			announced := p.run("extra-key", "-s", "connect", "--use", "7", "--data", "00ff").is(exit.OK).answers("^[0-9a-f]{128}$")
			bob.until("extra_key")
			if received := p.run("extra-key", "-s", "serve", "--received").is(exit.OK); received.out != announced.out {
				t.Errorf("announced %s, received %s", announced.out, received.out)
			}
			for _, out := range unwritables(t) {
				p.writing(out.file, "", "extra-key", "-s", "connect", "--use", "7").is(out.code).
					says("^otrpipe: " + out.says + "; the peer has been told of the key all the same$").says("hint: the same command prints a key")
				p.writing(out.file, "", "extra-key", "-s", "serve", "--received").is(out.code).says("^otrpipe: " + out.says + "$")
			}
			p.run("smp", "-s", "connect", "--timeout", "10ms", "--secret-file", p.file("secret", "sesame\n")).refused(exit.Timeout, "has not answered within 10ms")
			p.run("smp", "-s", "connect", "--abort").is(exit.OK)
			alice.says("still here")
			alice.hears("still here")
			p.reading("", "__complete", "--", "zsh", "--home", p.home, "status", "-s", "").is(exit.OK).answers(`(?s)^connect\t.*^serve\t`)

			p.run("end", "-s", "connect").is(exit.OK)
			if mode == "lines" {
				alice.leaves(exit.OK)
				bob.leaves(exit.OK)
			} else {
				alice.leaves(exit.Broken)
				bob.leaves(exit.Broken)
			}
		})
	}
}

func TestWhatCannotBeAskedOfASessionIsRefused(t *testing.T) {
	slowtest.SkipShort(t)
	p := newPerson(t, "default")
	for _, test := range []struct {
		says string
		args []string
	}{
		{`takes no argument\n.*hint: a secret is never an argument: .* --secret-file or --secret-fd$`, []string{"smp", "argument"}},
		{`takes no argument\n.*hint: a secret is never an argument: .* --new-passphrase-file or`, []string{"keys", "passphrase", "argument"}},
		{"--timeout: ", []string{"smp", "--timeout", "soon"}},
		{"--question: ", []string{"smp", "--question", strings.Repeat("x", 100000)}},
		{"contradict", []string{"smp", "--abort", "--question", "why?"}},
		{"hint: did you mean otrpipe end -s argument", []string{"end", "argument"}},
		{"takes no argument", []string{"extra-key", "argument"}},
		{"needs --use N", []string{"extra-key"}},
		{"contradicts", []string{"extra-key", "--received", "--use", "1"}},
		{"is not a number below", []string{"extra-key", "--use", "x"}},
		{"even number of hexadecimal digits", []string{"extra-key", "--use", "1", "--data", "0"}},
		{"at most 65531 can be sent", []string{"extra-key", "--use", "1", "--data", strings.Repeat("00", 65532)}},
		{"needs a transport: --tcp, --listen or a COMMAND", []string{"connect"}},
		{"needs a COMMAND", []string{"serve", "-s", "x"}},
		{"--ephemeral and --contact contradict", []string{"connect", "--ephemeral", "--contact", "bob", "--", "cat"}},
		{"cannot be a name", []string{"connect", "-s", "", "--", "cat"}},
		{"hint: did you mean otrpipe decrypt-stream < argument", []string{"decrypt-stream", "argument"}},
	} {
		p.run(test.args...).refused(exit.Usage, test.says)
	}
	p.run("connect", "--", "otrpipe-no-such-program").refused(exit.CannotRun, "otrpipe-no-such-program")
	p.run("connect", "-i", "nobody", "--", "cat").refused(exit.KeyFile, "not found: identity")
	p.run("connect", "--identity-file", filepath.Join(p.folder, "none"), "--", "cat").refused(exit.KeyFile, "none")
	p.run("connect", "--smp-secret-file", p.file("empty", "\n"), "--", "cat").refused(exit.KeyFile, "the secret of SMP is empty")
	p.run("connect", "--timeout", "10ms", "--", "cat").refused(exit.Timeout, "there is no session after 10ms")
	p.run("connect", "--ephemeral", "--timeout", "10ms", "--", "cat").refused(exit.Timeout, "there is no session after 10ms")
	p.run("connect", "--", "true").refused(exit.Broken, "the transport closed before there was a session")
	p.run("decrypt-stream", "--timeout", "10ms").refused(exit.Timeout, "no otrpipe encrypt-stream came")
	p.run("encrypt-stream", "--timeout", "10ms").refused(exit.Timeout, "no otrpipe decrypt-stream came")
}
