//go:build unix

package peers

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"
)

// peerTime is how long a peer may live: far longer than any test of it needs, so
// that one that hangs fails its test and not the whole run.
const peerTime = 2 * time.Minute

// An event is something that happened at one end of a conversation: a peer's
// event as README.md lists them, or our own Conversation's in the same words.
type event struct {
	Event       string
	Text        string
	Encrypted   bool
	Version     int
	Fingerprint string
	SSID        string
	Bold        string
	Instance    uint32
	Question    string
	Use         uint32
	Data        string
	Key         string
	State       string
	Command     string
	Reason      string
	Read        int
	Written     int
}

// An end is one end of a conversation that is driven step by step. Every method
// returns the lines that the step sends.
type end interface {
	Name() string
	Receive(line string) []string
	Say(text string) []string
	Query() []string
	Commit() []string
	End() []string
	Forget() []string // loses the session without a word
	SMP(secret, question string) []string
	Answer(secret string) []string
	Abort() []string
	ExtraKey(use uint32, data string) []string
	Happened() []event // since the last call
}

// A process is a peer that runs as a command.
type process struct {
	t       *testing.T
	name    string
	in      io.WriteCloser
	control *os.File
	out     *bufio.Reader
	events  *bufio.Scanner
	read    int
	written int
	news    []event

	Fingerprint string
}

// start starts a peer of kind k with flags. Unless they name a key, it has one that it shares
// with peers of other tests, since making one can take a peer longer than the rest of its test.
func start(t *testing.T, k *kind, flags ...string) *process {
	t.Helper()
	argv := append(k.command(t), "--control", "/dev/fd/3")
	argv = append(argv, flags...)
	if !slices.Contains(flags, "--key") {
		argv = append(argv, "--key", sharedKey(t))
	}
	cmd := exec.Command(argv[0], argv[1:]...)
	theirControl, control, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd.ExtraFiles = []*os.File{theirControl}
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	stderr, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	theirControl.Close()
	kill := time.AfterFunc(peerTime, func() { cmd.Process.Kill() })
	t.Cleanup(func() {
		kill.Stop()
		control.Close()
		in.Close()
		cmd.Process.Kill()
		cmd.Wait()
	})
	p := &process{t: t, name: k.name, in: in, control: control, events: bufio.NewScanner(stderr)}
	p.events.Buffer(nil, 1<<24)
	p.out = bufio.NewReader(unblocked(out))
	p.Fingerprint = p.until("ready").Fingerprint
	return p
}

// unblocked reads r at once, whether or not anybody reads what it returns, so
// that a peer never waits for us while we wait for its events.
func unblocked(r io.Reader) io.Reader {
	chunks := make(chan []byte, 1<<16)
	go func() {
		defer close(chunks)
		for {
			chunk := make([]byte, 1<<16)
			n, err := r.Read(chunk)
			if n > 0 {
				chunks <- chunk[:n]
			}
			if err != nil {
				return
			}
		}
	}()
	return &chunkReader{chunks: chunks}
}

type chunkReader struct {
	chunks <-chan []byte
	rest   []byte
}

func (r *chunkReader) Read(p []byte) (int, error) {
	for len(r.rest) == 0 {
		chunk, ok := <-r.chunks
		if !ok {
			return 0, io.EOF
		}
		r.rest = chunk
	}
	n := copy(p, r.rest)
	r.rest = r.rest[n:]
	return n, nil
}

// until waits for an event of this name and keeps those before it as news.
func (p *process) until(name string) event {
	p.t.Helper()
	for p.events.Scan() {
		var e event
		if err := json.Unmarshal(p.events.Bytes(), &e); err != nil {
			p.t.Fatalf("%s wrote on standard error: %s", p.name, p.complaint())
		}
		e.Text, e.Question = bytesOf(e.Text), bytesOf(e.Question)
		if e.Event == name {
			return e
		}
		if e.Event != "done" && e.Event != "read" {
			p.news = append(p.news, e)
		}
	}
	p.t.Fatalf("%s left while we waited for its %q event", p.name, name)
	return event{}
}

// complaint is what the peer has to say on standard error that is no event.
func (p *process) complaint() string {
	var lines []string
	for more := true; more; more = p.events.Scan() {
		lines = append(lines, p.events.Text())
	}
	return strings.Join(lines, "\n")
}

// bytesOf turns one character a byte into bytes.
func bytesOf(s string) string {
	b := make([]byte, 0, len(s))
	for _, r := range s {
		b = append(b, byte(r))
	}
	return string(b)
}

// sent takes the lines that the peer has written up to an event.
func (p *process) sent(e event) []string {
	p.t.Helper()
	var lines []string
	for ; p.written < e.Written; p.written++ {
		line, err := p.out.ReadString('\n')
		if err != nil {
			p.t.Fatalf("%s: %v", p.name, err)
		}
		lines = append(lines, strings.TrimSuffix(line, "\n"))
	}
	return lines
}

func (p *process) Name() string { return p.name }

func (p *process) Receive(line string) []string {
	p.t.Helper()
	if _, err := io.WriteString(p.in, line+"\n"); err != nil {
		p.t.Fatalf("%s: %v", p.name, err)
	}
	p.read++
	e := p.until("read")
	if e.Read != p.read {
		p.t.Fatalf("%s read %d lines, we wrote %d", p.name, e.Read, p.read)
	}
	return p.sent(e)
}

var escapes = strings.NewReplacer("\\", "\\\\", "\n", "\\n", "\r", "\\r", "\t", "\\t")

// do runs a command of README.md's list.
func (p *process) do(verb string, arguments ...string) []string {
	p.t.Helper()
	for i, a := range arguments {
		arguments[i] = escapes.Replace(a)
	}
	line := verb
	if len(arguments) > 0 {
		line += " " + strings.Join(arguments, "\t")
	}
	if _, err := io.WriteString(p.control, line+"\n"); err != nil {
		p.t.Fatalf("%s: %v", p.name, err)
	}
	return p.sent(p.until("done"))
}

func (p *process) Say(text string) []string { return p.do("say", text) }
func (p *process) Query() []string          { return p.do("query") }
func (p *process) Commit() []string         { return p.do("commit") }
func (p *process) End() []string            { return p.do("end") }
func (p *process) Forget() []string         { return p.do("forget") }
func (p *process) Abort() []string          { return p.do("abort") }

func (p *process) SMP(secret, question string) []string {
	if question == "" {
		return p.do("smp", secret)
	}
	return p.do("smp", secret, question)
}

func (p *process) Answer(secret string) []string { return p.do("answer", secret) }

func (p *process) ExtraKey(use uint32, data string) []string {
	return p.do("extra-key", fmt.Sprint(use), data)
}

func (p *process) Happened() []event {
	news := p.news
	p.news = nil
	return news
}
