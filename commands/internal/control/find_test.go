//go:build unix

package control

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"otrpipe/commands/internal/exit"
)

// stopped returns the name of a session in dir that does not answer, as that of a stopped
// process does not, and its socket.
func stopped(t *testing.T, dir, session string) (Name, *Listener) {
	t.Helper()
	name := Name{Home: "/home/alice", Identity: "default", Session: session}
	l, err := Listen(dir, name)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(l.Close)
	return name, l
}

func TestStoppedSessionsDoNotHideTheOthers(t *testing.T) {
	_, _, dir := serve(t, host{})
	var names []Name
	for _, session := range []string{"a", "b", "z"} {
		name, _ := stopped(t, dir, session)
		names = append(names, name)
	}
	var answered []*Client
	var silent []Silent
	// A busy machine may need more than the first limit to answer.
	for limit := 100 * time.Millisecond; len(answered) == 0 && limit < patience; limit *= 2 {
		answered, silent = Find(dir, limit, Filter{})
	}
	for _, c := range answered {
		defer c.Close()
	}
	if len(answered) != 1 || answered[0].Status.Session != "default" {
		t.Errorf("%d sessions answered", len(answered))
	}
	if len(silent) != len(names) {
		t.Fatalf("%v are silent", silent)
	}
	for i, s := range silent {
		if s.Name != names[i] || s.PID != os.Getpid() {
			t.Errorf("%+v is silent, not %+v", s, names[i])
		}
	}
	status := silent[0].Status()
	if status.State != StateSilent || status.Session != "a" || status.PID != os.Getpid() {
		t.Errorf("the status of a silent session is %+v", status)
	}
}

// A patientHost answers once every session has been asked.
type patientHost struct {
	host
	name  string
	left  *atomic.Int32 // sessions that have not been asked yet
	asked chan struct{} // closed when there is none
}

func (h patientHost) Handle(ctx context.Context, _ *Request) Reply {
	if h.left.Add(-1) == 0 {
		close(h.asked)
	}
	select {
	case <-h.asked:
	case <-ctx.Done():
	}
	return Reply{Status: &Status{Session: h.name}}
}

func TestAllSessionsAreAskedAtTheSameTime(t *testing.T) {
	dir := t.TempDir()
	names := []string{"a", "b", "c"}
	var left atomic.Int32
	left.Store(int32(len(names)))
	asked := make(chan struct{})
	for _, name := range names {
		l, err := Listen(dir, Name{Session: name})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(l.Close)
		go l.Serve(patientHost{name: name, left: &left, asked: asked})
	}
	answered, silent := Find(dir, patience, Filter{})
	for _, c := range answered {
		defer c.Close()
	}
	if len(answered) != len(names) || len(silent) > 0 {
		t.Errorf("%d sessions answered, and %v did not", len(answered), silent)
	}
}

func TestOnlyTheSessionThatIsMeantIsAsked(t *testing.T) {
	_, _, dir := serve(t, host{})
	name, other := stopped(t, dir, "work")
	c, err := Choose(dir, Filter{Session: "default"})
	if err != nil {
		t.Fatal(err)
	}
	c.Close()
	ours, err := Dial(dir, name)
	if err != nil {
		t.Fatal(err)
	}
	defer ours.Close()
	if err := ours.Send(&Request{End: true}); err != nil {
		t.Fatal(err)
	}
	first, err := other.accept()
	if err != nil {
		t.Fatal(err)
	}
	defer first.Close()
	if m := receiveRequest(first); m.err != nil || !m.request.End {
		t.Errorf("the other session was asked too: %+v, %v", m.request, m.err)
	}
}

// What a lock file says is read up to a bound. A host that cannot be read has to be asked.
func TestALockFileThatIsTooLongIsNotRead(t *testing.T) {
	dir := t.TempDir()
	name, _ := stopped(t, dir, "work")
	path := filepath.Join(dir, name.file()+lockSuffix)
	line, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, size := range []int{len(line), maxHost, maxHost + 1} {
		if err := os.WriteFile(path, append(line, bytes.Repeat([]byte{' '}, size-len(line))...), 0o600); err != nil {
			t.Fatal(err)
		}
		var s Silent
		if known := readHost(path, &s); known != (size <= maxHost) || known && s.Name != name {
			t.Errorf("%d bytes: read %v, %+v", size, known, s)
		}
		if other := len(hostsIn(dir, Filter{Session: "other"})); (other == 1) != (size > maxHost) {
			t.Errorf("%d bytes: %d hosts are asked for another session", size, other)
		}
	}
}

func TestAChoiceThatCannotBeMadeSaysWhatThereIs(t *testing.T) {
	if testing.Short() {
		t.Skip("short: waits six seconds for a session that is stopped")
	}
	_, _, dir := serve(t, host{})
	work, _ := stopped(t, dir, "work")
	for _, test := range []struct {
		name   string
		filter Filter
		code   int
		words  []string
	}{
		{"the session is stopped", Filter{Session: work.Session}, exit.Session, []string{`"work" does not answer`, "kill -CONT"}},
		{"there are several", Filter{Home: work.Home}, exit.Usage, []string{"several", `"default"`, `"work"`, "does not answer"}},
		{"there is none", Filter{Session: "other"}, exit.Session, []string{`no session "other"`, "live are", `"work"`}},
	} {
		_, err := Choose(dir, test.filter)
		if err == nil {
			t.Errorf("%s: one was chosen", test.name)
			continue
		}
		e := exit.As(err)
		for _, word := range test.words {
			if e.Code != test.code || !strings.Contains(e.Error()+"; "+e.Hint, word) {
				t.Errorf("%s: %d %v; %s", test.name, e.Code, e, e.Hint)
			}
		}
	}
	if _, err := Choose(t.TempDir(), Filter{}); err == nil || !strings.HasPrefix(exit.As(err).Hint, "begin one with ") {
		t.Errorf("without any session: %v", err)
	}
}
