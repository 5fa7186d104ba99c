package live

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	mathrand "math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"otrpipe/commands/internal/control"
	"otrpipe/commands/internal/exit"
	"otrpipe/commands/internal/guesses"
	"otrpipe/commands/internal/options"
	"otrpipe/commands/internal/terminal"
	"otrpipe/commands/internal/trust"
	"otrpipe/keyfile"
	"otrpipe/otr"
	"otrpipe/otr/keys"
	"otrpipe/otr/stream"
)

// patience is how long a test waits for what must happen.
const patience = 60 * time.Second

var identities = sync.OnceValue(func() (all [2]*keyfile.Identity) {
	for i, seed := range []byte{3, 30} { // their primes are found soon
		dsa, err := keys.GenerateDSA(mathrand.NewChaCha8([32]byte{seed}))
		if err != nil {
			panic(err)
		}
		all[i] = &keyfile.Identity{Name: "default", InstanceTag: 0x100 + uint32(i), DSA: dsa}
	}
	return all
})

// newSession hosts a session called name, which other processes can reach.
func newSession(t *testing.T, name string) *Session {
	t.Helper()
	s := newUnreachable(t, name)
	go s.cfg.Listener.Serve(s)
	return s
}

// newUnreachable hosts a session called name, whose socket nobody serves.
func newUnreachable(t *testing.T, name string) *Session {
	t.Helper()
	nowhere, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { nowhere.Close() })
	dir := t.TempDir()
	n := control.Name{Home: dir, Identity: "default", Session: name}
	listener, err := control.Listen(dir, n)
	if err != nil {
		t.Fatal(err)
	}
	s := New(Config{
		IO: terminal.NewIO("otrpipe", nowhere, nowhere, nowhere), Name: n, Dir: dir,
		Home: keyfile.Open(filepath.Join(dir, "home")), Listener: listener,
	})
	// A session that is stopped and never finished ends the process at a signal of another test.
	t.Cleanup(s.watch.Stop)
	return s
}

// A side is one end of two that run in this process.
type side struct {
	*Session
	dir    string
	input  *io.PipeWriter
	output *io.PipeReader
	ended  chan error
}

// connect runs two sessions with the same flags over a connection.
func connect(t *testing.T, values options.Values) (a, b side) {
	t.Helper()
	return connectAs(t, values, values)
}

// connectAs runs two sessions over a connection.
func connectAs(t *testing.T, values ...options.Values) (a, b side) {
	t.Helper()
	wireA, wireB := net.Pipe()
	return connectOver(t, newSession, [2]net.Conn{wireA, wireB}, values...)
}

// connectOver runs two sessions, which begin makes, over the two ends of a connection.
func connectOver(t *testing.T, begin func(*testing.T, string) *Session, wires [2]net.Conn, values ...options.Values) (a, b side) {
	t.Helper()
	return connectTo(t, [2]error{}, begin, wires, values...)
}

// connectTo is connectOver for outputs that fail when they are closed.
func connectTo(t *testing.T, failures [2]error, begin func(*testing.T, string) *Session, wires [2]net.Conn, values ...options.Values) (a, b side) {
	t.Helper()
	var sides [2]side
	for i := range sides {
		o, err := values[i].Options(nil)
		if err != nil {
			t.Fatal(err)
		}
		s := begin(t, []string{"a", "b"}[i])
		in, input := io.Pipe()
		output, out := io.Pipe()
		sides[i] = side{s, s.cfg.Dir, input, output, make(chan error, 1)}
		identity := *identities()[i]
		conversation, err := s.Prepare(Setup{Options: o, Open: func(<-chan struct{}) (*keyfile.Identity, error) {
			return &identity, nil
		}})
		if err != nil {
			t.Fatal(err)
		}
		// The sides share the test's keys: they are not to be wiped.
		s.identity = nil
		go func() {
			sides[i].ended <- s.Finish(s.Run(conversation, wires[i], func() (*Payload, error) {
				return &Payload{In: in, Out: out, DoneOut: func() error {
					return errors.Join(failures[i], out.Close())
				}}, nil
			}))
		}()
	}
	t.Cleanup(func() {
		for _, s := range sides {
			s.Stop(errors.New("the test is over"), "")
			s.input.Close()
			s.output.Close()
			<-s.Over()
		}
	})
	return sides[0], sides[1]
}

var lines = options.Values{options.ModeFlag: {options.ModeLines}, options.OTRFlag: {"3"}}

func wait[T any](t *testing.T, c <-chan T) (v T) {
	t.Helper()
	select {
	case v = <-c:
	case <-time.After(patience):
		t.Fatal("nothing happened")
	}
	return v
}

