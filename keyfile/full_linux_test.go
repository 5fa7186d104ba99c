package keyfile

import (
	"errors"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

func TestAFullDiskIsReportedForTheFileThatWasToBeWritten(t *testing.T) {
	folder := t.TempDir()
	if err := unix.Mount("tmpfs", folder, "tmpfs", 0, "size=64k"); err != nil {
		t.Skipf("no small file system can be mounted here: %v", err)
	}
	t.Cleanup(func() { unix.Unmount(folder, unix.MNT_DETACH) })
	path := filepath.Join(folder, "contacts.json")
	for name, write := range map[string]func() error{
		"replace": func() error { return replaceFile(path, make([]byte, 1<<20)) },
		"create":  func() error { return createFile(path, make([]byte, 1<<20)) },
		"folder": func() error {
			return createFolder(folder, "contacts.json", "bob", map[string][]byte{privateFile: make([]byte, 1<<20)})
		},
	} {
		err := write()
		if !errors.Is(err, syscall.ENOSPC) || !strings.HasPrefix(err.Error(), "keyfile: "+path) || strings.Contains(err.Error(), "/.") {
			t.Errorf("%s: %v", name, err)
		}
	}
}
