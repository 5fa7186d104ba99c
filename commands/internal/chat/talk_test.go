package chat

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"github.com/creack/pty"

	"otrpipe/commands/internal/control"
	"otrpipe/commands/internal/events"
	"otrpipe/commands/internal/exit"
	"otrpipe/commands/internal/live"
	"otrpipe/commands/internal/terminal"
	"otrpipe/commands/internal/terminal/editor"
	"otrpipe/commands/internal/trust"
	"otrpipe/otr"
	"otrpipe/otr/keys"
	"otrpipe/otr/stream"
)

// patience is how long a test waits for what must happen.
const patience = 60 * time.Second

// A fakeSession is a session that the test plays: it writes down what is asked of it, and
// answers with the errors that the test has set.
type fakeSession struct {
	mu    sync.Mutex
	now   live.Snapshot
	calls []string
	fails map[string]error
	cause error
	sent  int64

	show    chan func(string) // what shows a text of the peer's
	stopped chan struct{}
	ends    chan error // the next one is how the connection ends
	changed func(live.Snapshot)
	stderr  *os.File           // the transport's
	sentIn  []stream.SessionID // the sessions that the texts were sent in
	// Once the snapshot was read so many times, the peer asks this question in run 8.
	reads int
	later *string
	// onReview, unless nil, is called when the session is reviewed.
	onReview func()
	// dials, unless nil, is what the next connections wait for.
	dials chan struct{}
}

func (s *fakeSession) did(call string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.calls = append(s.calls, call)
	name, _, _ := strings.Cut(call, " ")
	return s.fails[name]
}

func (s *fakeSession) fail(name string, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fails[name] = err
}

func (s *fakeSession) Prepare(live.Setup) (*otr.Conversation, error) {
	return nil, s.did("prepare")
}

func (s *fakeSession) RunOver(_ live.Way, stderr *os.File, _ *otr.Conversation, open func() (*live.Payload, error)) error {
	if s.dials != nil {
		select {
		case <-s.dials:
		case <-s.stopped:
			if cause := s.Cause(); cause != live.ErrQuit {
				return cause // as of a signal
			}
			return nil
		}
	}
	s.mu.Lock()
	s.now = live.Snapshot{Connected: true}
	s.mu.Unlock()
	s.changed(live.Snapshot{Connected: true})
	fmt.Fprintln(stderr, "the transport says hello")
	s.mu.Lock()
	s.stderr = stderr
	s.mu.Unlock()
	p, err := open()
	if err != nil {
		return err
	}
	s.show <- p.Show
	select {
	case err := <-s.ends:
		s.mu.Lock()
		s.now = live.Snapshot{}
		s.mu.Unlock()
		s.changed(live.Snapshot{})
		return err
	case <-s.stopped:
		return nil
	}
}

func (s *fakeSession) Again() (*otr.Conversation, error) { return nil, s.did("again") }
func (s *fakeSession) Stopped() <-chan struct{}          { return s.stopped }

func (s *fakeSession) Snapshot() live.Snapshot {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.reads--; s.reads == 0 {
		s.now.Asked, s.now.Run = s.later, 8
	}
	return s.now
}

func (s *fakeSession) Status() *control.Status { return &control.Status{Session: "chat"} }
func (s *fakeSession) Running() bool           { return s.did("running") == nil }
func (s *fakeSession) TransportStatus() string { return ": it was a test" }

func (s *fakeSession) Send(in stream.SessionID, text string) (int64, error) {
	err := s.did("send " + text)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sentIn = append(s.sentIn, in)
	if err == nil {
		s.sent++
	}
	return s.sent, err
}

func (s *fakeSession) CompareSecretIn(_ context.Context, _ stream.SessionID, r *control.SMP) error {
	return s.did(fmt.Sprintf("compare %s, %q, run %d", r.Secret, r.Question, r.Run))
}

func (s *fakeSession) AbortSMP() error                       { return s.did("abort") }
func (s *fakeSession) MarkVerified(f keys.Fingerprint) error { return s.did("verified " + f.Hex()) }
func (s *fakeSession) Review() {
	_ = s.did("review")
	s.mu.Lock()
	onReview := s.onReview
	s.mu.Unlock()
	if onReview != nil {
		onReview()
	}
}
func (s *fakeSession) Refresh(context.Context) error { return s.did("refresh") }
func (s *fakeSession) Query() error                  { return s.did("query") }
func (s *fakeSession) End() error                    { return s.did("end") }

func (s *fakeSession) Stop(cause error, reason string) {
	_ = s.did("stop " + reason)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.cause == nil {
		s.cause = cause
		close(s.stopped)
	}
}

func (s *fakeSession) Cause() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.cause
}

func (s *fakeSession) Signal(signal syscall.Signal) {
	s.Stop(exit.Silently(128+int(signal)), signal.String())
}

// A scene is a person in a chat.
type scene struct {
	t      *testing.T
	person *os.File // the person's side of the terminal
	*fakeSession
	chat  *Chat
	left  chan error
	owner sync.Mutex // held while chat is told of a change

	seenMu sync.Mutex
	seen   []byte // on the terminal
	last   string // guarded by seenMu: the text after which the terminal takes no more; "": it does
	still  chan struct{}
}

