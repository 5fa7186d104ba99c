//go:build unix

package peers

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha1"
	"encoding/binary"
	"flag"
	"fmt"
	"maps"
	"math/big"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"otrpipe/otr"
	"otrpipe/otr/group"
	"otrpipe/otr/toolkit"
	"otrpipe/otr/wire"
	"otrpipe/testscripts/slowtest"
)

// differential is how many random changes each comparison makes; CI has time for a few.
var differential = flag.Int("differential", 60, "how many random changes of messages TestLibotrAndWe… compare")

// A rawMessage is a data message of version 2 or 3 in its fields, so that each can be
// anything, whatever a parser or a serializer would say.
type rawMessage struct {
	head             []byte // version, type, instance tags
	flags            byte
	sender, receiver uint32 // key ids
	nextDH           []byte
	counter          [8]byte
	encrypted        []byte
	mac              []byte
	old              []byte
	behind           []byte
}

// rawOf takes a line apart that our own side has made.
func rawOf(t *testing.T, line string) rawMessage {
	t.Helper()
	msg, err := wire.AppendDearmored(nil, []byte(line))
	if err != nil {
		t.Fatal(err)
	}
	_, body, err := wire.ParseHeader(msg)
	if err != nil {
		t.Fatal(err)
	}
	m := rawMessage{head: msg[:len(msg)-len(body)]}
	r := wire.NewReader(body)
	m.flags, m.sender, m.receiver = r.Byte(), r.Int(), r.Int()
	m.nextDH = r.Data()
	copy(m.counter[:], r.Take(8))
	m.encrypted, m.mac, m.old = r.Data(), r.Take(20), r.Data()
	if err := r.End(); err != nil {
		t.Fatal(err)
	}
	return m
}

// authenticated is what the MAC covers.
func (m rawMessage) authenticated() []byte {
	b := append(bytes.Clone(m.head), m.flags)
	b = wire.AppendInt(wire.AppendInt(b, m.sender), m.receiver)
	b = append(wire.AppendData(b, m.nextDH), m.counter[:]...)
	return wire.AppendData(b, m.encrypted)
}

func (m rawMessage) line() string {
	b := append(m.authenticated(), m.mac...)
	b = append(wire.AppendData(b, m.old), m.behind...)
	return string(wire.AppendArmor(nil, b))
}

// tag sets the sender's instance tag, or the receiver's, where there are any.
func (m *rawMessage) tag(which int, tag uint32) {
	if m.head = bytes.Clone(m.head); len(m.head) == 11 {
		binary.BigEndian.PutUint32(m.head[3+4*which:], tag)
	}
}

// plain makes the encrypted text decrypt to another one of the same length.
func (m *rawMessage) plain(from, to string) {
	m.encrypted = bytes.Clone(m.encrypted)
	for i := range to {
		m.encrypted[i] ^= from[i] ^ to[i]
	}
}

// A change of a data message whose MAC is right afterwards: what a peer that cheats can
// send. It may also change the text, which is text.
type change func(m *rawMessage)

const changedText = "twenty-four bytes, plain"

func tlvOf(kind uint16, value string) string {
	return string(wire.AppendTLV(nil, wire.TLV{Type: kind, Value: []byte(value)}))
}

