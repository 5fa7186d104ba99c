package otr_test

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"otrpipe/otr"
	"otrpipe/otr/keys"
	"otrpipe/otr/v3"
	"otrpipe/otr/v4"
	"otrpipe/otr/wire"
	"otrpipe/testscripts/slowtest"
)

var crossingRuns = flag.Int("crossings", 0, "how often each case of TestKeyExchangesWithOtherPeersEndInOneSession runs; 0: 7, or 3 with -short")

// A player is one end of a conversation on a virtual clock. Its methods return the
// lines that it sends.
type player interface {
	begin() [][]byte // asks for a session
	receive(line []byte) [][]byte
	next() time.Time // when tick is due; zero: never
	tick() [][]byte
	session() (ssid [8]byte, ok bool)
	say(text string) (lines [][]byte, ok bool) // false: not now
	heard() []string
}

// ourPlayer is a Conversation, used as package stream uses it.
type ourPlayer struct {
	*otr.Conversation
	t     *testing.T
	now   func() time.Time
	asks  time.Time
	gap   time.Duration
	texts []string
}

func (p *ourPlayer) begin() [][]byte {
	if p.gap == 0 {
		p.gap = time.Second
	}
	p.asks, p.gap = p.now().Add(p.gap), 2*p.gap
	lines, err := p.Start()
	if err != nil {
		p.t.Fatal(err)
	}
	return lines
}

func (p *ourPlayer) take(got otr.Received, err error) [][]byte {
	if err != nil {
		p.t.Fatal(err)
	}
	if got.HasText {
		p.texts = append(p.texts, string(got.Text))
	}
	if p.State() == otr.StateEncrypted {
		p.asks = time.Time{}
	}
	return cloneLines(got.Send)
}

func (p *ourPlayer) receive(line []byte) [][]byte { return p.take(p.Receive(bytes.Clone(line))) }

func (p *ourPlayer) next() time.Time {
	next := p.NextTick()
	if !p.asks.IsZero() && (next.IsZero() || p.asks.Before(next)) {
		next = p.asks
	}
	return next
}

func (p *ourPlayer) tick() [][]byte {
	lines := p.take(p.Tick())
	if !p.asks.IsZero() && !p.now().Before(p.asks) {
		lines = append(lines, p.begin()...)
	}
	return lines
}

func (p *ourPlayer) session() ([8]byte, bool) {
	s, ok := p.Session()
	return s.SSID, ok && p.AuthState() == otr.AuthNone
}

func (p *ourPlayer) say(text string) ([][]byte, bool) {
	if p.State() != otr.StateEncrypted || p.Exchanging() {
		return nil, false
	}
	lines, err := p.Send([]byte(text))
	if err != nil {
		p.t.Fatal(err)
	}
	return lines, true
}

func (p *ourPlayer) heard() []string { return p.texts }

func cloneLines(lines [][]byte) (clones [][]byte) {
	for _, line := range lines {
		clones = append(clones, bytes.Clone(line))
	}
	return clones
}

// theirPlayer is another program: an engine without our Conversation's waiting and retrying.
type theirPlayer struct {
	t       *testing.T
	version int
	tag     uint32
	// renews: it makes a new offer for every query. literal: it answers every Identity
	// message with new keys. deaf: when its commitment has won it waits for a message
	// that does not come, until it sees the other's commitment again.
	renews, literal, deaf bool

	client  *v4.Client
	config  v3.Config
	engine4 *v4.Engine
	engine3 *v3.Engine
	offer4  *v4.Offer
	offer3  *v3.Offer
	waits   bool // deaf
	texts   []string
}

func (p *theirPlayer) begin() [][]byte {
	return [][]byte{fmt.Appendf(nil, "?OTRv%d?", p.version)}
}

func (p *theirPlayer) next() time.Time { return time.Time{} }
func (p *theirPlayer) tick() [][]byte  { return nil }
func (p *theirPlayer) heard() []string { return p.texts }

func (p *theirPlayer) fresh(peer uint32) {
	if p.version == 4 {
		p.engine4 = p.client.NewEngine(peer)
	} else {
		p.engine3 = v3.NewEngine(p.config, peer)
	}
}

// offer makes an offer, or repeats it.
func (p *theirPlayer) offer() [][]byte {
	var msg []byte
	var err error
	if p.version == 4 {
		if p.offer4 == nil || p.renews {
			if p.offer4, err = p.client.NewOffer(); err != nil {
				p.t.Fatal(err)
			}
		}
		p.engine4.Begin(p.offer4)
		msg = p.offer4.Message(0)
	} else {
		if p.offer3 == nil || p.renews || p.offer3.Revealed() {
			if p.offer3, err = v3.NewOffer(p.config.Rand); err != nil {
				p.t.Fatal(err)
			}
		}
		p.engine3.Begin(p.offer3)
		msg = p.offer3.Message(uint16(p.version), p.tag, 0)
	}
	return [][]byte{wire.AppendArmor(nil, msg)}
}

