//go:build unix

package testscripts

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// The tests that SECURITY.md and docs/EVIDENCE.md name to show what is promised are there, and
// docs/EVIDENCE.md names every fuzz test.
func TestTheTestsThatTheDocumentsNameAreThere(t *testing.T) {
	there := make(map[string]bool)
	defined := regexp.MustCompile(`(?m)^func ((?:Test|Fuzz)[A-Za-z0-9]+)\(`)
	err := filepath.WalkDir("..", func(path string, _ fs.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(path, "_test.go") {
			return err
		}
		source, err := os.ReadFile(path)
		for _, name := range defined.FindAllSubmatch(source, -1) {
			there[string(name[1])] = true
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	for path, atLeast := range map[string]int{"../SECURITY.md": 40, "../docs/EVIDENCE.md": 100} {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		named := make(map[string]bool)
		for _, name := range regexp.MustCompile("`((?:Test|Fuzz)[A-Za-z0-9]+)`").FindAllSubmatch(text, -1) {
			named[string(name[1])] = true
		}
		if len(named) < atLeast {
			t.Errorf("%s names only %d tests", path, len(named))
		}
		if strings.HasSuffix(path, "EVIDENCE.md") {
			for name := range there {
				if strings.HasPrefix(name, "Fuzz") && !named[name] {
					t.Errorf("%s does not name %s", path, name)
				}
			}
		}
		for name := range named {
			if !there[name] {
				t.Errorf("%s names %s, which is not there", path, name)
			}
		}
	}
}