func TestTwoSessionsTalkAndCompareASecret(t *testing.T) {
	t.Parallel() // it waits
	a, b := connect(t, lines)
	if err := a.Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	if now := a.Snapshot(); !now.Trusted || now.State != control.StateEncrypted || now.Standing() != trust.Unverified {
		t.Fatalf("%+v", now)
	}
	compare := func(s side, secret string) <-chan error {
		result := make(chan error, 1)
		go func() {
			result <- s.CompareSecret(context.Background(), &control.SMP{Secret: []byte(secret), Timeout: patience})
		}()
		return result
	}
	begun := compare(a, "sesame")
	for b.Snapshot().Asked == nil {
		time.Sleep(time.Millisecond)
	}
	if err := a.CompareSecret(t.Context(), &control.SMP{Secret: []byte("another"), Timeout: 10 * time.Second}); err == nil || exit.As(err).Code != exit.Failure {
		t.Fatalf("a second run: %v", err)
	}
	if err := wait(t, compare(b, "sesame")); err != nil {
		t.Errorf("b hears %v", err)
	}
	if err := wait(t, begun); err != nil {
		t.Errorf("a hears %v", err)
	}
	if a.Snapshot().Standing() != trust.Verified || b.Snapshot().Standing() != trust.Verified {
		t.Errorf("after SMP: %s and %s", a.Snapshot().Standing(), b.Snapshot().Standing())
	}
	begun = compare(a, "sesame")
	for b.Snapshot().Asked == nil {
		time.Sleep(time.Millisecond)
	}
	if err := wait(t, compare(b, "simsim")); !errors.Is(err, ErrSMPFailed) {
		t.Errorf("b hears %v", err)
	}
	if err := wait(t, begun); !errors.Is(err, ErrSMPFailed) {
		t.Errorf("a hears %v", err)
	}
}

// Whoever answers a question has shown who they are, and knows no more of the one who has
// asked: anybody can ask what everybody knows.
func TestAnAnswerVerifiesNobodyToTheOneWhoGivesIt(t *testing.T) {
	t.Parallel() // it waits
	a, b := connect(t, lines)
	if err := a.Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	asked := make(chan error, 1)
	go func() {
		asked <- a.CompareSecret(context.Background(), &control.SMP{Secret: []byte("sesame"), Question: "where?", Timeout: patience})
	}()
	for b.Snapshot().Asked == nil {
		time.Sleep(time.Millisecond)
	}
	if err := b.CompareSecret(t.Context(), &control.SMP{Secret: []byte("sesame"), Run: b.Snapshot().Run, Timeout: patience}); err != nil {
		t.Fatal(err)
	}
	if err := wait(t, asked); err != nil {
		t.Fatal(err)
	}
	if a.Snapshot().Standing() != trust.Verified || b.Snapshot().Standing() != trust.Unverified {
		t.Errorf("the one who asked has %s, the one who answered %s", a.Snapshot().Standing(), b.Snapshot().Standing())
	}
}

func TestASecretIsComparedInTheGivenSessionOrNotAtAll(t *testing.T) {
	t.Parallel() // it waits
	stay := options.Values{options.StayFlag: {"true"}}
	stay, _ = stay.Merge(lines)
	a, b := connect(t, stay)
	if err := a.Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	old := a.Snapshot().Session
	if err := a.End(); err != nil {
		t.Fatal(err)
	}
	late := time.Now().Add(patience / 2)
	for now := a.Snapshot(); !now.Trusted || now.Session == old || !b.Snapshot().Trusted; now = a.Snapshot() {
		if time.Now().After(late) {
			t.Fatal("there is no new session")
		}
		if !now.Trusted && !b.Snapshot().Trusted {
			_ = b.Query()
		}
		time.Sleep(10 * time.Millisecond)
	}
	for _, session := range []stream.SessionID{old, {}} {
		secret := []byte("sesame")
		if err := a.CompareSecretIn(t.Context(), session, &control.SMP{Secret: secret, Question: "where?", Timeout: time.Second}); err == nil || exit.As(err).Code != exit.Failure {
			t.Errorf("session %v: %v", session, err)
		}
		if !bytes.Equal(secret, make([]byte, len(secret))) {
			t.Errorf("the secret is left: %q", secret)
		}
	}
	compared := make(chan error, 1)
	go func() {
		compared <- a.CompareSecretIn(context.Background(), a.Snapshot().Session, &control.SMP{Secret: []byte("sesame"), Question: "who?", Timeout: patience})
	}()
	late = time.Now().Add(patience / 2)
	for ; b.Snapshot().Asked == nil; time.Sleep(time.Millisecond) {
		if time.Now().After(late) {
			t.Fatal("the peer is asked nothing")
		}
	}
	if asked := *b.Snapshot().Asked; asked != "who?" {
		t.Errorf("the peer is asked %q", asked)
	}
	if err := b.AbortSMP(); err != nil {
		t.Error(err)
	}
	if err := wait(t, compared); !errors.Is(err, ErrSMPAborted) {
		t.Error(err)
	}
}

