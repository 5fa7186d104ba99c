package testscripts

import (
	"os"
	"os/exec"
	"regexp"
	"testing"
)

// TestTheDemoShowsWhatItPromises runs scripts/demo as a newcomer would.
func TestTheDemoShowsWhatItPromises(t *testing.T) {
	if testing.Short() {
		t.Skip("short: a large tree takes its time")
	}
	folder := t.TempDir()
	cmd := exec.Command("../scripts/demo")
	cmd.Env = append(os.Environ(), "TMPDIR="+folder)
	out, err := cmd.CombinedOutput()
	t.Logf("%s", out)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		`alice  [0-9A-F]{8}( [0-9A-F]{8}){4}\n`,
		`bob    [0-9A-F]{8}( [0-9A-F]{8}){4}\n`,
		`a tar of [0-9]{3,} MB`,
		`\?OTR:AAMD`, // the beginning of a data message of version 3
		`Both ways bit for bit`,
	} {
		if !regexp.MustCompile(want).Match(out) {
			t.Errorf("it does not show %s", want)
		}
	}
	left, err := os.ReadDir(folder)
	if err != nil {
		t.Fatal(err)
	}
	if len(left) > 0 {
		t.Errorf("it left %v behind", left)
	}
}
