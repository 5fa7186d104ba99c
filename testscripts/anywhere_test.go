//go:build unix

package testscripts

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// A script finds its own files from any folder, and through a link that stands in another one.
func TestTheScriptsWorkFromAnywhere(t *testing.T) {
	long(t)
	t.Parallel()
	scripts, err := filepath.Glob("../scripts/otr-*")
	if err != nil || len(scripts) == 0 {
		t.Fatalf("scripts %q, %v", scripts, err)
	}
	links := t.TempDir()
	for _, script := range scripts {
		path, err := filepath.Abs(script)
		if err != nil {
			t.Fatal(err)
		}
		link := filepath.Join(links, filepath.Base(path))
		if err := os.Symlink(path, link); err != nil {
			t.Fatal(err)
		}
		for _, program := range []string{path, link} {
			cmd := exec.Command(program, "--help")
			cmd.Dir = "/"
			out, err := cmd.CombinedOutput()
			if err != nil || !strings.HasPrefix(string(out), "usage: "+filepath.Base(path)+" ") {
				t.Errorf("%s: %v\n%s", program, err, out)
			}
		}
	}
}