func TestOnlyAComparisonThatIsUnderWayIsAborted(t *testing.T) {
	t.Parallel() // it waits
	a, b := connect(t, lines)
	if err := a.Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		for _, end := range []side{a, b} {
			if err := end.AbortSMP(); !errors.Is(err, ErrNoSMP) {
				t.Errorf("there is nothing to abort: %v", err)
			}
			if reply := end.Handle(t.Context(), &control.Request{SMP: &control.SMP{Abort: true}}); reply.Code != exit.OK {
				t.Errorf("another shell aborts nothing: %+v", reply)
			}
		}
		asked := make(chan error, 1)
		go func() {
			asked <- a.CompareSecret(context.Background(), &control.SMP{Secret: []byte("sesame"), Question: "where?", Timeout: patience})
		}()
		for b.Snapshot().Asked == nil {
			time.Sleep(time.Millisecond)
		}
		if err := b.AbortSMP(); err != nil {
			t.Errorf("the peer's question cannot be refused: %v", err)
		}
		if err := wait(t, asked); !errors.Is(err, ErrSMPAborted) {
			t.Errorf("the end that asked hears %v", err)
		}
	}
}

func TestOtherProcessesAskASessionThroughItsSocket(t *testing.T) {
	t.Parallel() // it waits
	a, b := connect(t, lines)
	if err := b.Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	found, _ := control.Find(a.dir, patience, control.Filter{})
	if len(found) != 1 || found[0].Status.Mode != options.ModeLines {
		t.Fatalf("found %+v", found)
	}
	c := found[0]
	defer c.Close()
	announced, err := c.Do(t.Context(), control.Request{ExtraKey: &control.ExtraKey{Use: 7}})
	if err != nil || len(announced.Key) == 0 {
		t.Fatalf("extra key: %v", err)
	}
	// The peer has it when it has answered what came after it.
	if _, err := c.Do(t.Context(), control.Request{Refresh: true}); err != nil {
		t.Fatalf("refresh: %v", err)
	}
	received, err := b.ExtraKey(t.Context(), &control.ExtraKey{Received: true})
	if err != nil || string(received) != string(announced.Key) {
		t.Errorf("the peer has %x, %v", received, err)
	}
	if _, err := c.Do(t.Context(), control.Request{}); err == nil || exit.As(err).Code != exit.Failure {
		t.Errorf("nothing was asked, and the answer is %v", err)
	}
	if _, err := c.Do(t.Context(), control.Request{End: true}); err != nil {
		t.Errorf("end: %v", err)
	}
	// Its input had not ended, so not all of it was sent.
	if err := wait(t, a.ended); err != nil { // in mode lines all that was written has been sent
		t.Errorf("the session ended with %v", err)
	}
	if state := a.Snapshot().State; state != control.StateFinished {
		t.Errorf("the state is %s", state)
	}
}

// A busyHost answers like a process on a busy machine: late.
type busyHost struct {
	*Session
	delay    time.Duration
	answered atomic.Bool
}

func (b *busyHost) Handle(ctx context.Context, r *control.Request) control.Reply {
	reply := b.Session.Handle(ctx, r)
	if r.End {
		time.Sleep(b.delay)
		b.answered.Store(true)
	}
	return reply
}

func TestAnEndedSessionWaitsForItsAnswersOnABusyMachine(t *testing.T) {
	t.Parallel() // it waits
	b := &busyHost{Session: newUnreachable(t, "busy"), delay: lastWords + lastWords/2}
	go b.cfg.Listener.Serve(b)
	found, _ := control.Find(b.cfg.Dir, patience, control.Filter{})
	if len(found) != 1 {
		t.Fatalf("found %+v", found)
	}
	defer found[0].Close()
	ended := make(chan error, 1)
	go func() {
		_, err := found[0].Do(context.Background(), control.Request{End: true})
		ended <- err
	}()
	<-b.Stopped()
	b.Finish(b.Cause()) // then its process leaves
	if !b.answered.Load() {
		t.Error("the process leaves before it has answered otrpipe end")
	}
	if err := wait(t, ended); err != nil {
		t.Errorf("otrpipe end says: %v", err)
	}
}