func fingerprint(digit string) keys.Fingerprint {
	f, err := keys.ParseFingerprint(strings.Repeat(digit, 40))
	if err != nil {
		panic(err)
	}
	return f
}

// newScene begins a chat with a contact.
func newScene(t *testing.T, contact string) *scene {
	t.Helper()
	return newSceneOf(t, Config{Contact: contact, Stay: true})
}

// newSceneOf begins a chat.
func newSceneOf(t *testing.T, cfg Config, set ...func(*fakeSession)) *scene {
	t.Helper()
	person, program, err := pty.Open()
	if err != nil {
		t.Fatal(err)
	}
	if err := pty.Setsize(person, &pty.Winsize{Cols: 200, Rows: 50}); err != nil {
		t.Fatal(err)
	}
	s := &scene{t: t, person: person, still: make(chan struct{}), left: make(chan error, 1), fakeSession: &fakeSession{
		fails: map[string]error{}, show: make(chan func(string), 1), stopped: make(chan struct{}), ends: make(chan error, 1),
	}}
	for _, set := range set {
		set(s.fakeSession)
	}
	cfg.IO, cfg.Program = terminal.NewIO("otrpipe", program, program, program), "otrpipe"
	cfg.Keys = func() []keys.Fingerprint { return []keys.Fingerprint{fingerprint("a")} }
	cfg.CheckQuestion = func(q string) error {
		if strings.Contains(q, "bad") {
			return errors.New("that cannot be asked")
		}
		return nil
	}
	cfg.Suggest = suggest
	cfg.StatusText = func(s *control.Status) string { return s.Session + ": as it is\n" }
	cfg.Now = func() time.Time { return time.Date(2026, 11, 28, 9, 5, 0, 0, time.Local) }
	way := live.Way{Command: []string{"/usr/bin/bob"}}
	if cfg.Again == nil {
		cfg.Again = func() (live.Way, error) { return way, nil }
	}
	s.chat = New(cfg)
	s.changed = s.chat.Changed
	read := make(chan struct{})
	go func() {
		defer close(read)
		buf := make([]byte, 4096)
		for {
			n, err := person.Read(buf)
			s.seenMu.Lock()
			s.seen = append(s.seen, buf[:n]...)
			still := s.last != "" && bytes.Contains(s.seen, []byte(s.last))
			s.seenMu.Unlock()
			if still {
				<-s.still
			}
			if err != nil {
				return
			}
		}
	}()
	go func() { s.left <- s.chat.Run(s.fakeSession, live.Setup{}, way) }()
	t.Cleanup(func() {
		s.Stop(errors.New("the test is over"), "")
		s.chat.Restore()
		program.Close()
		person.Close()
		<-read
	})
	return s
}

// trusted begins a session with a key.
func (s *scene) trusted(key keys.Fingerprint, standing trust.Standing) {
	s.change(func(now *live.Snapshot) {
		*now = live.Snapshot{
			Connected: true, Trusted: true, Passed: true, Version: 3, Fingerprint: key,
			Peer: &events.Peer{Version: 3, Fingerprint: key.Hex(), Trust: string(standing)},
		}
	})
}

func (s *scene) change(change func(*live.Snapshot)) {
	s.owner.Lock() // a session tells its changes one by one
	defer s.owner.Unlock()
	s.mu.Lock()
	change(&s.now)
	now := s.now
	s.mu.Unlock()
	s.chat.Changed(now)
}

var sequence = regexp.MustCompile(`\x1b\[[?0-9;]*[A-Za-z]`)

// shows is sees, and waits until the console knows that its prompt is on the screen, too.
func (s *scene) shows(prompt string) {
	s.t.Helper()
	s.sees(prompt)
	s.chat.console.Load().Sync()
}

// sees waits until the terminal has shown all of these texts since the last time, in any order.
func (s *scene) sees(texts ...string) {
	s.t.Helper()
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(time.Millisecond) {
		s.seenMu.Lock()
		plain := sequence.ReplaceAllString(string(s.seen), "")
		end, ok := 0, true
		for _, text := range texts {
			i := strings.Index(plain, text)
			end, ok = max(end, i+len(text)), ok && i >= 0
		}
		if ok {
			s.seen = []byte(plain[end:])
		}
		s.seenMu.Unlock()
		if ok {
			return
		}
	}
	s.t.Fatalf("%q is not shown, but %q", texts, s.seen)
}

// seesRaw is sees for what a terminal does not show as text.
func (s *scene) seesRaw(text string) {
	s.t.Helper()
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(time.Millisecond) {
		s.seenMu.Lock()
		_, rest, ok := bytes.Cut(s.seen, []byte(text))
		if ok {
			s.seen = bytes.Clone(rest)
		}
		s.seenMu.Unlock()
		if ok {
			return
		}
	}
	s.t.Fatalf("%q is not shown, but %q", text, s.seen)
}

// hears waits until the session was asked for something.
func (s *scene) hears(call string) {
	s.t.Helper()
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(time.Millisecond) {
		s.mu.Lock()
		for i, c := range s.calls {
			if c == call {
				s.calls = s.calls[i+1:]
				s.mu.Unlock()
				return
			}
		}
		s.mu.Unlock()
	}
	s.t.Fatalf("%q is not asked, but %q", call, s.calls)
}

