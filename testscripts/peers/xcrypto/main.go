// Xcrypto is a peer for tests around golang.org/x/crypto/otr (version 2):
// standard input is the network's lines to it, standard output its lines to the
// network, standard error its events as JSON lines. ../README.md documents the
// flags, commands and events, which are the same for every peer here.
package main

import (
	"bufio"
	"bytes"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"

	"golang.org/x/crypto/otr"
)

func main() {
	var hooks hooks
	key := flag.String("key", "", "libotr private key `FILE`; a new key without")
	versions := flag.String("versions", "2", "protocol versions, of which there is one")
	control := flag.String("control", "", "read commands from this `FIFO`")
	events := flag.String("events", "", "append events to this `FILE` instead of standard error")
	fragment := flag.Int("fragment", 0, "no line longer than `N` bytes")
	echo := flag.Bool("echo", false, "send every text back")
	flag.Var(&hooks, "on", "run a command each time something happens: `WHEN=COMMAND`")
	flag.Parse()
	if *versions != "2" || flag.NArg() > 0 {
		flag.Usage()
		os.Exit(2)
	}
	p := &peer{events: os.Stderr, hooks: hooks, fragment: *fragment, echo: *echo}
	if err := p.open(*key, *events); err != nil {
		fatal(err)
	}
	commands := make(chan string)
	if *control != "" {
		// Read and write, so that a FIFO whose writer leaves does not end.
		f, err := os.OpenFile(*control, os.O_RDWR, 0)
		if err != nil {
			fatal(err)
		}
		go readLines(f, commands)
	}
	network := make(chan string)
	go readLines(os.Stdin, network)
	p.run(network, commands)
}

func fatal(err error) {
	fmt.Fprintln(os.Stderr, "xcrypto-peer:", err)
	os.Exit(1)
}

// readLines sends every line of r, without its line end, and closes c.
func readLines(r io.Reader, c chan<- string) {
	defer close(c)
	b := bufio.NewReaderSize(r, 1<<16)
	for {
		line, err := b.ReadString('\n')
		if err != nil {
			return
		}
		c <- strings.TrimSuffix(strings.TrimSuffix(line, "\n"), "\r")
	}
}

// A hook is a command that is run each time something happens.
type hook struct{ when, command string }

type hooks []hook

func (h *hooks) String() string { return "" }

func (h *hooks) Set(s string) error {
	when, command, ok := strings.Cut(s, "=")
	if !ok {
		return errors.New("not WHEN=COMMAND")
	}
	*h = append(*h, hook{when, command})
	return nil
}

// A peer is one conversation and what to do when. One goroutine has it all.
type peer struct {
	key           *otr.PrivateKey
	c             *otr.Conversation
	events        io.Writer
	hooks         hooks
	fragment      int
	echo          bool
	finished      bool
	pending       []string // what happened while a line was handled
	read, written int
	texts         int
}

