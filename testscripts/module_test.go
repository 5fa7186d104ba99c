//go:build unix

package testscripts

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"otrpipe/testscripts/slowtest"
)

// TestAnotherModuleImportsTheLibrary follows the README's section "From Go" as it stands there, in
// a folder outside of the repository: its commands make a module, whose program talks.
func TestAnotherModuleImportsTheLibrary(t *testing.T) {
	slowtest.Skip(t)
	if testing.Short() {
		t.Skip("short: builds a program")
	}
	t.Parallel()
	readme, err := os.ReadFile("../README.md")
	if err != nil {
		t.Fatal(err)
	}
	_, section, ok := strings.Cut(string(readme), "\n### From Go\n")
	if !ok {
		t.Fatal("the README has no section From Go")
	}
	section, _, _ = strings.Cut(section, "\n## ")
	before, program, ok := strings.Cut(section, "```go\n")
	program, after, closed := strings.Cut(program, "```\n")
	if !ok || !closed {
		t.Fatal("the section has no program")
	}
	root, err := filepath.Abs("..")
	if err != nil {
		t.Fatal(err)
	}
	work := t.TempDir()
	source := filepath.Join(work, "main.go")
	if err := os.WriteFile(source, []byte(program), 0o600); err != nil {
		t.Fatal(err)
	}
	commands := regexp.MustCompile(`(?m)^    .*\n`)
	script := "set -e\n" + strings.Join(commands.FindAllString(before, -1), "") +
		"cp " + source + " .\n" + strings.Join(commands.FindAllString(after, -1), "")
	script = strings.ReplaceAll(script, "/path/to/otrpipe", root)
	cmd := exec.Command("sh", "-c", script)
	cmd.Dir = work
	// What the library needs is here already, as this test was built with it.
	cmd.Env = append(os.Environ(), "GOPROXY=off", "GOSUMDB=off", "GOFLAGS=", "GOWORK=off")
	out, err := cmd.CombinedOutput()
	if err != nil || !strings.HasSuffix(string(out), "\nhello\n") {
		t.Errorf("%v\n%s\n%s", err, script, out)
	}
	if out, err := exec.Command("gofmt", "-l", source).CombinedOutput(); err != nil || len(out) > 0 {
		t.Errorf("the program is not formatted: %v\n%s", err, out)
	}
}