// changes are the changes of a peer that cheats. A plaintext is as long as changedText.
var changes = map[string]change{
	"all flags":                      func(m *rawMessage) { m.flags = 0xff },
	"the flag to ignore":             func(m *rawMessage) { m.flags = 1 },
	"sender key id of the future":    func(m *rawMessage) { m.sender += 7 },
	"sender key id 0":                func(m *rawMessage) { m.sender = 0 },
	"recipient key id of the future": func(m *rawMessage) { m.receiver += 7 },
	"recipient key id 0":             func(m *rawMessage) { m.receiver = 0 },
	"next key with a leading zero":   func(m *rawMessage) { m.nextDH = append([]byte{0}, m.nextDH...) },
	"next key empty":                 func(m *rawMessage) { m.nextDH = nil },
	"next key 1":                     func(m *rawMessage) { m.nextDH = []byte{1} },
	"next key p-1":                   func(m *rawMessage) { m.nextDH = prime1536(-1) },
	"next key p":                     func(m *rawMessage) { m.nextDH = prime1536(0) },
	"next key of 200 bytes":          func(m *rawMessage) { m.nextDH = bytes.Repeat([]byte{7}, 200) },
	"counter 0":                      func(m *rawMessage) { m.counter = [8]byte{} },
	"no text":                        func(m *rawMessage) { m.encrypted = nil },
	"revealed bytes that are no key": func(m *rawMessage) { m.old = []byte("seven b") },
	"no sender":                      func(m *rawMessage) { m.tag(0, 0) },
	"no receiver":                    func(m *rawMessage) { m.tag(1, 0) },
	"a sender below 256":             func(m *rawMessage) { m.tag(0, 255) },
	"another sender":                 func(m *rawMessage) { m.tag(0, 0x4444444) },
	"another receiver":               func(m *rawMessage) { m.tag(1, 0x4444444) },
	"a byte behind":                  func(m *rawMessage) { m.behind = []byte{0} },
	"a record that is cut short":     func(m *rawMessage) { m.plain(changedText, "text of 19 bytes  \x00\x00\x01\x00\x09u") },
	"a record of a type of nobody":   func(m *rawMessage) { m.plain(changedText, "text of 15 byte\x00"+tlvOf(0x7777, "data")) },
	"half a record":                  func(m *rawMessage) { m.plain(changedText, "text of 21 bytes ....\x00\x00\x01") },
	"a NUL at the end":               func(m *rawMessage) { m.plain(changedText, "text of 23 bytes ......\x00") },
	"only padding":                   func(m *rawMessage) { m.plain(changedText, "\x00"+tlvOf(wire.TLVPadding, strings.Repeat("p", 19))) },
	"an end of the session, in passing": func(m *rawMessage) {
		m.plain(changedText, "text of 19 bytes,.\x00"+tlvOf(wire.TLVDisconnected, "")+"x")
	},
	"a comparison without its values": func(m *rawMessage) {
		m.plain(changedText, "\x00"+tlvOf(wire.TLVSMP1, "")+tlvOf(wire.TLVPadding, "..............."))
	},
	"a question without an end": func(m *rawMessage) { m.plain(changedText, "\x00"+tlvOf(wire.TLVSMP1Q, "a question, no end.")) },
	"an answer that nobody asked for": func(m *rawMessage) {
		m.plain(changedText, "\x00"+tlvOf(wire.TLVSMP2, "\x00\x00\x00\x0b..............."))
	},
}

// prime1536 is the prime of versions 2 and 3, with a number added.
func prime1536(add int) []byte {
	// The group subtracts modulo q, and p is 2q+1.
	q := new(big.Int).SetBytes(group.MODP1536().MulSub([]byte{0}, []byte{1}, []byte{1}))
	q.Add(q, big.NewInt(1))
	p := q.Lsh(q, 1)
	return p.Add(p, big.NewInt(int64(1+add))).Bytes()
}

// A rivalry is two conversations in step: our side with another implementation, and our side
// with itself.
type rivalry struct {
	t       *testing.T
	version string
	senders [2]*ours
	takers  [2]end // another implementation, and ours
}

func newRivalry(t *testing.T, k *kind, version string) *rivalry {
	r := &rivalry{t: t, version: version}
	taker := newOurs(t, version, 0, 0)
	r.takers = [2]end{start(t, k, "--versions", version), taker}
	for i := range r.senders {
		s := newOurs(t, version, 0, 0)
		s.cfg.LogKeys, s.cfg.InstanceTag = true, uint32(0x7654321+i)
		r.senders[i] = s
	}
	// Clocks stand still but for Pause: a slow machine looks like a fast one.
	now := time.Now()
	for _, o := range append(r.senders[:], taker) {
		o.cfg.Now = func() time.Time { return now.Add(o.skip) }
		o.Forget()
	}
	return r
}

// perProcess is how many changes a process of the other implementation is given: peers do
// not live long.
const perProcess = 500

// begin makes both sessions new.
func (r *rivalry) begin() {
	r.t.Helper()
	for i, s := range r.senders {
		s.Forget()
		r.takers[i].Forget()
		if !r.exchange(i, true, 0, nil).secure {
			r.t.Fatalf("%s has no session", r.takers[i].Name())
		}
		r.answer(i)
	}
}

// answer has the taker say something, so that the next message to it has a key that is news.
func (r *rivalry) answer(i int) {
	r.t.Helper()
	for _, line := range r.takers[i].Say("new keys") {
		r.senders[i].Receive(line)
	}
}

// met is what a key exchange came to at the taker.
type met struct {
	early  bool // a session came of the changed message alone
	secure bool // there is one in the end, and a text arrives
}

func (m met) String() string {
	return fmt.Sprintf("session early %v, in the end %v", m.early, m.secure)
}

