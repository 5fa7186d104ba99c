// Package otrv4 runs our version 4 against peer.py, an independent implementation
// that was itself proved against two others. README.md describes it.
package otrv4

import (
	"bufio"
	"bytes"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"otrpipe/otr/group"
	"otrpipe/otr/keys"
	"otrpipe/otr/smp"
	"otrpipe/otr/v4"
	"otrpipe/otr/wire"
)

// peerTime is how long a peer may live: far longer than any test of it needs, so that one
// that hangs fails its test and not the whole run.
const peerTime = 2 * time.Minute

// An event is one of the peer's, as README.md lists them.
type event struct {
	Event       string
	Version     int
	Fingerprint string
	SSID        string
	Bold        string
	Text        string
	Question    string
	Result      any // of SMP: true, false or "aborted"
	Context     string
	Data        string
	Key         string
	Tag         string
	By          string
	Why         string
}

// A peer is a running peer.py.
type peer struct {
	t      *testing.T
	in     io.Writer
	lines  chan string // it writes to us
	events []event     // once it has left
	left   chan struct{}
	status int
}

// start starts a peer whose account is bob@localhost, ours being alice@localhost.
func start(t *testing.T, flags ...string) *peer {
	t.Helper()
	python, err := exec.LookPath("python3")
	if err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal("python3 is not installed: apt install python3")
		}
		t.Skip("python3 is not installed: apt install python3")
	}
	argv := append([]string{"peer.py", "--account", "bob@localhost", "--contact", "alice@localhost"}, flags...)
	cmd := exec.Command(python, argv...)
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	p := &peer{t: t, in: in, lines: make(chan string, 1<<12), left: make(chan struct{})}
	kill := time.AfterFunc(peerTime, func() { cmd.Process.Kill() })
	go func() {
		defer close(p.left)
		scanner := bufio.NewScanner(out)
		scanner.Buffer(nil, wire.MaxMessage)
		for scanner.Scan() {
			p.lines <- scanner.Text()
		}
		close(p.lines)
		cmd.Wait()
		p.status = cmd.ProcessState.ExitCode()
		for _, line := range strings.Split(strings.TrimSpace(stderr.String()), "\n") {
			var e event
			if err := json.Unmarshal([]byte(line), &e); err != nil {
				e = event{Event: "complaint", Why: stderr.String()}
			}
			p.events = append(p.events, e)
		}
	}()
	t.Cleanup(func() {
		kill.Stop()
		in.Close()
		cmd.Process.Kill()
		for range p.lines { // so that it can be waited for
		}
		<-p.left
	})
	return p
}

// of returns the peer's events of this name. It waits for the peer to leave.
func (p *peer) of(name string) (found []event) {
	p.t.Helper()
	<-p.left
	for _, e := range p.events {
		if e.Event == name {
			found = append(found, e)
		}
	}
	return found
}

// texts are what the peer has received, in order.
func (p *peer) texts() (texts []string) {
	for _, e := range p.of("text") {
		texts = append(texts, e.Text)
	}
	return texts
}

// us is our end: an engine and what a conversation does around it.
type us struct {
	t       *testing.T
	client  *v4.Client
	engine  *v4.Engine
	peer    *peer
	theirs  uint32
	pieces  wire.Assembler
	max     int // longest line that we send; 0: no limit
	machine *smp.Machine

	// send writes lines to the peer; a test may put a bad network here.
	send func(lines []string)

	answer  string // our answer to the peer's SMP
	texts   []string
	errors  []error
	results []smp.Kind
	asked   []string
	extra   []string // keys
	plain   []string // unencrypted
	ended   bool
	secured int
}

const ourTag = 0x1234

