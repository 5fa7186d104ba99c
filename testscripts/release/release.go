// Package release builds programs for tests with the flags of a release: with them programs
// start fastest.
package release

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
)

// variable is the environment variable in which scripts/test names the otrpipe that it has built
// for all packages. Its path is another one in each run, so that go test does not reuse the
// results of an older program.
const variable = "OTRPIPE_TEST_PROGRAM"

// Program returns the path of otrpipe, which it compiles into a folder unless scripts/test has
// built it.
func Program(folder string) (string, error) {
	if program := os.Getenv(variable); program != "" {
		return program, nil
	}
	return filepath.Join(folder, "otrpipe"), Build(folder, "otrpipe")
}

// Build compiles main packages into a folder. Each program has the name of its package's folder.
func Build(folder string, packages ...string) error {
	args := []string{"build", "-buildvcs=false", "-tags", "urfave_cli_no_docs", "-ldflags", "-s -w", "-o", folder + "/"}
	cmd := exec.Command("go", append(args, packages...)...)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("go build: %w\n%s", err, out)
	}
	return nil
}
