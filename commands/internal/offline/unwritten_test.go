//go:build unix

package offline

import (
	"bytes"
	"errors"
	"io"
	"os"
	"strings"
	"testing"
	"time"

	"otrpipe/commands/internal/exit"
	"otrpipe/commands/internal/trust"
	protocol "otrpipe/otr/offline"
	"otrpipe/testscripts/slowtest"
)

// closedPipe is the exit code for an output that nobody reads any more.
const closedPipe = 141

// toNobody makes the output of a run a pipe whose reader leaves after so many bytes.
func toNobody(t *testing.T, r *run, after int64) {
	t.Helper()
	in, out, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	left := make(chan struct{})
	read := func() {
		io.CopyN(io.Discard, in, after)
		in.Close()
		close(left)
	}
	if after == 0 {
		read()
	} else {
		go read()
	}
	r.Out = out
	t.Cleanup(func() {
		out.Close()
		<-left
	})
}

func hinted(t *testing.T, err error, code int, hint string) {
	t.Helper()
	var e *exit.Error
	if !errors.As(err, &e) || e.Code != code || !strings.Contains(e.Hint, hint) {
		t.Errorf("%v, not %d with the hint %q", err, code, hint)
		if e != nil {
			t.Errorf("its code is %d, its hint %q", e.Code, e.Hint)
		}
	}
}

// sessions returns how many sessions the person has.
func (p *person) sessions() int {
	p.t.Helper()
	list, err := p.run(nil, "", trust.RequireNew).List()
	if err != nil {
		p.t.Fatal(err)
	}
	return len(list.Sessions)
}

func TestAnEnsembleIsUnusedAgainWhereNothingOfTheMessageWasWritten(t *testing.T) {
	alice, bob := newPerson(t, "alice"), newPerson(t, "bob")
	ensembles := alice.publish(1, "")
	path := file(t, ensembles)
	for range 2 {
		r := bob.run([]byte("hello"), "alice", trust.RequireNew)
		toNobody(t, r, 0)
		hinted(t, r.Send(ensembles, path, 0), closedPipe, "the ensemble is unused again")
		if after, _ := os.ReadFile(path); !bytes.Equal(after, ensembles) {
			t.Error("the ensemble is marked as used")
		}
		// Otherwise --reply-to would write in a session of which alice knows nothing.
		if n := bob.sessions(); n != 0 {
			t.Errorf("%d sessions are kept", n)
		}
	}
	if got, err := alice.receive(bob.mustSend(path, "hello", "alice"), "bob", trust.RequireNew); err != nil || got != "hello" {
		t.Errorf("%q, %v", got, err)
	}
}

func TestAnInputThatCannotBeReadCostsNothing(t *testing.T) {
	alice, bob := conversation(t)
	ensembles := alice.publish(1, "")
	path := file(t, ensembles)
	folder, err := os.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer folder.Close()
	for _, texts := range []bool{false, true} {
		for _, reply := range []bool{false, true} {
			r := bob.run(nil, "alice", trust.RequireNew)
			r.In, r.Texts = folder, texts
			if reply {
				err = r.Reply("alice")
			} else {
				err = r.Send(ensembles, path, 0)
			}
			mustBe(t, err, exit.Failure, "reading the plaintext")
			if lines := content(t, r.out); len(lines) > 0 {
				t.Errorf("texts %v, reply %v: %d bytes came out", texts, reply, len(lines))
			}
		}
	}
	if after, _ := os.ReadFile(path); !bytes.Equal(after, ensembles) {
		t.Error("the ensemble is marked as used")
	}
	if n := bob.gap(); n != 0 { // of the one session that there was
		t.Errorf("%d of its messages are lost", n)
	}
	if got, err := alice.receive(bob.mustSend(path, "hello", "alice"), "bob", trust.RequireNew); err != nil || got != "hello" {
		t.Errorf("%q, %v", got, err)
	}
}

