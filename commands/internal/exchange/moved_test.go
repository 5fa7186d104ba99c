package exchange

import (
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"otrpipe/commands/internal/exit"
	"otrpipe/commands/internal/transfer"
)

// A path that leads to nothing, or to somebody else's file, is no path of what has arrived.
func TestNoPathIsPrintedIntoAFolderThatWasMovedAway(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("Windows does not move a folder that is open")
	}
	for _, again := range []bool{false, true} {
		dir := filepath.Join(t.TempDir(), "in")
		if err := os.Mkdir(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		var out strings.Builder
		receiving, folder, err := NewReceiving(quiet(t), &out, dir, 0)
		if err != nil {
			t.Fatal(err)
		}
		defer folder.Close()
		if err := os.Rename(dir, dir+"-moved"); err != nil {
			t.Fatal(err)
		}
		if again {
			if err := os.Mkdir(dir, 0o700); err != nil {
				t.Fatal(err)
			}
		}
		err = receiving.arrived([]transfer.Done{{Name: "notes", Files: 1, Bytes: 1}})
		if err == nil || exit.As(err).Code != exit.Failure || out.String() != "" {
			t.Errorf("with another folder in its place %v: %v, and standard output says %q", again, err, out.String())
		}
	}
}