func TestTextsMoveBothWays(t *testing.T) {
	a, b := connect(t, lines)
	go func() {
		_, _ = io.WriteString(a.input, "hello\n")
		_, _ = io.WriteString(b.input, "and back\n")
	}()
	buf := make([]byte, 64)
	if n, err := b.output.Read(buf); err != nil || string(buf[:n]) != "hello\n" {
		t.Errorf("b reads %q, %v", buf[:n], err)
	}
	if n, err := a.output.Read(buf); err != nil || string(buf[:n]) != "and back\n" {
		t.Errorf("a reads %q, %v", buf[:n], err)
	}
}

func TestWhatTheUserComparedIsVerifiedAndNoOtherKey(t *testing.T) {
	t.Parallel() // it waits
	a, _ := connect(t, lines)
	if err := a.Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := a.MarkVerified(keys.Fingerprint{}); !errors.Is(err, ErrUnencrypted) {
		t.Errorf("another key: %v", err)
	}
	if err := a.MarkVerified(a.Snapshot().Fingerprint); err != nil || a.Snapshot().Standing() != trust.Verified {
		t.Errorf("%s, %v", a.Snapshot().Standing(), err)
	}
}

func TestNobodyIsVerifiedBeforeEveryCheckHasPassed(t *testing.T) {
	o := own(t)
	key := fingerprint(t, 40)
	met := otr.Session{Version: 3, Fingerprint: key}
	if err := o.verify(met); err != nil {
		t.Fatal(err)
	}
	o.tell(otr.Secure{Session: met})
	for _, passed := range []bool{false, true} {
		if passed {
			if err := o.admit(met); err != nil {
				t.Fatal(err)
			}
			o.event(stream.Event{What: stream.Trusted{Session: met}, Count: 1, Time: time.Now()})
		}
		result := make(chan error, 1)
		go func() { result <- o.MarkVerified(key) }()
		_, _ = (<-o.ops)(nil)
		if err := wait(t, result); (err == nil) != passed || err != nil && !errors.Is(err, ErrUnencrypted) {
			t.Errorf("passed %v: %v", passed, err)
		}
	}
}

// Two connections to a contact without keys may both pass every check. The key that was stored
// first stays, and the other is refused.
func TestAKeyThatCannotBeTheContactsIsNotAdmitted(t *testing.T) {
	o := own(t)
	o.keeper = trust.NewKeeper(trust.Config{Live: true, Home: o.cfg.Home, Contact: "bob", Level: trust.RequireNew})
	met := otr.Session{Version: 3, Fingerprint: fingerprint(t, 40)}
	if err := o.verify(met); err != nil {
		t.Fatal(err)
	}
	if err := o.cfg.Home.RememberKey("bob", fingerprint(t, 112), keyfile.Seen, time.Now()); err != nil {
		t.Fatal(err)
	}
	if err := o.admit(met); err == nil || exit.As(err).Code != exit.Refused {
		t.Errorf("%v", err)
	}
	if o.peerName() != "the peer" {
		t.Errorf("it is called %s", o.peerName())
	}
}

func TestASessionThatWaitsCanBeAskedAndStopped(t *testing.T) {
	s := newSession(t, "waiting")
	if err := s.AbortSMP(); !errors.Is(err, ErrNoSMP) {
		t.Errorf("an abort is %v", err)
	}
	if _, err := s.Send(stream.SessionID{}, "text"); !errors.Is(err, stream.ErrNoSession) {
		t.Errorf("a text is %v", err)
	}
	if err := s.End(); !errors.Is(err, ErrUnencrypted) {
		t.Errorf("the end is %v", err)
	}
	err := s.CompareSecret(t.Context(), &control.SMP{Timeout: time.Millisecond})
	if exit.As(err).Code != exit.Timeout {
		t.Errorf("SMP: %v", err)
	}
	result := make(chan error, 1)
	go func() { result <- s.Refresh(context.Background()) }()
	ended := make(chan control.Reply, 1)
	go func() { ended <- s.Handle(context.Background(), &control.Request{End: true}) }()
	<-s.Stopped()
	if got := s.Finish(s.Cause()); !errors.Is(got, ErrEndedHere) {
		t.Errorf("the outcome is %v", got)
	}
	if err := wait(t, result); exit.As(err).Code != exit.Session {
		t.Errorf("a process that waits hears %v", err)
	}
	if reply := wait(t, ended); reply.Err() != nil {
		t.Errorf("the process that ended it hears %v", reply.Err())
	}
}

