//go:build unix

package testscripts

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

func TestTheRunnerNamesMissingToolsAndLetsHangupsThrough(t *testing.T) {
	// A PATH with nothing but what the runner itself uses, and a go that tells how it was
	// started: it survives a hangup only where that is ignored.
	path := t.TempDir()
	for name, program := range map[string]string{
		"bash": "bash", "sh": "sh", "env": "env", "dirname": "dirname", "true": "true", "mktemp": "mktemp", "rm": "rm",
		"nc": "true", // the one tool of the tests that is there
	} {
		program, err := exec.LookPath(program)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink(program, filepath.Join(path, name)); err != nil {
			t.Fatal(err)
		}
	}
	const goTool = "#!/bin/sh\n[ $1 = test ] || exit 0\necho \"go $*\"\necho \"slow tests: ${OTRPIPE_SLOW_TESTS-yes}\"\necho \"program: ${OTRPIPE_TEST_PROGRAM+built}\"\nkill -HUP $$\necho survived\n"
	if err := os.WriteFile(filepath.Join(path, "go"), []byte(goTool), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(path, "getconf"), []byte("#!/bin/sh\necho 2\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	var missing strings.Builder
	cmd := exec.Command("bash", "-c", "trap '' HUP; exec ../scripts/test -short")
	cmd.Env = []string{"PATH=" + path}
	cmd.Stderr = &missing
	out, _ := cmd.Output() // the go above ends by a signal
	if !strings.HasPrefix(string(out), "go test -timeout 20m -p 4 -short ./...\nslow tests: no\nprogram: \n") {
		t.Errorf("%s%s", out, &missing)
	}
	cmd = exec.Command("bash", "../scripts/test", "--all", "-v")
	cmd.Env = []string{"PATH=" + path, "OTRPIPE_SLOW_TESTS=no"}
	if all, _ := cmd.Output(); !strings.HasPrefix(string(all), "go test -timeout 20m -v ./...\nslow tests: yes\nprogram: built\n") {
		t.Errorf("with --all: %s", all)
	}
	if got := missing.String(); !strings.Contains(got, "test: more can be tested with: apt-get install ") ||
		!strings.Contains(got, " irssi") || strings.Contains(got, "netcat-openbsd") {
		t.Errorf("missing: %s", got)
	}
	if exec.Command("env", "--default-signal=HUP", "true").Run() != nil {
		t.Skip("env cannot set a signal back here")
	}
	if strings.Contains(string(out), "survived") {
		t.Error("a hangup is ignored")
	}
}
