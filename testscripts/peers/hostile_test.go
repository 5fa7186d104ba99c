//go:build unix

package peers

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"otrpipe/testscripts/slowtest"
)

// attack runs otrpipe with a hostile peer as its transport, and returns its exit code,
// what the peer gained, and otrpipe's standard error and events.
func attack(t *testing.T, h *home, version int, move string, say func(*live), flags ...string) (code int, gained []string, stderr, events string) {
	t.Helper()
	program, err := helper("hostile")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	seen, log := filepath.Join(dir, "seen"), filepath.Join(dir, "events")
	args := append([]string{"otrpipe", "connect", "--otr", strconv.Itoa(version), "--events", log}, flags...)
	args = append(args, "--", program, "--seen", seen, "--move", move, "--version", strconv.Itoa(version))
	l := h.begin(args...)
	if say != nil {
		say(l)
	}
	code = l.left()
	b, err := os.ReadFile(seen)
	if err != nil {
		t.Fatal(err)
	}
	e, err := os.ReadFile(log)
	if err != nil {
		t.Fatal(err)
	}
	return code, strings.Split(strings.TrimSuffix(string(b), "\n"), "\n"), l.stderr.String(), string(e)
}

// A guesser that is shown the outcome has had its one guess, whatever it does then. The
// next connection waits, and says why.
func TestAGuesserHasOneGuessAConnectionAndIsSeen(t *testing.T) {
	long(t)
	t.Parallel()
	moves := []string{"abort", "start", "exchange", "end", "leave", "wait", "close"}
	for _, version := range []int{2, 3, 4} {
		for i, move := range moves {
			t.Run(move+" in version "+strconv.Itoa(version), func(t *testing.T) {
				slowtest.SkipUnless(t, version == 4 && i < 2)
				t.Parallel()
				h := newHome(t)
				flags := []string{"--smp-secret-file", secretFile(t, "1234"), "--timeout", "10s"}
				if version == 2 || i%2 == 0 {
					flags = append(flags, "--mode", "lines")
				}
				if move == "close" { // it must be noticed without a time limit
					flags[len(flags)-3] = "0"
					flags = append(flags, "--stay")
				}
				code, gained, stderr, events := attack(t, h, version, move, nil, flags...)
				if code != 4 || len(gained) != 1 || gained[0] != "guess" {
					t.Errorf("exit code %d, the peer gained %q", code, gained)
				}
				if strings.Count(events, `"event":"smp_failed"`) != 1 || !strings.Contains(stderr, "somebody may be guessing") {
					t.Errorf("events %s; told: %s", events, stderr)
				}
				start := time.Now()
				code, gained, stderr, _ = attack(t, h, version, "leave", nil, flags...)
				if took := time.Since(start); code != 4 || len(gained) != 1 || took < time.Second || !strings.Contains(stderr, "waiting 1s before the secrets are compared") {
					t.Errorf("the next one: exit code %d, gained %q after %v; told: %s", code, gained, took, stderr)
				}
			})
		}
	}
}

// Another key that comes in mid-session under the peer's instance tag gets no text; the run
// ends with 3, and with --stay only that session.
func TestAnotherKeyThatTakesTheWireOverGetsNoText(t *testing.T) {
	long(t)
	t.Parallel()
	for _, version := range []int{3, 4} {
		for _, stay := range []bool{false, true} {
			t.Run("version "+strconv.Itoa(version)+", stay "+strconv.FormatBool(stay), func(t *testing.T) {
				slowtest.SkipUnless(t, version == 4 && !stay)
				t.Parallel()
				flags := []string{"--mode", "lines", "--timeout", "20s"}
				if stay {
					flags = append(flags, "--stay")
				}
				say := func(l *live) {
					l.say("first\n")
					if stay {
						eventually(t, "a refusal", func() bool { return strings.Contains(l.stderr.String(), "a session with another key was refused") }, l.stderr.String)
						l.say("second\n")
						time.Sleep(time.Second)
						l.cmd.Process.Signal(os.Interrupt)
					}
				}
				code, gained, stderr, _ := attack(t, newHome(t), version, "takeover", say, flags...)
				if want := map[bool]int{false: 3, true: 130}[stay]; code != want {
					t.Errorf("exit code %d; told: %s", code, stderr)
				}
				if len(gained) != 1 || gained[0] != "" {
					t.Errorf("the other key read %q", gained)
				}
			})
		}
	}
}
