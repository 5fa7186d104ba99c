// Mitm is a man in the middle for tests: one side is its own standard input and
// output, the other those of the command it runs. It pretends to each to be the
// other, with keys of its own, reads what they say and passes it on:
//
//	otrpipe connect --expect … -- mitm --seen FILE -- otrpipe serve -- cat
//
// Everything that it could read is in FILE, as JSON lines.
package main

import (
	"bufio"
	"crypto/rand"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"time"

	"otrpipe/otr/keys"
	"otrpipe/otr/v3"
	"otrpipe/otr/wire"
)

func main() {
	seen := flag.String("seen", "", "append what was read to this `FILE`")
	smp := flag.Bool("relay-smp", false, "pass SMP on instead of dropping it")
	version := flag.Uint("version", 3, "`2` or 3")
	flag.Parse()
	if err := run(flag.Args(), *seen, uint16(*version), *smp); err != nil {
		fmt.Fprintln(os.Stderr, "mitm:", err)
		os.Exit(1)
	}
}

func run(command []string, seen string, version uint16, smp bool) error {
	if len(command) == 0 || version != v3.Version2 && version != v3.Version3 {
		return errors.New("usage: mitm [--seen FILE] [--relay-smp] [--version 2] -- COMMAND")
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
	m := &middle{version: version, relaySMP: smp, log: json.NewEncoder(log)}
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
	version  uint16
	relaySMP bool
	log      *json.Encoder
	sides    [2]*side
}

// A side is what we pretend to be to one end.
type side struct {
	name    string
	out     io.Writer
	tag     uint32
	key     *keys.DSAPrivateKey
	peer    uint32     // its instance
	engine  *v3.Engine // nil until its instance is known
	offer   *v3.Offer  // our D-H Commit, until it is answered
	pieces  wire.Assembler
	waiting []message // for it, until there is a session
}

// A message is one end's words on their way to the other.
type message struct {
	flags byte
	plain wire.Plaintext
}

func (m *middle) open(a, b io.Writer) error {
	for i, out := range []io.Writer{a, b} {
		key, err := keys.GenerateDSA(rand.Reader)
		if err != nil {
			return err
		}
		name := string("ab"[i])
		m.sides[i] = &side{name: name, out: out, tag: wire.MinInstanceTag + uint32(i), key: key}
		m.report(record{Event: "ready", Side: name, Fingerprint: key.Public().Fingerprint().Hex()})
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
	switch wire.Classify(line) {
	case wire.KindQuery, wire.KindTagged:
		// Both ends are to begin with us, in nothing better than our version.
		if err := m.commit(m.sides[i]); err != nil {
			return err
		}
		return m.commit(m.sides[1-i])
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
func (m *middle) commit(s *side) error {
	if s.offer != nil || s.engine != nil && s.engine.AuthState() != v3.AuthNone {
		return nil
	}
	offer, err := v3.NewOffer(rand.Reader)
	if err != nil {
		return err
	}
	s.offer = offer
	return s.send(offer.Message(m.version, s.tag, 0))
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
	s.meet(h, m.version)
	var flags byte
	if h.Type == wire.TypeData {
		if data, err := v3.ParseData(body); err == nil {
			flags = data.Flags
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
		m.report(record{Event: "secure", Side: s.name, Fingerprint: s.engine.PeerKey().Fingerprint().Hex()})
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
func (s *side) meet(h wire.Header, version uint16) {
	if s.engine == nil || s.peer != h.Sender {
		s.peer = h.Sender
		s.engine = v3.NewEngine(v3.Config{
			Version: version, InstanceTag: s.tag, Identity: s.key, Rand: rand.Reader,
		}, h.Sender)
	}
	if s.offer != nil {
		s.engine.Begin(s.offer)
		s.offer = nil
	}
}

// relay reads a message of end i and says it to the other.
func (m *middle) relay(i int, msg message) error {
	r := record{Event: "message", Side: m.sides[i].name, Text: string(msg.plain.Text)}
	var pass []wire.TLV
	for _, t := range msg.plain.TLVs {
		r.TLVs = append(r.TLVs, tlv{t.Type, t.Value})
		if m.relaySMP || t.Type < wire.TLVSMP1 || t.Type > wire.TLVSMP1Q {
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
