// Package python finds the Python interpreter for the tests.
package python

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
)

// find asks python3 for the path of its interpreter, once per test binary. A version manager
// puts a shell script in front of it that takes longer to start than Python does.
var find = sync.OnceValues(func() (string, error) {
	path, err := exec.LookPath("python3")
	if err != nil {
		return "", err
	}
	out, err := exec.Command(path, "-c", "import sys; print(sys.executable)").Output()
	if err != nil {
		return "", fmt.Errorf("%s: %w", path, err)
	}
	if interpreter := strings.TrimSpace(string(out)); interpreter != "" {
		return interpreter, nil
	}
	return path, nil // Python does not know
})

// Need returns the path of the interpreter. Where there is none, the test is skipped; with
// CI=true it fails.
func Need(t testing.TB) string {
	t.Helper()
	path, err := find()
	if err == nil {
		return path
	}
	text := fmt.Sprintf("python3 is missing (%v); install it with: apt-get install python3", err)
	if os.Getenv("CI") == "true" {
		t.Fatal(text)
	}
	t.Skip(text)
	return ""
}