func (p *theirPlayer) receive(line []byte) [][]byte {
	if wire.Classify(line) == wire.KindQuery {
		if _, ok := p.session(); ok && p.version == 4 {
			return nil // the others ignore queries in a session of version 4
		}
		return p.offer()
	}
	msg, err := wire.AppendDearmored(nil, line)
	if err != nil {
		return nil
	}
	h, body, err := wire.ParseHeader(msg)
	if err != nil || h.Receiver != 0 && h.Receiver != p.tag {
		return nil
	}
	var reply []byte
	var got wire.Plaintext
	if p.version == 4 {
		reply, got, err = p.receive4(h, body, msg)
	} else {
		reply, got, err = p.receive3(h, body, msg)
	}
	if err == nil && len(got.Text) > 0 {
		p.texts = append(p.texts, string(got.Text))
	}
	if reply == nil {
		return nil
	}
	return [][]byte{wire.AppendArmor(nil, reply)}
}

func (p *theirPlayer) receive4(h wire.Header, body, msg []byte) (reply []byte, got wire.Plaintext, err error) {
	if h.Type == wire.TypeIdentity {
		before := p.engine4
		if before.AuthState() != v4.AuthWaitingAuthR && (p.literal || before.AuthState() == v4.AuthNone && !before.Encrypted()) {
			p.fresh(h.Sender)
		}
		reply, got, err = p.engine4.Receive(h, body, msg, nil)
		if errors.Is(err, v4.ErrBeaten) {
			return p.offer4.Message(0), got, nil // "resend your Identity message"
		}
		return reply, got, err
	}
	// An engine that was made before the sender was known does not address the sender.
	reply, got, err = p.engine4.Receive(h, body, msg, nil)
	if reply != nil {
		if rh, rest, err := wire.ParseHeader(reply); err == nil {
			rh.Receiver = h.Sender
			reply = append(rh.Append(nil), rest...)
		}
	}
	return reply, got, err
}

func (p *theirPlayer) receive3(h wire.Header, body, msg []byte) (reply []byte, got wire.Plaintext, err error) {
	switch {
	case p.waits && h.Type == wire.TypeDHKey:
		return nil, got, v3.ErrIgnored
	case p.waits && h.Type == wire.TypeDHCommit:
		p.waits = false
		p.engine3.Forget()
	}
	reply, got, err = p.engine3.Receive(h, body, msg, nil)
	if errors.Is(err, v3.ErrBeaten) {
		p.waits = p.deaf
		return p.offer3.Message(uint16(p.version), p.tag, 0), got, nil
	}
	return reply, got, err
}

func (p *theirPlayer) session() ([8]byte, bool) {
	if p.version == 4 {
		id, _ := p.engine4.SSID()
		return id, p.engine4.Encrypted() && p.engine4.AuthState() == v4.AuthNone
	}
	id, _ := p.engine3.SSID()
	return id, p.engine3.Encrypted() && p.engine3.AuthState() == v3.AuthNone
}

// idle reports whether there is neither a session nor a key exchange.
func (p *theirPlayer) idle() bool {
	if p.version == 4 {
		return !p.engine4.Encrypted() && p.engine4.AuthState() == v4.AuthNone
	}
	return !p.engine3.Encrypted() && p.engine3.AuthState() == v3.AuthNone
}

func (p *theirPlayer) say(text string) ([][]byte, bool) {
	if _, ok := p.session(); !ok {
		return nil, false
	}
	var msg []byte
	var err error
	if p.version == 4 {
		msg, err = p.engine4.Seal(nil, 0, wire.Plaintext{Text: []byte(text)})
	} else {
		msg, err = p.engine3.Seal(nil, 0, wire.Plaintext{Text: []byte(text)})
	}
	if err != nil {
		p.t.Fatal(err)
	}
	return [][]byte{wire.AppendArmor(nil, msg)}, true
}

// A parcel is a line on its way.
type parcel struct {
	at   time.Time
	line []byte
}

// A match is a conversation of two players on a virtual clock, whose lines take delay.
type match struct {
	t       *testing.T
	now     time.Time
	delay   time.Duration
	players [2]player
	make    [2]func() player
	queues  [2][]parcel // to players[i], in order
	waiting [2]string   // the text that players[i] has to send; "" if it has been sent
	also    int         // which player has restarted, 1 or 2; 0: none
}

func (m *match) send(from int, lines [][]byte) {
	for _, line := range lines {
		m.queues[1-from] = append(m.queues[1-from], parcel{m.now.Add(m.delay), line})
	}
}

