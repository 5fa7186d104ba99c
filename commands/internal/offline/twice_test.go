//go:build unix

package offline

import (
	"bytes"
	"fmt"
	"os"
	"testing"
	"time"

	"otrpipe/commands/internal/exit"
	"otrpipe/commands/internal/trust"
	protocol "otrpipe/otr/offline"
	"otrpipe/otr/v4"
	"otrpipe/otr/wire"
)

// dataKeys names the key of each data message in lines: its ratchet's ECDH key and its id.
func dataKeys(t *testing.T, lines []byte) (names []string) {
	t.Helper()
	for _, line := range bytes.Fields(lines) {
		msg, err := wire.AppendDearmored(nil, line)
		if err != nil {
			t.Fatal(err)
		}
		h, body, err := wire.ParseHeader(msg)
		if err != nil {
			t.Fatal(err)
		}
		if h.Type != wire.TypeData {
			continue
		}
		m, err := v4.ParseData(body)
		if err != nil {
			t.Fatal(err)
		}
		names = append(names, fmt.Sprintf("%x %d", m.ECDH, m.MessageID))
	}
	return names
}

// mustDiffer reports keys that have encrypted twice.
func mustDiffer(t *testing.T, written ...[]byte) {
	t.Helper()
	seen := map[string]bool{}
	for _, lines := range written {
		for _, name := range dataKeys(t, lines) {
			if seen[name] {
				t.Errorf("key %s has encrypted two messages", name)
			}
			seen[name] = true
		}
	}
}

// Another process may find the session and write in it, before the one that began it has come to know
// that its output took the end.
func TestASessionThatOthersWentOnInIsNotSetBack(t *testing.T) {
	alice, bob := newPerson(t, "alice"), newPerson(t, "bob")
	ensembles := alice.publish(1, "")
	valid, _ := protocol.ReadEnsembles(ensembles, time.Now())
	first := bob.run([]byte("hello"), "alice", trust.RequireNew)
	b, err := first.take(valid[0], valid, file(t, ensembles))
	if err != nil {
		t.Fatal(err)
	}
	in, err := first.openInput()
	if err != nil {
		t.Fatal(err)
	}
	defer in.close()
	w := &writing{Config: first.Config, session: b.session, in: in, begins: true, firstOut: b.file.close}
	if err := w.message(b.line); err != nil {
		t.Fatal(err)
	}
	written := [][]byte{content(t, first.out)}
	for i := range 2 {
		r := bob.run([]byte("more"), "", trust.RequireNew)
		if err := r.Reply("alice"); err != nil {
			t.Fatal(err)
		}
		written = append(written, content(t, r.out))
		if i == 0 {
			if err := w.finish(); err != nil {
				t.Fatal(err)
			}
		}
	}
	mustDiffer(t, written...)
}

// A session that begins with texts is in the store while they are written.
func TestNobodyElseWritesInASessionWhoseTextsAreBeingWritten(t *testing.T) {
	alice, bob := newPerson(t, "alice"), newPerson(t, "bob")
	ensembles := alice.publish(1, "")
	r := bob.run(nil, "alice", trust.RequireNew)
	r.Texts = true
	in, input, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	r.In = in
	ended := make(chan error, 1)
	go func() { ended <- r.Send(ensembles, file(t, ensembles), 0) }()
	if _, err := input.WriteString("one\n"); err != nil {
		t.Error(err)
	}
	for begun := time.Now(); bytes.Count(content(t, r.out), []byte("\n")) < 2 && time.Since(begun) < time.Minute; {
		time.Sleep(time.Millisecond)
	}
	other := bob.run([]byte("another\n"), "", trust.RequireNew)
	other.Texts = true
	mustBe(t, other.Reply("alice"), exit.Session, "another process")
	for range 20 { // more than are reserved at first
		if _, err := input.WriteString("two\n"); err != nil {
			t.Error(err)
		}
	}
	input.Close()
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
	mustDiffer(t, content(t, r.out), content(t, other.out))
}

// A process that writes in a session stores it again when it ends.
func TestASessionThatIsInUseIsNotForgotten(t *testing.T) {
	alice, bob := newPerson(t, "alice"), newPerson(t, "bob")
	bob.mustSend(file(t, alice.publish(1, "")), "hello", "alice")
	r := bob.run(nil, "", trust.RequireNew)
	in, input, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	r.In = in
	ended := make(chan error, 1)
	go func() { ended <- r.Reply("alice") }()
	if _, err := input.Write(make([]byte, protocol.BulkLen)); err != nil {
		t.Error(err)
	}
	for begun := time.Now(); len(content(t, r.out)) == 0 && time.Since(begun) < time.Minute; {
		time.Sleep(time.Millisecond)
	}
	forgotten := bob.run(nil, "", trust.RequireNew).Forget("alice")
	input.Close()
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
	hinted(t, forgotten, exit.Session, "it may store the session again")
	if err := bob.run(nil, "", trust.RequireNew).Forget("alice"); err != nil {
		t.Error(err)
	}
	if n := bob.sessions(); n != 0 {
		t.Errorf("%d sessions are kept", n)
	}
}
