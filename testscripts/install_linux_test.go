package testscripts

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// The script that installs the program puts a whole one in the place of an older one, or none.
func TestAnInstalledProgramIsReplacedWholeOrNotAtAll(t *testing.T) {
	long(t)
	t.Parallel()
	to := t.TempDir()
	bin := filepath.Join(to, "usr", "bin")
	built := filepath.Join(t.TempDir(), "built")
	for _, test := range []struct {
		name, program string
		content       string // of the program; "": there is nothing to write
		want          string // what is installed then
	}{
		{"the first", built, "old", "old"},
		{"a program that cannot be read to its end", "/proc/self/mem", "", "old"},
		{"a new one", built, "new", "new"},
	} {
		if test.content != "" {
			if err := os.WriteFile(built, []byte(test.content), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		cmd := exec.Command("../scripts/install", "/usr")
		cmd.Env = append(os.Environ(), "DESTDIR="+to, "OTRPIPE_BINARY="+test.program)
		out, err := cmd.CombinedOutput()
		if installs := test.content != ""; (err == nil) != installs {
			t.Errorf("%s: %v\n%s", test.name, err, out)
		}
		got, err := os.ReadFile(filepath.Join(bin, "otrpipe"))
		if err != nil || string(got) != test.want {
			t.Errorf("%s: %q is installed, %v", test.name, got, err)
		}
		if info, err := os.Stat(filepath.Join(bin, "otrpipe")); err == nil && info.Mode() != 0o755 {
			t.Errorf("%s: the program's mode is %v", test.name, info.Mode())
		}
		if left, err := filepath.Glob(filepath.Join(bin, "otrpipe?*")); err != nil || len(left) > 0 {
			t.Errorf("%s: left behind: %q, %v", test.name, left, err)
		}
	}
}
