//go:build unix

package peers

import (
	"bytes"
	"os/exec"
	"syscall"
	"testing"
	"time"
)

// patience is how long a test waits for what another process does. What is
// waited for is seen the moment it is there, so this only ends what would hang.
const patience = time.Minute

// background runs a command until the test ends.
func background(t *testing.T, cmd *exec.Cmd) {
	t.Helper()
	cmd.WaitDelay = time.Second // what it leaves behind may hold its output
	var output bytes.Buffer
	if cmd.Stderr == nil {
		cmd.Stderr = &output
	}
	if cmd.Stdout == nil {
		cmd.Stdout = cmd.Stderr
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cmd.Process.Signal(syscall.SIGTERM)
		kill := time.AfterFunc(5*time.Second, func() { cmd.Process.Kill() })
		cmd.Wait()
		kill.Stop()
		if t.Failed() && output.Len() > 0 {
			t.Logf("%s:\n%s", cmd.Path, output.String())
		}
	})
}

// eventually waits until what is so; explain says what is instead.
func eventually(t *testing.T, what string, so func() bool, explain func() string) {
	t.Helper()
	within(t, patience, what, so, explain)
}

// within is eventually for what may take longer.
func within(t *testing.T, limit time.Duration, what string, so func() bool, explain func() string) {
	t.Helper()
	for deadline := time.Now().Add(limit); !so(); time.Sleep(50 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("waited in vain for %s:\n%s", what, explain())
		}
	}
}
