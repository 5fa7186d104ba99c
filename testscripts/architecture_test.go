//go:build unix

package testscripts

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const module = "otrpipe"

// arrows says which rooms of the house each room may use. A room that is not
// here has no place yet: give it one in the README's plan, then here.
var arrows = map[string][]string{
	".": {"commands", "internal/atstart", "internal/prefault"},
	"commands": {
		"commands/internal/chat",
		"commands/internal/halves",
		"commands/internal/live",
		"commands/internal/closed",
		"commands/internal/cmdline",
		"commands/internal/exchange",
		"commands/internal/complete",
		"commands/internal/complete/names",
		"commands/internal/contacts",
		"commands/internal/control",
		"commands/internal/descriptor",
		"commands/internal/ends",
		"commands/internal/events",
		"commands/internal/exit",
		"commands/internal/files",
		"commands/internal/fingerprint",
		"commands/internal/forgery",
		"commands/internal/identities",
		"commands/internal/offline",
		"commands/internal/options",
		"commands/internal/process",
		"commands/internal/secret",
		"commands/internal/terminal",
		"commands/internal/terminal/editor",
		"commands/internal/transcript",
		"commands/internal/transport",
		"commands/internal/trust",
		"keyfile",
		"otr",
		"otr/keys",
		"otr/stream",
		"otr/toolkit",
		"otr/wire",
	},
	"commands/internal/exit":            {"keyfile"},
	"commands/internal/events":          {"commands/internal/descriptor", "commands/internal/exit", "commands/internal/terminal"},
	"commands/internal/cmdline":         {"commands/internal/exit"},
	"commands/internal/transfer":        {"commands/internal/descriptor", "commands/internal/terminal"},
	"commands/internal/closed":          {},
	"commands/internal/code":            {},
	"commands/internal/exchange":        {"commands/internal/code", "commands/internal/descriptor", "commands/internal/ends", "commands/internal/exit", "commands/internal/files", "commands/internal/identities", "commands/internal/live", "commands/internal/options", "commands/internal/secret", "commands/internal/terminal", "commands/internal/terminal/editor", "commands/internal/transfer", "keyfile"},
	"commands/internal/complete":        {"commands/internal/cmdline"},
	"commands/internal/complete/names":  {"commands/internal/complete", "commands/internal/contacts", "commands/internal/control", "commands/internal/halves", "keyfile"},
	"commands/internal/descriptor":      {},
	"commands/internal/guesses":         {},
	"commands/internal/fingerprint":     {"commands/internal/exit", "otr/keys"},
	"commands/internal/forgery":         {"commands/internal/exit", "commands/internal/terminal", "keyfile", "otr", "otr/toolkit", "otr/wire"},
	"commands/internal/files":           {"commands/internal/descriptor", "commands/internal/exit", "commands/internal/terminal", "keyfile"},
	"commands/internal/identities":      {"commands/internal/exit", "commands/internal/files", "commands/internal/fingerprint", "commands/internal/secret", "commands/internal/terminal", "keyfile", "otr/keys"},
	"commands/internal/contacts":        {"commands/internal/exit", "commands/internal/files", "commands/internal/fingerprint", "commands/internal/terminal", "keyfile", "otr/keys"},
	"commands/internal/ends":            {"commands/internal/control", "commands/internal/events", "commands/internal/exit", "commands/internal/halves", "commands/internal/identities", "commands/internal/live", "commands/internal/options", "commands/internal/secret", "commands/internal/process", "commands/internal/terminal", "commands/internal/transport", "keyfile"},
	"commands/internal/secret":          {"commands/internal/descriptor", "commands/internal/exit", "commands/internal/terminal"},
	"commands/internal/offline":         {"commands/internal/descriptor", "commands/internal/events", "commands/internal/exit", "commands/internal/files", "commands/internal/options", "commands/internal/terminal", "commands/internal/trust", "keyfile", "otr", "otr/keys", "otr/offline", "otr/wire"},
	"commands/internal/process":         {"commands/internal/descriptor", "commands/internal/exit"},
	"commands/internal/transport":       {"otr/wire"},
	"commands/internal/trust":           {"commands/internal/exit", "keyfile", "otr/stream", "otr", "otr/keys", "otr/wire"},
	"commands/internal/control":         {"commands/internal/exit"},
	"commands/internal/options":         {"commands/internal/exit", "commands/internal/fingerprint", "commands/internal/secret", "commands/internal/transport", "otr", "otr/keys", "otr/wire"},
	"commands/internal/live":            {"commands/internal/descriptor", "commands/internal/guesses", "commands/internal/trust", "commands/internal/control", "commands/internal/events", "commands/internal/process", "commands/internal/options", "commands/internal/exit", "commands/internal/terminal", "commands/internal/transport", "keyfile", "otr/stream", "otr", "otr/keys", "otr/toolkit", "otr/wire"},
	"commands/internal/halves":          {"commands/internal/live", "commands/internal/control", "commands/internal/process", "commands/internal/options", "commands/internal/exit", "commands/internal/terminal", "keyfile"},
	"commands/internal/chat":            {"commands/internal/fingerprint", "commands/internal/live", "commands/internal/trust", "commands/internal/control", "commands/internal/exit", "commands/internal/terminal", "commands/internal/terminal/editor", "otr", "otr/keys", "otr/stream"},
	"commands/internal/terminal":        {"commands/internal/descriptor"},
	"commands/internal/terminal/editor": {"commands/internal/terminal"},
	"commands/internal/transcript":      {"commands/internal/exit", "commands/internal/terminal", "otr/toolkit"},
	"keyfile":                           {"internal/secret", "otr/keys", "otr/wire"},
	// Fingerprints and SMP's states are values of package otr's own interface.
	"otr/stream":         {"internal/refine", "otr", "otr/smp", "otr/keys", "otr/wire"},
	"otr":                {"otr/v3", "otr/v4", "otr/smp", "otr/keys", "otr/wire"},
	"otr/offline":        {"internal/refine", "otr/v4", "otr/keys", "otr/wire"},
	"otr/toolkit":        {"otr/v3", "otr/v4", "otr/keys", "otr/group", "otr/wire"},
	"otr/v3":             {"internal/refine", "internal/keystream", "internal/secret", "otr/smp", "otr/keys", "otr/group", "otr/wire"},
	"otr/v4":             {"internal/refine", "internal/keystream", "internal/secret", "otr/smp", "otr/keys", "otr/group", "otr/wire"},
	"otr/smp":            {"otr/keys", "otr/group", "otr/wire"},
	"otr/keys":           {"otr/group", "otr/wire"},
	"otr/group":          {},
	"internal/keystream": {"internal/secret"},
	"internal/secret":    {},
	"internal/refine":    {},
	"internal/atstart":   {},
	"internal/prefault":  {},
	"otr/wire":           {},

	"scripts/bench.d/measure": {},
}