// speak sends the waiting texts of both players, if they can be sent.
func (m *match) speak() {
	for i, p := range m.players {
		if m.waiting[i] == "" {
			continue
		}
		if lines, ok := p.say(m.waiting[i]); ok {
			m.send(i, lines)
			m.waiting[i] = ""
		}
	}
}

// one reports whether both are in the same session, and all texts have arrived.
func (m *match) one() bool {
	a, okA := m.players[0].session()
	b, okB := m.players[1].session()
	heard := slices.Contains(m.players[0].heard(), "from b") || m.also == 1
	heard = heard && (slices.Contains(m.players[1].heard(), "from a") || m.also == 2)
	return okA && okB && a == b && heard
}

// run runs the match until a time, and calls events at their times.
func (m *match) run(until time.Time, events map[time.Time]func()) {
	const maxSteps = 100_000 // far more than any match needs
	for range maxSteps {
		next := until
		for at := range events {
			if at.Before(next) {
				next = at
			}
		}
		for i, p := range m.players {
			if len(m.queues[i]) > 0 && m.queues[i][0].at.Before(next) {
				next = m.queues[i][0].at
			}
			if t := p.next(); !t.IsZero() && t.Before(next) {
				next = t
			}
		}
		if next.After(m.now) {
			m.now = next
		}
		if !m.now.Before(until) {
			return
		}
		if event := events[next]; event != nil {
			delete(events, next)
			event()
		}
		for i := range m.players {
			if len(m.queues[i]) > 0 && !m.queues[i][0].at.After(m.now) {
				line := m.queues[i][0].line
				m.queues[i] = m.queues[i][1:]
				m.send(i, m.players[i].receive(line))
			}
			if t := m.players[i].next(); !t.IsZero() && !t.After(m.now) {
				m.send(i, m.players[i].tick())
			}
		}
		m.speak()
	}
	m.t.Fatal("the two never stop")
}

// v4TestKeys are three identities of version 4.
var v4TestKeys = sync.OnceValue(func() (all [3]struct {
	private *keys.Ed448PrivateKey
	forging *keys.ForgingKey
}) {
	for i := range all {
		var err error
		random := testRand(uint64(2000 + i))
		if all[i].private, err = keys.GenerateEd448(random); err == nil {
			all[i].forging, err = keys.GenerateForgingKey(random)
		}
		if err != nil {
			panic(err)
		}
	}
	return all
})

// peerKinds are the other programs, by version.
var peerKinds = []struct {
	name     string
	versions []int
	change   func(*theirPlayer)
}{
	{"one like ours", []int{2, 3, 4}, nil},
	{"one that takes the text literally", []int{2, 3, 4}, func(p *theirPlayer) { p.literal = true }},
	{"one that makes a new offer for each query", []int{2, 3, 4}, func(p *theirPlayer) { p.renews, p.literal = true, true }},
	{"one that waits when its commitment has won", []int{2, 3}, func(p *theirPlayer) { p.deaf = true }},
}

// TestKeyExchangesWithOtherPeersEndInOneSession lets both ends ask for a session, once or
// several times, on lines with a delay of up to three seconds, and either of them restart in
// the middle. The result is always one session in which all waiting texts arrive. The time
// limit is an undisturbed key exchange, plus five seconds, plus three delays, or three round
// trips if an end has restarted. Only the peer that waits for a message that does not come
// may take 100 s more if we have restarted.
func TestKeyExchangesWithOtherPeersEndInOneSession(t *testing.T) {
	runs := *crossingRuns
	switch {
	case runs > 0:
	case testing.Short() || slowtest.LeftOut():
		runs = 1
	default:
		runs = 7
	}
	for _, kind := range peerKinds {
		for _, version := range kind.versions {
			for _, c := range []struct {
				name         string
				ours, theirs int // how often each asks
				restart      int // which end restarts: 1 ours, 2 theirs
			}{
				{"we ask", 1, 0, 0}, {"they ask", 0, 1, 0}, {"both ask", 1, 1, 0},
				{"they ask twice", 0, 2, 0}, {"they ask three times", 0, 3, 0}, {"both ask, they three times", 1, 3, 0},
				{"we start again", 1, 1, 1}, {"they start again", 1, 1, 2},
			} {
				if testing.Short() && runs == 1 && c.name != "both ask, they three times" {
					continue
				}
				t.Run(fmt.Sprintf("version %d/%s/%s", version, kind.name, c.name), func(t *testing.T) {
					t.Parallel()
					for seed := range uint64(runs) {
						playMatch(t, seed, version, kind.change, c.ours, c.theirs, c.restart)
					}
				})
			}
		}
	}
}