func (s *scene) enters(line string) {
	s.t.Helper()
	if _, err := io.WriteString(s.person, line+"\r"); err != nil {
		s.t.Fatal(err)
	}
}

func (s *scene) leaves() error {
	s.t.Helper()
	select {
	case err := <-s.left:
		return err
	case <-time.After(patience):
		s.t.Fatal("the chat goes on")
		return nil
	}
}

func TestTextsGoBothWays(t *testing.T) {
	s := newScene(t, "bob")
	s.sees("waiting for bob", "<bob>: the transport says hello") // which has the contact's name
	s.sees("[bob unencrypted]")
	show := <-s.show
	s.trusted(fingerprint("b"), trust.Verified)
	s.sees("[bob verified]")
	s.enters("hello")
	s.hears("send hello")
	s.sees("you: hello")
	s.enters("//quit")
	s.hears("send /quit")
	s.enters("   ")
	show("and \x1b[2Jback")
	s.sees(`bob: and \x1b[2Jback`)
	s.enters(strings.Repeat("x", 50))
	s.sees("you: xxx")
	texts := s.chat.SentTexts(1, 3)
	for deadline := time.Now().Add(patience); len(texts) < 3 && time.Now().Before(deadline); time.Sleep(time.Millisecond) {
		texts = s.chat.SentTexts(1, 3) // a text is shown before it is kept
	}
	if len(texts) != 3 || s.chat.LastText() != texts[2] || texts[0] != `"hello"` || len([]rune(texts[2])) != maxNamed+2 {
		t.Errorf("the texts that are kept: %q", texts)
	}

	s.fail("send", stream.ErrNoSession)
	s.enters("lost")
	s.sees("not sent: ")
	s.sees("/refresh begins a new session")
	s.fail("running", errors.New("not yet"))
	s.enters("lost again")
	s.sees("bob is not there yet")
	s.enters("/hlep")
	s.sees("did you mean /help?")
	s.enters("/help")
	s.sees("send a text that begins with /")
	s.enters("/status")
	s.sees("otrpipe: session chat: as it is")
	s.enters("/quit")
	s.hears("stop ")
	if err := s.leaves(); err != nil {
		t.Errorf("it leaves with %v", err)
	}
}

func TestOnlyTheLatestTextsAreKept(t *testing.T) {
	h := New(Config{})
	for n := range keptTexts + 10 {
		h.texts.add(int64(n), fmt.Sprint(n), nil)
	}
	if got := h.SentTexts(0, 11); len(got) != 1 || got[0] != `"10"` {
		t.Errorf("%q", got)
	}
}

func TestAKeyIsComparedAndThenTrusted(t *testing.T) {
	s := newScene(t, "")
	s.enters("/trust")
	s.sees("there is no encrypted session")
	s.enters("/fingerprint")
	s.sees("otrpipe: your key: OTRv3 AAAAAAAA")
	s.enters("/trust") // answered after all of what /fingerprint shows
	s.sees("there is no encrypted session")
	s.trusted(fingerprint("b"), trust.Unverified)
	s.sees("[peer new]")
	s.enters("/trust")
	s.sees("/fingerprint has not shown the session's key yet")
	s.enters("/fingerprint")
	s.sees("otrpipe: peer's key: OTRv3 BBBBBBBB")
	// Another key takes the place of the one that was shown.
	s.trusted(fingerprint("c"), trust.Unverified)
	s.enters("/trust")
	s.sees("has not shown")
	s.enters("/fingerprint")
	s.sees("peer's key: OTRv3 CCCCCCCC")
	s.enters("/trust")
	s.hears("verified " + strings.Repeat("c", 40))
	s.sees("the OTRv3 key of the peer is verified")
	s.sees("--contact NAME remembers")
	s.fail("verified", errors.New("the disk is full"))
	s.enters("/trust")
	s.sees("the disk is full")
}

func TestASecretIsComparedWhileTheTalkGoesOn(t *testing.T) {
	s := newScene(t, "bob")
	for _, command := range []string{"/smp", "/answer", "/end"} {
		s.enters(command)
		s.sees("there is no encrypted session")
		s.sees("/refresh begins a new session")
	}
	s.fail("running", errors.New("not yet"))
	s.fail("query", live.ErrUnencrypted)
	for _, command := range []string{"/trust", "/refresh"} {
		s.enters(command)
		s.sees("there is no encrypted session")
		s.sees("bob is not there yet") // so /refresh cannot begin one
	}
	s.fail("running", nil)
	s.fail("query", nil)
	s.trusted(fingerprint("b"), trust.New)
	s.enters("/answer")
	s.sees("bob has asked nothing")
	s.enters("/smp")
	s.sees("Secret to compare with bob's (it is not shown):")
	s.enters("sesame")
	s.hears(`compare sesame, "", run 0`)
	s.enters("/smp a bad question")
	s.sees("that cannot be asked")
	s.enters("/smp where did we meet?")
	s.sees("bob will be asked: where did we meet?")
	s.sees("Secret that answers it (it is not shown):")
	s.enters("Paris")
	s.hears(`compare Paris, "where did we meet?", run 0`)

	question := "where?"
	s.change(func(now *live.Snapshot) { now.Asked, now.Run = &question, 7 })
	s.enters("/smp what?")
	s.sees("bob waits for an answer")
	s.enters("/smp")
	s.sees("bob asks: where?")
	s.sees("(it is not shown):")
	s.enters("Rome")
	s.hears(`compare Rome, "", run 7`)
	s.enters("/answer")
	s.sees("(it is not shown):")
	s.enters("")
	s.sees("no secret was entered")
	s.enters("/answer")
	s.sees("(it is not shown):")
	s.person.WriteString("half\x03")
	s.sees("no secret was entered")

	// Meanwhile the peer asks something else.
	s.enters("/answer")
	s.sees("(it is not shown):")
	other, none := "what else?", ""
	s.change(func(now *live.Snapshot) { now.Asked, now.Run = &other, 8 })
	s.enters("Rome")
	s.sees("meanwhile another question was asked")
	s.change(func(now *live.Snapshot) { now.Asked, now.Run = &none, 9 })
	s.enters("/answer")
	s.sees("Secret to compare with bob's")
	s.fail("compare", errors.New("no time left"))
	s.enters("sesame")
	s.hears(`compare sesame, "", run 9`)
	s.sees("no time left")

	s.enters("/abort")
	s.sees("SMP was aborted")
	s.fail("abort", errors.New("there is none"))
	s.enters("/abort")
	s.sees("there is none")
	s.mu.Lock()
	for _, call := range s.calls {
		if strings.HasPrefix(call, "send") {
			t.Errorf("a secret was sent: %s", call)
		}
	}
	s.mu.Unlock()
}