// Alice may have begun to read it, and then the ensemble is used.
func TestAnEnsembleStaysUsedWhereAPartOfTheMessageWasWritten(t *testing.T) {
	alice, bob := newPerson(t, "alice"), newPerson(t, "bob")
	ensembles := alice.publish(2, "")
	path := file(t, ensembles)
	for _, texts := range []bool{false, true} {
		hint, kept := "the same command writes it anew, to another ensemble", 0
		if texts { // alice can read and answer those that were written
			hint, kept = "sends the others", 1
		}
		r := bob.run(bytes.Repeat([]byte("a line\n"), 50_000), "alice", trust.RequireNew)
		r.Texts = texts
		toNobody(t, r, 5000) // the beginning has some 2,100 characters
		hinted(t, r.Send(ensembles, path, 0), closedPipe, hint)
		if n := bob.sessions(); n != kept {
			t.Errorf("%d sessions are kept, not %d", n, kept)
		}
	}
	if after, _ := os.ReadFile(path); bytes.Count(after, []byte(protocol.UsedMark)) != 2 {
		t.Errorf("not both ensembles are marked:\n%s", after)
	}
	_, err := bob.send(path, "hello", "alice")
	mustBe(t, err, exit.Failure, "no unused ensemble")
}

// conversation has two people with a session in which alice can write to bob, and bob to alice.
func conversation(t *testing.T) (alice, bob *person) {
	t.Helper()
	alice, bob = newPerson(t, "alice"), newPerson(t, "bob")
	lines := bob.mustSend(file(t, alice.publish(1, "")), "hello", "alice")
	if _, err := alice.receive(lines, "bob", trust.RequireNew); err != nil {
		t.Fatal(err)
	}
	return alice, bob
}

// reply is read by the other person, whose error is returned.
func (p *person) reply(to string, other *person) error {
	p.t.Helper()
	r := p.run([]byte("thanks"), "", trust.RequireNew)
	if err := r.Reply(to); err != nil {
		p.t.Fatal(err)
	}
	got, err := other.receive(content(p.t, r.out), p.id.Name, trust.RequireNew)
	if err == nil && got != "thanks" {
		p.t.Errorf("%q was read", got)
	}
	return err
}

// However often a reply fails, the one that is written can be read.
func TestRepliesThatCannotBeWrittenCanBeRepeated(t *testing.T) {
	alice, bob := conversation(t)
	for range 5 {
		r := alice.run([]byte("thanks"), "", trust.RequireNew)
		toNobody(t, r, 0)
		hinted(t, r.Reply("bob"), closedPipe, "the same command writes it anew")
	}
	// The only message of this one ends the session.
	r := alice.run(nil, "", trust.RequireNew)
	r.Last = true
	toNobody(t, r, 0)
	hinted(t, r.Reply("bob"), closedPipe, "the same command writes it anew")
	if err := alice.reply("bob", bob); err != nil {
		t.Error(err)
	}
}

// The text that cannot be sent is left out, and the session goes on all the same.
func TestTextsThatAreNotSentCostTheSessionNothing(t *testing.T) {
	slowtest.SkipShort(t)
	alice, bob := conversation(t)
	for i := range 5 {
		r := alice.run([]byte("one\nt\x00wo\n"), "", trust.RequireNew)
		r.Texts, r.Last = true, i == 4
		mustBe(t, r.Reply("bob"), exit.Broken, "not everything of our input was sent")
		if i == 4 {
			read := bob.run(content(t, r.out), "alice", trust.RequireNew)
			read.Texts = true
			if err := read.Receive(); err != nil || string(content(t, read.out)) != "one\n" {
				t.Errorf("%q, %v", content(t, read.out), err)
			}
		}
	}
	if n := alice.sessions(); n != 0 {
		t.Errorf("after its end %d sessions are kept", n)
	}
}

// A reply that is lost may be longer than the gap over which the peer can read on.
func TestAReplyThatIsLostAndTooLongIsToldToTheUser(t *testing.T) {
	slowtest.SkipShort(t)
	alice, bob := conversation(t)
	long := make([]byte, (protocol.MaxGap+100)*protocol.PieceLen)
	r := alice.run(long, "", trust.RequireNew)
	toNobody(t, r, int64(len(long)*5/4))
	hinted(t, r.Reply("bob"), closedPipe, "the peer cannot read what comes after it: write with --to instead")
	again := alice.run([]byte("thanks"), "", trust.RequireNew)
	mustBe(t, again.Reply("bob"), exit.Session, "the peer cannot read what comes after it")
	if n := len(content(t, again.out)); n > 0 {
		t.Errorf("%d bytes came out", n)
	}
	if err := bob.reply("alice", alice); err != nil {
		t.Errorf("what the peer writes can be read all the same: %v", err)
	}
}

