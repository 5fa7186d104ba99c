package transfer

import (
	"os"
	"path/filepath"
	"runtime"
	"syscall"
	"testing"
)

// nobody is a user other than root.
const nobody = 65534

// A file that cannot be read is named before anything is sent, because a folder may have thousands
// of them, and half of it would have arrived by then.
func TestAFileInAFolderThatCannotBeReadIsNamedAtOnce(t *testing.T) {
	dir := t.TempDir()
	for name, mode := range map[string]os.FileMode{"a": 0o644, "secret": 0, "z": 0o644} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte("text"), mode); err != nil {
			t.Fatal(err)
		}
	}
	if os.Geteuid() == 0 { // root may read everything
		runtime.LockOSThread()
		t.Cleanup(runtime.UnlockOSThread)
		for _, folder := range []string{filepath.Dir(dir), dir} {
			if err := os.Chown(folder, nobody, nobody); err != nil {
				t.Fatal(err)
			}
		}
		if err := syscall.Setfsuid(nobody); err != nil { // of this thread
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := syscall.Setfsuid(0); err != nil {
				t.Error(err)
			}
		})
	}
	_, err := NewItem("folder", dir)
	if want := "transfer: " + dir + ` cannot be sent: transfer: "secret" cannot be read: permission denied`; err == nil || err.Error() != want {
		t.Errorf("%v; want %s", err, want)
	}
	// It may have become unreadable since then.
	root, err := os.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	_, err = packFile(nil, root, &entry{path: "secret", size: 4})
	if want := `transfer: "secret" cannot be read: permission denied`; err == nil || err.Error() != want {
		t.Errorf("while it is sent: %v; want %s", err, want)
	}
}
