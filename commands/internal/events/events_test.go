package events

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"otrpipe/commands/internal/exit"
)

const key = "0123456789abcdef0123456789abcdef01234567"

func TestAnEventIsALineThatBeginsWithWhenAndWhat(t *testing.T) {
	path := filepath.Join(t.TempDir(), "events")
	f, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	log := NewLog(f, "work", t.Errorf)
	at := time.Date(2024, 2, 29, 12, 0, 0, 500, time.FixedZone("", 3600))
	bob, n, question := "bob", int64(0), "which\ncity?"
	log.Write(at, Record{Event: Secure, Peer: &Peer{Version: 3, Fingerprint: key, Contact: &bob, Trust: "known", SSID: "00ff", Instance: Instance(0x100)}})
	log.Write(at, Record{Event: SMPAsked, Question: &question})
	log.Write(at, Record{Event: Unencrypted, Bytes: &n, Count: 12})
	log.Close()
	log.Write(at, Record{Event: Ended}) // comes too late and is dropped

	got, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	want := `{"time":"2024-02-29T11:00:00.0000005Z","event":"secure","session":"work","version":3,"fingerprint":"` + key + `","contact":"bob","trust":"known","ssid":"00ff","instance":"00000100"}
{"time":"2024-02-29T11:00:00.0000005Z","event":"smp_asked","session":"work","question":"which\ncity?"}
{"time":"2024-02-29T11:00:00.0000005Z","event":"unencrypted","session":"work","bytes":0,"count":12}
`
	if string(got) != want {
		t.Errorf("written:\n%swant:\n%s", got, want)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the file has mode %v, %v", info.Mode(), err)
	}
}

func TestEventsAreAppended(t *testing.T) {
	path := filepath.Join(t.TempDir(), "events")
	for range 2 {
		f, err := Open(path)
		if err != nil {
			t.Fatal(err)
		}
		log := NewLog(f, "work", t.Errorf)
		log.Write(time.Now(), Record{Event: Started})
		log.Close()
	}
	got, _ := os.ReadFile(path)
	if n := bytes.Count(got, []byte("\n")); n != 2 {
		t.Errorf("%d events, want both runs':\n%s", n, got)
	}
}

func TestLastEventsThatAreNotReadAreReportedOnce(t *testing.T) {
	t.Parallel() // it waits
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	var reports []string
	log := NewLog(w, "work", func(format string, a ...any) { reports = append(reports, fmt.Sprintf(format, a...)) })
	for range 1000 { // more than a pipe holds
		log.Write(time.Now(), Record{Event: PeerError, Reason: strings.Repeat("x", 200)})
	}
	log.Close()
	log.Close()
	if len(reports) != 1 || !strings.Contains(reports[0], "the last ones are lost") {
		t.Errorf("it is reported: %q", reports)
	}
	_, _ = io.Copy(io.Discard, r)
}

func TestASleepingReaderOfEventsDoesNotHoldTheSessionUp(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	var reports []string
	log := NewLog(w, "work", func(format string, a ...any) { reports = append(reports, fmt.Sprintf(format, a...)) })
	// Far more than a pipe and the queue hold: write must not wait.
	const many = 10 * queueSize
	for i := range many {
		log.Write(time.Now(), Record{Event: PeerError, Reason: strings.Repeat("x", 200) + fmt.Sprint(i)})
	}
	go log.Close()
	lines := 0
	for s := bufio.NewScanner(r); s.Scan(); lines++ {
		var e Record
		if err := json.Unmarshal(s.Bytes(), &e); err != nil {
			t.Fatalf("%v: %s", err, s.Text())
		}
	}
	if len(reports) != 1 || !strings.Contains(reports[0], "some are left out") {
		t.Errorf("it is reported that events are missing: %q", reports)
	}
	if lines < queueSize || lines >= many {
		t.Errorf("%d of %d events came through", lines, many)
	}
}

func TestALogThatFailsReportsOnce(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	r.Close()
	var reports atomic.Int32
	log := NewLog(w, "work", func(string, ...any) { reports.Add(1) })
	for range 5 {
		log.Write(time.Now(), Record{Event: Started})
	}
	log.Close()
	if n := reports.Load(); n != 1 {
		t.Errorf("%d reports", n)
	}
}

func TestEventsToWhatIsNoFileAreRefused(t *testing.T) {
	for _, test := range []struct {
		value string
		code  int
	}{
		{"fd:", exit.Usage}, {"fd:x", exit.Usage}, {"fd:-1", exit.Usage}, {"fd:4000", exit.Usage},
		{filepath.Join(t.TempDir(), "missing", "events"), exit.Failure},
	} {
		f, err := Open(test.value)
		if err == nil {
			f.Close()
			t.Errorf("%s is accepted", test.value)
			continue
		}
		if code := exit.As(err).Code; code != test.code {
			t.Errorf("%s: exit code %d, want %d", test.value, code, test.code)
		}
	}
}

func TestDescriptorsThatTheCallerDidNotGiveAreRefused(t *testing.T) {
	ours, err := os.Open(os.DevNull) // has FD_CLOEXEC, as the Go runtime's own
	if err != nil {
		t.Fatal(err)
	}
	defer ours.Close()
	for _, value := range []string{fmt.Sprintf("fd:%d", ours.Fd()), "fd:987", "fd:1", "fd:-1", "fd:x"} {
		var e *exit.Error
		if err := Check(value); !errors.As(err, &e) || e.Code != exit.Usage {
			t.Errorf("checking %s: %v", value, err)
		}
		if f, err := Open(value); !errors.As(err, &e) || e.Code != exit.Usage {
			t.Errorf("opening %s: %v, %v", value, f, err)
		}
	}
	if err := Check(filepath.Join(t.TempDir(), "file")); err != nil {
		t.Errorf("a file: %v", err)
	}
}