// gap returns how many messages of the person's only session are lost.
func (p *person) gap() int {
	p.t.Helper()
	store, err := p.run(nil, "", trust.RequireNew).load()
	if err != nil {
		p.t.Fatal(err)
	}
	all := store.Sessions()
	if len(all) != 1 {
		p.t.Fatalf("%d sessions are kept", len(all))
	}
	return all[0].Gap()
}

func TestOnlyMessagesThatWereNotWrittenCountAsLost(t *testing.T) {
	alice, bob := conversation(t)
	if n := bob.gap(); n != 0 {
		t.Errorf("after the first message %d are lost", n)
	}
	r := alice.run([]byte("thanks"), "", trust.RequireNew)
	toNobody(t, r, 0)
	hinted(t, r.Reply("bob"), closedPipe, "the same command writes it anew")
	if n := alice.gap(); n != 1 {
		t.Errorf("after a reply that was not written %d are lost", n)
	}
	r = alice.run(bytes.Repeat([]byte("a line\n"), 500), "", trust.RequireNew)
	r.Texts = true
	toNobody(t, r, 50_000)
	hinted(t, r.Reply("bob"), closedPipe, "sends the others")
	if n := alice.gap(); n != 1 {
		t.Errorf("after texts of which the last was not written %d are lost", n)
	}
	if err := alice.reply("bob", bob); err != nil {
		t.Error(err)
	}
	if n := alice.gap(); n != 0 {
		t.Errorf("after a reply %d are lost", n)
	}
}

// A message that comes long after the last one that was read says what to do.
func TestAMessageAfterTooManyMissingOnesSaysSo(t *testing.T) {
	alice, bob := conversation(t)
	r := alice.run([]byte("thanks"), "", trust.RequireNew)
	store, err := r.load()
	if err != nil {
		t.Fatal(err)
	}
	session := store.Sessions()[0]
	if err := r.put(session, protocol.MaxGap+1); err != nil {
		t.Fatal(err)
	}
	if store, err = r.load(); err != nil {
		t.Fatal(err)
	}
	session = store.Sessions()[0]
	session.HandedOut(0) // to bob, who has never got it
	if err := r.put(session, 0); err != nil {
		t.Fatal(err)
	}
	if err := r.Reply("bob"); err != nil {
		t.Fatal(err)
	}
	_, err = bob.receive(content(t, r.out), "alice", trust.RequireNew)
	mustBe(t, err, exit.Failure, "too many messages before it are missing")
	hinted(t, err, exit.Failure, "read the sender's earlier messages first")
}

// A sender that is killed leaves no session in which --reply-to would write to nobody.
func TestASessionIsKeptOnceTheMessageThatBeginsItIsAtItsEnd(t *testing.T) {
	alice, bob := newPerson(t, "alice"), newPerson(t, "bob")
	ensembles := alice.publish(1, "")
	r := bob.run(nil, "alice", trust.RequireNew)
	in, input, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	r.In = in
	ended := make(chan error, 1)
	go func() { ended <- r.Send(ensembles, file(t, ensembles), 0) }()
	if _, err := input.Write(make([]byte, 2*protocol.BulkLen)); err != nil {
		t.Error(err)
	}
	for begun := time.Now(); len(content(t, r.out)) < protocol.BulkLen && time.Since(begun) < time.Minute; {
		time.Sleep(time.Millisecond)
	}
	if n := bob.sessions(); n != 0 {
		t.Errorf("%d sessions are kept before the end", n)
	}
	input.Close()
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
	if n := bob.sessions(); n != 1 {
		t.Errorf("%d sessions are kept at the end", n)
	}
	if _, err := alice.receive(content(t, r.out), "bob", trust.RequireNew); err != nil {
		t.Fatal(err)
	}
	if err := alice.reply("bob", bob); err != nil {
		t.Error(err)
	}
	if err := bob.reply("alice", alice); err != nil {
		t.Error(err)
	}
}