// sessionID makes an id of a session as a stream does. Its zero value names none.
func sessionID(n uint64) (id stream.SessionID) {
	*(*uint64)(unsafe.Pointer(&id)) = n
	return id
}

// TestASecretIsNotComparedInAnotherSession ends or replaces the session while the secret is being
// typed. Nobody who comes then may see the question, or try what they know.
func TestASecretIsNotComparedInAnotherSession(t *testing.T) {
	for _, command := range []string{"/smp", "/smp where did we meet?"} {
		for _, then := range []live.Snapshot{
			{Connected: true},
			{Connected: true, Trusted: true, Session: sessionID(2), Peer: &events.Peer{Version: 3}},
		} {
			s := newScene(t, "")
			<-s.show
			s.trusted(fingerprint("b"), trust.Verified)
			s.change(func(now *live.Snapshot) { now.Session = sessionID(1) })
			s.enters(command)
			s.sees("(it is not shown):")
			s.change(func(now *live.Snapshot) { *now = then })
			s.enters("sesame")
			s.sees("meanwhile the session has ended; nothing was compared")
			s.enters("/status") // answered after that
			s.sees("as it is")
			s.mu.Lock()
			if i := slices.IndexFunc(s.calls, func(call string) bool { return strings.HasPrefix(call, "compare") }); i >= 0 {
				t.Errorf("%s: %s", command, s.calls[i])
			}
			s.mu.Unlock()
		}
	}
}

// TestASecretAnswersOnlyTheQuestionThatWasShown asks another question at each moment between a
// command and the secret.
func TestASecretAnswersOnlyTheQuestionThatWasShown(t *testing.T) {
	first, other := "where?", "what?"
	for _, test := range []struct {
		command string
		asked   *string
		run     uint64
	}{{"/answer", &first, 7}, {"/smp", nil, 0}, {"/smp who?", nil, 0}} {
		for reads := 1; reads < 10; reads++ {
			s := newScene(t, "")
			<-s.show
			s.trusted(fingerprint("b"), trust.Verified)
			s.change(func(now *live.Snapshot) { now.Asked, now.Run = test.asked, test.run })
			s.sees("[peer verified]")
			s.mu.Lock()
			s.reads, s.later = reads, &other
			s.mu.Unlock()
			s.enters(test.command)
			s.enters("sesame")
			s.enters("/abort")
			var shown, over bool
			for deadline := time.Now().Add(patience); !over && time.Now().Before(deadline); time.Sleep(time.Millisecond) {
				s.seenMu.Lock()
				shown = bytes.Contains(s.seen, []byte("peer asks: "+other))
				over = bytes.Contains(s.seen, []byte("SMP was aborted"))
				s.seenMu.Unlock()
			}
			if !over {
				t.Fatal("the line behind the secret is not obeyed")
			}
			s.mu.Lock()
			for _, call := range s.calls {
				if strings.HasPrefix(call, "compare") && strings.HasSuffix(call, "run 8") && !shown {
					t.Errorf("%s, changed at moment %d: %s", test.command, reads, call)
				}
			}
			s.mu.Unlock()
		}
	}
}

func TestASecretBehindACommandDoesNotComeBackWithUp(t *testing.T) {
	s := newScene(t, "bob")
	<-s.show
	s.trusted(fingerprint("b"), trust.Verified)
	for _, line := range []string{"/answer sesame", "/ansewr sesame"} {
		s.enters("/me waves")
		s.hears("send /me waves")
		s.enters(line)
		s.enters("\x1b[A")
		s.hears("send /me waves")
	}
}

// sendsNothing checks that no text was sent since the last call that was heard.
func (s *scene) sendsNothing() {
	s.t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, call := range s.calls {
		if strings.HasPrefix(call, "send") {
			s.t.Errorf("it is asked: %s", call)
		}
	}
}