func playMatch(t *testing.T, seed uint64, version int, change func(*theirPlayer), ours, theirs, restart int) {
	random := rand.New(rand.NewPCG(seed, uint64(version)))
	delay := time.Duration(random.Int64N(int64(3 * time.Second)))
	if seed == 0 {
		delay = 0
	}
	start := time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC)
	m := &match{t: t, now: start, delay: delay, waiting: [2]string{"from a", "from b"}}
	now := func() time.Time { return m.now }
	keys4 := v4TestKeys()
	life := uint64(0)
	m.make[0] = func() player {
		life++
		policy := map[int]otr.Policy{2: otr.AllowV2, 3: otr.AllowV3, 4: otr.AllowV4}[version]
		var peer otr.Peer
		if life > 2 && (version == 4 || seed%2 == 1) { // what is known of it from before
			peer.Version = version
			if version > 2 {
				peer.Instance = 0x2000
			}
		}
		c, err := otr.New(otr.Config{
			Peer: peer,
			DSA:  testKeys()[0], Ed448: keys4[0].private, Forging: keys4[0].forging, InstanceTag: 0x1000,
			Policy: policy | otr.RequireEncryption | otr.RestartAKE | otr.ErrorStartAKE, Rand: testRand(seed<<8 + life), Now: now,
		})
		if err != nil {
			t.Fatal(err)
		}
		return &ourPlayer{Conversation: c, t: t, now: now}
	}
	m.make[1] = func() player {
		life++
		p := &theirPlayer{t: t, version: version, tag: 0x2000}
		p.config = v3.Config{Version: uint16(version), InstanceTag: p.tag, Identity: testKeys()[1], Rand: testRand(seed<<8 + life)}
		p.client = v4.NewClient(v4.Config{InstanceTag: p.tag, Identity: keys4[1].private, Forging: keys4[1].forging, Rand: testRand(seed<<8 + life), Now: now})
		peer := uint32(0x1000)
		if version == 2 {
			peer, p.tag = 0, 0
		}
		p.fresh(peer)
		if change != nil {
			change(p)
		}
		return p
	}
	m.players = [2]player{m.make[0](), m.make[1]()}
	events := map[time.Time]func(){}
	at := func(d time.Duration, f func()) {
		when := start.Add(d)
		for events[when] != nil {
			when = when.Add(time.Nanosecond)
		}
		events[when] = f
	}
	if ours > 0 {
		at(time.Duration(random.Int64N(int64(delay/4+1))), func() { m.send(0, m.players[0].begin()) })
	}
	for i := range theirs {
		at(time.Duration(i)*time.Second+time.Duration(random.Int64N(int64(delay/4+1))), func() { m.send(1, m.players[1].begin()) })
	}
	began := start
	if restart > 0 {
		// In the middle of the key exchange, while lines for the previous instance are still
		// on their way.
		d := time.Duration(random.Int64N(int64(4*delay + 10*time.Millisecond)))
		began = start.Add(d)
		i := restart - 1
		at(d, func() {
			m.players[i] = m.make[i]()
			m.waiting[i] = []string{"from a", "from b"}[i]
			m.send(i, m.players[i].begin())
		})
		if i == 1 { // a person asks again if nothing happens
			at(d+2500*time.Millisecond, func() {
				if p := m.players[1].(*theirPlayer); p.idle() {
					m.send(1, m.players[1].begin())
				}
			})
		}
	}
	// What the other end sent to the previous instance is lost; it has more to send.
	m.also = restart
	trips := 3 * delay
	if restart > 0 {
		trips *= 2 // they count there and back: the end that goes on does not know of it
	}
	limit := began.Add(5*delay + 5*time.Second + trips + delay) // the last one for the text
	if p, ok := m.players[1].(*theirPlayer); ok && p.deaf && restart == 1 {
		limit = limit.Add(100 * time.Second) // we do not know that it waits for our commitment: our last resort
	}
	m.run(limit, events)
	if !m.one() {
		a, okA := m.players[0].session()
		b, okB := m.players[1].session()
		o := m.players[0].(*ourPlayer)
		t.Errorf("seed %d, delay %v: ours %x %v (%v), theirs %x %v; heard %q and %q; a round trip of %v was seen", seed, delay,
			a, okA, o.AuthState(), b, okB, m.players[0].heard(), m.players[1].heard(), o.RoundTrip())
	}
	if restart > 0 {
		m.waiting[2-restart] = "later"
		m.speak()
		m.run(limit.Add(2*delay+time.Second), nil)
		if !slices.Contains(m.players[restart-1].heard(), "later") {
			t.Errorf("seed %d, delay %v: what is said later does not arrive", seed, delay)
		}
	}
}
