// Mitm is a man in the middle for tests: one side is its own standard input and
// output, the other those of the command it runs. It pretends to each to be the
// other, with keys of its own, reads what they say and passes it on:
//
//	otrpipe connect --expect … -- mitm --seen FILE -- otrpipe serve -- cat
//
// Everything that it could read is in FILE, as JSON lines. With --downgrade it
// pretends nothing, and takes version 4 away from the two instead.
package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"time"

	"otrpipe/otr/wire"
)

func main() {
	seen := flag.String("seen", "", "append what was read to this `FILE`")
	smp := flag.Bool("relay-smp", false, "pass SMP on instead of dropping it")
	version := flag.Uint("version", 3, "`2`, 3 or 4")
	downgrade := flag.Bool("downgrade", false, "only take version 4 away")
	flag.Parse()
	m := &middle{version: uint16(*version), relaySMP: *smp, downgrade: *downgrade}
	if err := m.run(flag.Args(), *seen); err != nil {
		fmt.Fprintln(os.Stderr, "mitm:", err)
		os.Exit(1)
	}
}

func (m *middle) run(command []string, seen string) error {
	if err := isSpoken(m.version); len(command) == 0 || err != nil {
		return errors.Join(err, errors.New("usage: mitm [--seen FILE] [--relay-smp] [--version 2|3|4] [--downgrade] -- COMMAND"))
	}
	log := io.Discard
	if seen != "" {
		f, err := os.OpenFile(seen, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
		if err != nil {
			return err
		}
		log = f
	}
	cmd := exec.Command(command[0], command[1:]...)
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		return err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	m.log = json.NewEncoder(log)
	if err := m.open(os.Stdout, in); err != nil {
		return err
	}
	if err := m.serve(os.Stdin, out); err != nil {
		return err
	}
	in.Close()
	return cmd.Wait()
}

// A middle is both pretences. One goroutine has it all.
type middle struct {
	version   uint16
	relaySMP  bool
	downgrade bool
	log       *json.Encoder
	sides     [2]*side
}

// A side is what we pretend to be to one end.
type side struct {
	name     string
	out      io.Writer
	pretence pretence
	peer     uint32 // its instance
	engine   engine // nil until its instance is known
	offered  bool   // we have begun a key exchange that is not answered
	pieces   wire.Assembler
	waiting  []message // for it, until there is a session
}

// A message is one end's words on their way to the other.
type message struct {
	flags byte
	plain wire.Plaintext
}

func (m *middle) open(a, b io.Writer) error {
	for i, out := range []io.Writer{a, b} {
		p, err := newPretence(m.version, wire.MinInstanceTag+uint32(i))
		if err != nil {
			return err
		}
		name := string("ab"[i])
		m.sides[i] = &side{name: name, out: out, pretence: p}
		m.report(record{Event: "ready", Side: name, Fingerprint: p.fingerprint().Hex()})
	}
	return nil
}

// A record is a line of what was read.
type record struct {
	Event       string `json:"event"`
	Side        string `json:"side"`
	Fingerprint string `json:"fingerprint,omitempty"`
	Text        string `json:"text,omitempty"`
	Reason      string `json:"reason,omitempty"`
	TLVs        []tlv  `json:"tlvs,omitempty"`
}

type tlv struct {
	Type  uint16 `json:"type"`
	Value []byte `json:"value"`
}

func (m *middle) report(r record) {
	if err := m.log.Encode(r); err != nil {
		panic(err)
	}
}

// serve passes lines on until one of the inputs ends.
func (m *middle) serve(a, b io.Reader) error {
	lines := [2]chan []byte{make(chan []byte), make(chan []byte)}
	go readLines(a, lines[0])
	go readLines(b, lines[1])
	for {
		var from int
		var line []byte
		var ok bool
		select {
		case line, ok = <-lines[0]:
		case line, ok = <-lines[1]:
			from = 1
		}
		if !ok {
			return nil
		}
		if err := m.receive(from, line); err != nil {
			return err
		}
	}
}

func readLines(r io.Reader, c chan<- []byte) {
	defer close(c)
	s := bufio.NewScanner(r)
	s.Buffer(nil, wire.MaxMessage+2)
	for s.Scan() {
		c <- append([]byte(nil), s.Bytes()...)
	}
}

// receive handles one line of end i.
func (m *middle) receive(i int, line []byte) error {
	if m.downgrade {
		passed, keep := withoutVersion4(line)
		if !keep {
			m.report(record{Event: "dropped", Side: m.sides[i].name, Reason: "it is of version 4"})
			return nil
		}
		return m.sides[1-i].write(passed)
	}
	switch wire.Classify(line) {
	case wire.KindQuery, wire.KindTagged:
		// Both ends are to speak with us, in nothing better than our version: a answers
		// us, b begins, so that each has the part that it would have with the other.
		if err := m.sides[0].commit(); err != nil {
			return err
		}
		return m.ask(m.sides[1])
	case wire.KindFragment:
		f, err := wire.ParseFragment(line)
		if err != nil {
			return nil
		}
		whole, err := m.sides[i].pieces.Add(f, time.Now())
		if err != nil || whole == nil {
			return nil
		}
		return m.receiveEncoded(i, whole)
	case wire.KindEncoded:
		return m.receiveEncoded(i, line)
	default: // what is in the clear anyway
		m.report(record{Event: "plaintext", Side: m.sides[i].name, Text: string(line)})
		return m.sides[1-i].write(line)
	}
}

// commit begins a key exchange with an end, unless one is under way.
func (s *side) commit() error {
	if s.offered || s.engine != nil && !s.engine.idle() {
		return nil
	}
	msg, err := s.pretence.commit()
	if err != nil {
		return err
	}
	s.offered = true
	return s.send(msg)
}

// ask has an end begin a key exchange, unless one is under way.
func (m *middle) ask(s *side) error {
	if s.engine != nil && !s.engine.idle() {
		return nil
	}
	return s.write(wire.AppendQuery(nil, wire.MakeVersions(int(m.version))))
}

func (m *middle) receiveEncoded(i int, line []byte) error {
	msg, err := wire.AppendDearmored(nil, line)
	if err != nil {
		return nil
	}
	h, body, err := wire.ParseHeader(msg)
	if err != nil || h.Version != m.version {
		return nil
	}
	s := m.sides[i]
	s.meet(h.Sender)
	var flags byte
	if h.Type == wire.TypeData {
		if flags, err = flagsOf(m.version, body); err != nil {
			return nil
		}
	}
	sessions := s.engine.Sessions()
	reply, plain, err := s.engine.Receive(h, body, msg, nil)
	if err != nil { // as an end would, we drop what is of no use
		m.report(record{Event: "dropped", Side: s.name, Reason: err.Error()})
		return nil
	}
	if reply != nil {
		if err := s.send(reply); err != nil {
			return err
		}
	}
	if s.engine.Sessions() > sessions {
		m.report(record{Event: "secure", Side: s.name, Fingerprint: s.engine.endFingerprint().Hex()})
		if err := s.flush(); err != nil {
			return err
		}
	}
	if h.Type == wire.TypeData {
		return m.relay(i, message{flags, plain})
	}
	return nil
}

// meet makes the engine for the instance of an end that a message is from.
func (s *side) meet(instance uint32) {
	if s.engine == nil || s.peer != instance {
		s.peer, s.engine = instance, s.pretence.newEngine(instance)
	}
	if s.offered {
		s.engine.begin()
		s.offered = false
	}
}

// relay reads a message of end i and says it to the other.
func (m *middle) relay(i int, msg message) error {
	r := record{Event: "message", Side: m.sides[i].name, Text: string(msg.plain.Text)}
	var pass []wire.TLV
	for _, t := range msg.plain.TLVs {
		r.TLVs = append(r.TLVs, tlv{t.Type, t.Value})
		if m.relaySMP || !isSMP(m.version, t.Type) {
			pass = append(pass, t)
		}
	}
	m.report(r)
	msg.plain.TLVs = pass
	other := m.sides[1-i]
	other.waiting = append(other.waiting, msg)
	if other.engine == nil || !other.engine.Encrypted() {
		return nil
	}
	return other.flush()
}

// flush says what waits for an end.
func (s *side) flush() error {
	for _, msg := range s.waiting {
		sealed, err := s.engine.Seal(nil, msg.flags, msg.plain)
		if err != nil {
			return err
		}
		if err := s.send(sealed); err != nil {
			return err
		}
	}
	s.waiting = nil
	return nil
}

// send writes a binary message to an end.
func (s *side) send(msg []byte) error { return s.write(wire.AppendArmor(nil, msg)) }

func (s *side) write(line []byte) error {
	_, err := s.out.Write(append(line[:len(line):len(line)], '\n'))
	return err
}
