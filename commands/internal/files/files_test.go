package files

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"otrpipe/commands/internal/exit"
)

func TestNoFileIsReplacedUnasked(t *testing.T) {
	path := filepath.Join(t.TempDir(), "copy")
	w := Writer{}
	for _, text := range []string{"first", "second"} {
		checked, err := w.Check(path), w.Write(path, []byte(text))
		if refused := text == "second"; refused != (checked != nil) || refused != (err != nil) {
			t.Errorf("%s: %v, %v", text, checked, err)
		} else if refused && (exit.As(err).Code != exit.KeyFile || exit.As(err).Hint != hintReplace || exit.As(checked).Hint != hintReplace) {
			t.Errorf("refused with %+v and %+v", checked, err)
		}
	}
	if got, _ := os.ReadFile(path); string(got) != "first" {
		t.Errorf("the file has %q", got)
	}
	w.Replace = true
	if err := w.Check(path); err != nil {
		t.Error(err)
	}
	if err := w.Write(path, []byte("third")); err != nil {
		t.Error(err)
	}
	if got, _ := os.ReadFile(path); string(got) != "third" {
		t.Errorf("replaced, the file has %q", got)
	}
}

func TestADashIsAStandardStream(t *testing.T) {
	var out bytes.Buffer
	w := Writer{Standard: &out}
	for _, path := range []string{"-", ""} {
		if err := w.Check(path); err != nil {
			t.Error(err)
		}
		if err := w.Write(path, []byte("text")); err != nil {
			t.Error(err)
		}
	}
	if out.String() != "texttext" {
		t.Errorf("standard output has %q", out.String())
	}
}

func TestAFileIsReadUpToItsLimit(t *testing.T) {
	path := filepath.Join(t.TempDir(), "list")
	if err := os.WriteFile(path, []byte("12345"), 0o600); err != nil {
		t.Fatal(err)
	}
	if b, public, err := Read(path, 5); err != nil || public || string(b) != "12345" {
		t.Errorf("%q, %v, %v", b, public, err)
	}
	if b, _, err := Read(path, 4); err == nil {
		t.Errorf("longer than its limit: %q", b)
	}
	if _, _, err := Read(path+"x", 5); err == nil || exit.As(err).Code != exit.KeyFile {
		t.Errorf("a missing file: %v", err)
	}
	if err := os.Chmod(path, 0o644); err != nil {
		t.Fatal(err)
	}
	if _, public, err := Read(path, 5); err != nil || !public {
		t.Errorf("readable by others: %v, %v", public, err)
	}
}