// The stream may have ended well before its last bytes are found to be
// unwritable. Then both ways to learn of it are there at once.
func TestPlaintextThatCannotBeWrittenIsNeverSuccess(t *testing.T) {
	lost := errors.New("no space left")
	s := newSession(t, "lost")
	received := make(chan error, 1)
	received <- s.outputLost(lost, 7)
	err := s.outcome(nil, received)
	var e *exit.Error
	if !errors.As(err, &e) || !errors.Is(err, lost) {
		t.Errorf("the outcome is %v", err)
	}
	_ = s.Finish(err)
}

func TestPlaintextLeftUnwrittenAtASignalIsNeverSuccess(t *testing.T) {
	withFakeClock(t, func(t *testing.T) { // what was received has a second to be written
		s := newUnreachable(t, "signal")
		signal := exit.Silently(143)
		s.Stop(signal, "interrupted")
		s.Stop(errors.New("a second cause"), "")
		err := s.outcome(nil, make(chan error))
		if err != error(signal) {
			t.Errorf("the outcome is %v", err)
		}
		_ = s.Finish(err)
	})
}

// A played link is a stream that the test plays: the test is the owner, and the
// operations of others wait for it.
type played struct {
	ops  chan func(*otr.Conversation) ([][]byte, error)
	here bool // the peer of a session has passed every check
	id   stream.SessionID
	in   []stream.SessionID // those that DoIn was given while left is set
	left bool               // the session has ended: DoIn runs nothing
}

func (p *played) Handshake(context.Context) error   { return nil }
func (p *played) Wait() error                       { return nil }
func (p *played) Stats() stream.Stats               { return stream.Stats{} }
func (p *played) Session() (stream.SessionID, bool) { return p.id, p.here }

func (p *played) DoIn(id stream.SessionID, f func(*otr.Conversation) ([][]byte, error)) error {
	if p.left {
		p.in = append(p.in, id)
		return stream.ErrSessionOver
	}
	return p.Do(f)
}

func (p *played) Do(f func(*otr.Conversation) ([][]byte, error)) error {
	done := make(chan error, 1)
	p.ops <- func(c *otr.Conversation) ([][]byte, error) {
		lines, err := f(c)
		done <- err
		return lines, err
	}
	return <-done
}

// An owned session is one that the test owns.
type owned struct {
	*Session
	*played
}

// own returns a session that the test owns.
func own(t *testing.T) *owned {
	t.Helper()
	s := newSession(t, "owned")
	o := &owned{s, &played{ops: make(chan func(*otr.Conversation) ([][]byte, error)), here: true}}
	s.keeper = trust.NewKeeper(trust.Config{Live: true, Home: s.cfg.Home, Level: trust.RequireNew})
	s.connected.Store(&connection{link: o.played})
	close(s.running)
	t.Cleanup(func() { _ = s.Finish(nil) })
	return o
}

// meet is what a stream does when a key exchange has succeeded.
func (o *owned) meet(t *testing.T) {
	t.Helper()
	met := otr.Session{Version: 3, SSID: [8]byte{1}}
	if err := o.verify(met); err != nil {
		t.Fatal(err)
	}
	o.tell(otr.Secure{Session: met})
	if err := o.admit(met); err != nil {
		t.Fatal(err)
	}
	o.event(stream.Event{What: stream.Trusted{Session: met}, Count: 1, Time: time.Now()})
}

func (o *owned) tell(e otr.Event) { o.event(stream.Event{What: e, Count: 1, Time: time.Now()}) }

// A peer can cause any number of events while a process waits for one.
func TestNoFloodOfEventsHidesAResult(t *testing.T) {
	o := own(t)
	o.meet(t)
	run := &smpRun{waiter: newWaiter(), begin: make(chan struct{}, 1)}
	o.waiters.smp = run
	refreshed := newWaiter()
	add(&o.waiters.secure, refreshed)
	result := make(chan error, 1)
	go func() {
		result <- o.awaitSMP(context.Background(), run, &control.SMP{}, nil)
	}()
	for range 1000 {
		o.tell(otr.PeerError{Text: "flood"})
	}
	o.tell(otr.SMPSucceeded{})
	for range 1000 {
		o.tell(otr.PeerError{Text: "flood"})
	}
	o.tell(otr.Secure{Session: o.session, Refreshed: true})
	if err := wait(t, result); err != nil {
		t.Errorf("SMP succeeded, and the process hears %v", err)
	}
	wait(t, refreshed.done)
}

