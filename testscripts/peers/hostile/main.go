// Hostile is a peer for tests that does not keep to the rules: it is the transport of an
// otrpipe, with keys of its own, and makes one move against it. What it gains is written
// to FILE, a line each: "guess" when it was shown the outcome of a comparison of secrets,
// "text …" when it could read a text under its second key.
//
//	otrpipe connect --smp-secret-file word -- hostile --seen FILE --move abort
//
// Its moves, once it has been shown an outcome and holds its own answer back: abort, start
// (another comparison), exchange (a new key exchange), end (the session), close (ask the
// victim to end it, and say nothing more), leave, wait. The move takeover has nothing to do with secrets: in mid-session it begins a session with
// another key under the same instance tag.
package main

import (
	"bufio"
	"bytes"
	"crypto/rand"
	"errors"
	"flag"
	"fmt"
	"os"
	"time"

	"otrpipe/otr"
	"otrpipe/otr/keys"
	"otrpipe/otr/wire"
)

// typeClose is the record by which an otrpipe says that it wants to end the session.
const typeClose = 0x6F07

func main() {
	seen := flag.String("seen", "", "append what it gains to this `FILE`")
	move := flag.String("move", "", "what it does")
	version := flag.Int("version", 3, "`2`, 3 or 4")
	flag.Parse()
	if err := run(*seen, *move, *version); err != nil {
		fmt.Fprintln(os.Stderr, "hostile:", err)
		os.Exit(1)
	}
}

// A peer is one goroutine's.
type peer struct {
	move    string
	version int
	tag     uint32
	seen    *os.File
	c       *otr.Conversation
	keys    int // how many it has come with
}

func run(seen, move string, version int) error {
	f, err := os.OpenFile(seen, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer f.Close()
	p := &peer{move: move, version: version, seen: f}
	if p.tag, err = otr.NewInstanceTag(rand.Reader); err != nil {
		return err
	}
	if err := p.newKey(); err != nil {
		return err
	}
	in := bufio.NewReaderSize(os.Stdin, 1<<20)
	for {
		line, err := in.ReadBytes('\n')
		if err != nil {
			return nil
		}
		if err := p.receive(bytes.TrimSuffix(line, []byte("\n"))); err != nil {
			return err
		}
	}
}

// newKey makes it somebody else, with the same instance tag.
func (p *peer) newKey() error {
	cfg := otr.Config{InstanceTag: p.tag, Rand: rand.Reader, Now: time.Now}
	var err error
	switch p.version {
	case 2, 3:
		cfg.Policy = map[int]otr.Policy{2: otr.AllowV2, 3: otr.AllowV3}[p.version]
		cfg.DSA, err = keys.GenerateDSA(rand.Reader)
	case 4:
		cfg.Policy = otr.AllowV4
		if cfg.Ed448, err = keys.GenerateEd448(rand.Reader); err == nil {
			cfg.Forging, err = keys.GenerateForgingKey(rand.Reader)
		}
	default:
		err = errors.New("no such version")
	}
	if err != nil {
		return err
	}
	p.keys++
	p.c, err = otr.New(cfg)
	return err
}

func (p *peer) receive(line []byte) error {
	r, err := p.c.Receive(line)
	if err != nil {
		return err
	}
	send := r.Send
	for _, e := range r.Events {
		switch e.(type) {
		case otr.SMPAsked:
			lines, err := p.c.AnswerSMP([]byte("a guess"))
			if err != nil {
				return err
			}
			send = append(send, lines...)
		case otr.SMPSucceeded, otr.SMPFailed:
			fmt.Fprintln(p.seen, "guess")
			if send, err = p.next(); err != nil { // its message 4 is not sent
				return err
			}
		}
	}
	if r.HasText {
		switch {
		case p.keys > 1:
			fmt.Fprintf(p.seen, "text %q\n", r.Text)
		case p.move == "takeover":
			if err := p.newKey(); err != nil {
				return err
			}
			if send, err = p.c.Refresh(); err != nil {
				return err
			}
		}
	}
	return say(send)
}

// next is the move after an outcome was shown.
func (p *peer) next() ([][]byte, error) {
	switch p.move {
	case "abort":
		return p.c.AbortSMP()
	case "start":
		return p.c.StartSMP([]byte("another guess"), "well?")
	case "exchange":
		return p.c.Refresh()
	case "end":
		lines, err := p.c.End()
		return append(lines, p.c.Query()...), err
	case "close":
		b, err := p.c.AppendMessage(nil, otr.Message{TLVs: []wire.TLV{{Type: typeClose}}, IgnoreUnreadable: true})
		return [][]byte{bytes.TrimSuffix(b, []byte("\n"))}, err
	case "leave":
		os.Exit(0)
	}
	return nil, nil // wait
}

func say(lines [][]byte) error {
	for _, line := range lines {
		if _, err := os.Stdout.Write(append(bytes.Clone(line), '\n')); err != nil {
			return err
		}
	}
	return nil
}
