package otrv4

import (
	"bytes"
	"crypto/rand"
	"encoding/binary"
	"flag"
	"fmt"
	mathrand "math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"otrpipe/testscripts/peers/python"

	"otrpipe/otr"
	"otrpipe/otr/offline"
	"otrpipe/otr/toolkit"
	"otrpipe/otr/wire"
	"otrpipe/testscripts/slowtest"
)

// differential is how many random changes are compared; CI has time for a few.
var differential = flag.Int("differential", 30, "how many random changes of messages TestThePeerAndWeTake… compare")

// randomly changes the bytes of a message in a way that a seed says.
func randomly(t *testing.T, seed uint64, line []byte) []byte {
	t.Helper()
	msg, err := wire.AppendDearmored(nil, line)
	if err != nil {
		t.Fatal(err)
	}
	rng := mathrand.New(mathrand.NewPCG(seed, 11))
	at := rng.IntN(len(msg))
	if rng.IntN(2) == 0 { // the heads of fields are few, and count
		at = rng.IntN(min(len(msg), 32))
	}
	switch rng.IntN(6) {
	case 0:
		msg = msg[:at]
	case 1:
		msg = append(msg, make([]byte, 1+rng.IntN(5))...)
	case 2:
		msg = slices.Insert(msg, at, byte(rng.Uint32()))
	case 3:
		binary.BigEndian.PutUint32(msg[min(at, len(msg)-4):], []uint32{0, 1, 1 << 31, 1<<32 - 1}[rng.IntN(4)])
	default:
		msg[at] ^= 1 << rng.IntN(8)
	}
	return wire.AppendArmor(nil, msg)
}

// rightMAC makes the MAC of a changed data message right, as a peer that cheats does, where
// that can be done.
func rightMAC(keys []otr.SessionKey, original, changed []byte) []byte {
	parse := func(line []byte) *toolkit.Message {
		m, err := toolkit.NewParser(bytes.NewReader(append(bytes.Clone(line), '\n'))).Next()
		if err != nil {
			return nil
		}
		return m
	}
	from, to := parse(original), parse(changed)
	if from == nil || to == nil {
		return changed
	}
	for _, k := range keys {
		if _, err := toolkit.Read(from, k.Key); err != nil {
			continue
		}
		if mac, err := toolkit.MACKey(k.Key); err == nil {
			if remade, err := toolkit.Remac(to, mac); err == nil {
				return remade
			}
		}
	}
	return changed
}

// A twin is our side instead of the peer, for the same messages.
type twin struct {
	sender, taker *us
	secured       bool
	texts         []string
}

func newTwin(t *testing.T, edit ...func(*otr.Config)) *twin {
	t.Helper()
	w := &twin{sender: newUs(t, nil, edit...)}
	w.taker = newUs(t, nil, func(c *otr.Config) { c.Account, c.PeerAccount = "bob@localhost", "alice@localhost" })
	return w
}

// give hands the taker lines, and returns its answers.
func (w *twin) give(lines [][]byte) (answers [][]byte) {
	for _, line := range lines {
		got, err := w.taker.Receive(bytes.Clone(line))
		if err != nil {
			w.taker.t.Fatal(err)
		}
		if got.HasText && len(got.Text) > 0 {
			w.texts = append(w.texts, string(got.Text))
		}
		for _, e := range got.Events {
			if _, ok := e.(otr.Secure); ok {
				w.secured = true
			}
		}
		for _, line := range got.Send {
			answers = append(answers, bytes.Clone(line))
		}
	}
	return answers
}

// run carries lines of the sender, and what comes of them; alter may put others before one.
func (w *twin) run(lines [][]byte, alter func([][]byte) [][]byte) {
	for len(lines) > 0 {
		var next [][]byte
		for _, line := range w.give(alter(lines)) {
			got, err := w.sender.Receive(line)
			if err != nil {
				w.sender.t.Fatal(err)
			}
			for _, line := range got.Send {
				next = append(next, bytes.Clone(line))
			}
		}
		lines = next
	}
}

func asTheyAre(lines [][]byte) [][]byte { return lines }

// perProcess is how many changes one peer is given: peers do not live long.
const perProcess = 100

// Data messages that are changed, some with a MAC that is right, are taken or refused by the
// peer and by us alike, and so are the messages that they were made of.
func TestThePeerAndWeTakeTheSameDataMessages(t *testing.T) {
	long(t)
	t.Parallel()
	for first := 0; first < *differential; first += perProcess {
		compareData(t, uint64(first), uint64(min(first+perProcess, *differential)))
	}
}

func compareData(t *testing.T, first, end uint64) {
	t.Helper()
	logKeys := func(c *otr.Config) { c.LogKeys = true }
	p := start(t)
	u := newUs(t, p, logKeys)
	u.do(u.Query(), nil)
	u.until("a session", u.secure)
	w := newTwin(t, logKeys)
	w.run(w.sender.Query(), asTheyAre)
	for seed := first; seed < end; seed++ {
		text := fmt.Sprintf("text %d of a session", seed)
		for i, s := range []*us{u, w.sender} {
			line := s.seal(text)
			changed := randomly(t, seed, line)
			if seed%2 == 1 {
				changed = rightMAC(s.TakeKeys(), line, changed)
			}
			if i == 0 {
				u.write([][]byte{changed, line})
			} else {
				w.give([][]byte{changed, line})
			}
		}
	}
	u.say("the last one")
	w.give([][]byte{w.sender.seal("the last one")})
	u.do(u.End())
	u.rest()
	if got := p.texts(); !slices.Equal(got, w.texts) {
		t.Errorf("changes %d to %d: the peer has read %q, we %q", first, end, got, w.texts)
	}
	if len(w.texts) < int(end-first)/2 {
		t.Errorf("changes %d to %d: only %d texts arrived", first, end, len(w.texts))
	}
}

