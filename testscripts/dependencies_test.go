//go:build unix

package testscripts

import (
	"os"
	"regexp"
	"slices"
	"testing"
)

func TestEveryDependencyIsListedWithItsReason(t *testing.T) {
	modules := func(path, pattern string) (found []string) {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for _, match := range regexp.MustCompile(pattern).FindAllSubmatch(text, -1) {
			found = append(found, string(match[1]))
		}
		slices.Sort(found)
		return found
	}
	required := modules("../go.mod", `(?m)^\t(\S+) v`)
	listed := modules("../docs/dependencies.md", "(?m)^\\| `(\\S+)` \\| [^|]+ \\| [^|]+ \\|$")
	if len(required) == 0 || !slices.Equal(required, listed) {
		t.Errorf("go.mod requires\n\t%q\nand docs/dependencies.md lists\n\t%q", required, listed)
	}
}