func TestARunOfSMPEndsWithItsSession(t *testing.T) {
	for _, end := range []fmt.Stringer{otr.PeerEnded{}, otr.Ended{}, otr.Secure{}, stream.Refused{}} {
		o := own(t)
		o.meet(t)
		run := &smpRun{waiter: newWaiter(), begin: make(chan struct{}, 1)}
		o.waiters.smp = run
		o.event(stream.Event{What: end, Count: 1, Time: time.Now()})
		wait(t, run.done)
		if exit.As(run.err).Code != exit.SMP || o.waiters.smp != nil {
			t.Errorf("%v: %v", end, run.err)
		}
	}
}

func TestACrossedRunOfSMPBeginsOnceMore(t *testing.T) {
	o := own(t)
	o.meet(t)
	for _, bold := range []bool{false, true} {
		o.session.FirstHalfBold = bold
		run := &smpRun{waiter: newWaiter(), begin: make(chan struct{}, 1)}
		o.waiters.smp = run
		o.tell(otr.SMPCrossed{})
		o.tell(otr.SMPAborted{}) // belongs to the crossing
		if run.due != bold || len(run.begin) == 1 != bold {
			t.Errorf("bold %v: due %v", bold, run.due)
		}
		o.tell(otr.SMPAsked{})
		if !run.due {
			t.Error("the peer has started again, and is not answered")
		}
		o.tell(otr.SMPAborted{})
		wait(t, run.done)
		if !errors.Is(run.err, ErrSMPAborted) {
			t.Errorf("%v", run.err)
		}
		run = &smpRun{waiter: newWaiter(), begin: make(chan struct{}, 1)}
		o.waiters.smp = run
		o.tell(otr.SMPCrossed{})
		o.tell(otr.SMPCrossed{})
		wait(t, run.done)
		if exit.As(run.err).Code != exit.SMP {
			t.Errorf("crossed twice: %v", run.err)
		}
	}
}

func TestWhatWasAskedInASessionIsNotAnsweredInTheNext(t *testing.T) {
	o := own(t)
	o.options.Stay = true
	o.meet(t)
	o.tell(otr.SMPAsked{Question: "where?"})
	if o.Snapshot().Asked == nil {
		t.Fatal("nothing was asked")
	}
	o.tell(otr.PeerEnded{})
	if now := o.Snapshot(); now.Asked != nil || now.Trusted || now.State != control.StateHandshake {
		t.Errorf("the question is still there: %+v", now)
	}
}

// A controller that comes between a session's beginning and the last check of
// its peer waits for that check.
func TestAProcessWaitsForTheLastCheckOfThePeer(t *testing.T) {
	o := own(t)
	result := make(chan error, 1)
	go func() {
		_, err := o.awaitSecure(context.Background(), nil)
		result <- err
	}()
	_, _ = (<-o.ops)(nil)
	select {
	case err := <-result:
		t.Fatalf("it does not wait: %v", err)
	case <-time.After(10 * time.Millisecond):
	}
	o.meet(t)
	if err := wait(t, result); err != nil {
		t.Error(err)
	}
}

func TestAProcessThatLeavesIsForgotten(t *testing.T) {
	o := own(t)
	ctx, leave := context.WithCancel(t.Context())
	result := make(chan error, 1)
	go func() {
		_, err := o.awaitSecure(ctx, nil)
		result <- err
	}()
	_, _ = (<-o.ops)(nil)
	if len(o.waiters.trusted) != 1 {
		t.Fatal("nobody waits")
	}
	leave()
	_, _ = (<-o.ops)(nil)
	if err := wait(t, result); !errors.Is(err, context.Canceled) || len(o.waiters.trusted) != 0 {
		t.Errorf("%v, and %d wait", err, len(o.waiters.trusted))
	}
}

// The extra symmetric key that a peer announces is handed out while the session with it
// lasts, and only once the peer has met what was asked of it.
func TestTheExtraKeyIsThatOfATrustedPeerInThePresentSession(t *testing.T) {
	o := own(t)
	o.keepExtraKey(stream.SessionID{}, otr.ExtraKeyReceived{Use: 1, Key: []byte("key")})
	for _, test := range []struct{ trusted, here, given bool }{{true, true, true}, {false, true, false}, {true, false, false}} {
		o.trusted, o.here = test.trusted, test.here
		result := make(chan string, 1)
		go func() {
			key, _ := o.ExtraKey(context.Background(), &control.ExtraKey{Received: true})
			result <- string(key)
		}()
		_, _ = (<-o.ops)(nil)
		if given := wait(t, result) == "key"; given != test.given {
			t.Errorf("%+v: given %v", test, given)
		}
	}
}

