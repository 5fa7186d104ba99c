//go:build unix

package control

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"otrpipe/commands/internal/exit"
)

// stopped returns the name of a session in dir that does not answer, as that of a
// stopped process does not.
func stopped(t *testing.T, dir, session string) Name {
	t.Helper()
	name := Name{Home: "/home/alice", Identity: "default", Session: session}
	l, err := Listen(dir, name)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(l.Close)
	return name
}

func TestStoppedSessionsDoNotHideTheOthers(t *testing.T) {
	if testing.Short() {
		t.Skip("short: waits for a second")
	}
	_, _, dir := serve(t, host{})
	names := []Name{stopped(t, dir, "a"), stopped(t, dir, "b"), stopped(t, dir, "z")}
	begun := time.Now()
	answered, silent := Find(dir, time.Second, Filter{})
	took := time.Since(begun)
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
	if took > 2*time.Second { // they are asked at once
		t.Errorf("it took %v", took)
	}
	status := silent[0].Status()
	if status.State != StateSilent || status.Session != "a" || status.PID != os.Getpid() {
		t.Errorf("the status of a silent session is %+v", status)
	}
}

func TestOnlyTheSessionThatIsMeantIsAsked(t *testing.T) {
	_, _, dir := serve(t, host{})
	stopped(t, dir, "work")
	begun := time.Now()
	c, err := Choose(dir, Filter{Session: "default"})
	if err != nil {
		t.Fatal(err)
	}
	c.Close()
	if took := time.Since(begun); took >= AnswerTime {
		t.Errorf("it took %v", took)
	}
}

// What a lock file says is read up to a bound. A host that cannot be read has to be asked.
func TestALockFileThatIsTooLongIsNotRead(t *testing.T) {
	dir := t.TempDir()
	name := stopped(t, dir, "work")
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
	work := stopped(t, dir, "work")
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
	if _, err := Choose(t.TempDir(), Filter{}); err == nil || exit.As(err).Hint != "" {
		t.Errorf("without any session: %v", err)
	}
}