// outside is what otr and everything below it may not touch: it is a library
// for other programs too, and whoever calls it brings the world along. A name
// stands for what is below it as well.
var outside = []string{
	"os", "net", "log", "syscall", "io/ioutil", "testing", "flag", "plugin",
	"crypto/rand", "math/rand", "math/rand/v2",
	"golang.org/x/sys", "golang.org/x/term",
	"github.com/adrg/xdg", "github.com/fatih/color", "github.com/gofrs/flock", "github.com/google/renameio",
	"github.com/mattn", "github.com/mdp/qrterminal", "github.com/schollz/progressbar", "github.com/urfave/cli",
}

// processor says what the processor can do, which is no part of the outside.
const processor = "golang.org/x/sys/cpu"

// outsideCalls are functions of otherwise harmless packages that look at the
// clock of the machine or write to its terminal.
var outsideCalls = map[string][]string{
	"time": {"Now", "Since", "Until", "Sleep", "After", "AfterFunc", "Tick", "NewTimer", "NewTicker"},
	"fmt":  {"Print", "Printf", "Println", "Scan", "Scanf", "Scanln"},
}

func TestEveryImportIsAnArrowOfThePlan(t *testing.T) {
	root := ".."
	files := 0
	err := filepath.WalkDir(root, func(name string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entry.IsDir() {
			base := entry.Name()
			if base != ".." && strings.HasPrefix(base, ".") || strings.HasPrefix(base, "_") || base == "testdata" || base == "testscripts" {
				return filepath.SkipDir
			}
			return nil
		}
		if !strings.HasSuffix(name, ".go") || strings.HasSuffix(name, "_test.go") {
			return nil
		}
		source, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		inside, err := filepath.Rel(root, name)
		if err != nil {
			return err
		}
		files++
		broken, err := brokenArrows(filepath.ToSlash(inside), source)
		for _, b := range broken {
			t.Error(b)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if files == 0 {
		t.Fatal("no source file was found")
	}
}

func TestABrokenArrowIsFound(t *testing.T) {
	for _, test := range []struct {
		file, source string
		broken       int
	}{
		{"main.go", `import "otrpipe/commands"`, 0},
		{"main.go", `import "otrpipe/keyfile"`, 1},
		{"otr/otr.go", `import ("otrpipe/otr/v3"; "otrpipe/otr/stream")`, 1},
		{"otr/toolkit/parse.go", `import "otrpipe/otr"`, 1},
		{"otr/wire/reader.go", `import "otrpipe/otr/keys"`, 1},
		{"keyfile/home.go", `import ("os"; "otrpipe/otr/keys")`, 0},
		{"otr/attic/attic.go", ``, 1},
		{"otr/v3/ake.go", `import "os/exec"`, 1},
		{"otr/v3/ake.go", `import "net/http"`, 1},
		{"otr/v3/ake.go", `import "log/slog"`, 1},
		{"otr/v3/ake.go", `import "crypto/rand"`, 1},
		{"otr/v3/ake.go", `import "golang.org/x/term"`, 1},
		{"otr/v3/ake.go", `import "time"; var since = time.Time{}.Unix()`, 0},
		{"otr/v3/ake.go", `import "time"; var since = time.Now()`, 1},
		{"otr/v3/ake.go", `import clock "time"; var now = clock.Now`, 1},
		{"otr/v3/ake.go", `import . "time"`, 1},
		{"otr/v3/ake.go", `import "fmt"; func init() { fmt.Println() }`, 1},
		{"otr/v3/ake.go", `func init() { println() }`, 1},
		{"commands/connect.go", `import ("time"; "os"); var now = time.Now()`, 0},
	} {
		broken, err := brokenArrows(test.file, []byte("package p\n"+test.source))
		if err != nil {
			t.Fatal(err)
		}
		if len(broken) != test.broken {
			t.Errorf("%s with %s: %q", test.file, test.source, broken)
		}
	}
}

// TestTheTopLevelIsThePlans: whoever opens the repository sees the plan and
// nothing else.
func TestTheTopLevelIsThePlans(t *testing.T) {
	plan := []string{
		"go.mod", "go.sum", "main.go", "commands", "otr", "keyfile", "internal", "scripts", "man", "testscripts", "README.md", "SECURITY.md", "CHANGELOG.md", "LICENSE", "docs",
	}
	entries, err := os.ReadDir("..")
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, entry := range entries {
		name := entry.Name()
		// The program itself may lie there, built and ignored by git.
		if strings.HasPrefix(name, ".") || name == module {
			continue
		}
		got = append(got, name)
	}
	slices.Sort(plan)
	if !slices.Equal(got, plan) {
		t.Errorf("the top level has\n%s, not\n%s", got, plan)
	}
	if _, err := os.Stat("../.ci/run"); err != nil {
		t.Error(err)
	}
}

// brokenArrows names what in a file, given by its path in the repository,
// goes against the plan.
func brokenArrows(file string, source []byte) ([]string, error) {
	files := token.NewFileSet()
	parsed, err := parser.ParseFile(files, file, source, parser.SkipObjectResolution)
	if err != nil {
		return nil, err
	}
	room := path.Dir(file)
	allowed, known := arrows[room]
	if !known {
		return []string{fmt.Sprintf("%s: the room %s is not in the plan", file, room)}, nil
	}
	library := room == "otr" || strings.HasPrefix(room, "otr/")

	var broken []string
	at := func(node ast.Node, format string, args ...any) {
		broken = append(broken, fmt.Sprintf("%s: %s", files.Position(node.Pos()), fmt.Sprintf(format, args...)))
	}
	local := make(map[string][]string) // name in this file: calls of it that touch the outside
	for _, spec := range parsed.Imports {
		imported, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			return nil, err
		}
		if ours, ok := strings.CutPrefix(imported, module+"/"); ok && !slices.Contains(allowed, ours) {
			at(spec, "%s may not use %s", room, ours)
		}
		if !library {
			continue
		}
		for _, name := range outside {
			if imported != processor && (imported == name || strings.HasPrefix(imported, name+"/")) {
				at(spec, "%s touches the outside with %s", room, imported)
				break
			}
		}
		if calls, ok := outsideCalls[imported]; ok {
			name := path.Base(imported)
			if spec.Name != nil {
				name = spec.Name.Name
			}
			if name == "." {
				at(spec, "%s hides what it uses of %s", room, imported)
			}
			local[name] = calls
		}
	}
	if !library {
		return broken, nil
	}
	ast.Inspect(parsed, func(node ast.Node) bool {
		switch node := node.(type) {
		case *ast.SelectorExpr:
			if from, ok := node.X.(*ast.Ident); ok && slices.Contains(local[from.Name], node.Sel.Name) {
				at(node, "%s touches the outside with %s.%s", room, from.Name, node.Sel.Name)
			}
		case *ast.CallExpr:
			if name, ok := node.Fun.(*ast.Ident); ok && (name.Name == "print" || name.Name == "println") {
				at(node, "%s writes to standard error", room)
			}
		}
		return true
	})
	return broken, nil
}
