//go:build unix

package peers

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"otrpipe/testscripts/peers/python"

	"otrpipe/testscripts/slowtest"
)

// Other programs of version 4 bind account names always. Without ours there is no session,
// and the hint names the flags that are missing.
func TestProgramNamesTheFlagsForAccountsThatThePeerBinds(t *testing.T) {
	long(t)
	t.Parallel()
	for _, begins := range []string{"--query", "--identity"} {
		t.Run(begins, func(t *testing.T) {
			slowtest.SkipUnless(t, begins == "--query")
			t.Parallel()
			h := newHome(t)
			pid := filepath.Join(t.TempDir(), "pid")
			l := h.begin("otrpipe", "connect", "--verbose", "--mode", "lines", "--otr", "4", "-s", begins[2:], "--",
				"sh", "-c", `echo $$ >"$0"; exec "$@"`, pid,
				python.Need(t), "otrv4/peer.py", "--account", "bob@localhost", "--contact", "alice@localhost", begins)
			eventually(t, "a key exchange of version 4",
				func() bool { return strings.Contains(l.stderr.String(), "a key exchange of version 4 has begun") }, l.stderr.String)
			text, err := os.ReadFile(pid)
			if err != nil {
				t.Fatal(err)
			}
			peer, err := strconv.Atoi(strings.TrimSpace(string(text)))
			if err != nil {
				t.Fatal(err)
			}
			if err := syscall.Kill(peer, syscall.SIGKILL); err != nil {
				t.Fatal(err)
			}
			if left := l.left(); left != 5 {
				t.Errorf("exit code %d, want 5", left)
			}
			said := l.stderr.String()
			_, hint, _ := strings.Cut(said, "the transport closed before there was a session")
			if !strings.Contains(hint, "--account") || !strings.Contains(hint, "--peer-account") {
				t.Errorf("no hint about account names in %q", said)
			}
		})
	}
}