// exchange has a sender and its taker exchange keys; weBegin says whose commitment it is.
// Where the changed message is wanted, the taker is handed that before message number n of
// the sender.
func (r *rivalry) exchange(i int, weBegin bool, n int, changed func(line string) string) (result met) {
	r.t.Helper()
	s, taker := r.senders[i], r.takers[i]
	s.Happened()
	taker.Happened()
	var toTaker, toSender []string
	if weBegin {
		toTaker = s.Commit()
	} else {
		toSender = taker.Commit()
	}
	secure := func() bool {
		return slices.ContainsFunc(taker.Happened(), func(e event) bool { return e.Event == "secure" })
	}
	sent := 0
	for range 100 {
		switch {
		case len(toTaker) > 0:
			line := toTaker[0]
			toTaker = toTaker[1:]
			if strings.HasPrefix(line, "?OTR:") {
				if sent++; sent == n && changed != nil {
					toSender = append(toSender, taker.Receive(changed(line))...)
					result.early = secure()
				}
			}
			toSender = append(toSender, taker.Receive(line)...)
		case len(toSender) > 0:
			line := toSender[0]
			toSender = toSender[1:]
			if !strings.Contains(line, "?OTR Error") {
				toTaker = append(toTaker, s.Receive(line)...)
			}
		default:
			more := false
			for e, queue := range map[end]*[]string{s: &toTaker, taker: &toSender} {
				if o, ok := e.(*ours); ok {
					lines, waited := o.Pause()
					*queue = append(*queue, lines...)
					more = more || waited
				}
			}
			if more {
				continue
			}
			taker.Happened()
			if s.c.State() != otr.StateEncrypted {
				return result
			}
			result.secure = r.give(i, s.Say("is it there?")[0]) == "taken"
			return result
		}
	}
	r.t.Fatalf("%s and %s do not stop", s.Name(), taker.Name())
	return result
}

// give hands a taker a line and says what it made of it.
func (r *rivalry) give(i int, line string) string {
	r.t.Helper()
	taker := r.takers[i]
	taker.Happened()
	taker.Receive(line)
	outcome := "refused"
	for _, e := range taker.Happened() {
		switch {
		case e.Event == "text" && e.Encrypted, e.Event == "heartbeat":
			outcome = "taken"
		case e.Event == "text" && outcome == "refused":
			outcome = "taken for plain text"
		case e.Event == "ended":
			return "ended the session"
		case e.Event == "secure":
			return "a session began"
		}
	}
	return outcome
}

func (r *rivalry) say() (lines [2]string) {
	for i, s := range r.senders {
		lines[i] = s.Say(changedText)[0]
	}
	return lines
}

// compare hands both takers a changed message, then the message that it was made of, and
// then another one. It returns what each came to.
func (r *rivalry) compare(changed func(i int, line string) string) (outcome [2]string) {
	r.t.Helper()
	// A change says where in a message; so both must have the same fields there.
	lines := r.say()
	for len(lines[0]) != len(lines[1]) {
		r.begin()
		lines = r.say()
	}
	broken := false
	for i, s := range r.senders {
		parts := []string{r.give(i, changed(i, lines[i])), r.give(i, lines[i])}
		if s.c.State() == otr.StateEncrypted {
			parts = append(parts, r.give(i, s.Say("the next one")[0]))
		}
		outcome[i] = strings.Join(parts, ", then ")
		broken = broken || parts[len(parts)-1] != "taken"
		if !broken {
			r.answer(i)
		}
	}
	if broken {
		r.begin()
	}
	return outcome
}

// authentic makes the change, and then the MAC right: as a peer that cheats does.
func (r *rivalry) authentic(change change) func(i int, line string) string {
	return func(i int, line string) string {
		r.t.Helper()
		m := rawOf(r.t, line)
		known := m
		change(&m)
		mac := func(key, b []byte) []byte {
			h := hmac.New(sha1.New, key)
			h.Write(b)
			return h.Sum(nil)
		}
		for _, k := range r.senders[i].logged() {
			key, err := toolkit.MACKey(k.Key)
			if err == nil && bytes.Equal(mac(key, known.authenticated()), known.mac) {
				m.mac = mac(key, m.authenticated())
				return m.line()
			}
		}
		r.t.Fatal("the key of the message was not logged")
		return ""
	}
}

// logged are the keys that our end has logged since it began.
func (o *ours) logged() []otr.SessionKey {
	o.keys = append(o.keys, o.c.TakeKeys()...)
	return o.keys
}

