package commands

import (
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"otrpipe/commands/internal/terminal"
)

func TestALongWaitForNewKeysIsExplained(t *testing.T) {
	for _, answered := range []bool{false, true} {
		path := filepath.Join(t.TempDir(), "messages")
		messages, err := os.Create(path)
		if err != nil {
			t.Fatal(err)
		}
		defer messages.Close()
		said := func() string {
			b, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			return string(b)
		}
		p := terminal.NewIO(programName, messages, messages, messages)
		synctest.Test(t, func(t *testing.T) { // with a fake clock
			stop := noteWait(p, "bob")
			time.Sleep(refreshNote - time.Second)
			synctest.Wait()
			if got := said(); got != "" {
				t.Errorf("too early: %q", got)
			}
			if answered {
				stop()
			}
			time.Sleep(2 * time.Second)
			synctest.Wait()
			stop()
		})
		want := "otrpipe: still waiting for bob's answer, which may be queued behind other messages (Ctrl-C stops waiting)\n"
		if answered {
			want = ""
		}
		if got := said(); got != want {
			t.Errorf("answered %v: %q", answered, got)
		}
	}
}
