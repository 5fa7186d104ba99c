package exit

import (
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"otrpipe/commands/internal/terminal"
	"otrpipe/keyfile"
)

// TestPackagesThatLeadTheirErrorsAreListed: other packages are not, since their names may be
// those of the user's files, such as "contacts".
func TestPackagesThatLeadTheirErrorsAreListed(t *testing.T) {
	const root = "../../.."
	leading := map[string]bool{}
	err := filepath.WalkDir(root, func(name string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir() && (entry.Name() == "testdata" || entry.Name() == "testscripts" || strings.HasPrefix(entry.Name(), ".git")):
			return fs.SkipDir
		case !strings.HasSuffix(name, ".go") || strings.HasSuffix(name, "_test.go"):
			return nil
		}
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		ast.Inspect(file, func(n ast.Node) bool {
			if text, ok := n.(*ast.BasicLit); ok && strings.HasPrefix(text.Value, `"`+file.Name.Name+`: `) {
				leading[file.Name.Name] = true
			}
			return true
		})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if got := slices.Sorted(maps.Keys(leading)); !slices.Equal(got, packages) {
		t.Errorf("the packages that lead their errors are\n%q, and listed are\n%q", got, packages)
	}
}

func TestPeopleReadNoPackageNames(t *testing.T) {
	for text, want := range map[string]string{
		"keyfile: no contact bob":                   "no contact bob",
		"stream: broken: otr: v3: a bad signature":  "broken: a bad signature",
		"--expect: keys: 3 digits":                  "--expect: 3 digits",
		"reading the plaintext: input/output error": "reading the plaintext: input/output error",
		"nothing in otr":                            "nothing in otr",
		"keys":                                      "keys",
		"line: otr":                                 "line: otr",
		"":                                          "",
	} {
		err := errors.New(text)
		got := Plain(err)
		if got.Error() != want || !errors.Is(got, err) {
			t.Errorf("%q becomes %q, want %q", text, got, want)
		}
	}
}

func TestEveryErrorHasAnExitCode(t *testing.T) {
	refused := Errorf(Refused, "refused").WithHint("call %s", "bob")
	if e := As(fmt.Errorf("at the end: %w", refused)); e != refused || e.Hint != "call bob" || e.Silent {
		t.Errorf("a wrapped Error becomes %+v", e)
	}
	if e := As(fs.ErrClosed); e.Code != Failure || e.Silent || !errors.Is(e, fs.ErrClosed) {
		t.Errorf("another error becomes %+v", e)
	}
	if e := As(&terminal.Interrupted{Signal: syscall.SIGTERM}); e.Code != 143 || !e.Silent {
		t.Errorf("an interruption at a prompt becomes %+v", e)
	}
	if e := Silently(5); e.Code != 5 || !e.Silent {
		t.Errorf("Silently(5) is %+v", e)
	}
}

func TestErrorsOfKeyFilesGetTheirCodeAndHint(t *testing.T) {
	for _, test := range []struct {
		err  error
		code int
		hint string
	}{
		{fmt.Errorf("keyfile: a: %w", keyfile.ErrName), Usage, ""},
		{fmt.Errorf("keyfile: a: %w", keyfile.ErrLocked), Timeout, "try again"},
		{fmt.Errorf("keyfile: a: %w", keyfile.ErrChanged), KeyFile, "try again"},
		{fmt.Errorf("keyfile: a: %w", keyfile.ErrNewer), KeyFile, "newer"},
		{fmt.Errorf("keyfile: a: %w", keyfile.ErrFormat), KeyFile, "copy"},
		{fmt.Errorf("keyfile: a: %w", keyfile.ErrNotFound), KeyFile, ""},
		{&fs.PathError{Op: "open", Path: "a", Err: fs.ErrPermission}, KeyFile, ""},
		{errors.New("keyfile: something else"), Failure, ""},
	} {
		var e *Error
		if !errors.As(Key(test.err), &e) || e.Code != test.code || !strings.Contains(e.Hint, test.hint) || !errors.Is(e, test.err) {
			t.Errorf("%v becomes %+v", test.err, e)
		}
		if strings.Contains(e.Error(), "keyfile") {
			t.Errorf("%q names a package", e)
		}
	}
	own := Errorf(Usage, "wrong")
	interrupted := &terminal.Interrupted{Signal: syscall.SIGINT}
	for _, err := range []error{nil, own, interrupted} {
		if got := Key(err); got != err {
			t.Errorf("%v becomes %v", err, got)
		}
	}
}

func TestAWordOfAHintIsQuotedForTheShell(t *testing.T) {
	for word, want := range map[string]string{
		"bob":        "bob",
		"a@b.c":      "a@b.c",
		"two words":  "'two words'",
		"it's":       `'it'\''s'`,
		"$(reboot)":  "'$(reboot)'",
		"new\nlines": "'new\nlines'",
	} {
		if got := ShellWord(word); got != want {
			t.Errorf("%q is quoted as %s, want %s", word, got, want)
		}
	}
}

// The name of the file stays, although it is that of a package, and so does what comes after it.
func TestASystemCallIsNotNamed(t *testing.T) {
	missing := &fs.PathError{Op: "open", Path: "keys", Err: syscall.ENOENT}
	for err, want := range map[error]string{
		missing:                              "keys: no such file or directory",
		fmt.Errorf("keyfile: %w", missing):   "keys: no such file or directory",
		fmt.Errorf("%w; try again", missing): "keys: no such file or directory; try again",
	} {
		if got := Plain(err); got.Error() != want || !errors.Is(got, syscall.ENOENT) {
			t.Errorf("%v is told as %v, not %s", err, got, want)
		}
	}
}
