package commands

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"otrpipe/commands/internal/exit"
)

func TestAnEventIsALineThatBeginsWithWhenAndWhat(t *testing.T) {
	path := filepath.Join(t.TempDir(), "events")
	f, err := openEvents(path)
	if err != nil {
		t.Fatal(err)
	}
	log := newEventLog(f, "work", t.Errorf)
	at := time.Date(2024, 2, 29, 12, 0, 0, 500, time.FixedZone("", 3600))
	bob, n, question := "bob", int64(0), "which\ncity?"
	log.write(at, event{Event: eventSecure, peer: &peer{Version: 3, Fingerprint: someKey, Contact: &bob, Trust: peerKnown, SSID: "00ff", Instance: instance(0x100)}})
	log.write(at, event{Event: eventSMPAsked, Question: &question})
	log.write(at, event{Event: eventUnencrypted, Bytes: &n, Count: 12})
	log.close()
	log.write(at, event{Event: eventEnded}) // comes too late and is dropped

	got, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	want := `{"time":"2024-02-29T11:00:00.0000005Z","event":"secure","session":"work","version":3,"fingerprint":"` + someKey + `","contact":"bob","trust":"known","ssid":"00ff","instance":"00000100"}
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
		f, err := openEvents(path)
		if err != nil {
			t.Fatal(err)
		}
		log := newEventLog(f, "work", t.Errorf)
		log.write(time.Now(), event{Event: eventStarted})
		log.close()
	}
	got, _ := os.ReadFile(path)
	if n := bytes.Count(got, []byte("\n")); n != 2 {
		t.Errorf("%d events, want both runs':\n%s", n, got)
	}
}

func TestASleepingReaderOfEventsDoesNotHoldTheSessionUp(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	log := newEventLog(w, "work", t.Errorf)
	// Far more than a pipe and the queue hold: write must not wait.
	const many = 10 * eventQueue
	for i := range many {
		log.write(time.Now(), event{Event: eventPeerError, Reason: strings.Repeat("x", 200) + fmt.Sprint(i)})
	}
	go log.close()
	lines := 0
	for s := bufio.NewScanner(r); s.Scan(); lines++ {
		var e event
		if err := json.Unmarshal(s.Bytes(), &e); err != nil {
			t.Fatalf("%v: %s", err, s.Text())
		}
	}
	if lines < eventQueue || lines >= many {
		t.Errorf("%d of %d events came through", lines, many)
	}
}

func TestALogThatFailsWarnsOnce(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	r.Close()
	var warnings atomic.Int32
	log := newEventLog(w, "work", func(string, ...any) { warnings.Add(1) })
	for range 5 {
		log.write(time.Now(), event{Event: eventStarted})
	}
	log.close()
	if n := warnings.Load(); n != 1 {
		t.Errorf("%d warnings", n)
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
		f, err := openEvents(test.value)
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