// TestASecretBehindACommandThatDoesNotAskForItIsNoText types the secret without looking at what
// the command has answered.
func TestASecretBehindACommandThatDoesNotAskForItIsNoText(t *testing.T) {
	t.Parallel() // it waits
	for _, command := range []string{"/answer", "/ansewr", "/a", "/answer sesame", "/smp a bad question"} {
		s := newScene(t, "bob")
		<-s.show
		s.trusted(fingerprint("b"), trust.Verified)
		s.sees("[bob verified]")
		s.enters(command + "\rsesame") // at once
		s.sees("that is not sent: no secret was asked for")
		s.enters("sesame") // a moment later
		s.sees("that is not sent: no secret was asked for")
		s.enters("\x1b[A") // it does not come back
		s.sendsNothing()
		s.enters("/help") // a command needs no waiting
		s.sees("send a text that begins with /")
	}
	s := newScene(t, "bob")
	<-s.show
	s.trusted(fingerprint("b"), trust.Verified)
	s.sees("[bob verified]")
	s.enters("/hlep\rhello")
	s.sees("did you mean /help?")
	s.hears("send hello")
	s.enters("/answer")
	s.sees("bob has asked nothing")
	time.Sleep(readingTime + 100*time.Millisecond)
	s.enters("I see")
	s.hears("send I see")
}

// TestASecretIsNoTextBeforeTheRefusalIsOnTheScreen types the secret while the terminal takes no
// output, so that the person cannot know that it was not asked for.
func TestASecretIsNoTextBeforeTheRefusalIsOnTheScreen(t *testing.T) {
	t.Parallel() // it waits
	if testing.Short() {
		t.Skip("short: waits three seconds for a person to read")
	}
	s := newScene(t, "bob")
	show := <-s.show
	s.trusted(fingerprint("b"), trust.Verified)
	s.sees("[bob verified]")
	s.seenMu.Lock()
	s.last = "a long text"
	s.seenMu.Unlock()
	go show(strings.Repeat("a long text\n", 10000))
	s.sees("a long text")
	s.enters("/answer")
	s.hears("review")
	time.Sleep(readingTime + time.Second)
	s.enters("sesame")
	s.hears("review")
	close(s.still)
	s.sees("bob has asked nothing")
	s.sees("that is not sent: no secret was asked for")
	s.sendsNothing()
}

// TestALineGoesToTheSessionThatThePromptShowed begins another session between Enter and the
// sending.
func TestALineGoesToTheSessionThatThePromptShowed(t *testing.T) {
	session := func(n uint64) live.Snapshot {
		return live.Snapshot{Connected: true, Trusted: true, Session: sessionID(n), Fingerprint: fingerprint("b"), Peer: &events.Peer{Version: 3}}
	}
	s := newScene(t, "bob")
	<-s.show
	s.change(func(now *live.Snapshot) { *now = session(1) })
	s.shows("[bob new]")
	s.mu.Lock()
	s.onReview = func() { s.change(func(now *live.Snapshot) { *now = session(2) }) }
	s.mu.Unlock()
	s.enters("hello")
	s.hears("send hello")
	s.enters("/smp where did we meet?")
	s.sees("(it is not shown):")
	s.mu.Lock()
	if !slices.Equal(s.sentIn, []stream.SessionID{sessionID(1)}) {
		t.Errorf("sent in %v", s.sentIn)
	}
	s.mu.Unlock()
}

// TestALineThatWasBegunForAnotherPeerIsNotSent changes the peer while a line is being typed.
func TestALineThatWasBegunForAnotherPeerIsNotSent(t *testing.T) {
	for _, line := range []struct{ first, rest, up, call string }{
		{"the password ", "is sesame", "the password is sesame", "send the password is sesame"},
		{"/me tells ", "sesame", "/me tells sesame", "send /me tells sesame"},
	} {
		s := newScene(t, "")
		<-s.show
		s.person.WriteString(line.first) // before there was anybody
		s.sees(strings.TrimSpace(line.first))
		s.trusted(fingerprint("b"), trust.Known)
		s.shows("[peer known] " + strings.TrimSpace(line.first))
		s.enters(line.rest)
		s.hears(line.call)

		s.person.WriteString(line.first)
		s.shows("[peer known] " + strings.TrimSpace(line.first))
		s.change(func(now *live.Snapshot) { *now = live.Snapshot{Connected: true} })
		s.shows("[peer unencrypted] " + strings.TrimSpace(line.first))
		s.trusted(fingerprint("b"), trust.Known) // the same again
		s.shows("[peer known] " + strings.TrimSpace(line.first))
		s.enters(line.rest)
		s.hears(line.call)

		s.person.WriteString(line.first)
		s.shows("[peer known] " + strings.TrimSpace(line.first))
		s.trusted(fingerprint("c"), trust.New)
		s.shows("[peer new] " + strings.TrimSpace(line.first))
		s.enters(line.rest)
		s.sees("not sent: the session is now with another key than when you began the line")
		s.sees("Up brings the line back")
		s.sendsNothing()
		s.enters("\x1b[A")
		s.hears(line.call)
	}
	s := newScene(t, "")
	<-s.show
	s.trusted(fingerprint("b"), trust.Known)
	s.shows("[peer known]")
	s.person.WriteString("/smp where did we ")
	s.sees("/smp where did we")
	s.trusted(fingerprint("c"), trust.New)
	s.shows("[peer new] /smp where did we")
	s.enters("meet?")
	s.sees("the session is now with another key than when you began the line")
}

