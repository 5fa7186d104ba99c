package transfer

import (
	"os"
	"path/filepath"
	"testing"
)

func TestAFolderThatCannotBeListedIsKept(t *testing.T) {
	to := t.TempDir()
	dir, err := os.OpenRoot(to)
	if err != nil {
		t.Fatal(err)
	}
	defer dir.Close()
	part := partName("folder")
	p, err := createFolderPart(dir, part)
	if err != nil {
		t.Fatal(err)
	}
	file := write(t, filepath.Join(to, part, treeFolder, "a"), "text", 0o644)
	// The second time it cannot be listed, because it is closed.
	if first := p.close(dir, part); first != 4 {
		t.Errorf("%d bytes are kept", first)
	}
	p.close(dir, part)
	if _, err := os.Stat(file); err != nil {
		t.Error(err)
	}
}
