//go:build !scannable

package process

import (
	"os"
	"os/exec"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

func TestNoCoreFileAndNoDebuggerSeesTheMemory(t *testing.T) {
	if os.Getenv("OTRPIPE_TEST_DUMPS") != "" {
		if err := ForbidDumps(); err != nil {
			t.Fatal(err)
		}
		var limit unix.Rlimit
		if err := unix.Getrlimit(unix.RLIMIT_CORE, &limit); err != nil || limit.Cur != 0 {
			t.Errorf("core files of %d bytes, %v", limit.Cur, err)
		}
		if dumpable, err := unix.PrctlRetInt(unix.PR_GET_DUMPABLE, 0, 0, 0, 0); dumpable != 0 || err != nil {
			t.Errorf("dumpable is %d, %v", dumpable, err)
		}
		// What is opened by way of /proc still opens.
		if f, err := os.Open("/dev/stdin"); err != nil {
			t.Error(err)
		} else {
			f.Close()
		}
		return
	}
	// In a process of its own: it cannot be undone.
	cmd := exec.Command(os.Args[0], "-test.run", "^"+t.Name()+"$", "-test.v")
	cmd.Env = append(os.Environ(), "OTRPIPE_TEST_DUMPS=1")
	cmd.Stdin = strings.NewReader("")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}
