package transfer

import (
	"archive/tar"
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"
)

// A file in /proc has the size 0 and content. It would arrive empty.
func TestAFileWhoseSizeIsNotThatOfItsContentIsNotSent(t *testing.T) {
	if _, err := NewItem("status", "/proc/self/status"); !errors.Is(err, errHidden) {
		t.Errorf("a file: %v", err)
	}
	root, err := os.OpenRoot("/proc/sys/kernel/random")
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	entries := []entry{{path: "boot_id"}}
	if err := pack(tar.NewWriter(io.Discard), root, entries, func(*entry) {}, func(*entry, string) {}); !errors.Is(err, ErrFolder) {
		t.Errorf("in a folder: %v", err)
	}
}

func TestAnEmptyFileIsSentAlsoIfItGrows(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "log")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := NewItem("log", file); err != nil {
		t.Error(err)
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	entries, err := scan(root)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte("more"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := pack(tar.NewWriter(io.Discard), root, entries, func(*entry) {}, func(*entry, string) {}); err != nil {
		t.Error(err)
	}
}
