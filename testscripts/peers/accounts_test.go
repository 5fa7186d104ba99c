package peers

import (
	"os/exec"
	"strings"
	"testing"
)

// Other programs of version 4 bind account names always. Without ours there is no session,
// and the hint names the flags that are missing.
func TestProgramNamesTheFlagsForAccountsThatThePeerBinds(t *testing.T) {
	t.Parallel()
	python, err := exec.LookPath("python3")
	if err != nil {
		missing(t, "python3", "apt install python3", err)
	}
	h := newHome(t)
	for _, begins := range []string{"--query", "--identity"} {
		t.Run(begins, func(t *testing.T) {
			t.Parallel()
			l := h.begin("otrpipe", "connect", "--mode", "lines", "--otr", "4", "--timeout", "8s", "-s", begins[2:], "--",
				python, "otrv4/peer.py", "--account", "bob@localhost", "--contact", "alice@localhost", begins)
			if left := l.left(); left != 7 {
				t.Errorf("exit code %d, want 7", left)
			}
			said := l.stderr.String()
			_, hint, _ := strings.Cut(said, "there is no session after 8s\n")
			if !strings.Contains(hint, "--account") || !strings.Contains(hint, "--peer-account") {
				t.Errorf("no hint about account names in %q", said)
			}
		})
	}
}