func TestASessionIsBegunRefreshedAndEnded(t *testing.T) {
	s := newScene(t, "bob")
	s.enters("/refresh")
	s.hears("query")
	s.sees("bob is asked for a session")
	s.fail("query", errors.New("nobody is there"))
	s.enters("/refresh")
	s.sees("nobody is there")
	s.trusted(fingerprint("b"), trust.Known)
	s.enters("/refresh")
	s.hears("review")
	s.hears("refresh")
	s.sees("the keys are new")
	s.fail("refresh", errors.New("no answer"))
	s.enters("/refresh")
	s.sees("no answer")
	s.enters("/end")
	s.hears("end")
	s.sees("the session with bob is ended")
	s.fail("end", errors.New("it has ended"))
	s.enters("/end")
	s.sees("it has ended")
}

func TestAPersonLeavesByKeys(t *testing.T) {
	for _, test := range []struct{ keys, call string }{{"\x04", "stop "}, {"\x03", "stop interrupt"}} {
		s := newScene(t, "bob")
		s.sees("[bob unencrypted]")
		s.person.WriteString(test.keys)
		s.hears(test.call)
		_ = s.leaves()
	}
}

// TestATerminalThatTakesNoOutputDoesNotKeepTheProcess restores a terminal that nobody reads, as
// when it is stopped, while the chat waits to show a message on it.
func TestATerminalThatTakesNoOutputDoesNotKeepTheProcess(t *testing.T) {
	person, program, err := pty.Open()
	if err != nil {
		t.Fatal(err)
	}
	defer person.Close()
	console, err := editor.Open(program, program)
	if err != nil {
		t.Fatal(err)
	}
	h := New(Config{})
	h.console.Store(console)
	shown := make(chan struct{})
	go func() {
		defer close(shown)
		console.Message("bob: ", strings.Repeat("a long message\n", 10000))
	}()
	var seen []byte
	for !bytes.Contains(seen, []byte("bob: ")) { // now the message is being written
		var one [1]byte
		if _, err := person.Read(one[:]); err != nil {
			t.Fatal(err)
		}
		seen = append(seen, one[0])
	}
	restored := make(chan struct{})
	go func() {
		defer close(restored)
		h.Restore()
	}()
	select {
	case <-restored:
	case <-time.After(patience):
		t.Error("the process waits for the terminal")
	}
	select {
	case <-shown:
		t.Error("the terminal has taken everything")
	default:
	}
	stty := exec.Command("stty", "-a")
	stty.Stdin = program
	if mode, err := stty.Output(); err != nil || !slices.Contains(strings.Fields(string(mode)), "echo") {
		t.Errorf("the mode is not restored: %v\n%s", err, mode)
	}
	go func() { _, _ = io.Copy(io.Discard, person) }() // the rest of the message
	<-shown
	h.Restore()
	program.Close()
}

// TestATerminalThatTakesNoOutputHoldsNeitherTheSessionNorASignalUp changes the session, as its
// owner does, and then ends it by a signal.
func TestATerminalThatTakesNoOutputHoldsNeitherTheSessionNorASignalUp(t *testing.T) {
	s := newScene(t, "bob")
	show := <-s.show
	s.trusted(fingerprint("b"), trust.Verified)
	s.sees("[bob verified]")
	s.seenMu.Lock()
	s.last = "a long text"
	s.seenMu.Unlock()
	t.Cleanup(func() { close(s.still) })
	shown := make(chan struct{})
	go func() {
		defer close(shown)
		show(strings.Repeat("a long text\n", 10000))
	}()
	s.sees("a long text") // and the rest is being written
	changed := make(chan struct{})
	go func() {
		defer close(changed)
		s.trusted(fingerprint("b"), trust.Known)
		s.trusted(fingerprint("b"), trust.Verified)
	}()
	select {
	case <-changed:
	case <-time.After(patience):
		t.Fatal("the session waits for the terminal")
	}
	s.Signal(syscall.SIGTERM)
	_ = s.leaves()
	select {
	case <-shown:
		t.Error("the terminal has taken everything")
	default:
	}
}

// TestATerminalThatTakesNoOutputDoesNotHoldTheTransportUp lets the transport write more messages
// than can wait.
func TestATerminalThatTakesNoOutputDoesNotHoldTheTransportUp(t *testing.T) {
	s := newScene(t, "bob")
	show := <-s.show
	s.seenMu.Lock()
	s.last = "a long text"
	s.seenMu.Unlock()
	go show(strings.Repeat("a long text\n", 10000))
	s.sees("a long text") // and the rest is being written
	s.mu.Lock()
	stderr := s.stderr
	s.mu.Unlock()
	written := make(chan struct{})
	go func() {
		defer close(written)
		for n := range 20 * maxLater {
			fmt.Fprintf(stderr, "message %d %s\n", n, strings.Repeat("x", 100))
		}
	}()
	select {
	case <-written:
	case <-time.After(patience):
		t.Error("the transport waits for the terminal")
	}
	close(s.still)
	s.sees("<bob>: message 0 ")
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		fmt.Fprintln(stderr, "still there") // after which it is said what was left out
		s.seenMu.Lock()
		told := bytes.Contains(s.seen, []byte(" lines left out, because the terminal took no output)"))
		s.seenMu.Unlock()
		if told {
			return
		}
	}
	t.Error("it is not said that lines were left out")
}