// newUs returns our end of a conversation with a peer.
func newUs(t *testing.T, p *peer) *us {
	t.Helper()
	identity, err := keys.GenerateEd448(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	forging, err := keys.GenerateForgingKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	u := &us{t: t, peer: p, client: v4.NewClient(v4.Config{
		InstanceTag: ourTag,
		Identity:    identity,
		Forging:     forging,
		Accounts:    &v4.Accounts{Ours: "alice@localhost", Theirs: "bob@localhost"},
		Rand:        rand.Reader,
		Now:         time.Now,
	})}
	u.send = u.write
	return u
}

func (u *us) write(lines []string) {
	for _, line := range lines {
		fmt.Fprintf(u.peer.in, "%s\n", line) // a peer that has left is seen elsewhere
	}
}

// transmit sends a message, in pieces if it must be.
func (u *us) transmit(msg []byte) {
	u.t.Helper()
	id := make([]byte, 4)
	rand.Read(id)
	lines, err := wire.AppendFragments(nil, 4, uint32(id[0])<<24|uint32(id[1])<<16|uint32(id[2])<<8|uint32(id[3]),
		ourTag, u.theirs, wire.AppendArmor(nil, msg), u.max)
	if err != nil {
		u.t.Fatal(err)
	}
	u.send(strings.Split(strings.TrimSuffix(string(lines), "\n"), "\n"))
}

// identity begins a key exchange with whoever answers.
func (u *us) identity() {
	u.t.Helper()
	offer, err := u.client.NewOffer()
	if err != nil {
		u.t.Fatal(err)
	}
	if u.engine == nil { // the peer's tag is not known yet
		u.engine = u.client.NewEngine(u.theirs)
	}
	u.engine.Begin(offer)
	u.transmit(offer.Message(0))
}

// seal returns a data message, encoded.
func (u *us) seal(text string, tlvs ...wire.TLV) string {
	u.t.Helper()
	msg, err := u.engine.Seal(nil, 0, wire.Plaintext{Text: []byte(text), TLVs: tlvs})
	if err != nil {
		u.t.Fatal(err)
	}
	return string(wire.AppendArmor(nil, msg))
}

func (u *us) say(text string, tlvs ...wire.TLV) {
	u.t.Helper()
	msg, err := u.engine.Seal(nil, 0, wire.Plaintext{Text: []byte(text), TLVs: tlvs})
	if err != nil {
		u.t.Fatal(err)
	}
	u.transmit(msg)
}

// end ends the session.
func (u *us) end() {
	u.t.Helper()
	msg, err := u.engine.SealLast(nil, wire.FlagIgnoreUnreadable, wire.Plaintext{TLVs: []wire.TLV{{Type: wire.TLVDisconnected}}})
	if err != nil {
		u.t.Fatal(err)
	}
	u.transmit(msg)
}

// next takes the next line of the peer; it reports false if there will be none.
func (u *us) next() bool {
	u.t.Helper()
	line, ok := <-u.peer.lines
	if ok {
		u.take([]byte(line))
	}
	return ok
}

// until takes lines until something is so.
func (u *us) until(what string, so func() bool) {
	u.t.Helper()
	for !so() {
		if !u.next() {
			<-u.peer.left
			u.t.Fatalf("the peer left before %s: %+v; our errors: %v", what, u.peer.events, u.errors)
		}
	}
}

// rest takes lines until the peer has left.
func (u *us) rest() {
	for u.next() {
	}
	<-u.peer.left
}

func (u *us) secure() bool { return u.secured > 0 }

// take takes one line of the peer.
func (u *us) take(line []byte) {
	u.t.Helper()
	switch wire.Classify(line) {
	case wire.KindFragment:
		f, err := wire.ParseFragment(line)
		if err != nil {
			u.t.Fatalf("%q: %v", line, err)
		}
		whole, err := u.pieces.Add(f, time.Now())
		if err != nil {
			u.t.Fatalf("%q: %v", line, err)
		}
		if whole != nil {
			u.take(bytes.Clone(whole))
		}
	case wire.KindEncoded:
		msg, err := wire.AppendDearmored(nil, line)
		if err != nil {
			u.t.Fatalf("%q: %v", line, err)
		}
		u.takeMessage(msg)
	case wire.KindQuery:
		u.identity()
	case wire.KindTagged:
		_, text, _ := wire.ParseTag(line)
		u.plain = append(u.plain, string(text))
		u.identity()
	default:
		u.plain = append(u.plain, string(line))
	}
}

func (u *us) takeMessage(msg []byte) {
	u.t.Helper()
	h, body, err := wire.ParseHeader(msg)
	if err != nil {
		u.t.Fatal(err)
	}
	if h.Receiver != 0 && h.Receiver != ourTag {
		u.errors = append(u.errors, errors.New("for another instance"))
		return
	}
	if u.theirs == 0 { // now we know whom we speak to
		u.theirs = h.Sender
		offer := (*v4.Offer)(nil)
		if u.engine != nil {
			offer = u.engine.Offer()
		}
		if u.engine = u.client.NewEngine(u.theirs); offer != nil {
			u.engine.Begin(offer)
		}
	}
	sessions := u.engine.Sessions()
	reply, got, err := u.engine.Receive(h, body, msg, nil)
	if reply != nil {
		u.transmit(reply)
	}
	if err != nil {
		u.errors = append(u.errors, err)
		return
	}
	if u.engine.Sessions() > sessions {
		u.secured++
		id, _ := u.engine.SSID()
		u.machine = smp.New(smp.V4(u.client.Fingerprint(), u.engine.PeerKey().Fingerprint(), id), rand.Reader)
	}
	if len(got.Text) > 0 {
		u.texts = append(u.texts, string(got.Text))
	}
	extra := u.engine.ExtraKeys(true)
	for _, t := range got.TLVs {
		switch t.Type {
		case wire.TLVDisconnected:
			u.ended = true
			u.engine.Drop()
			return
		case v4.TLVExtraKey:
			u.extra = append(u.extra, hex.EncodeToString(extra[0].Key[:]))
			extra = extra[1:]
		default:
			send, e := u.machine.Receive(t)
			if e.Kind == smp.Asked {
				u.asked = append(u.asked, e.Question)
				var err error
				if send, err = u.machine.Answer([]byte(u.answer)); err != nil {
					u.t.Fatal(err)
				}
			} else if e.Kind != smp.None {
				u.results = append(u.results, e.Kind)
			}
			for _, t := range send {
				u.say("", t)
			}
		}
	}
}

// wantSameSession compares what the two ends say of the session they had.
func (u *us) wantSameSession(ssid [8]byte, firstBold bool, theirs keys.Fingerprint) {
	u.t.Helper()
	secure := u.peer.of("secure")
	if len(secure) != 1 {
		u.t.Fatalf("the peer has %d sessions: %+v", len(secure), u.peer.events)
	}
	bold := map[bool]string{true: "second", false: "first"}[firstBold] // the other half is the peer's
	if s := secure[0]; s.SSID != hex.EncodeToString(ssid[:]) || s.Bold != bold || s.Version != 4 || s.Fingerprint != u.client.Fingerprint().Hex() {
		u.t.Errorf("the peer says %+v; ours is %x, first half bold %v, our key %s", s, ssid, firstBold, u.client.Fingerprint().Hex())
	}
	if ready := u.peer.of("ready"); ready[0].Fingerprint != theirs.Hex() {
		u.t.Errorf("the peer's key is %s, and we have %s", ready[0].Fingerprint, theirs.Hex())
	}
}

// roles are the two ways to begin, by what the peer does.
var roles = []struct {
	name  string
	flags []string
}{
	{"we send the Identity message", []string{"--query"}},
	{"the peer sends the Identity message", []string{"--identity"}},
	{"the peer sends a whitespace tag", []string{"--whitespace", "hi"}},
}

func TestFortyMessagesAcrossManyRatchets(t *testing.T) {
	for _, role := range roles {
		t.Run(role.name, func(t *testing.T) {
			t.Parallel()
			p := start(t, append(role.flags, "--echo")...)
			u := newUs(t, p)
			u.until("there was a session", u.secure)
			ssid, bold := u.engine.SSID()
			theirs := u.engine.PeerKey().Fingerprint()
			for i := range 20 {
				u.say(fmt.Sprintf("message %d, é", i))
				u.until("it answered", func() bool { return len(u.texts) == i+1 })
				if u.texts[i] != fmt.Sprintf("echo: message %d, é", i) {
					t.Fatalf("it answered %q", u.texts[i])
				}
			}
			if u.engine.KeyRotations() < 19 {
				t.Errorf("%d ratchets of ours", u.engine.KeyRotations())
			}
			u.end()
			u.rest()
			if p.status != 0 || len(p.of("ended")) != 1 || len(p.of("error")) != 0 || len(u.errors) != 0 {
				t.Errorf("status %d, %+v; our errors: %v", p.status, p.events, u.errors)
			}
			u.wantSameSession(ssid, bold, theirs)
		})
	}
}

func TestBothSpeakFirstAndInARow(t *testing.T) {
	for _, role := range roles {
		t.Run(role.name, func(t *testing.T) {
			t.Parallel()
			p := start(t, append(role.flags, "--say", "one", "--say", "two", "--say", "three", "--end-after", "2")...)
			u := newUs(t, p)
			u.until("there was a session", u.secure)
			u.say("four")
			u.say("five")
			u.rest()
			if !u.ended || !slices.Equal(u.texts, []string{"one", "two", "three"}) || !slices.Equal(p.texts(), []string{"four", "five"}) {
				t.Errorf("we read %q, the peer %q, ended %v, errors %v", u.texts, p.texts(), u.ended, u.errors)
			}
		})
	}
}

func TestMessagesThatComeOutOfOrderOrNotAtAll(t *testing.T) {
	p := start(t, "--query", "--echo")
	u := newUs(t, p)
	u.until("there was a session", u.secure)
	sent := 0
	for round := range 8 {
		var lines []string
		for i := range 5 {
			lines = append(lines, u.seal(fmt.Sprintf("%d.%d", round, i)))
		}
		// The fourth of each is lost, the others come in another order. The answers
		// are read in yet another one.
		u.send([]string{lines[2], lines[0], lines[4], lines[1]})
		sent += 4
		var held []string
		for len(held) < 4 {
			line, ok := <-p.lines
			if !ok {
				t.Fatalf("the peer left: %+v", p.of("error"))
			}
			held = append(held, line)
		}
		for _, i := range []int{3, 1, 0, 2} {
			u.take([]byte(held[i]))
		}
		if len(u.texts) != sent || len(u.errors) != 0 {
			t.Fatalf("round %d: we read %q, errors %v", round, u.texts, u.errors)
		}
		for i, n := range []int{1, 0, 2, 4} { // the echoes of 1, 0, 2, 4 in the order 3, 1, 0, 2
			if want := fmt.Sprintf("echo: %d.%d", round, n); u.texts[sent-4+i] != want {
				t.Errorf("round %d: read %q, want %q", round, u.texts[sent-4+i], want)
			}
		}
	}
	u.end()
	u.rest()
	if p.status != 0 || len(p.of("error")) != 0 {
		t.Errorf("status %d, %+v", p.status, p.of("error"))
	}
}

func TestMessagesThatCross(t *testing.T) {
	p := start(t, "--query", "--echo")
	u := newUs(t, p)
	u.until("there was a session", u.secure)
	u.say("0")
	for i := 1; i <= 20; i++ {
		u.say(fmt.Sprint(i)) // before the answer to the last one is read
		u.until("it answered", func() bool { return len(u.texts) == i })
	}
	u.until("it answered the last", func() bool { return len(u.texts) == 21 })
	u.end()
	u.rest()
	if len(p.of("error")) != 0 || len(u.errors) != 0 {
		t.Errorf("%+v; our errors: %v", p.of("error"), u.errors)
	}
}

func TestFragmentsInAnyOrder(t *testing.T) {
	for _, role := range roles {
		t.Run(role.name, func(t *testing.T) {
			t.Parallel()
			p := start(t, append(role.flags, "--echo", "--fragment", "7")...)
			u := newUs(t, p)
			u.max = 200
			u.send = func(lines []string) {
				slices.Reverse(lines)
				u.write(lines)
			}
			u.until("there was a session", u.secure)
			for i := range 6 {
				u.say(strings.Repeat("long text ", 50))
				u.until("it answered", func() bool { return len(u.texts) == i+1 })
			}
			u.end()
			u.rest()
			if p.status != 0 || len(p.of("error")) != 0 || u.texts[5] != "echo: "+strings.Repeat("long text ", 50) {
				t.Errorf("status %d, %+v", p.status, p.of("error"))
			}
		})
	}
}

func TestSMPWithTheRightAndTheWrongSecret(t *testing.T) {
	for _, c := range []struct {
		theirs, ours string
		kind         smp.Kind
		result       bool
	}{
		{"our secret, é", "our secret, é", smp.Succeeded, true},
		{"our secret", "another", smp.Failed, false},
	} {
		t.Run(fmt.Sprintf("the peer starts, equal %v", c.result), func(t *testing.T) {
			t.Parallel()
			p := start(t, "--query", "--smp-secret", c.theirs, "--smp-question", "où ?", "--end-after-smp")
			u := newUs(t, p)
			u.answer = c.ours
			u.rest()
			if !slices.Equal(u.results, []smp.Kind{c.kind}) || !slices.Equal(u.asked, []string{"où ?"}) {
				t.Errorf("results %v, asked %q, errors %v", u.results, u.asked, u.errors)
			}
			if got := p.of("smp"); len(got) != 1 || got[0].Result != c.result {
				t.Errorf("the peer says %+v", got)
			}
		})
		t.Run(fmt.Sprintf("we start, equal %v", c.result), func(t *testing.T) {
			t.Parallel()
			p := start(t, "--identity", "--smp-answer", c.theirs, "--end-after-smp")
			u := newUs(t, p)
			u.until("there was a session", u.secure)
			send, err := u.machine.Start([]byte(c.ours), "what?")
			if err != nil {
				t.Fatal(err)
			}
			u.say("", send...)
			u.rest()
			if !slices.Equal(u.results, []smp.Kind{c.kind}) {
				t.Errorf("results %v, errors %v", u.results, u.errors)
			}
			if got := p.of("smp"); len(got) != 1 || got[0].Result != c.result {
				t.Errorf("the peer says %+v", got)
			}
			if got := p.of("smp_asked"); len(got) != 1 || got[0].Question != "what?" {
				t.Errorf("the peer was asked %+v", got)
			}
		})
	}
}

func TestExtraSymmetricKeysAgreeWithThePeer(t *testing.T) {
	p := start(t, "--query", "--extra-key", "0000004201", "--say", "k", "--end-after", "1")
	u := newUs(t, p)
	u.until("there was a text", func() bool { return len(u.texts) == 1 })
	u.say("x", wire.TLV{Type: 0x99}, wire.TLV{Type: v4.TLVExtraKey, Value: []byte("ctx1data")}, wire.TLV{Type: v4.TLVExtraKey, Value: []byte("ctx2")})
	ours := slices.Clone(u.engine.ExtraKeys(false))
	u.rest()
	if sent := p.of("extra_key_sent"); len(sent) != 1 || !slices.Equal(u.extra, []string{sent[0].Key}) {
		t.Errorf("the peer has sent %+v, we have %v", sent, u.extra)
	}
	got := p.of("extra_key")
	if len(got) != 2 || got[0].Key != hex.EncodeToString(ours[0].Key[:]) || got[1].Key != hex.EncodeToString(ours[1].Key[:]) || got[0].Data != hex.EncodeToString([]byte("data")) {
		t.Errorf("the peer has %+v", got)
	}
}

func TestBothSendAnIdentityMessageAtOnce(t *testing.T) {
	for range 4 { // either may win
		p := start(t, "--identity", "--echo")
		u := newUs(t, p)
		u.identity()
		u.until("there was a session", u.secure)
		u.say("hello")
		u.until("it answered", func() bool { return len(u.texts) == 1 })
		u.end()
		u.rest()
		if p.status != 0 || u.secured != 1 || len(p.of("secure")) != 1 {
			t.Errorf("status %d, %d sessions, %+v", p.status, u.secured, p.events)
		}
	}
}

func TestANewKeyExchangeInAnEncryptedSession(t *testing.T) {
	p := start(t, "--query", "--echo")
	u := newUs(t, p)
	for n := 1; n <= 3; n++ {
		u.until("there was a session", func() bool { return u.secured == n })
		u.say("hello")
		u.until("it answered", func() bool { return len(u.texts) == n })
		if n < 3 {
			u.identity()
		}
	}
	u.end()
	u.rest()
	if p.status != 0 || len(p.of("secure")) != 3 || len(p.of("error")) != 0 {
		t.Errorf("status %d, %+v", p.status, p.events)
	}
}

func TestWithoutAccountNames(t *testing.T) {
	p := start(t, "--query", "--no-accounts", "--echo")
	u := newUs(t, p)
	u.client.Accounts = nil
	u.until("there was a session", u.secure)
	u.end()
	u.rest()
	if p.status != 0 {
		t.Errorf("status %d, %+v", p.status, p.events)
	}
}

func TestOtherAccountNamesAreRefused(t *testing.T) {
	p := start(t, "--query", "--contact", "mallory@localhost", "--timeout", "5")
	u := newUs(t, p)
	u.rest()
	if u.secured != 0 || len(p.of("secure")) != 0 {
		t.Errorf("there was a session; %+v", p.events)
	}
	if len(u.errors) == 0 || !errors.Is(u.errors[0], v4.ErrRingSignature) {
		t.Errorf("our errors: %v", u.errors)
	}
}

// refusals are the peer's ways to misbehave in the key exchange, and what we must find.
var refusals = map[string]error{
	"bad-profile-signature":   keys.ErrSignature,
	"expired-profile":         v4.ErrProfile,
	"wrong-profile-tag":       v4.ErrProfile,
	"duplicate-profile-field": v4.ErrProfile,
	"low-order-point":         v4.ErrAuthentication,
	"order-two-point":         v4.ErrAuthentication,
	"identity-point":          v4.ErrAuthentication,
	"mixed-order-point":       v4.ErrAuthentication,
	"bad-dh":                  v4.ErrAuthentication,
	"bad-dh-one":              v4.ErrAuthentication,
	"bad-dh-nonresidue":       v4.ErrAuthentication,
	"bad-dh-large":            v4.ErrAuthentication,
	"bad-ring-signature":      v4.ErrRingSignature,
}

func TestHostileKeyExchangesAreRefused(t *testing.T) {
	for kind, want := range refusals {
		for _, role := range roles[:2] {
			t.Run(kind+", "+role.name, func(t *testing.T) {
				t.Parallel()
				// The peer cannot know that it was refused: it waits until its input ends.
				p := start(t, append(role.flags, "--hostile", kind)...)
				u := newUs(t, p)
				u.until("it was refused", func() bool { return len(u.errors) > 0 })
				if !errors.Is(u.errors[0], want) {
					t.Errorf("refused with %v, want %v", u.errors[0], want)
				}
				if u.engine.Encrypted() || u.secured != 0 {
					t.Error("there is a session")
				}
				// Nothing has changed: we wait for what we have waited for before.
				wantState := v4.AuthNone
				if role.flags[0] == "--query" {
					wantState = v4.AuthWaitingAuthR
				} else if kind == "bad-ring-signature" {
					wantState = v4.AuthWaitingAuthI
				}
				if u.engine.AuthState() != wantState {
					t.Errorf("state %v, want %v", u.engine.AuthState(), wantState)
				}
			})
		}
	}
}

func TestHostileDataMessagesAreRefusedAndTheSessionGoesOn(t *testing.T) {
	for kind, c := range map[string]struct {
		texts  []string
		errors []error
	}{
		"bad-mac": {[]string{"two", "three"}, []error{v4.ErrMAC}},
		"replay":  {[]string{"one", "two", "three"}, []error{v4.ErrReplay, v4.ErrReplay, v4.ErrReplay}},
		"skip":    {[]string{"two", "one", "three"}, nil},
	} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			p := start(t, "--query", "--say", "one", "--say", "two", "--say", "three", "--end-after", "1", "--hostile", kind)
			u := newUs(t, p)
			u.until("its last text came", func() bool { return slices.Contains(u.texts, "three") && len(u.errors) == len(c.errors) })
			u.say("we can still talk")
			u.rest()
			if !slices.Equal(u.texts, c.texts) || !u.ended || !slices.Equal(p.texts(), []string{"we can still talk"}) {
				t.Errorf("we read %q, the peer %q, ended %v", u.texts, p.texts(), u.ended)
			}
			for i, want := range c.errors {
				if !errors.Is(u.errors[i], want) {
					t.Errorf("error %d is %v, want %v", i, u.errors[i], want)
				}
			}
		})
	}
}

func TestDataMessagesForAnotherInstanceAreIgnored(t *testing.T) {
	p := start(t, "--query", "--say", "one", "--hostile", "wrong-instance-tag")
	u := newUs(t, p)
	u.until("it came", func() bool { return len(u.errors) > 0 })
	if len(u.texts) != 0 || !u.engine.Encrypted() {
		t.Errorf("we read %q", u.texts)
	}
}

func TestARatchetKeyOfSmallOrderIsRefused(t *testing.T) {
	p := start(t, "--query", "--echo", "--hostile", "low-order-ratchet")
	u := newUs(t, p)
	u.until("there was a session", u.secure)
	u.say("0") // its answer is in a ratchet of its own
	u.until("it came", func() bool { return len(u.errors) > 0 })
	if !errors.Is(u.errors[0], v4.ErrUnreadable) || !errors.Is(u.errors[0], group.ErrPoint) || len(u.texts) != 0 {
		t.Errorf("after %d texts: %v", len(u.texts), u.errors[0])
	}
	if !u.engine.Encrypted() {
		t.Error("the session is lost")
	}
}