// A comparison that has failed makes the next one of the home wait, until one succeeds.
func TestAFailedComparisonMakesTheNextOneWait(t *testing.T) {
	o := own(t)
	o.meet(t)
	for i, test := range []struct {
		waits bool
		ends  otr.Event
	}{
		{false, otr.SMPFailed{}},
		{true, otr.SMPFailed{BrokenOff: true}},
		{true, otr.SMPSucceeded{}},
		{false, otr.PeerEnded{}}, // nobody has been shown an outcome
		{false, otr.SMPFailed{}},
		{true, otr.SMPSucceeded{}},
	} {
		wait, err := o.beginGate()
		if err != nil || (wait > 0) != test.waits {
			t.Errorf("comparison %d waits %v, %v", i, wait, err)
		}
		o.tell(test.ends)
	}
}

// Where an hour of comparisons waits already, there is no other one.
func TestNothingIsComparedBehindAFullQueue(t *testing.T) {
	o := own(t)
	o.meet(t)
	log := guesses.Open(o.cfg.Dir, o.cfg.Name.Home, time.Now)
	full := false
	for i := 0; i < 200 && !full; i++ {
		_, err := log.Begin()
		full = errors.Is(err, guesses.ErrQueue)
	}
	if !full {
		t.Fatal("the queue is endless")
	}
	if _, err := o.beginGate(); err == nil || exit.As(err).Code != exit.SMP || !strings.Contains(err.Error(), "already waiting") {
		t.Errorf("%v", err)
	}
}

// What is not counted would be free, and a guesser can use up the file descriptors of a server.
func TestNothingIsComparedIfFailuresCannotBeCounted(t *testing.T) {
	o := own(t)
	o.meet(t)
	if _, err := o.beginGate(); err != nil {
		t.Fatal(err)
	}
	o.tell(otr.SMPFailed{})
	files, err := filepath.Glob(filepath.Join(o.cfg.Dir, "*.guesses"))
	if err != nil || len(files) != 1 {
		t.Fatal(files, err)
	}
	if err := os.Remove(files[0]); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(files[0], 0o700); err != nil {
		t.Fatal(err)
	}
	if _, err := o.beginGate(); err == nil || exit.As(err).Code != exit.SMP || exit.As(err).Hint == "" {
		t.Errorf("%v", err)
	}
	if o.comparison != nil {
		t.Error("a comparison is under way")
	}
}

// What another process asks is for the session that is there when it asks: if that ends
// meanwhile nothing is done, and no secret goes to the peer of the next.
func TestWhatIsAskedIsForOneSession(t *testing.T) {
	t.Parallel() // it waits
	a, _ := connect(t, lines)
	if err := a.Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	id := a.Snapshot().Session
	o := own(t)
	o.meet(t)
	o.id, o.left = id, true
	for name, ask := range map[string]func() error{
		"SMP": func() error {
			return o.CompareSecret(t.Context(), &control.SMP{Secret: []byte("sesame"), Timeout: patience})
		},
		"extra key": func() error {
			_, err := o.ExtraKey(t.Context(), &control.ExtraKey{Use: 1})
			return err
		},
	} {
		o.in = nil
		result := make(chan error, 1)
		go func() { result <- ask() }()
		_, _ = wait(t, o.ops)(nil) // which session is there
		select {
		case err := <-result:
			if err == nil || exit.As(err).Code != exit.Failure || len(o.in) != 1 || o.in[0] != id {
				t.Errorf("%s: %v, asked in %v", name, err, o.in)
			}
		case <-o.ops:
			t.Fatalf("%s is done in whatever session is there", name)
		}
	}
}

// When a session has ended, the key that was announced in it is handed out no more, though
// the next session is with the same peer.
func TestTheExtraKeyOfAnEarlierSessionIsNotHandedOut(t *testing.T) {
	t.Parallel() // it waits
	stay := options.Values{options.StayFlag: {"true"}}
	stay, _ = stay.Merge(lines)
	a, b := connect(t, stay)
	if err := a.Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := a.ExtraKey(t.Context(), &control.ExtraKey{Use: 1}); err != nil {
		t.Fatal(err)
	}
	if err := a.Refresh(t.Context()); err != nil { // after which b has it
		t.Fatal(err)
	}
	received := func() error {
		_, err := b.ExtraKey(t.Context(), &control.ExtraKey{Received: true})
		return err
	}
	if err := received(); err != nil {
		t.Fatal(err)
	}
	old := b.Snapshot().Session
	if err := a.End(); err != nil {
		t.Fatal(err)
	}
	for s := b.Snapshot(); !s.Trusted || s.Session == old; s = b.Snapshot() {
		if !s.Trusted && !a.Snapshot().Trusted {
			_ = b.Query()
		}
		time.Sleep(10 * time.Millisecond)
	}
	if err := received(); err == nil || exit.As(err).Code != exit.Failure {
		t.Errorf("the key of the earlier session: %v", err)
	}
}

