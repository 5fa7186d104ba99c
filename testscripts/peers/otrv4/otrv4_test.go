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
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"otrpipe/testscripts/peers/python"

	"otrpipe/otr"
	"otrpipe/otr/group"
	"otrpipe/otr/keys"
	"otrpipe/otr/v4"
	"otrpipe/otr/wire"
	"otrpipe/testscripts/slowtest"
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
	in     io.WriteCloser
	lines  chan string // it writes to us
	events []event     // once it has left
	left   chan struct{}
	status int
}

// start starts a peer whose account is bob@localhost, ours being alice@localhost.
func start(t *testing.T, flags ...string) *peer {
	t.Helper()
	argv := append([]string{"peer.py", "--account", "bob@localhost", "--contact", "alice@localhost"}, flags...)
	cmd := exec.Command(python.Need(t), argv...)
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

// us is our end.
type us struct {
	*otr.Conversation
	t    *testing.T
	peer *peer
	key  keys.Fingerprint // ours

	// send writes lines to the peer; a test may put a bad network here.
	send func(lines [][]byte)

	answer  string // our answer to the peer's SMP
	secured []otr.Session
	texts   []string
	plain   []string
	refused []error // of messages that were dropped
	results []otr.Event
	asked   []string
	extra   []string // keys
	ended   bool
}

// newUs returns our end of a conversation with a peer; edit may change its Config.
func newUs(t *testing.T, p *peer, edit ...func(*otr.Config)) *us {
	t.Helper()
	identity, err := keys.GenerateEd448(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	forging, err := keys.GenerateForgingKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	cfg := otr.Config{
		Ed448: identity, Forging: forging, Account: "alice@localhost", PeerAccount: "bob@localhost",
		Policy: otr.AllowV4 | otr.RequireEncryption | otr.WhitespaceStartAKE, Rand: rand.Reader, Now: time.Now,
	}
	for _, edit := range edit {
		edit(&cfg)
	}
	u := &us{t: t, peer: p, key: keys.Ed448Fingerprint(identity.Public(), forging)}
	if u.Conversation, err = otr.New(cfg); err != nil {
		t.Fatal(err)
	}
	u.send = u.write
	return u
}

func (u *us) write(lines [][]byte) {
	for _, line := range lines {
		fmt.Fprintf(u.peer.in, "%s\n", line) // a peer that has left is seen elsewhere
	}
}

// do sends what a call returns.
func (u *us) do(lines [][]byte, err error) {
	u.t.Helper()
	if err != nil {
		u.t.Fatal(err)
	}
	u.send(lines)
}

func (u *us) say(text string) {
	u.t.Helper()
	u.do(u.Send([]byte(text)))
}

// seal returns a data message, in one line.
func (u *us) seal(text string) []byte {
	u.t.Helper()
	b, err := u.AppendMessage(nil, otr.Message{Text: []byte(text)})
	if err != nil {
		u.t.Fatal(err)
	}
	return bytes.TrimSuffix(b, []byte("\n"))
}

// next takes the next line of the peer; it reports false if there will be none.
func (u *us) next() bool {
	u.t.Helper()
	line, ok := <-u.peer.lines
	if ok {
		u.take(line)
	}
	return ok
}

// until takes lines until something is so.
func (u *us) until(what string, so func() bool) {
	u.t.Helper()
	for !so() {
		if !u.next() {
			<-u.peer.left
			u.t.Fatalf("the peer left before %s: %+v; we refused %v", what, u.peer.events, u.refused)
		}
	}
}

// rest takes lines until the peer has left.
func (u *us) rest() {
	u.t.Helper()
	for u.next() {
	}
	<-u.peer.left
}

func (u *us) secure() bool { return len(u.secured) > 0 }

// take takes one line of the peer.
func (u *us) take(line string) {
	u.t.Helper()
	got, err := u.Receive([]byte(line))
	if err != nil {
		u.t.Fatal(err)
	}
	u.send(got.Send)
	if got.HasText {
		u.texts = append(u.texts, string(got.Text))
	}
	if len(got.Unencrypted) > 0 {
		u.plain = append(u.plain, string(got.Unencrypted))
	}
	for _, e := range got.Events {
		switch e := e.(type) {
		case otr.Secure:
			u.secured = append(u.secured, e.Session)
		case otr.PeerEnded:
			u.ended = true
		case otr.Malformed:
			u.refused = append(u.refused, e.Reason)
		case otr.Unreadable:
			u.refused = append(u.refused, e.Reason)
		case otr.ProfileExpired:
			u.refused = append(u.refused, &v4.ExpiredError{Expires: e.Expires, Now: e.Now})
		case otr.OtherInstance:
			u.refused = append(u.refused, errOtherInstance)
		case otr.SMPAsked:
			u.asked = append(u.asked, e.Question)
			u.do(u.AnswerSMP([]byte(u.answer)))
		case otr.SMPSucceeded, otr.SMPFailed, otr.SMPAborted:
			u.results = append(u.results, e)
		case otr.ExtraKeyReceived:
			u.extra = append(u.extra, hex.EncodeToString(e.Key))
		}
	}
}

var errOtherInstance = errors.New("for another instance")

// wantSameSession compares what the two ends say of the session they had.
func (u *us) wantSameSession() {
	u.t.Helper()
	secure := u.peer.of("secure")
	if len(secure) != 1 || len(u.secured) != 1 {
		u.t.Fatalf("the peer has %d sessions, we %d: %+v", len(secure), len(u.secured), u.peer.events)
	}
	ours := u.secured[0]
	bold := map[bool]string{true: "second", false: "first"}[ours.FirstHalfBold] // the other half is the peer's
	if s := secure[0]; s.SSID != hex.EncodeToString(ours.SSID[:]) || s.Bold != bold || s.Version != ours.Version || s.Fingerprint != u.key.Hex() {
		u.t.Errorf("the peer says %+v; we %+v, our key %s", s, ours, u.key.Hex())
	}
	if ready := u.peer.of("ready"); ready[0].Fingerprint != ours.Fingerprint.Hex() {
		u.t.Errorf("the peer's key is %s, and we have %s", ready[0].Fingerprint, ours.Fingerprint.Hex())
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
	long(t)
	for _, role := range roles {
		t.Run(role.name, func(t *testing.T) {
			slowtest.SkipUnless(t, role.name == roles[0].name)
			t.Parallel()
			p := start(t, append(role.flags, "--echo")...)
			u := newUs(t, p)
			u.until("there was a session", u.secure)
			for i := range 20 {
				u.say(fmt.Sprintf("message %d, é", i))
				u.until("it answered", func() bool { return len(u.texts) == i+1 })
				if u.texts[i] != fmt.Sprintf("echo: message %d, é", i) {
					t.Fatalf("it answered %q", u.texts[i])
				}
			}
			u.do(u.End())
			u.rest()
			if p.status != 0 || len(p.of("ended")) != 1 || len(p.of("error")) != 0 || len(u.refused) != 0 {
				t.Errorf("status %d, %+v; we refused %v", p.status, p.events, u.refused)
			}
			u.wantSameSession()
		})
	}
}

func TestBothSpeakFirstAndInARow(t *testing.T) {
	long(t)
	for _, role := range roles {
		t.Run(role.name, func(t *testing.T) {
			slowtest.SkipUnless(t, role.name == roles[0].name)
			t.Parallel()
			p := start(t, append(role.flags, "--say", "one", "--say", "two", "--say", "three", "--end-after", "2")...)
			u := newUs(t, p)
			u.until("there was a session", u.secure)
			u.say("four")
			u.say("five")
			u.rest()
			if !u.ended || !slices.Equal(u.texts, []string{"one", "two", "three"}) || !slices.Equal(p.texts(), []string{"four", "five"}) {
				t.Errorf("we read %q, the peer %q, ended %v, errors %v", u.texts, p.texts(), u.ended, u.refused)
			}
		})
	}
}

func TestMessagesThatComeOutOfOrderOrNotAtAll(t *testing.T) {
	long(t)
	p := start(t, "--query", "--echo")
	u := newUs(t, p)
	u.until("there was a session", u.secure)
	sent := 0
	for round := range 8 {
		var lines [][]byte
		for i := range 5 {
			lines = append(lines, u.seal(fmt.Sprintf("%d.%d", round, i)))
		}
		// The fourth of each is lost, the others come in another order. The answers
		// are read in yet another one.
		u.send([][]byte{lines[2], lines[0], lines[4], lines[1]})
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
			u.take(held[i])
		}
		if len(u.texts) != sent || len(u.refused) != 0 {
			t.Fatalf("round %d: we read %q, errors %v", round, u.texts, u.refused)
		}
		for i, n := range []int{1, 0, 2, 4} { // the echoes of 1, 0, 2, 4 in the order 3, 1, 0, 2
			if want := fmt.Sprintf("echo: %d.%d", round, n); u.texts[sent-4+i] != want {
				t.Errorf("round %d: read %q, want %q", round, u.texts[sent-4+i], want)
			}
		}
	}
	u.do(u.End())
	u.rest()
	if p.status != 0 || len(p.of("error")) != 0 {
		t.Errorf("status %d, %+v", p.status, p.of("error"))
	}
}

func TestMessagesThatCross(t *testing.T) {
	long(t)
	p := start(t, "--query", "--echo")
	u := newUs(t, p)
	u.until("there was a session", u.secure)
	u.say("0")
	for i := 1; i <= 20; i++ {
		u.say(fmt.Sprint(i)) // before the answer to the last one is read
		u.until("it answered", func() bool { return len(u.texts) == i })
	}
	u.until("it answered the last", func() bool { return len(u.texts) == 21 })
	u.do(u.End())
	u.rest()
	if len(p.of("error")) != 0 || len(u.refused) != 0 {
		t.Errorf("%+v; our errors: %v", p.of("error"), u.refused)
	}
}

func TestFragmentsInAnyOrder(t *testing.T) {
	long(t)
	for _, role := range roles {
		t.Run(role.name, func(t *testing.T) {
			slowtest.SkipUnless(t, role.name == roles[0].name)
			t.Parallel()
			p := start(t, append(role.flags, "--echo", "--fragment", "7")...)
			u := newUs(t, p, func(c *otr.Config) { c.MaxSize = 200 })
			u.send = func(lines [][]byte) {
				slices.Reverse(lines)
				u.write(lines)
			}
			u.until("there was a session", u.secure)
			for i := range 6 {
				u.say(strings.Repeat("long text ", 50))
				u.until("it answered", func() bool { return len(u.texts) == i+1 })
			}
			u.do(u.End())
			u.rest()
			if p.status != 0 || len(p.of("error")) != 0 || u.texts[5] != "echo: "+strings.Repeat("long text ", 50) {
				t.Errorf("status %d, %+v", p.status, p.of("error"))
			}
		})
	}
}

func TestSMPWithTheRightAndTheWrongSecret(t *testing.T) {
	long(t)
	for _, c := range []struct {
		theirs, ours string
		event        otr.Event
		result       bool
	}{
		{"our secret, é", "our secret, é", otr.SMPSucceeded{}, true},
		{"our secret", "another", otr.SMPFailed{}, false},
	} {
		t.Run(fmt.Sprintf("the peer starts, equal %v", c.result), func(t *testing.T) {
			slowtest.SkipUnless(t, c.result)
			t.Parallel()
			p := start(t, "--query", "--smp-secret", c.theirs, "--smp-question", "où ?", "--end-after-smp")
			u := newUs(t, p)
			u.answer = c.ours
			u.rest()
			if !slices.Equal(u.results, []otr.Event{c.event}) || !slices.Equal(u.asked, []string{"où ?"}) {
				t.Errorf("results %v, asked %q, errors %v", u.results, u.asked, u.refused)
			}
			if got := p.of("smp"); len(got) != 1 || got[0].Result != c.result {
				t.Errorf("the peer says %+v", got)
			}
		})
		t.Run(fmt.Sprintf("we start, equal %v", c.result), func(t *testing.T) {
			slowtest.SkipUnless(t, !c.result)
			t.Parallel()
			p := start(t, "--identity", "--smp-answer", c.theirs, "--end-after-smp")
			u := newUs(t, p)
			u.until("there was a session", u.secure)
			u.do(u.StartSMP([]byte(c.ours), "what?"))
			u.rest()
			if !slices.Equal(u.results, []otr.Event{c.event}) {
				t.Errorf("results %v, errors %v", u.results, u.refused)
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
	long(t)
	p := start(t, "--query", "--extra-key", "0000004201", "--say", "k", "--end-after", "1")
	u := newUs(t, p)
	u.until("there was a text", func() bool { return len(u.texts) == 1 })
	ours, lines, err := u.ExtraKey(0x63747831, []byte("data"))
	u.do(lines, err)
	u.say("x")
	u.rest()
	if sent := p.of("extra_key_sent"); len(sent) != 1 || !slices.Equal(u.extra, []string{sent[0].Key}) {
		t.Errorf("the peer has sent %+v, we have %v", sent, u.extra)
	}
	got := p.of("extra_key")
	if len(got) != 1 || got[0].Key != hex.EncodeToString(ours) || got[0].Context != "63747831" || got[0].Data != hex.EncodeToString([]byte("data")) {
		t.Errorf("the peer has %+v, we %x", got, ours)
	}
}

func TestBothSendAnIdentityMessageAtOnce(t *testing.T) {
	slowtest.Skip(t)
	long(t)
	for range 4 { // either may win
		p := start(t, "--identity", "--echo")
		u := newUs(t, p)
		u.do(u.Refresh())
		u.until("there was a session", u.secure)
		u.say("hello")
		u.until("it answered", func() bool { return len(u.texts) == 1 })
		u.do(u.End())
		u.rest()
		if p.status != 0 || len(u.secured) != 1 || len(p.of("secure")) != 1 {
			t.Errorf("status %d, %d sessions, %+v", p.status, len(u.secured), p.events)
		}
	}
}

func TestANewKeyExchangeInAnEncryptedSession(t *testing.T) {
	long(t)
	p := start(t, "--query", "--echo")
	u := newUs(t, p)
	for n := 1; n <= 3; n++ {
		u.until("there was a session", func() bool { return len(u.secured) == n })
		u.say("hello")
		u.until("it answered", func() bool { return len(u.texts) == n })
		if n < 3 {
			u.do(u.Refresh())
		}
	}
	u.do(u.End())
	u.rest()
	if p.status != 0 || len(p.of("secure")) != 3 || len(p.of("error")) != 0 {
		t.Errorf("status %d, %+v", p.status, p.events)
	}
}

func TestWithoutAccountNames(t *testing.T) {
	long(t)
	p := start(t, "--query", "--no-accounts", "--echo")
	u := newUs(t, p, func(c *otr.Config) { c.Account, c.PeerAccount = "", "" })
	u.until("there was a session", u.secure)
	u.do(u.End())
	u.rest()
	if p.status != 0 {
		t.Errorf("status %d, %+v", p.status, p.events)
	}
}

func TestOtherAccountNamesAreRefused(t *testing.T) {
	slowtest.Skip(t)
	long(t)
	p := start(t, "--query", "--contact", "mallory@localhost", "--timeout", "5")
	u := newUs(t, p)
	u.rest()
	if u.secure() || len(p.of("secure")) != 0 {
		t.Errorf("there was a session; %+v", p.events)
	}
	if len(u.refused) == 0 || !errors.Is(u.refused[0], v4.ErrRingSignature) {
		t.Errorf("our errors: %v", u.refused)
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
	long(t)
	for kind, want := range refusals {
		for _, role := range roles[:2] {
			t.Run(kind+", "+role.name, func(t *testing.T) {
				slowtest.SkipUnless(t, kind == "bad-ring-signature")
				t.Parallel()
				// The peer cannot know that it was refused: it waits until its input ends.
				p := start(t, append(role.flags, "--hostile", kind)...)
				u := newUs(t, p)
				u.until("it was refused", func() bool { return len(u.refused) > 0 })
				if !errors.Is(u.refused[0], want) {
					t.Errorf("refused with %v, want %v", u.refused[0], want)
				}
				if expired := errors.As(u.refused[0], new(*v4.ExpiredError)); expired != (kind == "expired-profile") {
					t.Errorf("refused with %v: as an expired profile: %v", u.refused[0], expired)
				}
				if u.State() != otr.StatePlaintext || u.secure() {
					t.Error("there is a session")
				}
				// Nothing has changed: we wait for what we have waited for before.
				wantState := otr.AuthNone
				if role.flags[0] == "--query" {
					wantState = otr.AuthWaitingAuthR
				} else if kind == "bad-ring-signature" {
					wantState = otr.AuthWaitingAuthI
				}
				if u.AuthState() != wantState {
					t.Errorf("state %v, want %v", u.AuthState(), wantState)
				}
			})
		}
	}
}

func TestHostileDataMessagesAreRefusedAndTheSessionGoesOn(t *testing.T) {
	long(t)
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
			u.until("its last text came", func() bool { return slices.Contains(u.texts, "three") && len(u.refused) == len(c.errors) })
			u.say("we can still talk")
			u.rest()
			if !slices.Equal(u.texts, c.texts) || !u.ended || !slices.Equal(p.texts(), []string{"we can still talk"}) {
				t.Errorf("we read %q, the peer %q, ended %v", u.texts, p.texts(), u.ended)
			}
			for i, want := range c.errors {
				if !errors.Is(u.refused[i], want) {
					t.Errorf("error %d is %v, want %v", i, u.refused[i], want)
				}
			}
		})
	}
}

func TestDataMessagesForAnotherInstanceAreIgnored(t *testing.T) {
	long(t)
	p := start(t, "--query", "--say", "one", "--hostile", "wrong-instance-tag")
	u := newUs(t, p)
	u.until("it came", func() bool { return len(u.refused) > 0 })
	if len(u.texts) != 0 || u.State() != otr.StateEncrypted {
		t.Errorf("we read %q", u.texts)
	}
}

func TestARatchetKeyOfSmallOrderIsRefused(t *testing.T) {
	long(t)
	p := start(t, "--query", "--echo", "--hostile", "low-order-ratchet")
	u := newUs(t, p)
	u.until("there was a session", u.secure)
	u.say("0") // its answer is in a ratchet of its own
	u.until("it came", func() bool { return len(u.refused) > 0 })
	if !errors.Is(u.refused[0], v4.ErrUnreadable) || !errors.Is(u.refused[0], group.ErrPoint) || len(u.texts) != 0 {
		t.Errorf("after %d texts: %v", len(u.texts), u.refused[0])
	}
	if u.State() != otr.StateEncrypted {
		t.Error("the session is lost")
	}
}
