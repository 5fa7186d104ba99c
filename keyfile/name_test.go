package keyfile

import (
	"path/filepath"
	"strings"
	"testing"
)

func TestNamesThatCanBeShownAreTaken(t *testing.T) {
	for _, name := range []string{
		"a", "alice@example.com", "bob@example.com/res", "with space \"q\"", "é", "名前", "-x", "..", "CON",
		strings.Repeat("n", maxName),
	} {
		if err := CheckName(name); err != nil {
			t.Errorf("%q: %v", name, err)
		}
	}
	for _, name := range []string{
		"", " a", "a ", "a\nb", "a\tb", "\x1b[31m", "a\x00", "\xff", "a\u202eb", "a\u2028b", "a\u00a0b", "a\x7f",
		strings.Repeat("n", maxName+1),
	} {
		wantError(t, CheckName(name), ErrName)
	}
}

func TestEveryNameHasAFileNameOfItsOwn(t *testing.T) {
	seen := make(map[string]string)
	for _, name := range []string{"a", "A", ".", "..", ".a", "a.", "a/b", "a%2Fb", "%", "a b", "é", "e\u0301", "a\\b", "a:b", "~"} {
		file, err := fileName(name)
		must(t, err)
		if other, ok := seen[file]; ok {
			t.Errorf("%q and %q are both %q", name, other, file)
		}
		seen[file] = name
		if filepath.Base(file) != file || strings.HasPrefix(file, ".") || len(file) > maxFileName {
			t.Errorf("%q becomes %q", name, file)
		}
		if back, ok := nameOfFile(file); !ok || back != name {
			t.Errorf("%q came back as %q, %v", name, back, ok)
		}
	}
	_, err := fileName(strings.Repeat("é", 50))
	wantError(t, err, ErrName)
}

func FuzzFileName(f *testing.F) {
	for _, file := range []string{"alice", "%41", "%2e%2E", "a%", "a%2", "%C3%A9", "%c3%a9", "%00", ".a", "a b", "+"} {
		f.Add(file)
	}
	f.Fuzz(func(t *testing.T, file string) {
		name, ok := nameOfFile(file)
		if !ok {
			return
		}
		if back, err := fileName(name); err != nil || back != file {
			t.Errorf("%q is the name %q, whose file is %q, %v", file, name, back, err)
		}
	})
}