func TestAChatThatIsNotToStayLeavesWithTheTransport(t *testing.T) {
	s := newSceneOf(t, Config{})
	<-s.show
	s.ends <- nil
	if err := s.leaves(); err != nil {
		t.Errorf("it leaves with %v", err)
	}
}

// cut is how a connection ends that was not ended.
var cut = exit.Errorf(exit.Broken, "the line was cut").WithHint("look at the plug")

func TestALineThatIsCutIsToldAndNothingTypedLeavesTheChat(t *testing.T) {
	s := newScene(t, "bob")
	<-s.show
	s.trusted(fingerprint("b"), trust.Verified)
	s.enters("will this arrive")
	s.sees("you: will this arrive")
	s.person.WriteString("half a li")
	s.sees("[bob verified] half a li")
	s.ends <- cut
	s.sees("[bob not connected] Enter: connect again; Ctrl-D: leave", "otrpipe: the line was cut")
	s.sees("hint: look at the plug")
	s.sees(`your last message may be lost: "will this arrive"`)
	s.enters("ne in confidence")
	s.sees("what you typed was thrown away, and nobody has read it")
	s.enters("")
	s.hears("again")
	s.sees("connecting again")
	s.sees("[bob not connected] connecting; Ctrl-D: leave")
	s.sees("[bob unencrypted] half a li") // as it was
	show := <-s.show
	s.trusted(fingerprint("b"), trust.Verified)
	s.sees("[bob verified] half a li")
	show("there you are")
	s.sees("bob: there you are")
	s.ends <- nil
	s.sees("[bob not connected]")
	s.sees("the transport has ended: it was a test")
	s.enters("/quit")
	if err := s.leaves(); err != nil {
		t.Errorf("it leaves with %v", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, call := range s.calls {
		if strings.HasPrefix(call, "send") {
			t.Errorf("after the cut: %s", call)
		}
	}
}

func TestAPersonLeavesAfterACut(t *testing.T) {
	for _, test := range []struct {
		keys string
		ends error
		code int
		told bool
	}{
		{"half\x04", cut, exit.Broken, true},
		{"q\r", cut, exit.Broken, true},
		{"half\x03", cut, 130, false},
		{"\r", exit.Errorf(exit.Refused, "it is another key"), exit.Refused, true},
		{"r\r", exit.Errorf(exit.SMP, "the secrets differ"), exit.SMP, true},
	} {
		s := newScene(t, "bob")
		<-s.show
		s.ends <- test.ends
		s.sees(test.ends.Error())
		s.person.WriteString(test.keys)
		err := s.leaves()
		if err == nil || exit.As(err).Code != test.code || s.chat.HasTold(err) != test.told {
			t.Errorf("%q after %v: %v, told: %v", test.keys, test.ends, err, s.chat.HasTold(err))
		}
	}
}

func TestAPersonLeavesWhileTheChatConnectsAgain(t *testing.T) {
	for _, test := range []struct {
		keys string
		code int
	}{{"q\r", exit.Broken}, {"/quit\r", exit.Broken}, {"half\x04", exit.Broken}, {"half\x03", 130}} {
		dials := make(chan struct{}, 1)
		s := newSceneOf(t, Config{Contact: "bob", Stay: true, Retry: true}, func(f *fakeSession) { f.dials = dials })
		s.sees("[bob not connected]")
		dials <- struct{}{}
		<-s.show
		s.trusted(fingerprint("b"), trust.Verified)
		s.sees("[bob verified]")
		s.ends <- cut
		s.sees("connecting again in 1s; Enter: now; Ctrl-D: leave")
		s.enters("")
		s.sees("[bob not connected] connecting; Ctrl-D: leave")
		s.enters("secret")
		s.sees("what you typed was thrown away")
		s.person.WriteString(test.keys)
		if err := s.leaves(); err == nil || exit.As(err).Code != test.code {
			t.Errorf("%q: it leaves with %v", test.keys, err)
		}
	}
}

func TestAConnectionThatIsLostIsMadeAgainWithoutAsking(t *testing.T) {
	if testing.Short() {
		t.Skip("short: waits four seconds for connections")
	}
	s := newSceneOf(t, Config{Stay: true, Retry: true})
	for range 2 {
		<-s.show
		s.trusted(fingerprint("b"), trust.New)
		s.ends <- cut
		s.sees("connecting again in 1s") // for there was a session
		s.hears("again")
	}
	<-s.show
	s.ends <- exit.Errorf(exit.Timeout, "nobody was there")
	s.sees("connecting again in 1s")
	<-s.show
	s.ends <- exit.Errorf(exit.Timeout, "nobody was there")
	s.sees("connecting again in 2s")
	s.enters("") // now
	<-s.show
	s.ends <- exit.Errorf(exit.Refused, "it is another key")
	s.sees("Enter leaves")
	s.enters("")
	if err := s.leaves(); exit.As(err).Code != exit.Refused {
		t.Errorf("it leaves with %v", err)
	}
}

func TestAWayThatIsLostIsToldAndTriedAgain(t *testing.T) {
	tries := 0
	s := newSceneOf(t, Config{Stay: true, Again: func() (live.Way, error) {
		if tries++; tries == 1 {
			return live.Way{}, exit.Errorf(exit.Failure, "the port is taken")
		}
		return live.Way{Command: []string{"bob"}}, nil
	}})
	<-s.show
	s.ends <- nil
	s.sees("not connected] Enter")
	s.enters("")
	s.sees("the port is taken")
	s.enters("")
	<-s.show
	s.sees("connecting again")
	s.sees("the transport says hello")
	s.fail("again", exit.Errorf(exit.KeyFile, "the key is gone"))
	s.ends <- nil
	s.sees("not connected] Enter")
	s.enters("")
	if err := s.leaves(); exit.As(err).Code != exit.KeyFile {
		t.Errorf("it leaves with %v", err)
	}
}

func TestTextsAreMarkedWhenTheyHaveArrivedOrHaveNot(t *testing.T) {
	s := newScene(t, "bob")
	<-s.show
	s.trusted(fingerprint("b"), trust.Verified)
	s.enters("one")
	s.sees("09:05   you: one")
	s.chat.Settled(1, 1, true)
	s.sees("✓")
	s.chat.Settled(2, 1, true) // before we know of it
	s.enters("two")
	s.sees("you: two")
	s.sees("✓")
	s.enters("three")
	s.sees("you: three")
	s.chat.Settled(3, 1, false)
	s.sees("✗")
	if got := s.chat.LastText(); got != "" {
		t.Errorf("%s is in doubt", got)
	}
	s.fail("send", stream.ErrNoSession)
	s.enters("four")
	s.sees("you: four")
	s.sees("✗")
	s.sees("not sent: ")
	s.fail("send", nil)
	s.enters("five")
	s.sees("you: five")
	s.enters("/help")
	s.person.WriteString("\x0c") // an empty screen
	s.enters("/status")
	s.sees("as it is")
	s.chat.Settled(4, 1, true)
	s.sees(`reached bob: "five"`)
}

func TestUnencryptedTextIsRedAndMarked(t *testing.T) {
	t.Setenv("NO_COLOR", "")
	t.Setenv("TERM", "xterm")
	s := newSceneOf(t, Config{Stay: true, Bell: true})
	show := <-s.show
	s.trusted(fingerprint("b"), trust.Verified)
	s.sees("[peer verified]")
	s.chat.InClear(stream.Unencrypted{}, 1) // nothing but a tag
	s.chat.InClear(stream.Unencrypted{Bytes: 12, Text: otr.Unauthenticated("peer: \x1b[32mme")}, 1)
	s.seesRaw("\x1b[31;1mUNENCRYPTED:\x1b[0;22m \x1b[31mpeer: \\x1b[32mme\x1b[0m")
	s.seesRaw("\a")
	s.sees("hint: anyone on the way can have written that")
	s.chat.InClear(stream.Unencrypted{Bytes: 9, Text: otr.Unauthenticated("again")}, 3)
	s.sees("UNENCRYPTED: again … (the latest of 3 texts)")
	s.chat.InClear(stream.Unencrypted{Bytes: 5000, Text: otr.Unauthenticated("long")}, 1)
	s.sees("UNENCRYPTED: long … (5.0 kB in all)")
	show("hello")
	s.sees("09:05   peer: hello")
	s.seesRaw("\a")
}

func TestAnActionIsShownAsNetworksShowIt(t *testing.T) {
	s := newScene(t, "bob")
	show := <-s.show
	s.trusted(fingerprint("b"), trust.Verified)
	s.enters("/me waves")
	s.hears("send /me waves")
	s.sees("09:05   * (you) waves")
	show("/me waves back")
	s.sees("09:05   * bob waves back")
	show("/meanwhile")
	s.sees("bob: /meanwhile")
	s.enters("/me")
	s.sees("/me needs an action, as in /me waves; nothing was sent")
}

func TestTabCompletesCommands(t *testing.T) {
	s := newScene(t, "bob")
	s.person.WriteString("/he\t\r")
	s.sees("send a text that begins with /")
	for before, want := range map[string][]string{
		"/q": {"uit"}, " /sm": {"p "}, "/a": {"nswer", "bort"}, "/smp": {" "}, "/smp x": nil, "hello": nil, "//q": nil, "": nil,
	} {
		if got := complete(before); !slices.Equal(got, want) {
			t.Errorf("%q: %q, want %q", before, got, want)
		}
	}
}

func TestAnIdentityThatCannotBeOpenedIsTheEnd(t *testing.T) {
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	h := New(Config{IO: terminal.NewIO("otrpipe", null, null, null)})
	s := &fakeSession{fails: map[string]error{"prepare": exit.Errorf(exit.KeyFile, "no key")}}
	if err := h.Run(s, live.Setup{}, live.Way{Command: []string{"cat"}}); exit.As(err).Code != exit.KeyFile {
		t.Errorf("%v", err)
	}
	s.fails = map[string]error{}
	if err := h.Run(s, live.Setup{}, live.Way{Command: []string{"cat"}}); err == nil || !strings.Contains(err.Error(), "the terminal: ") {
		t.Errorf("without a terminal: %v", err)
	}
}