// randomly changes the bytes of a message, or the line, in a way that a seed says.
func randomly(seed uint64) func(line string) string {
	return func(line string) string {
		rng := rand.New(rand.NewPCG(seed, 7))
		msg, err := wire.AppendDearmored(nil, []byte(line))
		if err != nil {
			return line
		}
		at := rng.IntN(len(msg))
		if rng.IntN(2) == 0 { // the heads of fields are few, and count
			at = rng.IntN(min(len(msg), 32))
		}
		switch rng.IntN(8) {
		case 0:
			return string(wire.AppendArmor(nil, msg[:at]))
		case 1:
			return string(wire.AppendArmor(nil, append(msg, make([]byte, 1+rng.IntN(5))...)))
		case 2:
			return string(wire.AppendArmor(nil, slices.Insert(msg, at, byte(rng.Uint32()))))
		case 3:
			return string(wire.AppendArmor(nil, slices.Delete(msg, at, at+1)))
		case 4:
			binary.BigEndian.PutUint32(msg[min(at, len(msg)-4):], []uint32{0, 1, 1 << 31, 1<<32 - 1}[rng.IntN(4)])
			return string(wire.AppendArmor(nil, msg))
		case 5: // the line is cut: what comes behind it is another message
			return line[:1+rng.IntN(len(line)-1)]
		default:
			msg[at] ^= 1 << rng.IntN(8)
			return string(wire.AppendArmor(nil, msg))
		}
	}
}

// What libotr and we do not agree about, by change, and why. docs/EVIDENCE.md has it too.
const (
	wholeOrNot   = "we refuse a message whose records are damaged; libotr takes its text and the records before the damage"
	nextKeyRange = "we refuse a message whose next key is none, which libotr notices when it is used"
	oneEncoding  = "we refuse numbers with leading zeros; libotr does not"
	wholeKeys    = "we refuse revealed bytes that are no whole MAC keys; libotr does not look at them"
	noMessage    = "we show a line that only begins like a message of OTR as what it is, text in clear; libotr drops it"
	secondKey    = "we answer the first D-H Key Message, as the specification says; libotr answers each in version 3"
)

var explained = map[string]string{
	"a record that is cut short":        wholeOrNot,
	"half a record":                     wholeOrNot,
	"an end of the session, in passing": wholeOrNot,
	"next key 1":                        nextKeyRange,
	"next key p":                        nextKeyRange,
	"next key p-1":                      nextKeyRange,
	"next key empty":                    nextKeyRange,
	"next key of 200 bytes":             nextKeyRange,
	"next key with a leading zero":      oneEncoding,
	"revealed bytes that are no key":    wholeKeys,
}

// Data messages that are changed, by a peer that cheats and by chance, are taken or refused
// by libotr and by us alike, and so are the messages after them.
func TestLibotrAndWeTakeTheSameDataMessages(t *testing.T) {
	long(t)
	t.Parallel()
	for _, version := range libotr.versions {
		t.Run("version "+version, func(t *testing.T) {
			slowtest.SkipUnless(t, version == libotr.versions[0])
			r := newRivalry(t, libotr, version)
			r.begin()
			for _, name := range slices.Sorted(maps.Keys(changes)) {
				r.judge(name, r.compare(r.authentic(changes[name])), explained[name])
			}
			for seed := range uint64(*differential) {
				if seed%perProcess == perProcess-1 {
					r = newRivalry(t, libotr, version)
					r.begin()
				}
				why := ""
				got := r.compare(func(_ int, line string) string {
					changed := randomly(seed)(line)
					if len(changed) < len("?OTR:") {
						why = noMessage
					}
					return changed
				})
				r.judge(fmt.Sprint("random change ", seed), got, why)
			}
		})
	}
}

// judge fails the test if both outcomes differ, and there is no reason why they do, or if
// they do not although there is.
func (r *rivalry) judge(name string, got [2]string, why string) {
	r.t.Helper()
	switch {
	case got[0] != got[1] && why == "":
		r.t.Errorf("%s: %s: %s; ours: %s", name, r.takers[0].Name(), got[0], got[1])
	case got[0] == got[1] && why != "":
		r.t.Errorf("%s: both: %s, and yet there is a reason why they differ: %s", name, got[0], why)
	}
}

// So are messages of the key exchange, in both roles.
func TestLibotrAndWeTakeTheSameMessagesOfTheKeyExchange(t *testing.T) {
	long(t)
	t.Parallel()
	for _, version := range libotr.versions {
		t.Run("version "+version, func(t *testing.T) {
			slowtest.SkipUnless(t, version == libotr.versions[0])
			r := newRivalry(t, libotr, version)
			for seed := range uint64(*differential) {
				if seed%perProcess == perProcess-1 {
					r = newRivalry(t, libotr, version)
				}
				weBegin, n := seed&1 == 0, 1+int(seed>>1&1)
				var met [2]met
				for i := range r.senders {
					r.senders[i].Forget()
					r.takers[i].Forget()
					met[i] = r.exchange(i, weBegin, n, randomly(seed))
				}
				why := ""
				if version == "3" && !weBegin && n == 1 && met[0].secure && !met[1].secure {
					why = secondKey
				}
				name := fmt.Sprintf("we begin %v, message %d, random change %d", weBegin, n, seed)
				r.judge(name, [2]string{met[0].String(), met[1].String()}, why)
			}
		})
	}
}