// So are messages of the key exchange, in both roles.
func TestThePeerAndWeTakeTheSameMessagesOfTheKeyExchange(t *testing.T) {
	slowtest.Skip(t)
	long(t)
	for seed := range uint64(max(4, *differential/10)) {
		t.Run(fmt.Sprint("change ", seed), func(t *testing.T) {
			t.Parallel()
			weOffer, n := seed%3 != 0, 1
			if seed%3 == 2 {
				n = 2
			}
			begin := func(u *us) [][]byte {
				if !weOffer {
					return u.Query()
				}
				lines, err := u.Refresh()
				if err != nil {
					t.Fatal(err)
				}
				return lines
			}
			p := start(t, "--timeout", "60")
			u := newUs(t, p)
			alter := changing(t, seed, n)
			u.send = func(lines [][]byte) { u.write(alter(lines)) }
			u.send(begin(u))
			for !u.secure() && u.next() {
			}
			u.send = u.write
			if u.secure() {
				u.say("is it there?")
				u.do(u.End())
			} else {
				p.in.Close()
			}
			u.rest()
			w := newTwin(t)
			w.run(begin(w.sender), changing(t, seed, n))
			if w.sender.State() == otr.StateEncrypted {
				w.give([][]byte{w.sender.seal("is it there?")})
			}
			theirs := fmt.Sprint("session ", len(p.of("secure")) > 0, ", texts ", p.texts())
			ours := fmt.Sprint("session ", w.secured, ", texts ", w.texts)
			if theirs != ours {
				t.Errorf("the peer: %s; we: %s", theirs, ours)
			}
		})
	}
}

// changing puts a changed copy of message number n before it.
func changing(t *testing.T, seed uint64, n int) func([][]byte) [][]byte {
	sent := 0
	return func(lines [][]byte) (out [][]byte) {
		for _, line := range lines {
			if strings.HasPrefix(string(line), "?OTR:") {
				if sent++; sent == n {
					out = append(out, randomly(t, seed, line))
				}
			}
			out = append(out, line)
		}
		return out
	}
}

// So are lines to people who are away: one of them is changed, or a changed copy comes
// before it, and both read the same texts.
func TestThePeerAndWeReadTheSameLinesWhileAway(t *testing.T) {
	long(t)
	t.Parallel()
	python.Need(t)
	folder := t.TempDir()
	peer, bob, alice := newPythonPeer(t, folder), newMailbox(t), newMailbox(t)
	for seed := range uint64(max(5, *differential/10)) {
		// The first line begins the session; each text and the end have a line.
		change := func(lines [][]byte) []byte {
			at := int(seed) % len(lines)
			changed := [][]byte{randomly(t, seed, lines[at])}
			if seed%2 == 0 {
				changed = append(changed, lines[at])
			}
			lines = slices.Replace(slices.Clone(lines), at, at+1, changed...)
			return append(bytes.Join(lines, []byte("\n")), '\n')
		}
		store := fmt.Sprint(seed, ".json")
		published, _ := peer.run(nil, "publish", "-n", "1", "--store", store)
		_, events := peer.run(change(alice.writeTo(published.stdout)), "receive", "--store", store)
		theirs := ""
		for _, text := range texts(events) {
			theirs += text + "\n"
		}
		file := filepath.Join(folder, "ours")
		bob.publish(file)
		ensemble, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		ours, err := bob.read(change(alice.writeTo(ensemble)))
		if ours != theirs {
			t.Errorf("change %d: the peer has read %q, we %q, %v", seed, theirs, ours, err)
		}
	}
}

// writeTo writes three texts to whoever has published an ensemble.
func (m *mailbox) writeTo(ensemble []byte) [][]byte {
	m.t.Helper()
	valid, refused := offline.ReadEnsembles(ensemble, time.Now())
	if len(valid) != 1 {
		m.t.Fatalf("%d ensembles, refused %v", len(valid), refused)
	}
	s := m.load()
	session, lines, err := s.Write(valid[0])
	if err != nil {
		m.t.Fatal(err)
	}
	lines = append(lines, '\n')
	w, err := offline.NewWriter(session, offline.Head{}, offline.WriterConfig{Save: s.Put, Rand: rand.Reader})
	for i := 0; err == nil && i < 3; i++ {
		lines, err = w.Text(lines, fmt.Appendf(nil, "text %d", i))
	}
	if err == nil {
		lines, err = w.EndTexts(lines, true)
	}
	if err != nil {
		m.t.Fatal(err)
	}
	return bytes.Split(bytes.TrimSuffix(lines, []byte("\n")), []byte("\n"))
}