// A session of version 3 whose peer has told its key of version 4, and which goes on with
// that, is the same session with the same peer: it is as trusted as it was.
func TestASessionThatGoesOnWithTheKeyThatThePeerToldStaysTrusted(t *testing.T) {
	old, fresh := fingerprint(t, 40), fingerprint(t, 112)
	for _, told := range []bool{true, false} {
		o := own(t)
		v3 := otr.Session{Version: 3, Fingerprint: old}
		if err := o.verify(v3); err != nil {
			t.Fatal(err)
		}
		o.tell(otr.Secure{Session: v3})
		if err := o.admit(v3); err != nil {
			t.Fatal(err)
		}
		o.event(stream.Event{What: stream.Trusted{Session: v3}, Count: 1, Time: time.Now()})
		if told {
			if err := o.keepTold(v3, fresh); err != nil {
				t.Fatal(err)
			}
			o.event(stream.Event{What: stream.Told{Session: v3, Fingerprint: fresh}, Count: 1, Time: time.Now()})
		}
		v4 := otr.Session{Version: 4, Fingerprint: fresh}
		if err := o.verify(v4); err != nil {
			t.Fatal(err)
		}
		o.tell(otr.Secure{Session: v4, Refreshed: true})
		if now := o.Snapshot(); now.Trusted != told || now.Passed != told || now.Fingerprint != fresh {
			t.Errorf("told %v: trusted %v, passed %v, key %v", told, now.Trusted, now.Passed, now.Fingerprint)
		}
	}
}

// fingerprint returns one of so many hexadecimal digits.
func fingerprint(t *testing.T, digits int) keys.Fingerprint {
	t.Helper()
	f, err := keys.ParseFingerprint(strings.Repeat("4", digits))
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// A secret answers the question that it was given for, and no other.
func TestASecretDoesNotAnswerAnotherQuestion(t *testing.T) {
	question, none := "where?", ""
	for _, test := range []struct {
		asked   *string
		run     uint64 // of the question that waits
		givenTo uint64
	}{
		{&question, 3, 2},
		{nil, 2, 2},
		{&question, 1, 0},
		{&none, 1, 2},
	} {
		o := own(t)
		o.smp.asked, o.smp.run = test.asked, test.run
		_, err := o.beginSMP(nil, &control.SMP{Secret: []byte("x"), Run: test.givenTo}, false)
		if !errors.Is(err, errAsksOtherwise) {
			t.Errorf("%+v: %v", test, err)
		}
	}
}

// Some clients speak version 2 only, so a person may meet one without knowing that. Where
// the peer is known, or is checked before anything is said, it is not offered.
func TestAPersonOffersVersion2OnlyWhereThePeersClientIsNotKnown(t *testing.T) {
	known := keyfile.Contact{Keys: []keyfile.ContactKey{{}}}
	for _, test := range []struct {
		name     string
		terminal bool
		values   options.Values
		contact  keyfile.Contact
		want     bool
	}{
		{"a stranger", true, nil, keyfile.Contact{}, true},
		{"a new contact", true, options.Values{options.ContactFlag: {"bob"}}, keyfile.Contact{}, true},
		{"a known contact", true, options.Values{options.ContactFlag: {"bob"}}, known, false},
		{"versions are named", true, options.Values{options.OTRFlag: {"34"}}, keyfile.Contact{}, false},
		{"a verified contact is wanted", true, options.Values{options.ContactFlag: {"bob"}, options.TrustFlag: {"verified"}}, keyfile.Contact{}, false},
		{"a script", false, nil, keyfile.Contact{}, false},
	} {
		o, err := test.values.Options(nil)
		if err != nil {
			t.Fatal(err)
		}
		s := &Session{cfg: Config{AtTerminal: test.terminal}, options: o}
		if got := s.meetsAnyClient(test.contact); got != test.want {
			t.Errorf("%s: %v", test.name, got)
		}
	}
	o, err := options.Values{}.Options([]byte("sesame"))
	if err != nil {
		t.Fatal(err)
	}
	if s := (&Session{cfg: Config{AtTerminal: true}, options: o}); s.meetsAnyClient(keyfile.Contact{}) {
		t.Error("version 2 is offered before a comparison of secrets")
	}
}