func (p *peer) open(keyFile, eventFile string) error {
	p.key = new(otr.PrivateKey)
	if keyFile == "" {
		p.key.Generate(rand.Reader)
	} else if data, err := os.ReadFile(keyFile); err != nil {
		return err
	} else if !p.key.Import(data) {
		return fmt.Errorf("%s: no private key", keyFile)
	}
	if eventFile != "" {
		f, err := os.OpenFile(eventFile, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
		if err != nil {
			return err
		}
		p.events = f
	}
	p.forget()
	return nil
}

// forget loses the session without a word to the other side.
func (p *peer) forget() {
	p.c = &otr.Conversation{PrivateKey: p.key, FragmentSize: p.fragment}
	p.finished = false
}

// run handles both inputs until the network's ends.
func (p *peer) run(network, commands <-chan string) {
	p.event("ready", fields{"peer": "xcrypto", "library": "v0.58.0",
		"fingerprint": hex.EncodeToString(p.key.PublicKey.Fingerprint())})
	p.happened("start")
	for {
		select {
		case line, ok := <-network:
			if !ok {
				p.event("eof", nil)
				return
			}
			p.read++
			p.receive([]byte(line))
			pending := p.pending
			p.pending = nil
			for _, when := range pending {
				p.happened(when)
			}
			p.event("read", fields{"read": p.read, "written": p.written})
		case command := <-commands:
			p.command(command)
		}
	}
}

type fields map[string]any

// event writes an event; bytes are written one character a byte.
func (p *peer) event(name string, f fields) {
	if f == nil {
		f = fields{}
	}
	f["event"] = name
	for k, v := range f {
		if b, ok := v.([]byte); ok {
			f[k] = latin1(b)
		}
	}
	line, err := json.Marshal(f)
	if err != nil {
		fatal(err)
	}
	if _, err := p.events.Write(append(line, '\n')); err != nil {
		fatal(err)
	}
}

func latin1(b []byte) string {
	var s strings.Builder
	for _, c := range b {
		s.WriteRune(rune(c))
	}
	return s.String()
}

// happened runs the commands that wait for this.
func (p *peer) happened(when string) {
	for _, h := range p.hooks {
		if h.when == when {
			p.command(h.command)
		}
	}
}

// write writes messages, each with its LF.
func (p *peer) write(messages ...[]byte) {
	for _, m := range messages {
		line := append(bytes.Clone(m), '\n')
		p.written += bytes.Count(line, []byte("\n"))
		if _, err := os.Stdout.Write(line); err != nil {
			fatal(err)
		}
	}
}

func (p *peer) receive(line []byte) {
	data := bytes.HasPrefix(line, []byte("?OTR"))
	text, encrypted, change, send, err := p.c.Receive(line)
	p.write(send...)
	if err != nil {
		p.event("unreadable", fields{"reason": err.Error()})
		return
	}
	p.change(change)
	switch {
	case encrypted && len(text) > 0:
		p.receivedText(text)
	case encrypted:
		p.event("heartbeat", nil)
	case text != nil && (len(text) > 0 || !data):
		p.event("text", fields{"text": text, "encrypted": false})
	}
}

// change reports what a line brought about.
func (p *peer) change(change otr.SecurityChange) {
	switch change {
	case otr.NewKeys:
		p.finished = false
		p.event("secure", fields{"version": 2, "instance": 0,
			"ssid":        hex.EncodeToString(p.c.SSID[:]),
			"fingerprint": hex.EncodeToString(p.c.TheirPublicKey.Fingerprint())})
		p.pending = append(p.pending, "secure")
	case otr.SMPSecretNeeded:
		f := fields{}
		if q := p.c.SMPQuestion(); q != "" {
			f["question"] = []byte(q)
		}
		p.event("smp_asked", f)
		p.pending = append(p.pending, "asked")
	case otr.SMPComplete:
		p.event("smp_succeeded", nil)
	case otr.SMPFailed:
		p.event("smp_failed", nil)
	case otr.ConversationEnded:
		p.finished = true
		p.event("ended", nil)
		p.pending = append(p.pending, "ended")
	}
}

func (p *peer) receivedText(text []byte) {
	p.event("text", fields{"text": bytes.Clone(text), "encrypted": true})
	if p.echo {
		if err := p.say(text); err != nil {
			p.event("failed", fields{"command": "echo", "reason": err.Error()})
		}
	}
	p.texts++
	p.pending = append(p.pending, "text", "text:"+strconv.Itoa(p.texts))
}

// command runs a command: a verb, a space, arguments between tabs.
func (p *peer) command(line string) {
	verb, rest, ok := strings.Cut(line, " ")
	var args []string
	if ok {
		args = strings.Split(rest, "\t")
		for i := range args {
			args[i] = unescape(args[i])
		}
	}
	args = append(args, "", "") // an argument that was left out is empty
	if err := p.do(verb, args); err != nil {
		p.event("failed", fields{"command": verb, "reason": err.Error()})
	}
	p.event("done", fields{"command": verb, "read": p.read, "written": p.written})
}

func (p *peer) do(verb string, args []string) error {
	switch verb {
	case "say":
		return p.say([]byte(args[0]))
	case "raw":
		p.write([]byte(args[0]))
	case "query":
		p.write([]byte(otr.QueryMessage))
	case "commit":
		// What a query from the other side would make us do.
		_, _, _, send, err := p.c.Receive([]byte(otr.QueryMessage))
		p.write(send...)
		return err
	case "end":
		p.finished = false
		p.write(p.c.End()...)
	case "forget":
		p.forget()
	case "crash":
		os.Exit(3)
	case "quit":
		os.Exit(0)
	case "versions":
		if args[0] != "2" {
			return errors.New("only version 2")
		}
	case "fragment":
		n, err := strconv.Atoi(args[0])
		if err != nil {
			return err
		}
		p.fragment, p.c.FragmentSize = n, n
	case "echo":
		p.echo = args[0] == "on"
	case "status":
		p.event("status", fields{"state": p.state()})
	case "heartbeat":
		return p.encrypted(func() error { return p.say(nil) })
	case "smp":
		return p.encrypted(func() error { return p.authenticate(args[1], args[0]) })
	case "answer":
		return p.encrypted(func() error { return p.authenticate("", args[0]) })
	default:
		return errors.New("no such command")
	}
	return nil
}

func (p *peer) say(text []byte) error {
	send, err := p.c.Send(text)
	p.write(send...)
	return err
}

func (p *peer) authenticate(question, secret string) error {
	send, err := p.c.Authenticate(question, []byte(secret))
	p.write(send...)
	return err
}

func (p *peer) encrypted(f func() error) error {
	if !p.c.IsEncrypted() {
		return errors.New("not encrypted")
	}
	return f()
}

func (p *peer) state() string {
	switch {
	case p.c.IsEncrypted():
		return "encrypted"
	case p.finished:
		return "finished"
	}
	return "plaintext"
}

// unescape undoes the escapes \n \r \t \\ and \xHH.
func unescape(s string) string {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] != '\\' || i+1 == len(s) {
			b.WriteByte(s[i])
			continue
		}
		i++
		switch s[i] {
		case 'n':
			b.WriteByte('\n')
		case 'r':
			b.WriteByte('\r')
		case 't':
			b.WriteByte('\t')
		case 'x':
			if c, err := hex.DecodeString(s[min(i+1, len(s)):min(i+3, len(s))]); err == nil && len(c) == 1 {
				b.WriteByte(c[0])
				i += 2
			}
		default:
			b.WriteByte(s[i])
		}
	}
	return b.String()
}
